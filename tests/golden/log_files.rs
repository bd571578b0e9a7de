//! Segments, indexes, producer snapshots and checkpoints: the same batches sent to both brokers leave the same files.

use std::{collections::BTreeMap, fs, path::Path};

use rustix::process::Signal;

use super::expected::{self, updating};
use crate::harness::{
    batches::{self, Codec, NewRecord, Producer},
    kafka::RealKafka,
    program::Broker,
    scratch::Scratch,
    wire::Wire,
};

const TOPIC: &str = "golden";
const START_MS: i64 = 1_700_000_000_000;

/// A fixed sequence of numbers that looks random.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Records of batch `number`: keys, nulls, headers, and timestamps that sometimes run backwards.
fn records(number: u64, numbers: &mut Sequence) -> Vec<NewRecord> {
    let count = if number.is_multiple_of(7) {
        1
    } else {
        1 + numbers.below(12)
    };
    (0..count)
        .map(|index| NewRecord {
            timestamp: START_MS + i64::try_from(number * 1_000 + numbers.below(3_000)).unwrap(),
            key: (index % 3 == 1).then(|| format!("key-{index}").into_bytes()),
            value: (index % 5 != 4).then(|| {
                let length = usize::try_from(numbers.below(180)).unwrap();
                format!("batch {number} record {index} ")
                    .into_bytes()
                    .into_iter()
                    .cycle()
                    .take(length)
                    .collect()
            }),
            headers: if index % 4 == 3 {
                vec![("h", Some(vec![7])), ("empty", None)]
            } else {
                Vec::new()
            },
        })
        .collect()
}

/// Sends the fixed input and returns the producer ids in order of their creation.
fn feed(port: u16, segment_bytes_key: &str) -> Vec<i64> {
    let mut wire = Wire::connect(port);
    wire.create_topic(
        TOPIC,
        1,
        &[
            (segment_bytes_key, "9000"),
            ("index.interval.bytes", "1000"),
            ("retention.ms", "-1"),
        ],
    );
    let producers = [wire.init_producer_id(), wire.init_producer_id()];
    let mut sequences = [0; 2];
    let mut numbers = Sequence(42);
    for number in 0..60 {
        let records = records(number, &mut numbers);
        let codec = match number % 10 {
            3 => Codec::Gzip,
            5 => Codec::Snappy,
            7 => Codec::Lz4,
            9 => Codec::Zstd,
            _ => Codec::None,
        };
        // A new version of a compressor may write other bytes; then the files are generated anew.
        let producer =
            (number % 3 != 0 && codec == Codec::None).then(|| usize::try_from(number % 2).unwrap());
        let batch = batches::batch(
            codec,
            producer.map(|which| Producer {
                id: producers[which].0,
                epoch: producers[which].1,
                sequence: sequences[which],
            }),
            &records,
        );
        if let Some(which) = producer {
            sequences[which] += i32::try_from(records.len()).unwrap();
        }
        wire.produce(TOPIC, 0, batch);
    }
    producers.iter().map(|(id, _)| *id).collect()
}

/// The partition's files, masked, and the lines of the directory's checkpoints that speak of it.
fn collect(data: &Path, producers: &[i64]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(data.join(format!("{TOPIC}-0"))).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let mut content = fs::read(entry.path()).unwrap();
        match name.rsplit('.').next().unwrap() {
            "log" => mask_log(&mut content, producers),
            "snapshot" => mask_snapshot(&mut content, producers),
            "metadata" => mask_topic_id(&mut content),
            _ => {}
        }
        files.insert(name, content);
    }
    for name in [
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
        "log-start-offset-checkpoint",
    ] {
        let content = fs::read_to_string(data.join(name)).unwrap();
        let mut lines = content.lines();
        let version = lines.next().unwrap();
        let entries: usize = lines.next().unwrap().parse().unwrap();
        assert_eq!(entries, lines.clone().count(), "{name} counts its entries");
        let ours: Vec<_> = lines
            .filter(|line| line.starts_with(&format!("{TOPIC} ")))
            .collect();
        files.insert(
            name.to_owned(),
            format!("{version}\n{}\n", ours.join("\n")).into_bytes(),
        );
    }
    files
}

/// Producer ids become 0, 1, … in order of creation; CRCs are recomputed after they were found right.
fn mask_log(content: &mut [u8], producers: &[i64]) {
    let mut at = 0;
    while let Some(length) = batches::batch_length(&content[at..]) {
        let batch = &mut content[at..at + length];
        let stored = u32::from_be_bytes(batch[17..21].try_into().unwrap());
        assert_eq!(
            stored,
            crc32c::crc32c(&batch[21..]),
            "crc of the batch at byte {at}"
        );
        mask_id(&mut batch[43..51], producers);
        batches::seal(batch);
        at += length;
    }
    assert_eq!(at, content.len(), "whole batches only");
}

/// version i16, crc u32 over what follows, count i32, entries of 46 bytes that start with the producer id.
fn mask_snapshot(content: &mut [u8], producers: &[i64]) {
    let stored = u32::from_be_bytes(content[2..6].try_into().unwrap());
    assert_eq!(
        stored,
        crc32c::crc32c(&content[6..]),
        "crc of a producer snapshot"
    );
    for entry in content[10..].chunks_exact_mut(46) {
        mask_id(&mut entry[..8], producers);
    }
    let crc = crc32c::crc32c(&content[6..]);
    content[2..6].copy_from_slice(&crc.to_be_bytes());
}

fn mask_id(field: &mut [u8], producers: &[i64]) {
    let id = i64::from_be_bytes((&*field).try_into().unwrap());
    if id >= 0 {
        let order = producers
            .iter()
            .position(|known| *known == id)
            .expect("a known producer id");
        field.copy_from_slice(&i64::try_from(order).unwrap().to_be_bytes());
    }
}

fn mask_topic_id(content: &mut Vec<u8>) {
    let text = String::from_utf8(content.clone()).unwrap();
    let masked: Vec<_> = text
        .split_inclusive('\n')
        .map(|line| match line.trim_end().strip_prefix("topic_id: ") {
            Some(id) => line.replace(id, &"T".repeat(id.len())),
            None => line.to_owned(),
        })
        .collect();
    *content = masked.concat().into_bytes();
}

#[test]
fn segments_indexes_snapshots_and_checkpoints_equal_kafkas() {
    let scratch = Scratch::new("golden-log");
    let (data, producers) = if updating() {
        let mut kafka = RealKafka::start(&scratch, &[]);
        let producers = feed(kafka.port, "internal.segment.bytes");
        kafka.process.stop(Signal::TERM);
        (kafka.data.clone(), producers)
    } else {
        let mut broker = Broker::start(&scratch, &[]);
        let producers = feed(broker.port, "segment.bytes");
        broker.stop();
        (broker.data.clone(), producers)
    };
    expected::check("log", &collect(&data, &producers));
}
