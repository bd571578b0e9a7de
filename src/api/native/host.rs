//! The host of a task behind its C table.

use std::{
    ffi::c_void,
    sync::{Arc, OnceLock},
};

use super::raw::{bytes, text};
use crate::{
    ConnectError, Lag, LogLevel, SinkPosition, TaskHost,
    abi::{self, Buf, HostVTable, Slice},
};

/// The host's table; one host per process.
pub(super) static HOST: OnceLock<HostVTable> = OnceLock::new();

/// The host of a task behind its C table.
pub(super) struct NativeHost {
    table: &'static HostVTable,
    handle: *const c_void,
    connector: String,
    task: u32,
}

// SAFETY: the rules of the ABI let host functions be called from any thread while the handle is retained.
unsafe impl Send for NativeHost {}
// SAFETY: as above.
unsafe impl Sync for NativeHost {}

impl NativeHost {
    /// # Safety
    /// `context` and what it points to live during the call; its handle stays valid while retained.
    pub(super) unsafe fn read(context: *const abi::TaskContext) -> Result<Arc<Self>, ConnectError> {
        let table = HOST
            .get()
            .ok_or_else(|| ConnectError::fatal("the library was not entered"))?;
        // SAFETY: the caller's promise.
        let context = unsafe { context.read() };
        // SAFETY: the caller's promise.
        let connector = unsafe { text(&context.connector)? }.to_owned();
        // SAFETY: the handle is valid now; `drop` releases it.
        unsafe { (table.retain)(context.host) };
        Ok(Arc::new(Self {
            table,
            handle: context.host,
            connector,
            task: context.task_id,
        }))
    }
}

impl Drop for NativeHost {
    fn drop(&mut self) {
        // SAFETY: the handle was retained in `read` and is released once.
        unsafe { (self.table.release)(self.handle) };
    }
}

impl TaskHost for NativeHost {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn task(&self) -> u32 {
        self.task
    }

    fn log_level(&self) -> LogLevel {
        // SAFETY: the host's table outlives the library.
        LogLevel::from_abi_code(unsafe { (self.table.log_max_level)() })
    }

    fn log(&self, level: LogLevel, message: &str) {
        // SAFETY: the handle is retained, the message lives during the call.
        unsafe { (self.table.log)(self.handle, level as u8, Slice::of(message)) };
    }

    fn stored_offset(&self, source_partition: &str) -> Option<String> {
        let mut out = Buf::EMPTY;
        // SAFETY: the handle is retained, the text and the place for the result live during the call.
        let found = unsafe { (self.table.stored_offset)(self.handle, Slice::of(source_partition), &mut out) };
        // SAFETY: the host has filled it, or left it empty.
        let stored = unsafe { taken(out) };
        found.then(|| String::from_utf8_lossy(&stored).into_owned())
    }

    fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError> {
        let mut out = Buf::EMPTY;
        // SAFETY: the handle is retained, the place for the result lives during the call.
        unsafe { (self.table.group_positions)(self.handle, &mut out) };
        // SAFETY: the host has filled it, or left it empty.
        let positions = unsafe { taken(out) };
        serde_json::from_slice(&positions)
            .map_err(|cause| ConnectError::fatal(format!("the host's positions of the group: {cause}")))
    }

    fn watch_path(&self, path: &str) -> bool {
        // SAFETY: the handle is retained, the path lives during the call.
        unsafe { (self.table.watch_path)(self.handle, Slice::of(path)) }
    }

    fn wake(&self) {
        // SAFETY: the handle is retained.
        unsafe { (self.table.wake)(self.handle) };
    }

    fn report_lag(&self, lag: Lag) {
        // SAFETY: the handle is retained.
        unsafe { (self.table.report_lag)(self.handle, lag.bytes, lag.files) };
    }
}

/// Copies what the host handed over, and frees it.
///
/// # Safety
/// The buffer is empty or belongs to us now.
unsafe fn taken(out: Buf) -> Vec<u8> {
    let slice = Slice {
        ptr: out.ptr,
        len: out.len,
    };
    // SAFETY: the caller's promise.
    let copied = unsafe { bytes(&slice) }.to_vec();
    if let Some(free) = out.free {
        // SAFETY: the buffer's own function, called once with its own parts.
        unsafe { free(out.ptr, out.len, out.cap) };
    }
    copied
}
