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

    /// Writes rows for a connector that no task writes for. They are durable when this returns.
    pub(crate) async fn write(&self, connector: &str, rows: &Rows) -> Result<(), OffsetsError> {
        let mut records = Vec::with_capacity(rows.len());
        for (partition, offset) in rows {
            let key = self.key(connector, partition)?;
            let value = match offset {
                Some(offset) => {
                    let mut value = Vec::with_capacity(offset.len());
                    canonical_object(offset, &mut value)?;
                    Some(value)
                }
                None => None,
            };
            records.push((String::from_utf8_lossy(&key.key).into_owned(), value));
        }
        if !records.is_empty() {
            self.topic.put(&records).await?;
        }
        Ok(())
    }

    /// What is stored for a connector now.
    pub(crate) async fn read(&self, connector: &str) -> Result<ConnectorOffsets, StoreError> {
        let mut offsets = ConnectorOffsets::default();
        for (key, value) in self.topic.read().await? {
            let Some((name, partition)) = parse_key(&key) else {
                continue;
            };
            if name != connector {
                continue;
            }
            match value {
                Some(value) => {
                    let text = String::from_utf8_lossy(&value).into_owned();
                    offsets.by_partition.insert(partition, text);
                }
                None => drop(offsets.by_partition.remove(&partition)),
            }
        }
        Ok(offsets)
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
