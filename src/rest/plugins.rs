//! `/connector-plugins`: what the worker can run.

use axum::{extract::State, response::Response};
use jackfield_worker::Herder;

use crate::{query::Parameters, reply};

/// `GET /connector-plugins?connectorsOnly=true`.
pub(crate) async fn list(State(herder): State<Herder>, query: Parameters) -> Response {
    reply::ok(&herder.plugins(query.flag("connectorsOnly", true)))
}
