//! `/connectors/{connector}/topics`: the topics that a connector has used.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::Herder;
use serde::Serialize;
use utoipa::ToSchema;

use crate::reply::{self, ApiError};

/// Connect's `ActiveTopicsInfo`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActiveTopics {
    topics: Vec<String>,
}

/// The topics that a connector has used since it was created or they were last reset
#[utoipa::path(get, path = "/connectors/{connector}/topics", tag = "connectors", operation_id = "getConnectorActiveTopics",
    params(("connector" = String, Path)),
    responses((status = 200, description = "by connector", body = BTreeMap<String, ActiveTopics>)))]
pub(crate) async fn list(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    check_tracking(&herder)?;
    let topics = herder.topics(&name);
    Ok(reply::ok(&BTreeMap::from([(name, ActiveTopics { topics })])))
}

/// Forgets the topics that a connector has used
#[utoipa::path(put, path = "/connectors/{connector}/topics/reset", tag = "connectors", operation_id = "resetConnectorActiveTopics",
    params(("connector" = String, Path)),
    responses((status = 202, description = "done")))]
pub(crate) async fn reset(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    check_tracking(&herder)?;
    if !herder.config().topic_tracking_allow_reset() {
        return Err(ApiError::Forbidden(
            "Topic tracking reset is disabled.".to_owned(),
        ));
    }
    herder.reset_topics(&name).await;
    Ok(reply::accepted(reply::NO_BODY))
}

fn check_tracking(herder: &Herder) -> Result<(), ApiError> {
    if herder.config().topic_tracking_enable() {
        return Ok(());
    }
    Err(ApiError::Forbidden("Topic tracking is disabled.".to_owned()))
}
