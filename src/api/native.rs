//! The native side of the plugin boundary: a library's classes behind the C ABI of [`crate::abi`].
//!
//! Every function the host can call catches panics; a panicked task answers everything but `stop` with an error.
#![allow(
    unsafe_code,
    reason = "the C boundary: raw pointers come in and go out here and nowhere else in the SDK"
)]

use std::{ffi::c_void, panic::catch_unwind, sync::OnceLock};

use crate::{
    ConnectError, OffsetChange, PollLimits, Polled, SinkContext, SourceContext, TopicPartition,
    abi::{self, Buf, ClassDesc, Error, HostVTable, KeyValue, PluginDesc, PollResult, Slice},
    batch::{Batch, BatchBuilder, MAJOR},
    export::{Class, Library, SinkTask, SourceTask, Start},
};
use host::{HOST, NativeHost};
use raw::{
    array, bytes, class_of, end, guarded, guarded_task, handle, read_config, read_positions, running, text,
    write_json,
};
use transform::TRANSFORM;

mod host;
mod raw;
mod transform;

/// The library's descriptor, built when the host first asks.
#[derive(Debug, Default)]
pub struct Descriptor(OnceLock<Shared>);

/// A descriptor that lives and stays unchanged as long as the process.
#[derive(Debug)]
struct Shared(&'static PluginDesc);

// SAFETY: the descriptor and everything it points to are leaked and never written again.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Descriptor {
    /// Not built yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }
}

/// The entry point of a library, called by what `export_plugin!` generates.
///
/// # Safety
/// `host` is null or points to a host table that is valid during the call.
pub unsafe fn entry<L: Library>(
    descriptor: &'static Descriptor,
    host_abi_major: u16,
    host: *const HostVTable,
) -> *const PluginDesc {
    if host_abi_major != abi::ABI_MAJOR || host.is_null() {
        return std::ptr::null();
    }
    // SAFETY: every version of the table starts with its size.
    let struct_size = unsafe { (&raw const (*host).struct_size).read() } as usize;
    if struct_size < size_of::<HostVTable>() {
        return std::ptr::null();
    }
    // SAFETY: the table is at least as large as the one this library knows.
    let host = unsafe { host.read() };
    HOST.get_or_init(|| host);
    catch_unwind(|| std::ptr::from_ref(descriptor.0.get_or_init(|| Shared(describe(L::CLASSES))).0))
        .unwrap_or(std::ptr::null())
}

fn describe(classes: &'static [Class]) -> &'static PluginDesc {
    let described: Vec<*const ClassDesc> = classes
        .iter()
        .map(|class| {
            let aliases: Vec<Slice> = class.aliases.iter().map(|alias| Slice::of(alias)).collect();
            let aliases: &'static [Slice] = aliases.leak();
            let (mut source, mut sink, mut transform) =
                (std::ptr::null(), std::ptr::null(), std::ptr::null());
            let kind = match class.start {
                Start::Source(_) => {
                    source = &raw const SOURCE;
                    abi::KIND_SOURCE
                }
                Start::Sink(_) => {
                    sink = &raw const SINK;
                    abi::KIND_SINK
                }
                Start::Transform(_) => {
                    transform = &raw const TRANSFORM;
                    abi::KIND_TRANSFORM
                }
            };
            let described: &'static ClassDesc = Box::leak(Box::new(ClassDesc {
                struct_size: size_u32::<ClassDesc>(),
                kind,
                reserved: [0; 3],
                name: Slice::of(class.name),
                version: Slice::of(class.version),
                aliases: aliases.as_ptr(),
                alias_count: aliases.len(),
                connector: &CONNECTOR,
                source,
                sink,
                transform,
                user_data: std::ptr::from_ref(class).cast(),
            }));
            std::ptr::from_ref(described)
        })
        .collect();
    let described: &'static [*const ClassDesc] = described.leak();
    Box::leak(Box::new(PluginDesc {
        magic: abi::MAGIC,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        struct_size: size_u32::<PluginDesc>(),
        features: 0,
        batch_major_min: u16::from(MAJOR),
        batch_major_max: u16::from(MAJOR),
        class_count: u32::try_from(described.len()).expect("a library has few classes"),
        classes: described.as_ptr(),
        built_with: Slice::of(concat!("jackfield-api ", env!("CARGO_PKG_VERSION"))),
    }))
}

