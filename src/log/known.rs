//! What the files of a log directory say about its partitions, before any of these is opened.

use std::{io, path::Path};

use jackfield_env::Files;

use crate::{
    batches::LAST_POSSIBLE_OFFSET,
    checkpoint::{self, Offsets},
    copies::{self, Copies, PartitionCopy},
};

/// What the directory's checkpoints say about one partition.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The last shutdown was orderly.
    pub(crate) clean: bool,
    /// Everything before is on disk and indexed, and was acknowledged.
    pub(crate) recovery_point: i64,
    /// After an orderly shutdown: the log ends at the recovery point.
    pub(crate) ends_there: bool,
    /// First offset kept, when a checkpoint names one.
    pub(crate) log_start_offset: Option<i64>,
    /// What the partition's own small files should say.
    pub(crate) copy: Option<PartitionCopy>,
}

/// The checkpoints of a log directory.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    pub(crate) clean: bool,
    pub(crate) recovery_points: Offsets,
    pub(crate) starts: Offsets,
    pub(crate) watermarks: Offsets,
    pub(crate) copies: Copies,
}

impl Checkpoints {
    /// Reads them; damaged ones are reported.
    pub(crate) fn read(files: &dyn Files, log_dir: &Path) -> io::Result<Self> {
        let read = |name: &str| checkpoint::read_offsets_or_none(files, &log_dir.join(name));
        let read = Self {
            clean: files.exists(&log_dir.join(checkpoint::CLEAN_SHUTDOWN)),
            recovery_points: read(checkpoint::RECOVERY_POINT)?,
            starts: read(checkpoint::LOG_START)?,
            watermarks: read(checkpoint::HIGH_WATERMARK)?,
            copies: copies::read(files, log_dir)?,
        };
        for (key, start, copied) in read.wrong_starts() {
            tracing::warn!(
                file = %log_dir.join(checkpoint::LOG_START).display(), topic = key.0, partition = key.1, log_start_offset = start, copied,
                "log start offset differs from its copy, which is taken; the file is written anew"
            );
        }
        Ok(read)
    }

    /// Log start offsets that are damaged, by their copies: partition, offset, copy. One that is only older than its copy is
    /// none: a broker that ended without a word had written the one, and not yet the other.
    pub(crate) fn wrong_starts(&self) -> impl Iterator<Item = (&(String, i32), Option<i64>, Option<i64>)> {
        self.copies.partitions.iter().filter_map(|(key, copy)| {
            let start = self.starts.get(key).copied();
            let copied = copy.log_start_offset;
            let is_older = copied.is_none_or(|_| start < copied);
            let is_wrong = start != copied && (self.clean || !is_older);
            is_wrong.then_some((key, start, copied))
        })
    }

    /// What is known of one partition.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> Known {
        let key = (topic.to_owned(), partition);
        let copy = self.copies.partitions.get(&key).cloned();
        // What cannot be an offset is damage.
        let possible = |offset: &i64| (0..=LAST_POSSIBLE_OFFSET).contains(offset);
        let start = self.starts.get(&key).copied().filter(possible);
        // Written together, the high watermark is never the smaller one: where they differ the smaller one is safe.
        let recovery_point = self.recovery_points.get(&key).copied().filter(possible);
        let watermark = self.watermarks.get(&key).copied().filter(possible);
        Known {
            clean: self.clean,
            recovery_point: recovery_point.unwrap_or(0).min(watermark.unwrap_or(i64::MAX)),
            ends_there: self.clean && recovery_point.is_some() && recovery_point == watermark,
            log_start_offset: copy.as_ref().map_or(start, |copy| copy.log_start_offset),
            copy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicId;

    /// The copy is written first.
    #[test]
    fn a_log_start_that_is_older_than_its_copy_is_damaged_after_an_orderly_end_only() {
        for (start, copied, is_wrong_after_a_crash) in [
            (None, Some(5), false),
            (Some(3), Some(5), false),
            (Some(3), None, false),
            (Some(7), Some(5), true),
        ] {
            for clean in [true, false] {
                let key = ("t".to_owned(), 0);
                let mut checkpoints = Checkpoints {
                    clean,
                    recovery_points: Offsets::new(),
                    starts: start.map(|start| (key.clone(), start)).into_iter().collect(),
                    watermarks: Offsets::new(),
                    copies: Copies::default(),
                };
                let copy = PartitionCopy {
                    topic_id: TopicId([1; 16]),
                    log_start_offset: copied,
                    epochs: Vec::new(),
                };
                checkpoints.copies.partitions.insert(key, copy);
                let is_wrong = checkpoints.wrong_starts().count() > 0;
                assert_eq!(
                    is_wrong,
                    clean || is_wrong_after_a_crash,
                    "{start:?} {copied:?} {clean}"
                );
            }
        }
    }
}
