//! A source and a sink whose behaviour the test commands through shared state.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use jackfield_api::{ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, Importance, OffsetChange};
use jackfield_batch::{Batch, BatchBuilder, Draft, Record, Value};
use jackfield_plugin::{
    ConnectorPlugin, Form, HostedSink, HostedSource, HostedTransform, Kind, PluginError, PluginInfo,
    PollLimits, Polled, RecordError, SinkPosition, StoredOffsets, TaskReport, TaskServices, TaskWishes,
    Transformed,
};
use tokio::sync::Notify;

/// What the source does and has seen.
#[derive(Debug, Default)]
pub(super) struct SourceState {
    /// Batches to deliver, in order; a batch is delivered from its position on when the source is restarted.
    pub(super) lines: Vec<String>,
    /// Errors that the next polls end with.
    pub(super) errors: VecDeque<PluginError>,
    /// Errors that the next starts end with.
    pub(super) start_errors: VecDeque<PluginError>,
    /// Panics in the next poll.
    pub(super) panic: bool,
    /// Values are raw bytes instead of text.
    pub(super) raw: bool,
    /// Errors that the next task configs end with.
    pub(super) config_errors: VecDeque<PluginError>,
    /// Making task configs hangs.
    pub(super) hang_configs: bool,
    /// Polls hang.
    pub(super) hang: bool,
    /// Tasks that were stopped in an orderly way.
    pub(super) stopped: usize,
    /// Positions that tasks started from.
    pub(super) started_from: Vec<usize>,
    /// Highest batch count given to `committed`.
    pub(super) committed: u64,
    pub(super) polls: u64,
    pub(super) wake: Option<Arc<Notify>>,
    pub(super) report: Option<Arc<TaskReport>>,
    pub(super) wishes: Option<Arc<TaskWishes>>,
    /// Tasks of the connector, instead of those it was made with.
    pub(super) tasks: Option<usize>,
}

/// What the sink does and has seen.
#[derive(Debug, Default)]
pub(super) struct SinkState {
    pub(super) wishes: Option<Arc<TaskWishes>>,
    pub(super) values: Vec<String>,
    pub(super) offsets: Vec<i64>,
    pub(super) batches: usize,
    /// Errors that the next puts end with.
    pub(super) put_errors: VecDeque<PluginError>,
    /// With so many values the next puts are to be repeated.
    pub(super) full_at: Option<usize>,
    /// Puts that were to be repeated for that.
    pub(super) full: usize,
    /// Records (by value) that are refused.
    pub(super) refused: Vec<String>,
    pub(super) flush_errors: VecDeque<PluginError>,
    /// Positions given to `open`, with the metadata found there.
    pub(super) opened: Vec<SinkPosition>,
    /// What the host knew of the whole group at each `open`.
    pub(super) group: Vec<Vec<jackfield_api::SinkPosition>>,
    pub(super) closed: usize,
    pub(super) flushes: usize,
    /// Metadata of the first partition that each flush found committed.
    pub(super) flushed: Vec<String>,
    pub(super) stopped: usize,
}

#[derive(Debug)]
pub(super) struct TestPlugin {
    pub(super) info: PluginInfo,
    pub(super) def: ConfigDef,
    pub(super) source: Arc<Mutex<SourceState>>,
    pub(super) sink: Arc<Mutex<SinkState>>,
    pub(super) tasks: usize,
}

pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl TestPlugin {
    pub(super) fn new(kind: Kind) -> Self {
        let (class, own) = match kind {
            Kind::Source => ("org.example.ListSourceConnector", vec!["topic", "extra"]),
            Kind::Sink => ("org.example.ListSinkConnector", vec!["extra"]),
            Kind::Transform => ("org.example.Words", vec!["extra"]),
        };
        let keys = own.into_iter().map(|name| ConfigKey {
            name: name.to_owned(),
            kind: ConfigType::String,
            default: None,
            required: name == "topic",
            importance: Importance::High,
            documentation: String::new(),
            display_name: name.to_owned(),
            group: None,
            validator: None,
        });
        let short = class
            .rsplit('.')
            .next()
            .unwrap()
            .trim_end_matches("Connector")
            .to_owned();
        Self {
            info: PluginInfo {
                class: class.to_owned(),
                aliases: vec![short],
                kind,
                version: "1.2.3".to_owned(),
                location: "test".into(),
                forms: vec![Form::Native],
                digest: None,
            },
            def: ConfigDef { keys: keys.collect() },
            source: Arc::default(),
            sink: Arc::default(),
            tasks: 1,
        }
    }
}

