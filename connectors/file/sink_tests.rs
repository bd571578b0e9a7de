//! Tests of the sink with one file.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_api::{
    ErrorKind, LocalHost,
    batch::{BatchBuilder, Record, Value},
};
use tempfile::TempDir;

use super::*;
use crate::sink_plain::Metadata;

pub(super) fn position(partition: i32, offset: i64, metadata: &str) -> SinkPosition {
    SinkPosition {
        topic: "t".to_owned(),
        partition,
        offset,
        metadata: metadata.to_owned(),
    }
}

fn batch(values: &[Value<'_>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let topic = builder.topic("t").unwrap();
    for (index, value) in values.iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        let record = Record {
            topic,
            source_partition: None,
            partition: Some(0),
            timestamp: None,
            offset: i64::from(index),
            sequence: index,
            key: Value::Utf8("ignored"),
            value: *value,
            source_offset: None,
        };
        builder.push(&record, &[]).unwrap();
    }
    builder.finish()
}

pub(super) fn put(sink: &mut FileStreamSink, values: &[Value<'_>]) -> Result<Vec<RecordError>, ConnectError> {
    let bytes = batch(values);
    sink.put(&Batch::parse(&bytes[..]).unwrap())
}

pub(super) fn lines(sink: &mut FileStreamSink, texts: &[&str]) {
    let values: Vec<_> = texts.iter().map(|text| Value::Utf8(text)).collect();
    assert_eq!(put(sink, &values).unwrap(), []);
}

/// Repeats what meets a lock: a process that another test starts at this moment has a copy of every open file, and so the
/// locks of files that are closed here, until it has become its program.
pub(super) fn unlocked<T>(mut open: impl FnMut() -> Result<T, ConnectError>) -> Result<T, ConnectError> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match open() {
            Err(error) if error.kind == ErrorKind::Retriable && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

struct Fixture {
    directory: TempDir,
    host: Arc<LocalHost>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            host: LocalHost::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("out.txt")
    }

    fn read(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn try_start(&self, file: &str) -> Result<FileStreamSink, ConnectError> {
        let settings = BTreeMap::from([("file".to_owned(), file.to_owned())]);
        let config = Config::resolve(&FileStreamSink::config_def(), settings)?;
        FileStreamSink::start(&config, self.host.sink_context())
    }

    fn start(&self) -> FileStreamSink {
        unlocked(|| self.try_start(self.path().to_str().unwrap())).unwrap()
    }

    fn said(&self, part: &str) -> bool {
        self.host.lines().iter().any(|(_, line)| line.contains(part))
    }
}

#[test]
fn values_become_lines_at_once() {
    let fixture = Fixture::new();
    let mut sink = fixture.start();
    sink.open(&[position(0, -1, "")]).unwrap();
    let values = [
        Value::Utf8("é"),
        Value::Null,
        Value::Bytes(b"raw"),
        Value::Json("{\"a\":1}"),
        Value::Json("\"q\""),
    ];
    assert_eq!(put(&mut sink, &values).unwrap(), []);
    assert_eq!(fixture.read(), "é\nnull\nraw\n{\"a\":1}\nq\n");
    assert_eq!(put(&mut sink, &[]).unwrap(), []);
}

#[test]
fn formats_write_what_they_say() {
    let values = [
        Value::Utf8("a"),
        Value::Null,
        Value::Bytes(b"\xff\n"),
        Value::Json("{\"a\": 1}"),
    ];
    for (format, separator, written, rejected) in [
        ("json", "", &b"\"a\"\nnull\n\"/wo=\"\n{\"a\":1}\n"[..], 0),
        ("raw", "", b"a\xff\n", 1),
        ("raw", "|", b"a|\xff\n|", 1),
    ] {
        let fixture = Fixture::new();
        let path = fixture.path();
        let settings = [
            ("file", path.to_str().unwrap()),
            ("format", format),
            ("format.raw.separator", separator),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = Config::resolve(&FileStreamSink::config_def(), settings.into()).unwrap();
        let mut sink = FileStreamSink::start(&config, fixture.host.sink_context()).unwrap();
        let errors = put(&mut sink, &values).unwrap();
        assert_eq!(errors.len(), rejected, "{format}");
        assert!(
            errors
                .iter()
                .all(|error| error.message.contains("use format=json"))
        );
        assert_eq!(fs::read(fixture.path()).unwrap(), written, "{format}");
    }
}

#[test]
fn what_is_there_is_kept_when_nothing_was_committed() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "old\n").unwrap();
    let mut sink = fixture.start();
    sink.open(&[position(0, 7, "")]).unwrap();
    lines(&mut sink, &["new"]);
    assert_eq!(fixture.read(), "old\nnew\n");
}

#[test]
fn a_restart_cuts_the_file_to_the_commit() {
    let fixture = Fixture::new();
    let mut sink = fixture.start();
    sink.open(&[position(0, -1, ""), position(1, -1, "")]).unwrap();
    lines(&mut sink, &["a", "b"]);
    let committed = sink
        .pre_commit(&[position(0, 2, ""), position(1, 0, "")])
        .unwrap();
    assert_eq!(committed[0].offset, 2);
    assert!(
        committed
            .iter()
            .all(|at| at.metadata.ends_with(",\"position\":4}")),
        "{committed:?}"
    );
    lines(&mut sink, &["c"]);
    assert_eq!(fixture.read(), "a\nb\nc\n");
    // The process dies here; "c" was not committed and comes again.
    drop(sink);
    let mut sink = fixture.start();
    sink.open(&committed).unwrap();
    assert_eq!(fixture.read(), "a\nb\n");
    assert!(fixture.said("cut from 6 to the 4 committed bytes"));
    lines(&mut sink, &["c", "d"]);
    assert_eq!(fixture.read(), "a\nb\nc\nd\n");
}

#[test]
fn the_first_commit_may_come_before_the_first_record() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "old\n").unwrap();
    let mut sink = fixture.start();
    sink.open(&[position(0, -1, "")]).unwrap();
    let committed = sink.pre_commit(&[position(0, 0, "")]).unwrap();
    lines(&mut sink, &["a"]);
    drop(sink);
    let mut sink = fixture.start();
    sink.open(&committed).unwrap();
    lines(&mut sink, &["a"]);
    assert_eq!(fixture.read(), "old\na\n");
}

