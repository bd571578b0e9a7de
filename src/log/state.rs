//! What a partition's log holds behind its lock.

use std::{io, path::PathBuf, sync::Arc};

use jackfield_env::{File, Files};

use crate::{LogConfig, producer_state::ProducerStates, segment::Segment, verified::Verified};

/// A place in the log: the offset behind the last record, and where that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) offset: i64,
    /// Base offset of the segment.
    pub(crate) segment: i64,
    /// Bytes of that segment.
    pub(crate) position: u64,
}

/// Everything written since the last commit round.
#[derive(Debug)]
pub(crate) struct Unsynced {
    pub(crate) files: Vec<Arc<dyn File>>,
    pub(crate) end: End,
}

/// Where a sequential reader will go on, so that it need not search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadHint {
    pub(crate) offset: i64,
    pub(crate) segment: i64,
    pub(crate) position: u64,
}

/// Readers whose next position is remembered.
const READ_HINTS: usize = 8;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dir: PathBuf,
    pub(crate) config: LogConfig,
    /// In offset order, never empty; the last one is active.
    pub(crate) segments: Vec<Segment>,
    pub(crate) producers: ProducerStates,
    /// The snapshot that `producers` was made of, until what producers appended before it is remembered, too.
    pub(crate) recalled_from: Option<i64>,
    /// Leader epochs and their start offsets.
    pub(crate) epochs: Vec<(i32, i64)>,
    pub(crate) unsynced: Vec<Arc<dyn File>>,
    /// Whether the log waits for a commit round.
    pub(crate) queued: bool,
    /// Whether a segment was closed since the last commit round.
    pub(crate) rolled: bool,
    /// Offsets of the last marks, oldest first.
    pub(crate) marks: Vec<i64>,
    /// Everything before this offset is on disk, its closed segments with their indexes.
    pub(crate) recovery_point: i64,
    /// What is acknowledged, and so readable.
    pub(crate) committed: End,
    pub(crate) log_start_offset: i64,
    pub(crate) log_end_offset: i64,
    pub(crate) hints: Vec<ReadHint>,
    pub(crate) deleted: bool,
    /// The manager was closed: nothing more is appended.
    pub(crate) closed: bool,
}

impl State {
    pub(crate) fn active(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has at least one segment")
    }

    /// Cuts what a failed write left behind the end of the active segment when it could not be cut then.
    pub(crate) fn cut_rest(&mut self) -> io::Result<()> {
        let active = self.active();
        if active.file.len()? > active.size {
            active.file.set_len(active.size)?;
            let file = Arc::clone(&active.file);
            self.touch(file);
        }
        Ok(())
    }

    /// Keeps few index entries of the active segment in memory.
    pub(crate) fn spill_indexes(&mut self, files: &Arc<dyn Files>) {
        let Self { segments, dir, .. } = self;
        if let Some(active) = segments.last_mut() {
            active.spill_indexes(files, dir);
        }
    }

    /// The place behind the last record.
    pub(crate) fn end(&self) -> End {
        let active = self.segments.last().expect("a log has at least one segment");
        End {
            offset: self.log_end_offset,
            segment: active.base_offset,
            position: active.size,
        }
    }

    /// Notes that `file` has bytes that are not durable.
    pub(crate) fn touch(&mut self, file: Arc<dyn File>) {
        if !self.unsynced.iter().any(|known| Arc::ptr_eq(known, &file)) {
            self.unsynced.push(file);
        }
    }

    /// Readable bytes of a segment.
    pub(crate) fn readable(&self, segment: &Segment) -> u64 {
        match segment.base_offset.cmp(&self.committed.segment) {
            std::cmp::Ordering::Less => segment.size,
            std::cmp::Ordering::Equal => self.committed.position,
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// Index of the segment that holds `offset`.
    pub(crate) fn segment_of(&self, offset: i64) -> usize {
        self.segments
            .partition_point(|segment| segment.base_offset <= offset)
            .saturating_sub(1)
    }

    /// What was verified of the segment with this base offset, unless it is gone.
    pub(crate) fn verified(&mut self, base_offset: i64) -> Option<&mut Verified> {
        let index = self.segment_of(base_offset);
        let segment = &mut self.segments[index];
        (segment.base_offset == base_offset).then_some(&mut segment.verified)
    }

    pub(crate) fn remember(&mut self, hint: ReadHint) {
        self.hints.retain(|known| known.offset != hint.offset);
        if self.hints.len() == READ_HINTS {
            self.hints.remove(0);
        }
        self.hints.push(hint);
    }
}
