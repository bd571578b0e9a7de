//! The functions a native plugin may call: the host's table of the C ABI.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use jackfield_api::{
    Lag, LogLevel, MetricKind, SinkPosition, TopicPartition, TransactionBoundary,
    abi::{self, Buf, HostVTable, Slice},
};

use super::boundary::{array_of, bytes_of, text_of};
use crate::{
    SinkWish,
    services::{HostTask, log_level, log_outside},
};

mod http;

/// The table; it lives as long as the process.
#[allow(clippy::cast_possible_truncation, reason = "a few dozen bytes")]
pub(super) static HOST: HostVTable = HostVTable {
    struct_size: size_of::<HostVTable>() as u32,
    reserved: 0,
    log_max_level,
    log,
    stored_offset,
    watch_path,
    wake,
    retain,
    release,
    report_lag,
    group_positions,
    report_state,
    request_task_reconfiguration,
    transaction_boundary,
    pause,
    resume,
    seek,
    request_commit,
    metric,
    http_begin: http::begin,
    http_take: http::take,
    http_fetch: http::fetch,
};

/// The handle of a task as the plugin sees it; valid while the `Arc` is.
pub(super) fn handle(task: &Arc<HostTask>) -> *const c_void {
    Arc::as_ptr(task).cast()
}

/// Runs a host function: no panic of ours goes into the plugin.
fn guarded<T>(default: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(default)
}

/// # Safety
/// `task` is null or a handle from [`handle`] that is still valid.
unsafe fn task_of<'a>(task: *const c_void) -> Option<&'a HostTask> {
    // SAFETY: the caller's promise.
    unsafe { task.cast::<HostTask>().as_ref() }
}

unsafe extern "C" fn log_max_level() -> u8 {
    guarded(1, || log_level() as u8)
}

unsafe extern "C" fn log(task: *const c_void, level: u8, message: Slice) {
    guarded((), || {
        // SAFETY: the plugin passes text that is valid during the call.
        let message = unsafe { text_of(message) };
        let level = LogLevel::from_abi_code(level);
        // SAFETY: the plugin passes null or its task's handle.
        match unsafe { task_of(task) } {
            Some(task) => task.log(level, &message),
            None => log_outside(level, &message),
        }
    });
}

unsafe extern "C" fn stored_offset(task: *const c_void, partition: Slice, out: *mut Buf) -> bool {
    guarded(false, || {
        // SAFETY: the plugin passes null or its task's handle, and text that is valid during the call.
        let found = unsafe { task_of(task).and_then(|task| task.stored_offset(&text_of(partition))) };
        let Some(offset) = found else { return false };
        // SAFETY: the plugin passes a place for the answer.
        unsafe { out.write(Buf::from_vec(offset.into_bytes())) };
        true
    })
}

unsafe extern "C" fn watch_path(task: *const c_void, path: Slice) -> bool {
    guarded(false, || {
        use std::os::unix::ffi::OsStrExt;
        // SAFETY: the plugin passes null or its task's handle, and a path that is valid during the call.
        let (task, path) = unsafe { (task_of(task), bytes_of(path)) };
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        task.is_some_and(|task| task.watch_path(path))
    })
}

unsafe extern "C" fn wake(task: *const c_void) {
    // SAFETY: the plugin passes null or its task's handle.
    guarded((), || unsafe { task_of(task) }.map_or((), HostTask::wake));
}

unsafe extern "C" fn retain(task: *const c_void) {
    if !task.is_null() {
        // SAFETY: a valid handle comes from an `Arc`, see `handle`.
        unsafe { Arc::increment_strong_count(task.cast::<HostTask>()) };
    }
}

unsafe extern "C" fn release(task: *const c_void) {
    if !task.is_null() {
        // SAFETY: the plugin calls this once for each `retain`.
        guarded((), || unsafe {
            Arc::decrement_strong_count(task.cast::<HostTask>())
        });
    }
}

unsafe extern "C" fn report_lag(task: *const c_void, bytes: u64, files: u64) {
    guarded((), || {
        // SAFETY: the plugin passes null or its task's handle.
        if let Some(task) = unsafe { task_of(task) } {
            task.report_lag(Lag { bytes, files });
        }
    });
}

unsafe extern "C" fn group_positions(task: *const c_void, out: *mut Buf) {
    guarded((), || {
        // SAFETY: the plugin passes null or its task's handle.
        let positions = unsafe { task_of(task) }.map_or_else(Vec::new, HostTask::group_positions);
        let json = serde_json::to_vec(&positions).expect("plain fields are written as JSON");
        // SAFETY: the plugin passes a place for the answer.
        unsafe { out.write(Buf::from_vec(json)) };
    });
}

