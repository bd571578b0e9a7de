//! Tests of the sink with rolling files: a host that commits, dies and moves partitions, on real files.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_api::{
    ErrorKind, LocalHost,
    batch::{BatchBuilder, Record, Value},
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{tests::unlocked, *};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// The worker's side of one partition: what it holds of the group, and a directory.
struct Host {
    root: TempDir,
    local: Arc<LocalHost>,
    settings: BTreeMap<String, String>,
    /// Position and metadata as committed.
    committed: SinkPosition,
    sink: Option<FileStreamSink>,
    /// Next offset to be delivered.
    next: i64,
}

fn entries(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn value(offset: i64) -> String {
    format!("line {offset}")
}

impl Host {
    fn new(settings: &[(&str, &str)]) -> Self {
        // In memory where that is possible: the steps of many runs sync a lot.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let root = root.unwrap();
        let mut settings = entries(settings);
        settings.insert(
            "file.directory".to_owned(),
            root.path().to_str().unwrap().to_owned(),
        );
        Self {
            root,
            local: LocalHost::new(),
            settings,
            committed: SinkPosition {
                topic: "t".to_owned(),
                partition: 3,
                offset: -1,
                metadata: String::new(),
            },
            sink: None,
            next: 0,
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    fn try_start(&self) -> Result<FileStreamSink, ConnectError> {
        let config = Config::resolve(&FileStreamSink::config_def(), self.settings.clone())?;
        let mut sink = FileStreamSink::start(&config, self.local.sink_context())?;
        if let Destination::Rolling(files) = &mut sink.destination {
            files.set_clock(|| NOW.get());
        }
        Ok(sink)
    }

    /// Opens the partition in a new task, from the commit.
    fn open(&mut self) {
        self.try_open().unwrap();
    }

    fn try_open(&mut self) -> Result<(), ConnectError> {
        // The one before is dead: its lock is gone.
        self.sink = None;
        let mut sink = self.try_start()?;
        unlocked(|| sink.open(std::slice::from_ref(&self.committed)))?;
        self.sink = Some(sink);
        self.next = self.committed.offset.max(0);
        self.commit(true);
        Ok(())
    }

    fn put(&mut self, records: i64) {
        self.try_put(records).unwrap();
    }

    fn try_put(&mut self, records: i64) -> Result<(), ConnectError> {
        let offsets = self.next..self.next + records;
        let mut builder = BatchBuilder::new();
        let topic = builder.topic("t").unwrap();
        for (sequence, offset) in (0..).zip(offsets) {
            let text = value(offset);
            let record = Record {
                topic,
                source_partition: None,
                partition: Some(3),
                timestamp: None,
                offset,
                sequence,
                key: Value::Null,
                value: Value::Utf8(&text),
                source_offset: None,
            };
            builder.push(&record, &[]).unwrap();
        }
        let bytes = builder.finish();
        let sink = self.sink.as_mut().unwrap();
        assert_eq!(sink.put(&Batch::parse(&bytes[..]).unwrap())?, []);
        self.next += records;
        Ok(())
    }

    /// Lets the sink make everything safe, and commits it, or dies before.
    fn commit(&mut self, arrives: bool) {
        let current = SinkPosition {
            offset: self.next,
            ..self.committed.clone()
        };
        let safe = self
            .sink
            .as_mut()
            .unwrap()
            .pre_commit(&[current])
            .unwrap()
            .remove(0);
        if arrives {
            self.committed = safe;
        }
    }

    /// As the worker: asks again after a commit.
    fn flush(&mut self) {
        self.commit(true);
        self.commit(true);
    }

    fn names(&self) -> Vec<String> {
        names(self.root.path(), self.root.path())
    }

    /// The finished files of the partition with their content, decompressed.
    fn finished(&self) -> BTreeMap<String, String> {
        let files = self.names().into_iter().filter(|name| !name.contains("/."));
        files.map(|name| (name.clone(), self.read(&name))).collect()
    }

    fn read(&self, name: &str) -> String {
        decoded(&self.root.path().join(name))
    }

    fn said(&self, part: &str) -> bool {
        self.local.lines().iter().any(|(_, line)| line.contains(part))
    }
}

fn names(root: &Path, directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(names(root, &path));
        } else {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

fn decoded(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    let name = path.to_str().unwrap().trim_end_matches(".part");
    if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
    } else if name.ends_with(".zst") {
        text = String::from_utf8(zstd::stream::decode_all(&bytes[..]).unwrap()).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text
}

fn text(offsets: std::ops::Range<i64>) -> String {
    offsets.map(|offset| value(offset) + "\n").collect()
}

fn file(first: i64) -> String {
    format!("t/3/{first:020}.txt")
}

fn part(first: i64) -> String {
    format!("t/3/.{first:020}.txt.part")
}

#[test]
fn a_file_appears_when_its_records_are_committed() {
    let mut host = Host::new(&[("file.roll.records", "3")]);
    host.open();
    assert_eq!(
        host.names(),
        Vec::<String>::new(),
        "nothing before the first record"
    );
    host.put(7);
    assert_eq!(host.names(), [part(0), part(3), part(6)]);
    host.commit(true);
    assert_eq!(
        host.finished(),
        BTreeMap::new(),
        "the commit has not arrived yet for all the sink knows"
    );
    host.commit(true);
    assert_eq!(host.names(), [part(6), file(0), file(3)]);
    assert_eq!(host.read(&file(0)), text(0..3));
    assert_eq!(host.read(&file(3)), text(3..6));
    host.put(2);
    host.flush();
    assert_eq!(host.names(), [file(0), file(3), file(6)]);
    assert_eq!(host.read(&file(6)), text(6..9));
}

#[test]
fn a_file_of_some_size_is_finished() {
    let mut host = Host::new(&[("file.roll.bytes", "14"), ("file.roll.interval.ms", "0")]);
    host.open();
    host.put(5);
    host.flush();
    assert_eq!(host.names(), [part(4), file(0), file(2)]);
}

#[test]
fn a_file_of_some_age_is_finished_without_further_records() {
    NOW.set(1_000);
    let mut host = Host::new(&[("file.roll.interval.ms", "50")]);
    host.open();
    NOW.set(2_000);
    host.put(1);
    NOW.set(2_049);
    host.flush();
    assert_eq!(host.names(), [part(0)]);
    // A restart does not make it younger.
    host.open();
    NOW.set(2_050);
    host.flush();
    assert_eq!(host.finished(), BTreeMap::from([(file(0), text(0..1))]));
    host.put(1);
    host.flush();
    assert_eq!(host.names(), [part(1), file(0)]);
}

#[test]
fn a_killed_task_is_continued_from_its_commit() {
    for compression in ["none", "gzip", "zstd"] {
        let mut host = Host::new(&[("file.roll.records", "4"), ("compression.type", compression)]);
        host.open();
        host.put(2);
        host.flush();
        // Written, made safe, and not committed.
        host.put(7);
        host.commit(false);
        host.open();
        assert_eq!(
            host.names().len(),
            1,
            "{compression}: later files are gone: {:?}",
            host.names()
        );
        host.put(1);
        host.put(9);
        host.flush();
        let extension = ["none", "gzip", "zstd"]
            .into_iter()
            .zip([".txt", ".txt.gz", ".txt.zst"]);
        let extension = extension.collect::<BTreeMap<_, _>>()[compression];
        let finished = [0, 4, 8].map(|first| (format!("t/3/{first:020}{extension}"), text(first..first + 4)));
        assert_eq!(host.finished(), BTreeMap::from(finished), "{compression}");
    }
}

/// Between the commit and the rename.
#[test]
fn what_is_committed_is_finished_by_the_next_task() {
    let mut host = Host::new(&[("file.roll.records", "2")]);
    host.open();
    host.put(5);
    host.commit(true);
    host.open();
    assert_eq!(host.names(), [part(4), file(0), file(2)]);
}

#[test]
fn files_of_another_config_are_finished_as_they_are() {
    for (key, changed) in [
        ("file.name.template", "x/{topic}-{partition}-{offset}.txt"),
        ("format", "json"),
    ] {
        let mut host = Host::new(&[
            ("file.name.template", "{topic}/{partition}/{offset}.txt"),
            ("file.roll.records", "4"),
        ]);
        host.open();
        host.put(6);
        host.commit(true);
        host.put(1);
        host.set(key, changed);
        host.open();
        assert_eq!(
            host.finished(),
            BTreeMap::from([(file(0), text(0..4)), (file(4), text(4..6))]),
            "{key}"
        );
        host.put(4);
        host.flush();
        assert_eq!(host.finished().len(), 3, "{:?}", host.names());
        let last = if key == "format" {
            file(6)
        } else {
            "x/t-3-00000000000000000006.txt".to_owned()
        };
        let lines: String = (6..10).map(|offset| format!("\"{}\"\n", value(offset))).collect();
        let expected = if key == "format" { lines } else { text(6..10) };
        assert_eq!(host.read(&last), expected);
    }
}

#[test]
fn a_file_without_a_commit_is_set_aside() {
    let mut host = Host::new(&[]);
    host.open();
    host.put(2);
    host.flush();
    for number in 1..=2 {
        // The group's offsets are reset.
        host.committed.metadata.clear();
        host.committed.offset = -1;
        host.open();
        assert!(
            host.names()
                .contains(&format!("t/3/.{:020}.txt.unknown-{number}", 0)),
            "{:?}",
            host.names()
        );
        assert!(host.said("nothing is committed about it"));
        host.put(3);
        host.flush();
        assert_eq!(host.read(&part(0)), text(0..3));
    }
}

#[test]
fn a_finished_file_is_never_replaced() {
    let mut host = Host::new(&[("file.roll.records", "2")]);
    host.open();
    host.put(2);
    host.flush();
    host.committed.metadata.clear();
    host.committed.offset = -1;
    host.open();
    let error = host.try_put(2).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error
            .message
            .contains("exists already and is never changed; were offsets reset?"),
        "{error}"
    );
    assert_eq!(host.finished(), BTreeMap::from([(file(0), text(0..2))]));
    // One that appears behind the sink's back.
    host.committed.offset = 2;
    host.open();
    host.put(2);
    fs::write(host.root.path().join(file(2)), "foreign").unwrap();
    host.commit(true);
    let current = host.committed.clone();
    let error = host.sink.as_mut().unwrap().pre_commit(&[current]).unwrap_err();
    assert!(error.message.contains("exists already"), "{error}");
    let error = host.try_open().unwrap_err();
    assert!(error.message.contains("exists already"), "{error}");
    fs::remove_file(host.root.path().join(file(2))).unwrap();
    host.open();
    assert_eq!(host.read(&file(2)), text(2..4), "nothing was lost meanwhile");
}

#[test]
fn a_file_changed_from_outside_is_an_error_and_a_missing_one_a_warning() {
    let mut host = Host::new(&[]);
    host.open();
    host.put(2);
    host.flush();
    let path = host.root.path().join(part(0));
    fs::write(&path, "line 0\n").unwrap();
    let error = host.try_open().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(
        error.message.contains("has 7 bytes, 14 were committed"),
        "{error}"
    );
    fs::remove_file(&path).unwrap();
    host.open();
    assert!(host.said("with 14 committed bytes is missing"));
    host.put(1);
    host.flush();
    assert_eq!(host.read(&part(2)), text(2..3));
}

#[test]
fn a_file_in_progress_has_one_writer() {
    let mut host = Host::new(&[]);
    host.open();
    host.put(1);
    host.flush();
    let mut other = host.try_start().unwrap();
    let error = other.open(std::slice::from_ref(&host.committed)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(
        error.message.contains("another task or process writes it"),
        "{error}"
    );
    // The partition moves: given up here, opened there.
    host.put(1);
    let partition = TopicPartition {
        topic: "t".to_owned(),
        partition: 3,
    };
    host.sink.as_mut().unwrap().close(&[partition]).unwrap();
    unlocked(|| other.open(std::slice::from_ref(&host.committed))).unwrap();
    assert_eq!(host.read(&part(0)), text(0..1));
}

#[test]
fn a_directory_that_cannot_be_used_is_a_clear_error() {
    let mut host = Host::new(&[]);
    let root = host.root.path().to_owned();
    let missing = root.join("missing");
    host.set("file.directory", missing.to_str().unwrap());
    let error = host.try_start().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.message.contains("missing cannot be used") && error.message.contains("create it first"),
        "{error}"
    );
    fs::write(&missing, "").unwrap();
    assert!(
        host.try_start()
            .unwrap_err()
            .message
            .contains("is not a directory")
    );
    // A file where the directory of a topic should be.
    host.set("file.directory", root.to_str().unwrap());
    fs::write(root.join("t"), "").unwrap();
    let error = host.try_open().unwrap_err();
    assert!(error.message.contains("cannot read directory"), "{error}");
    host.committed.topic = "..".to_owned();
    let error = host.try_open().unwrap_err();
    assert!(error.message.contains("cannot be part of a file name"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_without_write_access_is_a_clear_error() {
    // Root may write everywhere but here.
    let mut host = Host::new(&[("file.directory", "/proc")]);
    host.set("file.directory", "/proc");
    host.open();
    let error = host.try_put(1).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(
        error.message.contains("cannot create directory /proc/t"),
        "{error}"
    );
}

#[test]
fn configs_that_contradict_themselves_are_refused() {
    for (settings, expected) in [
        (
            &[("file", "f"), ("file.directory", "d")][..],
            "file.directory: file is given too",
        ),
        (
            &[("file", "f"), ("file.name.template", "x")],
            "file.name.template: names files of file.directory",
        ),
        (
            &[("file", "f"), ("compression.type", "gzip")],
            "compression.type: only files of file.directory",
        ),
        (
            &[("file.directory", "d"), ("file.name.template", "{topic}")],
            "file.name.template: \"{topic}\" needs {partition}",
        ),
        (
            &[
                ("file.directory", "d"),
                ("file.roll.bytes", "0"),
                ("file.roll.interval.ms", "0"),
            ],
            "file.roll.bytes: no file would ever be finished",
        ),
    ] {
        let config = Config::resolve(&FileStreamSink::config_def(), entries(settings)).unwrap();
        let error = FileStreamSink::start(&config, LocalHost::new().sink_context()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(expected), "{error}");
    }
    for (key, bad) in [
        ("format", "xml"),
        ("compression.type", "lzo"),
        ("file.roll.records", "-1"),
    ] {
        let settings = entries(&[("file.directory", "d"), (key, bad)]);
        let definition = FileStreamSink::config_def();
        assert!(
            definition.check(&settings).iter().any(|issue| issue.name == key),
            "{key}"
        );
    }
}

#[test]
fn partitions_may_be_shared_among_tasks() {
    let config = Config::resolve(&FileStreamSink::config_def(), entries(&[("file.directory", "d")])).unwrap();
    assert_eq!(FileStreamSink::task_configs(&config, 4).unwrap().len(), 4);
}

/// What a worker and the world may do to the sink.
#[derive(Debug, Clone)]
enum Step {
    Put(i64),
    /// The worker flushes; the commit may be lost.
    Commit(bool),
    /// kill -9, and a new task.
    Kill,
    /// The partition is given up and comes back.
    Move,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..9i64).prop_map(Step::Put),
        3 => any::<bool>().prop_map(Step::Commit),
        2 => Just(Step::Kill),
        1 => Just(Step::Move),
        1 => (1..80u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens: a finished file never changes and has committed records only, and at the end each record is in the
    /// files once and in order.
    #[test]
    fn each_record_is_in_the_files_once(steps in prop::collection::vec(step(), 1..60), compression in 0..3usize) {
        let compression = ["none", "gzip", "zstd"][compression];
        let mut host = Host::new(&[
            ("file.roll.records", "5"),
            ("file.roll.interval.ms", "100"),
            ("compression.type", compression),
        ]);
        host.open();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut highest = 0;
        for step in &steps {
            match step {
                Step::Put(records) => host.put(*records),
                Step::Commit(arrives) => host.commit(*arrives),
                Step::Kill => host.open(),
                Step::Move => {
                    let partition = TopicPartition { topic: "t".to_owned(), partition: 3 };
                    let opened = host.committed.clone();
                    let sink = host.sink.as_mut().unwrap();
                    sink.close(&[partition]).unwrap();
                    unlocked(|| sink.open(std::slice::from_ref(&opened))).unwrap();
                    host.next = opened.offset.max(0);
                }
                Step::Pass(ms) => NOW.set(NOW.get() + ms),
            }
            highest = highest.max(host.next);
            let finished = host.finished();
            for (name, content) in &seen {
                prop_assert_eq!(finished.get(name), Some(content), "{}", name);
            }
            let lines: String = finished.values().cloned().collect();
            let count = i64::try_from(lines.lines().count()).unwrap();
            prop_assert!(count <= host.committed.offset);
            prop_assert_eq!(&lines, &text(0..count));
            seen = finished;
        }
        if host.next < highest {
            host.put(highest - host.next);
        }
        host.flush();
        NOW.set(NOW.get() + 100);
        host.flush();
        let lines: String = host.finished().into_values().collect();
        prop_assert_eq!(lines, text(0..highest));
        let all: Vec<PathBuf> = host.names().iter().map(PathBuf::from).collect();
        prop_assert_eq!(all.len(), host.finished().len(), "nothing is left in progress");
    }
}
