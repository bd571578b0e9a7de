//! The function tables of tasks: source, sink, transform.

use std::ffi::c_void;

use super::{
    Buf, ClassDesc, Error, KeyValue, PollLimits, PollResult, Position, Slice, TaskContext, TopicPartition,
};
#[cfg(doc)]
use super::{
    ERROR_CONFIG, ERROR_DATA, ERROR_FATAL, ERROR_PANIC, ERROR_RETRIABLE, FAILED, HostVTable, OK, POLL_BATCH,
    POLL_IDLE,
};

/// A source task; `task` is what `start` stored.
///
/// Order: `start`, then `poll` again and again with `committed` in between, `stop`. One call at a time, each after the one
/// before has returned, not always on the same thread. Tasks run beside each other.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SourceVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Starts a task; it continues behind the offsets that [`HostVTable::stored_offset`] knows. At [`OK`] its handle, not
    /// null, is in `task`, and `stop` will be called for it once. At [`FAILED`] nothing is left and nothing more is called.
    /// `config` and `context` are valid during the call, `context->host` until `stop` has returned. It has 30 s.
    pub start: unsafe extern "C" fn(
        class_desc: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        context: *const TaskContext,
        task: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    /// The records that are there now. It never waits: without records the task says when it wants to be asked again, and is
    /// asked earlier when it is woken ([`HostVTable::wake`], [`HostVTable::watch_path`], a request that is done), perhaps
    /// for nothing. After a batch it is asked again at once. It is not asked while the connector is paused, nor while too
    /// much of what it gave is not durable yet. It has 30 s.
    ///
    /// At [`OK`] `out` is filled: [`POLL_BATCH`] with an encoded batch of at least one and at most `max_records` records,
    /// numbered from 0 in their `sequence`, which counts as delivered, or [`POLL_IDLE`]. Offsets of a batch are stored
    /// together with its records, never before them, also of records that are filtered out or skipped.
    ///
    /// At [`FAILED`] nothing was delivered. [`ERROR_RETRIABLE`]: it is asked again after a back-off of 100 ms to 60 s and
    /// offers the same records. [`ERROR_DATA`] is about one record, which it consumes: the records before it were offered
    /// first, the next poll goes on behind it. Nothing is committed for it; the offset of a record behind it covers it. So
    /// it is skipped for good when `errors.tolerance` allows it, and met again after a restart when it does not.
    /// [`ERROR_CONFIG`] and [`ERROR_FATAL`]: the task fails.
    pub poll: unsafe extern "C" fn(
        task: *mut c_void,
        limits: *const PollLimits,
        out: *mut PollResult,
        error: *mut Error,
    ) -> i32,
    /// The first `batches` batches that `poll` returned (counted from 1 since `start`) are durable and their offsets are
    /// stored. Numbers only grow; not every number is told, and the last ones perhaps never. A task that must give something
    /// back to its system, such as an acknowledgement, does so here. It has 30 s. An error is written to the log, a fatal one
    /// fails the task.
    pub committed: unsafe extern "C" fn(task: *mut c_void, batches: u64, error: *mut Error) -> i32,
    /// Ends and frees the task: its threads too, unless they retain the host's handle. The last call, made once after every
    /// `start` that worked, also after errors. It has 5 s.
    pub stop: unsafe extern "C" fn(task: *mut c_void),
}

