//! `/connectors/{connector}/config`: the flat config, replacing it, and changing keys of it.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use jackfield_worker::{ConnectorInfo, Herder};

use crate::{
    body::{self, JsonBody},
    reply::{self, ApiError},
};

/// The config of a connector
#[utoipa::path(get, path = "/connectors/{connector}/config", tag = "connectors", operation_id = "getConnectorConfig",
    params(("connector" = String, Path)),
    responses((status = 200, description = "values by key", body = BTreeMap<String, String>)))]
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.connector(&name).await?.config))
}

/// Creates a connector, or replaces its whole config
#[utoipa::path(put, path = "/connectors/{connector}/config", tag = "connectors", operation_id = "putConnectorConfig",
    params(("connector" = String, Path)),
    request_body = BTreeMap<String, String>,
    responses(
        (status = 200, description = "replaced", body = ConnectorInfo),
        (status = 201, description = "created", body = ConnectorInfo)
    ))]
pub(crate) async fn put(
    State(herder): State<Herder>,
    Path(name): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let config = body::connector_config(&name, body)?;
    let config = herder.without_nulls(config).await?;
    let (created, info) = herder.put_config(&name, config).await?;
    Ok(if created {
        reply::created(&headers, &name, &info)
    } else {
        reply::ok(&info)
    })
}

/// Changes keys of a connector's config; a null takes its key out
#[utoipa::path(patch, path = "/connectors/{connector}/config", tag = "connectors", operation_id = "patchConnectorConfig",
    params(("connector" = String, Path)),
    request_body = BTreeMap<String, Option<String>>,
    responses((status = 200, description = "changed", body = ConnectorInfo)))]
pub(crate) async fn patch(
    State(herder): State<Herder>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let patch = body::texts(body)?;
    Ok(reply::ok(&herder.patch_config(&name, patch).await?))
}
