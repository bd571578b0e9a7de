//! HTTP through the host: it does names, TLS and connections, and reaches what the package asks for and the worker's policy
//! grants. The same in both forms.

use std::{sync::Arc, time::Duration};

use crate::{ConnectError, TaskHost};

/// A request to be made by the host.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method, such as `GET`.
    pub method: String,
    /// URL with `http` or `https`.
    pub url: String,
    /// Headers, names and values.
    pub headers: Vec<(String, String)>,
    /// Body; may be empty.
    pub body: Vec<u8>,
    /// How long it may take; `None` = the host's own limit.
    pub timeout: Option<Duration>,
}

/// The answer to a request, whatever its status. Redirects are answers like others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Makes requests. Errors are `config` for what the worker does not grant and for URLs that are none, and `retriable` for
/// names, connections and time-outs.
#[derive(Clone)]
pub struct Http {
    host: Arc<dyn TaskHost>,
}

/// A request under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpCall(u64);

impl HttpRequest {
    /// `GET url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        }
    }

    /// `POST url` with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".to_owned(),
            body: body.into(),
            ..Self::get(url)
        }
    }

    /// The same request with another header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same request, which may take this long.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }
}

impl HttpResponse {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// Whether the status is one of success, 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; a data error when it is not UTF-8.
    pub fn text(&self) -> Result<&str, ConnectError> {
        std::str::from_utf8(&self.body)
            .map_err(|cause| ConnectError::data(format!("the body of the answer is not UTF-8: {cause}")))
    }
}

impl Http {
    /// Requests through this host.
    pub(crate) fn new(host: Arc<dyn TaskHost>) -> Self {
        Self { host }
    }

    /// Begins a request and returns at once: what a source's `poll` does. The task's idle time ends when it is done, so poll
    /// may answer [`Idle(None)`](crate::Polled::Idle) until then.
    pub fn begin(&self, request: &HttpRequest) -> Result<HttpCall, ConnectError> {
        self.host.http_begin(request).map(HttpCall)
    }

    /// How a request ended, once; `None` = it is under way.
    pub fn take(&self, call: HttpCall) -> Option<Result<HttpResponse, ConnectError>> {
        self.host.http_take(call.0)
    }

    /// Makes a request and waits for its end: for sinks, which wait anyway. No other task waits with it.
    pub fn fetch(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectError> {
        self.host.http_fetch(request)
    }
}

impl std::fmt::Debug for HttpRequest {
    /// Neither headers nor body nor the URL's query: they may hold secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        write!(
            formatter,
            "HttpRequest({} {url}, {} bytes)",
            self.method,
            self.body.len()
        )
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Http({}-{})", self.host.connector(), self.host.task())
    }
}
