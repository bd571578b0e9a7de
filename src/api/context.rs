//! What a running task may ask of its host.

use std::{ops::Deref, sync::Arc};

use crate::{ConnectError, Http, HttpRequest, HttpResponse, SinkPosition, TopicPartition};

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
    /// Keeps what the task is doing, until it says something else.
    fn report_state(&self, state: Option<&str>);
    /// Asks for the connector's task configs anew.
    fn request_task_reconfiguration(&self);
    /// Ends a transaction of a source's own.
    fn transaction_boundary(&self, boundary: TransactionBoundary);
    /// Something a sink wants after the present call.
    fn request_of_sink(&self, request: SinkRequest<'_>);
    /// A number of the task's own.
    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)], value: f64);
    /// Begins a request, see [`Http::begin`].
    fn http_begin(&self, request: &HttpRequest) -> Result<u64, ConnectError>;
    /// How a request ended, once.
    fn http_take(&self, number: u64) -> Option<Result<HttpResponse, ConnectError>>;
    /// Makes a request and waits for its end.
    fn http_fetch(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectError>;
}

/// Where a source ends a transaction of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionBoundary {
    /// The batch that this poll returns ends a transaction.
    Commit,
    /// What was returned since the last boundary, this batch included, is taken back.
    Abort,
}

/// What a sink wants when its present call has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkRequest<'a> {
    /// Nothing more of these partitions.
    Pause(&'a [TopicPartition]),
    /// These partitions again.
    Resume(&'a [TopicPartition]),
    /// Its partitions from these offsets on; metadata is not looked at.
    Seek(&'a [SinkPosition]),
    /// `pre_commit` and a commit now, not at the end of the interval.
    Commit,
}

/// Kinds of metrics, Prometheus' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It grows by the value.
    Counter,
    /// It has the value from now on.
    Gauge,
    /// The value is counted in it; durations in seconds.
    Histogram,
}

impl MetricKind {
    /// The kind as the C ABI writes it.
    pub fn abi_code(self) -> u8 {
        match self {
            Self::Counter => crate::abi::METRIC_COUNTER,
            Self::Gauge => crate::abi::METRIC_GAUGE,
            Self::Histogram => crate::abi::METRIC_HISTOGRAM,
        }
    }

    /// Reads the kind of the C ABI; `None` = there is no such kind.
    pub fn from_abi_code(code: u8) -> Option<Self> {
        match code {
            crate::abi::METRIC_COUNTER => Some(Self::Counter),
            crate::abi::METRIC_GAUGE => Some(Self::Gauge),
            crate::abi::METRIC_HISTOGRAM => Some(Self::Histogram),
            _ => None,
        }
    }
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

/// Services for every task.
#[derive(Clone)]
pub struct TaskContext {
    host: Arc<dyn TaskHost>,
}

/// Services for a source task, those of [`TaskContext`] among them.
#[derive(Clone)]
pub struct SourceContext(TaskContext);

/// Services for a sink task, those of [`TaskContext`] among them.
#[derive(Clone)]
pub struct SinkContext(TaskContext);

/// Ends the idle time of its task, from any thread of the connector's own. Harmless after the task has ended.
/// Components have no threads, there it does nothing.
#[derive(Clone)]
pub struct WakeHandle {
    host: Arc<dyn TaskHost>,
}

impl TaskContext {
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
        if level <= self.host.log_level() {
            self.host.log(level, message);
        }
    }

    /// Says what the task is doing that an operator should know, such as `snapshot of table a: 40 %`. It is shown in the
    /// task's status until the task says something else; `None` takes it away.
    pub fn report_state(&self, state: Option<&str>) {
        self.host.report_state(state);
    }

    /// Asks the worker for [`task_configs`](crate::Connector::task_configs) anew: there is more or less to do than when the
    /// task started. The connector's tasks are started anew when the answer differs, so a request too many costs little.
    pub fn request_task_reconfiguration(&self) {
        self.host.request_task_reconfiguration();
    }

    /// A counter of the task's own grows. Names match `[a-z][a-z0-9_]*`; the host adds the labels `connector` and `task`, and
    /// leaves out what is beyond its limits, saying so in the log.
    pub fn counter_add(&self, name: &str, labels: &[(&str, &str)], delta: u64) {
        #[allow(clippy::cast_precision_loss, reason = "metrics are doubles")]
        self.host.metric(MetricKind::Counter, name, labels, delta as f64);
    }

    /// A gauge of the task's own has this value from now on; see [`TaskContext::counter_add`].
    pub fn gauge_set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.host.metric(MetricKind::Gauge, name, labels, value);
    }

    /// Counts a value in a histogram of the task's own, durations in seconds; see [`TaskContext::counter_add`].
    pub fn histogram_record(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.host.metric(MetricKind::Histogram, name, labels, value);
    }

    /// HTTP requests through the host.
    pub fn http(&self) -> Http {
        Http::new(Arc::clone(&self.host))
    }
}

impl SourceContext {
    /// The context of a task of this host.
    pub fn new(host: Arc<dyn TaskHost>) -> Self {
        Self(TaskContext::new(host))
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

    /// Ends a transaction of the connector's own, with `transaction.boundary=connector`; to be called during `poll`, for the
    /// batch that it returns. Otherwise it has no effect.
    pub fn transaction_boundary(&self, boundary: TransactionBoundary) {
        self.host.transaction_boundary(boundary);
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
        Self(TaskContext::new(host))
    }

    /// Every committed position of the connector's group, also of partitions that this task does not hold, as they are
    /// when [`open`](crate::Sink::open) is called. A sink that keeps one position for all partitions, such as the length
    /// of a file, finds the newest among them: it may have been committed with a partition that has left since.
    ///
    /// A host that breaks the contract is a fatal error.
    pub fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError> {
        self.host.group_positions()
    }

    /// Delivers nothing more of these partitions, from the end of the present call on.
    pub fn pause(&self, partitions: &[TopicPartition]) {
        self.host.request_of_sink(SinkRequest::Pause(partitions));
    }

    /// Delivers these partitions again, from the end of the present call on.
    pub fn resume(&self, partitions: &[TopicPartition]) {
        self.host.request_of_sink(SinkRequest::Resume(partitions));
    }

    /// Delivers from these offsets on, from the end of the present call on: for sinks that keep their positions in their own
    /// system, in [`open`](crate::Sink::open). Metadata is not looked at.
    pub fn seek(&self, positions: &[SinkPosition]) {
        self.host.request_of_sink(SinkRequest::Seek(positions));
    }

    /// Lets [`pre_commit`](crate::Sink::pre_commit) and a commit follow the present call, not the interval.
    pub fn request_commit(&self) {
        self.host.request_of_sink(SinkRequest::Commit);
    }
}

impl Deref for SourceContext {
    type Target = TaskContext;

    fn deref(&self) -> &TaskContext {
        &self.0
    }
}

impl Deref for SinkContext {
    type Target = TaskContext;

    fn deref(&self) -> &TaskContext {
        &self.0
    }
}

impl WakeHandle {
    /// Ends the idle time now.
    pub fn wake(&self) {
        self.host.wake();
    }
}

impl std::fmt::Debug for TaskContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TaskContext({}-{})", self.connector(), self.task())
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
