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

/// What an operator may set of the limits; `None` = the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PluginLimits {
    /// Longest call of a plugin of either form; a transform's calls and `stop` have less by default and never more than it.
    /// Default: 30 s, 60 s of a sink, 5 s of a transform and for `stop`.
    pub call: Option<Duration>,
    /// Time a call of a WASM plugin may compute. Default: 5 s, 1 s of a transform.
    pub compute: Option<Duration>,
    /// Linear memory of a WASM task in bytes. Default: 256 MiB, 64 MiB of a transform.
    pub memory_bytes: Option<usize>,
}

/// Bytes that a transform may give out beyond those it was given, and how many times as many.
pub(crate) const TRANSFORM_OUTPUT_BYTES: usize = 16 * 1024 * 1024;
pub(crate) const TRANSFORM_OUTPUT_TIMES: usize = 4;
/// Bytes of a source partition and of a schema, and of all tables of a batch: they are parsed, which takes many times as much.
pub(crate) const MAX_PARTITION_BYTES: usize = 1024 * 1024;
pub(crate) const MAX_SCHEMA_BYTES: usize = 1024 * 1024;
pub(crate) const MAX_TABLES_BYTES: usize = 4 * 1024 * 1024;
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
    /// The default limits with what an operator has set.
    pub(crate) fn with(set: PluginLimits) -> Self {
        let default = Self::default();
        let call = |default: Duration| set.call.unwrap_or(default);
        let at_most = |default: Duration| set.call.map_or(default, |call| call.min(default));
        let compute = |default: Duration| set.compute.map_or(default, |compute| compute.min(default));
        let memory = |default: usize| set.memory_bytes.map_or(default, |bytes| bytes.min(default));
        Self {
            describe: at_most(default.describe),
            start: call(default.start),
            poll: call(default.poll),
            transform: at_most(default.transform),
            put: call(default.put),
            stop: at_most(default.stop),
            cpu: set.compute.unwrap_or(default.cpu),
            transform_cpu: compute(default.transform_cpu),
            memory_bytes: set.memory_bytes.unwrap_or(default.memory_bytes),
            transform_memory_bytes: memory(default.transform_memory_bytes),
            ..default
        }
    }

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
