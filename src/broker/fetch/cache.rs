//! The fetch sessions of all clients: a bounded cache with Kafka's rules of who makes room for whom.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jackfield_env::Random;
use kafka_protocol::error::ResponseError;

use super::{
    Asked, FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION,
    find::{Finder, Found},
    request::{Place, Request, TopicKey, Wanted},
    session::{Seen, Session},
};
use crate::{Topics, topics::MAX_NAME_BYTES};

/// A session that was used within this time makes no room, nor does one that is younger.
const EVICTION_MS: i64 = 120_000;
/// Most partitions of all sessions together. Without a session a client asks for everything each time.
const PARTITIONS_MAX: usize = 500_000;

/// See the file's header.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    partitions_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<i32, Entry>,
    /// Of all sessions.
    partitions: usize,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<Session>>,
    partitions: usize,
    created_ms: i64,
    used_ms: i64,
}

/// What a request is part of.
#[derive(Debug)]
pub(super) enum Context {
    /// Nothing is remembered.
    Sessionless,
    /// All partitions are asked for, and a session may begin.
    Full,
    /// A session goes on; it has this epoch until its next request comes.
    Incremental(Arc<Mutex<Session>>, i32),
}

/// A session, and its epoch until its next request comes.
type InProgress = (Arc<Mutex<Session>>, i32);

pub(super) fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a topic is named as none can be: sessions are counted by partitions, and names have to be short for that.
fn has_impossible_name(request: &Request) -> bool {
    let is_impossible = |(place, _): &(Place, Wanted)| match &place.topic {
        TopicKey::Name(name) => name.len() > MAX_NAME_BYTES,
        TopicKey::Id(_) => false,
    };
    request.partitions.iter().any(is_impossible)
}

impl FetchSessions {
    /// Room for `slots` sessions.
    pub(crate) fn new(slots: usize) -> Self {
        Self::with_limits(slots, PARTITIONS_MAX)
    }

