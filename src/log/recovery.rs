//! Opening a partition's directory: trusting it after an orderly shutdown, checking it after any other end.
//!
//! After an unclean stop every batch from the recovery point on is verified. A bad batch there is the torn tail of a write:
//! it is cut, and segments behind it, which a loss of power can leave without it, are set aside. A bad batch in front of
//! good ones that were acknowledged is damage: it is reported and nothing is cut, so that what is good on both sides stays
//! readable.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_env::{File, Files};

use crate::{
    LogConfig, TopicId, checkpoint,
    partition_log::{PartitionLog, Shared},
    producer_state::ProducerStates,
    salvage,
    segment::{self, Check, Hole, Segment},
    snapshots,
    state::{End, State},
};

/// What the directory's checkpoints say about one partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// The last shutdown was orderly.
    pub(crate) clean: bool,
    /// Everything before is on disk and indexed.
    pub(crate) recovery_point: i64,
    /// First offset kept, when a checkpoint names one.
    pub(crate) log_start_offset: Option<i64>,
}

/// Splits a partition directory's name into topic and partition.
pub(crate) fn parse_directory(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok()?;
    (partition >= 0 && !topic.is_empty()).then_some((topic, partition))
}

/// Whether a partition directory was created to its end: its metadata can be read, or there are records, whose owner must
/// then be told of.
pub(crate) fn is_complete(files: &dyn Files, dir: &Path) -> io::Result<bool> {
    if checkpoint::read_partition_metadata(files, dir).is_ok() {
        return Ok(true);
    }
    let entries = files.read_dir(dir)?;
    Ok(entries
        .iter()
        .any(|entry| segment::base_offset_of(&entry.name, "log").is_some() && entry.len > 0))
}

/// Opens and recovers the log in `dir`. Files whose content was checked but may not be on disk are added to `unsynced`:
/// nothing of the log may be served before they are synced.
pub(crate) fn open(
    dir: PathBuf,
    topic: &str,
    partition: i32,
    shared: Shared,
    config: LogConfig,
    known: Known,
    unsynced: &mut Vec<Arc<dyn File>>,
) -> io::Result<Arc<PartitionLog>> {
    let files = Arc::clone(&shared.env.files);
    let now_ms = shared.env.clock.now_ms();
    let topic_id = checkpoint::read_partition_metadata(&*files, &dir)?;
    let epochs = checkpoint::read_epochs(&*files, &dir)?;
    let mut segments = open_segments(&*files, &dir, known, now_ms)?;
    let end = Loader {
        files: &*files,
        dir: &dir,
        known,
        index_interval_bytes: config.index_interval_bytes,
        unsynced,
    }
    .load(&mut segments)?;
    let may_be_torn = if known.clean {
        i64::MAX
    } else {
        known.recovery_point
    };
    let producers = snapshots::load(&*files, &dir, &segments, end, may_be_torn, now_ms)?;
    #[cfg(feature = "planted-bugs")]
    let producers = if crate::planted::is("forget-producer-state") {
        ProducerStates::default()
    } else {
        producers
    };
    let first = segments[0].base_offset;
    let mut state = new_state(dir, config, segments, epochs, end);
    state.producers = producers;
    state.log_start_offset = known.log_start_offset.unwrap_or(first).max(first).min(end);
    Ok(PartitionLog::new(topic, partition, topic_id, shared, state))
}

/// A new, empty log; `dir` holds its metadata already.
pub(crate) fn create(
    dir: PathBuf,
    topic: &str,
    partition: i32,
    topic_id: TopicId,
    shared: Shared,
    config: LogConfig,
) -> io::Result<Arc<PartitionLog>> {
    let now_ms = shared.env.clock.now_ms();
    let segment = Segment::open(&*shared.env.files, &dir, 0, now_ms)?;
    let state = new_state(dir, config, vec![segment], vec![(0, 0)], 0);
    Ok(PartitionLog::new(topic, partition, topic_id, shared, state))
}

/// State of a log of which everything is on disk.
fn new_state(
    dir: PathBuf,
    config: LogConfig,
    segments: Vec<Segment>,
    epochs: Vec<(i32, i64)>,
    end: i64,
) -> State {
    let active = segments.last().expect("a log has at least one segment");
    let committed = End {
        offset: end,
        segment: active.base_offset,
        position: active.size,
    };
    State {
        log_start_offset: segments[0].base_offset,
        dir,
        config,
        segments,
        producers: ProducerStates::default(),
        epochs,
        unsynced: Vec::new(),
        queued: false,
        rolled: false,
        recovery_point: end,
        committed,
        log_end_offset: end,
        hints: Vec::new(),
        deleted: false,
        closed: false,
    }
}

