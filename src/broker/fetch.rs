//! Fetch, versions 4 to 18: long poll, with sessions (KIP-227). Record bytes go from their files to the socket.

mod cache;
mod find;
mod read;
mod request;
mod response;
mod session;

use std::sync::Arc;

use jackfield_log::PartitionLog;
use kafka_protocol::error::ResponseError;
use tokio::{sync::Notify, time::Instant};

use self::{
    cache::Context,
    find::Found,
    read::Answer,
    request::{Place, Wanted},
    response::{Head, Node},
};
use crate::{
    broker::Core,
    connection::Response,
    dispatch::{Client, Refused},
};

pub(crate) use cache::FetchSessions;

const START_OFFSET_VERSION: i16 = 5;
const SESSION_VERSION: i16 = 7;
const LEADER_EPOCH_VERSION: i16 = 9;
const RACK_VERSION: i16 = 11;
const LAST_EPOCH_VERSION: i16 = 12;
const TOPIC_ID_VERSION: i16 = 13;
const REPLICA_STATE_VERSION: i16 = 15;
const NODE_ENDPOINTS_VERSION: i16 = 16;

/// No session has this id.
const NO_SESSION: i32 = 0;
/// A request with this epoch begins a session.
const INITIAL_EPOCH: i32 = 0;
/// A request with this epoch ends its session and begins none.
const FINAL_EPOCH: i32 = -1;

/// A partition of a request, named in it or in its session.
#[derive(Debug)]
struct Asked {
    place: Place,
    wanted: Wanted,
    /// What a session that begins remembers of the search.
    found: Found,
    /// Its log, or that there is none.
    log: Result<Arc<PartitionLog>, ResponseError>,
}

/// Handles the request; waits for `min_bytes` at most `max_wait`.
///
/// # Errors
/// [`Refused`] when the request is malformed.
pub(crate) async fn handle(
    client: &Client,
    version: i16,
    flexible: bool,
    body: &[u8],
) -> Result<Response, Refused> {
    let core = &client.core;
    let request = request::parse(version, flexible, body, core.config.limits.fetch_max_bytes)?;
    let by_id = version >= TOPIC_ID_VERSION;
    let (host, port) = core.advertised(client.local);
    let node = Node {
        id: core.config.node_id,
        host,
        port,
        rack: core.config.rack(),
    };
    let begun = core
        .fetch_sessions
        .begin(&core.topics, &request, by_id, core.env.clock.now_ms());
    let (context, asked) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let head = Head {
                code: error.code(),
                session_id: NO_SESSION,
            };
            return Ok(response::encode(head, &[], &node, version, flexible));
        }
    };
    let mut deadline = Instant::now() + request.max_wait;
    let stopping = core.stopping();
    loop {
        let waiter = Arc::new(Notify::new());
        let is_last = Instant::now() >= deadline;
        if !is_last {
            // Registered before reading, so that nothing that comes in between is missed.
            for log in asked.iter().filter_map(|asked| asked.log.as_ref().ok()) {
                log.notify_on_advance(&waiter);
            }
        }
        let (answers, bytes, is_due) = read::read_all(&asked, request.max_bytes);
        if bytes >= request.min_bytes || is_due || is_last {
            let (head, answers) = finish(core, &context, asked, answers, by_id);
            return Ok(response::encode(head, &answers, &node, version, flexible));
        }
        tokio::select! {
            () = waiter.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
            // A broker that stops answers with what there is.
            () = stopping.cancelled() => deadline = Instant::now(),
        }
    }
}

/// What is sent: everything, or what the session's client does not know yet.
fn finish(
    core: &Core,
    context: &Context,
    mut asked: Vec<Asked>,
    answers: Vec<Answer>,
    by_id: bool,
) -> (Head, Vec<(Place, Answer)>) {
    let head = |code: i16, session_id: i32| Head { code, session_id };
    let (head, session) = match context {
        Context::Sessionless => (head(0, NO_SESSION), None),
        Context::Full => {
            let answered = asked.iter_mut().zip(&answers).map(|(asked, answer)| {
                let found = std::mem::take(&mut asked.found);
                (asked.place.clone(), asked.wanted, found, answer.seen())
            });
            let now_ms = core.env.clock.now_ms();
            let id = core
                .fetch_sessions
                .create(&*core.env.random, answered, by_id, now_ms);
            (head(0, id), None)
        }
        Context::Incremental(session, epoch) => {
            let session = cache::lock(session);
            if session.epoch != *epoch {
                // Another request of the session was faster.
                let code = ResponseError::InvalidFetchSessionEpoch.code();
                return (head(code, session.id), Vec::new());
            }
            (head(0, session.id), Some(session))
        }
    };
    let is_sent = session.map(|mut session| session.tell_all(answers.iter().map(Answer::seen)));
    let answered = asked.into_iter().map(|asked| asked.place).zip(answers);
    let answers = match is_sent {
        None => answered.collect(),
        Some(is_sent) => answered
            .zip(is_sent)
            .filter_map(|(answered, is_sent)| is_sent.then_some(answered))
            .collect(),
    };
    (head, answers)
}
