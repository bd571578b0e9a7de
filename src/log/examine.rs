//! Looking through a segment batch by batch: which are good, where records are missing, and its indexes made anew.
//!
//! Nothing is changed on disk. Recovery uses it where it may not trust, reading where something does not fit together,
//! `jackfield log verify` always.

use std::{io, sync::Arc};

use jackfield_protocol::records::BatchHeader;

use crate::{
    batches::{self, Check},
    epochs::epoch_of,
    salvage,
    segment::{Hole, Segment},
    verified::Verified,
};

/// What is known of a segment from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// No segment lies behind it.
    pub(crate) is_last: bool,
    /// Offset that it reaches unless records are lost: the next segment's, or what was acknowledged.
    pub(crate) end: i64,
    /// It cannot reach further than `end`. Where a segment with records is behind it, a batch that says so is wrong.
    pub(crate) end_is_exact: bool,
    /// What is bad from this offset on is the torn tail of a write; before it, records are lost.
    pub(crate) torn_from: i64,
    /// Batches below this offset need not be verified now: they are when they are read.
    pub(crate) verify_from: i64,
    /// Leader epochs and their start offsets.
    pub(crate) epochs: &'a [(i32, i64)],
    pub(crate) index_interval_bytes: u64,
    /// Base offset of the batch at the segment's end, when the segment is accounted for up to there.
    pub(crate) resumed_at: Option<i64>,
}

/// A segment as it was found.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The offset behind its last batch; that of `Bounds::end` when records before it are missing.
    pub(crate) end: i64,
    /// The log ends in this segment, although there may be others behind.
    pub(crate) ends_log: bool,
    /// Bytes that belong to no whole batch and may be cut.
    pub(crate) torn: Option<Torn>,
    /// Where the first batch from `Bounds::torn_from` on begins.
    pub(crate) unproved_from: Option<u64>,
}

/// The torn tail of a write.
#[derive(Debug)]
pub(crate) struct Torn {
    pub(crate) position: u64,
    pub(crate) message: String,
    /// There are whole batches in it.
    pub(crate) has_batches: bool,
}

/// Where and why the batches of a segment end before their file does.
struct Fault {
    position: u64,
    message: String,
    /// The batch is whole, and only in the wrong place.
    whole: bool,
}

/// A batch that was proved wrong costs another way through the segment. Somebody who makes a file of nothing else gets so many.
const MOST_PASSES: usize = 16;
/// Damaged places in a segment, each of which costs a search. What is behind them counts as one.
const MOST_HOLES: usize = 1_000;
/// How many times the segment's length is read at most, searching for good batches behind bad ones.
const MOST_SEARCHED: u64 = 16;

/// Batches whose base offset cannot be right, although the CRC, which does not cover it, is. A base offset behind a gap is
/// fine (compaction leaves gaps) unless a later batch lies in the gap.
#[derive(Default)]
struct Gaps {
    /// There is a gap: compacted segments have some, those this broker wrote have none.
    any: bool,
    /// The last batch behind a gap: its position and the offset at which the gap begins.
    last: Option<(u64, i64)>,
    /// Positions of batches that were proved wrong.
    wrong: Vec<u64>,
    /// The first batch that reaches behind an end that is exact.
    beyond: Option<u64>,
    /// Too many were proved wrong: everything from here on counts as bad.
    hopeless_from: Option<u64>,
}

impl Gaps {
    fn is_wrong(&self, position: u64) -> bool {
        self.is_hopeless(position) || self.wrong.contains(&position)
    }

    fn is_hopeless(&self, position: u64) -> bool {
        self.hopeless_from.is_some_and(|from| position >= from)
    }

    fn observe(&mut self, position: u64, base_offset: i64, expected: i64) {
        if base_offset > expected {
            self.any = true;
            self.last = Some((position, expected));
        }
    }

    /// Whether a batch at this offset proves the last one behind a gap wrong.
    fn disproved_by(&mut self, base_offset: i64) -> bool {
        match self.last.take() {
            Some((position, expected)) if base_offset >= expected && self.hopeless_from.is_none() => {
                self.wrong.push(position);
                true
            }
            other => {
                self.last = other;
                false
            }
        }
    }
}

