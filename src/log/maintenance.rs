//! Background work: retention, unlinking of deleted files, checkpoints, expiry of producer state.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use crate::{
    append::is_shortage,
    checkpoint::{self, Offsets},
    copies::{COPIES, Copies, PartitionCopy},
    manager::{Checkpointed, Directory, LogManager},
    partition_log::PartitionLog,
    segment::{self, Segment},
    state::State,
};

/// How often the thread looks for due work.
const TICK: Duration = Duration::from_secs(1);
/// How often offset checkpoints are written where they changed. Kafka's default is a minute; recovery after a crash reads
/// what was written since.
const CHECKPOINT_INTERVAL_MS: i64 = 5_000;

#[derive(Debug, Default)]
struct Inbox {
    stopping: bool,
    /// Paths to unlink and when.
    unlink: Vec<(PathBuf, i64)>,
}

/// The maintenance thread's inbox.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    inbox: Mutex<Inbox>,
    wake: Condvar,
}

impl Maintenance {
    /// Starts the thread; it ends with the manager or by [`Maintenance::stop`].
    pub(crate) fn start(manager: &Arc<LogManager>) -> io::Result<thread::JoinHandle<()>> {
        let maintenance = Arc::clone(&manager.maintenance);
        let manager = Arc::downgrade(manager);
        thread::Builder::new()
            .name("log-maintenance".to_owned())
            .spawn(move || run(&manager, &maintenance))
    }

    /// Waits for the next tick; `false` when it is time to end.
    fn tick(&self) -> bool {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.stopping {
            return false;
        }
        let (inbox, _) = self
            .wake
            .wait_timeout(inbox, TICK)
            .unwrap_or_else(PoisonError::into_inner);
        !inbox.stopping
    }

    pub(crate) fn stop(&self) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.wake.notify_one();
    }

    /// Unlinks a file or directory at `due_ms`.
    pub(crate) fn unlink_later(&self, path: PathBuf, due_ms: i64) {
        self.inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unlink
            .push((path, due_ms));
    }

    fn take_due(&self, now_ms: i64) -> Vec<PathBuf> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, rest) = std::mem::take(&mut inbox.unlink)
            .into_iter()
            .partition(|(_, at)| *at <= now_ms);
        inbox.unlink = rest;
        let due: Vec<(PathBuf, i64)> = due;
        due.into_iter().map(|(path, _)| path).collect()
    }
}

fn run(manager: &Weak<LogManager>, maintenance: &Maintenance) {
    let (mut last_retention, mut last_checkpoint) = (None, None);
    loop {
        let Some(manager) = manager.upgrade() else { return };
        let now_ms = manager.env.clock.now_ms();
        let due = |last: Option<i64>, interval: i64| last.is_none_or(|last| now_ms - last >= interval);
        manager.unlink_due();
        if due(last_retention, manager.config.retention_check_interval_ms) {
            let rolled = manager.apply_retention();
            // A segment that was closed to be deleted goes once the one behind it is on disk.
            last_retention = (!rolled).then_some(now_ms);
        }
        if due(last_checkpoint, CHECKPOINT_INTERVAL_MS) {
            // At a start there is nothing new to be done.
            if last_checkpoint.replace(now_ms).is_some() {
                manager.close_unused_segments();
                manager.make_marks();
            }
            if let Err(error) = manager.write_checkpoints() {
                tracing::warn!(%error, "checkpoints could not be written; a restart would check more");
            }
        }
        // The manager is not kept alive by waiting.
        drop(manager);
        if !maintenance.tick() {
            return;
        }
    }
}

