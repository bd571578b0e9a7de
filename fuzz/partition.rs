//! The files of a partition, one of them damaged in any way. The good ones are those that Apache Kafka wrote, four segments of
//! idempotent producers among them; the disk is in memory.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::BytesMut;
use jackfield_env::{Env, Files, disk::Disk};
use jackfield_log::{AppendOrigin, Durability, LogConfig, LogManager, LogManagerConfig, PartitionLog};
use jackfield_protocol::records::{self, BATCH_HEADER_BYTES, BatchHeader, Compression, RecordBatchBuilder};

use super::patched;

macro_rules! good {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../tests/golden/files/log/", $name)).as_slice())),*]
    };
}

/// Files of the partition.
const PARTITION: [(&str, &[u8]); 17] = good![
    "00000000000000000000.log",
    "00000000000000000112.log",
    "00000000000000000229.log",
    "00000000000000000345.log",
    "00000000000000000000.index",
    "00000000000000000112.index",
    "00000000000000000229.index",
    "00000000000000000345.index",
    "00000000000000000000.timeindex",
    "00000000000000000112.timeindex",
    "00000000000000000229.timeindex",
    "00000000000000000345.timeindex",
    "00000000000000000112.snapshot",
    "00000000000000000229.snapshot",
    "00000000000000000345.snapshot",
    "leader-epoch-checkpoint",
    "partition.metadata"
];
/// Files of the log directory.
const LOG_DIR: [(&str, &[u8]); 3] = [
    ("recovery-point-offset-checkpoint", b"0\n1\ngolden 0 363\n"),
    ("replication-offset-checkpoint", b"0\n1\ngolden 0 363\n"),
    ("log-start-offset-checkpoint", b"0\n0\n"),
];
const IDENTITY: (&str, &[u8]) = (
    "meta.properties",
    b"#\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nversion=1\ncluster.id=cluster\n",
);
const TOPIC: &str = "golden";
const SEGMENTS: usize = 4;
/// Their base offsets, and the last one's end.
const BOUNDS: [i64; SEGMENTS + 1] = [0, 112, 229, 345, LOG_END];
/// No offset of a log that was checked.
const NONE_MISSING: Option<Range<i64>> = Some(0..0);
/// The offset behind the last record.
const LOG_END: i64 = 363;

/// Bits of the first byte: the segment (two bits), and what is done to it.
mod flag {
    /// The bytes are the file, instead of damage to a good one.
    pub(super) const RAW: u8 = 1 << 2;
    /// The checksum is right all the same.
    pub(super) const SEALED: u8 = 1 << 3;
    /// After an orderly shutdown.
    pub(super) const CLEAN: u8 = 1 << 4;
    /// The indexes are damaged in the same way.
    pub(super) const INDEX: u8 = 1 << 5;
    /// Only what lies behind the recovery point is checked.
    pub(super) const RECOVERY_POINT: u8 = 1 << 6;
    /// No producer snapshots.
    pub(super) const NO_SNAPSHOT: u8 = 1 << 7;
}

/// A disk with the partition on it.
struct Partition(Disk);

impl Partition {
    fn new() -> Self {
        let partition = Self(Disk::default());
        let log_dir = log_dir();
        partition
            .0
            .create_dir_all(&log_dir.join("golden-0"))
            .expect("room");
        for (name, content) in PARTITION {
            partition.write(&format!("golden-0/{name}"), content);
        }
        partition.write(IDENTITY.0, IDENTITY.1);
        partition
    }

    fn write(&self, name: &str, content: &[u8]) {
        let file = self.0.open(&log_dir().join(name), true).expect("room");
        file.set_len(0).expect("an open file");
        file.write_all_at(content, 0).expect("room");
    }

    fn checkpoints(&self) {
        for (name, content) in LOG_DIR {
            self.write(name, content);
        }
    }

    fn mark_clean(&self) {
        self.write(".kafka_cleanshutdown", b"{\"version\":0,\"brokerEpoch\":-1}");
    }

    fn open(&self) -> Option<(Arc<LogManager>, Option<Arc<PartitionLog>>)> {
        let config = LogManagerConfig {
            log_dirs: vec![log_dir()],
            durability: Durability::Os,
            broker_id: 1,
            cluster_id: String::new(),
            producer_id_expiration_ms: i64::MAX,
            retention_check_interval_ms: i64::MAX,
        };
        let env = Env {
            files: Arc::new(self.0.clone()),
            ..Env::real()
        };
        let manager = LogManager::open(config, log_config(), env).ok()?;
        let log = manager.get(TOPIC, 0);
        Some((manager, log))
    }
}

fn log_dir() -> PathBuf {
    Path::new("/logs").to_owned()
}

fn log_config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        segment_index_bytes: 1 << 20,
        index_interval_bytes: 100,
        retention_bytes: -1,
        retention_ms: -1,
        max_message_bytes: 1 << 20,
        log_append_time: false,
        message_timestamp_before_max_ms: i64::MAX,
        message_timestamp_after_max_ms: i64::MAX,
        file_delete_delay_ms: 60_000,
        delete: true,
        compact: false,
    }
}

