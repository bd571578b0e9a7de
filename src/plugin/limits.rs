//! All limits a plugin runs under, in one place.

use std::time::Duration;

/// How long calls may take, and what a WASM task may use. Native code is trusted: of these only the deadlines hold for
/// it, and a call past its deadline is abandoned, not ended.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Listing classes, reading the config definition.
    pub(crate) describe: Duration,
    /// `validate`, `taskConfigs`, `start`.
    pub(crate) start: Duration,
    /// `poll`, `committed`.
    pub(crate) poll: Duration,
    /// `apply` of a transform.
    pub(crate) transform: Duration,
    /// `open`, `put`, `preCommit`, `close`.
    pub(crate) put: Duration,
    /// `stop`.
    pub(crate) stop: Duration,
    /// Time one call may compute (WASM).
    pub(crate) cpu: Duration,
    /// Time one call of a transform may compute (WASM).
    pub(crate) transform_cpu: Duration,
    /// Linear memory of a task (WASM).
    pub(crate) memory_bytes: usize,
    /// Linear memory of a transform (WASM).
    pub(crate) transform_memory_bytes: usize,
    /// Size of a component (WASM).
    pub(crate) component_bytes: u64,
    /// Bytes a plugin may hand over in one call (WASM).
    pub(crate) hostcall_bytes: usize,
}

/// Bytes that a transform may give out beyond those it was given, and how many times as many.
pub(crate) const TRANSFORM_OUTPUT_BYTES: usize = 16 * 1024 * 1024;
pub(crate) const TRANSFORM_OUTPUT_TIMES: usize = 4;
/// Elements over all tables of a WASM task.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 200_000;
/// Tables of a WASM task.
pub(crate) const MAX_TABLES: usize = 64;
/// Linear memories of a WASM task.
pub(crate) const MAX_MEMORIES: usize = 8;
/// Core instances of a WASM task.
pub(crate) const MAX_INSTANCES: usize = 200;
/// Open handles (files, streams) of a WASM task.
pub(crate) const MAX_HANDLES: usize = 10_000;
/// Stack of WASM code, and of the fiber it runs on together with the host functions it calls.
pub(crate) const WASM_STACK_BYTES: usize = 512 * 1024;
pub(crate) const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Body of an HTTP request or answer.
pub(crate) const MAX_HTTP_BODY_BYTES: usize = 16 * 1024 * 1024;
/// HTTP requests of a task that are begun and not taken: their answers are kept in memory.
pub(crate) const MAX_HTTP_REQUESTS: usize = 16;
/// Time for an HTTP request with its answer, when the plugin does not say, and when it says too much.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const MAX_HTTP_TIMEOUT: Duration = Duration::from_secs(600);
/// Time to connect, of the time for the request.
pub(crate) const HTTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that wait for the next request: how long, and how many to one host.
pub(crate) const HTTP_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const MAX_HTTP_IDLE_PER_HOST: usize = 8;
/// Addresses a WASM task may have resolved; the oldest names are looked up again beyond that.
pub(crate) const MAX_RESOLVED: usize = 1_000;
impl Limits {
    /// The limits of a transform's instances.
    pub(crate) fn of_transforms(&self) -> Self {
        Self {
            cpu: self.transform_cpu,
            memory_bytes: self.transform_memory_bytes,
            ..self.clone()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            describe: Duration::from_secs(10),
            start: Duration::from_secs(30),
            poll: Duration::from_secs(30),
            transform: Duration::from_secs(5),
            put: Duration::from_secs(60),
            stop: Duration::from_secs(5),
            cpu: Duration::from_secs(5),
            transform_cpu: Duration::from_secs(1),
            memory_bytes: 256 * 1024 * 1024,
            transform_memory_bytes: 64 * 1024 * 1024,
            component_bytes: 64 * 1024 * 1024,
            hostcall_bytes: 256 * 1024 * 1024,
        }
    }
}
