//! Producer state at start: the newest good `.snapshot` file and the batches behind it; and, when a producer repeats an older
//! batch, those just before it.

use std::{collections::HashSet, io, path::Path};

use jackfield_env::Files;

use crate::{
    producer_state::ProducerStates,
    segment::{self, Check, Segment},
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
    for offset in newest_first(files, dir, segments)? {
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
    remove_older(files, dir, segments, from)?;
    let recalled_from = (!states.is_empty()).then_some(from);
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
        replay(segment, start, from..i64::MAX, &mut states, now_ms);
    }
    Ok((states, recalled_from))
}

/// Takes over what producers appended before the snapshot their state was made of. Few ever repeat it, and it is much to
/// read, so it is done when one does.
pub(crate) fn recall(state: &mut State, now_ms: i64) {
    if let Some(from) = state.recalled_from.take() {
        let recent = batches_before(&state.segments, from, now_ms);
        state.producers.recall(&recent);
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

/// Removes snapshots of the last segment that are older than the one that was taken.
fn remove_older(files: &dyn Files, dir: &Path, segments: &[Segment], taken: i64) -> io::Result<()> {
    let newest_base = segments.last().map_or(0, |segment| segment.base_offset);
    for entry in files.read_dir(dir)? {
        let offset = segment::base_offset_of(&entry.name, "snapshot");
        if offset.is_some_and(|offset| newest_base < offset && offset < taken) {
            files.remove_file(&dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// What producers appended shortly before `from`.
fn batches_before(segments: &[Segment], from: i64, now_ms: i64) -> ProducerStates {
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
    let mut states = ProducerStates::default();
    for (segment, start) in starts.into_iter().rev() {
        replay(segment, start, i64::MIN..from, &mut states, now_ms);
    }
    states
}

/// Remembers the batches of a segment from byte `start` on whose base offset is in `offsets`.
fn replay(
    segment: &Segment,
    start: u64,
    offsets: std::ops::Range<i64>,
    states: &mut ProducerStates,
    now_ms: i64,
) {
    for (from, end) in segment.good_ranges(start) {
        let walked = segment::walk(&*segment.file, from, end, Check::Header, |_, header| {
            if offsets.contains(&header.base_offset) {
                states.record(header, now_ms);
            }
            header.base_offset < offsets.end
        });
        if let Err(error) = walked {
            tracing::error!(file = %segment.file.path().display(), position = error.position, error = %error.message, "segment is damaged: producer state behind this position is lost");
        }
    }
}
