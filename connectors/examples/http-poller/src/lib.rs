//! A source that polls a JSON API: `GET` a URL with a cursor in it, one record per element of the array that comes back, and
//! the cursor of the last one in the next request.
//!
//! ```properties
//! connector.class=HttpPoller
//! http.url=https://api.example.com/events?after={cursor}
//! topic=events
//! records.pointer=/items
//! cursor.pointer=/id
//! cursor.initial=0
//! ```
//!
//! The cursor of a record is its source offset, so a restart asks for what comes behind the last stored record. A page with
//! records is followed by the next one at once, one without by `poll.interval.ms` of rest. Answers with status 408, 429 and
//! 5xx, and connections that fail, are tried again with the worker's back-off.

use std::{collections::VecDeque, time::Duration};

use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, HttpCall, HttpRequest, HttpResponse,
    Options, Password, PollLimits, Polled, Source, SourceContext,
    batch::{BatchBuilder, DraftValue},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

const CURSOR: &str = "{cursor}";

/// The options.
#[derive(Debug, Options)]
pub struct Settings {
    /// URL of the API; {cursor} in it is replaced with the cursor, percent-encoded.
    #[option(name = "http.url", importance = high, non_empty)]
    url: String,
    /// Topic to write to.
    #[option(importance = high, non_empty)]
    topic: String,
    /// JSON pointer (RFC 6901) to the array of records in the answer; empty when the answer is the array.
    #[option(default = "")]
    records_pointer: String,
    /// JSON pointer to the cursor in each record.
    #[option(importance = high, non_empty)]
    cursor_pointer: String,
    /// Cursor of the first request.
    #[option(default = "")]
    cursor_initial: String,
    /// JSON pointer to the key in each record; without it records have no key.
    key_pointer: Option<String>,
    /// Milliseconds to rest after an answer without records.
    #[option(name = "poll.interval.ms", default = 1000, range = 1..)]
    interval: Duration,
    /// Value of the Authorization header, for example "Bearer …".
    #[option(name = "http.authorization")]
    authorization: Option<Password>,
    /// Milliseconds that a request may take.
    #[option(name = "http.request.timeout.ms", importance = low, default = 30000, range = 1..=600_000)]
    timeout: Duration,
}

/// The task.
#[derive(Debug)]
pub struct HttpPollerSource {
    settings: Settings,
    context: SourceContext,
    /// Source partition: the API, without its cursor.
    partition: String,
    cursor: String,
    waiting: VecDeque<Found>,
    call: Option<HttpCall>,
}

/// An element of an answer.
#[derive(Debug)]
struct Found {
    key: Option<String>,
    value: String,
    cursor: String,
}

impl Connector for HttpPollerSource {
    const CLASS: &'static str = "jackfield.examples.HttpPollerSource";
    const ALIASES: &'static [&'static str] = &["HttpPoller"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        Settings::config_def()
    }

    fn validate(config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        let settings = Settings::read(config)?;
        let mut issues = Vec::new();
        let mut issue = |name: &str, message: &str| {
            issues.push(ConfigValueIssue {
                name: name.to_owned(),
                message: message.to_owned(),
            });
        };
        if !settings.url.contains(CURSOR) {
            issue(
                "http.url",
                "the URL has no {cursor}: the same records would come with each request",
            );
        }
        let pointer = |pointer: &str| pointer.is_empty() || pointer.starts_with('/');
        for (name, value) in [
            ("records.pointer", Some(&settings.records_pointer)),
            ("cursor.pointer", Some(&settings.cursor_pointer)),
            ("key.pointer", settings.key_pointer.as_ref()),
        ] {
            if value.is_some_and(|value| !pointer(value)) {
                issue(name, "a JSON pointer starts with /, for example /data/id");
            }
        }
        Ok(issues)
    }
}

