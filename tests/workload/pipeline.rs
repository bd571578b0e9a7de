//! A file pipeline on a worker: lines of a file to a topic of several partitions and on to another file, and the
//! judgement of both ends.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use super::lines::{self, Writer};
use crate::harness::{batches::ReadRecord, program::Standalone, wait};

const TOPIC: &str = "lines";
const PARTITIONS: i32 = 3;

/// Source and sink on a worker that is started and killed by its owner.
#[derive(Debug)]
pub(crate) struct Pipeline {
    source: PathBuf,
    sink: PathBuf,
    /// The connectors' files, for the worker's command line.
    connectors: [String; 2],
    writer: Writer,
}

impl Pipeline {
    /// Configures `worker` and starts to write lines. The files lie in `folder` of the worker's directory.
    pub(crate) fn new(worker: &mut Standalone, folder: &str, form: &str) -> Self {
        let directory = worker.directory.join(folder);
        fs::create_dir_all(&directory).unwrap();
        for (key, value) in [
            (
                "key.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
            (
                "value.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
            ("offset.flush.interval.ms", "100"),
            // A sink task that was killed is missed soon.
            ("consumer.session.timeout.ms", "1000"),
            ("broker.group.min.session.timeout.ms", "100"),
            // The program with planted bugs lies where no plugins of its own are.
            ("plugin.native.allow", "*"),
        ] {
            worker.property(key, value);
        }
        let (source, sink) = (directory.join("lines.txt"), directory.join("lines.out"));
        let source_file = source.display().to_string();
        let sink_file = sink.display().to_string();
        let partitions = PARTITIONS.to_string();
        let connectors = [
            worker.connector(
                "lines-source",
                &[
                    ("connector.class", "FileStreamSource"),
                    ("plugin.form", form),
                    ("file", &source_file),
                    ("topic", TOPIC),
                    ("topic.creation.default.partitions", &partitions),
                    ("topic.creation.default.replication.factor", "1"),
                ],
            ),
            worker.connector(
                "lines-sink",
                &[
                    ("connector.class", "FileStreamSink"),
                    ("plugin.form", form),
                    ("file", &sink_file),
                    ("topics", TOPIC),
                ],
            ),
        ];
        Self {
            writer: Writer::start(&source),
            source,
            sink,
            connectors,
        }
    }

    /// For the worker's command line.
    pub(crate) fn connectors(&self) -> [&str; 2] {
        self.connectors.each_ref().map(String::as_str)
    }

    /// See [`Writer::pause`].
    pub(crate) fn pause(&self) {
        self.writer.pause();
    }

    /// See [`Writer::resume`].
    pub(crate) fn resume(&self) {
        self.writer.resume(&self.source);
    }

    /// Waits until more has reached the sink file.
    pub(crate) fn goes_on(&self) {
        let length = || fs::metadata(&self.sink).map_or(0, |metadata| metadata.len());
        let before = length();
        wait::until("the sink file to grow", || (length() > before).then_some(()));
    }

    /// Ends the writer, waits until every line has come through (or will not), and judges: number of lines, and what is
    /// wrong.
    pub(crate) fn finish(self, worker: &Standalone) -> (usize, Vec<String>) {
        let lines = self.writer.finish();
        let last = lines::line(lines - 1);
        let mut wire = worker.wire();
        let patience = Instant::now() + wait::PATIENCE / 2;
        let (topic, sink) = wait::until("the pipeline to come to rest", || {
            let topic: Vec<Vec<String>> = (0..PARTITIONS)
                .map(|partition| wire.read_all(TOPIC, partition))
                .map(|records| records.iter().map(ReadRecord::text).collect())
                .collect();
            let sink = sink_lines(&self.sink);
            let complete = topic.iter().any(|values| values.contains(&last))
                && sink.len() == topic.iter().map(Vec::len).sum::<usize>();
            // One that is broken never comes to this rest.
            (complete || Instant::now() > patience).then_some((topic, sink))
        });
        (lines, judge(lines, &topic, &sink))
    }
}

fn sink_lines(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(ToOwned::to_owned).collect()
}

/// Holds the pipeline's ends against each other. Every line of the source is in the topic (a restart may repeat some), and
/// the sink file is the topic, record for record: every partition's records are in it, in their order, and nothing else.
fn judge(lines: usize, topic: &[Vec<String>], sink: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let count = |lines: &mut dyn Iterator<Item = &String>| {
        let mut times: BTreeMap<String, i64> = BTreeMap::new();
        lines.for_each(|line| *times.entry(line.clone()).or_default() += 1);
        times
    };
    let (in_topic, in_sink) = (count(&mut topic.iter().flatten()), count(&mut sink.iter()));
    let mut lost = (0..lines)
        .map(lines::line)
        .filter(|line| !in_topic.contains_key(line));
    if let Some(first) = lost.next() {
        let more = lost.count();
        problems.push(format!(
            "the topic lacks '{first}' and {more} more lines of the source"
        ));
    }
    let values: BTreeSet<_> = in_topic.keys().chain(in_sink.keys()).collect();
    let times = |counted: &BTreeMap<String, i64>, value: &str| counted.get(value).copied().unwrap_or(0);
    let mut different = values
        .into_iter()
        .filter(|value| times(&in_topic, value) != times(&in_sink, value));
    if let Some(first) = different.next() {
        problems.push(format!(
            "'{first}' is {} times in the topic and {} times in the sink file, and {} more lines differ",
            times(&in_topic, first),
            times(&in_sink, first),
            different.count()
        ));
    }
    let once = |line: &&String| times(&in_topic, line) == 1 && times(&in_sink, line) == 1;
    let position: HashMap<&String, usize> = sink.iter().zip(0..).collect();
    for (partition, values) in topic.iter().enumerate() {
        let positions: Vec<_> = values.iter().filter(once).map(|line| position[line]).collect();
        if !positions.is_sorted() {
            problems.push(format!("partition {partition} is out of order in the sink file"));
        }
    }
    problems
}

#[test]
fn pipelines_are_judged() {
    let lines = |numbers: &[usize]| {
        numbers
            .iter()
            .map(|number| lines::line(*number))
            .collect::<Vec<_>>()
    };
    let check = |topic: &[&[usize]], sink: &[usize]| {
        let topic: Vec<_> = topic.iter().map(|numbers| lines(numbers)).collect();
        judge(4, &topic, &lines(sink)).len()
    };
    assert_eq!(check(&[&[0, 1], &[2, 3]], &[0, 1, 2, 3]), 0);
    assert_eq!(check(&[&[0, 1], &[2, 3]], &[2, 0, 3, 1]), 0, "partitions mix");
    assert_eq!(
        check(&[&[0, 1, 2], &[2, 3]], &[0, 1, 2, 3, 2]),
        0,
        "a restart may repeat"
    );
    assert_eq!(check(&[&[0, 1], &[3]], &[0, 1, 3]), 1, "the topic lost one");
    assert_eq!(check(&[&[0, 1], &[2, 3]], &[0, 1, 2]), 1, "the sink lost one");
    assert_eq!(
        check(&[&[0, 1], &[2, 3]], &[0, 1, 2, 3, 3]),
        1,
        "the sink repeats one"
    );
    assert_eq!(
        check(&[&[0, 1], &[2, 3]], &[1, 0, 2, 3]),
        1,
        "the sink turned two around"
    );
}
