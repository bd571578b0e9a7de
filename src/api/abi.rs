//! The native plugin boundary: `repr(C)` structs and function tables, the C twin of `wit/plugin.wit`.
//!
//! A plugin library exports one symbol, `jf_plugin_entry`, of type [`EntryFn`]. The host calls it once after loading and
//! reads everything else through the returned [`PluginDesc`]: the classes, and for each the functions that the host calls.
//! What a plugin may ask of the host is in [`HostVTable`]. In the C header every type carries the prefix `jf_`.
//!
//! Rules, for both sides:
//! - Versions: a different `abi_major` is refused (the entry returns null, or the host refuses the descriptor). While
//!   the major is 0, a different `abi_minor` is refused too. Every table starts with its `struct_size`; members are only
//!   ever added at the end and are not read beyond the size given. No function of a table may be null.
//! - Memory: inputs ([`Slice`], arrays, [`TaskContext`]) are valid during the call only. A [`Buf`] handed out is owned by
//!   the receiver until it calls `free`, on any thread: what the plugin writes the host frees, also after an error; what the
//!   host writes the plugin frees. Descriptors and tables live as long as the process; libraries are never unloaded.
//! - Output parameters are never null, point to zeroed structs and are written only where the return code says so.
//! - Return codes: [`OK`], or [`FAILED`] with the [`Error`] filled in.
//! - Errors: [`ERROR_RETRIABLE`] = the same call may be repeated after a back-off (a `start`, or a transform's `apply`, that
//!   fails with it is tried again by starting the task anew, after 1 s to 60 s). [`ERROR_DATA`] = a record is bad.
//!   [`ERROR_CONFIG`] = the configuration is wrong: the task fails until it changes. [`ERROR_FATAL`] = the task fails until
//!   somebody restarts it. [`ERROR_PANIC`] = the plugin is broken: the task is started anew after a back-off, a few times.
//!   After a fatal error or a panic the host calls nothing but `stop`.
//! - Threads: calls for one task come one at a time, each after the one before has returned, not always on the same thread.
//!   Calls for different tasks, and questions about classes, come at the same time. Host functions may be called from any
//!   thread. A plugin may have threads of its own.
//! - Deadlines: every call has a time, told with it. When a call takes longer the task fails and nothing more is called but
//!   `stop`, when the call ever returns.
//! - No unwinding, no C++ exception and no `longjmp` crosses the boundary: each side catches its own.
//! - Lists that are rare and small cross as JSON in a [`Buf`]; text is UTF-8 without a terminating zero.
//!
//! Life of a source task: `start`, then `poll` again and again with `committed` in between, `stop`. Life of a sink task:
//! `start`, `open`, then `put` with `pre_commit` in between, `close`, `stop`. Life of a transform, one in each task of a
//! connector that names it: `start`, `apply`, `stop`.
//!
//! This file must not know how a connector is written; `native.rs` is the SDK's implementation of it, the loader of
//! `jackfield-plugin` the host's. The C header `include/jackfield_plugin.h` is written from here (`header_tests.rs`).

use std::ffi::c_void;

mod classes;
mod host;
mod tasks;

pub use classes::{ClassDesc, ConnectorVTable, EntryFn, PluginDesc};
pub use host::HostVTable;
pub use tasks::{SinkVTable, SourceVTable, TransformVTable};

/// First field of [`PluginDesc`]: `"JFPLUGIN"` read as a little endian number.
pub const MAGIC: u64 = 0x4e49_4755_4c50_464a;
/// Breaking changes.
pub const ABI_MAJOR: u16 = 0;
/// Additions (while the major is 0: any change).
pub const ABI_MINOR: u16 = 4;
/// The batch format that [`PluginDesc::batch_major_min`] and [`PluginDesc::batch_major_max`] speak of.
pub const BATCH_MAJOR: u16 = 1;
/// Name of the exported function, with the terminating zero that symbol look-ups want.
pub const ENTRY_SYMBOL: &[u8] = b"jf_plugin_entry\0";

/// Return code: done, outputs are written.
pub const OK: i32 = 0;
/// Return code: not done, [`Error`] says why.
pub const FAILED: i32 = 1;
/// Return code of [`HostVTable::http_take`]: the request is under way.
pub const NOT_YET: i32 = 2;

/// [`Error::kind`]: the same call may be repeated after a back-off.
pub const ERROR_RETRIABLE: u8 = 1;
/// [`Error::kind`]: a record is bad; `errors.tolerance` decides.
pub const ERROR_DATA: u8 = 2;
/// [`Error::kind`]: the configuration is wrong: no restart until it changes.
pub const ERROR_CONFIG: u8 = 3;
/// [`Error::kind`]: the task fails.
pub const ERROR_FATAL: u8 = 4;
/// [`Error::kind`]: the plugin panicked; fatal, and the task is started anew a few times.
pub const ERROR_PANIC: u8 = 5;

