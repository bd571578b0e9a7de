//! Offsets by timestamp.

use std::sync::Arc;

use jackfield_env::File;
use jackfield_protocol::records::{self, BATCH_HEADER_BYTES, BatchError, BatchHeader};

use crate::{
    FileSlice, ReadError,
    batches::{self, Check, WalkError},
    index::TimeEntry,
    partition_log::PartitionLog,
    place::{Place, Trouble, place},
    segment::Segment,
    state::State,
};

/// An offset found by timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct TimestampOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

/// Decompressing one batch for a timestamp lookup stops here.
const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

impl PartitionLog {
    /// First offset whose timestamp is at least `timestamp`; `None` when there is none below the high watermark. Records
    /// that are known to be lost are passed over.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, ReadError> {
        self.settled(|| self.try_offset_for_timestamp(timestamp))
    }

    /// The lock is held for one segment at a time: of many, few are looked into.
    fn try_offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, Trouble> {
        let mut before = i64::MIN;
        loop {
            let state = self.lock();
            let start = state.log_start_offset;
            self.check_range(&state, start).map_err(Trouble::Answer)?;
            let mut candidates = state.segments.iter().filter(|segment| {
                segment.base_offset > before
                    && segment.max_timestamp >= timestamp
                    && state.readable(segment) > 0
            });
            let Some(segment) = candidates.next() else {
                return Ok(None);
            };
            before = segment.base_offset;
            let near = segment.indexes.time_before(timestamp);
            let offset = near.map_or(segment.base_offset, |entry| entry.offset);
            let places: Result<Vec<_>, Trouble> = places_from(&state, segment, offset).collect();
            drop(state);
            for place in places? {
                let found = find_record(
                    &place,
                    near,
                    |header| header.max_timestamp >= timestamp,
                    |found| found.timestamp >= timestamp && found.offset >= start,
                )?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
    }

    /// The record with the largest timestamp, the first of several; `None` for an empty log.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        self.settled(|| self.try_offset_of_max_timestamp())
    }

    fn try_offset_of_max_timestamp(&self) -> Result<Option<TimestampOffset>, Trouble> {
        let state = self.lock();
        self.check_range(&state, state.log_start_offset)
            .map_err(Trouble::Answer)?;
        let best = state
            .segments
            .iter()
            .rev()
            .filter(|segment| state.readable(segment) > 0)
            .max_by_key(|s| s.max_timestamp);
        let Some(best) = best else { return Ok(None) };
        let timestamp = best.max_timestamp;
        let whole: Vec<Place> = places_from(&state, best, best.base_offset).collect::<Result<_, _>>()?;
        let near = place(&state, best, best.offset_of_max_timestamp, 0)?;
        let committed = best.offset_of_max_timestamp < state.committed.offset;
        drop(state);
        if committed {
            return find_record(
                &near,
                None,
                |header| header.max_timestamp == timestamp,
                |found| found.timestamp == timestamp,
            );
        }
        // The largest one is not acknowledged yet: the largest before it.
        let mut largest = -1;
        for place in &whole {
            walk(place, |_, header| {
                largest = largest.max(header.max_timestamp);
                true
            })
            .map_err(|error| place.trouble(error))?;
        }
        let found = whole.iter().map(|place| {
            let candidate = |header: &BatchHeader| header.max_timestamp == largest;
            find_record(place, None, candidate, |found| found.timestamp == largest)
        });
        found.into_iter().find_map(Result::transpose).transpose()
    }
}

/// A place from `offset` on, and one behind each damaged part.
fn places_from(
    state: &State,
    segment: &Segment,
    offset: i64,
) -> impl Iterator<Item = Result<Place, Trouble>> {
    let first = place(state, segment, offset, 0);
    std::iter::successors(Some(first), move |before| {
        let hole = before.as_ref().ok()?.damage.as_ref()?;
        Some(place(state, segment, hole.next_offset, 0))
    })
}

/// Walks over the batches of a place; those that nobody vouched for are verified.
fn walk(place: &Place, visit: impl FnMut(u64, &BatchHeader) -> bool) -> Result<(), WalkError> {
    if place.trusted {
        return batches::walk(&*place.file, place.from, place.limit, Check::Header, visit);
    }
    place.chain().walk(&*place.file, place.from..place.limit, visit)
}

/// First record accepted by `wanted`, in the batches accepted by `candidate`. The time index led here by entry `near`.
fn find_record(
    place: &Place,
    near: Option<TimeEntry>,
    candidate: impl Fn(&BatchHeader) -> bool,
    wanted: impl Fn(&TimestampOffset) -> bool,
) -> Result<Option<TimestampOffset>, Trouble> {
    let mut found = None;
    let mut fault = None;
    walk(place, |position, header| {
        let misled = near.is_some_and(|entry| {
            (header.base_offset..=header.last_offset()).contains(&entry.offset) && !entry.is_of(header)
        });
        if misled {
            let message = format!(
                "timestamp {} where the time index has another",
                header.max_timestamp
            );
            fault = Some(WalkError::at(position, message));
        } else if candidate(header) {
            match first_record(&place.file, position, header, &wanted) {
                Ok(record) => found = record,
                Err(error) => fault = Some(error),
            }
        }
        found.is_none() && fault.is_none()
    })
    .map_err(|error| place.trouble(error))?;
    match (found, fault) {
        (None, Some(error)) => Err(place.trouble(error)),
        _ => Ok(found),
    }
}

/// First record of the batch at `position` that is wanted.
fn first_record(
    file: &Arc<dyn File>,
    position: u64,
    header: &BatchHeader,
    wanted: impl Fn(&TimestampOffset) -> bool,
) -> Result<Option<TimestampOffset>, WalkError> {
    debug_assert!(header.size_bytes() >= BATCH_HEADER_BYTES, "walk checked it");
    let slice = FileSlice {
        file: Arc::clone(file),
        position,
        len: header.size_bytes(),
    };
    let bad = |error: BatchError| WalkError::at(position, error.to_string());
    let data = slice.read().map_err(|error| WalkError::unread(position, error))?;
    records::verify(&data).map_err(bad)?;
    let mut found = None;
    records::for_each::<BatchError>(&data, MAX_DECOMPRESSED_BYTES, |record| {
        let at = TimestampOffset {
            timestamp: record.timestamp,
            offset: record.offset,
            leader_epoch: header.partition_leader_epoch,
        };
        if found.is_none() && wanted(&at) {
            found = Some(at);
        }
        Ok(())
    })
    .map_err(bad)?;
    Ok(found)
}
