//! Reading: where the batches of an offset lie. Record bytes are not touched here, but for verifying them once.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_env::File;

use crate::{
    ReadError,
    batches::{self, Check, WalkError},
    partition_log::PartitionLog,
    place::{Place, Trouble, place},
    state::ReadHint,
    verified::Verified,
};

/// Where fetched record bytes lie: a range of a segment file, read or sent without decoding. The file stays
/// readable while this is held, also after the segment was deleted.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// Segment file.
    pub file: Arc<dyn File>,
    /// First byte.
    pub position: u64,
    /// Number of bytes; whole batches.
    pub len: usize,
}

impl FileSlice {
    /// Reads the bytes.
    ///
    /// # Errors
    /// The file system's, and "unexpected end of file" when the file is shorter than the log believes.
    pub fn read(&self) -> std::io::Result<Bytes> {
        let mut out = vec![0; self.len];
        let mut filled = 0;
        while filled < out.len() {
            let read = self
                .file
                .read_at(&mut out[filled..], self.position + filled as u64)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
        }
        Ok(Bytes::from(out))
    }
}

/// Result of a read: batches that start at the one containing the asked offset, all below the high watermark.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct Fetched {
    /// `None` when nothing is there yet.
    pub slice: Option<FileSlice>,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
}

/// Which bytes to return, and where the next read goes on.
struct Found {
    start: u64,
    end: u64,
    next_offset: Option<i64>,
}

impl PartitionLog {
    /// Finds whole batches from the one containing `offset` on, at most `max_bytes` (at least one batch when `min_one`),
    /// below the high watermark.
    ///
    /// # Errors
    /// [`ReadError`]: outside the log, the directory is offline, or the segment is damaged at that place.
    pub fn read(&self, offset: i64, max_bytes: usize, min_one: bool) -> Result<Fetched, ReadError> {
        self.settled(|| self.try_read(offset, max_bytes, min_one, true))
    }

    /// As [`PartitionLog::read`] of what need not be verified any more; `None` when [`PartitionLog::read`] would read the
    /// records to verify them, which may take long.
    pub fn read_verified(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one: bool,
    ) -> Option<Result<Fetched, ReadError>> {
        match self.try_read(offset, max_bytes, min_one, false) {
            Ok(fetched) => Some(Ok(fetched)),
            Err(Trouble::Answer(error)) => Some(Err(error)),
            Err(Trouble::Suspect { .. }) => None,
        }
    }

    fn try_read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one: bool,
        may_verify: bool,
    ) -> Result<Fetched, Trouble> {
        let state = self.lock();
        self.check_range(&state, offset).map_err(Trouble::Answer)?;
        let mut fetched = Fetched {
            slice: None,
            high_watermark: state.committed.offset,
            last_stable_offset: state.committed.offset,
            log_start_offset: state.log_start_offset,
        };
        if offset >= state.committed.offset {
            return Ok(fetched);
        }
        let first = state.segment_of(offset);
        let places: Result<Vec<Place>, Trouble> = state.segments[first..]
            .iter()
            .filter(|segment| state.readable(segment) > 0 || !segment.holes.is_empty())
            .take(2)
            .map(|segment| place(&state, segment, offset, max_bytes))
            .collect();
        let places = places?;
        if let Some(place) = places.first().filter(|_| !may_verify) {
            place.check_verified(&state, max_bytes)?;
        }
        drop(state);
        for place in places {
            let found = locate(&place, offset, max_bytes, min_one).map_err(|error| place.trouble(error))?;
            let Some(found) = found else {
                match &place.damage {
                    Some(hole) => return Err(place.lost(hole)),
                    None => continue,
                }
            };
            self.vouch(&place, &found, may_verify)?;
            if found.end > found.start {
                let len = usize::try_from(found.end - found.start).unwrap_or(usize::MAX);
                fetched.slice = Some(FileSlice {
                    file: place.file,
                    position: found.start,
                    len,
                });
            }
            break;
        }
        Ok(fetched)
    }

    /// Verifies what was found unless that was done before, and remembers where its reader goes on.
    fn vouch(&self, place: &Place, found: &Found, may_verify: bool) -> Result<(), Trouble> {
        let range = place.from..found.end;
        let mut state = self.lock();
        let covered = |verified: &mut Verified| verified.covers(&range);
        if !place.trusted && !state.verified(place.segment).is_some_and(covered) {
            drop(state);
            if !may_verify {
                return Err(place.unverified());
            }
            let end_offset = place.limit_offset;
            place
                .chain()
                .verify(&*place.file, range.clone(), place.limit, end_offset)
                .map_err(|error| place.trouble(error))?;
            state = self.lock();
            if let Some(verified) = state.verified(place.segment) {
                verified.add(range);
            }
        }
        if let Some(next_offset) = found.next_offset {
            state.remember(ReadHint {
                offset: next_offset,
                segment: place.segment,
                position: found.end,
            });
        }
        Ok(())
    }
}

fn misfit<T>(position: u64, message: String) -> Result<T, WalkError> {
    Err(WalkError { position, message })
}

/// Finds the bytes to return in one segment; `None` when the offset lies behind its last batch. Reads headers only where
/// neither a reader's hint nor the index nor the end of the log tells a batch boundary.
fn locate(place: &Place, offset: i64, max_bytes: usize, min_one: bool) -> Result<Option<Found>, WalkError> {
    let Some(start) = find_start(place, offset)? else {
        return Ok(None);
    };
    if place.limit.saturating_sub(start) <= max_bytes as u64 {
        return Ok(Some(Found {
            start,
            end: place.limit,
            next_offset: place.limit_offset,
        }));
    }
    find_end(place, start, max_bytes, min_one).map(Some)
}

/// Position of the batch that holds `offset`, or of the first behind it.
fn find_start(place: &Place, offset: i64) -> Result<Option<u64>, WalkError> {
    if place.exact {
        return Ok(Some(place.from).filter(|from| *from < place.limit));
    }
    let mut start = None;
    let file = &*place.file;
    batches::walk(
        file,
        place.from,
        place.limit,
        Check::Header,
        |position, header| {
            if header.last_offset() >= offset {
                start = Some((position, header.base_offset));
            }
            start.is_none()
        },
    )?;
    match start {
        Some((position, base)) if base > offset && !place.trusted => misfit(
            position,
            format!("base offset {base} where one up to {offset} is expected"),
        ),
        _ => Ok(start.map(|(position, _)| position)),
    }
}

/// End of the batches from `start` on that fit into `max_bytes`.
fn find_end(place: &Place, start: u64, max_bytes: usize, min_one: bool) -> Result<Found, WalkError> {
    let jump = place.jump.filter(|entry| entry.position > start);
    let mut end = jump.map_or(start, |entry| entry.position);
    let mut next_offset = None;
    let mut misled = None;
    let mut indexed = jump.map(|entry| entry.offset);
    batches::walk(
        &*place.file,
        end,
        place.limit,
        Check::Header,
        |position, header| {
            if let Some(last) = indexed.take().filter(|last| *last != header.last_offset()) {
                misled = Some((position, last));
                return false;
            }
            let batch_end = position + header.size_bytes() as u64;
            let fits = batch_end - start <= max_bytes as u64;
            if fits || (min_one && position == start) {
                end = batch_end;
                next_offset = Some(header.last_offset() + 1);
            }
            fits
        },
    )?;
    match misled {
        Some((position, last)) => misfit(
            position,
            format!("the index has a batch with last offset {last} here"),
        ),
        None => Ok(Found {
            start,
            end,
            next_offset,
        }),
    }
}
