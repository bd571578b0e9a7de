//! What a running task may ask of its host.

use std::sync::Arc;

use crate::{ConnectError, SinkPosition};

/// The host as the SDK sees it; implemented for the C ABI, for components and, for tests, by [`crate::LocalHost`].
pub trait TaskHost: Send + Sync {
    /// Name of the connector.
    fn connector(&self) -> &str;
    /// Number of the task.
    fn task(&self) -> u32;
    /// Most verbose level that is kept.
    fn log_level(&self) -> LogLevel;
    /// Writes a log line.
    fn log(&self, level: LogLevel, message: &str);
    /// Stored offset of a source partition, both JSON objects.
    fn stored_offset(&self, source_partition: &str) -> Option<String>;
    /// Committed positions of a sink task's group, see [`SinkContext::group_positions`].
    fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError>;
    /// Starts watching a file or a directory; false = not watched.
    fn watch_path(&self, path: &str) -> bool;
    /// Ends the task's idle time.
    fn wake(&self);
    /// Keeps how far the task is behind, until it says something else.
    fn report_lag(&self, lag: Lag);
}

/// How far a source task is behind what it reads: what lies in its system and was not given to the worker yet. The
/// counterpart of a sink's consumer lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Lag {
    /// Bytes not read yet; an estimate where the source cannot know better.
    pub bytes: u64,
    /// Files (or what its system has in their place) not read to their end yet.
    pub files: u64,
}

/// Level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// An operator is needed.
    Error = 1,
    /// Something went wrong and was dealt with.
    Warn = 2,
    /// State changes.
    Info = 3,
    /// Per batch.
    Debug = 4,
    /// Anything.
    Trace = 5,
}

impl LogLevel {
    /// The level as the C ABI writes it; unknown numbers are the nearest level.
    pub fn from_abi_code(code: u8) -> Self {
        match code {
            0 | 1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            _ => Self::Trace,
        }
    }
}

/// Services for a source task.
#[derive(Clone)]
pub struct SourceContext {
    host: Arc<dyn TaskHost>,
}

/// Services for a sink task.
#[derive(Clone)]
pub struct SinkContext {
    host: Arc<dyn TaskHost>,
}

/// Ends the idle time of its task, from any thread of the connector's own. Harmless after the task has ended.
/// Components have no threads, there it does nothing.
#[derive(Clone)]
pub struct WakeHandle {
    host: Arc<dyn TaskHost>,
}

impl SourceContext {
    /// The context of a task of this host.
    pub fn new(host: Arc<dyn TaskHost>) -> Self {
        Self { host }
    }

    /// Name of the connector.
    pub fn connector(&self) -> &str {
        self.host.connector()
    }

    /// Number of the task.
    pub fn task(&self) -> u32 {
        self.host.task()
    }

    /// Writes a line in the worker's log, constant lower-case text first; the host adds connector and task.
    pub fn log(&self, level: LogLevel, message: &str) {
        log(&*self.host, level, message);
    }

    /// The offset (a JSON object) stored for a source partition (a JSON object), as it was when the task started.
    /// Objects are compared by content.
    pub fn stored_offset(&self, source_partition: &str) -> Option<String> {
        self.host.stored_offset(source_partition)
    }

    /// From now on a change of the file at `path`, which need not exist yet, ends the task's idle time. When there is a
    /// directory at `path`, a change of its entries (one comes, goes or is renamed) and of the files in it does so. One
    /// watch of a directory is better than one of each file in it. Where the operating system does not tell of changes, a
    /// second may pass before the task is woken. False = the host does not watch it: do not idle without a limit then.
    pub fn watch_path(&self, path: &str) -> bool {
        self.host.watch_path(path)
    }

    /// Says how far the task is behind: bytes not read yet, and files not read to their end. The last report is shown in
    /// the task's status, until the task ends; a task that never reports shows none. It costs a few nanoseconds, and
    /// nothing needs to be reported again while it is unchanged.
    pub fn report_lag(&self, bytes: u64, files: u64) {
        self.host.report_lag(Lag { bytes, files });
    }

    /// Lets another thread end this task's idle time.
    pub fn wake_handle(&self) -> WakeHandle {
        WakeHandle {
            host: Arc::clone(&self.host),
        }
    }
}

impl SinkContext {
    /// The context of a task of this host.
    pub fn new(host: Arc<dyn TaskHost>) -> Self {
        Self { host }
    }

    /// Name of the connector.
    pub fn connector(&self) -> &str {
        self.host.connector()
    }

    /// Number of the task.
    pub fn task(&self) -> u32 {
        self.host.task()
    }

    /// Writes a line in the worker's log, constant lower-case text first; the host adds connector and task.
    pub fn log(&self, level: LogLevel, message: &str) {
        log(&*self.host, level, message);
    }

    /// Every committed position of the connector's group, also of partitions that this task does not hold, as they are
    /// when [`open`](crate::Sink::open) is called. A sink that keeps one position for all partitions, such as the length
    /// of a file, finds the newest among them: it may have been committed with a partition that has left since.
    ///
    /// A host that breaks the contract is a fatal error.
    pub fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError> {
        self.host.group_positions()
    }
}

impl WakeHandle {
    /// Ends the idle time now.
    pub fn wake(&self) {
        self.host.wake();
    }
}

fn log(host: &dyn TaskHost, level: LogLevel, message: &str) {
    if level <= host.log_level() {
        host.log(level, message);
    }
}

impl std::fmt::Debug for SourceContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SourceContext({}-{})", self.connector(), self.task())
    }
}

impl std::fmt::Debug for SinkContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SinkContext({}-{})", self.connector(), self.task())
    }
}

impl std::fmt::Debug for WakeHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "WakeHandle({}-{})",
            self.host.connector(),
            self.host.task()
        )
    }
}
