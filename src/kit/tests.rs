//! The kit finds what it is there to find: small plugins, each with one flaw, and the check that must fail for it.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use jackfield_api::{ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, Importance};
use jackfield_batch::{Batch, BatchBuilder, Value};
use jackfield_plugin::{
    ConnectorPlugin, Form, HostedSink, HostedSource, HostedTransform, Kind, PluginError, PluginInfo,
    PollLimits, Polled, RecordError, SinkPosition, TaskServices, Transformed,
};

use crate::{Verdict, conformance::Conformance, peer::Peer, sink, source, stage::Stage, transform};

const LINES: u64 = 5;
const PARTITION: &str = r#"{"kit":"lines"}"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    ForgetsItsOffset,
    SkipsOne,
    HasNoOffsets,
    IgnoresLimits,
    Waits,
    BreaksOnOddOffsets,
    ForgetsBadKeys,
    CommitsTooEarly,
    LosesWhatIsLeft,
    BreaksOnTombstones,
    BreaksOnHugeRecords,
    CountsBatches,
}

/// A plugin of the process with one flaw.
#[derive(Debug)]
struct Flawed {
    info: PluginInfo,
    definition: ConfigDef,
    flaw: Flaw,
}

impl Flawed {
    fn plugin(kind: Kind, flaw: Flaw) -> Arc<dyn ConnectorPlugin> {
        let key = |name, kind| ConfigKey::new(name, kind, Importance::High, "What it is for.");
        Arc::new(Self {
            info: PluginInfo {
                class: "kit.Flawed".to_owned(),
                aliases: Vec::new(),
                kind,
                version: "1".to_owned(),
                location: PathBuf::new(),
                forms: vec![Form::Native],
                digest: None,
            },
            definition: ConfigDef {
                keys: vec![
                    key("file", ConfigType::String).required(),
                    key("size", ConfigType::Int).default("1"),
                ],
            },
            flaw,
        })
    }
}

#[async_trait]
impl ConnectorPlugin for Flawed {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn form(&self) -> Form {
        Form::Native
    }

    fn config_def(&self) -> &ConfigDef {
        &self.definition
    }

    async fn validate(
        &self,
        config: &BTreeMap<String, String>,
    ) -> Result<Vec<ConfigValueIssue>, PluginError> {
        let odd = config.values().any(|value| value.contains('\u{0}'));
        if odd && self.flaw == Flaw::ForgetsBadKeys {
            return Err(PluginError::fault("panicked: index out of bounds"));
        }
        Ok(Vec::new())
    }

    async fn task_configs(
        &self,
        config: &BTreeMap<String, String>,
        _max_tasks: u32,
    ) -> Result<Vec<BTreeMap<String, String>>, PluginError> {
        Ok(vec![config.clone()])
    }