impl LogManager {
    /// Unlinks what was deleted long enough ago. What is in a directory that went offline stays: the new name may not be on
    /// disk, and under the old one it must be whole.
    pub(crate) fn unlink_due(&self) {
        let offline = |path: &Path| {
            let mut of = self.directories.iter().filter(|d| path.starts_with(&d.path));
            of.any(|directory| directory.health.offline().is_some())
        };
        for path in self.maintenance.take_due(self.env.clock.now_ms()) {
            if offline(&path) {
                continue;
            }
            let files = &*self.env.files;
            let removed = if path.extension().is_some_and(|extension| extension == "deleted") {
                files.remove_file(&path)
            } else {
                files.remove_dir_all(&path)
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "deleted file could not be unlinked; the next start removes it");
            }
        }
    }

    /// Lets go of the files of closed segments that nobody reads: there may be more than the process may have open.
    pub(crate) fn close_unused_segments(&self) {
        for log in self.logs() {
            log.close_unused_segments();
        }
    }

    /// Deletes expired segments of every log, by time, size and log start, and expires producer state. The maintenance
    /// thread calls it every `log.retention.check.interval.ms`. Returns whether an expired active segment was closed: it
    /// is deleted by the next call after a commit round.
    pub fn apply_retention(&self) -> bool {
        let now_ms = self.env.clock.now_ms();
        let producers_ms = self.changing().producer_id_expiration_ms;
        let mut any_rolled = false;
        for log in self.logs() {
            log.lock().producers.expire(now_ms, producers_ms);
            if log.offline().is_some() {
                continue;
            }
            match log.delete_expired(now_ms) {
                Ok(Expired { rolled, renamed }) => {
                    any_rolled |= rolled;
                    let due_ms = now_ms + log.config().file_delete_delay_ms;
                    for path in renamed {
                        self.maintenance.unlink_later(path, due_ms);
                    }
                }
                Err(error) => {
                    tracing::warn!(topic = log.topic(), partition = log.partition(), %error, "retention failed; tried again at the next check");
                }
            }
        }
        any_rolled
    }

    /// Writes the offset checkpoints of all directories that are online.
    ///
    /// # Errors
    /// The last one, after all directories were tried.
    pub(crate) fn write_checkpoints(&self) -> io::Result<()> {
        let online = self.directories.iter().filter(|d| d.health.offline().is_none());
        online
            .map(|directory| self.checkpoint(directory))
            .fold(Ok(()), Result::and)
    }

    /// Writes the offset checkpoints of one directory, those that changed. A shortage of space keeps the old ones, which is
    /// safe; any other failure takes the directory offline.
    pub(crate) fn checkpoint(&self, directory: &Directory) -> io::Result<()> {
        // Held from the first look at the logs on, so that an older view is never written after a newer one.
        let mut written = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.write_changed(directory, &mut written);
        drop(written);
        result.map_err(|(path, error)| {
            if !is_shortage(&error) {
                self.take_offline(directory, &format!("writing {} failed: {error}", path.display()));
            }
            error
        })
    }

    /// Fails with the file that could not be written.
    fn write_changed(
        &self,
        directory: &Directory,
        written: &mut Checkpointed,
    ) -> Result<(), (PathBuf, io::Error)> {
        let (mut recovery, mut starts, mut watermarks) = (Offsets::new(), Offsets::new(), Offsets::new());
        let mut copies = Copies {
            identity: directory.identity.get().cloned(),
            ..Copies::default()
        };
        for log in self.logs().iter().filter(|log| log.log_dir == directory.path) {
            let key = (log.topic().to_owned(), log.partition());
            let state = log.lock();
            let inside = state.log_start_offset > state.segments[0].base_offset;
            let log_start_offset = inside.then_some(state.log_start_offset);
            starts.extend(log_start_offset.map(|offset| (key.clone(), offset)));
            let copy = PartitionCopy {
                topic_id: log.topic_id(),
                log_start_offset,
                epochs: state.epochs.clone(),
            };
            copies.partitions.insert(key.clone(), copy);
            recovery.insert(key.clone(), state.recovery_point);
            watermarks.insert(key, state.committed.offset);
        }
        if written.copies.get(&directory.path) != Some(&copies) {
            let path = directory.path.join(COPIES);
            let content = copies.render();
            let result = self.env.files.write_atomic(&path, content.as_bytes());
            result.map_err(|error| (path, error))?;
            written.copies.insert(directory.path.clone(), copies);
        }
        for (name, mut offsets) in [
            (checkpoint::RECOVERY_POINT, recovery),
            (checkpoint::LOG_START, starts),
            (checkpoint::HIGH_WATERMARK, watermarks),
        ] {
            let path = directory.path.join(name);
            self.keep_unusable(directory, &mut offsets, written.offsets.get(&path));
            if written.offsets.get(&path) != Some(&offsets) {
                let result = checkpoint::write_offsets(&*self.env.files, &path, &offsets);
                result.map_err(|error| (path.clone(), error))?;
                written.offsets.insert(path, offsets);
            }
        }
        Ok(())
    }

    /// What was known of partitions that could not be opened holds until they can.
    fn keep_unusable(&self, directory: &Directory, offsets: &mut Offsets, written: Option<&Offsets>) {
        for (key, (log_dir, _)) in &self.unusable {
            if *log_dir == directory.path
                && let Some(offset) = written.and_then(|written| written.get(key))
            {
                offsets.entry(key.clone()).or_insert(*offset);
            }
        }
    }

    /// Takes partitions that are gone out of the checkpoints, which know them by name only: new ones of the same name
    /// start without what was true of the old ones.
    pub(crate) fn forget_checkpoints(&self, topic: &str, partitions: Range<i32>) -> io::Result<()> {
        let names = (topic.to_owned(), partitions.start)..(topic.to_owned(), partitions.end);
        let written = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut offsets = written.offsets.values();
        let known = offsets.any(|offsets| offsets.range(names.clone()).next().is_some())
            || written
                .copies
                .values()
                .any(|copies| copies.partitions.range(names.clone()).next().is_some());
        drop(written);
        if known { self.write_checkpoints() } else { Ok(()) }
    }
}

