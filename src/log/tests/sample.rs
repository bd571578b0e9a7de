//! A small log directory as brokers have them, and everything that is in it.

use std::{collections::BTreeMap, fs, sync::Arc};

use jackfield_protocol::records::{Compression, RecordBatchBuilder};

use super::rig::{Rig, START_MS, config, wait};
use crate::{AppendOrigin, LogConfig, PartitionLog, TopicId};

/// What a partition holds.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) start: i64,
    /// Offset, timestamp, value.
    pub(super) records: BTreeMap<i64, (i64, String)>,
    /// Last batch of each idempotent producer: sequence, number of records, base offset.
    pub(super) producers: BTreeMap<i64, (i32, usize, i64)>,
}

pub(super) type Truths = BTreeMap<(String, i32), Truth>;

pub(super) fn id_of(topic: &str) -> TopicId {
    TopicId([u8::try_from(topic.len()).unwrap(); 16])
}

pub(super) fn topic_config(topic: &str) -> LogConfig {
    let mut config = config();
    config.segment_bytes = 900;
    config.index_interval_bytes = 150;
    config.compact = topic.starts_with("__");
    config.delete = !config.compact;
    config
}

pub(super) fn build(n: i64, topic: &str, count: usize, producer: Option<(i64, i32)>) -> bytes::BytesMut {
    let codec = [Compression::None, Compression::Lz4, Compression::Zstd][usize::try_from(n % 3).unwrap()];
    let mut builder = RecordBatchBuilder::new(codec);
    for index in 0..count {
        builder.push(
            time_of(n),
            Some(b"key"),
            Some(value_of(topic, n, index).as_bytes()),
            &[],
        );
    }
    if let Some((id, sequence)) = producer {
        builder.producer(id, 0, sequence);
    }
    builder.finish()
}

fn value_of(topic: &str, n: i64, index: usize) -> String {
    format!(
        "{topic} {n} {index} {}",
        "v".repeat(usize::try_from(n % 50).unwrap())
    )
}

pub(super) fn time_of(n: i64) -> i64 {
    START_MS + n * 10 - n % 4 * 25
}

/// Several topics with rolled segments, idempotent producers, a moved log start, and an internal topic.
pub(super) fn fill(rig: &mut Rig) -> Truths {
    let mut truths = Truths::new();
    let topics = [
        ("orders", 2),
        ("started", 1),
        ("__consumer_offsets", 2),
        ("empty-one", 1),
    ];
    for (topic, partitions) in topics {
        rig.manager()
            .create(topic, id_of(topic), 0..partitions, topic_config(topic))
            .unwrap();
        for partition in 0..partitions {
            let log = rig.manager().get(topic, partition).unwrap();
            let mut truth = Truth::default();
            let batches = if topic == "empty-one" { 0 } else { 36 };
            append(&log, 0..batches, &mut truth);
            truths.insert((topic.to_owned(), partition), truth);
        }
    }
    // As another broker's DeleteRecords left it, so that no copy knows of it yet.
    rig.close();
    for dir in rig.log_dirs() {
        fs::remove_file(dir.join("jackfield-checkpoint")).unwrap();
        if dir.join("started-0").exists() {
            fs::write(dir.join("log-start-offset-checkpoint"), "0\n1\nstarted 0 7\n").unwrap();
        }
    }
    rig.open();
    for ((topic, partition), truth) in &mut truths {
        let log = rig.manager().get(topic, *partition).unwrap();
        log.set_config(topic_config(topic));
        if topic == "started" {
            assert_eq!(log.log_start_offset(), 7);
            truth.start = 7;
        }
        if !truth.records.is_empty() {
            append(&log, 36..44, truth);
        }
    }
    truths
}

fn append(log: &Arc<PartitionLog>, numbers: std::ops::Range<i64>, truth: &mut Truth) {
    for n in numbers {
        let count = usize::try_from(n % 3).unwrap() + 1;
        let id = n % 2;
        let sequence = truth
            .producers
            .get(&id)
            .map_or(0, |(last, count, _)| last + i32::try_from(*count).unwrap());
        let batch = build(n, log.topic(), count, Some((id, sequence)));
        let appended = log.append(batch, AppendOrigin::Client).unwrap();
        wait(log.committed(appended.last_offset)).unwrap();
        truth
            .producers
            .insert(id, (sequence, count, appended.base_offset));
        for index in 0..count {
            let offset = appended.base_offset + i64::try_from(index).unwrap();
            truth
                .records
                .insert(offset, (time_of(n), value_of(log.topic(), n, index)));
        }
    }
}