    async fn start_source(
        &self,
        _config: &BTreeMap<String, String>,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSource>, PluginError> {
        let stored = services.stored_offsets.read(PARTITION);
        let read = |offset: String| {
            let offset: serde_json::Value = serde_json::from_str(&offset).unwrap();
            let position = offset["n"]
                .as_u64()
                .filter(|_| self.flaw != Flaw::ForgetsItsOffset);
            assert!(self.flaw != Flaw::BreaksOnOddOffsets || offset["n"].is_number());
            position.unwrap_or(0)
        };
        if self.flaw == Flaw::BreaksOnOddOffsets
            && stored.as_ref().is_some_and(|offset| !offset.contains(":1}"))
        {
            return Err(PluginError::fault("panicked: called unwrap on None"));
        }
        let next = stored.map_or(0, read);
        let skipped = u64::from(self.flaw == Flaw::SkipsOne && next > 0);
        Ok(Box::new(Lines {
            next: next + skipped,
            flaw: self.flaw,
        }))
    }

    async fn start_sink(
        &self,
        config: &BTreeMap<String, String>,
        _services: TaskServices,
    ) -> Result<Box<dyn HostedSink>, PluginError> {
        Ok(Box::new(Appender {
            file: config["file"].clone().into(),
            kept: Vec::new(),
            flaw: self.flaw,
        }))
    }

    async fn start_transform(
        &self,
        _config: &BTreeMap<String, String>,
        _services: TaskServices,
    ) -> Result<Box<dyn HostedTransform>, PluginError> {
        Ok(Box::new(Passing {
            batches: 0,
            flaw: self.flaw,
        }))
    }
}

/// Counts to [`LINES`].
struct Lines {
    next: u64,
    flaw: Flaw,
}

#[async_trait]
impl HostedSource for Lines {
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError> {
        if self.flaw == Flaw::Waits {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        let mut batch = BatchBuilder::new();
        while self.next < LINES {
            self.next += 1;
            let offset = format!(r#"{{"n":{}}}"#, self.next);
            let mut record = batch.record("lines").value("x");
            if self.flaw != Flaw::HasNoOffsets {
                record = record.source(PARTITION, &offset);
            }
            record.push().unwrap();
            let full =
                batch.len() >= limits.max_records as usize || batch.size_bytes() >= limits.max_bytes as usize;
            if full && self.flaw != Flaw::IgnoresLimits {
                break;
            }
        }
        if batch.is_empty() {
            return Ok(Polled::Idle(None));
        }
        Ok(Polled::Batch(Batch::parse(Bytes::from(batch.finish())).unwrap()))
    }

    async fn committed(&mut self, _batches: u64) -> Result<(), PluginError> {
        Ok(())
    }

    async fn stop(self: Box<Self>) {}
}

/// Appends values to a file at each commit.
struct Appender {
    file: PathBuf,
    kept: Vec<u8>,
    flaw: Flaw,
}

#[async_trait]
impl HostedSink for Appender {
    async fn open(&mut self, _partitions: &[SinkPosition]) -> Result<(), PluginError> {
        Ok(())
    }

    async fn put(&mut self, batch: Bytes) -> Result<Vec<RecordError>, PluginError> {
        for found in Batch::parse(&batch[..]).unwrap().records() {
            match found.record.value {
                Value::Utf8(text) if text.len() > 1_000_000 && self.flaw == Flaw::BreaksOnHugeRecords => {
                    return Err(PluginError::fault("trap: out of memory"));
                }
                Value::Utf8(text) => self.kept.extend_from_slice(text.as_bytes()),
                _ if self.flaw == Flaw::BreaksOnTombstones => return Err(PluginError::fatal("no value")),
                _ => {}
            }
        }
        Ok(Vec::new())
    }

    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, PluginError> {
        if self.flaw != Flaw::CommitsTooEarly || self.kept.len() > 1_000 {
            let file = OpenOptions::new().create(true).append(true).open(&self.file);
            file.and_then(|mut file| file.write_all(&self.kept)).unwrap();
            self.kept.clear();
        }
        Ok(current.to_vec())
    }

    async fn close(&mut self, _partitions: &[(Arc<str>, i32)]) -> Result<(), PluginError> {
        if self.flaw == Flaw::LosesWhatIsLeft {
            std::fs::write(&self.file, "").unwrap();
        }
        Ok(())
    }

    async fn stop(self: Box<Self>) {}
}

/// Lets records go on as they came.
struct Passing {
    batches: usize,
    flaw: Flaw,
}

#[async_trait]
impl HostedTransform for Passing {
    async fn apply(&mut self, batch: Bytes) -> Result<Transformed, PluginError> {
        self.batches += 1;
        let batch = Batch::parse(batch).unwrap();
        let kept = !batch.is_empty() && (self.flaw != Flaw::CountsBatches || self.batches == 1);
        Ok(Transformed {
            batch: kept.then_some(batch),
            rejected: Vec::new(),
        })
    }

    async fn stop(self: Box<Self>) {}
}

/// Names of the checks that fail, with what they say.
async fn failures(kind: Kind, flaw: Flaw) -> BTreeMap<&'static str, String> {
    let table = kind.to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conformance.toml");
    let text = format!(
        "[[{table}]]\nclass = \"kit.Flawed\"\nrecords = {LINES}\nconfig = {{ file = \"{{dir}}/out\", size = 7 }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let conformance = Conformance::read(&file).unwrap();
    let plugin = Flawed::plugin(kind, flaw);
    let scenario = conformance.of(plugin.info()).next().unwrap();
    let peer = Peer::start().await.unwrap();
    let of_kind = match kind {
        Kind::Source => source::CHECKS,
        Kind::Sink => sink::CHECKS,
        Kind::Transform => transform::CHECKS,
    };
    let mut failures = BTreeMap::new();
    for (name, check) in crate::definition::CHECKS.iter().chain(of_kind) {
        let directory = tempfile::tempdir().unwrap();
        let stage = Stage::new(&plugin, scenario, directory.path(), &peer);
        let verdict: Verdict = check(&stage).await;
        if let Err(what) = verdict {
            failures.insert(*name, what);
        }
    }
    peer.stop().await;
    failures
}

#[track_caller]
fn found(failures: &BTreeMap<&'static str, String>, expected: &[&str]) {
    let found: Vec<_> = failures.keys().copied().collect();
    assert_eq!(found, expected, "{failures:#?}");
}

#[tokio::test]
async fn good_plugins_pass() {
    for kind in [Kind::Source, Kind::Sink, Kind::Transform] {
        found(&failures(kind, Flaw::None).await, &[]);
    }
}

#[tokio::test]
async fn flaws_of_sources_are_found() {
    let restarts = "goes on behind the offsets that were committed";
    let flaws: [(Flaw, &[&str]); 6] = [
        (Flaw::ForgetsItsOffset, &[restarts]),
        (Flaw::SkipsOne, &[restarts]),
        (Flaw::HasNoOffsets, &["records carry source offsets"]),
        (
            Flaw::IgnoresLimits,
            &["batches are split at max_records and max_bytes"],
        ),
        (
            Flaw::BreaksOnOddOffsets,
            &[restarts, "starts with odd stored offsets, or refuses them"],
        ),
        (
            Flaw::ForgetsBadKeys,
            &["odd values are refused or taken, never fatal"],
        ),
    ];
    for (flaw, expected) in flaws {
        found(&failures(Kind::Source, flaw).await, expected);
    }
}

#[tokio::test]
async fn a_source_that_waits_is_found() {
    found(&failures(Kind::Source, Flaw::Waits).await, &["poll never waits"]);
}

#[tokio::test]
async fn flaws_of_sinks_are_found() {
    for (flaw, expected) in [
        (
            Flaw::CommitsTooEarly,
            "killed between put and commit, loses nothing",
        ),
        (Flaw::LosesWhatIsLeft, "starts, delivers, commits, stops"),
        (
            Flaw::BreaksOnTombstones,
            "tombstones, null keys and headers are delivered or rejected one by one",
        ),
        (
            Flaw::BreaksOnHugeRecords,
            "a huge record is delivered or rejected",
        ),
    ] {
        let failures = failures(Kind::Sink, flaw).await;
        assert!(failures.contains_key(expected), "{flaw:?}: {failures:#?}");
    }
}

#[tokio::test]
async fn a_transform_that_depends_on_its_batches_is_found() {
    let failures = failures(Kind::Transform, Flaw::CountsBatches).await;
    found(&failures, &["gives the same of records one by one as of a batch"]);
}