/// A sink task; `task` is what `start` stored.
///
/// Order: `start`; for each assignment `open`, then `put` with `pre_commit` in between, `close`; `stop`. One call at a time,
/// each after the one before has returned, not always on the same thread. Tasks run beside each other. What was delivered
/// and not committed comes again after a restart, perhaps in another task.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SinkVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Starts a task, which has no partitions yet. At [`OK`] its handle, not null, is in `task`, and `stop` will be called
    /// for it once. At [`FAILED`] nothing is left and nothing more is called. `config` and `context` are valid during the
    /// call, `context->host` until `stop` has returned. It has 30 s.
    pub start: unsafe extern "C" fn(
        class_desc: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        context: *const TaskContext,
        task: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    /// Partitions were assigned, at these committed positions: all that the task has from now on; what it had before was
    /// closed. `pre_commit` follows at once. It has 60 s. An error fails the task.
    pub open: unsafe extern "C" fn(
        task: *mut c_void,
        partitions: *const Position,
        partitions_len: usize,
        error: *mut Error,
    ) -> i32,
    /// Delivers a batch of records of open partitions, those of one partition in the order of their offsets. It may be
    /// empty. It may wait for the sink's system, and has 60 s.
    ///
    /// At [`OK`] the sink has taken the batch, not yet made it durable, but for the records in `rejected`: a JSON array of
    /// `{"sequence":…,"message":…}`, no bytes = none. `errors.tolerance` decides whether those are passed over or fail the
    /// task. At [`FAILED`] with [`ERROR_RETRIABLE`] the same batch comes again after a back-off of 100 ms to 60 s, unless
    /// partitions are reassigned meanwhile or the task is to stop; so what was taken of it must not be taken twice, or may
    /// be. All other errors fail the task.
    pub put:
        unsafe extern "C" fn(task: *mut c_void, batch: Slice, rejected: *mut Buf, error: *mut Error) -> i32,
    /// Makes everything put so far durable and writes the positions that are safe to commit: a JSON array of
    /// `{"topic":…,"partition":…,"offset":…,"metadata":…}`, partitions of `current` at offsets not beyond theirs; no bytes =
    /// none. `metadata` is the sink's own, given back to `open`; Kafka keeps at most 4,096 bytes.
    ///
    /// `current` has the offsets behind what was put, -1 when nothing was put or committed yet, and the metadata of the last
    /// commit that succeeded. Called after `open`, every `offset.flush.interval.ms`, after [`HostVTable::request_commit`],
    /// before partitions are taken away in good order, before a pause and before `stop`, and once more right after each
    /// commit: what may only happen when something is committed happens then. It has 60 s. After [`ERROR_RETRIABLE`] nothing
    /// is committed and it is called again at the next occasion; other errors fail the task.
    pub pre_commit: unsafe extern "C" fn(
        task: *mut c_void,
        current: *const Position,
        current_len: usize,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// Partitions were taken away, after a `pre_commit` when that was possible. What was put and not committed of them will
    /// be delivered again, perhaps elsewhere. Called before `stop`, too, for what is open then. It has 60 s. An error fails
    /// the task.
    pub close: unsafe extern "C" fn(
        task: *mut c_void,
        partitions: *const TopicPartition,
        partitions_len: usize,
        error: *mut Error,
    ) -> i32,
    /// Ends and frees the task. The last call, made once after every `start` that worked, also after errors. It has 5 s.
    pub stop: unsafe extern "C" fn(task: *mut c_void),
}

/// A transform of a task; `transform` is what `start` stored.
///
/// Order: `start` (before the connector's own task), `apply` again and again, `stop` (after it). One call at a time, each
/// after the one before has returned, not always on the same thread. Each task of a connector has its own.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TransformVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Starts a transform. At [`OK`] its handle, not null, is in `transform`, and `stop` will be called for it once. At
    /// [`FAILED`] nothing is left and nothing more is called. `config` and `context` are valid during the call,
    /// `context->host` until `stop` has returned. It has 30 s.
    pub start: unsafe extern "C" fn(
        class_desc: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        context: *const TaskContext,
        transform: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    /// Transforms a batch of source or of sink records. It works on what is given to it and waits for nothing; it has 5 s.
    ///
    /// At [`OK`] `out` is the batch of the records that go on, each with the `sequence` of the one it was made of, in that
    /// order: none = it is filtered out, several = it became several; no bytes = all are filtered out. Topics, partitions
    /// and timestamps may change. Offsets are the host's business: they advance past filtered records too, and never past
    /// undelivered ones. It may be four times as large as what was given, and always 16 MiB.
    /// `rejected`: records it could not take, a JSON array of `{"sequence":…,"message":…}`, no bytes = none;
    /// `errors.tolerance` decides whether those are passed over or fail the task.
    ///
    /// At [`FAILED`] the task fails; with [`ERROR_RETRIABLE`] it starts again by itself after a back-off. Then the same
    /// records come again, perhaps in other batches.
    pub apply: unsafe extern "C" fn(
        transform: *mut c_void,
        batch: Slice,
        out: *mut Buf,
        rejected: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// Ends and frees the transform. The last call, made once after every `start` that worked, also after errors. It has 5 s.
    pub stop: unsafe extern "C" fn(transform: *mut c_void),
}