/// What retention did to a log.
#[derive(Debug, Default)]
struct Expired {
    /// The active segment was closed.
    rolled: bool,
    /// Files that are to be unlinked.
    renamed: Vec<PathBuf>,
}

/// How many segments from the front have expired, the active one included when it holds records.
fn count_expired(state: &State, now_ms: i64) -> usize {
    let config = &state.config;
    let bytes = |segment: &Segment| i64::try_from(segment.size).unwrap_or(i64::MAX);
    let mut size: i64 = state.segments.iter().map(bytes).sum();
    let mut count = 0;
    for (index, segment) in state.segments.iter().enumerate() {
        let by_time = config.retention_ms >= 0 && segment.age_ms(now_ms) > config.retention_ms;
        let by_size = config.retention_bytes >= 0 && size - bytes(segment) >= config.retention_bytes;
        let next_base = state.segments.get(index + 1).map(|next| next.base_offset);
        let by_start = next_base.is_some_and(|next| next <= state.log_start_offset);
        let expired = config.delete && (by_time || by_size) || by_start;
        if !expired || (next_base.is_none() && segment.size == 0) {
            break;
        }
        size -= bytes(segment);
        count += 1;
    }
    count
}

impl PartitionLog {
    /// Lets go of the files of closed segments that nobody reads.
    pub(crate) fn close_unused_segments(&self) {
        if let Some((_, closed)) = self.lock().segments.split_last_mut() {
            for segment in closed {
                segment.close_unused(&self.env.files);
            }
        }
    }

    /// Renames the files of expired segments and moves the log start.
    fn delete_expired(&self, now_ms: i64) -> io::Result<Expired> {
        let mut state = self.lock();
        if state.deleted || state.closed {
            return Ok(Expired::default());
        }
        // Never past what is acknowledged.
        let deletable = state
            .segments
            .partition_point(|segment| segment.base_offset < state.committed.segment);
        let expired = count_expired(&state, now_ms);
        let mut rolled = expired == state.segments.len() && state.committed.offset == state.log_end_offset;
        if rolled && let Err(error) = self.roll(&mut state) {
            if !is_shortage(&error) {
                return Err(error);
            }
            // There is room again when the closed ones are gone.
            tracing::warn!(topic = self.topic(), partition = self.partition(), %error, "no room to close the expired active segment; tried again at the next check");
            rolled = false;
        }
        let count = expired.min(deletable);
        if count == 0 {
            if rolled {
                self.submit_or_advance(state);
            }
            return Ok(Expired {
                rolled,
                renamed: Vec::new(),
            });
        }
        let directory = self.env.files.open_dir(&state.dir)?;
        let mut renamed = Vec::new();
        let mut gone = 0;
        let mut failed = None;
        for segment in &state.segments[..count] {
            // One that cannot be renamed stays, and with it those behind it.
            failed = self.rename_deleted(&state.dir, segment, &mut renamed).err();
            if failed.is_some() {
                break;
            }
            gone += 1;
        }
        state.segments.drain(..gone);
        if let Some(error) = failed {
            tracing::warn!(topic = self.topic(), partition = self.partition(), %error, "expired segment cannot be deleted; tried again at the next check");
        }
        let first = state.segments[0].base_offset;
        state.log_start_offset = state.log_start_offset.max(first);
        state.touch(directory);
        self.publish_start(state.log_start_offset);
        self.submit_or_advance(state);
        Ok(Expired { rolled, renamed })
    }

    fn rename_deleted(&self, dir: &Path, segment: &Segment, renamed: &mut Vec<PathBuf>) -> io::Result<()> {
        let files = &*self.env.files;
        // The log comes last: as long as it has its name the segment can be read.
        for suffix in ["snapshot", "timeindex", "index", "log"] {
            let from = segment::path(dir, segment.base_offset, suffix);
            if files.exists(&from) {
                let to = segment::path(dir, segment.base_offset, &format!("{suffix}.deleted"));
                files.rename(&from, &to)?;
                renamed.push(to);
            }
        }
        tracing::info!(
            topic = self.topic(),
            partition = self.partition(),
            base_offset = segment.base_offset,
            bytes = segment.size,
            "deleted expired segment"
        );
        Ok(())
    }

    /// Writes the active segment's indexes and a producer snapshot for an orderly shutdown.
    pub(crate) fn write_closing_files(&self) -> io::Result<()> {
        let mut state = self.lock();
        let files = &*self.env.files;
        let dir = state.dir.clone();
        state.cut_rest()?;
        for file in state.active().write_indexes(&self.env.files, &dir)? {
            state.touch(file);
        }
        let end = state.log_end_offset;
        let path = segment::path(&dir, end, "snapshot");
        if end > 0 && !files.exists(&path) {
            let snapshot = files.open(&path, true)?;
            snapshot.write_all_at(&state.producers.encode(), 0)?;
            state.touch(snapshot);
            let directory = files.open_dir(&dir)?;
            state.touch(directory);
        }
        Ok(())
    }
}
