//! The sink is killed at every step of its way from a record to a committed offset, again and again: at the end each record
//! of the topic is in each sink's files once, and no finished file ever changed.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use crate::harness::{
    batches::{Codec, batch, record},
    planted,
    program::Standalone,
    scratch::Scratch,
    wait,
};

const TOPIC: &str = "killed";
const PARTITIONS: i32 = 2;
const KILLS: usize = 20;
const FORMS: [&str; 2] = ["native", "wasm"];

/// Enough that the sinks never catch up before the last kill.
const LINES: usize = 3_000;
const LINES_PER_BATCH: usize = 100;

fn line(partition: i32, number: usize) -> String {
    format!("{partition}: line {number:05}")
}

/// One line per record and partition.
fn expected(partition: i32) -> Vec<String> {
    (0..LINES).map(|number| line(partition, number)).collect()
}

/// Fills the topic; returns the connector files of the sinks.
fn prepare(worker: &mut Standalone, program: &Path) -> Vec<String> {
    for converter in ["key.converter", "value.converter"] {
        worker.property(converter, "org.apache.kafka.connect.storage.StringConverter");
    }
    // About one commit per batch.
    worker.property("offset.flush.interval.ms", "1");
    // The program with planted bugs lies where no plugins of its own are.
    worker.property("plugin.native.allow", "*");
    worker.start_binary(program, &[]);
    let mut wire = worker.wire();
    wire.create_topic(TOPIC, PARTITIONS, &[]);
    let now = jackfield_env::Env::real().clock.now_ms();
    for partition in 0..PARTITIONS {
        for lines in expected(partition).chunks(LINES_PER_BATCH) {
            let records: Vec<_> = lines.iter().map(|line| record(now, line.as_bytes())).collect();
            wire.produce(TOPIC, partition, batch(Codec::None, None, &records));
        }
    }
    worker.stop(Signal::TERM);
    let mut connectors = Vec::new();
    for form in FORMS {
        let common = [
            ("connector.class", "FileStreamSink"),
            ("topics", TOPIC),
            ("plugin.form", form),
            ("consumer.override.max.poll.records", "10"),
        ];
        let plain_file = format!("plain-{form}.txt");
        let plain = [("file", plain_file.as_str())];
        let rolling_directory = format!("rolling-{form}");
        fs::create_dir_all(worker.directory.join(&rolling_directory)).unwrap();
        let rolling = [
            ("tasks.max", "2"),
            ("file.directory", rolling_directory.as_str()),
            ("format", "json"),
            ("compression.type", "gzip"),
            ("file.roll.records", "33"),
            ("file.roll.interval.ms", "1000"),
        ];
        connectors.push(worker.connector(&format!("plain-{form}"), &[&common[..], &plain].concat()));
        connectors.push(worker.connector(&format!("rolling-{form}"), &[&common[..], &rolling].concat()));
    }
    connectors
}

/// What the plain file has of each partition, in order.
fn plain_lines(path: &Path) -> BTreeMap<i32, Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let partition = line.split(':').next().unwrap().parse().unwrap();
        lines.entry(partition).or_default().push(line.to_owned());
    }
    lines
}

/// The finished files of a partition, with their bytes.
fn finished(directory: &Path, partition: i32) -> BTreeMap<PathBuf, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory.join(format!("{TOPIC}/{partition}"))) else {
        return BTreeMap::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_finished = |path: &PathBuf| path.to_str().unwrap().ends_with(".jsonl.gz");
    paths
        .filter(is_finished)
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn json_lines(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, bytes) in files {
        let mut text = String::new();
        let decoded = flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text);
        decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.ends_with('\n'), "{}: a torn line", path.display());
        lines.extend(
            text.lines()
                .map(|line| serde_json::from_str::<String>(line).unwrap()),
        );
    }
    lines
}

/// Finished files seen so far.
#[derive(Default)]
struct Finished(BTreeMap<PathBuf, Vec<u8>>);

impl Finished {
    /// What was there is there, and what is there is the beginning of the topic.
    fn check(&mut self, scratch: &Scratch) {
        let mut now = BTreeMap::new();
        for form in FORMS {
            for partition in 0..PARTITIONS {
                let files = finished(&scratch.join(format!("rolling-{form}")), partition);
                let lines = json_lines(&files);
                assert!(
                    expected(partition).starts_with(&lines),
                    "{form}, partition {partition}"
                );
                now.extend(files);
            }
        }
        for (path, bytes) in &self.0 {
            assert!(now.get(path) == Some(bytes), "{} has changed", path.display());
        }
        self.0 = now;
    }
}

/// Kills at a point of the sink's way, where it comes with every batch or every commit.
fn each_record_is_written_once(point: &str) {
    let scratch = Scratch::new(&format!("kills-{point}"));
    let mut worker = Standalone::new(&scratch);
    let connectors = prepare(&mut worker, &planted::program(&scratch, "none"));
    let connectors: Vec<_> = connectors.iter().map(String::as_str).collect();
    let mut seen = Finished::default();
    for kill in 0..KILLS {
        let program = planted::program(&scratch, &format!("kill-at={point}:{}", 1 + kill % 8));
        let mut process = worker.launch(&program, &connectors);
        wait::until(&format!("the end at {point}"), || {
            (!process.is_running()).then_some(())
        });
        assert!(!process.log().contains("panicked"), "{}", process.log());
        seen.check(&scratch);
    }
    assert!(!seen.0.is_empty(), "no file was finished between the kills");
    let complete = |lines: Option<&Vec<String>>| lines.is_some_and(|lines| lines.len() >= LINES);
    worker.start_binary(&planted::program(&scratch, "none"), &connectors);
    for form in FORMS {
        wait::until(&format!("all lines in the {form} sinks"), || {
            let plain = plain_lines(&scratch.join(format!("plain-{form}.txt")));
            let mut partitions = 0..PARTITIONS;
            partitions
                .all(|partition| {
                    let files = finished(&scratch.join(format!("rolling-{form}")), partition);
                    complete(plain.get(&partition)) && complete(Some(&json_lines(&files)))
                })
                .then_some(())
        });
    }
    worker.stop(Signal::TERM);
    seen.check(&scratch);
    for form in FORMS {
        let plain = plain_lines(&scratch.join(format!("plain-{form}.txt")));
        for partition in 0..PARTITIONS {
            assert!(
                plain[&partition] == expected(partition),
                "plain {form}, partition {partition}"
            );
            let files = finished(&scratch.join(format!("rolling-{form}")), partition);
            assert!(
                json_lines(&files) == expected(partition),
                "rolling {form}, partition {partition}"
            );
        }
    }
}

#[test]
fn each_record_is_written_once_when_killed_before_a_write() {
    each_record_is_written_once("sink.before-write");
}

#[test]
fn each_record_is_written_once_when_killed_behind_a_write() {
    each_record_is_written_once("sink.written");
}

#[test]
fn each_record_is_written_once_when_killed_behind_a_sync() {
    each_record_is_written_once("sink.synced");
}

#[test]
fn each_record_is_written_once_when_killed_before_a_commit() {
    each_record_is_written_once("sink.before-commit");
}

#[test]
fn each_record_is_written_once_when_killed_behind_a_commit() {
    each_record_is_written_once("sink.committed");
}
