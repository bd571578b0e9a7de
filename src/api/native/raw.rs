//! Raw pointers of the C ABI: reading arguments, writing results, task handles, and the guard against panics.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    ConnectError, SinkPosition, TaskConfig,
    abi::{self, Buf, ClassDesc, Error, FAILED, KeyValue, OK, Slice},
    export::Class,
};

/// A running task behind the handle the host holds.
pub(super) struct Running<T> {
    pub(super) task: T,
    /// Set by a panic: the state of the task can no longer be trusted.
    panicked: bool,
}

pub(super) fn handle<T>(task: T) -> *mut c_void {
    Box::into_raw(Box::new(Running {
        task,
        panicked: false,
    }))
    .cast()
}

/// # Safety
/// `task` comes from [`handle`] with the same `T`, was not ended, and no other reference to it exists.
pub(super) unsafe fn running<'a, T>(task: *mut c_void) -> &'a mut Running<T> {
    // SAFETY: the caller's promise.
    unsafe { &mut *task.cast::<Running<T>>() }
}

/// # Safety
/// As for [`running`], and the handle is not used again.
pub(super) unsafe fn end<T>(task: *mut c_void, stop: impl FnOnce(&mut T)) {
    // SAFETY: the handle was made by `Box::into_raw` with the same type.
    let mut running = unsafe { Box::from_raw(task.cast::<Running<T>>()) };
    let ended = catch_unwind(AssertUnwindSafe(move || {
        if !running.panicked {
            stop(&mut running.task);
        }
        drop(running);
    }));
    if let Err(payload) = ended {
        // Dropping a payload may panic again.
        std::mem::forget(payload);
    }
}

/// Runs a call into the connector; errors and panics go into `error`.
pub(super) fn guarded(error: *mut Error, call: impl FnOnce() -> Result<(), ConnectError>) -> i32 {
    let (kind, message) = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return OK,
        Ok(Err(error)) => (error.kind.abi_code(), error.message),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            let message = format!("the plugin panicked: {text}");
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            (abi::ERROR_PANIC, message)
        }
    };
    if !error.is_null() {
        let message = Buf::from_vec(message.into_bytes());
        // SAFETY: the host passes a place for the error.
        unsafe {
            error.write(Error {
                kind,
                reserved: [0; 7],
                message,
            })
        };
    }
    FAILED
}

/// As [`guarded`], and a task that panicked once is not entered again.
pub(super) fn guarded_task<T>(
    running: &mut Running<T>,
    error: *mut Error,
    call: impl FnOnce(&mut T) -> Result<(), ConnectError>,
) -> i32 {
    if running.panicked {
        return guarded(error, || Err(ConnectError::fatal("the task panicked before")));
    }
    let mut returned = false;
    let code = guarded(error, || {
        let result = call(&mut running.task);
        returned = true;
        result
    });
    running.panicked = !returned;
    code
}

/// # Safety
/// `class` is a descriptor of this library.
pub(super) unsafe fn class_of(class: *const ClassDesc) -> &'static Class {
    // SAFETY: `describe` stored a reference to a static class there.
    unsafe { &*(*class).user_data.cast::<Class>() }
}

/// # Safety
/// `ptr` points to `len` values that live during the call, or `len` is 0.
pub(super) unsafe fn array<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if len == 0 || ptr.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

/// # Safety
/// The slice's bytes live during the call.
pub(super) unsafe fn bytes<'a>(slice: &Slice) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { array(slice.ptr, slice.len) }
}

/// # Safety
/// The slice's bytes live during the call.
pub(super) unsafe fn text<'a>(slice: &Slice) -> Result<&'a str, ConnectError> {
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { bytes(slice) })
        .map_err(|cause| ConnectError::fatal(format!("text from the host is not UTF-8: {cause}")))
}

/// # Safety
/// The entries and their texts live during the call.
pub(super) unsafe fn read_config(config: *const KeyValue, len: usize) -> Result<TaskConfig, ConnectError> {
    // SAFETY: the caller's promise.
    let entries = unsafe { array(config, len) };
    // SAFETY: the caller's promise.
    entries
        .iter()
        .map(|entry| unsafe { Ok((text(&entry.key)?.to_owned(), text(&entry.value)?.to_owned())) })
        .collect()
}

/// # Safety
/// The positions and their texts live during the call.
pub(super) unsafe fn read_positions(
    positions: *const abi::Position,
    len: usize,
) -> Result<Vec<SinkPosition>, ConnectError> {
    // SAFETY: the caller's promise.
    let positions = unsafe { array(positions, len) };
    let position = |at: &abi::Position| {
        Ok(SinkPosition {
            // SAFETY: the caller's promise.
            topic: unsafe { text(&at.topic)? }.to_owned(),
            partition: at.partition,
            offset: at.offset,
            // SAFETY: the caller's promise.
            metadata: unsafe { text(&at.metadata)? }.to_owned(),
        })
    };
    positions.iter().map(position).collect()
}

/// # Safety
/// `out` is a place for a buffer.
pub(super) unsafe fn write_json(out: *mut Buf, value: &impl serde::Serialize) -> Result<(), ConnectError> {
    let json = serde_json::to_vec(value).map_err(|cause| ConnectError::fatal(cause.to_string()))?;
    // SAFETY: the caller's promise.
    unsafe { out.write(Buf::from_vec(json)) };
    Ok(())
}