#[async_trait]
impl ConnectorPlugin for TestPlugin {
    fn info(&self) -> &PluginInfo {
        &self.info
    }
    fn form(&self) -> Form {
        Form::Native
    }
    fn config_def(&self) -> &ConfigDef {
        &self.def
    }
    async fn validate(
        &self,
        config: &BTreeMap<String, String>,
    ) -> Result<Vec<ConfigValueIssue>, PluginError> {
        let bad = config.get("extra").is_some_and(|extra| extra == "bad");
        let issue = ConfigValueIssue {
            name: "extra".to_owned(),
            message: "extra is bad".to_owned(),
        };
        Ok(bad.then_some(issue).into_iter().collect())
    }
    async fn task_configs(
        &self,
        config: &BTreeMap<String, String>,
        _max_tasks: u32,
    ) -> Result<Vec<BTreeMap<String, String>>, PluginError> {
        let hang = {
            let mut state = lock(&self.source);
            if let Some(error) = state.config_errors.pop_front() {
                return Err(error);
            }
            state.hang_configs
        };
        if hang {
            std::future::pending::<()>().await;
        }
        let tasks = lock(&self.source).tasks.unwrap_or(self.tasks);
        Ok(vec![config.clone(); tasks])
    }
    async fn alter_offsets(
        &self,
        _config: &BTreeMap<String, String>,
        offsets: &[OffsetChange],
    ) -> Result<bool, PluginError> {
        if offsets
            .iter()
            .any(|change| change.partition.contains("forbidden"))
        {
            return Err(PluginError::config("this partition is not to be touched"));
        }
        Ok(self.info.kind == Kind::Sink)
    }
    async fn start_source(
        &self,
        config: &BTreeMap<String, String>,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSource>, PluginError> {
        let mut state = lock(&self.source);
        if let Some(error) = state.start_errors.pop_front() {
            return Err(error);
        }
        let position = stored_position(&*services.stored_offsets);
        state.started_from.push(position);
        state.committed = 0;
        state.wake = Some(services.wake);
        state.report = Some(services.report);
        state.wishes = Some(services.wishes);
        let topic = config["topic"].clone();
        Ok(Box::new(ListSource {
            state: Arc::clone(&self.source),
            position,
            topic,
        }))
    }
    async fn start_sink(
        &self,
        _config: &BTreeMap<String, String>,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSink>, PluginError> {
        lock(&self.sink).wishes = Some(services.wishes);
        Ok(Box::new(ListSink {
            offsets: services.stored_offsets,
            state: Arc::clone(&self.sink),
        }))
    }
    async fn start_transform(
        &self,
        config: &BTreeMap<String, String>,
        _services: TaskServices,
    ) -> Result<Box<dyn HostedTransform>, PluginError> {
        Ok(Box::new(Words {
            topic: config.get("extra").cloned(),
        }))
    }
}

/// Makes a record of every word of a text, into another topic when it has one. `poison` cannot be taken.
struct Words {
    topic: Option<String>,
}

#[async_trait]
impl HostedTransform for Words {
    async fn apply(&mut self, batch: Bytes) -> Result<Transformed, PluginError> {
        let given = Batch::parse(batch).unwrap();
        let (mut builder, mut rejected) = (BatchBuilder::new(), Vec::new());
        for found in given.records() {
            let Value::Utf8(text) = found.record.value else {
                return Err(PluginError::fault("not text"));
            };
            if text == "poison" {
                rejected.push(RecordError {
                    sequence: found.record.sequence,
                    message: "poison is refused".to_owned(),
                });
                continue;
            }
            for word in text.split_whitespace() {
                let mut draft = Draft::of(&given, &found).value(word);
                if let Some(topic) = &self.topic {
                    draft = draft.topic(topic);
                }
                draft.push(&mut builder).unwrap();
            }
        }
        let batch = (!builder.is_empty()).then(|| Batch::parse(Bytes::from(builder.finish())).unwrap());
        Ok(Transformed { batch, rejected })
    }
    async fn stop(self: Box<Self>) {}
}

const PARTITION: &str = r#"{"list":"main"}"#;

fn stored_position(offsets: &dyn StoredOffsets) -> usize {
    let Some(offset) = offsets.read(PARTITION) else {
        return 0;
    };
    let value: serde_json::Value = serde_json::from_str(&offset).unwrap();
    usize::try_from(value["position"].as_u64().unwrap()).unwrap()
}

struct ListSource {
    state: Arc<Mutex<SourceState>>,
    position: usize,
    topic: String,
}

#[async_trait]
impl HostedSource for ListSource {
    async fn poll(&mut self, _limits: PollLimits) -> Result<Polled, PluginError> {
        let hang = {
            let mut state = lock(&self.state);
            state.polls += 1;
            state.hang
        };
        if hang {
            std::future::pending::<()>().await;
        }
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.panic) {
            drop(state);
            panic!("planted panic");
        }
        if let Some(error) = state.errors.pop_front() {
            return Err(error);
        }
        if self.position >= state.lines.len() {
            return Ok(Polled::Idle(None));
        }
        let end = (self.position + 100).min(state.lines.len());
        let mut builder = BatchBuilder::new();
        let topic = builder.topic(&self.topic).unwrap();
        let partition = builder.source_partition(PARTITION).unwrap();
        for (sequence, line) in (0..).zip(&state.lines[self.position..end]) {
            let position = self.position + usize::try_from(sequence).unwrap() + 1;
            let offset = format!(r#"{{"position":{position}}}"#);
            let value = if state.raw {
                Value::Bytes(line.as_bytes())
            } else {
                Value::Utf8(line)
            };
            let record = Record {
                topic,
                source_partition: Some(partition),
                partition: None,
                timestamp: None,
                offset: -1,
                sequence,
                key: Value::Null,
                value: if line == "bad" { Value::Json("{bad") } else { value },
                source_offset: Some(&offset),
            };
            builder.push(&record, &[]).unwrap();
        }
        self.position = end;
        Ok(Polled::Batch(
            Batch::parse(Bytes::from(builder.finish())).unwrap(),
        ))
    }
    async fn committed(&mut self, batches: u64) -> Result<(), PluginError> {
        lock(&self.state).committed = batches;
        Ok(())
    }
    async fn stop(self: Box<Self>) {
        lock(&self.state).stopped += 1;
    }
}

struct ListSink {
    offsets: Arc<dyn StoredOffsets>,
    state: Arc<Mutex<SinkState>>,
}

#[async_trait]
impl HostedSink for ListSink {
    async fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), PluginError> {
        let group = self.offsets.group_positions();
        let mut state = lock(&self.state);
        state.group.push(group);
        state.opened.extend_from_slice(partitions);
        Ok(())
    }
    async fn put(&mut self, batch: Bytes) -> Result<Vec<RecordError>, PluginError> {
        let mut state = lock(&self.state);
        if let Some(error) = state.put_errors.pop_front() {
            return Err(error);
        }
        if state.full_at.is_some_and(|full| state.values.len() >= full) {
            state.full += 1;
            return Err(PluginError::retriable("full"));
        }
        let batch = Batch::parse(batch).unwrap();
        state.batches += 1;
        let mut errors = Vec::new();
        for item in batch.records() {
            let value = format!("{:?}", item.record.value);
            if state.refused.contains(&value) {
                errors.push(RecordError {
                    sequence: item.record.sequence,
                    message: format!("{value} is refused"),
                });
                continue;
            }
            state.values.push(value);
            state.offsets.push(item.record.offset);
        }
        Ok(errors)
    }
    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, PluginError> {
        let mut state = lock(&self.state);
        if let Some(error) = state.flush_errors.pop_front() {
            return Err(error);
        }
        state.flushes += 1;
        state.flushed.push(current[0].metadata.clone());
        let metadata = format!("values={}", state.values.len());
        Ok(current
            .iter()
            .map(|position| SinkPosition {
                metadata: metadata.clone(),
                ..position.clone()
            })
            .collect())
    }
    async fn close(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), PluginError> {
        lock(&self.state).closed += partitions.len();
        Ok(())
    }
    async fn stop(self: Box<Self>) {
        lock(&self.state).stopped += 1;
    }
}
