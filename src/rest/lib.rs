//! Kafka Connect's REST API; the only crate that knows HTTP.
//!
//! One file per resource. Handlers translate between HTTP and the [`Herder`]; they decide nothing about connectors.
//! Every status code is assigned in `reply.rs`, and paths, codes and bodies are Kafka Connect's.

mod access;
mod body;
mod connector_config;
mod connectors;
mod lifecycle;
mod listener;
mod plugins;
mod query;
mod reply;
mod root;
mod status;
mod tasks;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post, put},
};
use jackfield_worker::Herder;

pub use crate::listener::{ListenerError, bind, parse_listener};
use crate::{access::Access, reply::ApiError};

/// Kafka's limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// A connector config is text written by people; this is far above any of them.
const BODY_BYTES_MAX: usize = 8 << 20;
/// What a client may still do with an open connection once `shutdown` resolved.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);

/// Serves the API on a listening socket until `shutdown` resolves and the requests in flight are answered, which they
/// have 300 ms for.
///
/// # Errors
/// When the socket can no longer be accepted on.
pub async fn serve(
    listener: tokio::net::TcpListener,
    herder: Herder,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let access = Access::new(listener.local_addr()?, herder.config());
    let server = axum::serve(listener, router(herder, access)).with_graceful_shutdown(async move {
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

fn router(herder: Herder, access: Access) -> Router {
    resources()
        .fallback(|| async { ApiError::NoSuchPath })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(middleware::from_fn(within_timeout))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(access, access::guard))
        .with_state(herder)
}

/// Every path of the API.
fn resources() -> Router<Herder> {
    Router::new()
        .route("/", get(root::server_info))
        .resource("/health", get(root::health))
        .resource("/connectors", get(connectors::list).post(connectors::create))
        .resource(
            "/connectors/{name}",
            get(connectors::get).delete(connectors::delete),
        )
        .resource(
            "/connectors/{name}/config",
            get(connector_config::get).put(connector_config::put),
        )
        .resource("/connectors/{name}/status", get(status::get))
        .resource("/connectors/{name}/tasks", get(tasks::list))
        .resource("/connectors/{name}/tasks/{task}/status", get(tasks::status))
        .resource("/connectors/{name}/tasks/{task}/restart", post(tasks::restart))
        .resource("/connectors/{name}/pause", put(lifecycle::pause))
        .resource("/connectors/{name}/resume", put(lifecycle::resume))
        .resource("/connectors/{name}/stop", put(lifecycle::stop))
        .resource("/connectors/{name}/restart", post(lifecycle::restart))
        .resource("/connector-plugins", get(plugins::list))
}

/// Kafka's server answers with and without a slash at the end.
trait Resource {
    fn resource(self, path: &str, methods: MethodRouter<Herder>) -> Self;
}

impl Resource for Router<Herder> {
    fn resource(self, path: &str, methods: MethodRouter<Herder>) -> Self {
        self.route(path, methods.clone())
            .route(&format!("{path}/"), methods)
    }
}

async fn within_timeout(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TimedOut.into_response(),
    }
}
