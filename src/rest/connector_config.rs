//! `/connectors/{name}/config`: the flat config, and replacing it.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use jackfield_worker::Herder;

use crate::{
    body::{self, JsonBody},
    reply::{self, ApiError},
};

/// `GET /connectors/{name}/config`.
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.connector(&name).await?.config))
}

/// `PUT /connectors/{name}/config`: creates the connector, or replaces its whole config.
pub(crate) async fn put(
    State(herder): State<Herder>,
    Path(name): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let config = body::connector_config(&name, body)?;
    let (created, info) = herder.put_config(&name, config).await?;
    Ok(if created {
        reply::created(&headers, &name, &info)
    } else {
        reply::ok(&info)
    })
}
