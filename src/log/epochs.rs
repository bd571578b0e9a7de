//! Leader epochs of a partition: which one a batch must have, and their checkpoint made anew from the batches.

use std::{io, path::Path};

use jackfield_env::Files;

use crate::{
    checkpoint,
    segment::{self, Check, Segment},
};

/// Leader epoch of a batch, where one is known.
pub(crate) fn epoch_of(epochs: &[(i32, i64)], base_offset: i64) -> Option<i32> {
    let after = epochs.partition_point(|(_, start)| *start <= base_offset);
    after.checked_sub(1).map(|index| epochs[index].0)
}

/// Reads the epochs from the headers of all batches, and writes the checkpoint, which could not be read.
pub(crate) fn rebuild(
    files: &dyn Files,
    dir: &Path,
    segments: &[Segment],
    error: &str,
) -> io::Result<Vec<(i32, i64)>> {
    let mut epochs = Vec::new();
    for segment in segments {
        for (from, end) in segment.good_ranges(0) {
            let walked = segment::walk(&*segment.file, from, end, Check::Header, |_, header| {
                let epoch = header.partition_leader_epoch;
                if epochs.last().is_none_or(|(last, _)| *last < epoch) {
                    epochs.push((epoch, header.base_offset));
                }
                true
            });
            // What is behind damage is found when it is read.
            drop(walked);
        }
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