#[test]
fn partitions_taken_away_and_given_back_repeat_nothing() {
    let fixture = Fixture::new();
    let mut sink = fixture.start();
    sink.open(&[position(0, -1, ""), position(1, -1, "")]).unwrap();
    lines(&mut sink, &["a"]);
    let committed = sink
        .pre_commit(&[position(0, 1, ""), position(1, 0, "")])
        .unwrap();
    lines(&mut sink, &["b"]);
    let both = [0, 1].map(|partition| TopicPartition {
        topic: "t".to_owned(),
        partition,
    });
    sink.close(&both).unwrap();
    sink.open(&committed).unwrap();
    lines(&mut sink, &["b"]);
    assert_eq!(fixture.read(), "a\nb\n");
}

#[test]
fn lines_of_partitions_that_stay_are_not_cut() {
    let fixture = Fixture::new();
    let mut sink = fixture.start();
    sink.open(&[position(0, -1, "")]).unwrap();
    lines(&mut sink, &["a"]);
    let committed = sink.pre_commit(&[position(1, 0, "")]).unwrap();
    lines(&mut sink, &["b"]);
    sink.open(&committed).unwrap();
    assert_eq!(fixture.read(), "a\nb\n");
}

/// The newest commit of a file may have been made with a partition that has left since, or come back.
#[test]
fn topics_that_change_and_change_back_cut_no_lines_of_the_others() {
    let fixture = Fixture::new();
    let mut group = BTreeMap::new();
    // Opens the partition with what the group has committed, adds a line and commits it; what follows dies with the task.
    let mut life = |partition: i32, offset: i64, line: &str| {
        fixture
            .host
            .set_group_positions(group.values().cloned().collect());
        let mut sink = fixture.start();
        let opened = group.get(&partition).cloned();
        let opened = opened.unwrap_or_else(|| position(partition, -1, ""));
        sink.open(std::slice::from_ref(&opened)).unwrap();
        lines(&mut sink, &[line]);
        let current = position(partition, offset, &opened.metadata);
        let committed = sink.pre_commit(&[current]).unwrap().remove(0);
        group.insert(partition, committed);
        lines(&mut sink, &["not committed"]);
    };
    for (partition, offset, line) in [(0, 1, "a1"), (1, 1, "b1"), (0, 2, "a2"), (1, 2, "b2")] {
        life(partition, offset, line);
    }
    assert_eq!(fixture.read(), "a1\nb1\na2\nb2\nnot committed\n");
    // Emptied while nothing ran: the long positions of before mean nothing from the next commit on.
    fs::write(fixture.path(), "").unwrap();
    life(0, 3, "a3");
    assert!(fixture.said("has 0 bytes, 12 were committed"));
    life(1, 3, "b3");
    life(0, 4, "a4");
    assert_eq!(fixture.read(), "a3\nb3\na4\nnot committed\n");
}

