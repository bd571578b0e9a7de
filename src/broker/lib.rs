//! The broker core: topics and partitions, the group coordinator, one file per Kafka request, listeners.
//!
//! [`Broker`] is the whole. A request travels `listener` → `connection` (frames, order) → `dispatch` (header, guard) →
//! the file named like the request. Callers in the same process use [`Broker::topics`] and [`Broker::groups`] directly.
//! This crate knows nothing of connectors.

mod admission;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod blocking;
mod broker;
mod broker_loggers;
mod config;
mod config_resources;
mod config_sources;
mod connection;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod dispatch;
mod dynamic_configs;
mod elect_leaders;
pub mod error_codes;
mod features;
mod fetch;
mod find_coordinator;
pub mod groups;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leader_epoch;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod listener;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod producer_ids;
mod repeated;
#[cfg(test)]
mod socket_tests;
mod stored_configs;
mod sync_group;
mod topic_changes;
mod topic_config;
mod topic_files;
mod topics;
mod topics_found;
mod update_features;
mod wire;

pub use broker::{Broker, StartError};
pub use config::{BrokerConfig, BrokerConfigError, reference::reference};
pub use jackfield_log::{AppendError, AppendOrigin, PartitionLog, ReadError, TopicId};
pub use topics::{CreateTopicError, Topic, Topics, check_name};
