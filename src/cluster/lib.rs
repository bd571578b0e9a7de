//! The worker's port to a Kafka cluster: one trait in terms of what the worker needs.
//!
//! `embedded` calls the broker core in process with built record batches: no request encoding, no socket.
//! The worker sees this trait only, and this crate knows nothing of connectors.

pub mod embedded;
mod range_assignor;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
pub use embedded::EmbeddedCluster;
use futures::future::BoxFuture;
pub use jackfield_protocol::records::{
    BatchError as RecordBatchError, BatchHeader, Compression, Record, RecordBatchBuilder, RecordView,
    for_each, partition_for_key, records, split_batches,
};

/// A topic and one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition index.
    pub partition: i32,
}

/// Built records for one partition.
#[derive(Debug)]
pub struct PartitionRecords {
    /// Where to.
    pub partition: TopicPartition,
    /// One record batch v2 as [`RecordBatchBuilder::finish`] returns it.
    pub batch: bytes::BytesMut,
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Partition count; `None` = broker default.
    pub partitions: Option<i32>,
    /// Topic configs by Kafka's keys.
    pub configs: BTreeMap<String, String>,
}

/// A topic as it exists.
#[derive(Debug, Clone)]
pub struct TopicDescription {
    /// Name.
    pub name: Arc<str>,
    /// Partition count.
    pub partitions: i32,
    /// `cleanup.policy`.
    pub cleanup_policy: String,
}

/// What went wrong at the port. `retriable` errors may be repeated.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ClusterError {
    /// Kafka's error code (0 when there is none).
    pub code: i16,
    /// Message naming the thing and the value.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retriable: bool,
}

impl ClusterError {
    /// Whether a group still has members, who alone may change its positions.
    pub fn is_group_in_use(&self) -> bool {
        embedded::is_group_in_use(self.code)
    }
}

/// Resolves when what was appended is durable (and its source offsets are stored, for `append_atomic`):
/// the base offset of each batch, in order.
pub type Acknowledgement = BoxFuture<'static, Result<Vec<i64>, ClusterError>>;

/// A Kafka cluster as the worker needs it.
#[async_trait]
pub trait Cluster: Send + Sync + std::fmt::Debug {
    /// Cluster id, as `GET /` shows it.
    fn cluster_id(&self) -> String;
    /// `host:port` of the cluster for people (banner, logs).
    fn bootstrap_servers(&self) -> String;
    /// Creates the topic; an existing one is returned as it is.
    async fn create_topic(&self, topic: &NewTopic) -> Result<TopicDescription, ClusterError>;
    /// Describes a topic; `None` when it does not exist.
    async fn describe_topic(&self, name: &str) -> Result<Option<TopicDescription>, ClusterError>;
    /// Appends records alone. They are in the log in call order when this returns; the acknowledgement says when
    /// they are durable.
    async fn append(&self, records: Vec<PartitionRecords>) -> Result<Acknowledgement, ClusterError>;
    /// A producer of one source task, fenced against its predecessors by `transactional_id`.
    async fn source_producer(&self, transactional_id: &str) -> Result<Box<dyn SourceProducer>, ClusterError>;
    /// Joins a consumer group; partitions arrive as events of [`GroupConsumer::poll`].
    async fn join_group(
        &self,
        subscription: GroupSubscription,
    ) -> Result<Box<dyn GroupConsumer>, ClusterError>;
    /// Reads a topic from its start to the end it has now, in partition order.
    async fn read_to_end(&self, topic: &str) -> Result<Vec<(i32, Record)>, ClusterError>;
    /// Every committed position of a group; none when there is no such group.
    async fn group_offsets(&self, group_id: &str) -> Result<Vec<CommittedOffset>, ClusterError>;
    /// Sets committed positions of a group without members; `None` removes one.
    async fn alter_group_offsets(
        &self,
        group_id: &str,
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), ClusterError>;
    /// Deletes a group without members, with its positions; there need not be one.
    async fn delete_group(&self, group_id: &str) -> Result<(), ClusterError>;
}