static CONNECTOR: abi::ConnectorVTable = abi::ConnectorVTable {
    struct_size: size_u32::<abi::ConnectorVTable>(),
    reserved: 0,
    config_def,
    validate,
    task_configs,
    alter_offsets,
};

static SOURCE: abi::SourceVTable = abi::SourceVTable {
    struct_size: size_u32::<abi::SourceVTable>(),
    reserved: 0,
    start: source_start,
    poll: source_poll,
    committed: source_committed,
    stop: source_stop,
};

static SINK: abi::SinkVTable = abi::SinkVTable {
    struct_size: size_u32::<abi::SinkVTable>(),
    reserved: 0,
    start: sink_start,
    open: sink_open,
    put: sink_put,
    pre_commit: sink_pre_commit,
    close: sink_close,
    stop: sink_stop,
};

#[allow(clippy::cast_possible_truncation, reason = "tables are a few hundred bytes")]
const fn size_u32<T>() -> u32 {
    size_of::<T>() as u32
}

struct RunningSource {
    task: Box<dyn SourceTask>,
    builder: BatchBuilder,
}

unsafe extern "C" fn config_def(class: *const ClassDesc, out: *mut Buf, error: *mut Error) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library.
        let class = unsafe { class_of(class) };
        // SAFETY: the host passes a place for the result.
        unsafe { write_json(out, &(class.config_def)()) }
    })
}

unsafe extern "C" fn validate(
    class: *const ClassDesc,
    config: *const KeyValue,
    config_len: usize,
    out: *mut Buf,
    error: *mut Error,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library and a config that is valid during the call.
        let (class, config) = unsafe { (class_of(class), read_config(config, config_len)?) };
        // SAFETY: the host passes a place for the result.
        unsafe { write_json(out, &class.validate(config)?) }
    })
}

unsafe extern "C" fn task_configs(
    class: *const ClassDesc,
    config: *const KeyValue,
    config_len: usize,
    max_tasks: u32,
    out: *mut Buf,
    error: *mut Error,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library and a config that is valid during the call.
        let (class, config) = unsafe { (class_of(class), read_config(config, config_len)?) };
        // SAFETY: the host passes a place for the result.
        unsafe { write_json(out, &class.task_configs(config, max_tasks)?) }
    })
}

unsafe extern "C" fn alter_offsets(
    class: *const ClassDesc,
    config: *const KeyValue,
    config_len: usize,
    offsets: *const Slice,
    out: *mut Buf,
    error: *mut Error,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library, and a config and a text that are valid during the call.
        let (class, config, offsets) = unsafe {
            (
                class_of(class),
                read_config(config, config_len)?,
                text(&*offsets)?,
            )
        };
        let offsets: Vec<OffsetChange> = serde_json::from_str(offsets)
            .map_err(|cause| ConnectError::fatal(format!("offsets from the host: {cause}")))?;
        // SAFETY: the host passes a place for the result.
        unsafe { write_json(out, &class.alter_offsets(config, &offsets)?) }
    })
}

unsafe extern "C" fn source_start(
    class: *const ClassDesc,
    config: *const KeyValue,
    config_len: usize,
    context: *const abi::TaskContext,
    task: *mut *mut c_void,
    error: *mut Error,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library, and a config and context valid during the call.
        let (class, config, host) = unsafe {
            (
                class_of(class),
                read_config(config, config_len)?,
                NativeHost::read(context)?,
            )
        };
        let Start::Source(start) = class.start else {
            return Err(ConnectError::fatal(format!("{} is not a source", class.name)));
        };
        let started = start(&class.resolve(config)?, SourceContext::new(host))?;
        let running = RunningSource {
            task: started,
            builder: BatchBuilder::new(),
        };
        // SAFETY: the host passes a place for the handle.
        unsafe { task.write(handle(running)) };
        Ok(())
    })
}

unsafe extern "C" fn source_poll(
    task: *mut c_void,
    limits: *const abi::PollLimits,
    out: *mut PollResult,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host passes the handle of a source task, one call at a time.
    let running = unsafe { running::<RunningSource>(task) };
    guarded_task(running, error, |running| {
        // SAFETY: the host passes limits that are valid during the call.
        let limits = unsafe { limits.read() };
        let limits = PollLimits {
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
        };
        let polled = running.task.poll(limits, &mut running.builder);
        let polled = polled.inspect_err(|_| running.builder.clear())?;
        let result = match polled {
            _ if !running.builder.is_empty() => PollResult {
                state: abi::POLL_BATCH,
                batch: Buf::from_vec(running.builder.finish()),
                ..PollResult::EMPTY
            },
            Polled::Records => PollResult {
                state: abi::POLL_IDLE,
                idle_ms: 0,
                ..PollResult::EMPTY
            },
            Polled::Idle(ms) => PollResult {
                state: abi::POLL_IDLE,
                idle_ms: ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
                ..PollResult::EMPTY
            },
        };
        // SAFETY: the host passes a place for the result.
        unsafe { out.write(result) };
        Ok(())
    })
}

