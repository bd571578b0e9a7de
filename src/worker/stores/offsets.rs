//! The topic of source offsets: keys `["connector",{partition}]`, values `{offset}`, as Connect's JsonConverter without
//! schemas writes them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_cluster::{Cluster, SourceOffset};
use jackfield_env::Env;
use jackfield_plugin::StoredOffsets;

use super::{KeyedTopic, StoreError};
use crate::{
    config::WorkerConfig,
    converters::{ConversionError, canonical_object, json_string},
};

/// The store. Tasks write offsets together with their records, through the cluster's port; this makes the records.
#[derive(Debug)]
pub(crate) struct OffsetStore {
    topic: KeyedTopic,
}

impl OffsetStore {
    /// Opens the topic.
    pub(crate) async fn open(
        cluster: Arc<dyn Cluster>,
        env: Env,
        config: &WorkerConfig,
    ) -> Result<Self, StoreError> {
        let topic =
            KeyedTopic::open(cluster, env, &config.offset_topic(), "source connector offsets").await?;
        Ok(Self { topic })
    }

    /// Key and partition under which a source partition (a JSON object) is stored.
    pub(crate) fn key(&self, connector: &str, source_partition: &str) -> Result<OffsetKey, ConversionError> {
        let mut key = vec![b'['];
        json_string(connector, &mut key);
        key.push(b',');
        canonical_object(source_partition, &mut key)?;
        key.push(b']');
        Ok(OffsetKey {
            partition: self.topic.partition(&key),
            key: key.into(),
        })
    }

    /// Writes rows for a connector that no task writes for. They are durable when this returns. A partition that is there
    /// already keeps its key, whatever order its fields are given in: the source's own next row must replace this one.
    pub(crate) async fn write(&self, connector: &str, rows: &Rows) -> Result<(), OffsetsError> {
        let stored = self.stored(connector).await?;
        let mut records = Vec::with_capacity(rows.len());
        for (partition, offset) in rows {
            let given = self.key(connector, partition)?.key;
            let known = serde_json::from_str(partition)
                .ok()
                .and_then(|partition| stored.get(&comparable(partition)));
            let keys: Vec<&Bytes> = match known {
                Some(known) => known.keys().collect(),
                None => vec![&given],
            };
            let value = match offset {
                Some(offset) => {
                    let mut value = Vec::with_capacity(offset.len());
                    canonical_object(offset, &mut value)?;
                    Some(value)
                }
                None => None,
            };
            let key = |key: &Bytes| String::from_utf8_lossy(key).into_owned();
            records.extend(keys.into_iter().map(|bytes| (key(bytes), value.clone())));
        }
        if !records.is_empty() {
            self.topic.put(&records).await?;
        }
        Ok(())
    }

    /// What is stored for a connector now.
    pub(crate) async fn read(&self, connector: &str) -> Result<ConnectorOffsets, StoreError> {
        let newest = |(partition, keys): (String, BTreeMap<Bytes, (i64, String)>)| {
            let (_, offset) = keys.into_values().max_by_key(|(time, _)| *time)?;
            Some((partition, offset))
        };
        let stored = self.stored(connector).await?.into_iter();
        Ok(ConnectorOffsets {
            by_partition: stored.filter_map(newest).collect(),
        })
    }

    /// Rows by partition and key, with their times: a partition has several keys when its fields were written in several
    /// orders.
    async fn stored(
        &self,
        connector: &str,
    ) -> Result<BTreeMap<String, BTreeMap<Bytes, (i64, String)>>, StoreError> {
        let mut stored: BTreeMap<String, BTreeMap<Bytes, (i64, String)>> = BTreeMap::new();
        for (time, key, value) in self.topic.read_with_times().await? {
            let Some((name, partition)) = parse_key(&key) else {
                continue;
            };
            if name != connector {
                continue;
            }
            let keys = stored.entry(partition).or_default();
            match value {
                Some(value) => {
                    let text = String::from_utf8_lossy(&value).into_owned();
                    keys.insert(key, (time, text));
                }
                None => drop(keys.remove(&key)),
            }
        }
        stored.retain(|_, keys| !keys.is_empty());
        Ok(stored)
    }
}

/// Rows of offsets as JSON texts, by source partition; `None` takes one out.
pub(crate) type Rows = Vec<(String, Option<String>)>;

/// Where a source partition's offset is stored.
#[derive(Debug, Clone)]
pub(crate) struct OffsetKey {
    partition: jackfield_cluster::TopicPartition,
    key: Bytes,
}

impl OffsetKey {
    /// The record that stores `offset` (a JSON object).
    pub(crate) fn record(&self, offset: &str) -> Result<SourceOffset, ConversionError> {
        let mut value = Vec::with_capacity(offset.len());
        canonical_object(offset, &mut value)?;
        Ok(SourceOffset {
            partition: self.partition.clone(),
            key: self.key.clone(),
            value: Some(value.into()),
        })
    }
}

/// Offsets of one connector, by source partition, compared by content.
#[derive(Debug, Default)]
pub(crate) struct ConnectorOffsets {
    by_partition: BTreeMap<String, String>,
}

impl ConnectorOffsets {
    /// Source partition and offset, as JSON texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.by_partition.iter();
        rows.map(|(partition, offset)| (partition.as_str(), offset.as_str()))
    }
}

/// Why offsets could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OffsetsError {
    /// One is no JSON object that can be stored.
    #[error("{}", .0.0)]
    Conversion(#[from] ConversionError),
    /// The topic cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoredOffsets for ConnectorOffsets {
    fn read(&self, source_partition: &str) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(source_partition).ok()?;
        self.by_partition.get(&comparable(value)).cloned()
    }
}

/// Connector name and comparable source partition of a key.
fn parse_key(key: &[u8]) -> Option<(String, String)> {
    let value: serde_json::Value = serde_json::from_slice(key).ok()?;
    let serde_json::Value::Array(mut parts) = value else {
        return None;
    };
    if parts.len() != 2 {
        return None;
    }
    let partition = parts.pop()?;
    Some((parts.pop()?.as_str()?.to_owned(), comparable(partition)))
}

/// The text of a JSON value with all keys sorted.
fn comparable(mut value: serde_json::Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_partitions_are_compared_by_content() {
        let mut offsets = ConnectorOffsets::default();
        let (name, partition) = parse_key(br#"["db",{"server":"a","schema":null}]"#).unwrap();
        assert_eq!(name, "db");
        offsets.by_partition.insert(partition, r#"{"pos":1}"#.to_owned());
        assert_eq!(
            offsets.read(r#"{ "schema" : null, "server": "a" }"#).as_deref(),
            Some(r#"{"pos":1}"#)
        );
        assert_eq!(offsets.read(r#"{"server":"a"}"#), None);
    }

    #[test]
    fn keys_of_other_shapes_are_passed_over() {
        for key in ["", "1", "[]", r#"["a"]"#, r#"[1,{}]"#, r#"["a",{},1]"#] {
            assert!(parse_key(key.as_bytes()).is_none(), "{key}");
        }
    }
}
