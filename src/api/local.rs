//! A host in memory: runs a connector's tasks inside a test of its own, without a worker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    ConnectError, HttpRequest, HttpResponse, Lag, LogLevel, MetricKind, SinkContext, SinkPosition,
    SinkRequest, SourceContext, TaskContext, TaskHost, TopicPartition, TransactionBoundary,
};

/// A host in memory. Nothing watches paths unless it is told to say so, and nothing answers HTTP requests unless
/// [`LocalHost::answer`] says how.
#[derive(Debug, Default)]
pub struct LocalHost {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stored: Vec<(serde_json::Value, String)>,
    group: Vec<SinkPosition>,
    watches: bool,
    watched: Vec<String>,
    wakes: usize,
    lag: Option<Lag>,
    lines: Vec<(LogLevel, String)>,
    reported: Option<String>,
    reconfigurations: usize,
    boundaries: Vec<TransactionBoundary>,
    paused: Vec<TopicPartition>,
    sought: Vec<SinkPosition>,
    commit_requests: usize,
    metrics: BTreeMap<String, f64>,
    answers: Option<Answers>,
    begun: Vec<Option<HttpRequest>>,
}

type Answer = Result<HttpResponse, ConnectError>;

/// What answers HTTP requests.
struct Answers(Box<dyn FnMut(&HttpRequest) -> Answer + Send>);

impl std::fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Answers")
    }
}

impl LocalHost {
    /// A host without stored offsets.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Stores a source offset, both JSON objects.
    pub fn store(&self, source_partition: &str, offset: &str) -> Result<(), serde_json::Error> {
        let partition = serde_json::from_str(source_partition)?;
        let mut state = self.state();
        state.stored.retain(|(known, _)| *known != partition);
        state.stored.push((partition, offset.to_owned()));
        Ok(())
    }

    /// The committed positions of the sink's group from now on.
    pub fn set_group_positions(&self, positions: Vec<SinkPosition>) {
        self.state().group = positions;
    }

    /// What `watch_path` answers from now on.
    pub fn set_watches(&self, watches: bool) {
        self.state().watches = watches;
    }

    /// Paths a task asked to be watched.
    pub fn watched(&self) -> Vec<String> {
        self.state().watched.clone()
    }

    /// How often a task was woken.
    pub fn wakes(&self) -> usize {
        self.state().wakes
    }

    /// What the task reported last.
    pub fn lag(&self) -> Option<Lag> {
        self.state().lag
    }

    /// Log lines so far.
    pub fn lines(&self) -> Vec<(LogLevel, String)> {
        self.state().lines.clone()
    }

    /// What the task says it is doing.
    pub fn reported_state(&self) -> Option<String> {
        self.state().reported.clone()
    }

    /// How often the task asked for its connector's task configs anew.
    pub fn reconfigurations(&self) -> usize {
        self.state().reconfigurations
    }

    /// Where the source ended transactions.
    pub fn transaction_boundaries(&self) -> Vec<TransactionBoundary> {
        self.state().boundaries.clone()
    }

    /// Partitions that the sink paused and did not resume.
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.state().paused.clone()
    }

    /// Positions that the sink sought, in order.
    pub fn sought(&self) -> Vec<SinkPosition> {
        self.state().sought.clone()
    }

    /// How often the sink asked for a commit.
    pub fn commit_requests(&self) -> usize {
        self.state().commit_requests
    }

    /// A metric by its name and labels, written `name{key="value"}`: a counter's sum, a gauge's value, the sum of a histogram.
    pub fn metric(&self, series: &str) -> Option<f64> {
        self.state().metrics.get(series).copied()
    }

    /// Answers HTTP requests from now on. A request that was begun is answered when the task takes it.
    pub fn answer(&self, answers: impl FnMut(&HttpRequest) -> Answer + Send + 'static) {
        self.state().answers = Some(Answers(Box::new(answers)));
    }

    /// A context for a transform.
    pub fn task_context(self: &Arc<Self>) -> TaskContext {
        TaskContext::new(Arc::<Self>::clone(self))
    }

    /// A context for a source task.
    pub fn source_context(self: &Arc<Self>) -> SourceContext {
        SourceContext::new(Arc::<Self>::clone(self))
    }

    /// A context for a sink task.
    pub fn sink_context(self: &Arc<Self>) -> SinkContext {
        SinkContext::new(Arc::<Self>::clone(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskHost for LocalHost {
    fn connector(&self) -> &str {
        "local"
    }

    fn task(&self) -> u32 {
        0
    }

    fn log_level(&self) -> LogLevel {
        LogLevel::Trace
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.state().lines.push((level, message.to_owned()));
    }

    fn stored_offset(&self, source_partition: &str) -> Option<String> {
        let partition: serde_json::Value = serde_json::from_str(source_partition).ok()?;
        let state = self.state();
        state
            .stored
            .iter()
            .find(|(known, _)| *known == partition)
            .map(|(_, offset)| offset.clone())
    }

    fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError> {
        Ok(self.state().group.clone())
    }

    fn watch_path(&self, path: &str) -> bool {
        let mut state = self.state();
        state.watched.push(path.to_owned());
        state.watches
    }

    fn wake(&self) {
        self.state().wakes += 1;
    }

    fn report_lag(&self, lag: Lag) {
        self.state().lag = Some(lag);
    }

    fn report_state(&self, state: Option<&str>) {
        self.state().reported = state.map(str::to_owned);
    }

    fn request_task_reconfiguration(&self) {
        self.state().reconfigurations += 1;
    }

    fn transaction_boundary(&self, boundary: TransactionBoundary) {
        self.state().boundaries.push(boundary);
    }

    fn request_of_sink(&self, request: SinkRequest<'_>) {
        let mut state = self.state();
        match request {
            SinkRequest::Pause(partitions) => state.paused.extend_from_slice(partitions),
            SinkRequest::Resume(partitions) => state.paused.retain(|at| !partitions.contains(at)),
            SinkRequest::Seek(positions) => state.sought.extend_from_slice(positions),
            SinkRequest::Commit => state.commit_requests += 1,
        }
    }

    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        let series = match labels.is_empty() {
            true => name.to_owned(),
            false => format!("{name}{{{}}}", labels.join(",")),
        };
        let mut state = self.state();
        let known = state.metrics.entry(series).or_default();
        match kind {
            MetricKind::Gauge => *known = value,
            MetricKind::Counter | MetricKind::Histogram => *known += value,
        }
    }

    fn http_begin(&self, request: &HttpRequest) -> Result<u64, ConnectError> {
        let mut state = self.state();
        state.begun.push(Some(request.clone()));
        Ok(state.begun.len() as u64)
    }

    fn http_take(&self, number: u64) -> Option<Result<HttpResponse, ConnectError>> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let request = self.state().begun.get_mut(index)?.take()?;
        Some(self.http_fetch(&request))
    }

    fn http_fetch(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectError> {
        // Away meanwhile, so that it may use this host.
        let Some(mut answers) = self.state().answers.take() else {
            return Err(ConnectError::retriable(format!("nothing answers {request:?}")));
        };
        let answer = (answers.0)(request);
        self.state().answers.get_or_insert(answers);
        answer
    }
}
