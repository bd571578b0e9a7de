//! `/connectors` and `/connectors/{name}`: the list, and a connector as a whole.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use jackfield_worker::{ConnectorInfo, ConnectorStatus, Herder, HerderError};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    body::{CreateConnector, JsonBody},
    query::Parameters,
    reply::{self, ApiError},
};

/// What `expand` adds to a row of the list.
#[derive(Debug, Default, Serialize)]
struct Expanded {
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ConnectorInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ConnectorStatus>,
}

/// `GET /connectors`: names, or with `expand` an object by name. Unknown expansions are ignored, as in Kafka.
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

/// `POST /connectors`.
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
    let info = herder.create(&name, config, initial_state).await?;
    Ok(reply::created(&headers, &name, &info))
}

/// `GET /connectors/{name}`.
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.connector(&name).await?))
}

/// `DELETE /connectors/{name}`; offsets stay.
pub(crate) async fn delete(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    herder.delete(&name).await?;
    Ok(reply::no_content())
}