/// Good bytes with damage, or the bytes themselves.
fn damaged(flags: u8, good: &[u8], damage: &[u8]) -> Vec<u8> {
    if flags & flag::RAW == 0 {
        patched(good.to_vec(), damage)
    } else {
        damage.to_vec()
    }
}

/// Puts the right checksum into every batch of a segment, as far as its lengths make sense.
fn seal_batches(segment: &mut [u8]) {
    let mut rest = segment;
    while let Ok(header) = BatchHeader::parse(rest) {
        let size = header.size_bytes();
        if size < BATCH_HEADER_BYTES || size > rest.len() {
            break;
        }
        let (batch, tail) = rest.split_at_mut(size);
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        rest = tail;
    }
}

/// Any bytes as a segment, with indexes that fit or not: opening ends; after an unclean stop what is served is whole, good
/// batches in order, the log takes appends, and the next start finds the same.
pub fn segment_recovery(data: &[u8]) {
    let Some((flags, damage)) = data.split_first() else {
        return;
    };
    let flags = *flags;
    let segment = usize::from(flags) % SEGMENTS;
    let partition = Partition::new();
    let (name, good) = PARTITION[segment];
    let mut log = damaged(flags, good, damage);
    if flags & flag::SEALED != 0 {
        seal_batches(&mut log);
    }
    partition.write(&format!("golden-0/{name}"), &log);
    if flags & flag::INDEX != 0 {
        for kind in [1, 2] {
            let (name, good) = PARTITION[segment + kind * SEGMENTS];
            partition.write(&format!("golden-0/{name}"), &damaged(flags, good, damage));
        }
    }
    if flags & flag::RECOVERY_POINT != 0 {
        partition.checkpoints();
    }
    if flags & flag::NO_SNAPSHOT != 0 {
        for (name, _) in PARTITION.iter().filter(|(name, _)| name.ends_with("snapshot")) {
            let path = log_dir().join("golden-0").join(name);
            partition.0.remove_file(&path).expect("a file");
        }
    }
    let is_clean = flags & flag::CLEAN != 0;
    if is_clean {
        partition.mark_clean();
    }
    // Offsets may be missing without a trace, as those that were compacted away are.
    let damaged = BOUNDS[segment]..BOUNDS[segment + 1];
    let missing = (!is_clean && flags & flag::RECOVERY_POINT == 0).then_some(damaged);
    let Some((manager, log)) = partition.open() else {
        return;
    };
    let mut end = None;
    if let Some(log) = log {
        read_all(&log, missing.clone());
        if !is_clean {
            append(&log, missing);
        }
        end = Some((log.log_start_offset(), log.log_end_offset()));
    }
    manager.close();
    let (manager, log) = partition.open().expect("what was closed in order can be opened");
    if let Some(log) = log {
        assert_eq!(Some((log.log_start_offset(), log.log_end_offset())), end);
    }
    manager.close();
}

/// The first record of a recovered log that goes on.
fn append(log: &PartitionLog, missing: Option<Range<i64>>) {
    let next = log.log_end_offset();
    let appended = log
        .append(batch(), AppendOrigin::Client)
        .expect("a recovered log takes appends");
    assert_eq!(appended.base_offset, next);
    let is_checked = missing.is_some();
    let end = read_all(log, missing);
    if is_checked {
        assert_eq!(end, appended.last_offset + 1, "what was appended can be read");
    }
}

fn batch() -> BytesMut {
    let mut builder = RecordBatchBuilder::new(Compression::None);
    builder.push(1_700_000_000_000, Some(b"key"), Some(b"value"), &[]);
    builder.finish()
}

/// Reads to the end, as a consumer does; the next offset after what was read. A log that was checked serves good batches only,
/// and all of them, but for those at `missing` offsets, of which it tells; `None` = it was not checked.
fn read_all(log: &PartitionLog, missing: Option<Range<i64>>) -> i64 {
    let is_checked = missing.is_some();
    let mut next = log.log_start_offset();
    while next < log.high_watermark() {
        let fetched = match log.read(next, 1 << 20, true) {
            Ok(fetched) => fetched,
            Err(error) => {
                let Some(missing) = &missing else { return next };
                assert!(
                    missing.contains(&next),
                    "offset {next} of a recovered log: {error}"
                );
                next += 1;
                continue;
            }
        };
        let Some(bytes) = fetched.slice.and_then(|slice| slice.read().ok()) else {
            return next;
        };
        let before = next;
        for batch in records::split_batches(bytes) {
            let Ok(header) = BatchHeader::parse(&batch) else {
                return next;
            };
            assert!(
                !is_checked || records::verify(&batch).is_ok(),
                "a damaged batch is served at {next}"
            );
            next = next.max(header.last_offset() + 1);
        }
        if next == before {
            assert!(
                !is_checked,
                "nothing is served at {next}, below the high watermark"
            );
            return next;
        }
    }
    next
}

