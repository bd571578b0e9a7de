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
        self.ask(place, wanted, found);
        let has_records = false;
        self.tell(place, Seen { has_records, ..seen });
    }

    fn ask(&mut self, place: &Place, wanted: Wanted, found: Found) {
        let known = self.places.get(place).and_then(|turn| self.turns.get_mut(turn));
        if let Some(cached) = known {
            cached.wanted = wanted;
            return;
        }
        self.append(Cached {
            place: place.clone(),
            wanted,
            found,
            high_watermark: -1,
            log_start_offset: -1,
        });
    }

    fn append(&mut self, cached: Cached) {
        self.places.insert(cached.place.clone(), self.next_turn);
        self.turns.insert(self.next_turn, cached);
        self.next_turn += 1;
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

    /// Takes note of a partition's answer. Returns whether it must be sent: it has records, or is not what was told last.
    pub(super) fn tell(&mut self, place: &Place, seen: Seen) -> bool {
        let Some(turn) = self.places.get(place).copied() else {
            return false;
        };
        let Some(cached) = self.turns.get_mut(&turn) else {
            return false;
        };
        let is_new =
            cached.high_watermark != seen.high_watermark || cached.log_start_offset != seen.log_start_offset;
        // When an error is over, that is told.
        cached.high_watermark = if seen.is_refused { -1 } else { seen.high_watermark };
        cached.log_start_offset = seen.log_start_offset;
        if seen.has_records
            && let Some(cached) = self.turns.remove(&turn)
        {
            self.append(cached);
        }
        is_new || seen.has_records || seen.is_refused
    }
}

#[cfg(test)]
mod tests;
