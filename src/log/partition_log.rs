//! The log of one partition: identity, positions, waiting. Appending, reading and recovery are in their own files.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use jackfield_env::Env;
use tokio::sync::Notify;

use crate::{
    AppendError, Durability, LogConfig, TopicId,
    commit::{Committer, DirectoryHealth},
    state::{End, State, Unsynced},
};

/// Appends in flight beyond which those that gave up are swept out.
const SWEEP_WAITERS: usize = 32;

/// The log of one partition.
#[derive(Debug)]
pub struct PartitionLog {
    topic: Arc<str>,
    partition: i32,
    topic_id: TopicId,
    /// The log directory (not the partition's).
    pub(crate) log_dir: PathBuf,
    pub(crate) env: Env,
    durability: Durability,
    health: Arc<DirectoryHealth>,
    committer: Arc<Committer>,
    state: Mutex<State>,
    // Copies of what the state says, readable without its lock.
    high_watermark: AtomicI64,
    log_end_offset: AtomicI64,
    log_start_offset: AtomicI64,
    deleted: AtomicBool,
    waiters: Mutex<Vec<Weak<Notify>>>,
    /// Held while a segment is examined.
    pub(crate) examining: Mutex<()>,
    me: Weak<Self>,
}

/// What all logs of a directory share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) log_dir: PathBuf,
    pub(crate) env: Env,
    pub(crate) durability: Durability,
    pub(crate) health: Arc<DirectoryHealth>,
    pub(crate) committer: Arc<Committer>,
}