/// Any bytes as the indexes of a good segment that was closed in order: every offset is found or its index is reported, and
/// what is served for it is the batch that holds it.
pub fn index_reader(data: &[u8]) {
    let [flags, split, damage @ ..] = data else { return };
    let segment = usize::from(*flags) % SEGMENTS;
    let partition = Partition::new();
    partition.checkpoints();
    partition.mark_clean();
    let (offsets, times) = damage.split_at(usize::from(*split).min(damage.len()));
    for (kind, damage) in [(1, offsets), (2, times)] {
        let (name, good) = PARTITION[segment + kind * SEGMENTS];
        partition.write(&format!("golden-0/{name}"), &damaged(*flags, good, damage));
    }
    let (manager, log) = partition.open().expect("an index is no reason not to start");
    let log = log.expect("the partition is there");
    assert_eq!(
        log.log_end_offset(),
        LOG_END,
        "an index does not move the log's end"
    );
    for offset in (0..LOG_END).step_by(5) {
        let Ok(fetched) = log.read(offset, 1, true) else {
            continue;
        };
        let bytes = fetched
            .slice
            .expect("below the high watermark")
            .read()
            .expect("within the file");
        let header = records::verify(&bytes).expect("a whole good batch");
        assert!(
            (header.base_offset..=header.last_offset()).contains(&offset),
            "asked for {offset}, got {} to {}",
            header.base_offset,
            header.last_offset()
        );
    }
    for timestamp in [i64::MIN, -1, 0, 1_700_000_000_000, 1_700_000_400_000, i64::MAX] {
        if let Ok(Some(found)) = log.offset_for_timestamp(timestamp) {
            assert!((0..LOG_END).contains(&found.offset) && found.timestamp >= timestamp);
        }
    }
    manager.close();
}

/// Any bytes as a producer snapshot: all records stay, and producers go on.
pub fn snapshot_reader(data: &[u8]) {
    let Some((flags, damage)) = data.split_first() else {
        return;
    };
    let partition = Partition::new();
    let snapshots: Vec<_> = PARTITION
        .iter()
        .filter(|(name, _)| name.ends_with("snapshot"))
        .collect();
    let (name, good) = snapshots[usize::from(*flags) % snapshots.len()];
    let mut snapshot = damaged(*flags, good, damage);
    if flags & flag::SEALED != 0 && snapshot.len() > 6 {
        let crc = crc32c::crc32c(&snapshot[6..]);
        snapshot[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    partition.write(&format!("golden-0/{name}"), &snapshot);
    if flags & flag::CLEAN != 0 {
        partition.mark_clean();
    }
    if flags & flag::NO_SNAPSHOT != 0 {
        for (other, _) in snapshots.iter().filter(|(other, _)| other != name) {
            let path = log_dir().join("golden-0").join(other);
            partition.0.remove_file(&path).expect("a file");
        }
    }
    let (manager, log) = partition.open().expect("a snapshot is no reason not to start");
    let log = log.expect("the partition is there");
    assert_eq!(read_all(&log, NONE_MISSING), LOG_END);
    append(&log, NONE_MISSING);
    for (producer, sequence) in [(0, 0), (1, 0), (7, 3)] {
        let mut builder = RecordBatchBuilder::new(Compression::None);
        builder.push(1_700_000_000_000, None, Some(b"value"), &[]);
        builder.producer(producer, 0, sequence);
        log.append(builder.finish(), AppendOrigin::Client).ok();
    }
    manager.close();
    let (manager, log) = partition.open().expect("what was closed in order can be opened");
    assert!(log.expect("the partition is there").log_end_offset() > LOG_END);
    manager.close();
}

/// Any bytes as one of the small text files: they are refused or read, and take no record away.
pub fn checkpoint_reader(data: &[u8]) {
    let Some((flags, damage)) = data.split_first() else {
        return;
    };
    let partition = Partition::new();
    partition.checkpoints();
    let texts: Vec<(String, &[u8])> = LOG_DIR
        .iter()
        .chain([&IDENTITY])
        .map(|(name, good)| ((*name).to_owned(), *good))
        .chain(
            PARTITION[15..]
                .iter()
                .map(|(name, good)| (format!("golden-0/{name}"), *good)),
        )
        .collect();
    let (name, good) = &texts[usize::from(flags & 0x0b) % texts.len()];
    partition.write(name, &damaged(*flags, good, damage));
    let is_clean = flags & flag::CLEAN != 0;
    if is_clean {
        partition.mark_clean();
    }
    let Some((manager, log)) = partition.open() else {
        return;
    };
    let Some(log) = log else {
        // Out of service until somebody restores its own files.
        assert!(name.starts_with("golden-0/"), "{name} takes the partition away");
        return manager.close();
    };
    assert_eq!(
        log.log_end_offset(),
        LOG_END,
        "{name} does not move the log's end"
    );
    assert_eq!(read_all(&log, NONE_MISSING), LOG_END);
    if !name.starts_with("log-start") {
        assert_eq!(log.log_start_offset(), 0, "{name} hides nothing");
    }
    manager.close();
}
