//! HTTP requests of plugins, the same for both forms: a task begins a request, is woken when it is done, and takes the answer.
//!
//! A request goes to a host that the package asks for and the policy grants (`reach.rs`), and every address a connection is
//! made to is checked once more. Redirects are not followed: the plugin is given the answer and decides. Proxies of the
//! environment are not used. Bodies are as they were sent, nothing is decompressed. Servers are trusted whose certificates
//! the machine's own roots confirm (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others); Mozilla's where there are none.
//!
//! What cannot be retried away (a URL, a header, a host that is not granted) is an error of kind config; whatever the network
//! does is retriable. A status is no error, not even 500. Neither errors nor logs say more of a URL than its host, or
//! anything of headers and bodies: these hold secrets.

mod connect;
mod requests;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Uri,
    header::{HeaderName, HeaderValue, USER_AGENT},
};
use jackfield_api::ConnectError;
use jackfield_tasks::TaskGroup;
use url::Url;

use self::connect::{Client, Lookup, Roots};
pub(crate) use self::requests::Requests;
use crate::{
    addresses::{Opened, Refused},
    hosts::HttpTarget,
    limits::{HTTP_TIMEOUT, MAX_HTTP_BODY_BYTES, MAX_HTTP_TIMEOUT},
    reach::Reach,
};

/// A request of a plugin.
pub(crate) struct HttpRequest {
    /// `GET`, `POST`, …
    pub(crate) method: String,
    /// `http://` or `https://`.
    pub(crate) url: String,
    /// Names and values; those that frame the message are the host's.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Until the last byte of the answer; `None` = [`HTTP_TIMEOUT`].
    pub(crate) timeout: Option<Duration>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// The one HTTP client of the process.
pub(crate) struct HttpService {
    group: TaskGroup,
    lookup: Lookup,
    roots: Roots,
    /// One per set of opened special addresses: who may connect to fewer must not find a connection in the pool.
    clients: Mutex<HashMap<Opened, Client>>,
}

/// A request that may be sent.
struct Prepared {
    target: HttpTarget,
    opened: Opened,
    method: Method,
    request: Request<Full<Bytes>>,
    timeout: Duration,
}

/// Headers that say where a message goes and where it ends.
const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const AGENT: &str = concat!("jackfield/", env!("CARGO_PKG_VERSION"));

impl HttpService {
    /// Connects nowhere yet.
    pub(crate) fn new(group: &TaskGroup) -> Arc<Self> {
        Self::with(group, connect::system_lookup(), Roots::machine())
    }

    fn with(group: &TaskGroup, lookup: Lookup, roots: Roots) -> Arc<Self> {
        Arc::new(Self {
            group: group.child("http"),
            lookup,
            roots,
            clients: Mutex::default(),
        })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn fetch(
        &self,
        reach: &Reach,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectError> {
        self.send(reach, prepare(reach, request)?).await
    }

    async fn send(&self, reach: &Reach, prepared: Prepared) -> Result<HttpResponse, ConnectError> {
        let Prepared {
            target,
            opened,
            method,
            request,
            timeout,
        } = prepared;
        let client = self.client(opened).await?;
        let exchange = async {
            let response = client.request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_HTTP_BODY_BYTES).collect().await?;
            Ok::<_, Box<dyn Error + Send + Sync>>((head, body.to_bytes()))
        };
        let Ok(exchanged) = tokio::time::timeout(timeout, exchange).await else {
            return Err(ConnectError::retriable(format!(
                "{method} {target}: no whole answer within {} s",
                timeout.as_secs_f32()
            )));
        };
        let (head, body) = exchanged.map_err(|cause| failed(reach, &method, &target, &*cause))?;
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        };
        Ok(HttpResponse {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(header).collect(),
            body,
        })
    }

    async fn client(&self, opened: Opened) -> Result<Client, ConnectError> {
        let known = |opened: &Opened| {
            let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            clients.get(opened).cloned()
        };
        if let Some(client) = known(&opened) {
            return Ok(client);
        }
        let tls = self.roots.config(&self.group).await?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || connect::client(&self.group, tls, Arc::clone(&self.lookup), opened.clone());
        Ok(clients.entry(opened.clone()).or_insert_with(make).clone())
    }
}

/// Checks a request, sends nothing.
fn prepare(reach: &Reach, request: HttpRequest) -> Result<Prepared, ConnectError> {
    let HttpRequest {
        method,
        url,
        headers,
        body,
        timeout,
    } = request;
    let invalid = |what: &dyn std::fmt::Display| ConnectError::config(format!("HTTP request: {what}"));
    let mut url = Url::parse(&url).map_err(|cause| invalid(&format!("the URL is invalid: {cause}")))?;
    url.set_fragment(None);
    let target = HttpTarget::of(&url).map_err(|cause| invalid(&format!("the URL is invalid: {cause}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            &"the URL holds a user name or password: send them as header Authorization",
        ));
    }
    let opened = reach.http(&target)?;
    // What is connected to must be what was checked.
    let uri: Uri = url.as_str().parse().map_err(|cause| invalid(&cause))?;
    if uri.host() != url.host_str() {
        return Err(invalid(&"the URL's host is ambiguous"));
    }
    let method = match Method::from_bytes(method.as_bytes()) {
        Ok(Method::CONNECT) | Err(_) => return Err(invalid(&format!("method {method:?} cannot be sent"))),
        Ok(method) => method,
    };
    if body.len() > MAX_HTTP_BODY_BYTES {
        return Err(invalid(&format!(
            "the body has {} bytes, at most {MAX_HTTP_BODY_BYTES} are sent",
            body.len()
        )));
    }
    let timeout = timeout.unwrap_or(HTTP_TIMEOUT);
    if timeout > MAX_HTTP_TIMEOUT {
        return Err(invalid(&format!(
            "the timeout is {} s, at most {} are waited",
            timeout.as_secs(),
            MAX_HTTP_TIMEOUT.as_secs()
        )));
    }
    let mut built = Request::new(Full::new(body));
    *built.method_mut() = method.clone();
    *built.uri_mut() = uri;
    *built.headers_mut() = header_map(headers).map_err(|what| invalid(&what))?;
    Ok(Prepared {
        target,
        opened,
        method,
        request: built,
        timeout,
    })
}

fn header_map(headers: Vec<(String, String)>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is no name of a header"))?;
        if OWN_HEADERS.contains(&parsed.as_str()) {
            return Err(format!("header {parsed} is set by the host"));
        }
        // The value is not shown: it may be a secret.
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("the value of header {parsed} cannot be sent"))?;
        value.set_sensitive(true);
        map.append(parsed, value);
    }
    map.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    Ok(map)
}

/// The error of an exchange that did not end well.
fn failed(
    reach: &Reach,
    method: &Method,
    target: &HttpTarget,
    cause: &(dyn Error + Send + Sync + 'static),
) -> ConnectError {
    let mut causes: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(cause);
    while let Some(cause) = next {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return reach.http_refused(target, refused);
        }
        if cause.is::<LengthLimitError>() {
            return ConnectError::fatal(format!(
                "{method} {target}: the answer has more than {MAX_HTTP_BODY_BYTES} bytes"
            ));
        }
        let text = cause.to_string();
        if !causes.contains(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    ConnectError::retriable(format!("{method} {target}: {}", causes.join(": ")))
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HttpResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HttpService").finish_non_exhaustive()
    }
}
