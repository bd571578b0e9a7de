//! Everything clients do to a broker during a campaign, going on across its restarts, and the check after each of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    commits::CommitBook,
    producers::{self, Ledger, PARTITIONS, Producers, Promise},
    topics::TopicBook,
};
use crate::harness::{
    history::{Anomaly, Read},
    wait,
    wire::{ReadLog, Wire},
};

/// How often a partition is read before it counts as lost, every 20 ms.
const READS: usize = 500;
/// Keeps everything.
const KEPT: &str = "kept";
/// Loses its oldest segments to `retention.bytes`.
const TRIMMED: &str = "trimmed";
const TRIMMED_SEGMENT_BYTES: usize = 40_000;
const RETENTION_BYTES: usize = 120_000;

/// What brokers under this load are configured with: segments that roll often, retention that runs often.
pub(crate) const PROPERTIES: [(&str, &str); 4] = [
    ("log.segment.bytes", "200000"),
    ("log.retention.check.interval.ms", "50"),
    ("log.segment.delete.delay.ms", "100"),
    ("offsets.topic.num.partitions", "3"),
];

/// What a campaign showed. Everything but the counts is empty when the broker keeps its promises.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: usize,
    pub(crate) created: usize,
    pub(crate) deleted: usize,
    pub(crate) committed: usize,
    /// What the checker of the producers' histories found.
    pub(crate) anomalies: Vec<Anomaly>,
    /// Errors that producers were given.
    pub(crate) refused: Vec<String>,
    /// What is wrong with topics, groups, retention, logs or a pipeline.
    pub(crate) problems: Vec<String>,
}

impl Outcome {
    /// The counts.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} acknowledged records, {} topics created, {} deleted, {} offsets committed",
            self.acknowledged, self.created, self.deleted, self.committed
        )
    }

    /// Fails the test when a promise was broken.
    pub(crate) fn assert_good(&self) {
        let bad = self.anomalies.len() + self.refused.len() + self.problems.len();
        assert_eq!(bad, 0, "{self:#?}");
    }

    pub(crate) fn is_losing(&self) -> bool {
        let lost = |anomaly: &Anomaly| matches!(anomaly, Anomaly::Lost(_));
        self.anomalies.iter().any(lost)
    }
}

/// Topics and groups that change: by a thread between the checks.
#[derive(Debug)]
struct Books {
    topics: TopicBook,
    commits: CommitBook,
}

/// Running clients.
pub(crate) struct Load {
    port: u16,
    kept: Arc<Ledger>,
    trimmed: Arc<Ledger>,
    producers: Vec<Producers>,
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    changer: JoinHandle<()>,
    /// Log start offsets of the trimmed topic, as last seen.
    starts: BTreeMap<i32, i64>,
    last_producer_id: i64,
    problems: Vec<String>,
}

