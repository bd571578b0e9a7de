//! Requests to real servers on this machine.

mod servers;
mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};

use jackfield_api::ErrorKind;
use tokio::sync::Notify;

use self::servers::{OK, Server};
use super::*;
use crate::{limits::MAX_HTTP_REQUESTS, reach::tests::reach};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(20);

fn service() -> Arc<HttpService> {
    HttpService::new(&TaskGroup::new("test"))
}

/// A service for which every name has these addresses, one set per lookup, the last one for ever.
fn resolving(answers: &[&[&str]]) -> Arc<HttpService> {
    let answers: Vec<Vec<std::net::IpAddr>> = answers
        .iter()
        .map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect())
        .collect();
    let asked = AtomicUsize::new(0);
    let lookup: Lookup = Arc::new(move |_| {
        let turn = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        let answer = answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    });
    HttpService::with(&TaskGroup::new("test"), lookup, Roots::machine())
}

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout: Some(DEADLINE),
    }
}

/// What a package may reach that asks for everything and is granted these entries.
fn granted(http: &[&str], more: &str) -> Reach {
    let http = http.join("\", \"");
    let policy = format!("[[grant]]\npackage = \"acme\"\nhttp = [\"{http}\"]\n{more}");
    reach("http = [\"*\"]", Some(&policy), &[])
}

async fn fetch(service: &HttpService, reach: &Reach, url: &str) -> Result<HttpResponse, ConnectError> {
    tokio::time::timeout(2 * DEADLINE, service.fetch(reach, get(url)))
        .await
        .expect("an answer within the deadline")
}

/// The request must fail with this kind, and a message that contains `says` and no secret.
async fn check(service: &HttpService, reach: &Reach, request: HttpRequest, kind: ErrorKind, says: &str) {
    let url = request.url.clone();
    let error = tokio::time::timeout(2 * DEADLINE, service.fetch(reach, request))
        .await
        .expect("an answer within the deadline")
        .unwrap_err();
    assert_eq!(error.kind, kind, "{url}: {error}");
    assert!(error.message.contains(says), "{url}: {error} does not say {says}");
    assert!(!error.message.contains("secret"), "{url}: {error}");
}