/// Accounts for the first `length` bytes of a segment anew.
pub(crate) fn examine(segment: &mut Segment, length: u64, bounds: &Bounds<'_>) -> io::Result<Examined> {
    let mut gaps = Gaps::default();
    let mut bounds = *bounds;
    let mut resumed_at = bounds.resumed_at;
    loop {
        let start = resumed_at.take().unwrap_or_else(|| {
            segment.reset();
            segment.base_offset
        });
        gaps.last = None;
        gaps.beyond = None;
        let proved = gaps.wrong.len();
        let mut attempt = Attempt {
            segment: &mut *segment,
            length,
            bounds: &bounds,
            gaps: &mut gaps,
            next: start,
            last_batch: None,
            verified_from: None,
            doubted: false,
            unproved_from: None,
            left_to_search: length.saturating_mul(MOST_SEARCHED),
        };
        let torn = attempt.run()?;
        let (next, last_batch, verified_from) = (attempt.next, attempt.last_batch, attempt.verified_from);
        let unproved_from = attempt.unproved_from;
        if attempt.doubted {
            bounds.verify_from = 0;
            gaps = Gaps::default();
            continue;
        }
        if bounds.end_is_exact && next > bounds.end {
            // Where batches contradict each other the one that reaches too far is wrong.
            if !gaps.disproved_by(bounds.end) && segment.is_damaged() && gaps.hopeless_from.is_none() {
                gaps.wrong.extend(gaps.beyond);
            }
        } else if bounds.is_last
            && gaps.hopeless_from.is_none()
            && !bounds.end_is_exact
            && gaps.last.map(|(position, _)| position) == last_batch
        {
            // Nothing is behind it that says it is right, and the segment that is written to was never compacted.
            gaps.wrong.extend(last_batch);
        }
        if gaps.wrong.len() > proved {
            if gaps.wrong.len() >= MOST_PASSES {
                gaps.hopeless_from = gaps.wrong[proved..].iter().copied().min();
            }
            continue;
        }
        segment.verified = Verified::from(verified_from.unwrap_or(length));
        segment.restart_index_interval();
        let ends_early = next < bounds.end;
        let cut_short = ends_early && segment.holes.is_empty() && !gaps.any && next >= bounds.torn_from;
        let ends_log = torn.is_some() || cut_short;
        let lost = ends_early && !ends_log;
        if lost {
            segment.lose(next, bounds.end);
        }
        return Ok(Examined {
            end: if lost { bounds.end } else { next },
            ends_log,
            torn,
            unproved_from,
        });
    }
}

/// Reports what cannot be read of a segment. Where offsets are missing without a trace they may have been compacted away.
pub(crate) fn report(segment: &Segment) {
    for hole in segment.holes.iter().filter(|hole| hole.start < hole.end) {
        tracing::error!(
            file = %segment.file.path().display(), position = hole.start, end = hole.end,
            first_lost_offset = hole.first_offset, next_offset = hole.next_offset, error = %hole.cause,
            "segment is damaged: records in these bytes cannot be read; restore the file from a copy"
        );
    }
}

/// One way through a segment; it ends early when a batch behind a gap was proved wrong.
struct Attempt<'a> {
    segment: &'a mut Segment,
    length: u64,
    bounds: &'a Bounds<'a>,
    gaps: &'a mut Gaps,
    next: i64,
    /// Position of the batch before `next`.
    last_batch: Option<u64>,
    verified_from: Option<u64>,
    /// Headers that were not verified do not fit together: all of it has to be verified.
    doubted: bool,
    unproved_from: Option<u64>,
    left_to_search: u64,
}

