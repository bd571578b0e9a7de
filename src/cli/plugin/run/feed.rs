//! The lines that sinks and transforms are fed: a source of the process itself, over a file that is followed, or standard
//! input. It goes through a topic like any other, so what is fed is what a topic holds.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use jackfield_api::{ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, Importance};
use jackfield_batch::{Batch, BatchBuilder};
use jackfield_plugin::{
    ConnectorPlugin, Form, HostedSink, HostedSource, Kind, PluginError, PluginInfo, PollLimits, Polled,
    TaskServices,
};
use tokio::sync::Notify;

use crate::exit::CannotRead;

/// Name of the class in connector configs.
pub(super) const CLASS: &str = "jackfield.plugin.run.Lines";
/// Lines that were read and not delivered; then reading waits.
const MOST_LINES: usize = 10_000;
/// How often the end of a file is looked behind.
const LOOK: Duration = Duration::from_millis(100);
const PARTITION: &str = r#"{"input":"lines"}"#;

/// Where lines come from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Stdin,
    File {
        path: PathBuf,
        /// Beyond its end.
        follow: bool,
    },
}

/// The class. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    info: PluginInfo,
    definition: ConfigDef,
    lines: Mutex<Lines>,
    /// The task wants to know it.
    wake: Mutex<Option<Arc<Notify>>>,
    /// Nobody wants lines any more.
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Lines {
    /// From the first that is not durable.
    waiting: VecDeque<String>,
    /// Of these, how many are on their way.
    sent: usize,
    delivered: u64,
    at_end: bool,
    failure: Option<String>,
}

