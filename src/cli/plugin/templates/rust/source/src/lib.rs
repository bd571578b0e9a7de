//! @class@: a source that counts. Each record is `{"n":N}`, one every `interval.ms`.
//!
//! A source brings records from somewhere into topics. The worker asks it for them (`poll`), makes them durable together
//! with the source offsets that they carry, and tells it so (`committed`). After a restart, or a crash, the task finds the
//! last stored offset again and goes on behind it: nothing is lost, and nothing needs to be kept here.

use std::time::{Duration, Instant};

use jackfield_api::{
    Config, ConfigDef, ConnectError, Connector, Options, PollLimits, Polled, Source, SourceContext,
    batch::BatchBuilder,
};

/// Where the records come from, as a JSON object: an offset is stored for each source partition. A source with several
/// files or tables has several.
const PARTITION: &str = r#"{"counter":"main"}"#;

/// The options. Types, defaults and checks hold before a task sees them, and everything that users are shown about the options
/// is made of this: messages, forms, `jackfield plugin inspect`. A field's comment is the option's documentation.
#[derive(Debug, Options)]
pub struct Settings {
    /// Topic to write to
    #[option(importance = high, non_empty)]
    topic: String,
    /// Milliseconds between two records
    #[option(name = "interval.ms", default = 1000, range = 1..)]
    interval: Duration,
}

/// A task. There may be several, on several workers; what they share is what the worker stores for them.
#[derive(Debug)]
pub struct @class@ {
    settings: Settings,
    /// The last number that was handed out.
    last: u64,
    /// When the next one is due.
    due: Instant,
}

/// What the class is and how it is configured. None of this touches a task.
impl Connector for @class@ {
    /// As in plugin.toml, and in `connector.class` of a connector's config.
    const CLASS: &'static str = "@class@";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        Settings::config_def()
    }
}

impl Source for @class@ {
    /// Starts a task. It goes on behind the offset that is stored, when there is one.
    ///
    /// The kind of an error says what becomes of it: `retriable` is tried again after a while, `config` waits for another
    /// config, `data` is about one record, `fatal` fails the task.
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError> {
        let last = match context.stored_offset(PARTITION) {
            Some(offset) => parse_offset(&offset)?,
            None => 0,
        };
        Ok(Self {
            settings: Settings::read(config)?,
            last,
            // The first one at once.
            due: Instant::now(),
        })
    }

    /// Puts the records that are there now into the batch, and returns at once. It never waits: without records it says when
    /// it wants to be asked again, and costs nothing until then. (What arrives on a thread of its own, in a native plugin,
    /// wakes the task with `SourceContext::wake_handle`.)
    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        let now = Instant::now();
        let (records, bytes) = (limits.max_records as usize, limits.max_bytes as usize);
        // The record that passes the limit is still delivered.
        let is_full = |batch: &BatchBuilder| batch.len() >= records || batch.size_bytes() >= bytes;
        while self.due <= now && (batch.is_empty() || !is_full(batch)) {
            let next = self.last + 1;
            let value = format!(r#"{{"n":{next}}}"#);
            // The offset behind this record: stored once the record is durable, never before.
            let offset = format!(r#"{{"n":{next}}}"#);
            let record = batch.record(&self.settings.topic).value(&value);
            record.source(PARTITION, &offset).push()?;
            self.last = next;
            self.due += self.settings.interval;
        }
        if batch.is_empty() {
            let idle = self.due.saturating_duration_since(now).as_millis();
            return Ok(Polled::Idle(Some(u64::try_from(idle).unwrap_or(u64::MAX).max(1))));
        }
        Ok(Polled::Records)
    }

    // `committed` hears which batches are durable: to delete files, or to acknowledge messages. `stop` ends the task.
}

/// Offsets may be changed by operators, so they are read like any other input.
fn parse_offset(offset: &str) -> Result<u64, ConnectError> {
    let digits = offset
        .trim()
        .strip_prefix(r#"{"n":"#)
        .and_then(|rest| rest.strip_suffix('}'));
    let number = digits.and_then(|digits| digits.trim().parse().ok());
    number.ok_or_else(|| ConnectError::config(format!("stored offset {offset} is not {{\"n\":N}}")))
}

// One source, two forms: a WASM component (the default of `jackfield plugin build`) and a native library (--form native).
jackfield_api::export_source!(@class@);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jackfield_api::{
        LocalHost,
        batch::{Batch, Value},
    };

    use super::*;

    const LIMITS: PollLimits = PollLimits {
        max_records: 500,
        max_bytes: 1 << 20,
    };

    fn start(host: &std::sync::Arc<LocalHost>, pairs: &[(&str, &str)]) -> Result<@class@, ConnectError> {
        let pairs = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let config = Config::resolve(&@class@::config_def(), pairs.collect::<BTreeMap<_, _>>())?;
        @class@::start(&config, host.source_context())
    }

    fn poll(task: &mut @class@) -> Vec<(String, String)> {
        let mut builder = BatchBuilder::new();
        task.poll(LIMITS, &mut builder).unwrap();
        let batch = Batch::parse(builder.finish()).unwrap();
        let record = |found: jackfield_api::batch::RecordRef<'_>| match found.record.value {
            Value::Utf8(text) => (text.to_owned(), found.record.source_offset.unwrap().to_owned()),
            other => panic!("{other:?}"),
        };
        batch.records().map(record).collect()
    }

    #[test]
    fn it_counts_and_goes_on_where_it_was() {
        // A worker in memory: what it stores is what the test gives it.
        let host = LocalHost::new();
        let mut task = start(&host, &[("topic", "t"), ("interval.ms", "60000")]).unwrap();
        let records = poll(&mut task);
        assert_eq!(records, [(r#"{"n":1}"#.to_owned(), r#"{"n":1}"#.to_owned())]);
        assert!(poll(&mut task).is_empty(), "the next one is not due");
        host.store(PARTITION, &records[0].1).unwrap();
        let mut task = start(&host, &[("topic", "t")]).unwrap();
        assert_eq!(poll(&mut task)[0].0, r#"{"n":2}"#);
    }

    #[test]
    fn wrong_options_are_refused() {
        let host = LocalHost::new();
        let error = start(&host, &[("topic", "t"), ("interval.ms", "0")]).unwrap_err();
        assert!(error.message.contains("interval.ms"), "{error}");
        assert!(start(&host, &[]).is_err(), "there is no topic");
        host.store(PARTITION, r#"{"m":1}"#).unwrap();
        assert!(start(&host, &[("topic", "t")]).is_err());
    }
}
