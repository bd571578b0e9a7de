//! The host's function table: what a plugin may ask.

use std::ffi::c_void;

#[cfg(doc)]
use super::{
    BOUNDARY_ABORT, BOUNDARY_COMMIT, ConnectorVTable, ERROR_CONFIG, ERROR_RETRIABLE, FAILED, METRIC_COUNTER,
    METRIC_GAUGE, METRIC_HISTOGRAM, NOT_YET, OK, SinkVTable, SourceVTable,
};
use super::{Buf, Error, HttpRequest, HttpResponse, KeyValue, Position, Slice, TopicPartition};

/// Services of the host, alive as long as the process.
///
/// `task` is [`TaskContext::host`](super::TaskContext::host): valid from the task's `start` until its `stop` has returned,
/// and longer while it is retained. Every function may be called from any thread, several at once, and answers at once,
/// but for [`HostVTable::http_fetch`], which waits. With a null `task`, as in the functions of [`ConnectorVTable`],
/// [`HostVTable::log`] works and the others do nothing: nothing is stored, nothing is watched. What comes after the task's
/// `stop` is harmless and has no effect.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HostVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Most verbose log level kept: 1 error, 2 warn, 3 info, 4 debug, 5 trace. It can change at any time. Who would format
    /// a message for a level that is not kept need not.
    pub log_max_level: unsafe extern "C" fn() -> u8,
    /// Writes a line in the worker's log, constant lower-case text first; the host adds connector and task. Lines are cut at
    /// 8 KiB, control characters are escaped; beyond 1,000 lines at once and 100 per second lines are dropped and counted.
    /// `task` may be null outside of a task.
    pub log: unsafe extern "C" fn(task: *const c_void, level: u8, message: Slice),
    /// Source tasks: the offset (a JSON object) stored for a source partition (a JSON object), as it was when the task
    /// started; objects are compared by content. True and `out` filled, which the plugin frees, or false when there is none.
    pub stored_offset: unsafe extern "C" fn(task: *const c_void, partition: Slice, out: *mut Buf) -> bool,
    /// Source tasks: from now on a change of the file at `path` (which need not exist yet), or of the entries of the directory
    /// there and of the files in it, ends the task's idle time. One watch of a directory is better than one of each file in
    /// it. Where the operating system does not tell of changes, a second may pass before the task is woken. A task may watch
    /// 1,000 paths; watching the same one again changes nothing. False = the host does not watch it: do not idle without a
    /// limit then.
    pub watch_path: unsafe extern "C" fn(task: *const c_void, path: Slice) -> bool,
    /// Source tasks: ends the task's idle time now, or the next one at once; to be called by threads of the plugin's own.
    pub wake: unsafe extern "C" fn(task: *const c_void),
    /// Keeps the handle valid past `stop`, until [`HostVTable::release`]: for threads that may call the host later than that.
    pub retain: unsafe extern "C" fn(task: *const c_void),
    /// Undoes one [`HostVTable::retain`].
    pub release: unsafe extern "C" fn(task: *const c_void),
    /// Source tasks: how far the task is behind from now on: bytes not read yet, and files (or what its system has in their
    /// place) not read to their end. The last report is shown in the task's status until the task ends; a task that never
    /// reports shows none. Nothing needs to be reported again while it is unchanged.
    pub report_lag: unsafe extern "C" fn(task: *const c_void, bytes: u64, files: u64),
    /// Sink tasks: fills `out` with the committed positions of the task's whole group as they are when `open` is called,
    /// also of partitions it does not hold: a JSON array of objects with `topic`, `partition`, `offset` and `metadata`. The
    /// plugin frees it.
    pub group_positions: unsafe extern "C" fn(task: *const c_void, out: *mut Buf),
    /// What the task is doing that an operator should know, such as "snapshot of table a: 40 %"; shown in the task's status
    /// until it says something else, at most 1,000 bytes of it. Empty = nothing.
    pub report_state: unsafe extern "C" fn(task: *const c_void, state: Slice),
    /// There is more or less to do than when the task started: [`ConnectorVTable::task_configs`] is asked again, and the
    /// connector's tasks are started anew when the answer differs. A request too many costs little.
    pub request_task_reconfiguration: unsafe extern "C" fn(task: *const c_void),
    /// Source tasks, during [`SourceVTable::poll`], for the batch that it returns: [`BOUNDARY_COMMIT`] or [`BOUNDARY_ABORT`].
    /// It counts with `transaction.boundary=connector`; otherwise it has no effect.
    pub transaction_boundary: unsafe extern "C" fn(task: *const c_void, boundary: u8),
    /// Sink tasks: nothing more of these partitions is delivered when the present call has returned. A partition that is
    /// closed and opened again is not paused any more. Partitions that the task does not hold are ignored.
    pub pause: unsafe extern "C" fn(task: *const c_void, partitions: *const TopicPartition, len: usize),
    /// Sink tasks: these partitions are delivered again when the present call has returned.
    pub resume: unsafe extern "C" fn(task: *const c_void, partitions: *const TopicPartition, len: usize),
    /// Sink tasks: the partitions are delivered from these offsets on when the present call has returned: for sinks that keep
    /// their positions in their own system, in [`SinkVTable::open`]. Metadata is not looked at. Positions of partitions that
    /// the task does not hold, and negative offsets, are ignored with a line in the log.
    pub seek: unsafe extern "C" fn(task: *const c_void, positions: *const Position, len: usize),
    /// Sink tasks: [`SinkVTable::pre_commit`] and a commit follow when the present call has returned, not at the end of the
    /// interval.
    pub request_commit: unsafe extern "C" fn(task: *const c_void),
    /// A number of the task's own: [`METRIC_COUNTER`] (it grows by the value), [`METRIC_GAUGE`] (it has the value from now
    /// on) or [`METRIC_HISTOGRAM`] (the value is counted in it; durations in seconds), its name, labels and value. Names of
    /// metrics and labels match `[a-z][a-z0-9_]*`; the host adds the labels `connector` and `task`. A task has at most 200
    /// series with at most 10 labels of at most 200 bytes; what does not fit is left out and said in the log.
    pub metric: unsafe extern "C" fn(
        task: *const c_void,
        kind: u8,
        name: Slice,
        labels: *const KeyValue,
        label_count: usize,
        value: f64,
    ),
    /// Begins an HTTP request and returns at once: [`OK`] and its number in `number`, or [`FAILED`] and `error`. The task's
    /// idle time ends when it is done. At most 16 requests of a task are begun and not taken; bodies have at most 16 MiB.
    pub http_begin: unsafe extern "C" fn(
        task: *const c_void,
        request: *const HttpRequest,
        number: *mut u64,
        error: *mut Error,
    ) -> i32,
    /// How a request ended, told once: [`OK`] and `out` filled, [`FAILED`] and `error`, or [`NOT_YET`] while it is under
    /// way. An answer of any status is [`OK`], redirects too. Errors: [`ERROR_RETRIABLE`] when it may work later,
    /// [`ERROR_CONFIG`] when it cannot.
    pub http_take: unsafe extern "C" fn(
        task: *const c_void,
        number: u64,
        out: *mut HttpResponse,
        error: *mut Error,
    ) -> i32,
    /// Makes a request and waits for its end, on the calling thread: for sinks, which wait anyway, never in
    /// [`SourceVTable::poll`]. [`OK`] or [`FAILED`] as of [`HostVTable::http_take`].
    pub http_fetch: unsafe extern "C" fn(
        task: *const c_void,
        request: *const HttpRequest,
        out: *mut HttpResponse,
        error: *mut Error,
    ) -> i32,
}