#[tokio::test]
async fn a_request_is_sent_and_its_answer_read() {
    let server = Server::start(|_| {
        b"HTTP/1.1 201 Created\r\nX-One: 1\r\nx-two: 2\r\ncontent-length: 4\r\n\r\ndone".to_vec()
    })
    .await;
    let (service, url) = (service(), server.url("/in?a=b#fragment"));
    let reach = granted(&[&server.url("")], "");
    for turn in 0..2 {
        let request = HttpRequest {
            method: "PUT".to_owned(),
            headers: vec![("Authorization".to_owned(), "Bearer word".to_owned())],
            body: Bytes::from_static(b"hello"),
            ..get(&url)
        };
        let response = service.fetch(&reach, request).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (201, &b"done"[..]));
        for header in [("x-one", "1"), ("x-two", "2")] {
            let header = (header.0.to_owned(), header.1.to_owned());
            assert!(response.headers.contains(&header), "{:?}", response.headers);
        }
        let sent = server.requests().remove(turn);
        assert!(sent.starts_with("PUT /in?a=b HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("authorization: Bearer word\r\n"), "{sent}");
        assert!(sent.contains(&format!("user-agent: {AGENT}\r\n")), "{sent}");
        assert!(sent.ends_with("\r\n\r\nhello"), "{sent}");
    }
    assert_eq!(server.connections(), 1, "the connection is kept");
}

#[tokio::test]
async fn a_status_is_an_answer_and_redirects_are_not_followed() {
    let elsewhere = Server::start(|_| OK.to_vec()).await;
    let location = elsewhere.url("/secret");
    let server = Server::start(move |request| match request.split(' ').nth(1) {
        Some("/away") => {
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into()
        }
        _ => b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_vec(),
    })
    .await;
    let (service, reach) = (service(), granted(&[&server.url(""), &elsewhere.url("")], ""));
    let away = fetch(&service, &reach, &server.url("/away")).await.unwrap();
    assert_eq!(away.status, 302);
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(
        fetch(&service, &reach, &server.url("/")).await.unwrap().status,
        500
    );
}

#[tokio::test]
async fn what_the_network_does_is_retriable() {
    let (service, all) = (service(), Reach::Everything);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("http://127.0.0.1:{closed}/secret?key=secret");
    let says = format!("GET http://127.0.0.1:{closed}: ");
    check(&service, &all, get(&url), ErrorKind::Retriable, &says).await;

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret", silent.local_addr().unwrap());
    let timeout = Some(Duration::from_millis(50));
    let request = HttpRequest { timeout, ..get(&url) };
    check(
        &service,
        &all,
        request,
        ErrorKind::Retriable,
        "no whole answer within 0.05 s",
    )
    .await;

    let half =
        Server::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nhal".to_vec())
            .await;
    check(
        &service,
        &all,
        get(&half.url("/")),
        ErrorKind::Retriable,
        "GET http://127.0.0.1",
    )
    .await;

    let unknown = resolving(&[&[]]);
    check(
        &unknown,
        &all,
        get("http://api.example"),
        ErrorKind::Retriable,
        "http://api.example",
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_config_error() {
    let (service, all) = (service(), Reach::Everything);
    let config = ErrorKind::Config;
    for (url, says) in [
        ("secret", "the URL is invalid"),
        ("ftp://secret.example/", "http:// or https:// is wanted"),
        ("http://", "the URL is invalid"),
        ("http://user:secret@api.example/", "header Authorization"),
        ("http://secret@api.example/", "header Authorization"),
    ] {
        check(&service, &all, get(url), config, says).await;
    }
    for (name, value, says) in [
        ("Host", "secret.example", "header host is set by the host"),
        ("Transfer-Encoding", "chunked", "header transfer-encoding"),
        ("Content-Length", "1", "header content-length"),
        ("X Y", "secret", "\"X Y\" is no name of a header"),
        (
            "Authorization",
            "secret\r\nHost: a",
            "the value of header authorization",
        ),
    ] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let request = HttpRequest {
            headers,
            ..get("http://api.example")
        };
        check(&service, &all, request, config, says).await;
    }
    for method in ["CONNECT", "G T", ""] {
        let method = method.to_owned();
        let request = HttpRequest {
            method,
            ..get("http://api.example")
        };
        check(&service, &all, request, config, "cannot be sent").await;
    }
    let timeout = Some(MAX_HTTP_TIMEOUT + Duration::from_secs(1));
    let request = HttpRequest {
        timeout,
        ..get("http://api.example")
    };
    check(&service, &all, request, config, "at most 600 are waited").await;
    let body = Bytes::from(vec![0; MAX_HTTP_BODY_BYTES + 1]);
    let request = HttpRequest {
        body,
        ..get("http://api.example")
    };
    check(&service, &all, request, config, "at most 16777216 are sent").await;
}

#[tokio::test]
async fn what_is_not_granted_is_not_asked() {
    let server = Server::start(|_| OK.to_vec()).await;
    let reach = granted(&["https://api.example.com"], "");
    let url = server.url("/secret?key=secret");
    let says = format!(
        "add \"{}\" to http of [[grant]] package = \"acme\" (line 2) in ",
        server.url("")
    );
    check(&service(), &reach, get(&url), ErrorKind::Config, &says).await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn large_answers_are_refused() {
    let large = Server::start(|request| {
        let bytes = match request.split(' ').nth(1) {
            Some("/most") => MAX_HTTP_BODY_BYTES,
            _ => MAX_HTTP_BODY_BYTES + 1,
        };
        // Without a length, so that only counting helps.
        let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        answer.resize(answer.len() + bytes, b'x');
        answer
    })
    .await;
    let (service, all) = (service(), Reach::Everything);
    let most = fetch(&service, &all, &large.url("/most")).await.unwrap();
    assert_eq!(most.body.len(), MAX_HTTP_BODY_BYTES);
    let request = get(&large.url("/more"));
    check(
        &service,
        &all,
        request,
        ErrorKind::Fatal,
        "more than 16777216 bytes",
    )
    .await;
}

#[tokio::test]
async fn a_granted_name_does_not_lead_to_special_addresses() {
    let server = Server::start(|_| OK.to_vec()).await;
    let url = format!("http://api.example:{}", server.port);
    let closed = granted(&["http://other.example", &url], "");
    let opened = granted(&[&url], "addresses = [\"127.0.0.1\"]");
    for disguise in ["127.0.0.1", "::ffff:127.0.0.1"] {
        let service = resolving(&[&[disguise]]);
        let says = "127.0.0.1 is a loopback address, which is refused even where the host is granted; add \"127.0.0.1\" to \
                    addresses of [[grant]] package = \"acme\" (line 2) in ";
        check(&service, &closed, get(&url), ErrorKind::Config, says).await;
        assert_eq!(server.connections(), 0);
    }
    for special in ["::1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1"] {
        let service = resolving(&[&[special]]);
        check(&service, &opened, get(&url), ErrorKind::Config, special).await;
    }
    let both = resolving(&[&["169.254.169.254", "127.0.0.1"]]);
    assert_eq!(fetch(&both, &opened, &url).await.unwrap().status, 200);

    // Whoever may not connect finds no connection of those who may.
    let service = resolving(&[&["127.0.0.1"]]);
    assert_eq!(fetch(&service, &opened, &url).await.unwrap().status, 200);
    check(
        &service,
        &closed,
        get(&url),
        ErrorKind::Config,
        "is a loopback address",
    )
    .await;
    assert_eq!(fetch(&service, &opened, &url).await.unwrap().status, 200);
    assert_eq!(server.connections(), 2, "one of each service");
}

/// DNS rebinding: the name leads elsewhere as soon as it was looked at.
#[tokio::test]
async fn every_new_connection_is_checked() {
    let server =
        Server::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec())
            .await;
    let url = format!("http://api.example:{}", server.port);
    let reach = granted(&[&url], "addresses = [\"127.0.0.1\"]");
    let service = resolving(&[&["127.0.0.1"], &["169.254.169.254"]]);
    assert_eq!(fetch(&service, &reach, &url).await.unwrap().status, 200);
    let says = "169.254.169.254 is a link-local address";
    check(&service, &reach, get(&url), ErrorKind::Config, says).await;
}

#[tokio::test]
async fn addresses_in_urls_are_checked_too() {
    let server = Server::start(|_| OK.to_vec()).await;
    let (service, all) = (service(), granted(&["*"], ""));
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
    ] {
        let url = format!("http://{host}:{}/", server.port);
        check(
            &service,
            &all,
            get(&url),
            ErrorKind::Config,
            "is a loopback address",
        )
        .await;
    }
    assert_eq!(server.connections(), 0);
    let named = granted(&["*", &server.url("")], "");
    assert_eq!(
        fetch(&service, &named, &server.url("/")).await.unwrap().status,
        200
    );
    let localhost = format!("http://localhost:{}", server.port);
    let named = granted(&[&localhost], "");
    assert_eq!(fetch(&service, &named, &localhost).await.unwrap().status, 200);
}

fn requests(service: &Arc<HttpService>, reach: Reach) -> (Requests, Arc<Notify>) {
    let wake = Arc::new(Notify::new());
    let requests = Requests::new(Arc::clone(service), Arc::new(reach), Arc::clone(&wake));
    (requests, wake)
}

#[tokio::test]
async fn an_answer_wakes_and_is_taken_once() {
    let server = Server::start(|_| OK.to_vec()).await;
    let (requests, wake) = requests(&service(), Reach::Everything);
    let one = requests.begin(get(&server.url("/"))).unwrap();
    assert_eq!(requests.take(one), None, "nothing has run yet on this one thread");
    tokio::time::timeout(DEADLINE, wake.notified())
        .await
        .expect("woken");
    let response = requests.take(one).expect("it is there").unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(requests.take(one).unwrap().unwrap_err().kind, ErrorKind::Fatal);
    let two = requests.begin(get("http://127.0.0.1:1/")).unwrap();
    tokio::time::timeout(DEADLINE, wake.notified())
        .await
        .expect("woken");
    assert_eq!(
        requests.take(two).unwrap().unwrap_err().kind,
        ErrorKind::Retriable
    );
    assert_ne!(one, two);
}

#[tokio::test]
async fn what_is_refused_is_refused_at_once() {
    let (requests, _) = requests(&service(), granted(&["http://api.example"], ""));
    let error = requests.begin(get("http://other.example")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.message.contains("add \"http://other.example\" to http of"),
        "{error}"
    );
}

#[tokio::test]
async fn requests_are_bounded_and_end_with_their_task() {
    let mut server = Server::silent().await;
    let (requests, _) = requests(&service(), Reach::Everything);
    for _ in 0..MAX_HTTP_REQUESTS {
        requests.begin(get(&server.url("/"))).unwrap();
    }
    let error = requests.begin(get(&server.url("/"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(error.message.contains("16 requests are begun"), "{error}");
    for _ in 0..MAX_HTTP_REQUESTS {
        server.arrived().await;
    }
    requests.end();
    for _ in 0..MAX_HTTP_REQUESTS {
        server.gone().await;
    }
    let error = requests.begin(get(&server.url("/"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
}