impl PartitionLog {
    pub(crate) fn new(
        topic: &str,
        partition: i32,
        topic_id: TopicId,
        shared: Shared,
        state: State,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            topic: topic.into(),
            partition,
            topic_id,
            log_dir: shared.log_dir,
            env: shared.env,
            durability: shared.durability,
            health: shared.health,
            committer: shared.committer,
            high_watermark: AtomicI64::new(state.committed.offset),
            log_end_offset: AtomicI64::new(state.log_end_offset),
            log_start_offset: AtomicI64::new(state.log_start_offset),
            deleted: AtomicBool::new(state.deleted),
            state: Mutex::new(state),
            waiters: Mutex::new(Vec::new()),
            examining: Mutex::new(()),
            me: Weak::clone(me),
        })
    }

    /// Topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Partition index.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Topic id.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Current leader epoch.
    pub fn leader_epoch(&self) -> i32 {
        self.lock().epochs.last().map_or(0, |(epoch, _)| *epoch)
    }

    /// First offset kept.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset.load(Ordering::Acquire)
    }

    /// Next offset to be written.
    pub fn log_end_offset(&self) -> i64 {
        self.log_end_offset.load(Ordering::Acquire)
    }

    /// Offset below which everything is acknowledged and readable.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Settings in force.
    pub fn config(&self) -> LogConfig {
        self.lock().config.clone()
    }

    /// Replaces the settings.
    pub fn set_config(&self, config: LogConfig) {
        self.lock().config = config;
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.lock().segments.iter().map(|segment| segment.size).sum()
    }

    /// Waits until everything up to and including `offset` is acknowledged under the configured durability.
    ///
    /// # Errors
    /// [`AppendError::Storage`] when the log went offline or was deleted before.
    pub async fn committed(&self, offset: i64) -> Result<(), AppendError> {
        if self.high_watermark() > offset {
            return Ok(());
        }
        loop {
            let waiter = Arc::new(Notify::new());
            self.notify_fresh(&waiter);
            if self.high_watermark() > offset {
                return Ok(());
            }
            self.check_online(&self.lock())?;
            waiter.notified().await;
        }
    }

    /// Registers `waiter` to be notified once, when the high watermark next moves or the log goes away. It is kept once
    /// however often it registers, and forgotten when it was dropped: a reader of many partitions comes back to an idle
    /// one at each of its rounds.
    pub fn notify_on_advance(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = false;
        waiters.retain(|other| {
            known |= std::ptr::eq(other.as_ptr(), Arc::as_ptr(waiter));
            other.strong_count() > 0
        });
        if !known {
            waiters.push(Arc::downgrade(waiter));
        }
    }

    /// As [`PartitionLog::notify_on_advance`] for a waiter that was made just now, so that thousands of appends in flight
    /// do not search each other.
    fn notify_fresh(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.len() >= SWEEP_WAITERS && waiters.len().is_power_of_two() {
            waiters.retain(|known| known.strong_count() > 0);
        }
        waiters.push(Arc::downgrade(waiter));
    }

    /// Waiters held.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn wake(&self) {
        let waiters = std::mem::take(&mut *self.waiters.lock().unwrap_or_else(PoisonError::into_inner));
        for waiter in waiters.iter().filter_map(Weak::upgrade) {
            waiter.notify_one();
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its directory cannot be used: it refuses everything.
    pub fn is_offline(&self) -> bool {
        self.health.is_offline()
    }

    pub(crate) fn offline(&self) -> Option<String> {
        self.health.offline()
    }

    pub(crate) fn check_online(&self, state: &State) -> Result<(), AppendError> {
        if state.deleted {
            return Err(AppendError::Storage(format!(
                "{}-{} was deleted",
                self.topic, self.partition
            )));
        }
        if state.closed {
            return Err(AppendError::Storage("the broker is shutting down".to_owned()));
        }
        self.offline()
            .map_or(Ok(()), |reason| Err(AppendError::Storage(reason)))
    }

    /// After an append: publishes the new end and hands the log to the commit thread. Where the page cache is promised
    /// only, it acknowledges at once, and the thread sees closed segments only.
    pub(crate) fn submit_or_advance(&self, mut state: MutexGuard<'_, State>) {
        self.log_end_offset.store(state.log_end_offset, Ordering::Release);
        let wanted = self.durability == Durability::Fsync || state.rolled;
        let submit = wanted && !std::mem::replace(&mut state.queued, true);
        let end = state.end();
        drop(state);
        if submit && let Some(me) = self.me.upgrade() {
            self.committer.submit(me);
        }
        if self.durability == Durability::Os {
            self.advance(end);
        }
    }

    /// What the next commit round has to make durable.
    pub(crate) fn take_unsynced(&self) -> Unsynced {
        let mut state = self.lock();
        state.queued = false;
        state.rolled = false;
        Unsynced {
            files: std::mem::take(&mut state.unsynced),
            end: state.end(),
        }
    }

    /// Everything before `end` is on disk.
    pub(crate) fn synced(&self, end: End) {
        let mut state = self.lock();
        state.recovery_point = state.recovery_point.max(end.offset);
        drop(state);
        self.advance(end);
    }

    /// Everything before `end` is acknowledged.
    fn advance(&self, end: End) {
        let mut state = self.lock();
        if end.offset > state.committed.offset || end.segment > state.committed.segment {
            state.committed = end;
            self.high_watermark.store(end.offset, Ordering::Release);
        }
        drop(state);
        self.wake();
    }

    /// Publishes a moved log start.
    pub(crate) fn publish_start(&self, offset: i64) {
        self.log_start_offset.store(offset, Ordering::Release);
    }

    /// Takes the whole log directory offline.
    pub(crate) fn fail(&self, reason: String) {
        self.health.fail(reason);
        self.wake();
    }

    /// Refuses appends from now on; waiters hear of it.
    pub(crate) fn mark_closed(&self) {
        self.lock().closed = true;
        self.wake();
    }

    /// Whether its topic was deleted: it refuses everything.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Refuses everything from now on; waiters hear of it.
    pub fn mark_deleted(&self) {
        let mut state = self.lock();
        state.deleted = true;
        self.deleted.store(true, Ordering::Release);
        drop(state);
        self.wake();
    }
}
