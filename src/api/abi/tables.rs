//! The descriptors and function tables of the boundary.

use std::ffi::c_void;

#[cfg(doc)]
use super::{ABI_MAJOR, ABI_MINOR, ERROR_DATA, FAILED, KIND_SINK, KIND_SOURCE, MAGIC, NOT_YET, OK};
use super::{
    Buf, Error, HttpRequest, HttpResponse, KeyValue, PollLimits, PollResult, Position, Slice, TaskContext,
    TopicPartition,
};

/// Services of the host, alive as long as the process. `task` is [`TaskContext::host`].
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HostVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Most verbose log level kept: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub log_max_level: unsafe extern "C" fn() -> u8,
    /// Writes a log line; `task` may be null outside of a task.
    pub log: unsafe extern "C" fn(task: *const c_void, level: u8, message: Slice),
    /// Stored source offset of a source partition (JSON objects): true and `out` filled, or false when there is none.
    pub stored_offset: unsafe extern "C" fn(task: *const c_void, partition: Slice, out: *mut Buf) -> bool,
    /// A change of this file, or of this directory's entries and the files in it, ends the task's idle time from now on;
    /// false = not watched, come back by yourself.
    pub watch_path: unsafe extern "C" fn(task: *const c_void, path: Slice) -> bool,
    /// Ends the task's idle time now.
    pub wake: unsafe extern "C" fn(task: *const c_void),
    /// Keeps the handle valid past `stop`, until [`HostVTable::release`].
    pub retain: unsafe extern "C" fn(task: *const c_void),
    /// Undoes one [`HostVTable::retain`].
    pub release: unsafe extern "C" fn(task: *const c_void),
    /// How far the task is behind from now on: bytes not read yet, and files not read to their end.
    pub report_lag: unsafe extern "C" fn(task: *const c_void, bytes: u64, files: u64),
    /// Fills `out` with the committed positions of a sink task's whole group as they are when `open` is called, also of
    /// partitions it does not hold: a JSON array of objects with `topic`, `partition`, `offset` and `metadata`.
    pub group_positions: unsafe extern "C" fn(task: *const c_void, out: *mut Buf),
    /// What the task is doing that an operator should know, shown in its status; empty = nothing.
    pub report_state: unsafe extern "C" fn(task: *const c_void, state: Slice),
    /// `task_configs` is asked again, and the connector's tasks are started anew when the answer differs.
    pub request_task_reconfiguration: unsafe extern "C" fn(task: *const c_void),
    /// One of the `BOUNDARY_` constants, during `poll`: where a transaction ends with `transaction.boundary=connector`.
    pub transaction_boundary: unsafe extern "C" fn(task: *const c_void, boundary: u8),
    /// A sink gets nothing more of these partitions when the present call has returned.
    pub pause: unsafe extern "C" fn(task: *const c_void, partitions: *const TopicPartition, len: usize),
    /// A sink gets these partitions again when the present call has returned.
    pub resume: unsafe extern "C" fn(task: *const c_void, partitions: *const TopicPartition, len: usize),
    /// A sink gets its partitions from these offsets on when the present call has returned; metadata is not looked at.
    pub seek: unsafe extern "C" fn(task: *const c_void, positions: *const Position, len: usize),
    /// `pre_commit` and a commit follow when the present call has returned, not at the end of the interval.
    pub request_commit: unsafe extern "C" fn(task: *const c_void),
    /// A number of the task's own: one of the `METRIC_` constants, its name (`[a-z][a-z0-9_]*`), labels and value.
    pub metric: unsafe extern "C" fn(
        task: *const c_void,
        kind: u8,
        name: Slice,
        labels: *const KeyValue,
        label_count: usize,
        value: f64,
    ),
    /// Begins a request: [`OK`] and its number in `number`. The task's idle time ends when it is done.
    pub http_begin: unsafe extern "C" fn(
        task: *const c_void,
        request: *const HttpRequest,
        number: *mut u64,
        error: *mut Error,
    ) -> i32,
    /// How a request ended, once: [`OK`], [`FAILED`], or [`NOT_YET`].
    pub http_take: unsafe extern "C" fn(
        task: *const c_void,
        number: u64,
        out: *mut HttpResponse,
        error: *mut Error,
    ) -> i32,
    /// Makes a request and waits for its end.
    pub http_fetch: unsafe extern "C" fn(
        task: *const c_void,
        request: *const HttpRequest,
        out: *mut HttpResponse,
        error: *mut Error,
    ) -> i32,
}

/// The exported function: `None`/null = this library does not speak that major.
pub type EntryFn = unsafe extern "C" fn(host_abi_major: u16, host: *const HostVTable) -> *const PluginDesc;

