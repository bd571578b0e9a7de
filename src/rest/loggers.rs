//! `/admin/loggers`: what the worker logs, looked at and changed while it runs.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{Herder, LogLevel};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    body::{self, JsonBody},
    query::Parameters,
    reply::{self, ApiError},
};

/// Connect's `LoggerLevel`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoggerLevel {
    level: &'static str,
    /// Milliseconds since 1970; null when it is as the worker was started.
    last_modified: Option<i64>,
}

impl From<jackfield_worker::LoggerLevel> for LoggerLevel {
    fn from(level: jackfield_worker::LoggerLevel) -> Self {
        Self {
            level: level.level.name(),
            last_modified: level.last_modified,
        }
    }
}

/// The loggers and their levels
#[utoipa::path(get, path = "/admin/loggers", tag = "admin", operation_id = "listLoggers",
    responses((status = 200, description = "by logger", body = BTreeMap<String, LoggerLevel>)))]
pub(crate) async fn list(State(herder): State<Herder>) -> Response {
    let mut levels = levels(&herder);
    // As Kafka lists them: those that log something.
    levels.retain(|_, level| level.level != LogLevel::Off.name());
    reply::ok(&levels)
}

/// The level of a logger
#[utoipa::path(get, path = "/admin/loggers/{logger}", tag = "admin", operation_id = "getLogger",
    params(("logger" = String, Path)),
    responses((status = 200, description = "its level", body = LoggerLevel)))]
pub(crate) async fn get(
    State(herder): State<Herder>,
    Path(logger): Path<String>,
) -> Result<Response, ApiError> {
    let mut levels = levels(&herder);
    match levels.remove(canonical(&logger)) {
        Some(level) => Ok(reply::ok(&level)),
        None => Err(ApiError::NotFound(format!("Logger {logger} not found."))),
    }
}

/// Sets the level of a logger and of all below it
///
/// With scope=cluster the answer has no body.
#[utoipa::path(put, path = "/admin/loggers/{logger}", tag = "admin", operation_id = "setLevel",
    params(("logger" = String, Path), ("scope" = Option<String>, Query, description = "worker (the default) or cluster")),
    request_body(content = BTreeMap<String, String>, description = "level: OFF, ERROR, WARN, INFO, DEBUG or TRACE"),
    responses(
        (status = 200, description = "the loggers whose level is another now", body = Vec<String>),
        (status = 204, description = "done")
    ))]
pub(crate) async fn set(
    State(herder): State<Herder>,
    Path(logger): Path<String>,
    query: Parameters,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let given = body::texts(body)?;
    let level = given.get("level").cloned().flatten().ok_or_else(|| {
        ApiError::BadRequest("Desired 'level' parameter was not specified in request.".to_owned())
    })?;
    let level =
        LogLevel::parse(&level).ok_or_else(|| ApiError::NotFound(format!("invalid log level '{level}'.")))?;
    let changed = herder.set_logger(canonical(&logger), level);
    // One worker is the whole cluster.
    let cluster = query
        .all("scope")
        .next()
        .is_some_and(|scope| scope.eq_ignore_ascii_case("cluster"));
    Ok(if cluster {
        reply::no_content()
    } else {
        reply::ok(&changed)
    })
}

fn levels(herder: &Herder) -> BTreeMap<String, LoggerLevel> {
    let levels = herder.loggers().into_iter();
    levels.map(|(name, level)| (name, level.into())).collect()
}

fn canonical(logger: &str) -> &str {
    if logger.eq_ignore_ascii_case("root") {
        "root"
    } else {
        logger
    }
}
