//! What a component may call: the host's half of the WIT package.

use std::{path::Path, time::Duration};

use jackfield_api::{
    ConnectError, ErrorKind, HttpRequest, HttpResponse, Lag, LogLevel, MetricKind, SinkPosition,
    TopicPartition, TransactionBoundary,
};

use url::Url;

use super::{
    bindings::jackfield::plugin::{context, http, log, metrics, sink_context, source_context, types},
    state::State,
};
use crate::{
    SinkWish,
    hosts::HttpTarget,
    services::{log_level, log_outside, printable},
};

impl types::Host for State {}

impl log::Host for State {
    fn max_level(&mut self) -> log::Level {
        match log_level() {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Trace => log::Level::Trace,
        }
    }

    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Error => LogLevel::Error,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Info => LogLevel::Info,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Trace => LogLevel::Trace,
        };
        match self.task() {
            Some(task) => task.log(level, &message),
            None => log_outside(level, &message),
        }
    }
}

impl context::Host for State {
    fn connector_name(&mut self) -> String {
        self.task()
            .map_or_else(String::new, |task| task.connector().to_owned())
    }

    fn task_id(&mut self) -> u32 {
        self.task().map_or(0, |task| task.task())
    }

    fn current_directory(&mut self) -> Option<String> {
        Some(self.directories.current()?.to_str()?.to_owned())
    }

    fn stored_offset(&mut self, source_partition: String) -> Option<String> {
        self.task()?.stored_offset(&source_partition)
    }

    fn group_positions(&mut self) -> Vec<types::Position> {
        let positions = self.task().map_or_else(Vec::new, |task| task.group_positions());
        let position = |at: SinkPosition| types::Position {
            topic: at.topic,
            partition: at.partition,
            offset: at.offset,
            metadata: at.metadata,
        };
        positions.into_iter().map(position).collect()
    }

    fn report_state(&mut self, state: Option<String>) {
        if let Some(task) = self.task() {
            task.report_state(state.as_deref());
        }
    }

    fn request_task_reconfiguration(&mut self) {
        if let Some(task) = self.task() {
            task.request_task_reconfiguration();
        }
    }

    fn report_lag(&mut self, bytes: u64, files: u64) {
        if let Some(task) = self.task() {
            task.report_lag(Lag { bytes, files });
        }
    }

    fn watch_path(&mut self, path: String) -> bool {
        let Some(task) = self.task().cloned() else {
            return false;
        };
        match self.directories.grant(Path::new(&path)) {
            Some(path) => task.watch_path(&path),
            None => {
                self.denied = Some(path.into());
                false
            }
        }
    }
}

impl source_context::Host for State {
    fn transaction_boundary(&mut self, boundary: source_context::Boundary) {
        if let Some(task) = self.task() {
            task.end_transaction(match boundary {
                source_context::Boundary::Commit => TransactionBoundary::Commit,
                source_context::Boundary::Abort => TransactionBoundary::Abort,
            });
        }
    }
}

impl sink_context::Host for State {
    fn pause(&mut self, partitions: Vec<types::TopicPartition>) {
        self.wish(SinkWish::Pause(topic_partitions(partitions)));
    }

    fn resume(&mut self, partitions: Vec<types::TopicPartition>) {
        self.wish(SinkWish::Resume(topic_partitions(partitions)));
    }

    fn seek(&mut self, positions: Vec<types::Position>) {
        let position = |at: types::Position| SinkPosition {
            topic: at.topic,
            partition: at.partition,
            offset: at.offset,
            metadata: at.metadata,
        };
        self.wish(SinkWish::Seek(positions.into_iter().map(position).collect()));
    }

    fn request_commit(&mut self) {
        self.wish(SinkWish::Commit);
    }
}

impl metrics::Host for State {
    fn counter_add(&mut self, name: String, labels: metrics::Labels, delta: u64) {
        #[allow(clippy::cast_precision_loss, reason = "metrics are doubles")]
        self.metric(MetricKind::Counter, &name, labels, delta as f64);
    }

    fn gauge_set(&mut self, name: String, labels: metrics::Labels, value: f64) {
        self.metric(MetricKind::Gauge, &name, labels, value);
    }

    fn histogram_record(&mut self, name: String, labels: metrics::Labels, value: f64) {
        self.metric(MetricKind::Histogram, &name, labels, value);
    }
}

impl http::Host for State {
    fn begin(&mut self, request: http::Request) -> Result<u64, types::Error> {
        let task = self.task().ok_or_else(outside)?;
        Ok(task.http_begin(http_request(request))?)
    }

    fn take(&mut self, number: u64) -> Option<Result<http::Response, types::Error>> {
        let Some(task) = self.task() else {
            return Some(Err(outside().into()));
        };
        Some(
            task.http_take(number)?
                .map(http_response)
                .map_err(types::Error::from),
        )
    }

    async fn fetch(&mut self, request: http::Request) -> Result<http::Response, types::Error> {
        let task = self.task().cloned().ok_or_else(outside)?;
        // Kept when the call is given up.
        self.waiting_for = Some(format!("the answer to {}", shown(&request)));
        let answered = task.http_fetch(http_request(request)).await;
        self.waiting_for = None;
        Ok(http_response(answered?))
    }
}

impl State {
    fn wish(&mut self, wish: SinkWish) {
        if let Some(task) = self.task() {
            task.wish(wish);
        }
    }

    fn metric(&mut self, kind: MetricKind, name: &str, labels: metrics::Labels, value: f64) {
        if let Some(task) = self.task() {
            task.metric(kind, name, labels, value);
        }
    }
}

fn topic_partitions(partitions: Vec<types::TopicPartition>) -> Vec<TopicPartition> {
    let partition = |at: types::TopicPartition| TopicPartition {
        topic: at.topic,
        partition: at.partition,
    };
    partitions.into_iter().map(partition).collect()
}

fn outside() -> ConnectError {
    ConnectError::fatal("an HTTP request outside of a task")
}

/// A request without anything that may be secret.
fn shown(request: &http::Request) -> String {
    let target = Url::parse(&request.url)
        .ok()
        .and_then(|url| HttpTarget::of(&url).ok());
    let target = target.map_or_else(|| "an invalid URL".to_owned(), |target| target.to_string());
    let method = &*printable(&request.method);
    format!("{method} {target}")
}

fn http_request(request: http::Request) -> HttpRequest {
    HttpRequest {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body,
        timeout: request
            .timeout_ms
            .map(|millis| Duration::from_millis(millis.into())),
    }
}

fn http_response(response: HttpResponse) -> http::Response {
    http::Response {
        status: response.status,
        headers: response.headers,
        body: response.body,
    }
}

impl From<ConnectError> for types::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match error.kind {
            ErrorKind::Retriable => types::ErrorKind::Retriable,
            ErrorKind::Data => types::ErrorKind::Data,
            ErrorKind::Config => types::ErrorKind::Config,
            ErrorKind::Fatal => types::ErrorKind::Fatal,
        };
        Self {
            kind,
            message: error.message,
        }
    }
}
