//! `/` and `/health`: what this server is, and whether it answers.

use std::time::Duration;

use axum::{extract::State, response::Response};
use jackfield_worker::Herder;
use serde::Serialize;

use crate::reply;

/// Kafka's limit for the herder's sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct ServerInfo {
    version: &'static str,
    commit: &'static str,
    kafka_cluster_id: String,
}

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    message: &'static str,
}

/// `GET /`.
pub(crate) async fn server_info(State(herder): State<Herder>) -> Response {
    reply::ok(&ServerInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("GIT_COMMIT").unwrap_or("unknown"),
        kafka_cluster_id: herder.cluster_id(),
    })
}

/// `GET /health`: healthy when the herder answers in time.
pub(crate) async fn health(State(herder): State<Herder>) -> Response {
    match tokio::time::timeout(HEALTH_TIMEOUT, herder.connectors()).await {
        Ok(Ok(_)) => reply::ok(&Health {
            status: "healthy",
            message: "Worker has completed startup and is ready to handle requests.",
        }),
        Ok(Err(_)) | Err(_) => reply::unhealthy(&Health {
            status: "unhealthy",
            message: "Worker was unable to handle this request and may be unable to handle other requests.",
        }),
    }
}
