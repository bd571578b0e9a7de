//! Appending to logs and waiting for durability.

use std::sync::Arc;

use jackfield_broker::{AppendOrigin, PartitionLog, Topics};

use crate::{ClusterError, PartitionRecords, TopicPartition};

/// What one call appended.
#[derive(Debug, Default)]
pub(crate) struct Appends {
    written: Vec<Written>,
}

#[derive(Debug)]
struct Written {
    partition: TopicPartition,
    log: Arc<PartitionLog>,
    base_offset: i64,
    last_offset: i64,
}

/// The log of a partition.
pub(crate) fn log_of(topics: &Topics, partition: &TopicPartition) -> Result<Arc<PartitionLog>, ClusterError> {
    topics
        .partition(&partition.topic, partition.partition)
        .ok_or_else(|| ClusterError::unknown_partition(partition))
}

impl Appends {
    /// Appends all records in order. Nothing is written when a partition does not exist; after a refusal of a log
    /// what was written before it stays, as with any producer.
    pub(crate) fn write(topics: &Topics, records: Vec<PartitionRecords>) -> Result<Self, ClusterError> {
        let logs: Vec<Arc<PartitionLog>> = records
            .iter()
            .map(|records| log_of(topics, &records.partition))
            .collect::<Result<_, _>>()?;
        let mut written = Vec::with_capacity(records.len());
        for (PartitionRecords { partition, batch }, log) in records.into_iter().zip(logs) {
            let appended = log
                .append(batch, AppendOrigin::Client)
                .map_err(|error| ClusterError::append(&error, &partition))?;
            written.push(Written {
                partition,
                log,
                base_offset: appended.base_offset,
                last_offset: appended.last_offset,
            });
        }
        Ok(Self { written })
    }

    /// Waits until everything is durable; the base offset of each batch, in order.
    pub(crate) async fn durable(&self) -> Result<Vec<i64>, ClusterError> {
        for written in &self.written {
            let committed = written.log.committed(written.last_offset).await;
            committed.map_err(|error| ClusterError::append(&error, &written.partition))?;
        }
        Ok(self.written.iter().map(|written| written.base_offset).collect())
    }
}
