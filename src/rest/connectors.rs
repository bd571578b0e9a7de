//! `/connectors` and `/connectors/{connector}`: the list, and a connector as a whole.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use jackfield_worker::{ConnectorInfo, ConnectorStatus, Herder, HerderError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    body::{CreateConnector, CreateConnectorRequest, JsonBody},
    query::Parameters,
    reply::{self, ApiError},
};

/// The list of connectors: for the description alone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes answers that are made otherwise")]
pub(crate) enum Listed {
    Names(Vec<String>),
    Expanded(BTreeMap<String, Expanded>),
}

/// What `expand` adds to a row of the list.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Expanded {
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ConnectorInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ConnectorStatus>,
}

/// The names of all connectors, or with expand what is known of each
///
/// Unknown expansions are ignored.
#[utoipa::path(get, path = "/connectors", tag = "connectors", operation_id = "listConnectors",
    params(("expand" = Option<Vec<String>>, Query, description = "info, status, or both")),
    responses((status = 200, description = "names; with expand an object by name", body = Listed)))]
pub(crate) async fn list(State(herder): State<Herder>, query: Parameters) -> Result<Response, ApiError> {
    let names = herder.connectors().await?;
    let wanted: Vec<_> = query.all("expand").collect();
    if wanted.is_empty() {
        return Ok(reply::ok(&names));
    }
    let mut rows = Map::new();
    for name in names {
        match expand(&herder, &name, &wanted).await {
            Ok(row) => rows.insert(name, serde_json::to_value(row).expect("plain fields become JSON")),
            // Deleted since the names were read.
            Err(HerderError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(reply::ok(&Value::Object(rows)))
}

async fn expand(herder: &Herder, name: &str, wanted: &[&str]) -> Result<Expanded, HerderError> {
    let mut row = Expanded::default();
    if wanted.contains(&"info") {
        row.info = Some(herder.connector(name).await?);
    }
    if wanted.contains(&"status") {
        row.status = Some(herder.status(name).await?);
    }
    Ok(row)
}

/// Creates a connector
#[utoipa::path(post, path = "/connectors", tag = "connectors", operation_id = "createConnector",
    request_body = CreateConnectorRequest,
    responses((status = 201, description = "created", body = ConnectorInfo)))]
pub(crate) async fn create(
    State(herder): State<Herder>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let CreateConnector {
        name,
        config,
        initial_state,
    } = CreateConnector::parse(body)?;
    let config = herder.without_nulls(config).await?;
    let info = herder.create(&name, config, initial_state).await?;
    Ok(reply::created(&headers, &name, &info))
}

/// A connector
#[utoipa::path(get, path = "/connectors/{connector}", tag = "connectors", operation_id = "getConnector",
    params(("connector" = String, Path)),
    responses((status = 200, description = "config, tasks and type", body = ConnectorInfo)))]
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.connector(&name).await?))
}

/// Deletes a connector; its offsets stay
#[utoipa::path(delete, path = "/connectors/{connector}", tag = "connectors", operation_id = "destroyConnector",
    params(("connector" = String, Path)),
    responses((status = 204, description = "deleted")))]
pub(crate) async fn delete(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.delete(&name).await?;
    Ok(reply::no_content())
}
