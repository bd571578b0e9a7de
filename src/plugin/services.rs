//! What the host does for a running task, the same for both forms: log lines, stored offsets, wake-ups, path watching.

use std::{
    path::Path,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Instant,
};

use jackfield_api::{
    ConnectError, HttpRequest, HttpResponse, Lag, LogLevel, MetricKind, SinkPosition, TransactionBoundary,
};

use crate::{
    SinkWish, TaskServices,
    http::{self, Requests},
    limits::MAX_PARTITION_BYTES,
    log_budget::{LeftOut, LogBudget, Verdict},
    metrics::Labels,
    watch::{Watch, Watcher},
};

/// Longest log line of a plugin that is kept.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// Paths one task may watch.
const MAX_WATCHES: usize = 1_000;

/// The host as one task sees it.
#[derive(Debug)]
pub(crate) struct HostTask {
    services: TaskServices,
    watcher: Arc<Watcher>,
    watches: Mutex<Vec<Watch>>,
    requests: Requests,
    log: Mutex<LogBudget>,
    /// For threads of plugins.
    runtime: tokio::runtime::Handle,
}

impl HostTask {
    /// To be made inside of the runtime.
    pub(crate) fn new(services: TaskServices, watcher: Arc<Watcher>, requests: Requests) -> Arc<Self> {
        Arc::new(Self {
            services,
            watcher,
            watches: Mutex::default(),
            requests,
            log: Mutex::new(LogBudget::new(Instant::now())),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    pub(crate) fn connector(&self) -> &str {
        &self.services.connector
    }

    pub(crate) fn task(&self) -> u32 {
        self.services.task
    }

    pub(crate) fn wake(&self) {
        self.services.wake.notify_one();
    }

    pub(crate) fn stored_offset(&self, source_partition: &str) -> Option<String> {
        // It is parsed, which takes many times its size.
        if source_partition.len() > MAX_PARTITION_BYTES {
            let bytes = source_partition.len();
            self.log(
                LogLevel::Error,
                &format!("source partition of {bytes} bytes, at most {MAX_PARTITION_BYTES} are looked up"),
            );
            return None;
        }
        self.services.stored_offsets.read(source_partition)
    }

    pub(crate) fn group_positions(&self) -> Vec<SinkPosition> {
        self.services.stored_offsets.group_positions()
    }

    /// Keeps how far the task is behind.
    pub(crate) fn report_lag(&self, lag: Lag) {
        self.services.report.report_lag(lag);
    }

    /// Keeps what the task is doing, as one printable line.
    pub(crate) fn report_state(&self, state: Option<&str>) {
        self.services.report.report_state(state.map(printable).as_deref());
    }

    /// Asks for the connector's task configs anew.
    pub(crate) fn request_task_reconfiguration(&self) {
        self.services.wishes.request_reconfiguration();
    }

    /// Keeps where a source ends a transaction.
    pub(crate) fn end_transaction(&self, boundary: TransactionBoundary) {
        self.services.wishes.end_transaction(boundary);
    }

    /// Counts a number of the task's own; the log says why one is left out.
    pub(crate) fn metric(&self, kind: MetricKind, name: &str, labels: Labels, value: f64) {
        if let Err(refused) = self.services.report.metrics().record(kind, name, labels, value) {
            self.log(LogLevel::Warn, &refused);
        }
    }

    /// Keeps what a sink wants when its present call has returned.
    pub(crate) fn wish(&self, wish: SinkWish) {
        if !self.services.wishes.wish(wish) {
            self.log(
                LogLevel::Error,
                "too many requests of a sink in one call, left out",
            );
        }
    }

    /// Wakes the task from now on when the file changes. False = too many paths.
    pub(crate) fn watch_path(&self, path: &Path) -> bool {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.iter().any(|watch| watch.path() == path) {
            return true;
        }
        if watches.len() >= MAX_WATCHES {
            return false;
        }
        watches.push(self.watcher.watch(path, Arc::clone(&self.services.wake)));
        true
    }

    /// Ends all watching and all requests; what comes too late from a plugin's own thread is harmless.
    pub(crate) fn unwatch(&self) {
        self.requests.end();
        self.watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Begins an HTTP request of the task.
    pub(crate) fn http_begin(&self, request: HttpRequest) -> Result<u64, ConnectError> {
        self.requests.begin(asked(request))
    }

    /// How an HTTP request of the task ended, once.
    pub(crate) fn http_take(&self, number: u64) -> Option<Result<HttpResponse, ConnectError>> {
        self.requests.take(number).map(|ended| ended.map(answered))
    }

    /// Makes an HTTP request.
    pub(crate) async fn http_fetch(&self, request: HttpRequest) -> Result<HttpResponse, ConnectError> {
        self.requests.fetch(asked(request)).await.map(answered)
    }

    /// Makes an HTTP request on a thread that may block.
    pub(crate) fn http_fetch_blocking(&self, request: HttpRequest) -> Result<HttpResponse, ConnectError> {
        self.runtime.block_on(self.http_fetch(request))
    }

    /// Writes a plugin's log line within the task's budget.
    pub(crate) fn log(&self, level: LogLevel, message: &str) {
        write_within(&self.log, level, self.connector(), self.task(), message);
    }
}

impl Drop for HostTask {
    fn drop(&mut self) {
        let budget = self.log.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = budget.take_left_out() {
            tell(left_out, self.connector(), self.task());
        }
    }
}

fn asked(request: HttpRequest) -> http::HttpRequest {
    http::HttpRequest {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.into(),
        timeout: request.timeout,
    }
}

fn answered(response: http::HttpResponse) -> HttpResponse {
    HttpResponse {
        status: response.status,
        headers: response.headers,
        body: response.body.into(),
    }
}

/// The most verbose level anything is kept at.
pub(crate) fn log_level() -> LogLevel {
    use tracing::level_filters::LevelFilter;
    match LevelFilter::current() {
        LevelFilter::OFF | LevelFilter::ERROR => LogLevel::Error,
        LevelFilter::WARN => LogLevel::Warn,
        LevelFilter::INFO => LogLevel::Info,
        LevelFilter::DEBUG => LogLevel::Debug,
        _ => LogLevel::Trace,
    }
}

/// Writes a log line that belongs to no task; all such lines have one budget.
pub(crate) fn log_outside(level: LogLevel, message: &str) {
    static BUDGET: LazyLock<Mutex<LogBudget>> = LazyLock::new(|| Mutex::new(LogBudget::new(Instant::now())));
    write_within(&BUDGET, level, "", 0, message);
}

fn write_within(budget: &Mutex<LogBudget>, level: LogLevel, connector: &str, task: u32, message: &str) {
    let bytes = message.len().min(MAX_LINE_BYTES);
    let verdict = {
        let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.take(bytes, Instant::now())
    };
    if let Verdict::Write(left_out) = verdict {
        if let Some(left_out) = left_out {
            tell(left_out, connector, task);
        }
        write_line(level, connector, task, message);
    }
}

fn tell(left_out: LeftOut, connector: &str, task: u32) {
    let LeftOut { lines, bytes } = left_out;
    tracing::warn!(
        connector,
        task,
        lines,
        bytes,
        "plugin log lines left out: too many"
    );
}

fn write_line(level: LogLevel, connector: &str, task: u32, message: &str) {
    let message = &*printable(message);
    match level {
        LogLevel::Error => tracing::error!(target: "jackfield_plugin::log", connector, task, message),
        LogLevel::Warn => tracing::warn!(target: "jackfield_plugin::log", connector, task, message),
        LogLevel::Info => tracing::info!(target: "jackfield_plugin::log", connector, task, message),
        LogLevel::Debug => tracing::debug!(target: "jackfield_plugin::log", connector, task, message),
        LogLevel::Trace => tracing::trace!(target: "jackfield_plugin::log", connector, task, message),
    }
}

/// A line that cannot forge other lines: shortened, control characters escaped.
pub(crate) fn printable(message: &str) -> std::borrow::Cow<'_, str> {
    let mut end = message.len().min(MAX_LINE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let kept = message[..end].trim_end();
    if end == message.len() && !kept.contains(char::is_control) {
        return kept.into();
    }
    let mut line = String::with_capacity(kept.len() + 16);
    for character in kept.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if end < message.len() {
        line.push('…');
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_printable() {
        assert_eq!(printable("plain line\n"), "plain line");
        assert_eq!(printable("a\nERROR forged\x1b[0m"), "a\\nERROR forged\\u{1b}[0m");
        let long = printable(&"ä".repeat(MAX_LINE_BYTES)).into_owned();
        assert_eq!(long.chars().count(), MAX_LINE_BYTES / 2 + 1);
        assert!(long.ends_with("ä…"));
    }
}
