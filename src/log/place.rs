//! A segment as one read needs it, taken from the log's state in an instant, so that files are read without its lock.

use std::sync::Arc;

use jackfield_env::File;

use crate::{
    ReadError,
    batches::WalkError,
    index::OffsetEntry,
    partition_log::PartitionLog,
    segment::{Hole, Segment},
    state::State,
    trust::{Anchor, Chain},
};

/// What is needed of a segment to read it without the log's lock.
pub(crate) struct Place {
    pub(crate) file: Arc<dyn File>,
    pub(crate) segment: i64,
    /// Start of a batch at or before the wanted one.
    pub(crate) from: u64,
    /// What is known of that batch.
    pub(crate) anchor: Anchor,
    /// Whether `from` is the wanted batch itself.
    pub(crate) exact: bool,
    /// A batch not far before the end of the wanted bytes, as the index has it.
    pub(crate) jump: Option<OffsetEntry>,
    /// End of the readable bytes.
    pub(crate) limit: u64,
    /// Offset behind `limit`, when it is the end of the readable part.
    pub(crate) limit_offset: Option<i64>,
    /// The batches behind `limit` are damaged.
    pub(crate) damage: Option<Hole>,
    /// Nothing of the segment has to be verified any more.
    pub(crate) trusted: bool,
    /// Leader epochs, when something has.
    pub(crate) epochs: Vec<(i32, i64)>,
}

impl Place {
    pub(crate) fn chain(&self) -> Chain<'_> {
        Chain {
            anchor: self.anchor,
            epochs: &self.epochs,
        }
    }
}

/// Why a read could not be answered at once.
pub(crate) enum Trouble {
    /// It cannot be.
    Answer(ReadError),
    /// Something in the segment with this base offset does not fit together: it is examined, and read again.
    Suspect {
        segment: i64,
        file: Arc<dyn File>,
        error: WalkError,
    },
}

impl Place {
    pub(crate) fn trouble(&self, error: WalkError) -> Trouble {
        if !self.trusted {
            return Trouble::Suspect {
                segment: self.segment,
                file: Arc::clone(&self.file),
                error,
            };
        }
        let path = self.file.path().display();
        Trouble::Answer(ReadError::Damaged(format!(
            "{path} at byte {}: {}",
            error.position, error.message
        )))
    }

    /// Whoever reads here has to read the records first.
    pub(crate) fn unverified(&self) -> Trouble {
        self.trouble(WalkError {
            position: self.from,
            message: "not verified yet".to_owned(),
        })
    }

    /// Fails where not everything is verified that a read of so many bytes looks at.
    pub(crate) fn check_verified(&self, state: &State, max_bytes: usize) -> Result<(), Trouble> {
        let range = self.from..self.limit.min(self.from + max_bytes as u64);
        let segment = &state.segments[state.segment_of(self.segment)];
        if self.trusted || segment.verified.covers(&range) {
            return Ok(());
        }
        Err(self.unverified())
    }

    pub(crate) fn lost(&self, hole: &Hole) -> Trouble {
        let path = self.file.path().display();
        let (first, last) = (hole.first_offset, hole.next_offset - 1);
        Trouble::Answer(ReadError::Damaged(format!(
            "{path} at byte {}: {}: offsets {first} to {last} cannot be read; the next good offset is {}: restore the file from a copy, or read on from there",
            hole.start, hole.cause, hole.next_offset
        )))
    }
}

impl PartitionLog {
    /// Asks until nothing suspicious is left to be examined: each segment is at most once.
    pub(crate) fn settled<T>(&self, ask: impl Fn() -> Result<T, Trouble>) -> Result<T, ReadError> {
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Answer(error)) => return Err(error),
                Err(Trouble::Suspect { segment, file, error }) => {
                    tracing::warn!(
                        file = %file.path().display(), position = error.position, error = %error.message,
                        "segment and index do not fit together; examining the segment"
                    );
                    self.examine_segment(segment).map_err(|error| {
                        ReadError::Damaged(format!(
                            "segment {segment:020} of {}-{}: {error}",
                            self.topic(),
                            self.partition()
                        ))
                    })?;
                }
            }
        }
    }

    pub(crate) fn check_range(&self, state: &State, offset: i64) -> Result<(), ReadError> {
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
}

/// Where in a segment the search for `offset` begins.
pub(crate) fn place(
    state: &State,
    segment: &Segment,
    offset: i64,
    max_bytes: usize,
) -> Result<Place, Trouble> {
    // Whoever has the place can read the file, also when it is deleted meanwhile.
    segment.file.ready().map_err(|error| {
        let path = segment.file.path().display();
        Trouble::Answer(ReadError::Storage(format!("{path} cannot be opened: {error}")))
    })?;
    let hint = state
        .hints
        .iter()
        .find(|hint| hint.offset == offset && hint.segment == segment.base_offset);
    let (mut from, mut anchor) = match (hint, segment.indexes.entry_before(offset - 1)) {
        (Some(hint), _) => (hint.position, Anchor::Base(offset)),
        (None, Some(entry)) => (entry.position, Anchor::Last(entry.offset)),
        (None, None) => (0, Anchor::Base(segment.base_offset)),
    };
    let mut limit = state.readable(segment);
    let mut damage = None;
    // Compaction takes batches out.
    let holes = segment.holes.iter();
    for hole in holes.filter(|hole| hole.start < hole.end || !state.config.compact) {
        if offset >= hole.next_offset {
            if hole.end > from {
                (from, anchor) = (hole.end, Anchor::Unknown);
            }
        } else if hole.start <= limit {
            limit = hole.start;
            damage = Some(hole.clone());
            break;
        }
    }
    let behind = state
        .segments
        .partition_point(|other| other.base_offset <= segment.base_offset);
    let limit_offset = match state.segments.get(behind) {
        Some(next) if segment.base_offset != state.committed.segment => next.base_offset,
        _ => state.committed.offset,
    };
    let trusted = segment.verified.is_all();
    Ok(Place {
        file: Arc::clone(&segment.file),
        segment: segment.base_offset,
        from,
        anchor,
        exact: hint.is_some(),
        jump: segment.indexes.entry_at(from + max_bytes as u64),
        limit,
        limit_offset: damage.is_none().then_some(limit_offset),
        damage,
        trusted,
        epochs: if trusted { Vec::new() } else { state.epochs.clone() },
    })
}
