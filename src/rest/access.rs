//! Who may ask: programs, and web pages only when they are this server's own or were allowed.
//!
//! A web page can send requests to any address its reader's machine reaches, so an API without passwords has to look at
//! where they come from. Browsers say so in `Origin`; `curl`, Java and the like send none and pass. A page whose own
//! name was made to resolve to this machine is found out by its `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jackfield_worker::WorkerConfig;

use crate::reply::ApiError;

/// What a listener lets in.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Only this machine reaches the listener.
    loopback: bool,
    /// `rest.advertised.host.name`: a name of this server beside those of loopback.
    advertised: Option<String>,
    /// `access.control.allow.origin`.
    origins: Vec<String>,
    /// `access.control.allow.methods`.
    methods: Vec<String>,
}

impl Access {
    /// Rules of a listener at this address.
    pub(crate) fn new(listener: SocketAddr, worker: &WorkerConfig) -> Self {
        Self {
            loopback: listener.ip().to_canonical().is_loopback(),
            advertised: worker.advertised().0.map(str::to_owned),
            origins: worker.allowed_origins(),
            methods: worker.allowed_methods(),
        }
    }

    /// Lets a request pass, with the foreign origin that was allowed for it, or refuses it.
    fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, ApiError> {
        let host = headers.get(header::HOST).map(text);
        if let Some(host) = &host
            && self.loopback
            && !self.is_ours(host)
        {
            return Err(ApiError::Forbidden(format!(
                "Host '{host}' is not this server, which listens on loopback: ask for localhost, or set \
                 rest.advertised.host.name"
            )));
        }
        let Some(value) = headers.get(header::ORIGIN) else {
            return Ok(None);
        };
        let origin = text(value);
        if is_same(&origin, host.as_deref()) {
            return Ok(None);
        }
        let allowed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(&origin);
        if self.origins.iter().any(allowed) {
            return Ok(Some(value.clone()));
        }
        Err(ApiError::Forbidden(format!(
            "Requests of web pages of '{origin}' are refused: add it to access.control.allow.origin to answer them"
        )))
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = host_name(host);
        let address = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        let name = name.trim_end_matches('.');
        address.is_ok_and(|address| address.to_canonical().is_loopback())
            || name.eq_ignore_ascii_case("localhost")
            || self
                .advertised
                .as_ref()
                .is_some_and(|advertised| advertised.eq_ignore_ascii_case(name))
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

/// A `Host` without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Whether a page of this origin was served under the name that it asks now.
fn is_same(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match (authority, host) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// How long a browser may keep what it was told, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("60");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("Content-Type");

/// The layer before all resources.
pub(crate) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let asks_first = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let (mut response, origin) = match access.check(request.headers()) {
        Err(refused) => (refused.into_response(), None),
        Ok(origin) => (next.run(request).await, origin),
    };
    let headers = response.headers_mut();
    if !access.origins.is_empty() {
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if asks_first {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if let Ok(methods) = HeaderValue::from_str(&access.methods.join(",")) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            }
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::{Router, middleware, routing::post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn access(listener: &str, settings: &[(&str, &str)]) -> Access {
        let settings: BTreeMap<String, String> = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Access::new(
            listener.parse().unwrap(),
            &WorkerConfig::parse(&settings).unwrap(),
        )
    }

    fn passes(access: &Access, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        access.check(&headers).is_ok()
    }

    #[test]
    fn a_loopback_listener_answers_to_its_own_names_only() {
        for listener in ["127.0.0.1:8083", "[::1]:8083"] {
            let access = access(listener, &[]);
            for host in [
                "localhost",
                "LOCALHOST:8083",
                "127.0.0.1:8083",
                "127.9.9.9",
                "[::1]",
                "[::1]:8083",
            ] {
                assert!(passes(&access, host, None), "{host}");
            }
            for host in [
                "evil.example:8083",
                "localhost.evil.example",
                "192.168.0.1:8083",
                "",
            ] {
                assert!(!passes(&access, host, None), "{host}");
            }
            assert!(access.check(&HeaderMap::new()).is_ok());
        }
        let named = access("127.0.0.1:8083", &[("rest.advertised.host.name", "connect.lan")]);
        assert!(passes(&named, "connect.lan:8083", None));
        assert!(passes(&access("0.0.0.0:8083", &[]), "connect.lan:8083", None));
    }

    #[test]
    fn pages_of_others_are_refused_unless_allowed() {
        for listener in ["127.0.0.1:8083", "0.0.0.0:8083"] {
            let strict = access(listener, &[]);
            assert!(passes(&strict, "localhost:8083", Some("http://localhost:8083")));
            for origin in [
                "http://evil.example",
                "null",
                "http://localhost:3000",
                "http://127.0.0.1:8083",
            ] {
                assert!(!passes(&strict, "localhost:8083", Some(origin)), "{origin}");
            }
            let settings = [(
                "access.control.allow.origin",
                "https://ui.example, http://localhost:3000",
            )];
            let open = access(listener, &settings);
            assert!(passes(&open, "localhost:8083", Some("http://localhost:3000")));
            assert!(!passes(&open, "localhost:8083", Some("http://evil.example")));
            let all = access(listener, &[("access.control.allow.origin", "*")]);
            assert!(passes(&all, "localhost:8083", Some("http://evil.example")));
        }
        let rebound = access("127.0.0.1:8083", &[]);
        assert!(!passes(
            &rebound,
            "evil.example:8083",
            Some("http://evil.example:8083")
        ));
    }

    async fn ask(address: SocketAddr, headers: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /x HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn refusals_are_answers_and_nothing_is_done() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let access = access(
            "127.0.0.1:0",
            &[("access.control.allow.origin", "https://ui.example")],
        );
        let router = Router::new()
            .route("/x", post(|| async { "done" }))
            .layer(middleware::from_fn_with_state(access, guard));
        let asks = async {
            let plain = ask(address, "").await;
            assert!(
                plain.starts_with("HTTP/1.1 200") && plain.ends_with("done"),
                "{plain}"
            );
            let allowed = ask(address, "origin: https://ui.example\r\n").await;
            assert!(
                allowed.contains("access-control-allow-origin: https://ui.example\r\n"),
                "{allowed}"
            );
            let refused = ask(address, "origin: http://evil.example\r\n").await;
            assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
            assert!(
                refused.contains(r#"{"error_code":403,"message":"Requests of web pages of"#),
                "{refused}"
            );
        };
        tokio::select! {
            ended = async { axum::serve(listener, router).await } => panic!("{ended:?}"),
            () = asks => {}
        }
    }
}