impl Feed {
    /// Opens the input, and reads it from now on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(input: Input) -> anyhow::Result<Self> {
        let feed = Self::new();
        let mut reader: Box<dyn BufRead + Send> = match &input {
            Input::Stdin => Box::new(BufReader::new(std::io::stdin())),
            Input::File { path, .. } => Box::new(BufReader::new(open(path)?)),
        };
        let shared = Arc::clone(&feed.0);
        let follow = matches!(input, Input::File { follow: true, .. });
        thread::Builder::new()
            .name("jackfield-feed".to_owned())
            .spawn(move || shared.read(&mut *reader, follow))?;
        Ok(feed)
    }

    fn new() -> Self {
        let topic = ConfigKey::new("topic", ConfigType::String, Importance::High, "Topic to write to");
        Self(Arc::new(Shared {
            info: PluginInfo {
                class: CLASS.to_owned(),
                aliases: Vec::new(),
                kind: Kind::Source,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                location: PathBuf::new(),
                forms: Vec::new(),
                digest: None,
            },
            definition: ConfigDef {
                keys: vec![topic.required()],
            },
            lines: Mutex::default(),
            wake: Mutex::default(),
            over: AtomicBool::new(false),
        }))
    }

    /// How many lines there were, once all of them are in their topic.
    pub(super) fn delivered_all(&self) -> Option<u64> {
        let lines = self.0.lines();
        (lines.at_end && lines.waiting.is_empty()).then_some(lines.delivered)
    }

    /// Reading ends.
    pub(super) fn end(&self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    Ok(File::open(path).map_err(|error| CannotRead::named(path.display(), &error))?)
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads to the end; on a thread of its own, because standard input can only be waited for.
    fn read(&self, reader: &mut dyn BufRead, follow: bool) {
        let mut line = Vec::new();
        while !self.over.load(Ordering::SeqCst) {
            let full = self.lines().waiting.len() >= MOST_LINES;
            let read = if full {
                Ok(0)
            } else {
                reader.read_until(b'\n', &mut line)
            };
            match read {
                Ok(0) if full || follow => thread::sleep(LOOK),
                Ok(0) => break,
                // The rest of a line that is just being written.
                Ok(_) if follow && !line.ends_with(b"\n") => thread::sleep(LOOK),
                Ok(_) => self.push(&std::mem::take(&mut line)),
                Err(error) => {
                    self.lines().failure = Some(format!("the input cannot be read: {error}"));
                    break;
                }
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
        self.lines().at_end = true;
        self.tell();
    }

    fn push(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        self.lines().waiting.push_back(text.to_owned());
        self.tell();
    }

    fn tell(&self) {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake) = &*wake {
            wake.notify_one();
        }
    }
}

#[async_trait]
impl ConnectorPlugin for Feed {
    fn info(&self) -> &PluginInfo {
        &self.0.info
    }

    fn form(&self) -> Form {
        Form::Native
    }

    fn config_def(&self) -> &ConfigDef {
        &self.0.definition
    }

    async fn validate(
        &self,
        _config: &BTreeMap<String, String>,
    ) -> Result<Vec<ConfigValueIssue>, PluginError> {
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
        config: &BTreeMap<String, String>,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSource>, PluginError> {
        let topic = config.get("topic").cloned().unwrap_or_default();
        *self.0.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(services.wake);
        // What the task before had under way comes again.
        self.0.lines().sent = 0;
        Ok(Box::new(Task {
            shared: Arc::clone(&self.0),
            topic,
            batches: VecDeque::new(),
            committed: 0,
            builder: BatchBuilder::new(),
        }))
    }

    async fn start_sink(
        &self,
        _config: &BTreeMap<String, String>,
        _services: TaskServices,
    ) -> Result<Box<dyn HostedSink>, PluginError> {
        Err(PluginError::fatal(format!("{CLASS} is a source")))
    }
}

/// A task of it.
struct Task {
    shared: Arc<Shared>,
    topic: String,
    /// Lines in each batch that is under way.
    batches: VecDeque<usize>,
    committed: u64,
    builder: BatchBuilder,
}

#[async_trait]
impl HostedSource for Task {
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError> {
        let failed = |error: jackfield_batch::BatchError| PluginError::fatal(error.to_string());
        let mut lines = self.shared.lines();
        if let Some(failure) = &lines.failure {
            return Err(PluginError::fatal(failure.clone()));
        }
        let first = lines.delivered + lines.sent as u64;
        let mut count = 0;
        for (number, line) in (first + 1..).zip(lines.waiting.iter().skip(lines.sent)) {
            let offset = format!("{{\"line\":{number}}}");
            let record = self.builder.record(&self.topic).value(line);
            record.source(PARTITION, &offset).push().map_err(failed)?;
            count += 1;
            let bytes = self.builder.size_bytes();
            if count >= limits.max_records as usize || bytes >= limits.max_bytes as usize {
                break;
            }
        }
        if count == 0 {
            return Ok(Polled::Idle(None));
        }
        lines.sent += count;
        self.batches.push_back(count);
        let batch = Batch::parse(bytes::Bytes::from(self.builder.finish())).map_err(failed)?;
        Ok(Polled::Batch(batch))
    }

    async fn committed(&mut self, batches: u64) -> Result<(), PluginError> {
        let mut lines = self.shared.lines();
        while self.committed < batches
            && let Some(count) = self.batches.pop_front()
        {
            self.committed += 1;
            let count = count.min(lines.sent);
            lines.waiting.drain(..count);
            lines.sent -= count;
            lines.delivered += count as u64;
        }
        Ok(())
    }

    async fn stop(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use jackfield_api::batch::Value;

    use super::*;

    const LIMITS: PollLimits = PollLimits {
        max_records: 2,
        max_bytes: 1 << 20,
    };

    fn task(feed: &Feed) -> Task {
        feed.0.lines().sent = 0;
        Task {
            shared: Arc::clone(&feed.0),
            topic: "t".to_owned(),
            batches: VecDeque::new(),
            committed: 0,
            builder: BatchBuilder::new(),
        }
    }

    async fn values(task: &mut Task) -> Vec<String> {
        let Polled::Batch(batch) = task.poll(LIMITS).await.unwrap() else {
            return Vec::new();
        };
        let text = |value: Value<'_>| match value {
            Value::Utf8(text) => text.to_owned(),
            other => panic!("{other:?}"),
        };
        batch.records().map(|found| text(found.record.value)).collect()
    }

    #[tokio::test]
    async fn what_was_not_committed_comes_again_and_the_end_is_known() {
        let feed = Feed::new();
        feed.0.read(&mut Cursor::new("one\r\ntwo\n\nfour"), false);
        let mut first = task(&feed);
        assert_eq!(values(&mut first).await, ["one", "two"]);
        assert_eq!(values(&mut first).await, ["", "four"]);
        assert!(values(&mut first).await.is_empty());
        first.committed(1).await.unwrap();
        assert_eq!(feed.delivered_all(), None);
        let mut second = task(&feed);
        assert_eq!(values(&mut second).await, ["", "four"]);
        second.committed(1).await.unwrap();
        assert_eq!(feed.delivered_all(), Some(4));
    }

    #[tokio::test]
    async fn a_file_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.txt");
        std::fs::write(&path, "one\n").unwrap();
        let feed = Feed::open(Input::File {
            path: path.clone(),
            follow: true,
        })
        .unwrap();
        let mut task = task(&feed);
        let mut next = async || {
            loop {
                let found = values(&mut task).await;
                if !found.is_empty() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert_eq!(next().await, ["one"]);
        use std::io::Write as _;
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(next().await, ["two"]);
        feed.end();
    }
}
