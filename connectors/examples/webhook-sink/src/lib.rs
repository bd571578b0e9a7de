//! A sink that sends records to an HTTP endpoint, as JSON:
//!
//! ```json
//! {"topic":"events","partition":0,"offset":7,"timestamp":1700000000000,"key":"k","value":{"a":1},"headers":{"h":"x"}}
//! ```
//!
//! With `batch.max.records` above 1 a request has an array of them. JSON values go in as they are, text as text, bytes in
//! base64. Records are committed when the endpoint has accepted them, so each is delivered at least once; the header
//! `Idempotency-Key` (`topic-partition-offset` of the first record) lets the endpoint recognise repetitions.
//!
//! Answers with status 408, 429 and 5xx, and connections that fail, are tried again with the worker's back-off, without
//! repeating what was accepted before. Any other status rejects the records of the request: `errors.tolerance` decides.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, HttpRequest, Options, Password,
    RecordError, Sink, SinkContext, SinkPosition, TopicPartition,
    batch::{Batch, RecordRef, Value},
};
use serde_json::{Map, Value as Json};

/// The options.
#[derive(Debug, Options)]
pub struct Settings {
    /// URL that records are sent to.
    #[option(name = "http.url", importance = high, non_empty)]
    url: String,
    /// Method of the requests.
    #[option(name = "http.method", default = "POST", one_of = ["POST", "PUT"])]
    method: String,
    /// Further headers, each as "Name: value".
    #[option(name = "http.headers", default = "")]
    headers: Vec<String>,
    /// Value of the Authorization header, for example "Bearer …".
    #[option(name = "http.authorization")]
    authorization: Option<Password>,
    /// Records of one request at most; above 1 a request has an array.
    #[option(default = 1, range = 1..=10_000)]
    batch_max_records: u32,
    /// Milliseconds that a request may take.
    #[option(name = "http.request.timeout.ms", importance = low, default = 30000, range = 1..=600_000)]
    timeout: Duration,
}

/// The task.
#[derive(Debug)]
pub struct WebhookSink {
    settings: Settings,
    context: SinkContext,
    /// Behind the last record that was accepted or rejected, by topic and partition.
    next: BTreeMap<(String, i32), i64>,
}

/// A record on its way.
struct Outgoing {
    topic: String,
    partition: i32,
    offset: i64,
    sequence: u32,
    body: Json,
}

impl Connector for WebhookSink {
    const CLASS: &'static str = "jackfield.examples.WebhookSink";
    const ALIASES: &'static [&'static str] = &["Webhook"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        Settings::config_def()
    }

    fn validate(config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        let wrong = Settings::read(config)?
            .headers
            .into_iter()
            .filter(|header| header_of(header).is_none());
        let issue = |header: String| ConfigValueIssue {
            name: "http.headers".to_owned(),
            message: format!("{header:?} is not \"Name: value\""),
        };
        Ok(wrong.map(issue).collect())
    }

    fn task_configs(config: &Config, max_tasks: u32) -> Result<Vec<BTreeMap<String, String>>, ConnectError> {
        // Partitions are shared among the tasks by their consumer group.
        Ok(vec![config.original().clone(); max_tasks as usize])
    }
}

impl Sink for WebhookSink {
    fn start(config: &Config, context: SinkContext) -> Result<Self, ConnectError> {
        Ok(Self {
            settings: Settings::read(config)?,
            context,
            next: BTreeMap::new(),
        })
    }

    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        let mut rejected = Vec::new();
        let mut outgoing = Vec::new();
        for found in batch.records() {
            match self.outgoing(batch, &found) {
                Ok(Some(record)) => outgoing.push(record),
                // Accepted before an error in the middle of this very batch.
                Ok(None) => {}
                Err(message) => rejected.push(RecordError {
                    sequence: found.record.sequence,
                    message,
                }),
            }
        }
        for records in outgoing.chunks(self.settings.batch_max_records as usize) {
            if let Err(message) = self.send(records)? {
                let of = |record: &Outgoing| RecordError {
                    sequence: record.sequence,
                    message: message.clone(),
                };
                rejected.extend(records.iter().map(of));
            }
            for record in records {
                self.next
                    .insert((record.topic.clone(), record.partition), record.offset + 1);
            }
        }
        Ok(rejected)
    }

    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        // What `put` returned for is accepted.
        Ok(current.to_vec())
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        // Somebody else may go back with them before they return.
        for TopicPartition { topic, partition } in partitions {
            self.next.remove(&(topic.clone(), *partition));
        }
        Ok(())
    }
}