#[test]
fn metadata_of_another_file_or_of_others_means_nothing() {
    let fixture = Fixture::new();
    for metadata in [
        r#"{"file":"/elsewhere","position":0}"#,
        "something",
        r#"{"position":0}"#,
    ] {
        fs::write(fixture.path(), "kept\n").unwrap();
        fixture.start().open(&[position(0, 5, metadata)]).unwrap();
        assert_eq!(fixture.read(), "kept\n");
    }
}

/// A commit of another directory's file of the same name must not cut this one.
#[test]
fn a_relative_file_is_remembered_with_its_directory() {
    let fixture = Fixture::new();
    // Relative to the directory of the test, which others use too, so the path leads back into the temporary one.
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = format!("{up}{}", &fixture.path().to_str().unwrap()[1..]);
    let mut sink = unlocked(|| fixture.try_start(&relative)).unwrap();
    sink.open(&[position(0, -1, "")]).unwrap();
    lines(&mut sink, &["a", "b"]);
    let committed = sink.pre_commit(&[position(0, 2, "")]).unwrap();
    let metadata: Metadata = serde_json::from_str(&committed[0].metadata).unwrap();
    assert_eq!(metadata.file, here.join(&relative).to_str().unwrap());
    drop(sink);

    let with = |file: &str, bytes| {
        serde_json::to_string(&Metadata {
            file: file.to_owned(),
            epoch: 9,
            position: bytes,
        })
        .unwrap()
    };
    let elsewhere = format!("/elsewhere/{relative}");
    let open = |metadata: &str| {
        let mut sink = unlocked(|| fixture.try_start(&relative)).unwrap();
        sink.open(&[position(0, 2, metadata)]).unwrap();
    };
    open(&with(&elsewhere, 0));
    assert_eq!(fixture.read(), "a\nb\n");
    assert!(fixture.said(&format!("belongs to file {elsewhere}, not to {}", metadata.file)));
    // As commits were written before.
    open(&with(&relative, 2));
    assert_eq!(fixture.read(), "a\n");
    open(&with(&metadata.file, 0));
    assert_eq!(fixture.read(), "");
}

#[test]
fn a_file_shorter_than_the_commit_is_reported_and_continued() {
    let fixture = Fixture::new();
    let mut sink = fixture.start();
    sink.open(&[position(0, -1, "")]).unwrap();
    lines(&mut sink, &["a", "b"]);
    let committed = sink.pre_commit(&[position(0, 2, "")]).unwrap();
    fs::remove_file(fixture.path()).unwrap();
    let mut sink = fixture.start();
    sink.open(&committed).unwrap();
    lines(&mut sink, &["c"]);
    assert_eq!(fixture.read(), "c\n");
    assert!(fixture.said("has 0 bytes, 4 were committed"));
}