impl Attempt<'_> {
    fn run(&mut self) -> io::Result<Option<Torn>> {
        let file = Arc::clone(&self.segment.file);
        let proved = self.gaps.wrong.len();
        let mut holes = 0;
        while let Some(fault) = self.account()? {
            if self.doubted || self.gaps.wrong.len() > proved {
                return Ok(None);
            }
            holes += 1;
            let good = if self.gaps.is_hopeless(fault.position) || holes > MOST_HOLES {
                None
            } else {
                let behind = fault.position + 1..self.length;
                salvage::next_good_batch(&*file, behind, self.next, &mut self.left_to_search)?
            };
            if self.next >= self.bounds.torn_from {
                return Ok(Some(Torn {
                    position: fault.position,
                    message: fault.message,
                    has_batches: good.is_some() || fault.whole,
                }));
            }
            let (end, next_offset) = good.unwrap_or((self.length, self.bounds.end.max(self.next)));
            self.segment.skip(Hole {
                start: fault.position,
                end,
                first_offset: self.next,
                next_offset,
                cause: fault.message,
            });
            self.next = next_offset;
        }
        Ok(None)
    }

    /// Accounts for the good batches from the segment's end on, until the file ends or one is bad.
    fn account(&mut self) -> io::Result<Option<Fault>> {
        if self.next < self.bounds.verify_from {
            let fault = self.walk(Check::Header, self.bounds.verify_from)?;
            // A batch begins at the recovery point, and no offset is missing before.
            self.doubted = fault.is_some() || self.next != self.bounds.verify_from || self.gaps.any;
            if self.doubted {
                return Ok(fault);
            }
        }
        self.verified_from.get_or_insert(self.segment.size);
        self.walk(Check::Crc, i64::MAX)
    }

    fn walk(&mut self, check: Check, until: i64) -> io::Result<Option<Fault>> {
        let mut misplaced = None;
        let file = Arc::clone(&self.segment.file);
        let walked = batches::walk(
            &*file,
            self.segment.size,
            self.length,
            check,
            |position, header| {
                if header.base_offset >= until {
                    return false;
                }
                misplaced = self.misplaced(position, header);
                if misplaced.is_some() {
                    return false;
                }
                if header.base_offset > self.next {
                    // Not even an empty hole says what was there: only that offsets are missing.
                    self.segment.lose(self.next, header.base_offset);
                }
                self.gaps.observe(position, header.base_offset, self.next);
                if self.bounds.end_is_exact && header.last_offset() >= self.bounds.end {
                    self.gaps.beyond.get_or_insert(position);
                }
                if header.base_offset >= self.bounds.torn_from {
                    self.unproved_from.get_or_insert(position);
                }
                self.segment.account(header, self.bounds.index_interval_bytes);
                self.next = header.last_offset() + 1;
                self.last_batch = Some(position);
                true
            },
        );
        let Err(error) = walked else { return Ok(misplaced) };
        // Bytes that could not be read are neither torn nor damaged: nothing is cut for them, and nothing is lost.
        let error = error.of_content()?;
        Ok(Some(Fault {
            position: error.position,
            message: error.message,
            whole: false,
        }))
    }

    /// What of a header, outside its CRC, does not fit what is around it.
    fn misplaced(&mut self, position: u64, header: &BatchHeader) -> Option<Fault> {
        let next = self.next;
        let mut highest = self.segment.base_offset.saturating_add(i64::from(i32::MAX));
        if self.bounds.end_is_exact && !self.bounds.is_last {
            highest = highest.min(self.bounds.end - 1);
        }
        let wrong = self.gaps.is_wrong(position);
        if !wrong && header.base_offset < next {
            self.gaps.disproved_by(header.base_offset);
        }
        let (base, last) = (header.base_offset, header.last_offset());
        let misfit = if wrong {
            Some(format!("base offset {base} does not fit the batches around it"))
        } else if base < next {
            Some(format!("base offset {base} where {next} is expected"))
        } else if last > highest {
            Some(format!("last offset {last} where it can be {highest} at most"))
        } else {
            None
        };
        if let Some(message) = misfit {
            return Some(Fault {
                position,
                message,
                whole: true,
            });
        }
        let epoch = header.partition_leader_epoch;
        let expected = epoch_of(self.bounds.epochs, header.base_offset)?;
        (epoch != expected).then(|| Fault {
            position,
            message: format!("leader epoch {epoch} where {expected} is expected"),
            whole: true,
        })
    }
}
