//! Connect's REST API as its clients see it: an answer, or why there is none.

use std::{fmt, time::Duration};

use serde_json::Value;
use ureq::{Agent, Body, Error, http};

use crate::{arguments::WorkerOptions, configuration::Environment, exit::Usage, progress::Waiting};

const DEFAULT_URL: &str = "http://127.0.0.1:8083";
/// As long as Kafka's worker itself takes before it gives up.
const TIMEOUT: Duration = Duration::from_secs(90);

/// One worker.
#[derive(Debug)]
pub(crate) struct Rest {
    url: String,
    agent: Agent,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Null` without a body.
    pub(crate) body: Value,
}

/// Why there is no good answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RestError {
    /// Nobody answered.
    Unreachable { url: String, reason: String },
    /// The worker refuses.
    Refused { status: u16, message: String },
    /// The worker has no such resource, as opposed to no such connector.
    NotOffered { url: String, what: String },
}

impl fmt::Display for RestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, reason } => write!(
                formatter,
                "no answer from a Connect worker at {url} ({reason}); is `jackfield standalone` running? --url names \
                 another address"
            ),
            Self::Refused { message, .. } => formatter.write_str(message),
            Self::NotOffered { url, what } => write!(formatter, "the worker at {url} does not offer {what}"),
        }
    }
}

impl std::error::Error for RestError {}

impl Rest {
    /// Flag before environment before default.
    pub(crate) fn new(options: &WorkerOptions, environment: &Environment) -> anyhow::Result<Self> {
        let given = options.url.clone();
        let given = given.or_else(|| environment.get("connect.url").map(str::to_owned));
        let url = with_scheme(&given.unwrap_or_else(|| DEFAULT_URL.to_owned()))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(options.timeout.unwrap_or(TIMEOUT)))
            .build();
        Ok(Self {
            url,
            agent: Agent::new_with_config(config),
        })
    }

    /// Sends a request; any status below 400 is good.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, RestError> {
        let _waiting = Waiting::on(&self.url);
        let unreachable = |reason: String| RestError::Unreachable {
            url: self.url.clone(),
            reason,
        };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("accept", "application/json");
        let response = match body {
            Some(body) => {
                let request = request
                    .header("content-type", "application/json")
                    .body(body.to_string());
                self.agent
                    .run(request.map_err(|error| unreachable(error.to_string()))?)
            }
            None => {
                let request = request.body(());
                self.agent
                    .run(request.map_err(|error| unreachable(error.to_string()))?)
            }
        };
        let mut response = response.map_err(|error| unreachable(reason(&error)))?;
        let status = response.status().as_u16();
        let text = text(&mut response).map_err(|error| unreachable(reason(&error)))?;
        self.judge(method, path, status, &text)
    }

    fn judge(&self, method: &str, path: &str, status: u16, text: &str) -> Result<Answer, RestError> {
        let body = match text.trim() {
            "" => Some(Value::Null),
            text => serde_json::from_str(text).ok(),
        };
        if status < 400 {
            return body
                .map(|body| Answer { status, body })
                .ok_or_else(|| RestError::Unreachable {
                    url: self.url.clone(),
                    reason: "somebody answers there, and is no Connect worker".to_owned(),
                });
        }
        let message = body.as_ref().and_then(|body| body["message"].as_str());
        match (status, message) {
            // The words of the HTTP server itself; a missing connector has others.
            (404 | 405, message) if message.is_none_or(|message| message.starts_with("HTTP ")) => {
                Err(RestError::NotOffered {
                    url: self.url.clone(),
                    what: format!("{method} {}", path.split('?').next().unwrap_or(path)),
                })
            }
            (_, Some(message)) => Err(RestError::Refused {
                status,
                message: readable(message),
            }),
            (_, None) => Err(RestError::Refused {
                status,
                message: format!("the worker answers {status}"),
            }),
        }
    }
}

fn text(response: &mut http::Response<Body>) -> Result<String, Error> {
    const MOST_BYTES: u64 = 256 << 20;
    response
        .body_mut()
        .with_config()
        .limit(MOST_BYTES)
        .read_to_string()
}

fn with_scheme(url: &str) -> anyhow::Result<String> {
    let url = url.trim_end_matches('/');
    match url.split_once("://") {
        Some(("http", _)) => Ok(url.to_owned()),
        Some(("https", _)) => {
            let text = format!("{url}: https is not supported yet, only http; curl can reach such a worker");
            Err(Usage(text).into())
        }
        Some(_) => Err(Usage(format!("{url}: must be http://HOST:PORT")).into()),
        None => Ok(format!("http://{url}")),
    }
}

/// What happened, without what only a programmer wants to know.
fn reason(error: &Error) -> String {
    match error {
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        Error::Io(error) => error.to_string(),
        Error::HostNotFound => "the name has no address".to_owned(),
        Error::Timeout(_) => "nothing came in time".to_owned(),
        other => other.to_string(),
    }
}

/// Kafka ends a list of what is wrong with an endpoint that says the same.
fn readable(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .filter(|line| !line.starts_with("You can also find the above list of errors"))
        .collect();
    lines.join("\n")
}

/// A name as part of a path.
pub(crate) fn segment(name: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| {
            if keep(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> Rest {
        let options = WorkerOptions {
            url: Some("localhost:1/".to_owned()),
            timeout: None,
        };
        Rest::new(&options, &Environment::default()).unwrap()
    }

    #[test]
    fn urls() {
        assert_eq!(worker().url, "http://localhost:1");
        assert!(
            with_scheme("https://a")
                .unwrap_err()
                .to_string()
                .contains("not supported yet")
        );
        assert_eq!(
            with_scheme("ftp://a").unwrap_err().to_string(),
            "ftp://a: must be http://HOST:PORT"
        );
        assert_eq!(segment("a b/ü.c"), "a%20b%2F%C3%BC.c");
    }

    #[test]
    fn answers_are_told_from_refusals() {
        let judge = |status, text: &str| {
            worker()
                .judge("GET", "/a?b=c", status, text)
                .map_err(|error| error.to_string())
        };
        assert_eq!(judge(204, "").unwrap().body, Value::Null);
        assert_eq!(judge(200, "[]").unwrap().body, serde_json::json!([]));
        assert_eq!(
            judge(404, r#"{"error_code":404,"message":"Connector a not found"}"#).unwrap_err(),
            "Connector a not found"
        );
        assert_eq!(
            judge(404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#).unwrap_err(),
            "the worker at http://localhost:1 does not offer GET /a"
        );
        assert_eq!(judge(500, "<html>").unwrap_err(), "the worker answers 500");
        assert!(judge(200, "<html>").unwrap_err().contains("is no Connect worker"));
        let invalid = "Connector configuration is invalid and contains the following 1 error(s):\nx\nYou can also \
                       find the above list of errors at the endpoint `/x`";
        let invalid = serde_json::json!({"error_code": 400, "message": invalid}).to_string();
        assert_eq!(
            judge(400, &invalid).unwrap_err(),
            "Connector configuration is invalid and contains the following 1 error(s):\nx"
        );
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let error = worker().send("GET", "/", None).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "no answer from a Connect worker at http://localhost:1 (connection refused); is"
            ),
            "{error}"
        );
    }
}
