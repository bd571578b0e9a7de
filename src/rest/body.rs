//! Request bodies: JSON into a connector config, with Jackson's leniency towards numbers and booleans, and with an error
//! for everything else.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use jackfield_worker::{GivenConfig, TargetState};
use serde_json::Value;
use utoipa::ToSchema;

use crate::reply::ApiError;

/// A JSON body, parsed.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        check_kind(request.headers())?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| ApiError::BodyTooLarge)?;
        if bytes.is_empty() {
            return Err(ApiError::MalformedBody("the request has no body".to_owned()));
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::MalformedBody(format!("the body is not valid JSON: {error}")))?;
        Ok(Self(value))
    }
}

/// The body must be declared as JSON; one without a content type passes, as in Kafka.
fn check_kind(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else if kind.contains('/') {
        Err(ApiError::UnsupportedMediaType)
    } else {
        Err(ApiError::BadRequest(format!("'{kind}' is no content type")))
    }
}

/// Connect's `CreateConnectorRequest`: for the description alone.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes a body that is read field by field")]
pub(crate) struct CreateConnectorRequest {
    name: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    config: GivenConfig,
    /// RUNNING, PAUSED or STOPPED.
    initial_state: Option<String>,
}

/// `POST /connectors`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreateConnector {
    pub(crate) name: String,
    pub(crate) config: GivenConfig,
    pub(crate) initial_state: TargetState,
}

impl CreateConnector {
    pub(crate) fn parse(body: Value) -> Result<Self, ApiError> {
        let Value::Object(fields) = body else {
            return Err(malformed("an object with \"name\" and \"config\"", &body));
        };
        let (mut name, mut config, mut initial_state) = (String::new(), None, TargetState::Started);
        for (field, value) in fields {
            match (field.as_str(), value) {
                ("name" | "initial_state", Value::Null) => {}
                ("name", value) => name = text("name", value)?.trim().to_owned(),
                ("config", value) => config = Some(value),
                ("initial_state", value) => initial_state = target_state(&text("initial_state", value)?)?,
                (other, _) => {
                    return Err(ApiError::MalformedBody(format!(
                        "unrecognized field \"{other}\" (known: \"config\", \"name\", \"initial_state\")"
                    )));
                }
            }
        }
        let Some(config @ Value::Object(_)) = config else {
            let found = config.unwrap_or(Value::Null);
            return Err(malformed("\"config\" with keys and values as an object", &found));
        };
        let config = connector_config(&name, config)?;
        Ok(Self {
            name,
            config,
            initial_state,
        })
    }
}

/// A flat config of the connector `name`, with `name` in it.
pub(crate) fn connector_config(name: &str, body: Value) -> Result<GivenConfig, ApiError> {
    let mut config = texts(body)?;
    let configured = config.entry("name".to_owned()).or_insert(None);
    match configured {
        Some(configured) if configured != name => {
            return Err(ApiError::BadRequest(format!(
                "Connector name configuration ({configured}) doesn't match connector name in the URL ({name})"
            )));
        }
        Some(_) => {}
        None => *configured = Some(name.to_owned()),
    }
    Ok(config)
}

/// Texts by key; a number or a boolean is the text it is written with.
pub(crate) fn texts(body: Value) -> Result<GivenConfig, ApiError> {
    let Value::Object(fields) = body else {
        return Err(malformed("keys and values as an object", &body));
    };
    let entry = |(key, value): (String, Value)| {
        let value = match value {
            Value::Null => None,
            value => Some(text(&key, value)?),
        };
        Ok((key, value))
    };
    fields.into_iter().map(entry).collect()
}

fn text(field: &str, value: Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(malformed(&format!("a string for \"{field}\""), &other)),
    }
}

fn target_state(name: &str) -> Result<TargetState, ApiError> {
    match name.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(TargetState::Started),
        "PAUSED" => Ok(TargetState::Paused),
        "STOPPED" => Ok(TargetState::Stopped),
        _ => Err(ApiError::MalformedBody(format!(
            "unknown initial_state \"{name}\" (one of RUNNING, PAUSED, STOPPED)"
        ))),
    }
}

pub(crate) fn malformed(wanted: &str, found: &Value) -> ApiError {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    ApiError::MalformedBody(format!("the body must hold {wanted}, not {found}"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use expect_test::{Expect, expect};

    use super::*;

    fn check(body: &str, expected: &Expect) {
        expected.assert_eq(&format!(
            "{:?}",
            CreateConnector::parse(serde_json::from_str(body).unwrap())
        ));
    }

    #[test]
    fn create_requests() {
        check(
            r#"{"name":" z ","config":{"a":1,"b":true,"c":1.50},"initial_state":"stopped"}"#,
            &expect![[
                r#"Ok(CreateConnector { name: "z", config: {"a": Some("1"), "b": Some("true"), "c": Some("1.50"), "name": Some("z")}, initial_state: Stopped })"#
            ]],
        );
        check(
            r#"{"name":"z","config":{"name":"y"}}"#,
            &expect![[
                r#"Err(BadRequest("Connector name configuration (y) doesn't match connector name in the URL (z)"))"#
            ]],
        );
        check(
            r#"{"name":"z","config":{"x":null}}"#,
            &expect![[
                r#"Ok(CreateConnector { name: "z", config: {"x": None, "name": Some("z")}, initial_state: Started })"#
            ]],
        );
        check(
            r#"{"name":"z"}"#,
            &expect![[
                r#"Err(MalformedBody("the body must hold \"config\" with keys and values as an object, not nothing"))"#
            ]],
        );
        check(
            r#"{"name":"z","config":{"x":{"a":1}}}"#,
            &expect![[r#"Err(MalformedBody("the body must hold a string for \"x\", not an object"))"#]],
        );
        check(
            r#"{"name":"z","config":{},"bogus":1}"#,
            &expect![[
                r#"Err(MalformedBody("unrecognized field \"bogus\" (known: \"config\", \"name\", \"initial_state\")"))"#
            ]],
        );
        check(
            r#"{"name":"z","config":{},"initial_state":"BOGUS"}"#,
            &expect![[
                r#"Err(MalformedBody("unknown initial_state \"BOGUS\" (one of RUNNING, PAUSED, STOPPED)"))"#
            ]],
        );
        check(
            "[]",
            &expect![[
                r#"Err(MalformedBody("the body must hold an object with \"name\" and \"config\", not an array"))"#
            ]],
        );
    }

    #[test]
    fn content_types() {
        for (kind, expected) in [
            ("application/json", "Ok(())"),
            ("Application/JSON; charset=utf-8", "Ok(())"),
            ("text/plain", "Err(UnsupportedMediaType)"),
            ("application/x-www-form-urlencoded", "Err(UnsupportedMediaType)"),
            ("nonsense", r#"Err(BadRequest("'nonsense' is no content type"))"#),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(format!("{:?}", check_kind(&headers)), expected, "{kind}");
        }
        assert!(check_kind(&HeaderMap::new()).is_ok());
    }
}
