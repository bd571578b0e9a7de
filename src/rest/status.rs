//! `/connectors/{connector}/status`: the state of a connector and of each of its tasks.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConnectorStatus, Herder};

use crate::reply::{self, ApiError};

/// The state of a connector and of each of its tasks
#[utoipa::path(get, path = "/connectors/{connector}/status", tag = "connectors", operation_id = "getConnectorStatus",
    params(("connector" = String, Path)),
    responses((status = 200, description = "states", body = ConnectorStatus)))]
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.status(&name).await?))
}