impl Load {
    /// Creates the topics and starts all clients.
    pub(crate) fn start(port: u16) -> Self {
        let mut wire = Wire::connect(port);
        wire.create_topic(KEPT, PARTITIONS, &[]);
        let segment_bytes = TRIMMED_SEGMENT_BYTES.to_string();
        let retention_bytes = RETENTION_BYTES.to_string();
        let configs = [
            ("segment.bytes", segment_bytes.as_str()),
            ("retention.bytes", retention_bytes.as_str()),
        ];
        wire.create_topic(TRIMMED, PARTITIONS, &configs);
        let (kept, trimmed) = (Ledger::new(KEPT), Ledger::new(TRIMMED));
        let all = [
            Promise::Idempotent,
            Promise::Idempotent,
            Promise::All,
            Promise::One,
        ];
        let producers = vec![
            Producers::start(port, &all, &kept),
            Producers::start(port, &[Promise::Idempotent, Promise::One], &trimmed),
        ];
        let books = Arc::new(Mutex::new(Books {
            topics: TopicBook::new(),
            commits: CommitBook::new(KEPT),
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let changer = {
            let (books, stop) = (Arc::clone(&books), Arc::clone(&stop));
            thread::spawn(move || change(port, &books, &stop))
        };
        Self {
            port,
            kept,
            trimmed,
            producers,
            books,
            stop,
            changer,
            starts: BTreeMap::new(),
            last_producer_id: -1,
            problems: Vec::new(),
        }
    }

    /// Waits until every kind of client has got something acknowledged; `false` when a producer was refused, which ends
    /// it for good.
    pub(crate) fn goes_on(&self) -> bool {
        let changes = || {
            let books = self.books.lock().unwrap();
            (
                books.topics.created + books.topics.deleted,
                books.commits.acknowledged,
            )
        };
        let (changed, committed) = changes();
        self.kept.goes_on(100)
            && self.trimmed.goes_on(50)
            && wait::until("topics that come and go", || {
                let now = changes();
                (now.0 > changed && now.1 > committed).then_some(true)
            })
    }

    /// Returns directly behind the next acknowledgement, where a promise that is not kept yet is seen best.
    pub(crate) fn wait_for_acknowledgement(&self) {
        let (before, started) = (self.kept.acknowledged(), Instant::now());
        while self.kept.acknowledged() == before && started.elapsed() < wait::PATIENCE {
            thread::yield_now();
        }
    }

    /// Holds everything that can be seen now against what was promised before.
    pub(crate) fn check(&mut self) {
        let mut wire = Wire::connect(self.port);
        let mut books = self.books.lock().unwrap();
        self.problems.extend(books.topics.check(&mut wire));
        self.problems.extend(books.commits.check(&mut wire));
        drop(books);
        for ledger in [&self.kept, &self.trimmed] {
            read(self.port, ledger, &mut self.starts, &mut self.problems);
        }
        let (id, _) = wire.init_producer_id();
        if id <= self.last_producer_id {
            let problem = format!("producer id {id} was given out after {}", self.last_producer_id);
            self.problems.push(problem);
        }
        self.last_producer_id = id;
    }

    /// Another thing that is wrong.
    pub(crate) fn report(&mut self, problems: impl IntoIterator<Item = String>) {
        self.problems.extend(problems);
    }

    /// Ends all clients, looks a last time and judges.
    pub(crate) fn finish(mut self) -> Outcome {
        if self.refused().is_empty() {
            self.goes_on();
        }
        self.stop.store(true, Ordering::Release);
        for producers in self.producers.drain(..) {
            producers.finish();
        }
        self.check();
        let mut anomalies = Vec::new();
        for ledger in [&self.kept, &self.trimmed] {
            anomalies.extend(ledger.history.lock().unwrap().check(producers::order));
        }
        let refused = self.refused();
        self.changer.join().unwrap();
        let books = self.books.lock().unwrap();
        Outcome {
            acknowledged: self.kept.acknowledged() + self.trimmed.acknowledged(),
            created: books.topics.created,
            deleted: books.topics.deleted,
            committed: books.commits.acknowledged,
            anomalies,
            refused,
            problems: self.problems,
        }
    }

    fn refused(&self) -> Vec<String> {
        [&self.kept, &self.trimmed]
            .iter()
            .flat_map(|ledger| ledger.refused.lock().unwrap().clone())
            .collect()
    }
}

/// Changes topics and commits offsets until told to stop, whether the broker is there or not.
fn change(port: u16, books: &Mutex<Books>, stop: &AtomicBool) {
    let mut connection = None;
    while !stop.load(Ordering::Acquire) {
        connection = connection.or_else(|| Wire::try_connect(port).ok());
        let Some(mut wire) = connection.take() else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let mut books = books.lock().unwrap();
        let good = books.topics.step(&mut wire) && books.commits.step(&mut wire);
        drop(books);
        if good {
            connection = Some(wire);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads a partition, several times when need be: retention may be faster than reading, and a broker with a planted bug may
/// be unable to serve for a moment what it acknowledged, and close the connection.
fn read_partition(port: u16, topic: &str, partition: i32) -> Result<ReadLog, String> {
    let read = || {
        let wire = Wire::try_connect(port);
        wire.map_err(|error| error.to_string())?
            .try_read(topic, partition)
    };
    let mut result = read();
    for _ in 0..READS {
        if result.is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
        result = read();
    }
    result
}

/// Reads a topic into its history.
fn read(port: u16, ledger: &Ledger, starts: &mut BTreeMap<i32, i64>, problems: &mut Vec<String>) {
    let mut read = Read {
        acknowledgements: ledger.history.lock().unwrap().acknowledgements(),
        ..Read::default()
    };
    for partition in 0..PARTITIONS {
        let name = format!("{}-{partition}", ledger.topic);
        let log = match read_partition(port, ledger.topic, partition) {
            Ok(log) => log,
            Err(error) => {
                // What cannot be read is lost to its consumers.
                problems.push(format!("{name} cannot be read: {error}"));
                continue;
            }
        };
        for record in log.records {
            read.values.insert((partition, record.offset), record.text());
        }
        if ledger.topic == KEPT {
            if log.start != 0 {
                problems.push(format!("{name} starts at {} without any retention", log.start));
            }
            continue;
        }
        let before = starts.insert(partition, log.start).unwrap_or(0);
        if log.start < before {
            problems.push(format!(
                "the start of {name} went back from {before} to {}",
                log.start
            ));
        }
        // Retention counts what was appended before it became durable: at most what is in flight.
        if log.start > 0 && log.bytes < RETENTION_BYTES - TRIMMED_SEGMENT_BYTES {
            problems.push(format!(
                "{name} starts at {} and has {} bytes, less than retention leaves",
                log.start, log.bytes
            ));
        }
        read.starts.insert(partition, log.start);
    }
    ledger.history.lock().unwrap().read(read);
}
