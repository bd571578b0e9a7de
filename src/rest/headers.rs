//! `response.http.headers.config`: headers of every answer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use jackfield_worker::{HeaderAction, WorkerConfig};

/// The rules, ready to be applied.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Arc<Vec<Rule>>);

#[derive(Debug)]
struct Rule {
    adds: bool,
    name: HeaderName,
    value: HeaderValue,
}

impl Rules {
    /// The worker's.
    pub(crate) fn new(worker: &WorkerConfig) -> Self {
        let rules = worker.response_headers().iter().filter_map(|rule| {
            let is_date = matches!(rule.action, HeaderAction::SetDate | HeaderAction::AddDate);
            let value = if is_date {
                http_date(&rule.value)?
            } else {
                rule.value.clone()
            };
            Some(Rule {
                adds: matches!(rule.action, HeaderAction::Add | HeaderAction::AddDate),
                name: rule.name.parse().ok()?,
                value: HeaderValue::from_str(&value).ok()?,
            })
        });
        Self(Arc::new(rules.collect()))
    }
}

/// The layer around everything.
pub(crate) async fn apply(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for rule in rules.0.iter() {
        let (name, value) = (rule.name.clone(), rule.value.clone());
        if rule.adds {
            response.headers_mut().append(name, value);
        } else {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Milliseconds since 1970 as HTTP writes a date.
fn http_date(millis: &str) -> Option<String> {
    let millis: u64 = millis.parse().ok()?;
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
    Some(httpdate::fmt_http_date(time))
}
