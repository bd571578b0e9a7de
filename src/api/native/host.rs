//! The host of a task behind its C table.

use std::{
    ffi::c_void,
    sync::{Arc, OnceLock},
};

use super::raw::{bytes, text};
use crate::{
    ConnectError, ErrorKind, HttpRequest, HttpResponse, Lag, LogLevel, MetricKind, SinkPosition, SinkRequest,
    TaskHost, TopicPartition, TransactionBoundary,
    abi::{self, Buf, HostVTable, KeyValue, Slice},
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

    fn report_state(&self, state: Option<&str>) {
        let state = state.map_or(Slice::EMPTY, Slice::of);
        // SAFETY: the handle is retained, the text lives during the call.
        unsafe { (self.table.report_state)(self.handle, state) };
    }

    fn request_task_reconfiguration(&self) {
        // SAFETY: the handle is retained.
        unsafe { (self.table.request_task_reconfiguration)(self.handle) };
    }

    fn transaction_boundary(&self, boundary: TransactionBoundary) {
        let boundary = match boundary {
            TransactionBoundary::Commit => abi::BOUNDARY_COMMIT,
            TransactionBoundary::Abort => abi::BOUNDARY_ABORT,
        };
        // SAFETY: the handle is retained.
        unsafe { (self.table.transaction_boundary)(self.handle, boundary) };
    }

    fn request_of_sink(&self, request: SinkRequest<'_>) {
        let (table, handle) = (self.table, self.handle);
        match request {
            SinkRequest::Pause(partitions) => {
                let partitions = abi_partitions(partitions);
                // SAFETY: the handle is retained, the partitions live during the call.
                unsafe { (table.pause)(handle, partitions.as_ptr(), partitions.len()) };
            }
            SinkRequest::Resume(partitions) => {
                let partitions = abi_partitions(partitions);
                // SAFETY: as above.
                unsafe { (table.resume)(handle, partitions.as_ptr(), partitions.len()) };
            }
            SinkRequest::Seek(positions) => {
                let positions: Vec<_> = positions.iter().map(abi::Position::of).collect();
                // SAFETY: as above.
                unsafe { (table.seek)(handle, positions.as_ptr(), positions.len()) };
            }
            // SAFETY: the handle is retained.
            SinkRequest::Commit => unsafe { (table.request_commit)(handle) },
        }
    }

    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| KeyValue::of(key, value))
            .collect();
        let (first, count) = (labels.as_ptr(), labels.len());
        // SAFETY: the handle is retained, the texts live during the call.
        unsafe { (self.table.metric)(self.handle, kind.abi_code(), Slice::of(name), first, count, value) };
    }

    fn http_begin(&self, request: &HttpRequest) -> Result<u64, ConnectError> {
        let headers = header_values(request);
        let request = abi_request(request, &headers);
        let (mut number, mut error) = (0, abi::Error::EMPTY);
        // SAFETY: the handle is retained, the request and the places live during the call.
        let code = unsafe {
            (self.table.http_begin)(self.handle, &raw const request, &raw mut number, &raw mut error)
        };
        match code {
            abi::OK => Ok(number),
            // SAFETY: the host has filled the error in, or left it empty.
            _ => Err(unsafe { taken_error(error) }),
        }
    }

    fn http_take(&self, number: u64) -> Option<Result<HttpResponse, ConnectError>> {
        let (mut response, mut error) = (abi::HttpResponse::EMPTY, abi::Error::EMPTY);
        // SAFETY: the handle is retained, the places live during the call.
        let code = unsafe { (self.table.http_take)(self.handle, number, &raw mut response, &raw mut error) };
        // SAFETY: the host has filled in what the code says, and left the other empty.
        (code != abi::NOT_YET).then(|| unsafe { taken_response(code, response, error) })
    }

    fn http_fetch(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectError> {
        let headers = header_values(request);
        let request = abi_request(request, &headers);
        let (mut response, mut error) = (abi::HttpResponse::EMPTY, abi::Error::EMPTY);
        // SAFETY: the handle is retained, the request and the places live during the call.
        let code = unsafe {
            (self.table.http_fetch)(self.handle, &raw const request, &raw mut response, &raw mut error)
        };
        // SAFETY: the host has filled in what the code says, and left the other empty.
        unsafe { taken_response(code, response, error) }
    }
}

fn abi_partitions(partitions: &[TopicPartition]) -> Vec<abi::TopicPartition> {
    let partition = |at: &TopicPartition| abi::TopicPartition {
        topic: Slice::of(&at.topic),
        partition: at.partition,
        reserved: 0,
    };
    partitions.iter().map(partition).collect()
}

fn header_values(request: &HttpRequest) -> Vec<KeyValue> {
    let headers = request.headers.iter();
    headers.map(|(name, value)| KeyValue::of(name, value)).collect()
}

fn abi_request(request: &HttpRequest, headers: &[KeyValue]) -> abi::HttpRequest {
    let millis = request.timeout.map_or(0, |timeout| timeout.as_millis().max(1));
    abi::HttpRequest {
        struct_size: super::size_u32::<abi::HttpRequest>(),
        timeout_ms: u32::try_from(millis).unwrap_or(u32::MAX),
        method: Slice::of(&request.method),
        url: Slice::of(&request.url),
        headers: headers.as_ptr(),
        header_count: headers.len(),
        body: Slice::of_bytes(&request.body),
    }
}

/// # Safety
/// The error is empty or was filled in by the host.
unsafe fn taken_error(error: abi::Error) -> ConnectError {
    // SAFETY: the caller's promise.
    let message = unsafe { taken(error.message) };
    ConnectError {
        kind: ErrorKind::from_abi_code(error.kind),
        message: String::from_utf8_lossy(&message).into_owned(),
    }
}

/// # Safety
/// Both are empty or were filled in by the host.
unsafe fn taken_response(
    code: i32,
    response: abi::HttpResponse,
    error: abi::Error,
) -> Result<HttpResponse, ConnectError> {
    // SAFETY: the caller's promise.
    let (headers, body) = unsafe { (taken(response.headers), taken(response.body)) };
    if code != abi::OK {
        // SAFETY: the caller's promise.
        return Err(unsafe { taken_error(error) });
    }
    Ok(HttpResponse {
        status: response.status,
        headers: serde_json::from_slice(&headers)
            .map_err(|cause| ConnectError::fatal(format!("headers from the host: {cause}")))?,
        body,
    })
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
