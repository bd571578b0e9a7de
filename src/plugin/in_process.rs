//! Tasks of a connector that is part of this process, without a boundary: one object calls the other. The same batch is built
//! and read and the same checks are made as for plugins, so this is what the boundaries are compared with (`benches/boundary`).

use async_trait::async_trait;
use bytes::Bytes;
use jackfield_api::{
    PollLimits as AskedLimits, Polled as Answered,
    batch::{Batch, BatchBuilder},
    export::{SinkTask, SourceTask},
};

use crate::{
    HostedSink, HostedSource, PluginError, PollLimits, Polled, RecordError, SinkPosition,
    receive::{self, Receiver},
};

/// A source task of this process.
pub struct InProcessSource {
    task: Box<dyn SourceTask>,
    builder: BatchBuilder,
    receiver: Receiver,
}

/// A sink task of this process.
pub struct InProcessSink {
    task: Box<dyn SinkTask>,
}

impl InProcessSource {
    /// A task that has started.
    pub fn new(task: Box<dyn SourceTask>) -> Self {
        Self {
            task,
            builder: BatchBuilder::new(),
            receiver: Receiver::default(),
        }
    }
}

impl InProcessSink {
    /// A task that has started.
    pub fn new(task: Box<dyn SinkTask>) -> Self {
        Self { task }
    }
}

#[async_trait]
impl HostedSource for InProcessSource {
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError> {
        let asked = AskedLimits {
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
        };
        let polled = self.task.poll(asked, &mut self.builder);
        let polled = polled.inspect_err(|_| self.builder.clear())?;
        match polled {
            _ if !self.builder.is_empty() => {
                let batch = Bytes::from(self.builder.finish());
                self.receiver.receive(batch, limits).map(Polled::Batch)
            }
            Answered::Records => Ok(Polled::Idle(Some(0))),
            Answered::Idle(ms) => Ok(Polled::Idle(ms)),
        }
    }

    async fn committed(&mut self, batches: u64) -> Result<(), PluginError> {
        Ok(self.task.committed(batches)?)
    }

    async fn stop(mut self: Box<Self>) {
        self.task.stop();
    }
}

#[async_trait]
impl HostedSink for InProcessSink {
    async fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), PluginError> {
        Ok(self.task.open(&positions(partitions))?)
    }

    async fn put(&mut self, batch: Bytes) -> Result<Vec<RecordError>, PluginError> {
        let batch = Batch::parse(&batch[..]).map_err(jackfield_api::ConnectError::from)?;
        let rejected = self.task.put(&batch)?;
        Ok(rejected.into_iter().map(RecordError::from).collect())
    }

    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, PluginError> {
        receive::positions(current, self.task.pre_commit(&positions(current))?)
    }

    async fn close(&mut self, partitions: &[(std::sync::Arc<str>, i32)]) -> Result<(), PluginError> {
        let partition = |(topic, partition): &(std::sync::Arc<str>, i32)| jackfield_api::TopicPartition {
            topic: topic.to_string(),
            partition: *partition,
        };
        Ok(self
            .task
            .close(&partitions.iter().map(partition).collect::<Vec<_>>())?)
    }

    async fn stop(mut self: Box<Self>) {
        self.task.stop();
    }
}

fn positions(positions: &[SinkPosition]) -> Vec<jackfield_api::SinkPosition> {
    let position = |at: &SinkPosition| jackfield_api::SinkPosition {
        topic: at.topic.to_string(),
        partition: at.partition,
        offset: at.offset,
        metadata: at.metadata.clone(),
    };
    positions.iter().map(position).collect()
}

impl std::fmt::Debug for InProcessSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InProcessSource").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for InProcessSink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InProcessSink").finish_non_exhaustive()
    }
}
