//! The worker's memory: three compacted topics in Kafka Connect's own formats.

pub(crate) mod configs;
pub(crate) mod java_map;
pub(crate) mod offsets;
pub(crate) mod status;

use std::sync::Arc;

use bytes::Bytes;
use jackfield_cluster::{
    Acknowledgement, Cluster, ClusterError, Compression, NewTopic, PartitionRecords, RecordBatchBuilder,
    TopicPartition, partition_for_key,
};
use jackfield_env::Env;

use crate::config::StorageTopic;

/// Why an internal topic cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// The cluster refused.
    #[error("topic {topic}: {source}")]
    Cluster {
        /// Topic.
        topic: String,
        /// Cause.
        source: ClusterError,
    },
    /// The topic exists and is not what is needed.
    #[error("{0}")]
    Unfit(String),
}

/// A topic that is written by key.
#[derive(Debug)]
pub(crate) struct KeyedTopic {
    cluster: Arc<dyn Cluster>,
    env: Env,
    name: Arc<str>,
    partitions: i32,
}

impl KeyedTopic {
    /// The topic as it is, created when it does not exist. A topic that is not compacted is refused, as Kafka does.
    pub(crate) async fn open(
        cluster: Arc<dyn Cluster>,
        env: Env,
        topic: &StorageTopic,
        what_for: &str,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Cluster {
            topic: topic.name.clone(),
            source,
        };
        let found = match cluster.describe_topic(&topic.name).await.map_err(failed)? {
            Some(found) => found,
            None => {
                let new = NewTopic {
                    name: topic.name.clone(),
                    partitions: topic.partitions,
                    configs: topic.configs.clone(),
                };
                cluster.create_topic(&new).await.map_err(failed)?
            }
        };
        if found.cleanup_policy != "compact" {
            return Err(StoreError::Unfit(format!(
                "topic {} keeps {what_for} and must have cleanup.policy=compact, but has cleanup.policy={}",
                topic.name, found.cleanup_policy
            )));
        }
        Ok(Self {
            cluster,
            env,
            name: found.name,
            partitions: found.partitions,
        })
    }

    /// Name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Partition count.
    pub(crate) fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The partition of a key, as Java's producer chooses it.
    pub(crate) fn partition(&self, key: &[u8]) -> TopicPartition {
        TopicPartition {
            topic: self.name.clone(),
            partition: partition_for_key(key, self.partitions),
        }
    }

    /// All records, in the order of each partition.
    pub(crate) async fn read(&self) -> Result<Vec<(Bytes, Option<Bytes>)>, StoreError> {
        let records = self.read_with_times().await?.into_iter();
        Ok(records.map(|(_, key, value)| (key, value)).collect())
    }

    /// All records with their timestamps, in the order of each partition.
    pub(crate) async fn read_with_times(&self) -> Result<Vec<(i64, Bytes, Option<Bytes>)>, StoreError> {
        let failed = |source| StoreError::Cluster {
            topic: self.name.to_string(),
            source,
        };
        let records = self.cluster.read_to_end(&self.name).await.map_err(failed)?;
        Ok(records
            .into_iter()
            .filter_map(|(_, record)| Some((record.timestamp, record.key?, record.value)))
            .collect())
    }

    /// Appends one record per pair in order. They are in the log when this returns, durable when the acknowledgement
    /// resolves.
    pub(crate) async fn append(
        &self,
        records: &[(String, Option<Vec<u8>>)],
    ) -> Result<Acknowledgement, StoreError> {
        let now = self.env.clock.now_ms();
        let batches = records.iter().map(|(key, value)| {
            let mut builder = RecordBatchBuilder::new(Compression::None);
            builder.push(now, Some(key.as_bytes()), value.as_deref(), &[]);
            PartitionRecords {
                partition: self.partition(key.as_bytes()),
                batch: builder.finish(),
            }
        });
        let failed = |source| StoreError::Cluster {
            topic: self.name.to_string(),
            source,
        };
        self.cluster.append(batches.collect()).await.map_err(failed)
    }

    /// Appends and waits until it is durable.
    pub(crate) async fn put(&self, records: &[(String, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let acknowledgement = self.append(records).await?;
        let failed = |source| StoreError::Cluster {
            topic: self.name.to_string(),
            source,
        };
        acknowledgement.await.map(drop).map_err(failed)
    }
}
