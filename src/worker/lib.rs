//! The Connect runtime: herder, task loops, converters, config, offset and status stores.
//!
//! SEAM: signatures below are the contract other crates code against; the owner fills and refines them.

pub mod config;
pub mod converters;
mod definition;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jackfield_cluster::Cluster;
use jackfield_env::Env;
use jackfield_plugin::Plugins;

pub use config::{WorkerConfig, WorkerConfigError};

/// A flat connector config, in the order it was given.
pub type ConfigMap = indexmap::IndexMap<String, String>;

/// What a REST call can fail with; `rest` maps each to Connect's status and body.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum HerderError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    AlreadyExists(String),
    #[error("{0}")]
    BadConfig(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Internal(String),
}

/// `ConnectorInfo`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConnectorInfo {
    pub name: String,
    pub config: ConfigMap,
    pub tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// `ConnectorTaskId`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct TaskId {
    pub connector: String,
    pub task: u32,
}

/// State of a connector or task; fields as in Connect's status body, absent ones are left out.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct StateInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    pub state: String,
    pub worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `ConnectorStateInfo`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConnectorStatus {
    pub name: String,
    pub connector: StateInfo,
    pub tasks: Vec<StateInfo>,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// Initial or target state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's names")]
pub enum TargetState {
    Started,
    Paused,
    Stopped,
}

/// A row of `GET /connector-plugins`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct PluginRow {
    pub class: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The worker: starts and stops connectors and their tasks, and answers REST.
#[derive(Debug, Clone)]
pub struct Herder {}

impl Herder {
    /// Reads the internal topics (created when missing), and starts what they say should run.
    pub async fn start(
        _config: WorkerConfig,
        _cluster: Arc<dyn Cluster>,
        _plugins: Arc<Plugins>,
        _env: Env,
        _worker_id: String,
    ) -> Result<Self, HerderError> {
        todo!()
    }
    /// Names of all connectors.
    pub async fn connectors(&self) -> Result<Vec<String>, HerderError> {
        todo!()
    }
    /// `GET /connectors/{name}`.
    pub async fn connector(&self, _name: &str) -> Result<ConnectorInfo, HerderError> {
        todo!()
    }
    /// Creates; an existing name is `AlreadyExists`.
    pub async fn create(
        &self,
        _name: &str,
        _config: ConfigMap,
        _initial: TargetState,
    ) -> Result<ConnectorInfo, HerderError> {
        todo!()
    }
    /// Creates or replaces; the flag says whether it was created.
    pub async fn put_config(
        &self,
        _name: &str,
        _config: ConfigMap,
    ) -> Result<(bool, ConnectorInfo), HerderError> {
        todo!()
    }
    /// Deletes; offsets stay.
    pub async fn delete(&self, _name: &str) -> Result<(), HerderError> {
        todo!()
    }
    /// `GET …/status`.
    pub async fn status(&self, _name: &str) -> Result<ConnectorStatus, HerderError> {
        todo!()
    }
    /// `GET …/tasks/{task}/status`.
    pub async fn task_status(&self, _name: &str, _task: u32) -> Result<StateInfo, HerderError> {
        todo!()
    }
    /// `GET …/tasks`: configs by task.
    pub async fn task_configs(&self, _name: &str) -> Result<Vec<(TaskId, ConfigMap)>, HerderError> {
        todo!()
    }
    /// Pause, resume, stop.
    pub async fn set_target_state(&self, _name: &str, _state: TargetState) -> Result<(), HerderError> {
        todo!()
    }
    /// Restarts the connector and, as asked, its tasks; returns the status when any of the two flags is set.
    pub async fn restart(
        &self,
        _name: &str,
        _include_tasks: bool,
        _only_failed: bool,
    ) -> Result<ConnectorStatus, HerderError> {
        todo!()
    }
    /// Restarts one task.
    pub async fn restart_task(&self, _name: &str, _task: u32) -> Result<(), HerderError> {
        todo!()
    }
    /// `GET /connector-plugins`.
    pub fn plugins(&self, _connectors_only: bool) -> Vec<PluginRow> {
        todo!()
    }
    /// Cluster id.
    pub fn cluster_id(&self) -> String {
        todo!()
    }
    /// Stops sources, flushes sinks, commits offsets, within `deadline`. Returns how many tasks did not end in time.
    pub async fn shutdown(&self, _deadline: Duration) -> usize {
        todo!()
    }
}
