//! Bytes that this process neither wrote nor verified are verified before they are served for the first time.
//!
//! A range is read once, with its CRCs, and everything the CRCs do not cover is compared with a witness: base offsets with
//! the index entry or reader they were found by and with their neighbours, leader epochs with the partition's. When all agree
//! the range is remembered. When anything does not, the whole segment is examined: it comes out with its damage known and
//! its indexes made anew. No lock of the log is held while files are read.

use std::{
    io,
    ops::Range,
    sync::{Arc, PoisonError},
};

use jackfield_env::File;
use jackfield_protocol::records::BatchHeader;

use crate::{
    batches::{self, Check, WalkError},
    epochs::epoch_of,
    examine::{self, Bounds},
    partition_log::PartitionLog,
    segment::{self, Segment},
};

/// What is known of the batch at which a walk begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    /// Its base offset.
    Base(i64),
    /// Its last offset, as the offset index has it.
    Last(i64),
    /// Nothing.
    Unknown,
}

/// Checks that each batch is what the one before, or the anchor, lets expect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain<'a> {
    pub(crate) anchor: Anchor,
    pub(crate) epochs: &'a [(i32, i64)],
}

impl Chain<'_> {
    fn accept(&mut self, header: &BatchHeader) -> Result<(), String> {
        let (base, last) = (header.base_offset, header.last_offset());
        match self.anchor {
            Anchor::Base(expected) if base != expected => {
                return Err(format!("base offset {base} where {expected} is expected"));
            }
            Anchor::Last(expected) if last != expected => {
                return Err(format!("last offset {last} where the index has {expected}"));
            }
            _ => {}
        }
        let epoch = header.partition_leader_epoch;
        if let Some(expected) = epoch_of(self.epochs, base)
            && epoch != expected
        {
            return Err(format!("leader epoch {epoch} where {expected} is expected"));
        }
        self.anchor = Anchor::Base(last + 1);
        Ok(())
    }

    /// Walks over batches from `from` on, their CRCs included, until `visit` returns `false`.
    ///
    /// # Errors
    /// A batch is damaged, or is not the expected one.
    pub(crate) fn walk(
        &mut self,
        file: &dyn File,
        range: Range<u64>,
        mut visit: impl FnMut(u64, &BatchHeader) -> bool,
    ) -> Result<(), WalkError> {
        let mut misfit = None;
        batches::walk(file, range.start, range.end, Check::Crc, |position, header| {
            if let Err(message) = self.accept(header) {
                misfit = Some(WalkError::at(position, message));
                return false;
            }
            visit(position, header)
        })?;
        misfit.map_or(Ok(()), Err)
    }

    /// Verifies whole batches in `range`. What follows them begins at `end_offset` when that is known; otherwise it is the
    /// next batch, before `limit`.
    ///
    /// # Errors
    /// As [`Chain::walk`].
    pub(crate) fn verify(
        mut self,
        file: &dyn File,
        range: Range<u64>,
        limit: u64,
        end_offset: Option<i64>,
    ) -> Result<(), WalkError> {
        let end = range.end;
        self.walk(file, range, |_, _| true)?;
        if end < limit {
            return self.walk_header(file, end, limit);
        }
        match (self.anchor, end_offset) {
            (Anchor::Base(next), Some(expected)) if next != expected => Err(WalkError::at(
                end,
                format!("ends before offset {next} where {expected} is expected"),
            )),
            _ => Ok(()),
        }
    }

    /// Compares the base offset of the batch at `position` only: whether it is good is found out when it is read.
    fn walk_header(self, file: &dyn File, position: u64, limit: u64) -> Result<(), WalkError> {
        let Anchor::Base(expected) = self.anchor else {
            return Ok(());
        };
        let mut found = expected;
        batches::walk(file, position, limit, Check::Header, |_, header| {
            found = header.base_offset;
            false
        })?;
        if found == expected {
            return Ok(());
        }
        Err(WalkError::at(
            position,
            format!("base offset {found} where {expected} is expected"),
        ))
    }
}

impl PartitionLog {
    /// Examines a segment in which something does not fit together, and takes over what is found.
    pub(crate) fn examine_segment(&self, base_offset: i64) -> io::Result<()> {
        // Readers that find the same wait for one of them.
        let _alone = self.examining.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.lock();
        let at = |segments: &[Segment]| segments.iter().position(|known| known.base_offset == base_offset);
        let Some(index) = at(&state.segments) else {
            return Ok(());
        };
        let known = &state.segments[index];
        if known.verified.is_all() {
            return Ok(());
        }
        let mut found = Segment::over(Arc::clone(&known.file), base_offset, known.created_ms);
        let (length, dir) = (known.size, state.dir.clone());
        let next_base = state.segments.get(index + 1).map(|next| next.base_offset);
        let end = next_base.unwrap_or(state.log_end_offset);
        let (epochs, index_interval_bytes) = (state.epochs.clone(), state.config.index_interval_bytes);
        drop(state);
        let bounds = Bounds {
            is_last: next_base.is_none(),
            end,
            end_is_exact: true,
            torn_from: i64::MAX,
            verify_from: 0,
            epochs: &epochs,
            index_interval_bytes,
            resumed_at: None,
        };
        examine::examine(&mut found, length, &bounds)?;
        examine::report(&found);
        if !found.is_damaged() {
            let index = segment::path(&dir, base_offset, "index");
            tracing::warn!(file = %index.display(), "the segment is good: its index or time index was not, and is made anew");
        }
        let mut state = self.lock();
        let Some(index) = at(&state.segments) else {
            return Ok(());
        };
        state.hints.retain(|hint| hint.segment != base_offset);
        let closed = index + 1 < state.segments.len();
        let segment = &mut state.segments[index];
        segment.take_over(found, length, end);
        if closed && !state.deleted && !state.closed {
            // Few, and once: the lock may be held for them.
            for file in state.segments[index].write_indexes(&self.env.files, &dir)? {
                state.touch(file);
            }
        }
        Ok(())
    }
}
