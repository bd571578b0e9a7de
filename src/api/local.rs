//! A host in memory: runs a connector's tasks inside a test of its own, without a worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{ConnectError, Lag, LogLevel, SinkContext, SinkPosition, SourceContext, TaskHost};

/// A host in memory. Nothing watches paths unless it is told to say so.
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
}
