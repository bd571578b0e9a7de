//! The traits a connector implements.

use std::collections::BTreeMap;

use crate::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, SinkContext, SourceContext, TaskContext,
    batch::{Batch, BatchBuilder, BatchError, Draft, RecordRef},
};

/// What is to become of an offset of a stopped connector.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OffsetChange {
    /// Source partition as JSON; of a sink `{"kafka_topic":…,"kafka_partition":…}`.
    pub partition: String,
    /// Offset as JSON object; of a sink `{"kafka_offset":…}`. `None` = it is taken out.
    pub offset: Option<String>,
}

/// Config of one task.
pub type TaskConfig = BTreeMap<String, String>;

/// What a class is and how it is configured. None of this touches a task. Of a transform only its names, version, definition
/// and `validate` are asked for.
pub trait Connector {
    /// Full class name, e.g. `org.apache.kafka.connect.file.FileStreamSourceConnector`.
    const CLASS: &'static str;
    /// Other names users may write. The last part of the class name, with and without `Connector`, is found anyway.
    const ALIASES: &'static [&'static str] = &[];
    /// Version.
    const VERSION: &'static str;

    /// The options.
    fn config_def() -> ConfigDef;

    /// Cross-field or connecting validation, after the definition was applied.
    fn validate(_config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        Ok(Vec::new())
    }

    /// Offsets of the connector are about to be changed by an operator while it is stopped. An error keeps them as they
    /// are; `true` says that they are all there is to change, `false` that the connector may keep others elsewhere.
    fn alter_offsets(_config: &Config, _offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        Ok(false)
    }

    /// One config per task, at most `max_tasks`. Default: one task with the connector's config.
    fn task_configs(config: &Config, _max_tasks: u32) -> Result<Vec<TaskConfig>, ConnectError> {
        Ok(vec![config.original().clone()])
    }
}

/// A source: brings records in.
pub trait Source: Connector + Send + Sized + 'static {
    /// Starts a task. It continues after the offsets the context knows.
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError>;

    /// Pushes the records that are there now into `batch` (empty on entry) and returns at once. It never waits: a task
    /// without records says when it wants to be asked again.
    ///
    /// After an error `batch` is thrown away, so the task must offer its records again. A data error is about one
    /// record, which it consumes: the task offers the records before it first, returns the error when `batch` is empty,
    /// and the next poll goes on behind the bad record. What is left of it, perhaps not there yet, is skipped in bounded
    /// memory. Nothing is committed for the bad record itself; the offset of a record behind it covers it. So it is
    /// skipped for good when `errors.tolerance` allows it, and met again after a restart when it does not.
    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError>;

    /// The first `batches` batches that `poll` returned (counted from 1) are durable and their offsets are stored.
    fn committed(&mut self, _batches: u64) -> Result<(), ConnectError> {
        Ok(())
    }

    /// Ends the task.
    fn stop(&mut self) {}
}

/// A sink: takes records out.
pub trait Sink: Connector + Send + Sized + 'static {
    /// Starts a task. It has no partitions yet.
    fn start(config: &Config, context: SinkContext) -> Result<Self, ConnectError>;

    /// Partitions were assigned, at these committed positions.
    fn open(&mut self, _partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        Ok(())
    }

    /// Takes a batch, which may be empty, and returns the records it cannot take. After a retriable error the same
    /// batch comes again.
    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError>;

    /// Makes everything put so far durable and returns the positions safe to commit, a subset of `current`, each with
    /// metadata of the sink's own (given back to `open`; Kafka keeps at most 4,096 bytes).
    ///
    /// `current` has the metadata of the last commit that succeeded. The host calls once more right after a commit, so
    /// what may happen only when something is committed happens then, not an interval later.
    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError>;

    /// Partitions were taken away. What was put and not committed will be delivered again, perhaps elsewhere.
    fn close(&mut self, _partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        Ok(())
    }

    /// Ends the task.
    fn stop(&mut self) {}
}

/// A transform: changes records between a source and its topics, or between topics and a sink. Users name it in
/// `transforms.<alias>.type`, its options are `transforms.<alias>.<option>`.
pub trait Transform: Connector + Send + Sized + 'static {
    /// Starts the transform, once in each task of the connector.
    fn start(config: &Config, context: TaskContext) -> Result<Self, ConnectError>;

    /// Transforms a batch: what is to go on is put into `output`, as it came ([`TransformOutput::keep`]) or changed
    /// ([`Draft::of`] and [`TransformOutput::push`]). A record that is not put there is filtered out, and one that is put
    /// there several times becomes several. Topics, partitions and timestamps may change; offsets are the worker's business:
    /// they advance past filtered records too, and never past undelivered ones.
    ///
    /// It works on what is given to it and waits for nothing. After a retriable error, and after a restart of the task, the
    /// same records come again, perhaps in other batches.
    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError>;

    /// Ends the transform.
    fn stop(&mut self) {}
}

/// What a transform makes of a batch.
#[derive(Debug)]
pub struct TransformOutput<'a> {
    batch: &'a mut BatchBuilder,
    rejected: Vec<RecordError>,
}

impl<'a> TransformOutput<'a> {
    /// Output into this batch.
    pub fn new(batch: &'a mut BatchBuilder) -> Self {
        Self {
            batch,
            rejected: Vec::new(),
        }
    }

    /// Lets a record go on as it came.
    ///
    /// # Errors
    /// As [`Draft::push`].
    pub fn keep<B: AsRef<[u8]>>(
        &mut self,
        batch: &Batch<B>,
        found: &RecordRef<'_>,
    ) -> Result<(), BatchError> {
        Draft::of(batch, found).push(self.batch)
    }

    /// Lets a record go on that was made from one of the batch ([`Draft::of`]).
    ///
    /// # Errors
    /// As [`Draft::push`].
    pub fn push(&mut self, record: Draft<'_>) -> Result<(), BatchError> {
        record.push(self.batch)
    }

    /// A record that cannot be transformed: `errors.tolerance` decides whether it is passed over or fails the task.
    pub fn reject(&mut self, found: &RecordRef<'_>, message: impl Into<String>) {
        self.rejected.push(RecordError {
            sequence: found.record.sequence,
            message: message.into(),
        });
    }

    /// What was rejected.
    pub fn into_rejected(self) -> Vec<RecordError> {
        self.rejected
    }
}

/// Limits of one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    /// At most this many records.
    pub max_records: u32,
    /// Soft: the record that passes it is still delivered.
    pub max_bytes: u32,
}

/// Outcome of a poll. With records in the batch it does not matter: the task is asked again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Records were pushed; more may be there.
    Records,
    /// Nothing now; ask again after this many ms (`None` = only when woken).
    Idle(Option<u64>),
}

/// A position of a sink task in a topic partition.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SinkPosition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset to be delivered; -1 = none committed yet.
    pub offset: i64,
    /// Metadata kept with the commit.
    pub metadata: String,
}

/// A topic partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
}

/// A record the sink or the transform could not take.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordError {
    /// `sequence` of the record in the batch.
    pub sequence: u32,
    /// Why.
    pub message: String,
}
