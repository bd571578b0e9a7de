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

/// What a class is and how it is configured. None of this touches a task: it is asked at any time after the plugin was
/// loaded, several questions at once, also beside running tasks. Each has 30 s. An error of [`Connector::validate`],
/// [`Connector::task_configs`] and [`Connector::alter_offsets`] is the answer to whoever asked; it changes nothing. Of a
/// transform only its names, version, definition and `validate` are asked for.
pub trait Connector {
    /// Full class name, e.g. `org.apache.kafka.connect.file.FileStreamSourceConnector`.
    const CLASS: &'static str;
    /// Other names users may write. The last part of the class name, with and without `Connector`, is found anyway.
    const ALIASES: &'static [&'static str] = &[];
    /// Version.
    const VERSION: &'static str;

    /// The options, asked once when the class is loaded. The host checks configs against the definition, shows it and documents
    /// the class with it; the SDK fills its defaults in.
    fn config_def() -> ConfigDef;

    /// Checks what one option's definition cannot say: options that depend on each other, systems that must be reached.
    /// Asked when a user validates, creates or changes a config, once the definition allows it. One issue per problem.
    fn validate(_config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        Ok(Vec::new())
    }

    /// Offsets of the connector are about to be changed by an operator while it is stopped. An error keeps them as they
    /// are; `true` says that they are all there is to change, `false` that the connector may keep others elsewhere.
    fn alter_offsets(_config: &Config, _offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        Ok(false)
    }

    /// One config per task, at most `max_tasks`. Asked before tasks are started, and again after
    /// [`request_task_reconfiguration`](crate::TaskContext::request_task_reconfiguration). Each task's `start` gets one of
    /// them. Default: one task with the connector's config.
    fn task_configs(config: &Config, _max_tasks: u32) -> Result<Vec<TaskConfig>, ConnectError> {
        Ok(vec![config.original().clone()])
    }
}

/// A source: brings records in.
///
/// Order: [`Source::start`], then [`Source::poll`] again and again with [`Source::committed`] in between, [`Source::stop`].
/// One call at a time, each after the one before has returned, not always on the same thread. Tasks run beside each other.
pub trait Source: Connector + Send + Sized + 'static {
    /// Starts a task. It continues behind the offsets that [`SourceContext::stored_offset`] knows. After an error nothing more
    /// is called; after a retriable one the task is started anew after a back-off. It has 30 s.
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError>;

    /// Pushes the records that are there now into `batch` (empty on entry) and returns at once. It never waits: a task
    /// without records says when it wants to be asked again, and is asked earlier when it is woken
    /// ([`SourceContext::wake_handle`], [`SourceContext::watch_path`], a request that is done), perhaps for nothing. After a
    /// batch it is asked again at once. It is not asked while the connector is paused, nor while too much of what it gave is
    /// not durable yet. It has 30 s.
    ///
    /// A batch that is returned counts as delivered. Its offsets are stored together with its records, never before them,
    /// also of records that are filtered out or skipped.
    ///
    /// After an error `batch` is thrown away, so the task must offer its records again: after a retriable one it is asked
    /// after a back-off of 100 ms to 60 s. A data error is about one record, which it consumes: the task offers the records
    /// before it first, returns the error when `batch` is empty, and the next poll goes on behind the bad record. What is
    /// left of it, perhaps not there yet, is skipped in bounded memory. Nothing is committed for the bad record itself; the
    /// offset of a record behind it covers it. So it is skipped for good when `errors.tolerance` allows it, and met again
    /// after a restart when it does not. A config or fatal error fails the task.
    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError>;

    /// The first `batches` batches that `poll` returned (counted from 1 since `start`) are durable and their offsets are
    /// stored. Numbers only grow; not every number is told, and the last ones perhaps never. A task that must give something
    /// back to its system, such as an acknowledgement, does so here. It has 30 s. An error is written to the log, a fatal one
    /// fails the task.
    fn committed(&mut self, _batches: u64) -> Result<(), ConnectError> {
        Ok(())
    }

    /// Ends the task. The last call, made once after every `start` that worked, also after errors (not after a panic). It has
    /// 5 s.
    fn stop(&mut self) {}
}

