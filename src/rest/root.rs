//! `/` and `/health`: what this server is, and whether it answers.

use std::time::Duration;

use axum::{extract::State, response::Response};
use jackfield_worker::Herder;
use serde::Serialize;
use utoipa::ToSchema;

use crate::reply;

/// Kafka's limit for the herder's sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// Connect's `ServerInfo`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerInfo {
    version: &'static str,
    commit: &'static str,
    kafka_cluster_id: String,
}

/// Connect's `WorkerStatus`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerStatus {
    status: &'static str,
    message: &'static str,
}

/// What this worker is, and the id of the Kafka cluster it works with
#[utoipa::path(get, path = "/", tag = "root", operation_id = "serverInfo",
    responses((status = 200, description = "version, commit and cluster id", body = ServerInfo)))]
pub(crate) async fn server_info(State(herder): State<Herder>) -> Response {
    reply::ok(&ServerInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("GIT_COMMIT").unwrap_or("unknown"),
        kafka_cluster_id: herder.cluster_id(),
    })
}

/// Whether the worker is ready and answers
///
/// No connection is accepted before the worker has started, so nobody is told that it is starting.
#[utoipa::path(get, path = "/health", tag = "root", operation_id = "healthCheck",
    responses(
        (status = 200, description = "healthy", body = WorkerStatus),
        (status = 500, description = "unhealthy", body = WorkerStatus)
    ))]
pub(crate) async fn health(State(herder): State<Herder>) -> Response {
    match tokio::time::timeout(HEALTH_TIMEOUT, herder.ping()).await {
        Ok(Ok(())) => reply::ok(&WorkerStatus {
            status: "healthy",
            message: "Worker has completed startup and is ready to handle requests.",
        }),
        Ok(Err(_)) | Err(_) => reply::unhealthy(&WorkerStatus {
            status: "unhealthy",
            message: "Worker was unable to handle this request and may be unable to handle other requests.",
        }),
    }
}