#[test]
fn a_record_that_cannot_be_read_is_rejected_alone() {
    let fixture = Fixture::new();
    let mut sink = fixture.start();
    let rejected = put(
        &mut sink,
        &[Value::Utf8("a"), Value::Json("\"open"), Value::Utf8("b")],
    )
    .unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].sequence, 1);
    assert_eq!(fixture.read(), "a\nb\n");
}

#[test]
fn what_cannot_be_opened_is_a_config_error() {
    let fixture = Fixture::new();
    let missing = fixture.directory.path().join("no/such/file");
    let error = fixture.try_start(missing.to_str().unwrap()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.message.contains("no/such/file") && error.message.contains("create its directory first"),
        "{error}"
    );
    let error = fixture
        .try_start(fixture.directory.path().to_str().unwrap())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    let error = fixture.try_start(&"x".repeat(2_000)).unwrap_err();
    assert!(error.message.contains("file name of 2000 bytes"), "{error}");
}

#[test]
fn a_file_has_one_writer() {
    let fixture = Fixture::new();
    let mut first = fixture.start();
    let error = fixture.try_start(fixture.path().to_str().unwrap()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(
        error
            .message
            .contains("out.txt: another task or process writes it"),
        "{error}"
    );
    lines(&mut first, &["a"]);
    drop(first);
    lines(&mut fixture.start(), &["b"]);
    assert_eq!(fixture.read(), "a\nb\n");
}

/// A new file's entry may be unsynced at any start, so a directory that cannot be synced is said at each, and no error.
/// (For root all directories are readable.)
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_read_is_said_at_every_start() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let allow =
        |mode| fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o300);
    let unreadable = fs::File::open(fixture.directory.path()).is_err();
    for start in 1..=2 {
        lines(&mut fixture.start(), &["a"]);
        let said = fixture.host.lines();
        let said = said
            .iter()
            .filter(|(_, line)| line.contains("cannot sync the directory of"));
        assert_eq!(said.count(), if unreadable { start } else { 0 });
    }
    allow(0o700);
    assert_eq!(fixture.read(), "a\na\n");
}

/// What has no length is shared as Kafka's sink shares it.
#[cfg(target_os = "linux")]
#[test]
fn devices_and_pipes_are_not_locked() {
    let fixture = Fixture::new();
    let pipe = fixture.path();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    for path in ["/dev/null", pipe.to_str().unwrap()] {
        let mut sinks = [fixture.try_start(path).unwrap(), fixture.try_start(path).unwrap()];
        for sink in &mut sinks {
            sink.open(&[position(0, -1, "")]).unwrap();
            lines(sink, &["a"]);
            sink.pre_commit(&[position(0, 1, "")]).unwrap();
        }
    }
    let mut read = [0; 4];
    io::Read::read_exact(&mut &reader, &mut read).unwrap();
    assert_eq!(&read, b"a\na\n");
}

#[test]
fn one_task_whatever_tasks_max_says() {
    let settings = BTreeMap::from([
        ("file".to_owned(), "f".to_owned()),
        ("tasks.max".to_owned(), "9".to_owned()),
    ]);
    let config = Config::resolve(&FileStreamSink::config_def(), settings.clone()).unwrap();
    assert_eq!(FileStreamSink::task_configs(&config, 9).unwrap(), [settings]);
}

/// `/dev/full` is a disk that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_retriable() {
    let fixture = Fixture::new();
    let mut sink = fixture.try_start("/dev/full").unwrap();
    sink.open(&[position(0, -1, "")]).unwrap();
    let error = put(&mut sink, &[Value::Utf8("a")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(error.message.contains("cannot write /dev/full"), "{error}");
}
