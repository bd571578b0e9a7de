//! The other side of a connector that speaks HTTP: it answers what a scenario says, keeps what it is sent, and is slow or
//! fails when a check wants it so.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{Method, StatusCode, Uri},
};
use jackfield_tasks::TaskGroup;
use tokio::net::TcpListener;

/// What packages are granted: whatever they ask for, on this machine.
pub(crate) const POLICY: &str = r#"[[grant]]
package = "*"
http = ["*"]
clock = true
addresses = ["127.0.0.0/8"]
"#;

/// Bodies beyond this are refused.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const SHUTDOWN: Duration = Duration::from_secs(2);

/// The server. Each check has a path of its own.
#[derive(Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    shared: Arc<Mutex<BTreeMap<String, Place>>>,
    next: AtomicUsize,
    group: TaskGroup,
}

/// What one check wants and got.
#[derive(Debug, Default)]
struct Place {
    answers: BTreeMap<String, String>,
    behaviour: Behaviour,
    received: Vec<u8>,
}

/// How the peer answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// Time before each answer.
    pub(crate) delay: Duration,
    /// So many requests are answered with 503 first.
    pub(crate) refused: usize,
}

type Shared = Arc<Mutex<BTreeMap<String, Place>>>;

impl Peer {
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Shared::default();
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(&shared));
        let group = TaskGroup::new("kit");
        let cancelled = group.cancelled();
        group.spawn("peer", async move {
            let serving = axum::serve(listener, router);
            tokio::select! {
                _ = async { serving.await } => {}
                () = cancelled.cancelled() => {}
            }
        });
        Ok(Self {
            address,
            shared,
            next: AtomicUsize::new(0),
            group,
        })
    }

    /// A place of one check: its URL.
    pub(crate) fn place(&self, answers: &BTreeMap<String, String>) -> String {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let place = Place {
            answers: answers.clone(),
            ..Place::default()
        };
        lock(&self.shared).insert(name.clone(), place);
        format!("http://{}/{name}", self.address)
    }

    /// How the place at this URL answers from now on.
    pub(crate) fn behave(&self, url: &str, behaviour: Behaviour) {
        if let Some(place) = lock(&self.shared).get_mut(name_of(url)) {
            place.behaviour = behaviour;
        }
    }

    /// All bodies the place at this URL accepted, one after the other.
    pub(crate) fn received(&self, url: &str) -> Vec<u8> {
        let shared = lock(&self.shared);
        shared
            .get(name_of(url))
            .map(|place| place.received.clone())
            .unwrap_or_default()
    }

    pub(crate) async fn stop(self) {
        self.group.shutdown(SHUTDOWN).await;
    }
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn lock(shared: &Shared) -> MutexGuard<'_, BTreeMap<String, Place>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, String) {
    let path = uri.path().trim_start_matches('/');
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let Some(Behaviour { delay, .. }) = lock(&shared).get(name).map(|place| place.behaviour) else {
        return (StatusCode::NOT_FOUND, String::new());
    };
    tokio::time::sleep(delay).await;
    let mut shared = lock(&shared);
    let Some(place) = shared.get_mut(name) else {
        return (StatusCode::NOT_FOUND, String::new());
    };
    if place.behaviour.refused > 0 {
        place.behaviour.refused -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, "try again".to_owned());
    }
    if method == Method::GET {
        let path = format!("/{rest}");
        let whole = uri.query().map(|query| format!("{path}?{query}"));
        let whole = whole.and_then(|whole| place.answers.get(&whole));
        let answer = whole.or_else(|| place.answers.get(&path));
        return answer.map_or_else(
            || (StatusCode::NOT_FOUND, String::new()),
            |answer| (StatusCode::OK, answer.clone()),
        );
    }
    place.received.extend_from_slice(&body);
    place.received.push(b'\n');
    (StatusCode::OK, String::new())
}
