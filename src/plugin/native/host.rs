//! The functions a native plugin may call: the host's table of the C ABI.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use jackfield_api::{
    Lag, LogLevel,
    abi::{Buf, HostVTable, Slice},
};

use super::boundary::{bytes_of, text_of};
use crate::services::{HostTask, log_level, log_outside};

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
