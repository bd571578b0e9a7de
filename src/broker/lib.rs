//! The broker core: topics and partitions, group coordinator, one file per Kafka request, listeners.
//!
//! SEAM: signatures below are the contract other crates code against; the owner fills and refines them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use jackfield_env::Env;
use jackfield_log::{LogManager, TopicId};

/// Broker configs by Kafka's keys (`server.properties`), checked: unknown keys refused with a suggestion, keys of
/// Kafka's without effect here accepted with a notice.
#[derive(Debug, Clone)]
pub struct BrokerConfig {}

/// A broker config that cannot be used; the message lists every problem.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BrokerConfigError(pub String);

impl BrokerConfig {
    /// Checks a flat map of `server.properties` keys.
    pub fn parse(_properties: &BTreeMap<String, String>) -> Result<Self, BrokerConfigError> {
        todo!()
    }
    /// One line per Kafka key that was given and has no effect here.
    pub fn notices(&self) -> &[String] {
        todo!()
    }
    /// `listeners`, resolved.
    pub fn listeners(&self) -> &[SocketAddr] {
        todo!()
    }
}

/// Starting the broker failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// A running broker core. Cheap to clone. In-process callers use [`Broker::topics`] and [`Broker::groups`];
/// sockets are optional.
#[derive(Debug, Clone)]
pub struct Broker {}

impl Broker {
    /// Opens the log directories and coordinators. Serves nothing yet.
    pub async fn open(_config: BrokerConfig, _env: Env) -> Result<Self, StartError> {
        todo!()
    }
    /// Binds all listeners and accepts connections from now on. Returns the bound addresses (port 0 resolved).
    pub async fn listen(&self) -> Result<Vec<SocketAddr>, StartError> {
        todo!()
    }
    /// Stops accepting, answers what is in flight, flushes and closes the logs.
    pub async fn shutdown(&self, _deadline: std::time::Duration) {
        todo!()
    }
    /// Topics and partitions.
    pub fn topics(&self) -> &Topics {
        todo!()
    }
    /// The group coordinator.
    pub fn groups(&self) -> &groups::Groups {
        todo!()
    }
    /// Cluster id.
    pub fn cluster_id(&self) -> String {
        todo!()
    }
    /// Addresses clients reach the broker at: the bound ones, before [`Broker::listen`] the configured ones.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        todo!()
    }
    /// The outside world.
    pub fn env(&self) -> &Env {
        todo!()
    }
}

/// Topics and their partitions.
#[derive(Debug)]
pub struct Topics {
    _logs: Arc<LogManager>,
}

/// A topic.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: Vec<Arc<PartitionLog>>,
    pub configs: BTreeMap<String, String>,
    pub internal: bool,
}

/// Why a topic could not be created; mapped to Kafka's error codes in one file.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum CreateTopicError {
    #[error("topic '{0}' already exists")]
    AlreadyExists(String),
    #[error("{0}")]
    InvalidName(String),
    #[error("{0}")]
    InvalidPartitions(String),
    #[error("{0}")]
    InvalidReplicationFactor(String),
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    Storage(String),
}

impl Topics {
    /// One topic.
    pub fn get(&self, _name: &str) -> Option<Arc<Topic>> {
        todo!()
    }
    /// By id.
    pub fn get_by_id(&self, _id: TopicId) -> Option<Arc<Topic>> {
        todo!()
    }
    /// All topics, sorted by name.
    pub fn list(&self) -> Vec<Arc<Topic>> {
        todo!()
    }
    /// A partition's log.
    pub fn partition(&self, _name: &str, _partition: i32) -> Option<Arc<PartitionLog>> {
        todo!()
    }
    /// Creates a topic durably. `partitions` -1 or `None` = `num.partitions`.
    pub async fn create(
        &self,
        _name: &str,
        _partitions: Option<i32>,
        _configs: &BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, CreateTopicError> {
        todo!()
    }
    /// Deletes a topic; `false` when there is none.
    pub async fn delete(&self, _name: &str) -> Result<bool, CreateTopicError> {
        todo!()
    }
    /// Changes whenever the set of topics does (group consumers with a pattern watch it).
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        todo!()
    }
}

pub mod groups;
pub use jackfield_log::{AppendError, AppendOrigin, PartitionLog, ReadError};

pub mod error_codes;
mod find_coordinator;
mod heartbeat;
mod join_group;
mod leave_group;
mod offset_commit;
mod offset_fetch;
mod sync_group;
