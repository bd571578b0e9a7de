//! The Connect runtime: herder, task loops, converters, config, offset and status stores.
//!
//! The worker reaches topics through the cluster's port ([`jackfield_cluster::Cluster`]) and connectors through the
//! plugin host ([`jackfield_plugin::Plugins`]); it knows no HTTP, no sockets and no plugin form. What it remembers is in
//! three topics in Kafka Connect's own formats (`stores`), so a restart goes on where it was. A task runs by itself
//! (`task`): whatever happens to it, no other notices.

pub mod config;
mod config_infos;
mod connector_config;
pub mod converters;
mod definition;
mod errors;
mod herder;
#[cfg(feature = "planted-bugs")]
mod planted;
mod sink_task;
mod source_task;
mod stores;
mod task;
mod transforms;

pub use config::{HeaderAction, HeaderRule, WorkerConfig, WorkerConfigError};
pub use config_infos::{ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo};
pub use herder::{
    ConnectorInfo, ConnectorOffset, ConnectorStatus, Herder, HerderError, PluginRow, StateInfo, TargetState,
    TaskId,
};
pub use jackfield_env::{LogLevel, LoggerLevel};
pub use jackfield_plugin::metrics::{BUCKETS as METRIC_BUCKETS, MetricValue};

/// A flat connector config, in the order it was given.
pub type ConfigMap = indexmap::IndexMap<String, String>;

/// A config as it comes in: a null value is an error, or takes the key out where a config is patched.
pub type GivenConfig = indexmap::IndexMap<String, Option<String>>;
