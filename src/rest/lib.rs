//! Kafka Connect's REST API; the only crate that knows HTTP.
//!
//! One file per resource. Handlers translate between HTTP and the [`Herder`]; they decide nothing about connectors.
//! Every status code is assigned in `reply.rs`, and paths, codes and bodies are Kafka Connect's. A handler's annotation
//! is both its route and its part of the OpenAPI document, so neither can be without the other.

mod accept;
mod access;
mod body;
mod connector_config;
mod connectors;
mod headers;
mod lifecycle;
mod listener;
mod loggers;
mod methods;
mod metrics;
mod offsets;
mod openapi;
mod paths;
mod plugins;
mod query;
mod reply;
mod root;
mod status;
mod tasks;
mod topics;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use jackfield_worker::Herder;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use crate::listener::{ListenerError, bind, parse_listener};
use crate::{access::Access, reply::ApiError};

/// Kafka's limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// A connector config is text written by people; this is far above any of them.
const BODY_BYTES_MAX: usize = 8 << 20;
/// What a client may still do with an open connection once `shutdown` resolved.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);

/// Which part of the API a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of it.
    Everything,
    /// Everything but `/admin`, which has listeners of its own or is served nowhere.
    WithoutAdmin,
    /// `/admin` alone.
    AdminOnly,
}

/// Serves the API on a listening socket until `shutdown` resolves and the requests in flight are answered, which they
/// have 300 ms for.
///
/// # Errors
/// When the socket can no longer be accepted on.
pub async fn serve(
    listener: tokio::net::TcpListener,
    herder: Herder,
    surface: Surface,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let access = Access::new(listener.local_addr()?, herder.config());
    let server = axum::serve(listener, router(herder, access, surface)).with_graceful_shutdown(async move {
        shutdown.await;
        // Whoever waits for it may be gone already.
        stopping.send(()).ok();
    });
    let deadline = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(DRAIN_TIMEOUT).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = async { server.await } => ended,
        () = deadline => Ok(()),
    }
}

fn router(herder: Herder, access: Access, surface: Surface) -> Router {
    let resources = match surface {
        Surface::Everything => resources().merge(admin_resources()),
        Surface::WithoutAdmin => resources(),
        Surface::AdminOnly => admin_resources(),
    };
    let rules = headers::Rules::new(herder.config());
    let (resources, _) = resources.split_for_parts();
    let routed = resources
        .route_layer(middleware::from_fn(accept::check))
        .fallback(|| async { ApiError::NoSuchPath })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(middleware::from_fn(within_timeout))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(herder);
    // A router of its own: what changes the path has to come before the routes are looked at, and what the routes allow is
    // known behind them.
    Router::new()
        .fallback_service(routed)
        .layer(middleware::from_fn(methods::answer_options))
        .layer(middleware::from_fn(paths::normalize))
        .layer(middleware::from_fn_with_state(access, access::guard))
        .layer(middleware::from_fn_with_state(rules, headers::apply))
        .layer(middleware::from_fn(log))
}

/// Every path of the API but those of `/admin`.
fn resources() -> OpenApiRouter<Herder> {
    OpenApiRouter::new()
        .routes(routes!(root::server_info))
        .routes(routes!(root::health))
        .routes(routes!(connectors::list, connectors::create))
        .routes(routes!(connectors::get, connectors::delete))
        .routes(routes!(
            connector_config::get,
            connector_config::put,
            connector_config::patch
        ))
        .routes(routes!(status::get))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::status))
        .routes(routes!(tasks::restart))
        .routes(routes!(lifecycle::pause))
        .routes(routes!(lifecycle::resume))
        .routes(routes!(lifecycle::stop))
        .routes(routes!(lifecycle::restart))
        .routes(routes!(topics::list))
        .routes(routes!(topics::reset))
        .routes(routes!(offsets::list, offsets::alter, offsets::reset))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::config))
        .routes(routes!(plugins::validate))
        .routes(routes!(metrics::get))
        .routes(routes!(openapi::get))
}

/// The paths of `/admin`.
fn admin_resources() -> OpenApiRouter<Herder> {
    OpenApiRouter::new()
        .routes(routes!(loggers::list))
        .routes(routes!(loggers::get, loggers::set))
}

/// Without the query, which nobody needs to find a request again.
async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    tracing::debug!(%method, path, status = response.status().as_u16(), "request answered");
    response
}

async fn within_timeout(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TimedOut.into_response(),
    }
}
