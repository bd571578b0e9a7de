//! Commit log of one partition: segments, indexes, producer state, recovery, retention. Knows no network.
//!
//! SEAM: signatures below are the contract other crates code against; the owner fills and refines them.

use std::{path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use jackfield_env::Env;
use tokio::sync::Notify;

/// A topic id (KIP-516), 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(pub [u8; 16]);

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After fdatasync by group commit.
    #[default]
    Fsync,
    /// After the write reached the page cache, as Apache Kafka does.
    Os,
}

/// Topic-level settings of a log, Kafka's keys in their units.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's topic config keys")]
pub struct LogConfig {
    pub segment_bytes: u64,
    pub segment_ms: i64,
    pub segment_index_bytes: u64,
    pub index_interval_bytes: u64,
    /// -1 = unlimited.
    pub retention_bytes: i64,
    /// -1 = unlimited.
    pub retention_ms: i64,
    pub max_message_bytes: usize,
    /// `message.timestamp.type=LogAppendTime`.
    pub log_append_time: bool,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub file_delete_delay_ms: i64,
    /// `cleanup.policy` contains delete (retention applies).
    pub delete: bool,
    /// `cleanup.policy` contains compact (keys are required).
    pub compact: bool,
}

/// Settings of all log directories.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "Kafka's broker config keys")]
pub struct LogManagerConfig {
    pub log_dirs: Vec<PathBuf>,
    pub durability: Durability,
    pub broker_id: i32,
    pub cluster_id: String,
    pub producer_id_expiration_ms: i64,
    pub retention_check_interval_ms: i64,
}

/// All logs of a broker.
#[derive(Debug)]
pub struct LogManager {}

/// Opening the log directories failed.
#[derive(Debug, thiserror::Error)]
#[error("seam")]
pub struct OpenError;

/// Why an append was refused. The broker maps each to a Kafka error code.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum AppendError {
    #[error("batch is corrupt: {0}")]
    Corrupt(String),
    #[error("batch is invalid: {0}")]
    InvalidRecord(String),
    #[error("batch of {size} bytes exceeds max.message.bytes {max}")]
    TooLarge { size: usize, max: usize },
    #[error("timestamp {0} is out of bounds")]
    InvalidTimestamp(i64),
    #[error("unsupported compression codec {0}")]
    UnsupportedCompression(i16),
    #[error("out of order sequence for producer {producer_id}: expected {expected}, got {got}")]
    OutOfOrderSequence {
        producer_id: i64,
        expected: i32,
        got: i32,
    },
    #[error("producer epoch {got} is older than {current}")]
    InvalidProducerEpoch { current: i16, got: i16 },
    #[error("sequence {0} was already appended and is no longer remembered")]
    DuplicateSequence(i32),
    #[error("log directory is offline: {0}")]
    Storage(String),
}

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client: all validation applies.
    Client,
    /// A coordinator of this broker (internal topics, control batches allowed).
    Coordinator,
}

/// Result of an append. It is acknowledged when the high watermark has passed `last_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// First offset (of the original append when it was a duplicate).
    pub base_offset: i64,
    /// Last offset.
    pub last_offset: i64,
    /// Log append time, -1 under CreateTime.
    pub log_append_time: i64,
    /// Log start offset at that time.
    pub log_start_offset: i64,
}

/// A read could not be served.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum ReadError {
    #[error("offset {offset} is out of range [{start}, {end}]")]
    OutOfRange { offset: i64, start: i64, end: i64 },
    #[error("log directory is offline: {0}")]
    Storage(String),
    #[error("segment is damaged: {0}")]
    Damaged(String),
}

/// Where fetched record bytes lie: a range of a segment file, read or sent without decoding. The file stays
/// readable while this is held, also after the segment was deleted.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// Segment file.
    pub file: Arc<dyn jackfield_env::File>,
    /// First byte.
    pub position: u64,
    /// Number of bytes; whole batches.
    pub len: usize,
}

