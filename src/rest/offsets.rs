//! `/connectors/{connector}/offsets`: where a connector is, and moving it while it is stopped.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConnectorOffset, Herder};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    body::{JsonBody, malformed},
    reply::{self, ApiError},
};

/// Connect's `ConnectorOffsets`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectorOffsets {
    offsets: Vec<ConnectorOffset>,
}

/// Connect's `Message`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    message: String,
}

/// The offsets of a connector
#[utoipa::path(get, path = "/connectors/{connector}/offsets", tag = "offsets", operation_id = "getOffsets",
    params(("connector" = String, Path)),
    responses((status = 200, description = "an offset per partition", body = ConnectorOffsets)))]
pub(crate) async fn list(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let offsets = herder.offsets(&name).await?;
    Ok(reply::ok(&ConnectorOffsets { offsets }))
}

/// Sets offsets of a stopped connector
///
/// A null offset takes a partition's out; partitions that are not named stay as they are.
#[utoipa::path(patch, path = "/connectors/{connector}/offsets", tag = "offsets", operation_id = "alterConnectorOffsets",
    params(("connector" = String, Path)),
    request_body = ConnectorOffsets,
    responses((status = 200, description = "done", body = Message)))]
pub(crate) async fn alter(
    State(herder): State<Herder>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let offsets = parse(body)?;
    if offsets.is_empty() {
        return Err(ApiError::BadRequest(
            "Partitions / offsets need to be provided for an alter offsets request".to_owned(),
        ));
    }
    let known_to_connector = herder.alter_offsets(&name, offsets).await?;
    Ok(done("altered", known_to_connector))
}

/// Takes all offsets of a stopped connector out
#[utoipa::path(delete, path = "/connectors/{connector}/offsets", tag = "offsets", operation_id = "resetConnectorOffsets",
    params(("connector" = String, Path)),
    responses((status = 200, description = "done", body = Message)))]
pub(crate) async fn reset(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let known_to_connector = herder.reset_offsets(&name).await?;
    Ok(done("reset", known_to_connector))
}

/// A connector that was not asked may keep offsets elsewhere.
fn done(what: &str, known_to_connector: bool) -> Response {
    let message = if known_to_connector {
        format!("The offsets for this connector have been {what} successfully")
    } else {
        format!(
            "The Connect framework-managed offsets for this connector have been {what} successfully. However, if this \
             connector manages offsets externally, they will need to be manually {what} in the system that the connector \
             uses."
        )
    };
    reply::ok(&Message { message })
}

fn parse(body: Value) -> Result<Vec<ConnectorOffset>, ApiError> {
    let Value::Object(fields) = body else {
        return Err(malformed("an object with \"offsets\"", &body));
    };
    let mut offsets = Vec::new();
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("offsets", Value::Null) => {}
            ("offsets", Value::Array(rows)) => {
                offsets = rows.into_iter().map(row).collect::<Result<_, _>>()?;
            }
            ("offsets", other) => return Err(malformed("an array for \"offsets\"", &other)),
            (other, _) => {
                return Err(ApiError::MalformedBody(format!(
                    "unrecognized field \"{other}\" (known: \"offsets\")"
                )));
            }
        }
    }
    Ok(offsets)
}

fn row(row: Value) -> Result<ConnectorOffset, ApiError> {
    let Value::Object(fields) = row else {
        return Err(malformed("objects with \"partition\" and \"offset\"", &row));
    };
    let (mut partition, mut offset) = (Value::Null, Value::Null);
    for (field, value) in fields {
        let target = match field.as_str() {
            "partition" => &mut partition,
            "offset" => &mut offset,
            other => {
                return Err(ApiError::MalformedBody(format!(
                    "unrecognized field \"{other}\" (known: \"partition\", \"offset\")"
                )));
            }
        };
        if !value.is_null() && !value.is_object() {
            return Err(malformed(&format!("an object for \"{field}\""), &value));
        }
        *target = value;
    }
    Ok(ConnectorOffset { partition, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<String, String> {
        let rows = parse(serde_json::from_str(body).unwrap());
        rows.map(|rows| serde_json::to_string(&rows).unwrap())
            .map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn rows_are_read() {
        let body = r#"{"offsets":[{"partition":{"a":1},"offset":{"b":2.50}},{"partition":{"a":2}}]}"#;
        assert_eq!(
            parsed(body).unwrap(),
            r#"[{"partition":{"a":1},"offset":{"b":2.50}},{"partition":{"a":2},"offset":null}]"#
        );
        assert_eq!(parsed("{}").unwrap(), "[]");
        assert_eq!(parsed(r#"{"offsets":null}"#).unwrap(), "[]");
    }

    #[test]
    fn other_shapes_are_refused() {
        for body in [
            "[]",
            r#"{"offsets":{}}"#,
            r#"{"bogus":[]}"#,
            r#"{"offsets":[1]}"#,
            r#"{"offsets":[{"bogus":1}]}"#,
            r#"{"offsets":[{"partition":7}]}"#,
        ] {
            assert!(parsed(body).unwrap_err().starts_with("MalformedBody"), "{body}");
        }
    }
}
