//! What REST shows of connectors and tasks, in Connect's shape, and what a request can fail with.

use jackfield_plugin::Lag;

use crate::{ConfigMap, stores::status::Status};

/// What a REST call can fail with; `rest` maps each to Connect's status and body.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HerderError {
    /// No such connector, task or status.
    #[error("{0}")]
    NotFound(String),
    /// The name is taken.
    #[error("{0}")]
    AlreadyExists(String),
    /// The config is invalid; every problem is in the message.
    #[error("{0}")]
    BadConfig(String),
    /// The request does not fit what is there.
    #[error("{0}")]
    BadRequest(String),
    /// Not in this state.
    #[error("{0}")]
    Conflict(String),
    /// The worker failed.
    #[error("{0}")]
    Internal(String),
}

/// `ConnectorInfo`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq, utoipa::ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConnectorInfo {
    pub name: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub config: ConfigMap,
    pub tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// `ConnectorTaskId`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq, utoipa::ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct TaskId {
    pub connector: String,
    pub task: u32,
}

/// State of a connector or task; fields as in Connect's status body, absent ones are left out. `lag` and `message` are not
/// Connect's: how far a source task is behind, and what a task is doing, when it says so.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq, utoipa::ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct StateInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    pub state: String,
    pub worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub lag: Option<Lag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl StateInfo {
    pub(crate) fn new(id: Option<u32>, status: Status, worker_id: &str) -> Self {
        Self {
            id,
            state: status.state.name().to_owned(),
            worker_id: worker_id.to_owned(),
            version: status.version,
            trace: status.trace,
            lag: None,
            message: None,
        }
    }
}

/// `ConnectorStateInfo`.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq, utoipa::ToSchema)]
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

/// A row of `GET /connector-plugins`. `location` and `error` are not Connect's: a package that cannot be used, and why.
#[derive(Debug, Clone, Default, serde::Serialize, PartialEq, Eq, utoipa::ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct PluginRow {
    pub class: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `ConnectorOffset`: where a connector is in one of its partitions, both as JSON objects. A null offset takes it out.
#[derive(Debug, Clone, serde::Serialize, PartialEq, Eq, utoipa::ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConnectorOffset {
    #[schema(value_type = Option<Object>)]
    pub partition: serde_json::Value,
    #[schema(value_type = Option<Object>)]
    pub offset: serde_json::Value,
}