/// Opens the segment files, or a first one where there is none.
fn open_segments(files: &dyn Files, dir: &Path, known: Known, now_ms: i64) -> io::Result<Vec<Segment>> {
    let bases = clean_directory(files, dir)?;
    let mut segments = Vec::with_capacity(bases.len().max(1));
    for base_offset in &bases {
        segments.push(Segment::open(files, dir, *base_offset, now_ms)?);
    }
    if segments.is_empty() {
        // Offsets that were given out once are not given out again.
        let base_offset = known.log_start_offset.unwrap_or(0).max(known.recovery_point);
        if base_offset > 0 {
            tracing::error!(directory = %dir.display(), base_offset, "no segment is left of this partition: its records are lost; restore the directory from a copy");
        }
        segments.push(Segment::open(files, dir, base_offset, now_ms)?);
    }
    Ok(segments)
}

/// Removes leftovers of deletions and replacements; returns the base offsets of the segments in order.
fn clean_directory(files: &dyn Files, dir: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in files.read_dir(dir)? {
        if [".deleted", ".cleaned", ".tmp"]
            .iter()
            .any(|suffix| entry.name.ends_with(suffix))
        {
            files.remove_file(&dir.join(&entry.name))?;
        } else if let Some(base) = segment::base_offset_of(&entry.name, "log") {
            bases.push(base);
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Where and why the batches of a segment end before their file does.
struct Fault {
    position: u64,
    message: String,
}

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
}

impl Gaps {
    fn observe(&mut self, position: u64, base_offset: i64, expected: i64) {
        if base_offset > expected {
            self.any = true;
            self.last = Some((position, expected));
        }
    }

    /// Whether a batch at this offset proves the last one behind a gap wrong.
    fn disproved_by(&mut self, base_offset: i64) -> bool {
        match self.last.take() {
            Some((position, expected)) if base_offset >= expected => {
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

/// A segment as it was found.
struct Loaded {
    /// The offset behind its last batch.
    end: i64,
    /// It ends before the next segment begins, and nothing behind its end was acknowledged.
    ends_log: bool,
}

/// Loads or rebuilds the indexes of one log's segments.
struct Loader<'a> {
    files: &'a dyn Files,
    dir: &'a Path,
    known: Known,
    index_interval_bytes: u64,
    unsynced: &'a mut Vec<Arc<dyn File>>,
}

impl Loader<'_> {
    /// Returns the log end offset. Segments that cannot belong to the log any more are taken out.
    fn load(&mut self, segments: &mut Vec<Segment>) -> io::Result<i64> {
        let mut end = segments[0].base_offset;
        let mut index = 0;
        while index < segments.len() {
            let next = segments.get(index + 1).map(|next| (next.base_offset, next.size));
            let loaded = self.load_segment(&mut segments[index], next.map(|(base, _)| base))?;
            end = loaded.end;
            match next {
                Some((base, 0)) if base < end => {
                    // Left by a roll that failed: the records behind its start are in this segment.
                    self.remove_empty(&segments.remove(index + 1))?;
                    continue;
                }
                Some(_) if loaded.ends_log => {
                    let later = segments.drain(index + 1..);
                    salvage::set_segments_aside(self.files, self.dir, later, end)?;
                    self.unsynced.push(self.files.open_dir(self.dir)?);
                }
                Some(_) => {
                    let written = segments[index].write_indexes(self.files, self.dir)?;
                    self.unsynced.extend(written);
                }
                None => {}
            }
            index += 1;
        }
        if end < self.known.recovery_point {
            tracing::error!(directory = %self.dir.display(), log_end_offset = end, acknowledged = self.known.recovery_point, "acknowledged records are missing at the end of the log; restore the directory from a copy");
        }
        Ok(end)
    }

    fn load_segment(&mut self, segment: &mut Segment, next_base: Option<i64>) -> io::Result<Loaded> {
        let behind = next_base.is_some_and(|next| next <= self.known.recovery_point);
        if (self.known.clean || behind)
            && segment.load_indexes(self.files, self.dir)
            && let Ok(end) = segment.load_tail()
        {
            return Ok(Loaded { end, ends_log: false });
        }
        segment.size = segment.file.len()?;
        self.rebuild(segment, next_base)
    }

    /// Removes the files of a segment without records.
    fn remove_empty(&mut self, segment: &Segment) -> io::Result<()> {
        tracing::warn!(file = %segment.file.path().display(), "removed an empty segment that lies inside the one before");
        for suffix in ["log", "index", "timeindex"] {
            let path = segment::path(self.dir, segment.base_offset, suffix);
            self.files.remove_file(&path)?;
        }
        self.unsynced.push(self.files.open_dir(self.dir)?);
        Ok(())
    }

    /// Whether what is missing from `offset` on may never have been acknowledged.
    fn may_be_torn(&self, offset: i64) -> bool {
        !self.known.clean && offset >= self.known.recovery_point
    }

    /// Verifies a segment and rebuilds its indexes. `next_base` is the base offset of the segment behind it, if any.
    fn rebuild(&mut self, segment: &mut Segment, next_base: Option<i64>) -> io::Result<Loaded> {
        let file = Arc::clone(&segment.file);
        let length = segment.size;
        let mut gaps = Gaps::default();
        loop {
            segment.reset();
            gaps.last = None;
            let proved = gaps.wrong.len();
            let Loaded { end: next, ends_log } = self.rebuild_with(segment, next_base, length, &mut gaps)?;
            if let Some(next_base) = next_base
                && next > next_base
            {
                gaps.disproved_by(next_base);
            }
            if gaps.wrong.len() == proved {
                segment.restart_index_interval();
                if length > 0 {
                    // What is served from here on is on disk, whatever the page cache held when the process died.
                    self.unsynced.push(file);
                }
                let ends_early = next_base.is_some_and(|base| next < base);
                let torn = ends_early && segment.holes.is_empty() && !gaps.any && self.may_be_torn(next);
                return Ok(Loaded {
                    end: next,
                    ends_log: ends_log || torn,
                });
            }
        }
    }

    /// One attempt: ends early when a batch behind a gap was proved wrong.
    fn rebuild_with(
        &mut self,
        segment: &mut Segment,
        next_base: Option<i64>,
        length: u64,
        gaps: &mut Gaps,
    ) -> io::Result<Loaded> {
        let file = Arc::clone(&segment.file);
        let mut next = segment.base_offset;
        let mut ends_log = false;
        let proved = gaps.wrong.len();
        while let Some(fault) = self.account(segment, &mut next, length, next_base.is_some(), gaps) {
            if gaps.wrong.len() > proved {
                break;
            }
            let good = salvage::next_good_batch(&*file, fault.position + 1, length, next)?;
            let acknowledged = next < self.known.recovery_point;
            let last = next_base.is_none();
            if last && (good.is_none() || !acknowledged) || !last && self.may_be_torn(next) {
                self.cut(&*file, &fault, length, acknowledged, good.is_some())?;
                ends_log = true;
                break;
            }
            let (end, next_offset) = match good {
                Some((position, base_offset)) => (position, base_offset),
                None => (length, next_base.unwrap_or(next).max(next)),
            };
            tracing::error!(
                file = %file.path().display(), position = fault.position, end, first_lost_offset = next, next_offset, error = %fault.message,
                "segment is damaged: records in these bytes cannot be read; restore the file from a copy"
            );
            segment.skip(Hole {
                start: fault.position,
                end,
                next_offset,
            });
            next = next_offset;
        }
        Ok(Loaded { end: next, ends_log })
    }

    /// Accounts for the good batches from the segment's end on, until the file ends or one is bad. Batches that were
    /// acknowledged and synced are not verified again, unless the segment lost its indexes.
    fn account(
        &self,
        segment: &mut Segment,
        next: &mut i64,
        length: u64,
        closed: bool,
        gaps: &mut Gaps,
    ) -> Option<Fault> {
        let recovery_point = self.known.recovery_point;
        if !closed && *next < recovery_point {
            let fault = self.walk(segment, next, length, (Check::Header, recovery_point), gaps);
            if fault.is_some() {
                return fault;
            }
        }
        self.walk(segment, next, length, (Check::Crc, i64::MAX), gaps)
    }

    fn walk(
        &self,
        segment: &mut Segment,
        next: &mut i64,
        length: u64,
        (check, until): (Check, i64),
        gaps: &mut Gaps,
    ) -> Option<Fault> {
        let mut misplaced = None;
        let file = Arc::clone(&segment.file);
        let highest = segment.base_offset.saturating_add(i64::from(i32::MAX));
        let walked = segment::walk(&*file, segment.size, length, check, |position, header| {
            if header.base_offset >= until {
                return false;
            }
            let wrong = gaps.wrong.contains(&position);
            if !wrong && header.base_offset < *next {
                gaps.disproved_by(header.base_offset);
            }
            if wrong || header.base_offset < *next || header.last_offset() > highest {
                misplaced = Some(Fault {
                    position,
                    message: format!("base offset {} where {next} is expected", header.base_offset),
                });
                return false;
            }
            gaps.observe(position, header.base_offset, *next);
            segment.account(header, self.index_interval_bytes);
            *next = header.last_offset() + 1;
            true
        });
        match walked {
            Err(error) => Some(Fault {
                position: error.position,
                message: error.message,
            }),
            Ok(()) => misplaced,
        }
    }

    /// Cuts a segment behind its last good batch.
    fn cut(
        &mut self,
        file: &dyn File,
        fault: &Fault,
        length: u64,
        acknowledged: bool,
        more_behind: bool,
    ) -> io::Result<()> {
        let (path, position, error) = (file.path().display(), fault.position, &fault.message);
        let cut_bytes = length - position;
        if more_behind {
            let kept = salvage::set_aside(self.files, file, position, length)?;
            tracing::error!(file = %path, position, cut_bytes, %error, kept = %kept.display(), "cut a bad batch and what followed it; the bytes were kept aside");
        } else if acknowledged {
            tracing::error!(file = %path, position, cut_bytes, %error, "cut a bad batch at the end of the log that had been acknowledged");
        } else {
            tracing::warn!(file = %path, position, cut_bytes, %error, "cut the torn tail of a write");
        }
        file.set_len(position)
    }
}