impl WebhookSink {
    /// The record as it is sent; `None` = it was sent before.
    fn outgoing(&self, batch: &Batch<&[u8]>, found: &RecordRef<'_>) -> Result<Option<Outgoing>, String> {
        let record = found.record;
        let topic = batch.topic(record.topic).to_owned();
        let partition = record.partition.unwrap_or_default();
        let next = self.next.get(&(topic.clone(), partition));
        if next.is_some_and(|next| record.offset < *next) {
            return Ok(None);
        }
        let mut headers = Map::new();
        for header in found.headers() {
            headers.insert(header.key.to_owned(), json_of(header.value)?);
        }
        let body = serde_json::json!({
            "topic": topic,
            "partition": partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": json_of(record.key)?,
            "value": json_of(record.value)?,
            "headers": headers,
        });
        Ok(Some(Outgoing {
            topic,
            partition,
            offset: record.offset,
            sequence: record.sequence,
            body,
        }))
    }

    /// Sends one request; the inner error is about its records.
    fn send(&self, records: &[Outgoing]) -> Result<Result<(), String>, ConnectError> {
        let Some(first) = records.first() else {
            return Ok(Ok(()));
        };
        let body = if self.settings.batch_max_records == 1 {
            first.body.to_string()
        } else {
            Json::Array(records.iter().map(|record| record.body.clone()).collect()).to_string()
        };
        let Settings {
            url,
            method,
            headers,
            authorization,
            timeout,
            ..
        } = &self.settings;
        let identity = format!("{}-{}-{}", first.topic, first.partition, first.offset);
        let mut request = HttpRequest {
            method: method.clone(),
            ..HttpRequest::post(url, body)
        }
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", identity)
        .timeout(*timeout);
        for (name, value) in headers.iter().filter_map(|header| header_of(header)) {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization.reveal());
        }
        let answer = self.context.http().fetch(&request)?;
        let status = answer.status;
        self.context
            .counter_add("requests_total", &[("status", &status.to_string())], 1);
        match status {
            200..300 => Ok(Ok(())),
            408 | 429 | 500.. => Err(ConnectError::retriable(format!(
                "{url} answered with status {status}"
            ))),
            _ => Ok(Err(format!("{url} answered with status {status}"))),
        }
    }
}

/// Name and value of a header as it is configured.
fn header_of(header: &str) -> Option<(&str, &str)> {
    let (name, value) = header.split_once(':')?;
    let name = name.trim();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_token)).then_some((name, value.trim()))
}

fn json_of(value: Value<'_>) -> Result<Json, String> {
    match value {
        Value::Null => Ok(Json::Null),
        Value::Utf8(text) => Ok(Json::String(text.to_owned())),
        Value::Json(text) => {
            serde_json::from_str(text).map_err(|cause| format!("the value is not JSON: {cause}"))
        }
        Value::Bytes(bytes) => Ok(Json::String(STANDARD.encode(bytes))),
        Value::Typed { .. } => Err(
            "the value has a schema: set schemas.enable=false for its converter, or use \
                                    StringConverter"
                .to_owned(),
        ),
    }
}

jackfield_api::export_sink!(WebhookSink);

#[cfg(test)]
mod tests;