unsafe extern "C" fn source_committed(task: *mut c_void, batches: u64, error: *mut Error) -> i32 {
    // SAFETY: the host passes the handle of a source task, one call at a time.
    let running = unsafe { running::<RunningSource>(task) };
    guarded_task(running, error, |running| running.task.committed(batches))
}

unsafe extern "C" fn source_stop(task: *mut c_void) {
    // SAFETY: the host passes the handle of a source task for the last time.
    unsafe { end::<RunningSource>(task, |running| running.task.stop()) };
}

unsafe extern "C" fn sink_start(
    class: *const ClassDesc,
    config: *const KeyValue,
    config_len: usize,
    context: *const abi::TaskContext,
    task: *mut *mut c_void,
    error: *mut Error,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host passes a descriptor of this library, and a config and context valid during the call.
        let (class, config, host) = unsafe {
            (
                class_of(class),
                read_config(config, config_len)?,
                NativeHost::read(context)?,
            )
        };
        let Start::Sink(start) = class.start else {
            return Err(ConnectError::fatal(format!("{} is not a sink", class.name)));
        };
        let started = start(&class.resolve(config)?, SinkContext::new(host))?;
        // SAFETY: the host passes a place for the handle.
        unsafe { task.write(handle(started)) };
        Ok(())
    })
}

unsafe extern "C" fn sink_open(
    task: *mut c_void,
    partitions: *const abi::Position,
    partitions_len: usize,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host passes the handle of a sink task, one call at a time.
    let running = unsafe { running::<Box<dyn SinkTask>>(task) };
    guarded_task(running, error, |task| {
        // SAFETY: the host passes positions that are valid during the call.
        task.open(&unsafe { read_positions(partitions, partitions_len)? })
    })
}

unsafe extern "C" fn sink_put(task: *mut c_void, batch: Slice, rejected: *mut Buf, error: *mut Error) -> i32 {
    // SAFETY: the host passes the handle of a sink task, one call at a time.
    let running = unsafe { running::<Box<dyn SinkTask>>(task) };
    guarded_task(running, error, |task| {
        // SAFETY: the host passes a batch that is valid during the call.
        let batch = Batch::parse(unsafe { bytes(&batch) })?;
        let records = task.put(&batch)?;
        if records.is_empty() {
            return Ok(());
        }
        // SAFETY: the host passes a place for the result.
        unsafe { write_json(rejected, &records) }
    })
}

unsafe extern "C" fn sink_pre_commit(
    task: *mut c_void,
    current: *const abi::Position,
    current_len: usize,
    out: *mut Buf,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host passes the handle of a sink task, one call at a time.
    let running = unsafe { running::<Box<dyn SinkTask>>(task) };
    guarded_task(running, error, |task| {
        // SAFETY: the host passes positions that are valid during the call, and a place for the result.
        unsafe { write_json(out, &task.pre_commit(&read_positions(current, current_len)?)?) }
    })
}

unsafe extern "C" fn sink_close(
    task: *mut c_void,
    partitions: *const abi::TopicPartition,
    partitions_len: usize,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host passes the handle of a sink task, one call at a time.
    let running = unsafe { running::<Box<dyn SinkTask>>(task) };
    guarded_task(running, error, |task| {
        // SAFETY: the host passes partitions that are valid during the call.
        let partitions = unsafe { array(partitions, partitions_len) };
        let partition = |at: &abi::TopicPartition| {
            // SAFETY: the topic is valid during the call, too.
            let topic = unsafe { text(&at.topic)? };
            Ok(TopicPartition {
                topic: topic.to_owned(),
                partition: at.partition,
            })
        };
        let partitions: Result<Vec<_>, ConnectError> = partitions.iter().map(partition).collect();
        task.close(&partitions?)
    })
}

unsafe extern "C" fn sink_stop(task: *mut c_void) {
    // SAFETY: the host passes the handle of a sink task for the last time.
    unsafe { end::<Box<dyn SinkTask>>(task, |task| task.stop()) };
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
