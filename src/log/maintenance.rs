//! Background work: retention, unlinking of deleted files, checkpoints, expiry of producer state.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use crate::{manager::LogManager, partition_log::PartitionLog, segment};

/// How often the thread looks for due work.
const TICK: Duration = Duration::from_secs(1);
/// How often offset checkpoints are written (`log.flush.offset.checkpoint.interval.ms`).
const CHECKPOINT_INTERVAL_MS: i64 = 60_000;

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
    pub(crate) fn start(manager: &Arc<LogManager>) -> std::io::Result<thread::JoinHandle<()>> {
        let manager = Arc::downgrade(manager);
        thread::Builder::new()
            .name("log-maintenance".to_owned())
            .spawn(move || run(&manager))
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

fn run(manager: &Weak<LogManager>) {
    let (mut last_retention, mut last_checkpoint) = (None, None);
    loop {
        let Some(manager) = manager.upgrade() else { return };
        let now_ms = manager.env.clock.now_ms();
        let due = |last: Option<i64>, interval: i64| last.is_none_or(|last| now_ms - last >= interval);
        manager.unlink_due();
        if due(last_retention, manager.config.retention_check_interval_ms) {
            last_retention = Some(now_ms);
            manager.apply_retention();
        }
        if due(last_checkpoint, CHECKPOINT_INTERVAL_MS) {
            last_checkpoint = Some(now_ms);
            if let Err(error) = manager.write_checkpoints(false) {
                tracing::warn!(%error, "checkpoints could not be written; a restart would check more");
            }
        }
        let inbox = manager
            .maintenance
            .inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if inbox.stopping {
            return;
        }
        let (inbox, _) = manager
            .maintenance
            .wake
            .wait_timeout(inbox, TICK)
            .unwrap_or_else(PoisonError::into_inner);
        if inbox.stopping {
            return;
        }
    }
}

impl LogManager {
    /// Unlinks what was deleted long enough ago.
    pub(crate) fn unlink_due(&self) {
        for path in self.maintenance.take_due(self.env.clock.now_ms()) {
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

    /// Deletes expired segments of every log, by time, size and log start, and expires producer state. The maintenance
    /// thread calls it every `log.retention.check.interval.ms`.
    pub fn apply_retention(&self) {
        let now_ms = self.env.clock.now_ms();
        for log in self.logs() {
            log.lock()
                .producers
                .expire(now_ms, self.config.producer_id_expiration_ms);
            if log.offline().is_some() {
                continue;
            }
            match log.delete_expired(now_ms) {
                Ok(paths) => {
                    let due_ms = now_ms + log.config().file_delete_delay_ms;
                    for path in paths {
                        self.maintenance.unlink_later(path, due_ms);
                    }
                }
                Err(error) => {
                    tracing::warn!(topic = log.topic(), partition = log.partition(), %error, "retention failed; tried again at the next check");
                }
            }
        }
    }
}

impl PartitionLog {
    /// Renames the files of expired segments and moves the log start; returns the renamed paths.
    fn delete_expired(&self, now_ms: i64) -> std::io::Result<Vec<PathBuf>> {
        let mut state = self.lock();
        if !state.config.delete || state.deleted {
            return Ok(Vec::new());
        }
        let config = state.config.clone();
        // Never past what is acknowledged.
        let deletable = state
            .segments
            .partition_point(|segment| segment.base_offset < state.committed.segment);
        let all_expired = config.retention_ms >= 0
            && state
                .segments
                .iter()
                .all(|s| s.size > 0 && now_ms - s.max_timestamp > config.retention_ms);
        if all_expired
            && deletable == state.segments.len() - 1
            && state.committed.offset == state.log_end_offset
        {
            self.roll(&mut state)?;
            state.committed = state.end();
        }
        let deletable = state
            .segments
            .partition_point(|segment| segment.base_offset < state.committed.segment);
        let mut size: i64 = state
            .segments
            .iter()
            .map(|s| i64::try_from(s.size).unwrap_or(i64::MAX))
            .sum();
        let mut count = 0;
        for (index, segment) in state.segments[..deletable].iter().enumerate() {
            let bytes = i64::try_from(segment.size).unwrap_or(i64::MAX);
            let next_base = state.segments[index + 1].base_offset;
            let by_time = config.retention_ms >= 0 && now_ms - segment.max_timestamp > config.retention_ms;
            let by_size = config.retention_bytes >= 0 && size - bytes >= config.retention_bytes;
            if !(by_time || by_size || next_base <= state.log_start_offset) {
                break;
            }
            size -= bytes;
            count += 1;
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut renamed = Vec::new();
        let files = &*self.env.files;
        for segment in state.segments.drain(..count).collect::<Vec<_>>() {
            for suffix in ["log", "index", "timeindex", "snapshot"] {
                let from = segment::path(&state.dir, segment.base_offset, suffix);
                if files.exists(&from) {
                    let to = segment::path(&state.dir, segment.base_offset, &format!("{suffix}.deleted"));
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
        }
        let first = state.segments[0].base_offset;
        state.log_start_offset = state.log_start_offset.max(first);
        let directory = files.open_dir(&state.dir)?;
        state.touch(directory);
        self.publish_start(state.log_start_offset);
        self.submit_or_advance(state);
        Ok(renamed)
    }

    /// Writes the active segment's indexes and a producer snapshot for an orderly shutdown.
    pub(crate) fn write_closing_files(&self) -> std::io::Result<()> {
        let mut state = self.lock();
        let files = &*self.env.files;
        let dir = state.dir.clone();
        for file in state.active().write_indexes(files, &dir)? {
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
