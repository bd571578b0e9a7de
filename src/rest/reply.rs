//! Answers: the one place where HTTP statuses are assigned, and the shape of every error body.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jackfield_worker::HerderError;
use serde::Serialize;
use utoipa::ToSchema;

/// What a request can fail with.
#[derive(Debug, Clone)]
pub(crate) enum ApiError {
    /// The herder's answer.
    Herder(HerderError),
    /// The path is no resource.
    NoSuchPath,
    /// The resource does not know the method.
    MethodNotAllowed,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The client takes no JSON.
    NotAcceptable,
    /// What the path names is not there.
    NotFound(String),
    /// The body is larger than the limit, or was cut.
    BodyTooLarge,
    /// The body is no JSON, or JSON of another shape. Kafka answers 500.
    MalformedBody(String),
    /// The request contradicts itself.
    BadRequest(String),
    /// The request comes from where none is answered.
    Forbidden(String),
    /// The herder did not answer in time.
    TimedOut,
}

/// Connect's error body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorMessage {
    error_code: u16,
    message: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Herder(HerderError::NotFound(_)) | Self::NotFound(_) | Self::NoSuchPath => {
                StatusCode::NOT_FOUND
            }
            Self::Herder(HerderError::AlreadyExists(_) | HerderError::Conflict(_)) => StatusCode::CONFLICT,
            Self::Herder(HerderError::BadConfig(_) | HerderError::BadRequest(_)) | Self::BadRequest(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Herder(HerderError::Internal(_)) | Self::MalformedBody(_) | Self::TimedOut => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Herder(error) => error.to_string(),
            Self::MalformedBody(message)
            | Self::BadRequest(message)
            | Self::NotFound(message)
            | Self::Forbidden(message) => message.clone(),
            Self::TimedOut => "Request timed out".to_owned(),
            Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::NotAcceptable
            | Self::UnsupportedMediaType
            | Self::BodyTooLarge => {
                // Jersey's words for errors without a message.
                format!("HTTP {}", self.status())
            }
        }
    }
}

impl From<HerderError> for ApiError {
    fn from(error: HerderError) -> Self {
        Self::Herder(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), error = %self.message(), "request failed");
        }
        let body = ErrorMessage {
            error_code: status.as_u16(),
            message: self.message(),
        };
        (status, Json(body)).into_response()
    }
}

/// 200 with a body.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    (StatusCode::OK, Json(body)).into_response()
}

/// 201 with a body, and where the new connector is.
pub(crate) fn created(headers: &HeaderMap, connector: &str, body: &impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location(headers, connector)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// For answers without a body.
pub(crate) const NO_BODY: Option<&()> = None;

/// 202, with a body where Connect has one.
pub(crate) fn accepted(body: Option<&impl Serialize>) -> Response {
    match body {
        Some(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 500 with a body of its own (`/health` only).
pub(crate) fn unhealthy(body: &impl Serialize) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// Address of a connector, absolute when the client said which host it asked.
fn location(headers: &HeaderMap, connector: &str) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = host.map(|host| format!("http://{host}")).unwrap_or_default();
    format!("{base}/connectors/{}", path_segment(connector))
}

/// Percent-encodes what cannot stand in a path segment, and the `;` that would cut it.
fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => segment.push(byte.into()),
            _ if b"-._~:@!$&'()*+,=".contains(&byte) => segment.push(byte.into()),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    async fn check(response: Response, expected: &Expect) {
        let status = response.status();
        let header = |name| {
            response
                .headers()
                .get(name)
                .map(|value: &HeaderValue| value.to_str().unwrap())
        };
        let location = header(header::LOCATION)
            .map(|value| format!("location: {value}\n"))
            .unwrap_or_default();
        let kind = header(header::CONTENT_TYPE)
            .map(|value| format!("{value}\n"))
            .unwrap_or_default();
        let head = format!("{}\n{location}{kind}", status.as_u16());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        expected.assert_eq(&format!("{head}{}", String::from_utf8_lossy(&body)));
    }

    #[tokio::test]
    async fn errors_have_connects_body() {
        let herder = |error: HerderError| ApiError::from(error).into_response();
        check(
            herder(HerderError::NotFound("Connector nope not found".into())),
            &expect![[r#"
                404
                application/json
                {"error_code":404,"message":"Connector nope not found"}"#]],
        )
        .await;
        check(
            herder(HerderError::AlreadyExists("Connector a already exists".into())),
            &expect![[r#"
                409
                application/json
                {"error_code":409,"message":"Connector a already exists"}"#]],
        )
        .await;
        check(
            herder(HerderError::BadConfig("1 error(s):\n\"x\"".into())),
            &expect![[r#"
                400
                application/json
                {"error_code":400,"message":"1 error(s):\n\"x\""}"#]],
        )
        .await;
        for (error, code) in [
            (ApiError::Herder(HerderError::Conflict("c".into())), 409),
            (ApiError::Herder(HerderError::Internal("i".into())), 500),
            (ApiError::MalformedBody("m".into()), 500),
            (ApiError::TimedOut, 500),
        ] {
            assert_eq!(error.into_response().status().as_u16(), code);
        }
    }

    #[tokio::test]
    async fn http_errors_speak_as_kafkas_server() {
        check(
            ApiError::NoSuchPath.into_response(),
            &expect![[r#"
                404
                application/json
                {"error_code":404,"message":"HTTP 404 Not Found"}"#]],
        )
        .await;
        check(
            ApiError::MethodNotAllowed.into_response(),
            &expect![[r#"
                405
                application/json
                {"error_code":405,"message":"HTTP 405 Method Not Allowed"}"#]],
        )
        .await;
        check(
            ApiError::UnsupportedMediaType.into_response(),
            &expect![[r#"
                415
                application/json
                {"error_code":415,"message":"HTTP 415 Unsupported Media Type"}"#]],
        )
        .await;
    }

    #[tokio::test]
    async fn created_says_where() {
        let mut headers = HeaderMap::new();
        let body = ["x"];
        check(
            created(&headers, "a", &body),
            &expect![[r#"
            201
            location: /connectors/a
            application/json
            ["x"]"#]],
        )
        .await;
        headers.insert(header::HOST, HeaderValue::from_static("h:8083"));
        check(
            created(&headers, "sp ace/é%b", &body),
            &expect![[r#"
            201
            location: http://h:8083/connectors/sp%20ace%2F%C3%A9%25b
            application/json
            ["x"]"#]],
        )
        .await;
    }
}
