//! Marks: places in segments that are still written to, from which recovery goes on instead of reading them from their start.
//!
//! A mark is a producer snapshot at the log end offset of a moment, made when the index entries in front of it were on disk.
//! So whoever finds its file may rely on these entries, and on the recovery point for the batches they lead to. Kafka takes
//! such snapshots for those of a shutdown, and removes those it does not need.

use std::{io, sync::Arc};

use jackfield_env::File;

use crate::{manager::LogManager, partition_log::PartitionLog, segment, state::State};

/// Bytes written since the last mark that are worth a new one. Recovery reads the headers of about as much.
const MARK_BYTES: u64 = 1 << 20;
/// Logs whose marks are made durable together; so many files stay open until then.
const LOGS_PER_SYNC: usize = 64;
/// Marks kept: recovery goes on at the newest one before the recovery point of the last checkpoint.
const KEPT: usize = 2;

/// A mark whose index entries are written, and not durable yet.
struct Mark {
    log: Arc<PartitionLog>,
    offset: i64,
    snapshot: Vec<u8>,
}

impl LogManager {
    /// Makes marks in all logs that have grown enough. A failed sync takes the directory offline.
    pub(crate) fn make_marks(&self) {
        let due: Vec<_> = self.logs().into_iter().filter(|log| log.is_mark_due()).collect();
        for portion in due.chunks(LOGS_PER_SYNC) {
            let mut entries = Vec::new();
            let marks: Vec<Mark> = portion
                .iter()
                .filter_map(|log| log.begin_mark(&mut entries))
                .collect();
            if !self.sync_marks(&entries) {
                return;
            }
            let mut snapshots = Vec::new();
            for mark in &marks {
                mark.log.write_mark(mark, &mut snapshots);
            }
            if !self.sync_marks(&snapshots) {
                return;
            }
            for mark in &marks {
                mark.log.drop_old_marks();
            }
        }
    }

    fn sync_marks(&self, files: &[Arc<dyn File>]) -> bool {
        let results = self.env.files.sync_data_many(files);
        let failed = results.into_iter().zip(files).map(|(result, file)| {
            // They may be of several directories.
            result.map_err(|error| self.sync_failed(file.path(), &error))
        });
        failed.fold(Ok(()), Result::and).is_ok()
    }
}

impl PartitionLog {
    fn is_mark_due(&self) -> bool {
        let mut state = self.lock();
        let usable = !state.deleted && !state.closed && self.offline().is_none();
        let active = state.active();
        usable && !active.is_damaged() && active.size >= active.marked.saturating_add(MARK_BYTES)
    }

    /// Writes the index entries in front of the mark; adds their files to `unsynced`.
    fn begin_mark(self: &Arc<Self>, unsynced: &mut Vec<Arc<dyn File>>) -> Option<Mark> {
        let mut state = self.lock();
        if state.deleted || state.closed {
            return None;
        }
        let State {
            segments,
            dir,
            log_end_offset,
            producers,
            ..
        } = &mut *state;
        let active = segments.last_mut()?;
        match active.indexes.spill(&self.env.files, dir, active.base_offset) {
            Ok(files) => unsynced.extend(files),
            Err(error) => {
                self.report(&error);
                return None;
            }
        }
        active.marked = active.size;
        Some(Mark {
            log: Arc::clone(self),
            offset: *log_end_offset,
            snapshot: producers.encode(),
        })
    }

    /// Writes the snapshot; adds it and its directory to `unsynced`.
    fn write_mark(&self, mark: &Mark, unsynced: &mut Vec<Arc<dyn File>>) {
        let mut state = self.lock();
        if state.deleted || state.closed {
            return;
        }
        let files = &*self.env.files;
        let path = segment::path(&state.dir, mark.offset, "snapshot");
        let written = (|| {
            let directory = files.open_dir(&state.dir)?;
            let snapshot = files.open(&path, true)?;
            snapshot.set_len(0)?;
            snapshot.write_all_at(&mark.snapshot, 0)?;
            Ok([snapshot, directory])
        })();
        match written {
            Ok(written) => {
                unsynced.extend(written);
                state.marks.push(mark.offset);
            }
            Err(error) => {
                self.report(&error);
                files.remove_file(&path).ok();
            }
        }
    }

    fn drop_old_marks(&self) {
        let mut state = self.lock();
        let count = state.marks.len().saturating_sub(KEPT);
        let old: Vec<i64> = state.marks.drain(..count).collect();
        for offset in old {
            // The snapshot at the base of a segment has a use of its own.
            if state.segments.iter().all(|segment| segment.base_offset != offset) && !state.deleted {
                let path = segment::path(&state.dir, offset, "snapshot");
                if let Err(error) = self.env.files.remove_file(&path) {
                    self.report(&error);
                }
            }
        }
    }

    fn report(&self, error: &io::Error) {
        tracing::debug!(topic = self.topic(), partition = self.partition(), %error, "mark cannot be made; recovery would read more");
    }
}