/// The append side of one source task.
#[async_trait]
pub trait SourceProducer: Send {
    /// Hands over `records` together with the source offsets that become valid with them (records of the offsets
    /// topic). Records are in the log in call order when this returns. The offsets are appended only after the
    /// records are durable, coalesced over an interval (later values of the same key win); the acknowledgement
    /// resolves when both are durable. Acknowledgements resolve in call order.
    async fn append_atomic(
        &mut self,
        records: Vec<PartitionRecords>,
        source_offsets: Vec<SourceOffset>,
    ) -> Result<Acknowledgement, ClusterError>;
    /// Stores what is outstanding and ends the producer.
    async fn close(self: Box<Self>, deadline: Duration) -> Result<(), ClusterError>;
}

/// A record of the offsets topic.
#[derive(Debug, Clone)]
pub struct SourceOffset {
    /// Where it is stored.
    pub partition: TopicPartition,
    /// `["connector",{partition}]`.
    pub key: Bytes,
    /// `{offset}`; `None` = tombstone.
    pub value: Option<Bytes>,
}

/// What a sink task subscribes to.
#[derive(Debug, Clone)]
pub struct GroupSubscription {
    /// `connect-<name>`.
    pub group_id: String,
    /// `connector-consumer-<name>-<task>`.
    pub client_id: String,
    /// Topics by name, or a pattern matched against all topics.
    pub topics: TopicSelection,
    /// Most bytes returned by one poll.
    pub max_bytes: usize,
    /// Overrides: session timeout.
    pub session_timeout: Duration,
}

/// `topics` or `topics.regex`.
#[derive(Debug, Clone)]
pub enum TopicSelection {
    /// Named topics.
    Names(Vec<String>),
    /// A full-match pattern (Java's syntax as far as the `regex` crate shares it).
    Pattern(String),
}

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Partition.
    pub partition: TopicPartition,
    /// Next offset to read; `None` when the group never committed one (reading starts at the log start).
    pub offset: Option<i64>,
    /// Metadata string of the commit.
    pub metadata: String,
}

/// What a poll of a group consumer saw.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions are ours now; records follow from the committed positions.
    Assigned(Vec<CommittedOffset>),
    /// These must be given up: flush and commit them, then call `poll` again.
    Revoked(Vec<TopicPartition>),
    /// These are gone without a chance to commit.
    Lost(Vec<TopicPartition>),
    /// Whole record batches per partition, in order.
    Records(Vec<FetchedRecords>),
    /// Nothing within the timeout.
    Idle,
}

/// Batches of one partition.
#[derive(Debug, Clone)]
pub struct FetchedRecords {
    /// Partition.
    pub partition: TopicPartition,
    /// Records below this offset in the first batch were already delivered and are to be skipped.
    pub from_offset: i64,
    /// Whole record batches v2, one after another.
    pub batches: Bytes,
}

/// A group member with its positions. Heartbeats run by themselves.
#[async_trait]
pub trait GroupConsumer: Send {
    /// The next event, waiting at most `timeout`.
    async fn poll(&mut self, timeout: Duration) -> Result<GroupEvent, ClusterError>;
    /// Stops fetching the partitions.
    fn pause(&mut self, partitions: &[TopicPartition]);
    /// Fetches them again.
    fn resume(&mut self, partitions: &[TopicPartition]);
    /// Moves a position.
    fn seek(&mut self, partition: &TopicPartition, offset: i64);
    /// Partitions held now.
    fn assignment(&self) -> Vec<TopicPartition>;
    /// Every committed position of the group, of partitions held by other members or by nobody too.
    async fn committed(&self) -> Result<Vec<CommittedOffset>, ClusterError>;
    /// Commits offsets durably.
    async fn commit(&mut self, offsets: Vec<CommittedOffset>) -> Result<(), ClusterError>;
    /// Leaves the group.
    async fn leave(self: Box<Self>) -> Result<(), ClusterError>;
}
