//! A source on files in a directory of its own, a host in memory and a clock that the test moves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use jackfield_api::{
    Config, ConnectError, Connector, LocalHost, LogLevel, PollLimits, Polled, Source,
    batch::{Batch, BatchBuilder, Value},
};
use tempfile::TempDir;

use crate::FileStreamSource;

pub(super) const LIMITS: PollLimits = PollLimits {
    max_records: 1_000_000,
    max_bytes: 64 << 20,
};
/// Longer than `file.rotate.wait.ms` and `line.idle.timeout.ms`.
pub(super) const LONG_MS: u64 = 6_000;

/// A source, by default on `in.txt` in a directory of its own.
pub(super) struct Fixture {
    pub(super) directory: TempDir,
    pub(super) host: Arc<LocalHost>,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) source: Option<FileStreamSource>,
    pub(super) now: Instant,
    /// The last source offset of each source partition.
    pub(super) offsets: BTreeMap<String, String>,
}

/// A record as a test sees it.
pub(super) type Seen = (String, u64);
/// A record with the name of its file.
pub(super) type SeenIn = (String, String, u64);

impl Fixture {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("in.txt").to_str().unwrap().to_owned();
        let settings = BTreeMap::from([("file".to_owned(), file), ("topic".to_owned(), "t".to_owned())]);
        Self {
            directory,
            host: LocalHost::new(),
            settings,
            source: None,
            now: Instant::now(),
            offsets: BTreeMap::new(),
        }
    }

    /// A source on patterns, separated by commas, of names in the directory.
    pub(super) fn glob(patterns: &str) -> Self {
        let mut fixture = Self::new();
        let patterns = patterns
            .split(',')
            .map(|pattern| fixture.path(pattern).to_str().unwrap().to_owned());
        let patterns: Vec<_> = patterns.collect();
        fixture.settings.remove("file");
        fixture.with("glob", &patterns.join(","))
    }

    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn append(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.append_to("in.txt", bytes)
    }

    pub(super) fn append_to(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name));
        file.unwrap().write_all(bytes.as_ref()).unwrap();
        self
    }

    pub(super) fn gzip(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        self.append_to(name, gzip(content))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> &Self {
        fs::rename(self.path(from), self.path(to)).unwrap();
        self
    }

    pub(super) fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    pub(super) fn copy(&self, from: &str, to: &str) -> &Self {
        fs::write(self.path(to), fs::read(self.path(from)).unwrap()).unwrap();
        self
    }

    /// Writes over what the file had.
    pub(super) fn overwrite(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Returns when a file created from now on has another time of creation than all there are.
    pub(super) fn next_tick(&self) -> &Self {
        let created = |name| {
            let path = self.directory.path().with_extension(name);
            let file = fs::File::create(&path).unwrap();
            fs::remove_file(path).unwrap();
            file.metadata().unwrap().created().unwrap()
        };
        let before = created("before");
        while created("after") == before {}
        self
    }

    /// Makes the files look as if they were last written one after the other, long ago, these seconds apart.
    pub(super) fn written_in_order(&self, names: &[&str]) -> &Self {
        for (seconds, name) in (0..).step_by(3_600).zip(names) {
            let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
            let file = fs::File::options().append(true).open(self.path(name)).unwrap();
            file.set_modified(time).unwrap();
        }
        self
    }

    pub(super) fn try_start(&mut self) -> Result<(), ConnectError> {
        let config = Config::resolve(&FileStreamSource::config_def(), self.settings.clone())?;
        self.source = Some(FileStreamSource::start(&config, self.host.source_context())?);
        Ok(())
    }

    pub(super) fn start(mut self) -> Self {
        self.try_start().unwrap();
        self
    }

    /// Closes all open files as when there are too many.
    pub(super) fn park_all(&mut self) {
        self.park();
        assert_eq!(self.open_files(), 0);
    }

    /// Closes those open files that can be.
    pub(super) fn park(&mut self) {
        let config = Config::resolve(&FileStreamSource::config_def(), self.settings.clone()).unwrap();
        let lines = crate::source_config::SourceConfig::read(&config).unwrap().lines;
        let source = self.source.as_mut().unwrap();
        for stream in &mut source.streams {
            if stream.park(&lines) {
                source.open_files = source.open_files.saturating_sub(1);
            }
        }
    }

    /// Files that are open.
    pub(super) fn open_files(&self) -> usize {
        let streams = &self.source.as_ref().unwrap().streams;
        let followed = streams
            .iter()
            .map(|stream| stream.followed().unwrap().open_files());
        followed.sum()
    }

    /// Ends the task; what it delivered is committed.
    pub(super) fn stop(&mut self) {
        self.source = None;
        for (partition, offset) in &self.offsets {
            self.host.store(partition, offset).unwrap();
        }
    }

    /// Ends the task and starts one that knows what was delivered.
    pub(super) fn restart(&mut self) {
        self.stop();
        self.try_start().unwrap();
    }

    /// The source partition of a name.
    pub(super) fn partition(&self, name: &str) -> String {
        serde_json::json!({ "filename": self.path(name) }).to_string()
    }

    /// Ends the task and starts one that knows this position and nothing else, as Kafka's connector stores it.
    pub(super) fn restart_at(&mut self, position: u64) {
        let offset = format!("{{\"position\":{position}}}");
        self.host.store(&self.partition("in.txt"), &offset).unwrap();
        self.try_start().unwrap();
    }

    pub(super) fn poll_with(&mut self, limits: PollLimits) -> Result<(Polled, Vec<Seen>), ConnectError> {
        let (polled, records) = self.poll_all(limits)?;
        let records = records.into_iter().map(|(_, text, position)| (text, position));
        Ok((polled, records.collect()))
    }

    /// File name, text and position of what a poll gives.
    pub(super) fn poll_all(&mut self, limits: PollLimits) -> Result<(Polled, Vec<SeenIn>), ConnectError> {
        let mut builder = BatchBuilder::new();
        let polled = self
            .source
            .as_mut()
            .unwrap()
            .poll_at(self.now, limits, &mut builder)?;
        let batch = Batch::parse(builder.finish()).unwrap();
        let mut records = Vec::new();
        for (index, found) in batch.records().enumerate() {
            let record = found.record;
            assert_eq!(batch.topic(record.topic), "t");
            assert_eq!(record.key, Value::Null);
            assert_eq!(
                (record.partition, record.timestamp, record.offset),
                (None, None, -1)
            );
            assert_eq!(record.sequence as usize, index);
            let partition = batch.source_partition(record.source_partition.unwrap());
            let text = match record.value {
                Value::Utf8(text) => text.to_owned(),
                Value::Bytes(bytes) => format!("{bytes:?}"),
                other => panic!("{other:?}"),
            };
            let offset = record.source_offset.unwrap();
            self.offsets.insert(partition.to_owned(), offset.to_owned());
            let partition: serde_json::Value = serde_json::from_str(partition).unwrap();
            let offset: serde_json::Value = serde_json::from_str(offset).unwrap();
            let name = partition["filename"].as_str().unwrap();
            let name = name
                .strip_prefix(self.directory.path().to_str().unwrap())
                .unwrap();
            let name = name.trim_start_matches('/').to_owned();
            records.push((name, text, offset["position"].as_u64().unwrap()));
        }
        Ok((polled, records))
    }

    /// Polls until the source is idle; returns what came and when it wants to be asked again.
    pub(super) fn drain(&mut self) -> (Vec<Seen>, Option<u64>) {
        let mut all = Vec::new();
        for polls in 0.. {
            assert!(polls < 10_000, "it is never idle");
            let (polled, records) = self.poll_with(LIMITS).unwrap();
            let idle = records.is_empty();
            all.extend(records);
            if let (true, Polled::Idle(again_ms)) = (idle, polled) {
                return (all, again_ms);
            }
        }
        unreachable!("the loop ends")
    }

    /// Everything that comes until nothing more does, however long the source waits in between.
    pub(super) fn everything(&mut self) -> Vec<Seen> {
        let (mut all, mut nothing) = (Vec::new(), 0);
        // Three times nothing: neither a wait for late lines nor a last line is left.
        while nothing < 3 {
            let (found, _) = self.drain();
            nothing = if found.is_empty() { nothing + 1 } else { 0 };
            all.extend(found);
            assert!(all.len() < 100_000, "it never ends: {:?}", &all[..10]);
            self.wait(LONG_MS);
        }
        all
    }

    #[track_caller]
    pub(super) fn expect_everything(&mut self, expected: &[&str]) {
        let found = self.everything();
        let found: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    pub(super) fn expect(&mut self, expected: &[(&str, u64)]) -> Option<u64> {
        let (found, again_ms) = self.drain();
        let found: Vec<_> = found
            .iter()
            .map(|(text, position)| (text.as_str(), *position))
            .collect();
        assert_eq!(found, expected);
        again_ms
    }

    /// What comes, by file.
    #[track_caller]
    pub(super) fn expect_by_file(&mut self, expected: &[(&str, &[&str])]) {
        let mut all = BTreeMap::<String, Vec<String>>::new();
        for _ in 0..6 {
            loop {
                let (polled, records) = self.poll_all(LIMITS).unwrap();
                let idle = records.is_empty() && matches!(polled, Polled::Idle(_));
                for (name, text, _) in records {
                    all.entry(name).or_default().push(text);
                }
                if idle {
                    break;
                }
            }
            self.wait(LONG_MS);
        }
        let expected: BTreeMap<_, Vec<_>> = expected
            .iter()
            .map(|(name, lines)| {
                (
                    (*name).to_owned(),
                    lines.iter().map(|line| (*line).to_owned()).collect(),
                )
            })
            .collect();
        assert_eq!(all, expected);
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub(super) fn error(&mut self) -> ConnectError {
        self.poll_with(LIMITS).unwrap_err()
    }

    /// Warnings so far that contain this.
    pub(super) fn warnings(&self, part: &str) -> usize {
        let lines = self.host.lines();
        let warnings = lines.iter().filter(|(level, _)| *level == LogLevel::Warn);
        let texts: BTreeSet<_> = warnings
            .enumerate()
            .filter(|(_, (_, line))| line.contains(part))
            .map(|(number, _)| number)
            .collect();
        texts.len()
    }
}

pub(super) fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}
