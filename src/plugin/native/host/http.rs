//! HTTP requests of native plugins.

use std::{ffi::c_void, time::Duration};

use jackfield_api::{
    ConnectError, HttpRequest, HttpResponse,
    abi::{self, Buf, Error, FAILED, NOT_YET, OK},
};

use super::{
    super::boundary::{array_of, bytes_of, text_of},
    guarded, task_of,
};

pub(super) unsafe extern "C" fn begin(
    task: *const c_void,
    request: *const abi::HttpRequest,
    number: *mut u64,
    error: *mut Error,
) -> i32 {
    guarded(FAILED, || {
        // SAFETY: the plugin passes null or its task's handle, and a request that is valid during the call.
        let (task, request) = unsafe { (task_of(task), read(request)) };
        let begun = match task {
            Some(task) => request.and_then(|request| task.http_begin(request)),
            None => Err(outside()),
        };
        match begun {
            Ok(begun) => {
                // SAFETY: the plugin passes a place for the number.
                unsafe { number.write(begun) };
                OK
            }
            // SAFETY: the plugin passes a place for the error.
            Err(cause) => unsafe { fail(cause, error) },
        }
    })
}

pub(super) unsafe extern "C" fn take(
    task: *const c_void,
    number: u64,
    out: *mut abi::HttpResponse,
    error: *mut Error,
) -> i32 {
    guarded(FAILED, || {
        // SAFETY: the plugin passes null or its task's handle.
        let ended = match unsafe { task_of(task) } {
            Some(task) => task.http_take(number),
            None => Some(Err(outside())),
        };
        match ended {
            None => NOT_YET,
            // SAFETY: the plugin passes places for the answer and the error.
            Some(ended) => unsafe { answer(ended, out, error) },
        }
    })
}

pub(super) unsafe extern "C" fn fetch(
    task: *const c_void,
    request: *const abi::HttpRequest,
    out: *mut abi::HttpResponse,
    error: *mut Error,
) -> i32 {
    guarded(FAILED, || {
        // SAFETY: the plugin passes null or its task's handle, and a request that is valid during the call.
        let (task, request) = unsafe { (task_of(task), read(request)) };
        let ended = match task {
            Some(task) => request.and_then(|request| task.http_fetch_blocking(request)),
            None => Err(outside()),
        };
        // SAFETY: the plugin passes places for the answer and the error.
        unsafe { answer(ended, out, error) }
    })
}

fn outside() -> ConnectError {
    ConnectError::fatal("an HTTP request outside of a task")
}

/// # Safety
/// The request and everything in it are valid during the call.
unsafe fn read(request: *const abi::HttpRequest) -> Result<HttpRequest, ConnectError> {
    // SAFETY: every version starts with its size.
    let size = unsafe { (&raw const (*request).struct_size).read() } as usize;
    if size < size_of::<abi::HttpRequest>() {
        return Err(ConnectError::fatal(format!("an HTTP request of {size} bytes")));
    }
    // SAFETY: the size was checked, and the caller's promise.
    unsafe {
        let request = request.read();
        let headers = array_of(request.headers, request.header_count);
        let header = |at: &abi::KeyValue| (text_of(at.key), text_of(at.value));
        Ok(HttpRequest {
            method: text_of(request.method),
            url: text_of(request.url),
            headers: headers.iter().map(header).collect(),
            body: bytes_of(request.body).to_vec(),
            timeout: (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms.into())),
        })
    }
}

/// # Safety
/// Both are places.
unsafe fn answer(
    ended: Result<HttpResponse, ConnectError>,
    out: *mut abi::HttpResponse,
    error: *mut Error,
) -> i32 {
    match ended {
        Ok(response) => {
            let headers = serde_json::to_vec(&response.headers).expect("texts are written as JSON");
            let response = abi::HttpResponse {
                status: response.status,
                reserved: [0; 6],
                headers: Buf::from_vec(headers),
                body: Buf::from_vec(response.body),
            };
            // SAFETY: the caller's promise.
            unsafe { out.write(response) };
            OK
        }
        // SAFETY: the caller's promise.
        Err(cause) => unsafe { fail(cause, error) },
    }
}

/// # Safety
/// `error` is a place.
unsafe fn fail(cause: ConnectError, error: *mut Error) -> i32 {
    let filled = Error {
        kind: cause.kind.abi_code(),
        reserved: [0; 7],
        message: Buf::from_vec(cause.message.into_bytes()),
    };
    // SAFETY: the caller's promise.
    unsafe { error.write(filled) };
    FAILED
}