unsafe extern "C" fn report_state(task: *const c_void, state: Slice) {
    guarded((), || {
        // SAFETY: the plugin passes null or its task's handle, and text that is valid during the call.
        let (task, state) = unsafe { (task_of(task), text_of(state)) };
        if let Some(task) = task {
            task.report_state(Some(&state));
        }
    });
}

unsafe extern "C" fn request_task_reconfiguration(task: *const c_void) {
    guarded((), || {
        // SAFETY: the plugin passes null or its task's handle.
        if let Some(task) = unsafe { task_of(task) } {
            task.request_task_reconfiguration();
        }
    });
}

unsafe extern "C" fn transaction_boundary(task: *const c_void, boundary: u8) {
    guarded((), || {
        // SAFETY: the plugin passes null or its task's handle.
        let Some(task) = (unsafe { task_of(task) }) else {
            return;
        };
        match boundary {
            abi::BOUNDARY_COMMIT => task.end_transaction(TransactionBoundary::Commit),
            abi::BOUNDARY_ABORT => task.end_transaction(TransactionBoundary::Abort),
            unknown => task.log(
                LogLevel::Error,
                &format!("unknown transaction boundary {unknown}"),
            ),
        }
    });
}

unsafe extern "C" fn pause(task: *const c_void, partitions: *const abi::TopicPartition, len: usize) {
    // SAFETY: the plugin keeps the rules of the ABI.
    guarded((), || unsafe {
        wish(task, || SinkWish::Pause(read_partitions(partitions, len)));
    });
}

unsafe extern "C" fn resume(task: *const c_void, partitions: *const abi::TopicPartition, len: usize) {
    // SAFETY: the plugin keeps the rules of the ABI.
    guarded((), || unsafe {
        wish(task, || SinkWish::Resume(read_partitions(partitions, len)));
    });
}

unsafe extern "C" fn seek(task: *const c_void, positions: *const abi::Position, len: usize) {
    // SAFETY: the plugin keeps the rules of the ABI.
    guarded((), || unsafe {
        wish(task, || SinkWish::Seek(read_positions(positions, len)));
    });
}

unsafe extern "C" fn request_commit(task: *const c_void) {
    // SAFETY: the plugin passes null or its task's handle.
    guarded((), || unsafe { wish(task, || SinkWish::Commit) });
}

/// # Safety
/// `task` is null or a valid handle.
unsafe fn wish(task: *const c_void, wish: impl FnOnce() -> SinkWish) {
    // SAFETY: the caller's promise.
    if let Some(task) = unsafe { task_of(task) } {
        task.wish(wish());
    }
}

/// # Safety
/// The partitions and their texts are valid during the call.
unsafe fn read_partitions(partitions: *const abi::TopicPartition, len: usize) -> Vec<TopicPartition> {
    // SAFETY: the caller's promise.
    let partitions = unsafe { array_of(partitions, len) };
    let partition = |at: &abi::TopicPartition| TopicPartition {
        // SAFETY: the caller's promise.
        topic: unsafe { text_of(at.topic) },
        partition: at.partition,
    };
    partitions.iter().map(partition).collect()
}

/// # Safety
/// The positions and their texts are valid during the call.
unsafe fn read_positions(positions: *const abi::Position, len: usize) -> Vec<SinkPosition> {
    // SAFETY: the caller's promise.
    let positions = unsafe { array_of(positions, len) };
    let position = |at: &abi::Position| SinkPosition {
        // SAFETY: the caller's promise.
        topic: unsafe { text_of(at.topic) },
        partition: at.partition,
        offset: at.offset,
        // SAFETY: the caller's promise.
        metadata: unsafe { text_of(at.metadata) },
    };
    positions.iter().map(position).collect()
}

unsafe extern "C" fn metric(
    task: *const c_void,
    kind: u8,
    name: Slice,
    labels: *const abi::KeyValue,
    label_count: usize,
    value: f64,
) {
    guarded((), || {
        // SAFETY: the plugin passes null or its task's handle, and texts that are valid during the call.
        let (task, name, labels) = unsafe {
            let labels = array_of(labels, label_count);
            let text = |at: &abi::KeyValue| (text_of(at.key), text_of(at.value));
            (task_of(task), text_of(name), labels.iter().map(text).collect())
        };
        let Some(task) = task else { return };
        match MetricKind::from_abi_code(kind) {
            Some(kind) => task.metric(kind, &name, labels, value),
            None => task.log(LogLevel::Error, &format!("metric {name} of unknown kind {kind}")),
        }
    });
}
