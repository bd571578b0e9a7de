//! Settings of the group coordinator under Kafka's broker keys.

use std::sync::Arc;

use super::consumer::settings::ConsumerSettings;

/// The value of a numeric option that counts for a group, such as `consumer.session.timeout.ms`: its own or the
/// broker's, by group id and option.
#[derive(Clone)]
pub struct GroupConfigs(pub Arc<LookUp>);

/// See [`GroupConfigs`].
pub type LookUp = dyn Fn(&str, &str) -> i64 + Send + Sync;

impl std::fmt::Debug for GroupConfigs {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("GroupConfigs")
    }
}

/// Settings of the group coordinator; the fields are Kafka's `group.*` and `offsets.*` keys in their units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsConfig {
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: u32,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`.
    pub max_size: usize,
    /// `group.consumer.*`.
    pub consumer: ConsumerSettings,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// `offsets.topic.num.partitions`, used when the topic is created.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: u32,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3_000,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: usize::MAX,
            consumer: ConsumerSettings::default(),
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            offsets_topic_partitions: 50,
            offsets_topic_segment_bytes: 100 * 1024 * 1024,
        }
    }
}
