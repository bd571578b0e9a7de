//! Producer state at start: the newest good `.snapshot` file and the batches behind it; and, when a producer repeats an older
//! batch, those just before it.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io,
    ops::Range,
    path::Path,
};

use jackfield_env::Files;
use jackfield_protocol::records::BatchHeader;

use crate::{
    batches::{self, Check},
    producer_state::{ProducerStates, REMEMBERED_BATCHES},
    segment::{self, Segment},
    state::State,
};

/// How far in front of a snapshot batches are looked for. A snapshot holds each producer's last batch only, and a client
/// may repeat any of the five it had in flight.
const RECALLED_BYTES: u64 = 16 << 20;

/// Producer state at `end`, and the offset of the snapshot it was made of, unless that knew no producer. A snapshot from
/// `unsynced` on may never have reached the disk.
pub(crate) fn load(
    files: &dyn Files,
    dir: &Path,
    segments: &[Segment],
    end: i64,
    unsynced: i64,
    now_ms: i64,
) -> io::Result<(ProducerStates, Option<i64>)> {
    let mut states = ProducerStates::default();
    let mut from = segments[0].base_offset;
    let mut offsets = newest_first(files, dir, segments)?.into_iter();
    for offset in offsets.by_ref() {
        let path = segment::path(dir, offset, "snapshot");
        if offset > end {
            files.remove_file(&path)?;
            continue;
        }
        if let Some(decoded) = ProducerStates::decode(&files.read(&path)?, now_ms) {
            states = decoded;
            from = offset;
            break;
        }
        if offset >= unsynced {
            tracing::warn!(file = %path.display(), "producer snapshot of a roll that was interrupted; using an older one");
        } else {
            tracing::error!(file = %path.display(), "producer snapshot is damaged; using an older one");
        }
        files.remove_file(&path)?;
    }
    // Older marks are of no use any more.
    let newest_base = segments.last().map_or(0, |segment| segment.base_offset);
    for offset in offsets.filter(|offset| *offset > newest_base) {
        files.remove_file(&segment::path(dir, offset, "snapshot"))?;
    }
    let recalled_from = (!states.is_empty()).then_some(from);
    let mut recent = Recent::default();
    for (index, segment) in segments.iter().enumerate() {
        if segments
            .get(index + 1)
            .is_some_and(|next| next.base_offset <= from)
        {
            continue;
        }
        let start = if segment.base_offset >= from {
            0
        } else {
            segment.indexes.position_before(from - 1)
        };
        recent.collect(segment, start, from..i64::MAX)?;
    }
    recent.record(&mut states, now_ms)?;
    Ok((states, recalled_from))
}

/// Takes over what producers appended before the snapshot their state was made of. Few ever repeat it, and it is much to
/// read, so it is done when one does.
pub(crate) fn recall(state: &mut State, now_ms: i64) {
    let Some(from) = state.recalled_from else { return };
    match batches_before(&state.segments, from, now_ms) {
        Ok(recent) => {
            state.producers.recall(&recent);
            state.recalled_from = None;
        }
        Err(error) => {
            tracing::warn!(directory = %state.dir.display(), %error, "what producers appended cannot be read; tried again at the next repeat");
        }
    }
}

/// Offsets of the snapshot files, after those that belong to no segment were removed, except those of marks and of the last
/// orderly shutdown (`ProducerStateManager.removeStraySnapshots`).
fn newest_first(files: &dyn Files, dir: &Path, segments: &[Segment]) -> io::Result<Vec<i64>> {
    let mut offsets: Vec<i64> = files
        .read_dir(dir)?
        .iter()
        .filter_map(|entry| segment::base_offset_of(&entry.name, "snapshot"))
        .collect();
    offsets.sort_unstable_by(|a, b| b.cmp(a));
    let bases: HashSet<i64> = segments.iter().map(|segment| segment.base_offset).collect();
    let newest_base = segments.last().map_or(0, |segment| segment.base_offset);
    let (kept, stray): (Vec<i64>, Vec<i64>) = offsets
        .into_iter()
        .partition(|offset| bases.contains(offset) || *offset > newest_base);
    for offset in stray {
        files.remove_file(&segment::path(dir, offset, "snapshot"))?;
    }
    Ok(kept)
}

/// What producers appended shortly before `from`.
fn batches_before(segments: &[Segment], from: i64, now_ms: i64) -> io::Result<ProducerStates> {
    let mut left = RECALLED_BYTES;
    let mut starts = Vec::new();
    for segment in segments.iter().rev().filter(|segment| segment.base_offset < from) {
        if left == 0 {
            break;
        }
        let start = segment
            .indexes
            .batch_start_before(segment.size.saturating_sub(left));
        left = left.saturating_sub(segment.size - start);
        starts.push((segment, start));
    }
    let mut recent = Recent::default();
    for (segment, start) in starts.into_iter().rev() {
        recent.collect(segment, start, i64::MIN..from)?;
    }
    let mut states = ProducerStates::default();
    recent.record(&mut states, now_ms)?;
    Ok(states)
}

/// The last batches of each producer. Headers are looked at in passing; the few batches that count are verified.
#[derive(Default)]
struct Recent<'a> {
    batches: BTreeMap<i64, VecDeque<(&'a Segment, u64, BatchHeader)>>,
}

impl<'a> Recent<'a> {
    /// Takes the batches of a segment from byte `start` on whose base offset is in `offsets`.
    fn collect(&mut self, segment: &'a Segment, start: u64, offsets: Range<i64>) -> io::Result<()> {
        for (from, end) in segment.good_ranges(start) {
            let mut expected = None;
            let walked = batches::walk(&*segment.file, from, end, Check::Header, |position, header| {
                // One that jumped is damaged: reading it says so.
                let fits = expected.is_none_or(|expected| header.base_offset == expected);
                expected = fits.then(|| header.last_offset() + 1);
                if fits && header.has_producer_id() && offsets.contains(&header.base_offset) {
                    let batches = self.batches.entry(header.producer_id).or_default();
                    if batches.len() == REMEMBERED_BATCHES {
                        batches.pop_front();
                    }
                    batches.push_back((segment, position, *header));
                }
                !fits || header.base_offset < offsets.end
            });
            if let Err(error) = walked {
                let error = error.of_content()?;
                tracing::error!(file = %segment.file.path().display(), position = error.position, error = %error.message, "segment is damaged: producer state behind this position is lost");
            }
        }
        Ok(())
    }

    /// Remembers those that are good.
    fn record(self, states: &mut ProducerStates, now_ms: i64) -> io::Result<()> {
        for (segment, position, header) in self.batches.into_values().flatten() {
            let end = position + header.size_bytes() as u64;
            let verified = segment.verified.covers(&(position..end));
            let verify = || batches::walk(&*segment.file, position, end, Check::Crc, |_, _| true);
            let Err(error) = (if verified { Ok(()) } else { verify() }) else {
                states.record(&header, now_ms);
                continue;
            };
            error.of_content()?;
            tracing::error!(file = %segment.file.path().display(), position, producer_id = header.producer_id, "batch is damaged: it is not remembered for its producer");
        }
        Ok(())
    }
}
