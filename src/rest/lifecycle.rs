//! `/connectors/{name}/pause`, `/resume`, `/stop` and `/restart`.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConnectorStatus, Herder, TargetState};

use crate::{
    query::Parameters,
    reply::{self, ApiError},
};

const NO_BODY: Option<&ConnectorStatus> = None;

/// `PUT /connectors/{name}/pause`.
pub(crate) async fn pause(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.set_target_state(&name, TargetState::Paused).await?;
    Ok(reply::accepted(NO_BODY))
}

/// `PUT /connectors/{name}/resume`.
pub(crate) async fn resume(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.set_target_state(&name, TargetState::Started).await?;
    Ok(reply::accepted(NO_BODY))
}

/// `PUT /connectors/{name}/stop`.
pub(crate) async fn stop(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.set_target_state(&name, TargetState::Stopped).await?;
    Ok(reply::no_content())
}

/// `POST /connectors/{name}/restart`: with `includeTasks` or `onlyFailed`, the answer shows what restarts.
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
