//! One fetch session (KIP-227): what a client asked for and was told, so that requests and answers name changes only.

use std::collections::{BTreeMap, HashMap};

use super::{
    Asked, INITIAL_EPOCH,
    find::{Finder, Found},
    request::{Place, Wanted},
};

/// What of an answer decides whether the client must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) high_watermark: i64,
    pub(super) log_start_offset: i64,
    pub(super) has_records: bool,
    /// An error, or that the client's log diverges.
    pub(super) is_refused: bool,
}

/// A partition of a session.
#[derive(Debug)]
struct Cached {
    place: Place,
    wanted: Wanted,
    found: Found,
    /// What the client was told last; -1 where it was not.
    high_watermark: i64,
    log_start_offset: i64,
}

/// See the file's header.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: i32,
    /// The epoch that the next request must name.
    pub(super) epoch: i32,
    /// Whether it began with topic ids.
    pub(super) by_id: bool,
    /// Partitions in the order they are read; who was given records goes to the end.
    turns: BTreeMap<u64, Cached>,
    places: HashMap<Place, u64>,
    next_turn: u64,
}

/// The epoch after `epoch`; after the last one the first that is not the initial one.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(INITIAL_EPOCH + 1)
}

impl Session {
    /// A session without partitions, whose first request was answered.
    pub(super) fn new(id: i32, by_id: bool) -> Self {
        Self {
            id,
            epoch: next_epoch(INITIAL_EPOCH),
            by_id,
            turns: BTreeMap::new(),
            places: HashMap::new(),
            next_turn: 0,
        }
    }

    /// How many partitions it has.
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// Adds partitions or changes what is wanted of them, and forgets others.
    pub(super) fn update(&mut self, partitions: &[(Place, Wanted)], forgotten: &[Place]) {
        for (place, wanted) in partitions {
            self.ask(place, *wanted, Found::default());
        }
        for place in forgotten {
            if let Some(turn) = self.places.remove(place) {
                self.turns.remove(&turn);
            }
        }
    }

    /// Adds a partition whose first answer is known; whose turn it is does not change yet.
    pub(super) fn begin(&mut self, place: &Place, wanted: Wanted, found: Found, seen: Seen) {
        if let Some(cached) = self.ask(place, wanted, found) {
            cached.tell(seen);
        }
    }

    /// Adds a partition, or changes what is wanted of it.
    fn ask(&mut self, place: &Place, wanted: Wanted, found: Found) -> Option<&mut Cached> {
        let known = self.places.get(place).copied();
        let turn = known.unwrap_or_else(|| {
            self.append(Cached {
                place: place.clone(),
                wanted,
                found,
                high_watermark: -1,
                log_start_offset: -1,
            })
        });
        let cached = self.turns.get_mut(&turn)?;
        cached.wanted = wanted;
        Some(cached)
    }

    /// Gives a partition the last turn.
    fn append(&mut self, cached: Cached) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.places.insert(cached.place.clone(), turn);
        self.turns.insert(turn, cached);
        turn
    }

    /// Begins the next request.
    pub(super) fn advance(&mut self) {
        self.epoch = next_epoch(self.epoch);
    }

    /// All partitions, in the order they are to be read.
    pub(super) fn asked(&mut self, finder: &mut Finder<'_>) -> Vec<Asked> {
        let ask = |cached: &mut Cached| Asked {
            place: cached.place.clone(),
            wanted: cached.wanted,
            found: Found::default(),
            log: finder.log(&cached.place, &mut cached.found),
        };
        self.turns.values_mut().map(ask).collect()
    }

    /// Takes note of the answers, in the order of [`Session::asked`]. Returns which of them must be sent. Who is given
    /// records waits for the others from now on.
    pub(super) fn tell_all(&mut self, seen: impl Iterator<Item = Seen>) -> Vec<bool> {
        let mut given = Vec::new();
        let tell = |((turn, cached), seen): ((&u64, &mut Cached), Seen)| {
            if seen.has_records {
                given.push(*turn);
            }
            cached.tell(seen)
        };
        let is_sent = self.turns.iter_mut().zip(seen).map(tell).collect();
        for turn in given {
            if let Some(cached) = self.turns.remove(&turn) {
                self.append(cached);
            }
        }
        is_sent
    }
}

impl Cached {
    /// Takes note of the answer. Returns whether it must be sent: it has records, or is not what was told last.
    fn tell(&mut self, seen: Seen) -> bool {
        let is_new =
            self.high_watermark != seen.high_watermark || self.log_start_offset != seen.log_start_offset;
        // When an error is over, that is told.
        self.high_watermark = if seen.is_refused { -1 } else { seen.high_watermark };
        self.log_start_offset = seen.log_start_offset;
        is_new || seen.has_records || seen.is_refused
    }
}

#[cfg(test)]
mod tests;
