//! Reading: where the batches of an offset lie, and offsets by timestamp. Record bytes are not touched here.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_env::File;
use jackfield_protocol::records::{self, BATCH_HEADER_BYTES, BatchError, BatchHeader};

use crate::{
    ReadError,
    partition_log::PartitionLog,
    segment::{self, Check, WalkError},
    state::{ReadHint, State},
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

/// What is needed of a segment to read it without the log's lock.
struct Place {
    file: Arc<dyn File>,
    segment: i64,
    /// Start of a batch at or before the wanted one.
    from: u64,
    /// Whether `from` is the wanted batch itself.
    exact: bool,
    /// Start of a batch not far before the end of the wanted bytes.
    jump: u64,
    /// End of the readable bytes.
    limit: u64,
    /// Offset behind `limit`, when it is the end of the readable part.
    limit_offset: Option<i64>,
    /// The batches behind `limit` are damaged.
    damage: Option<WalkError>,
}

/// Which bytes to return, and where the next read goes on.
struct Found {
    start: u64,
    end: u64,
    next_offset: Option<i64>,
}

impl PartitionLog {
    fn damaged(&self, file: &dyn File, error: &WalkError) -> ReadError {
        let path = file.path().display();
        tracing::error!(file = %path, position = error.position, error = %error.message, "segment is damaged; run kafka-dump-log on it, and restore it from a copy");
        ReadError::Damaged(format!("{path} at byte {}: {}", error.position, error.message))
    }

    fn check_range(&self, state: &State, offset: i64) -> Result<(), ReadError> {
        if let Some(reason) = self.offline() {
            return Err(ReadError::Storage(reason));
        }
        if offset < state.log_start_offset || offset > state.log_end_offset || state.deleted {
            return Err(ReadError::OutOfRange {
                offset,
                start: state.log_start_offset,
                end: state.log_end_offset,
            });
        }
        Ok(())
    }

    /// Finds whole batches from the one containing `offset` on, at most `max_bytes` (at least one batch when `min_one`),
    /// below the high watermark.
    ///
    /// # Errors
    /// [`ReadError`]: outside the log, the directory is offline, or the segment is damaged at that place.
    pub fn read(&self, offset: i64, max_bytes: usize, min_one: bool) -> Result<Fetched, ReadError> {
        let state = self.lock();
        self.check_range(&state, offset)?;
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
        let places: Result<Vec<Place>, ReadError> = state.segments[first..]
            .iter()
            .filter(|segment| state.readable(segment) > 0)
            .take(2)
            .map(|segment| place(&state, segment, offset, max_bytes))
            .collect();
        let places = places?;
        drop(state);
        for place in places {
            let found = locate(&place, offset, max_bytes, min_one)
                .map_err(|error| self.damaged(&*place.file, &error))?;
            let Some(found) = found else {
                match &place.damage {
                    Some(damage) => return Err(self.damaged(&*place.file, damage)),
                    None => continue,
                }
            };
            if let Some(next_offset) = found.next_offset {
                self.lock().remember(ReadHint {
                    offset: next_offset,
                    segment: place.segment,
                    position: found.end,
                });
            }
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

    /// First offset whose timestamp is at least `timestamp`; `None` when there is none below the high watermark.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, ReadError> {
        let state = self.lock();
        self.check_range(&state, state.log_start_offset)?;
        let places: Result<Vec<Place>, ReadError> = state
            .segments
            .iter()
            .filter(|segment| segment.max_timestamp >= timestamp && state.readable(segment) > 0)
            .map(|segment| {
                let near = segment.indexes.time_before(timestamp);
                place(
                    &state,
                    segment,
                    near.map_or(segment.base_offset, |entry| entry.offset),
                    0,
                )
            })
            .collect();
        let places = places?;
        let start = state.log_start_offset;
        drop(state);
        for place in places {
            let found = self.find_record(
                &place,
                |header| header.max_timestamp >= timestamp,
                |found| found.timestamp >= timestamp && found.offset >= start,
            )?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp, the first of several; `None` for an empty log.
    ///
    /// # Errors
    /// As [`PartitionLog::read`].
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let state = self.lock();
        self.check_range(&state, state.log_start_offset)?;
        let best = state
            .segments
            .iter()
            .rev()
            .filter(|segment| state.readable(segment) > 0)
            .max_by_key(|s| s.max_timestamp);
        let Some(best) = best else { return Ok(None) };
        let timestamp = best.max_timestamp;
        let whole = place(&state, best, best.base_offset, 0)?;
        let near = place(&state, best, best.offset_of_max_timestamp, 0)?;
        let committed = best.offset_of_max_timestamp < state.committed.offset;
        drop(state);
        if committed {
            return self.find_record(
                &near,
                |header| header.max_timestamp == timestamp,
                |found| found.timestamp == timestamp,
            );
        }
        // The largest one is not acknowledged yet: the largest before it.
        let mut largest = -1;
        segment::walk(
            &*whole.file,
            whole.from,
            whole.limit,
            Check::Header,
            |_, header| {
                largest = largest.max(header.max_timestamp);
                true
            },
        )
        .map_err(|error| self.damaged(&*whole.file, &error))?;
        self.find_record(
            &whole,
            |header| header.max_timestamp == largest,
            |found| found.timestamp == largest,
        )
    }

    /// First record accepted by `wanted`, in the batches accepted by `candidate`.
    fn find_record(
        &self,
        place: &Place,
        candidate: impl Fn(&BatchHeader) -> bool,
        wanted: impl Fn(&TimestampOffset) -> bool,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let mut found = None;
        let mut fault = None;
        segment::walk(
            &*place.file,
            place.from,
            place.limit,
            Check::Header,
            |position, header| {
                if !candidate(header) {
                    return true;
                }
                match first_record(&place.file, position, header, &wanted) {
                    Ok(record) => found = record,
                    Err(message) => fault = Some(WalkError { position, message }),
                }
                found.is_none() && fault.is_none()
            },
        )
        .map_err(|error| self.damaged(&*place.file, &error))?;
        match fault.as_ref().or(place.damage.as_ref()) {
            Some(error) if found.is_none() => Err(self.damaged(&*place.file, error)),
            _ => Ok(found),
        }
    }
}

fn place(
    state: &State,
    segment: &segment::Segment,
    offset: i64,
    max_bytes: usize,
) -> Result<Place, ReadError> {
    // Whoever has the place can read the file, also when it is deleted meanwhile.
    segment.file.ready().map_err(|error| {
        let path = segment.file.path().display();
        ReadError::Storage(format!("{path} cannot be opened: {error}"))
    })?;
    let hint = state
        .hints
        .iter()
        .find(|hint| hint.offset == offset && hint.segment == segment.base_offset);
    let mut from = hint.map_or_else(
        || segment.indexes.position_before(offset - 1),
        |hint| hint.position,
    );
    let mut limit = state.readable(segment);
    let mut damage = None;
    for hole in &segment.holes {
        if offset >= hole.next_offset {
            from = from.max(hole.end);
        } else if hole.start < limit {
            limit = hole.start;
            damage = Some(WalkError {
                position: hole.start,
                message: format!("no batch can be read before offset {}", hole.next_offset),
            });
        }
    }
    let behind = state
        .segments
        .partition_point(|other| other.base_offset <= segment.base_offset);
    let limit_offset = match state.segments.get(behind) {
        Some(next) if segment.base_offset != state.committed.segment => next.base_offset,
        _ => state.committed.offset,
    };
    Ok(Place {
        file: Arc::clone(&segment.file),
        segment: segment.base_offset,
        from,
        exact: hint.is_some(),
        jump: segment.indexes.batch_start_before(from + max_bytes as u64),
        limit,
        limit_offset: damage.is_none().then_some(limit_offset),
        damage,
    })
}

/// Finds the bytes to return in one segment; `None` when the offset lies behind its last batch. Reads headers only where
/// neither a reader's hint nor the index nor the end of the log tells a batch boundary.
fn locate(place: &Place, offset: i64, max_bytes: usize, min_one: bool) -> Result<Option<Found>, WalkError> {
    let mut start = place
        .exact
        .then_some(place.from)
        .filter(|from| *from < place.limit);
    if start.is_none() {
        segment::walk(
            &*place.file,
            place.from,
            place.limit,
            Check::Header,
            |position, header| {
                if header.last_offset() >= offset {
                    start = Some(position);
                }
                start.is_none()
            },
        )?;
    }
    let Some(start) = start else { return Ok(None) };
    if place.limit.saturating_sub(start) <= max_bytes as u64 {
        return Ok(Some(Found {
            start,
            end: place.limit,
            next_offset: place.limit_offset,
        }));
    }
    let mut end = start.max(place.jump);
    let mut next_offset = None;
    segment::walk(
        &*place.file,
        end,
        place.limit,
        Check::Header,
        |position, header| {
            let batch_end = position + header.size_bytes() as u64;
            let fits = batch_end - start <= max_bytes as u64;
            if fits || (min_one && position == start) {
                end = batch_end;
                next_offset = Some(header.last_offset() + 1);
            }
            fits
        },
    )?;
    Ok(Some(Found {
        start,
        end,
        next_offset,
    }))
}

/// First record of the batch at `position` that is wanted.
fn first_record(
    file: &Arc<dyn File>,
    position: u64,
    header: &BatchHeader,
    wanted: impl Fn(&TimestampOffset) -> bool,
) -> Result<Option<TimestampOffset>, String> {
    debug_assert!(header.size_bytes() >= BATCH_HEADER_BYTES, "walk checked it");
    let slice = FileSlice {
        file: Arc::clone(file),
        position,
        len: header.size_bytes(),
    };
    let data = slice.read().map_err(|error| error.to_string())?;
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
    .map_err(|error| error.to_string())?;
    Ok(found)
}
