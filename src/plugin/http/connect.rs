//! How connections are made: names are resolved and every address is checked, TLS is verified.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioTimer,
};
use jackfield_api::ConnectError;
use jackfield_tasks::TaskGroup;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::sync::OnceCell;

use crate::{
    addresses::Opened,
    limits::{HTTP_CONNECT_TIMEOUT, HTTP_IDLE_TIMEOUT, MAX_HTTP_IDLE_PER_HOST},
};

/// A client with its pool.
pub(super) type Client =
    hyper_util::client::legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Looks a name up.
pub(super) type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;
type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// As the operating system resolves names.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Resolves names to addresses that may be connected to.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Lookup,
    opened: Opened,
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = (self.lookup)(name.as_str().to_owned());
        let opened = self.opened.clone();
        Box::pin(async move {
            let mut allowed = Vec::new();
            let mut refused = None;
            for address in found.await? {
                match opened.check(address) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(cause) => refused = Some(cause),
                }
            }
            match refused {
                Some(refused) if allowed.is_empty() => Err(refused.into()),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}

/// The certificates that are trusted; read when they are first needed.
pub(super) struct Roots {
    more: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Roots {
    /// Those of this machine.
    pub(super) fn machine() -> Self {
        Self::and(Vec::new())
    }

    /// Those of this machine and these.
    pub(super) fn and(more: Vec<CertificateDer<'static>>) -> Self {
        let config = OnceCell::new();
        Self { more, config }
    }

    pub(super) async fn config(&self, group: &TaskGroup) -> Result<ClientConfig, ConnectError> {
        let make = || async {
            let more = self.more.clone();
            let mut reading = group.spawn_blocking("certificates", move || tls(more));
            let config = reading
                .join()
                .await
                .map_err(|cause| ConnectError::fatal(cause.to_string()))?;
            config.map(Arc::new)
        };
        let config = self.config.get_or_try_init(make).await?;
        Ok(ClientConfig::clone(config))
    }
}

fn tls(more: Vec<CertificateDer<'static>>) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(native.certs);
    if usable == 0 {
        tracing::info!("this machine has no root certificates, Mozilla's are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(more);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| ConnectError::fatal(format!("TLS cannot be used: {cause}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A client that connects to addresses that are not special, or are opened.
pub(super) fn client(group: &TaskGroup, tls: ClientConfig, lookup: Lookup, opened: Opened) -> Client {
    let mut http = HttpConnector::new_with_resolver(Resolver { lookup, opened });
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(HTTP_CONNECT_TIMEOUT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    hyper_util::client::legacy::Client::builder(Connections(group.clone()))
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(HTTP_IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_HTTP_IDLE_PER_HOST)
        .build(connector)
}

/// Connections are tasks of the group.
#[derive(Clone)]
struct Connections(TaskGroup);

impl<F> hyper::rt::Executor<F> for Connections
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, connection: F) {
        drop(self.0.spawn("connection", connection));
    }
}
