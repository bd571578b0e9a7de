//! Producers (librdkafka) that go on across restarts of the broker and write down what they were promised.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

use crate::harness::{history::History, wait};

pub(crate) const PARTITIONS: i32 = 3;

/// Records carry this much beside their value, so that segments are rolled often.
const PADDING: [u8; 80] = [b'.'; 80];

/// A producer rests after so many records: what matters is when they are sent, not how many.
const RECORDS_PER_REST: u64 = 10;
const REST: Duration = Duration::from_millis(5);

/// What a producer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// acks=all and `enable.idempotence`: in order and exactly once.
    Idempotent,
    /// acks=all: repeated when an answer was lost.
    All,
    /// acks=1, with the same durability here.
    One,
}

/// Shared by all producers to one topic.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) topic: &'static str,
    pub(crate) history: Mutex<History>,
    /// Sends that ended with an error: none when the broker keeps its promises.
    pub(crate) refused: Mutex<Vec<String>>,
    acknowledged: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(topic: &'static str) -> Arc<Self> {
        Arc::new(Self {
            topic,
            history: Mutex::default(),
            refused: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
        })
    }

    /// Acknowledgements so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Waits for so many more acknowledgements; `false` when a send was refused instead, which ends a producer for good.
    pub(crate) fn goes_on(&self, count: usize) -> bool {
        let before = self.acknowledged();
        wait::until("acknowledgements", || {
            let refused = !self.refused.lock().unwrap().is_empty();
            (refused || self.acknowledged() >= before + count).then_some(!refused)
        })
    }
}

struct Callback(Arc<Ledger>);

impl ClientContext for Callback {}

impl ProducerContext for Callback {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                self.0
                    .history
                    .lock()
                    .unwrap()
                    .acknowledge(value, (message.partition(), message.offset()));
                self.0.acknowledged.fetch_add(1, Ordering::Release);
            }
            Err((error, _)) => self.0.refused.lock().unwrap().push(error.to_string()),
        }
    }
}

/// Running producers.
pub(crate) struct Producers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Producers {
    /// One producer for each promise.
    pub(crate) fn start(port: u16, promises: &[Promise], ledger: &Arc<Ledger>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = promises
            .iter()
            .enumerate()
            .map(|(number, promise)| {
                let (stop, ledger, promise) = (Arc::clone(&stop), Arc::clone(ledger), *promise);
                thread::spawn(move || produce(port, number, promise, &stop, &ledger))
            })
            .collect();
        Self { stop, threads }
    }

    /// Stops sending and waits until everything sent was answered.
    pub(crate) fn finish(self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn produce(port: u16, number: usize, promise: Promise, stop: &AtomicBool, ledger: &Arc<Ledger>) {
    let idempotent = promise == Promise::Idempotent;
    let producer: ThreadedProducer<Callback> = ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{port}"))
        .set("enable.idempotence", idempotent.to_string())
        .set("acks", if promise == Promise::One { "1" } else { "all" })
        .set("linger.ms", "1")
        .set("batch.num.messages", "50")
        .set("message.timeout.ms", "120000")
        .set("socket.timeout.ms", "10000")
        .set("retry.backoff.ms", "20")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("queue.buffering.max.messages", "500")
        .set("log_level", "0")
        .create_with_context(Callback(Arc::clone(ledger)))
        .unwrap();
    let mut next = 0u64;
    while !stop.load(Ordering::Acquire) {
        let value = format!("{}{number}-{next}", if idempotent { 'i' } else { 'p' });
        ledger.history.lock().unwrap().attempt(&value);
        let partition = i32::try_from(next % 3).unwrap();
        loop {
            let record = BaseRecord::to(ledger.topic)
                .partition(partition)
                .key(&PADDING[..])
                .payload(&value);
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => {
                    ledger.refused.lock().unwrap().push(error.to_string());
                    return;
                }
            }
        }
        next += 1;
        if next.is_multiple_of(RECORDS_PER_REST) {
            thread::sleep(REST);
        }
    }
    if let Err(error) = producer.flush(Duration::from_secs(60)) {
        ledger.refused.lock().unwrap().push(format!("flush: {error}"));
    }
}

/// Producer and number of an idempotent producer's value.
pub(crate) fn order(value: &str) -> Option<(String, u64)> {
    let (producer, number) = value.split_once('-')?;
    producer
        .starts_with('i')
        .then(|| (producer.to_owned(), number.parse().expect("a number")))
}
