//! Request bodies: JSON into a connector config, with Jackson's leniency towards numbers and booleans, and with an error
//! for everything else.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use jackfield_worker::{ConfigMap, TargetState};
use serde_json::Value;

use crate::reply::ApiError;

/// A JSON body, parsed.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !declares_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType);
        }
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

/// A body without a content type passes, as in Kafka.
fn declares_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// `POST /connectors`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreateConnector {
    pub(crate) name: String,
    pub(crate) config: ConfigMap,
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
        let config = connector_config(&name, config.unwrap_or(Value::Null))?;
        Ok(Self {
            name,
            config,
            initial_state,
        })
    }
}

/// A flat config of the connector `name`, with `name` in it.
pub(crate) fn connector_config(name: &str, body: Value) -> Result<ConfigMap, ApiError> {
    let Value::Object(fields) = body else {
        return Err(malformed("the connector's config as an object", &body));
    };
    let mut config = ConfigMap::new();
    for (key, value) in fields {
        if value.is_null() {
            return Err(ApiError::BadRequest(format!(
                "Connector configuration is invalid and contains the following 1 error(s):\n\
                 Null value can not be supplied as the configuration value (key \"{key}\")"
            )));
        }
        let value = text(&key, value)?;
        config.insert(key, value);
    }
    let configured = config.entry("name".to_owned()).or_insert_with(|| name.to_owned());
    if configured != name {
        return Err(ApiError::BadRequest(format!(
            "Connector name configuration ({configured}) doesn't match connector name in the URL ({name})"
        )));
    }
    Ok(config)
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

fn malformed(wanted: &str, found: &Value) -> ApiError {
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
                r#"Ok(CreateConnector { name: "z", config: {"a": "1", "b": "true", "c": "1.50", "name": "z"}, initial_state: Stopped })"#
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
                r#"Err(BadRequest("Connector configuration is invalid and contains the following 1 error(s):\nNull value can not be supplied as the configuration value (key \"x\")"))"#
            ]],
        );
        check(
            r#"{"name":"z"}"#,
            &expect![[
                r#"Err(MalformedBody("the body must hold the connector's config as an object, not nothing"))"#
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
        for (kind, passes) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(declares_json(&headers), passes, "{kind}");
        }
        assert!(declares_json(&HeaderMap::new()));
    }
}