impl FileSlice {
    /// Reads the bytes.
    pub fn read(&self) -> std::io::Result<Bytes> {
        todo!()
    }
}

/// Result of a read: batches that start at the one containing the asked offset, all below the high watermark.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct Fetched {
    /// `None` when nothing is there yet.
    pub slice: Option<FileSlice>,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
}

/// An offset found by timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct TimestampOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl LogManager {
    /// Opens (and creates) the directories, recovers every log in them, starts the commit thread and the
    /// retention job. Blocking.
    pub fn open(_config: LogManagerConfig, _defaults: LogConfig, _env: Env) -> Result<Arc<Self>, OpenError> {
        todo!()
    }
    /// All logs found or created: `(topic, partition)`.
    pub fn logs(&self) -> Vec<Arc<PartitionLog>> {
        todo!()
    }
    /// One log.
    pub fn get(&self, _topic: &str, _partition: i32) -> Option<Arc<PartitionLog>> {
        todo!()
    }
    /// Creates all partitions of a topic durably (directories, partition.metadata, directory entries).
    /// Blocking.
    pub fn create(
        &self,
        _topic: &str,
        _topic_id: TopicId,
        _partitions: std::ops::Range<i32>,
        _config: LogConfig,
    ) -> Result<Vec<Arc<PartitionLog>>, AppendError> {
        todo!()
    }
    /// Deletes all partitions of a topic: renamed durably to `.delete` at once, unlinked after `file.delete.delay.ms`.
    pub fn delete(&self, _topic: &str) -> Result<(), AppendError> {
        todo!()
    }
    /// Id from `meta.properties` (`cluster.id`).
    pub fn cluster_id(&self) -> String {
        todo!()
    }
    /// Flushes, writes checkpoints and `.kafka_cleanshutdown`, releases `.lock`. Blocking.
    pub fn close(&self) {
        todo!()
    }
}

/// The log of one partition.
#[derive(Debug)]
pub struct PartitionLog {}

impl PartitionLog {
    /// Topic.
    pub fn topic(&self) -> &str {
        todo!()
    }
    /// Partition index.
    pub fn partition(&self) -> i32 {
        todo!()
    }
    /// Topic id.
    pub fn topic_id(&self) -> TopicId {
        todo!()
    }
    /// Current leader epoch.
    pub fn leader_epoch(&self) -> i32 {
        todo!()
    }
    /// Validates and appends one or more whole batches, stamps offsets and epoch in place. Returns when the
    /// bytes are written; they are acknowledged when [`PartitionLog::high_watermark`] passes them.
    /// Short blocking file write; callers on an async thread call it inline.
    pub fn append(&self, _batches: BytesMut, _origin: AppendOrigin) -> Result<Appended, AppendError> {
        todo!()
    }
    /// Waits until everything up to and including `offset` is acknowledged under the configured durability.
    pub async fn committed(&self, _offset: i64) -> Result<(), AppendError> {
        todo!()
    }
    /// Finds whole batches from `offset` on, at most `max_bytes` (at least one batch when `min_one`), below the high watermark.
    pub fn read(&self, _offset: i64, _max_bytes: usize, _min_one: bool) -> Result<Fetched, ReadError> {
        todo!()
    }
    /// Registers `waiter` to be notified once when the high watermark next moves (or the log goes away).
    pub fn notify_on_advance(&self, _waiter: &Arc<Notify>) {
        todo!()
    }
    /// First offset kept.
    pub fn log_start_offset(&self) -> i64 {
        todo!()
    }
    /// Next offset to be written.
    pub fn log_end_offset(&self) -> i64 {
        todo!()
    }
    /// Offset below which everything is acknowledged and readable.
    pub fn high_watermark(&self) -> i64 {
        todo!()
    }
    /// First offset whose timestamp is >= `timestamp`.
    pub fn offset_for_timestamp(&self, _timestamp: i64) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
    /// Offset of the record with the largest timestamp.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
    /// Replaces the settings.
    pub fn set_config(&self, _config: LogConfig) {
        todo!()
    }
    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }
}
