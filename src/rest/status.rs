//! `/connectors/{name}/status`: the state of a connector and of each of its tasks.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::Herder;

use crate::reply::{self, ApiError};

/// `GET /connectors/{name}/status`.
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.status(&name).await?))
}
