//! `/connectors/{connector}/pause`, `/resume`, `/stop` and `/restart`.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConnectorStatus, Herder, TargetState};

use crate::{
    query::Parameters,
    reply::{self, ApiError},
};

/// Pauses a connector and its tasks
#[utoipa::path(put, path = "/connectors/{connector}/pause", tag = "connectors", operation_id = "pauseConnector",
    params(("connector" = String, Path)),
    responses((status = 202, description = "done")))]
pub(crate) async fn pause(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.set_target_state(&name, TargetState::Paused).await?;
    Ok(reply::accepted(reply::NO_BODY))
}

/// Resumes a connector that is paused or stopped
#[utoipa::path(put, path = "/connectors/{connector}/resume", tag = "connectors", operation_id = "resumeConnector",
    params(("connector" = String, Path)),
    responses((status = 202, description = "done")))]
pub(crate) async fn resume(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.set_target_state(&name, TargetState::Started).await?;
    Ok(reply::accepted(reply::NO_BODY))
}

/// Stops a connector and ends its tasks
#[utoipa::path(put, path = "/connectors/{connector}/stop", tag = "connectors", operation_id = "stopConnector",
    params(("connector" = String, Path)),
    responses((status = 204, description = "done")))]
pub(crate) async fn stop(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.set_target_state(&name, TargetState::Stopped).await?;
    Ok(reply::no_content())
}

/// Restarts a connector, and as asked its tasks
///
/// With includeTasks or onlyFailed the answer shows what restarts.
#[utoipa::path(post, path = "/connectors/{connector}/restart", tag = "connectors", operation_id = "restartConnector",
    params(
        ("connector" = String, Path),
        ("includeTasks" = Option<bool>, Query, description = "restart the tasks, too"),
        ("onlyFailed" = Option<bool>, Query, description = "restart only what has failed")
    ),
    responses(
        (status = 202, description = "what restarts", body = ConnectorStatus),
        (status = 204, description = "done")
    ))]
pub(crate) async fn restart(
    State(herder): State<Herder>,
    Path(name): Path<String>,
    query: Parameters,
) -> Result<Response, ApiError> {
    let include_tasks = query.flag("includeTasks", false);
    let only_failed = query.flag("onlyFailed", false);
    let status = herder.restart(&name, include_tasks, only_failed).await?;
    Ok(if include_tasks || only_failed {
        reply::accepted(Some(&status))
    } else {
        reply::no_content()
    })
}