/// [`ClassDesc::kind`]: source.
pub const KIND_SOURCE: u8 = 1;
/// [`ClassDesc::kind`]: sink.
pub const KIND_SINK: u8 = 2;
/// [`ClassDesc::kind`]: transform.
pub const KIND_TRANSFORM: u8 = 3;

/// [`HostVTable::transaction_boundary`]: the batch that this poll returns ends a transaction.
pub const BOUNDARY_COMMIT: u8 = 1;
/// [`HostVTable::transaction_boundary`]: what was returned since the last boundary, this batch included, is taken back.
pub const BOUNDARY_ABORT: u8 = 2;

/// [`HostVTable::metric`]: the counter grows by the value.
pub const METRIC_COUNTER: u8 = 1;
/// [`HostVTable::metric`]: the gauge has the value from now on.
pub const METRIC_GAUGE: u8 = 2;
/// [`HostVTable::metric`]: the value is counted in the histogram, durations in seconds.
pub const METRIC_HISTOGRAM: u8 = 3;

/// [`PollResult::state`]: `batch` holds at least one record.
pub const POLL_BATCH: u8 = 1;
/// [`PollResult::state`]: nothing now, see `idle_ms`.
pub const POLL_IDLE: u8 = 2;

/// Borrowed bytes or UTF-8 text, valid during the call. `ptr` may be null when `len` is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// First byte.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// One entry of a config, one label of a metric, one header of a request.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct KeyValue {
    /// Key.
    pub key: Slice,
    /// Value.
    pub value: Slice,
}

/// Owned bytes that crossed the boundary; freed through its own function by whoever received it.
#[repr(C)]
#[derive(Debug)]
pub struct Buf {
    /// First byte; null = no bytes.
    pub ptr: *mut u8,
    /// Number of bytes.
    pub len: usize,
    /// Allocated bytes.
    pub cap: usize,
    /// Frees `(ptr, len, cap)`, once, on any thread; null = nothing to free.
    pub free: Option<unsafe extern "C" fn(*mut u8, usize, usize)>,
}

/// Why a call failed. Whoever was called fills it in, whoever called frees the message.
#[repr(C)]
#[derive(Debug)]
pub struct Error {
    /// [`ERROR_RETRIABLE`], [`ERROR_DATA`], [`ERROR_CONFIG`], [`ERROR_FATAL`] or [`ERROR_PANIC`].
    pub kind: u8,
    /// Zero.
    pub reserved: [u8; 7],
    /// UTF-8 message: lower case, names the thing and the value, causes joined with ": ".
    pub message: Buf,
}

/// Limits of one poll.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    /// At most this many records.
    pub max_records: u32,
    /// Bytes of the batch. Soft: the record that passes it is still delivered.
    pub max_bytes: u32,
}

/// Outcome of a poll.
#[repr(C)]
#[derive(Debug)]
pub struct PollResult {
    /// [`POLL_BATCH`] or [`POLL_IDLE`].
    pub state: u8,
    /// Zero.
    pub reserved: [u8; 7],
    /// When idle: poll again after this many ms; -1 = only when woken.
    pub idle_ms: i64,
    /// When a batch: the encoded batch (magic `JFB`).
    pub batch: Buf,
}

/// A position of a sink task in a topic partition.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// Topic.
    pub topic: Slice,
    /// Next offset to be delivered; -1 = none committed yet.
    pub offset: i64,
    /// Metadata kept with the commit.
    pub metadata: Slice,
    /// Partition.
    pub partition: i32,
    /// Zero.
    pub reserved: u32,
}

/// A topic partition.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Slice,
    /// Partition.
    pub partition: i32,
    /// Zero.
    pub reserved: u32,
}

/// An HTTP request to be made by the host.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest {
    /// Size of this struct.
    pub struct_size: u32,
    /// How long it may take in ms; 0 = the host's own limit.
    pub timeout_ms: u32,
    /// Method, such as `GET`.
    pub method: Slice,
    /// URL with `http` or `https`.
    pub url: Slice,
    /// Headers, names and values.
    pub headers: *const KeyValue,
    /// Number of `headers`.
    pub header_count: usize,
    /// Body; may be empty.
    pub body: Slice,
}