/// A sink: takes records out.
///
/// Order: [`Sink::start`]; for each assignment [`Sink::open`], then [`Sink::put`] with [`Sink::pre_commit`] in between,
/// [`Sink::close`]; [`Sink::stop`]. One call at a time, each after the one before has returned, not always on the same
/// thread. Tasks run beside each other. What was delivered and not committed comes again after a restart, perhaps in another
/// task.
pub trait Sink: Connector + Send + Sized + 'static {
    /// Starts a task, which has no partitions yet. After an error nothing more is called; after a retriable one the task is
    /// started anew after a back-off. It has 30 s.
    fn start(config: &Config, context: SinkContext) -> Result<Self, ConnectError>;

    /// Partitions were assigned, at these committed positions: all that the task has from now on; what it had before was
    /// closed. `pre_commit` follows at once. It has 60 s. An error fails the task.
    fn open(&mut self, _partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        Ok(())
    }

    /// Takes a batch of records of open partitions, those of one partition in the order of their offsets, and returns the
    /// records it cannot take; `errors.tolerance` decides whether those are passed over or fail the task. The batch may be
    /// empty. It need not be durable yet. It may wait for the sink's system, and has 60 s.
    ///
    /// After a retriable error the same batch comes again after a back-off of 100 ms to 60 s, unless partitions are reassigned
    /// meanwhile or the task is to stop; so what was taken of it must not be taken twice, or may be. All other errors fail
    /// the task.
    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError>;

    /// Makes everything put so far durable and returns the positions that are safe to commit: partitions of `current` at
    /// offsets not beyond theirs, each with metadata of the sink's own, given back to `open`; Kafka keeps at most 4,096 bytes.
    ///
    /// `current` has the offsets behind what was put, -1 when nothing was put or committed yet, and the metadata of the last
    /// commit that succeeded. Called after `open`, every `offset.flush.interval.ms`, after [`SinkContext::request_commit`],
    /// before partitions are taken away in good order, before a pause and before `stop`, and once more right after each
    /// commit: what may only happen when something is committed happens then. It has 60 s. After a retriable error nothing is
    /// committed and it is called again at the next occasion; other errors fail the task.
    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError>;

    /// Partitions were taken away, after a `pre_commit` when that was possible. What was put and not committed of them will be
    /// delivered again, perhaps elsewhere. Called before `stop`, too, for what is open then. It has 60 s. An error fails the
    /// task.
    fn close(&mut self, _partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        Ok(())
    }

    /// Ends the task. The last call, made once after every `start` that worked, also after errors (not after a panic). It has
    /// 5 s.
    fn stop(&mut self) {}
}

/// A transform: changes records between a source and its topics, or between topics and a sink. Users name it in
/// `transforms.<alias>.type`, its options are `transforms.<alias>.<option>`.
///
/// Order: [`Transform::start`] (before the connector's own task), [`Transform::apply`] again and again, [`Transform::stop`]
/// (after it). One call at a time, each after the one before has returned, not always on the same thread. Each task of a
/// connector has its own.
pub trait Transform: Connector + Send + Sized + 'static {
    /// Starts the transform, once in each task of the connector. After an error nothing more is called, and the task does not
    /// start; after a retriable one it is started anew after a back-off. It has 30 s.
    fn start(config: &Config, context: TaskContext) -> Result<Self, ConnectError>;

    /// Transforms a batch: what is to go on is put into `output`, as it came ([`TransformOutput::keep`]) or changed
    /// ([`Draft::of`] and [`TransformOutput::push`]). A record that is not put there is filtered out, and one that is put
    /// there several times becomes several. Topics, partitions and timestamps may change; offsets are the worker's business:
    /// they advance past filtered records too, and never past undelivered ones.
    ///
    /// What is put there stays in the order of the records it was made of. It may be four times as large as what was given,
    /// and always 16 MiB. A record that cannot be transformed is rejected ([`TransformOutput::reject`]).
    ///
    /// It works on what is given to it and waits for nothing; it has 5 s. After an error the task fails; with a retriable one
    /// it starts again by itself after a back-off. Then, as after every restart, the same records come again, perhaps in other
    /// batches.
    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError>;

    /// Ends the transform. The last call, made once after every `start` that worked, also after errors (not after a panic). It
    /// has 5 s.
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
