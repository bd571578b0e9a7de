//! The host behind the component's imports.

use std::{sync::Arc, time::Duration};

use super::{
    bindings::jackfield::plugin::{context, http, log, metrics, sink_context, source_context, types},
    positions,
};
use crate::{
    ConnectError, ErrorKind, HttpRequest, HttpResponse, Lag, LogLevel, MetricKind, SinkPosition, SinkRequest,
    TaskHost, TopicPartition, TransactionBoundary,
};

/// The host through the component's imports.
struct ImportedHost {
    connector: String,
    task: u32,
}

pub(super) fn host() -> Arc<dyn TaskHost> {
    if let Some(directory) = context::current_directory() {
        // It fails when the host does not open it to this component; relative paths are not found then.
        std::env::set_current_dir(directory).ok();
    }
    Arc::new(ImportedHost {
        connector: context::connector_name(),
        task: context::task_id(),
    })
}

impl TaskHost for ImportedHost {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn task(&self) -> u32 {
        self.task
    }

    fn log_level(&self) -> LogLevel {
        match log::max_level() {
            log::Level::Error => LogLevel::Error,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Info => LogLevel::Info,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Trace => LogLevel::Trace,
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Trace => log::Level::Trace,
        };
        log::write(level, message);
    }

    fn stored_offset(&self, source_partition: &str) -> Option<String> {
        context::stored_offset(source_partition)
    }

    fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError> {
        Ok(positions(context::group_positions()))
    }

    fn watch_path(&self, path: &str) -> bool {
        context::watch_path(path)
    }

    fn wake(&self) {}

    fn report_lag(&self, lag: Lag) {
        context::report_lag(lag.bytes, lag.files);
    }

    fn report_state(&self, state: Option<&str>) {
        context::report_state(state);
    }

    fn request_task_reconfiguration(&self) {
        context::request_task_reconfiguration();
    }

    fn transaction_boundary(&self, boundary: TransactionBoundary) {
        source_context::transaction_boundary(match boundary {
            TransactionBoundary::Commit => source_context::Boundary::Commit,
            TransactionBoundary::Abort => source_context::Boundary::Abort,
        });
    }

    fn request_of_sink(&self, request: SinkRequest<'_>) {
        match request {
            SinkRequest::Pause(partitions) => sink_context::pause(&wit_partitions(partitions)),
            SinkRequest::Resume(partitions) => sink_context::resume(&wit_partitions(partitions)),
            SinkRequest::Seek(positions) => {
                let position = |at: &SinkPosition| types::Position {
                    topic: at.topic.clone(),
                    partition: at.partition,
                    offset: at.offset,
                    metadata: at.metadata.clone(),
                };
                sink_context::seek(&positions.iter().map(position).collect::<Vec<_>>());
            }
            SinkRequest::Commit => sink_context::request_commit(),
        }
    }

    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)], value: f64) {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let labels: Vec<_> = labels.iter().map(owned).collect();
        match kind {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counters come as whole numbers"
            )]
            MetricKind::Counter => metrics::counter_add(name, &labels, value as u64),
            MetricKind::Gauge => metrics::gauge_set(name, &labels, value),
            MetricKind::Histogram => metrics::histogram_record(name, &labels, value),
        }
    }

    fn http_begin(&self, request: &HttpRequest) -> Result<u64, ConnectError> {
        Ok(http::begin(&wit_request(request))?)
    }

    fn http_take(&self, number: u64) -> Option<Result<HttpResponse, ConnectError>> {
        Some(response(http::take(number)?))
    }

    fn http_fetch(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectError> {
        response(http::fetch(&wit_request(request)))
    }
}

fn wit_partitions(partitions: &[TopicPartition]) -> Vec<types::TopicPartition> {
    let partition = |at: &TopicPartition| types::TopicPartition {
        topic: at.topic.clone(),
        partition: at.partition,
    };
    partitions.iter().map(partition).collect()
}

fn wit_request(request: &HttpRequest) -> http::Request {
    let millis = |timeout: Duration| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    http::Request {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        timeout_ms: request.timeout.map(millis),
    }
}

fn response(ended: Result<http::Response, types::Error>) -> Result<HttpResponse, ConnectError> {
    let http::Response {
        status,
        headers,
        body,
    } = ended?;
    Ok(HttpResponse {
        status,
        headers,
        body,
    })
}

impl From<types::Error> for ConnectError {
    fn from(error: types::Error) -> Self {
        let kind = match error.kind {
            types::ErrorKind::Retriable => ErrorKind::Retriable,
            types::ErrorKind::Data => ErrorKind::Data,
            types::ErrorKind::Config => ErrorKind::Config,
            types::ErrorKind::Fatal => ErrorKind::Fatal,
        };
        Self {
            kind,
            message: error.message,
        }
    }
}