/// The answer to an [`HttpRequest`].
#[repr(C)]
#[derive(Debug)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Zero.
    pub reserved: [u8; 6],
    /// JSON array of `[name, value]`, names in lower case.
    pub headers: Buf,
    /// Body.
    pub body: Buf,
}

/// What a task is told about itself when it starts.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TaskContext {
    /// Size of this struct.
    pub struct_size: u32,
    /// Number of the task.
    pub task_id: u32,
    /// Name of the connector.
    pub connector: Slice,
    /// Handle for the functions of [`HostVTable`]; valid until `stop` returns, longer while it is retained.
    pub host: *const c_void,
}

impl Slice {
    /// No bytes.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// Borrows text for the duration of a call.
    pub const fn of(text: &str) -> Self {
        Self {
            ptr: text.as_ptr(),
            len: text.len(),
        }
    }

    /// Borrows bytes for the duration of a call.
    pub const fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

impl KeyValue {
    /// Borrows both texts for the duration of a call.
    pub const fn of(key: &str, value: &str) -> Self {
        Self {
            key: Slice::of(key),
            value: Slice::of(value),
        }
    }
}

impl Position {
    /// Borrows a position for the duration of a call.
    pub fn of(at: &crate::SinkPosition) -> Self {
        Self {
            topic: Slice::of(&at.topic),
            offset: at.offset,
            metadata: Slice::of(&at.metadata),
            partition: at.partition,
            reserved: 0,
        }
    }
}

impl Buf {
    /// No bytes, nothing to free: what output parameters start as.
    pub const EMPTY: Self = Self {
        ptr: std::ptr::null_mut(),
        len: 0,
        cap: 0,
        free: None,
    };

    /// Hands a vector out without copying it; the receiver frees it through [`Buf::free`].
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self {
            ptr: bytes.as_mut_ptr(),
            len: bytes.len(),
            cap: bytes.capacity(),
            free: Some(free_vec),
        }
    }
}

impl Error {
    /// Not filled in: what error parameters start as.
    pub const EMPTY: Self = Self {
        kind: 0,
        reserved: [0; 7],
        message: Buf::EMPTY,
    };
}

impl HttpResponse {
    /// Not filled in: what responses start as.
    pub const EMPTY: Self = Self {
        status: 0,
        reserved: [0; 6],
        headers: Buf::EMPTY,
        body: Buf::EMPTY,
    };
}

impl PollResult {
    /// Not filled in: what the result of a poll starts as.
    pub const EMPTY: Self = Self {
        state: 0,
        reserved: [0; 7],
        idle_ms: 0,
        batch: Buf::EMPTY,
    };
}

/// Frees what [`Buf::from_vec`] handed out.
#[allow(
    unsafe_code,
    reason = "memory that crossed the C boundary comes back as raw parts"
)]
unsafe extern "C" fn free_vec(ptr: *mut u8, len: usize, cap: usize) {
    // SAFETY: the three parts come unchanged from `Buf::from_vec` of this very library (the function pointer travels
    // with them), and the receiver calls this once.
    drop(unsafe { Vec::from_raw_parts(ptr, len, cap) });
}

// The layout other languages compile against. A change here is a change of `ABI_MINOR` at least.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(MAGIC == u64::from_le_bytes(*b"JFPLUGIN") && BATCH_MAJOR == jackfield_batch::MAJOR as u16);
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Slice>() == 16 && size_of::<KeyValue>() == 32 && size_of::<Buf>() == 32);
    assert!(size_of::<Error>() == 40 && offset_of!(Error, message) == 8);
    assert!(size_of::<PollLimits>() == 8);
    assert!(size_of::<PollResult>() == 48 && offset_of!(PollResult, batch) == 16);
    assert!(size_of::<Position>() == 48 && offset_of!(Position, partition) == 40);
    assert!(size_of::<TopicPartition>() == 24 && size_of::<TaskContext>() == 32);
    assert!(size_of::<HostVTable>() == 168 && offset_of!(HostVTable, group_positions) == 72);
    assert!(size_of::<HttpRequest>() == 72 && offset_of!(HttpRequest, body) == 56);
    assert!(size_of::<HttpResponse>() == 72 && offset_of!(HttpResponse, body) == 40);
    assert!(size_of::<PluginDesc>() == 56 && offset_of!(PluginDesc, classes) == 32);
    assert!(size_of::<ClassDesc>() == 96 && offset_of!(ClassDesc, user_data) == 88);
    assert!(size_of::<ConnectorVTable>() == 40);
    assert!(size_of::<SourceVTable>() == 40 && size_of::<SinkVTable>() == 56);
    assert!(size_of::<TransformVTable>() == 32);
};