/// What a library contains.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PluginDesc {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] the library was built for.
    pub abi_major: u16,
    /// [`ABI_MINOR`] the library was built for.
    pub abi_minor: u16,
    /// Size of this struct.
    pub struct_size: u32,
    /// Bit set of optional abilities; none are defined yet.
    pub features: u64,
    /// Oldest batch format major it reads and writes.
    pub batch_major_min: u16,
    /// Newest batch format major it reads and writes.
    pub batch_major_max: u16,
    /// Number of classes.
    pub class_count: u32,
    /// Array of pointers, so that [`ClassDesc`] can grow.
    pub classes: *const *const ClassDesc,
    /// Compiler or SDK, for messages.
    pub built_with: Slice,
}

/// One class.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClassDesc {
    /// Size of this struct.
    pub struct_size: u32,
    /// One of the `KIND_` constants.
    pub kind: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Full class name.
    pub class: Slice,
    /// Version.
    pub version: Slice,
    /// Other names.
    pub aliases: *const Slice,
    /// Number of `aliases`.
    pub alias_count: usize,
    /// Never null.
    pub connector: *const ConnectorVTable,
    /// Not null when the kind is source.
    pub source: *const SourceVTable,
    /// Not null when the kind is sink.
    pub sink: *const SinkVTable,
    /// Not null when the kind is transform.
    pub transform: *const TransformVTable,
    /// The plugin's own.
    pub user_data: *const c_void,
}

/// Questions about a class; they touch no task.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ConnectorVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// `ConfigDef` as JSON.
    pub config_def: unsafe extern "C" fn(class: *const ClassDesc, out: *mut Buf, error: *mut Error) -> i32,
    /// JSON array of `{"name":…,"message":…}`.
    pub validate: unsafe extern "C" fn(
        class: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// JSON array of objects with string values, one per task. Not asked of transforms.
    pub task_configs: unsafe extern "C" fn(
        class: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        max_tasks: u32,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// `offsets` is a JSON array of `{"partition":…,"offset":…}`, both JSON texts, the offset null when it is taken out.
    /// Writes `true` or `false`.
    pub alter_offsets: unsafe extern "C" fn(
        class: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        offsets: *const Slice,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
}

/// A source task. `task` is what `start` stored.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SourceVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Starts a task and stores its handle in `task`, only when it returns [`OK`].
    pub start: unsafe extern "C" fn(
        class: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        context: *const TaskContext,
        task: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    /// Never waits. An error of kind [`ERROR_DATA`] consumes the one bad record: the next poll goes on behind it.
    pub poll: unsafe extern "C" fn(
        task: *mut c_void,
        limits: *const PollLimits,
        out: *mut PollResult,
        error: *mut Error,
    ) -> i32,
    /// The first `batches` batches (counted from 1) are durable and their offsets are stored.
    pub committed: unsafe extern "C" fn(task: *mut c_void, batches: u64, error: *mut Error) -> i32,
    /// Ends and frees the task.
    pub stop: unsafe extern "C" fn(task: *mut c_void),
}

/// A sink task. `task` is what `start` stored.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SinkVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Starts a task and stores its handle in `task`, only when it returns [`OK`].
    pub start: unsafe extern "C" fn(
        class: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        context: *const TaskContext,
        task: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    /// Partitions were assigned, at these committed positions.
    pub open: unsafe extern "C" fn(
        task: *mut c_void,
        partitions: *const Position,
        partitions_len: usize,
        error: *mut Error,
    ) -> i32,
    /// Delivers a batch. `rejected`: JSON array of `{"sequence":…,"message":…}`; null = none.
    pub put:
        unsafe extern "C" fn(task: *mut c_void, batch: Slice, rejected: *mut Buf, error: *mut Error) -> i32,
    /// Makes everything put so far durable. `out`: JSON array of
    /// `{"topic":…,"partition":…,"offset":…,"metadata":…}`, the positions safe to commit.
    pub pre_commit: unsafe extern "C" fn(
        task: *mut c_void,
        current: *const Position,
        current_len: usize,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// Partitions were taken away.
    pub close: unsafe extern "C" fn(
        task: *mut c_void,
        partitions: *const TopicPartition,
        partitions_len: usize,
        error: *mut Error,
    ) -> i32,
    /// Ends and frees the task.
    pub stop: unsafe extern "C" fn(task: *mut c_void),
}

/// A transform of a task. `transform` is what `start` stored.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TransformVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Starts a transform and stores its handle in `transform`, only when it returns [`OK`].
    pub start: unsafe extern "C" fn(
        class: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        context: *const TaskContext,
        transform: *mut *mut c_void,
        error: *mut Error,
    ) -> i32,
    /// Transforms a batch of source or of sink records into `out`: each record has the `sequence` of the one it was made
    /// of; no bytes = all are filtered out. `rejected`: JSON array of `{"sequence":…,"message":…}`; null = none.
    pub apply: unsafe extern "C" fn(
        transform: *mut c_void,
        batch: Slice,
        out: *mut Buf,
        rejected: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// Ends and frees the transform.
    pub stop: unsafe extern "C" fn(transform: *mut c_void),
}
