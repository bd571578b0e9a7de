//! HTTP servers that say what a test wants, byte by byte.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use jackfield_tasks::TaskGroup;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::DEADLINE;

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK";

/// A server on a free port of this machine.
pub(super) struct Server {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    events: mpsc::Receiver<Event>,
}

#[derive(Debug, PartialEq)]
enum Event {
    Arrived,
    Gone,
}

impl Server {
    /// Answers every request with what `answer` makes of it.
    pub(super) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::with(move |request| Some(answer(request))).await
    }

    /// Reads requests and never answers.
    pub(super) async fn silent() -> Self {
        Self::with(|_| None).await
    }

    async fn with(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (events, receiver) = mpsc::channel(100);
        let server = Self {
            port,
            connections: Arc::default(),
            requests: Arc::default(),
            events: receiver,
        };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        let answer = Arc::new(answer);
        let group = TaskGroup::new("server");
        let inner = group.clone();
        group.spawn("accept", async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                let (answer, requests, events) = (Arc::clone(&answer), Arc::clone(&requests), events.clone());
                inner.spawn("connection", async move {
                    while let Some(request) = read_request(&mut stream).await {
                        requests.lock().unwrap().push(request.clone());
                        events.send(Event::Arrived).await.ok();
                        let Some(answer) = answer(&request) else { continue };
                        let close = answer.windows(17).any(|part| part == b"connection: close");
                        stream.write_all(&answer).await.ok();
                        if close {
                            break;
                        }
                    }
                    stream.shutdown().await.ok();
                    events.send(Event::Gone).await.ok();
                });
            }
        });
        server
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits for the next request.
    pub(super) async fn arrived(&mut self) {
        self.event(Event::Arrived).await;
    }

    /// Waits for a client to go away.
    pub(super) async fn gone(&mut self) {
        self.event(Event::Gone).await;
    }

    async fn event(&mut self, wanted: Event) {
        let event = tokio::time::timeout(DEADLINE, self.events.recv()).await;
        assert_eq!(event.expect("something happens"), Some(wanted));
    }
}

/// A whole request with its body; `None` = the client is gone.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text.into_owned());
        }
    }
}
