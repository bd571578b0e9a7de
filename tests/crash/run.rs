//! The run itself: four producers, a pipeline, ten kills.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    outcome::{self, Outcome},
    producers::{self, Ledger, PARTITIONS, Producers},
};
use crate::harness::{
    program::{Broker, Standalone, binary},
    scratch::{Scratch, free_port},
    wait,
    wire::Wire,
};

const PIPELINE_TOPIC: &str = "lines";

/// Small segments, so that a run rolls them and recovery meets more than one.
const SEGMENT_BYTES: &str = "log.segment.bytes";
const SMALL: &str = "500000";

/// Runs `program` as a worker under producers and a pipeline, kills it `kills` times and judges what is left.
pub(crate) fn run(name: &str, program: &Path, kills: usize) -> Outcome {
    let scratch = Scratch::new(name);
    let mut worker = Standalone::new(&scratch);
    worker.property(
        "key.converter",
        "org.apache.kafka.connect.storage.StringConverter",
    );
    worker.property(
        "value.converter",
        "org.apache.kafka.connect.storage.StringConverter",
    );
    worker.property("offset.flush.interval.ms", "100");
    // The program with planted bugs lies where no plugins of its own are.
    worker.property("plugin.native.allow", "*");
    worker.property(&format!("broker.{SEGMENT_BYTES}"), SMALL);
    let source = worker.connector(
        "lines-source",
        &[
            ("connector.class", "FileStreamSource"),
            ("file", "lines.txt"),
            ("topic", PIPELINE_TOPIC),
        ],
    );
    let sink = worker.connector(
        "lines-sink",
        &[
            ("connector.class", "FileStreamSink"),
            ("file", "lines.out"),
            ("topics", PIPELINE_TOPIC),
        ],
    );
    let connectors = [source.as_str(), sink.as_str()];
    let writer = Writer::start(scratch.path());
    worker.start_binary(program, &connectors);
    let port = worker.kafka_port;
    let ledger = kill_under_producers(port, kills, || {
        worker.kill_9();
        worker.start_binary(program, &connectors);
    });
    let lines = writer.finish();
    let pipeline = judge_pipeline(&worker, &scratch, lines);
    Outcome::new(&ledger, lines, pipeline)
}

/// As [`run`], with a broker alone and no pipeline.
pub(crate) fn run_broker(name: &str, program: &Path, kills: usize) -> Outcome {
    let scratch = Scratch::new(name);
    let port = free_port();
    let segment_bytes = format!("{SEGMENT_BYTES}={SMALL}");
    let start = || Broker::start_binary(program, &scratch, port, &[&segment_bytes]);
    let mut broker = start();
    let ledger = kill_under_producers(port, kills, || {
        broker.process.kill_9();
        broker = start();
    });
    Outcome::new(&ledger, 0, Vec::new())
}

/// Runs four producers against the broker on `port`, calls `restart` at random moments, and writes everything down.
fn kill_under_producers(port: u16, kills: usize, mut restart: impl FnMut()) -> Arc<Ledger> {
    Wire::connect(port).create_topic(producers::TOPIC, PARTITIONS, &[]);
    let ledger = Arc::new(Ledger::default());
    let producers = Producers::start(port, 4, &ledger);
    for _ in 0..kills {
        if !ledger.goes_on(200) {
            break;
        }
        thread::sleep(Duration::from_millis(
            RandomState::new().build_hasher().finish() % 700,
        ));
        restart();
        read(port, &ledger);
    }
    ledger.goes_on(1);
    producers.finish();
    read(port, &ledger);
    ledger
}

/// Reads the producers' topic into the history.
fn read(port: u16, ledger: &Ledger) {
    let before = ledger.history.lock().unwrap().acknowledgements();
    let mut wire = Wire::connect(port);
    let mut values = BTreeMap::new();
    for partition in 0..PARTITIONS {
        // A broker with a planted bug may be unable to serve for a moment what it acknowledged.
        let records = wait::until("the producers' topic to be readable", || {
            wire.try_read_all(producers::TOPIC, partition).ok()
        });
        for record in records {
            values.insert((partition, record.offset), record.text());
        }
    }
    ledger.history.lock().unwrap().read(values, before);
}

/// Waits until the pipeline has come to rest after its last line (or will not get there), and judges it.
fn judge_pipeline(worker: &Standalone, scratch: &Scratch, lines: usize) -> Vec<String> {
    let look = || {
        let topic: Vec<String> = worker
            .wire()
            .read_all(PIPELINE_TOPIC, 0)
            .iter()
            .map(|record| record.text())
            .collect();
        let sink = fs::read_to_string(scratch.join("lines.out")).unwrap_or_default();
        let sink: Vec<String> = sink.lines().map(ToOwned::to_owned).collect();
        (topic, sink)
    };
    let last = outcome::line(lines - 1);
    wait::until("the last line in the topic and in the sink file", || {
        let (topic, sink) = look();
        (topic.last() == Some(&last) && sink.last() == Some(&last)).then_some(())
    });
    let (topic, sink) = look();
    outcome::check_pipeline(lines, &topic, &sink)
}

/// Appends numbered lines to the source file all the time.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<usize>,
}

impl Writer {
    fn start(directory: &Path) -> Self {
        let mut file = fs::File::create(directory.join("lines.txt")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut next = 0;
            while !stopped.load(Ordering::Acquire) {
                let text: String = (next..next + 20)
                    .map(|number| outcome::line(number) + "\n")
                    .collect();
                file.write_all(text.as_bytes()).unwrap();
                next += 20;
                thread::sleep(Duration::from_millis(5));
            }
            next
        });
        Self { stop, thread }
    }

    /// Number of lines written.
    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

#[test]
fn ten_kills_lose_nothing_that_was_promised() {
    let outcome = run("crash", &binary(), 10);
    println!(
        "{} acknowledged records, {} lines",
        outcome.acknowledged, outcome.lines
    );
    assert!(outcome.acknowledged > 2_000, "too little happened: {outcome:?}");
    assert_eq!(outcome.anomalies, []);
    assert_eq!(outcome.refused, Vec::<String>::new());
    assert_eq!(outcome.pipeline, Vec::<String>::new());
}

#[test]
fn a_broker_alone_keeps_its_promises_under_kills() {
    let outcome = run_broker("crash-broker", &binary(), 5);
    println!("{} acknowledged records", outcome.acknowledged);
    assert_eq!(outcome.anomalies, []);
    assert_eq!(outcome.refused, Vec::<String>::new());
}
