//! The topics a source task writes to: created when first needed, and the batches being built for their partitions.

use std::{collections::HashMap, sync::Arc};

use jackfield_cluster::{
    Compression, NewTopic, PartitionRecords, RecordBatchBuilder, TopicPartition, partition_for_key,
};

use crate::task::{TaskContext, TaskFailure};

/// A batch is finished before it grows beyond this, so that it stays below the default `max.message.bytes`. A single
/// larger record makes a batch of its own.
const MAX_BATCH_BYTES: usize = 1_000_000;

/// All topics of a task.
#[derive(Debug)]
pub(super) struct Topics {
    slots: Vec<Slot>,
    by_name: HashMap<String, usize>,
    compression: Compression,
}

#[derive(Debug)]
struct Slot {
    name: Arc<str>,
    partitions: i32,
    builders: Vec<Option<RecordBatchBuilder>>,
    /// Partition of records without key, until the next polled batch.
    sticky: i32,
}

impl Topics {
    /// No topics yet.
    pub(super) fn new(compression: Compression) -> Self {
        Self {
            slots: Vec::new(),
            by_name: HashMap::new(),
            compression,
        }
    }

    /// Index of a topic, which is created when it does not exist.
    pub(super) async fn index(&mut self, context: &TaskContext, name: &str) -> Result<usize, TaskFailure> {
        if let Some(index) = self.by_name.get(name) {
            return Ok(*index);
        }
        let cluster = &context.shared.cluster;
        let failed = |error| context.cluster_failure(&format!("creating topic {name}"), &error);
        let found = match cluster.describe_topic(name).await.map_err(failed)? {
            Some(found) => found,
            None => {
                let settings = context.config.topic_creation.settings(name);
                let new = NewTopic {
                    name: name.to_owned(),
                    partitions: settings.partitions,
                    configs: settings.configs,
                };
                cluster.create_topic(&new).await.map_err(failed)?
            }
        };
        let index = self.slots.len();
        self.slots.push(Slot {
            name: found.name,
            partitions: found.partitions.max(1),
            builders: Vec::new(),
            sticky: 0,
        });
        self.by_name.insert(name.to_owned(), index);
        Ok(index)
    }

    /// The partition of a record: its own, its key's, or the one that records without key go to now.
    pub(super) fn partition(
        &self,
        index: usize,
        given: Option<i32>,
        key: Option<&[u8]>,
    ) -> Result<i32, String> {
        let slot = &self.slots[index];
        match (given, key) {
            (Some(given), _) if (0..slot.partitions).contains(&given) => Ok(given),
            (Some(given), _) => Err(format!(
                "Invalid partition given with record: {given} is not in the range [0...{}).",
                slot.partitions
            )),
            (None, Some(key)) => Ok(partition_for_key(key, slot.partitions)),
            (None, None) => Ok(slot.sticky),
        }
    }

    /// The batch that a record of about `bytes` goes into; a full one is moved to `finished` first.
    pub(super) fn builder(
        &mut self,
        index: usize,
        partition: i32,
        bytes: usize,
        finished: &mut Vec<PartitionRecords>,
    ) -> &mut RecordBatchBuilder {
        let compression = self.compression;
        let slot = &mut self.slots[index];
        // Partitions are never negative here.
        let position = usize::try_from(partition).unwrap_or(0);
        if slot.builders.len() <= position {
            slot.builders.resize_with(position + 1, || None);
        }
        let builder = slot.builders[position].get_or_insert_with(|| RecordBatchBuilder::new(compression));
        if !builder.is_empty() && builder.size_bytes() + bytes > MAX_BATCH_BYTES {
            finished.push(finish(&slot.name, partition, builder));
        }
        builder
    }

    /// Finishes all batches. Records without key go to the next partition from now on.
    pub(super) fn finish(&mut self, finished: &mut Vec<PartitionRecords>) {
        for slot in &mut self.slots {
            let mut used = false;
            for (partition, builder) in (0..).zip(&mut slot.builders) {
                if let Some(builder) = builder
                    && !builder.is_empty()
                {
                    used = true;
                    finished.push(finish(&slot.name, partition, builder));
                }
            }
            if used {
                slot.sticky = (slot.sticky + 1) % slot.partitions;
            }
        }
    }
}

/// The finished batch of a partition; its builder is empty again.
fn finish(topic: &Arc<str>, partition: i32, builder: &mut RecordBatchBuilder) -> PartitionRecords {
    let partition = TopicPartition {
        topic: Arc::clone(topic),
        partition,
    };
    PartitionRecords {
        partition,
        batch: builder.finish(),
    }
}
