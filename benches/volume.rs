//! Much data in many partitions, written as Kafka's clients write by default: idempotent producers, batches of 16 KiB, acks=all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use kafka_protocol::messages::{
    MetadataRequest, ProduceRequest,
    metadata_request::MetadataRequestTopic,
    produce_request::{PartitionProduceData, TopicProduceData},
};

use crate::harness::{
    batches::{self, Codec, Producer},
    process::Process,
    wait,
    wire::{Wire, topic},
};

const TOPIC: &str = "volume";
/// What `batch.size` is by default.
const BATCH_BYTES: usize = 16 << 10;
/// Partitions that one connection writes, one batch to each per request.
const SHARE: i32 = 100;

/// A topic to be filled.
#[derive(Debug)]
pub(crate) struct Volume {
    partitions: i32,
}

/// Whether metadata of the topic is served with so many partitions, each with a leader; 0: any metadata.
pub(crate) fn is_served(port: u16, partitions: i32) -> bool {
    let wanted = MetadataRequestTopic::default().with_name(Some(topic(TOPIC)));
    let topics = if partitions == 0 { Vec::new() } else { vec![wanted] };
    let request = MetadataRequest::default().with_topics(Some(topics));
    let response = Wire::connect(port).call(8, &request);
    partitions == 0 && !response.brokers.is_empty()
        || response.topics.first().is_some_and(|topic| {
            let led = topic
                .partitions
                .iter()
                .filter(|partition| partition.error_code == 0 && partition.leader_id.0 >= 0);
            topic.error_code == 0 && led.count() == usize::try_from(partitions).unwrap()
        })
}

impl Volume {
    /// Creates the topic.
    pub(crate) fn create(port: u16, partitions: i32) -> Self {
        Wire::connect(port).create_topic(TOPIC, partitions, &[]);
        Self { partitions }
    }

    /// Writes until every partition has its part of `bytes`, and kills the broker while more is written.
    pub(crate) fn fill(&self, port: u16, bytes: f64, mut broker: Process) {
        let rounds = self.rounds(bytes);
        let over = Arc::new(AtomicBool::new(false));
        let (filled, all_filled) = mpsc::channel();
        let threads: Vec<_> = (0..self.partitions)
            .step_by(usize::try_from(SHARE).unwrap())
            .map(|first| {
                let last = (first + SHARE).min(self.partitions);
                let (over, filled) = (Arc::clone(&over), filled.clone());
                thread::spawn(move || write(port, first..last, rounds, &over, &filled))
            })
            .collect();
        drop(filled);
        // Every connection says once that its part is complete.
        for _ in &threads {
            all_filled.recv().expect("a connection was refused or broke off");
        }
        over.store(true, Ordering::Relaxed);
        broker.kill_9();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// How many partitions do not serve what was acknowledged, nor begin to before long: Kafka names leaders in its metadata
    /// before they lead, and serves up to its last checkpoint at first.
    pub(crate) fn missing(&self, port: u16, bytes: f64) -> usize {
        let mut wire = Wire::connect(port);
        let rounds = self.rounds(bytes);
        let mut missing: Vec<i32> = (0..self.partitions).collect();
        let started = Instant::now();
        while !missing.is_empty() && started.elapsed() < wait::PATIENCE {
            missing.retain(|partition| {
                let (code, end) = wire.try_list_offset(TOPIC, *partition, -1);
                code != 0 || end < rounds
            });
        }
        missing.len()
    }

    /// Batches per partition.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "far below 2^52"
    )]
    fn rounds(&self, bytes: f64) -> i64 {
        (bytes / f64::from(self.partitions) / BATCH_BYTES as f64).ceil() as i64
    }
}

/// Timestamps of real records go up from here.
#[allow(
    clippy::disallowed_methods,
    reason = "records are stamped with the wall clock, as clients do"
)]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

/// Writes batches of one record to some partitions, `rounds` to each, and goes on until the broker is gone.
fn write(
    port: u16,
    partitions: std::ops::Range<i32>,
    rounds: i64,
    over: &AtomicBool,
    filled: &mpsc::Sender<()>,
) {
    let mut wire = Wire::connect(port);
    let (id, epoch) = wire.init_producer_id();
    let mut record = batches::record(now_ms(), vec![b'x'; BATCH_BYTES - 80]);
    for round in 0.. {
        record.timestamp += 1;
        if round == rounds {
            filled.send(()).unwrap();
        }
        let producer = Producer {
            id,
            epoch,
            sequence: i32::try_from(round).unwrap(),
        };
        let batch = bytes::Bytes::from(batches::batch(
            Codec::None,
            Some(producer),
            std::slice::from_ref(&record),
        ));
        let data = partitions.clone().map(|index| {
            PartitionProduceData::default()
                .with_index(index)
                .with_records(Some(batch.clone()))
        });
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(topic(TOPIC))
                    .with_partition_data(data.collect()),
            ]);
        let frame = wire.frame(9, &request);
        if round < rounds {
            wire.send(&frame).unwrap();
            wire.receive().unwrap();
        } else if wire.send(&frame).is_err() || wire.receive().is_err() {
            assert!(over.load(Ordering::Relaxed), "the connection broke off");
            return;
        }
    }
}
