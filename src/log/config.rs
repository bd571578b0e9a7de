//! Settings of logs and log directories, by Kafka's keys.

use std::path::PathBuf;

/// A topic id (KIP-516), 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Most by which `segment_ms` is shortened, other for each segment.
    pub segment_jitter_ms: i64,
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