impl Source for HttpPollerSource {
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError> {
        let settings = Settings::read(config)?;
        let partition = json!({ "url": settings.url }).to_string();
        let cursor = match context.stored_offset(&partition) {
            Some(offset) => stored_cursor(&offset)?,
            None => settings.cursor_initial.clone(),
        };
        Ok(Self {
            settings,
            context,
            partition,
            cursor,
            waiting: VecDeque::new(),
            call: None,
        })
    }

    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        if self.waiting.is_empty() {
            let Some(call) = self.call else {
                self.call = Some(self.context.http().begin(&self.request())?);
                return Ok(Polled::Idle(None));
            };
            let Some(answer) = self.context.http().take(call) else {
                return Ok(Polled::Idle(None));
            };
            self.call = None;
            self.waiting = self.found(&answer?)?;
            if self.waiting.is_empty() {
                let rest = u64::try_from(self.settings.interval.as_millis()).unwrap_or(u64::MAX);
                return Ok(Polled::Idle(Some(rest)));
            }
        }
        let is_full = |batch: &BatchBuilder| {
            batch.len() >= limits.max_records as usize || batch.size_bytes() >= limits.max_bytes as usize
        };
        // The record that passes the limit is still delivered.
        while batch.is_empty() || !is_full(batch) {
            let Some(found) = self.waiting.pop_front() else {
                break;
            };
            let offset = json!({ "cursor": found.cursor }).to_string();
            let key = found.key.as_deref().map_or(DraftValue::Null, DraftValue::Utf8);
            let record = batch
                .record(&self.settings.topic)
                .key(key)
                .value(DraftValue::Json(&found.value));
            record.source(&self.partition, &offset).push()?;
            self.cursor = found.cursor;
        }
        self.context.counter_add("records_total", &[], batch.len() as u64);
        Ok(Polled::Records)
    }
}

impl HttpPollerSource {
    fn request(&self) -> HttpRequest {
        let cursor = utf8_percent_encode(&self.cursor, NON_ALPHANUMERIC).to_string();
        let request = HttpRequest::get(self.settings.url.replace(CURSOR, &cursor))
            .header("Accept", "application/json")
            .timeout(self.settings.timeout);
        match &self.settings.authorization {
            Some(authorization) => request.header("Authorization", authorization.reveal()),
            None => request,
        }
    }

    /// The records of an answer.
    fn found(&self, answer: &HttpResponse) -> Result<VecDeque<Found>, ConnectError> {
        let url = &self.settings.url;
        match answer.status {
            200..300 => {}
            status @ (408 | 429 | 500..) => {
                return Err(ConnectError::retriable(format!(
                    "{url} answered with status {status}"
                )));
            }
            status => {
                return Err(ConnectError::fatal(format!(
                    "{url} answered with status {status}"
                )));
            }
        }
        let body: Value = serde_json::from_str(answer.text()?)
            .map_err(|cause| ConnectError::fatal(format!("the answer of {url} is not JSON: {cause}")))?;
        let pointer = &self.settings.records_pointer;
        let Some(Value::Array(records)) = body.pointer(pointer) else {
            return Err(ConnectError::config(format!(
                "records.pointer {pointer:?} finds no array in the answer of {url}"
            )));
        };
        records.iter().map(|record| self.record(record)).collect()
    }

    fn record(&self, record: &Value) -> Result<Found, ConnectError> {
        let at = |pointer: &String| record.pointer(pointer).filter(|found| !found.is_null()).map(text);
        let cursor = at(&self.settings.cursor_pointer).ok_or_else(|| {
            let pointer = &self.settings.cursor_pointer;
            ConnectError::config(format!(
                "cursor.pointer {pointer:?} finds nothing in the record {record}"
            ))
        })?;
        Ok(Found {
            key: self.settings.key_pointer.as_ref().and_then(at),
            value: record.to_string(),
            cursor,
        })
    }
}

/// Texts without their quotes, everything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Offsets may be changed by operators, so they are read like any other input.
fn stored_cursor(offset: &str) -> Result<String, ConnectError> {
    let read: Option<Value> = serde_json::from_str(offset).ok();
    let cursor = read.as_ref().and_then(|offset| offset.get("cursor")?.as_str());
    cursor.map(str::to_owned).ok_or_else(|| {
        ConnectError::config(format!(
            "the stored offset {offset} is not {{\"cursor\":\"…\"}}: reset the connector's offsets"
        ))
    })
}

jackfield_api::export_source!(HttpPollerSource);

#[cfg(test)]
mod tests;
