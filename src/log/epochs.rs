//! Leader epochs of a partition: which one a batch must have, and their checkpoint made anew from the batches.

use std::{io, path::Path};

use jackfield_env::Files;

use crate::{
    batches::{self, Check},
    checkpoint,
    segment::Segment,
};

/// Leader epoch of a batch, where one is known.
pub(crate) fn epoch_of(epochs: &[(i32, i64)], base_offset: i64) -> Option<i32> {
    let after = epochs.partition_point(|(_, start)| *start <= base_offset);
    after.checked_sub(1).map(|index| epochs[index].0)
}

/// Calls `visit(leader epoch, base offset)` for every batch that can be found.
fn each_batch(segments: &[Segment], mut visit: impl FnMut(i32, i64)) -> io::Result<()> {
    for segment in segments {
        for (from, end) in segment.good_ranges(0) {
            let walked = batches::walk(&*segment.file, from, end, Check::Header, |_, header| {
                visit(header.partition_leader_epoch, header.base_offset);
                true
            });
            // What is behind damage is found when it is read.
            walked.or_else(|error| error.of_content().map(drop))?;
        }
    }
    Ok(())
}

/// Whether all batches have the epochs of a checkpoint that nothing else proves.
pub(crate) fn fit(epochs: &[(i32, i64)], segments: &[Segment]) -> io::Result<bool> {
    let mut fit = true;
    each_batch(segments, |epoch, base_offset| {
        fit &= epoch_of(epochs, base_offset).is_none_or(|expected| expected == epoch);
    })?;
    Ok(fit)
}

/// Reads the epochs from the headers of all batches, and writes the checkpoint, which cannot be right. One batch alone
/// begins no epoch: it may be the one that is damaged.
pub(crate) fn rebuild(
    files: &dyn Files,
    dir: &Path,
    segments: &[Segment],
    error: &str,
) -> io::Result<Vec<(i32, i64)>> {
    let mut epochs: Vec<(i32, i64)> = Vec::new();
    let mut begun: Option<(i32, i64)> = None;
    each_batch(segments, |epoch, base_offset| {
        let is_new = epochs.last().is_none_or(|(last, _)| *last < epoch);
        begun = match begun {
            Some((before, start)) if before == epoch => {
                epochs.push((epoch, start));
                None
            }
            _ => is_new.then_some((epoch, base_offset)),
        };
    })?;
    if epochs.is_empty() {
        epochs.extend(begun);
    }
    if epochs.is_empty() {
        epochs.push((0, segments[0].base_offset));
    }
    tracing::error!(directory = %dir.display(), error, epochs = epochs.len(), "leader epoch checkpoint is damaged; written anew from the batches");
    files.write_atomic(
        &dir.join(checkpoint::LEADER_EPOCH),
        &checkpoint::render_epochs(&epochs),
    )?;
    Ok(epochs)
}