    pub(super) fn with_limits(slots: usize, partitions_max: usize) -> Self {
        Self {
            slots,
            partitions_max,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out what a request is part of, and which partitions it asks for.
    ///
    /// # Errors
    /// Its session does not exist, or expects another request.
    pub(super) fn begin(
        &self,
        topics: &Topics,
        request: &Request,
        by_id: bool,
        now_ms: i64,
    ) -> Result<(Context, Vec<Asked>), ResponseError> {
        let mut finder = Finder::new(topics);
        let mut all = |partitions: &[(Place, Wanted)]| {
            let ask = |(place, wanted): &(Place, Wanted)| {
                let mut found = Found::default();
                Asked {
                    place: place.clone(),
                    wanted: *wanted,
                    log: finder.log(place, &mut found),
                    found,
                }
            };
            partitions.iter().map(ask).collect()
        };
        if let INITIAL_EPOCH | FINAL_EPOCH = request.session_epoch {
            self.lock().remove(request.session_id);
            let context = if request.session_epoch == FINAL_EPOCH || has_impossible_name(request) {
                Context::Sessionless
            } else {
                Context::Full
            };
            return Ok((context, all(&request.partitions)));
        }
        if has_impossible_name(request) {
            // The client will ask for everything.
            self.lock().remove(request.session_id);
            return Err(ResponseError::FetchSessionIdNotFound);
        }
        let Some((session, epoch)) = self.proceed(request, by_id, now_ms)? else {
            return Ok((Context::Sessionless, all(&request.partitions)));
        };
        let asked = lock(&session).asked(&mut finder);
        Ok((Context::Incremental(session, epoch), asked))
    }

    /// The session of an incremental request, changed as the request says. `None` when it has no partitions left: it ends.
    fn proceed(
        &self,
        request: &Request,
        by_id: bool,
        now_ms: i64,
    ) -> Result<Option<InProgress>, ResponseError> {
        let mut state = self.lock();
        let entry = state.sessions.get(&request.session_id);
        let session = Arc::clone(&entry.ok_or(ResponseError::FetchSessionIdNotFound)?.session);
        let mut guard = lock(&session);
        if guard.epoch != request.session_epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if guard.by_id != by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        guard.update(&request.partitions, &request.forgotten);
        let partitions = guard.len();
        let others = state.without(request.session_id);
        if partitions == 0 {
            state.remove(request.session_id);
            return Ok(None);
        }
        if others + partitions > self.partitions_max {
            // The client will ask for everything.
            state.remove(request.session_id);
            return Err(ResponseError::FetchSessionIdNotFound);
        }
        state.touch(request.session_id, partitions, now_ms);
        guard.advance();
        let epoch = guard.epoch;
        drop(guard);
        Ok(Some((session, epoch)))
    }

    /// Begins a session with what was asked and answered. Its id, [`NO_SESSION`] where there is no room.
    pub(super) fn create(
        &self,
        random: &dyn Random,
        answered: impl ExactSizeIterator<Item = (Place, Wanted, Found, Seen)>,
        by_id: bool,
        now_ms: i64,
    ) -> i32 {
        let mut state = self.lock();
        let partitions = answered.len();
        if !state.make_room(self.slots, partitions, self.partitions_max, now_ms) {
            return NO_SESSION;
        }
        let id = state.new_id(random);
        let mut session = Session::new(id, by_id);
        for (place, wanted, found, seen) in answered {
            session.begin(&place, wanted, found, seen);
        }
        let partitions = session.len();
        state.partitions += partitions;
        let entry = Entry {
            session: Arc::new(Mutex::new(session)),
            partitions,
            created_ms: now_ms,
            used_ms: now_ms,
        };
        state.sessions.insert(id, entry);
        id
    }
}

impl State {
    fn remove(&mut self, id: i32) {
        if let Some(entry) = self.sessions.remove(&id) {
            self.partitions -= entry.partitions;
        }
    }

    /// Partitions of all sessions but one.
    fn without(&self, id: i32) -> usize {
        self.partitions - self.sessions.get(&id).map_or(0, |entry| entry.partitions)
    }

    fn touch(&mut self, id: i32, partitions: usize, now_ms: i64) {
        let others = self.without(id);
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.used_ms = now_ms;
            entry.partitions = partitions;
            self.partitions = others + partitions;
        }
    }

    /// Whether there is room for a new session with so many partitions, be it that of another, which ends.
    fn make_room(&mut self, slots: usize, partitions: usize, partitions_max: usize, now_ms: i64) -> bool {
        if self.sessions.len() < slots {
            return self.partitions + partitions <= partitions_max;
        }
        let Some(id) = self.least(partitions, now_ms) else {
            return false;
        };
        let has_room = self.without(id) + partitions <= partitions_max;
        if has_room {
            self.remove(id);
        }
        has_room
    }

    /// The session that ends in favour of a new one with so many partitions: the one that was not used for longest, when that
    /// is long enough, else the smallest of those that are old enough, when it is smaller than the new one.
    fn least(&self, partitions: usize, now_ms: i64) -> Option<i32> {
        let longest = self
            .sessions
            .iter()
            .min_by_key(|(id, entry)| (entry.used_ms, **id));
        let stale = longest.filter(|(_, entry)| now_ms - entry.used_ms > EVICTION_MS);
        let evicted = stale.or_else(|| {
            let old = |entry: &Entry| entry.used_ms - entry.created_ms > EVICTION_MS;
            let old = self.sessions.iter().filter(|(_, entry)| old(entry));
            let smallest = old.min_by_key(|(id, entry)| (entry.partitions, **id));
            smallest.filter(|(_, entry)| entry.partitions < partitions)
        });
        evicted.map(|(id, _)| *id)
    }

    /// Positive, and hard to guess: who knows it can disturb the session.
    fn new_id(&self, random: &dyn Random) -> i32 {
        loop {
            let mut bytes = [0; 4];
            random.fill(&mut bytes);
            let id = i32::from_be_bytes(bytes) & i32::MAX;
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
