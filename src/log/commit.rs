//! Group commit: one thread makes everything written since its last round durable, in one round for all partitions.
//!
//! While a round runs, the next one collects. After a round every log in it moves its high watermark, which is what
//! acknowledges. A sync error takes the log's directory offline; it is never retried, because the kernel may have dropped
//! the dirty pages.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jackfield_env::{File, Files};

use crate::{partition_log::PartitionLog, state::Unsynced};

#[derive(Debug, Default)]
struct Queue {
    dirty: Vec<Arc<PartitionLog>>,
    stopping: bool,
}

/// The commit thread's inbox.
#[derive(Debug, Default)]
pub(crate) struct Committer {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// State of one log directory.
#[derive(Debug, Default)]
pub(crate) struct DirectoryHealth {
    offline: AtomicBool,
    reason: Mutex<String>,
}

impl DirectoryHealth {
    /// Of what cannot be used from the beginning, of which the operator was told.
    pub(crate) fn failed(reason: String) -> Self {
        Self {
            offline: AtomicBool::new(true),
            reason: Mutex::new(reason),
        }
    }

    /// Whether the directory is offline.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Acquire)
    }

    /// Why the directory is offline; `None` while it works.
    pub(crate) fn offline(&self) -> Option<String> {
        self.offline
            .load(Ordering::Acquire)
            .then(|| self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Takes the directory offline, once.
    pub(crate) fn fail(&self, reason: String) {
        let mut held = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.offline.load(Ordering::Acquire) {
            tracing::error!(error = %reason, "log directory is offline: nothing in it is acknowledged or read any more; repair the disk and restart");
            *held = reason;
            self.offline.store(true, Ordering::Release);
        }
    }
}

impl Committer {
    /// Starts the commit thread.
    ///
    /// # Errors
    /// The operating system's, when no thread can be started.
    pub(crate) fn start(self: &Arc<Self>, files: Arc<dyn Files>) -> std::io::Result<thread::JoinHandle<()>> {
        let committer = Arc::clone(self);
        thread::Builder::new()
            .name("log-commit".to_owned())
            .spawn(move || committer.run(&*files))
    }

    /// Puts a log into the next round.
    pub(crate) fn submit(&self, log: Arc<PartitionLog>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.dirty.push(log);
        self.wake.notify_one();
    }

    /// What the next round would take, for tests that run rounds themselves.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Arc<PartitionLog>> {
        std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner).dirty)
    }

    /// Ends the thread after a last round.
    pub(crate) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.wake.notify_one();
    }

    fn run(&self, files: &dyn Files) {
        loop {
            let (dirty, stopping) = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                while queue.dirty.is_empty() && !queue.stopping {
                    queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                (std::mem::take(&mut queue.dirty), queue.stopping)
            };
            if dirty.is_empty() && stopping {
                return;
            }
            round(files, &dirty);
        }
    }
}

/// Makes everything the given logs have written durable and acknowledges it. Logs whose directory is offline are not
/// synced again; who waits for them hears of it.
pub(crate) fn round(files: &dyn Files, logs: &[Arc<PartitionLog>]) {
    let mut work: Vec<(&Arc<PartitionLog>, Unsynced)> = Vec::with_capacity(logs.len());
    for log in logs {
        match log.offline() {
            None => work.push((log, log.take_unsynced())),
            Some(reason) => log.fail(reason),
        }
    }
    let handles: Vec<Arc<dyn File>> = work
        .iter()
        .flat_map(|(_, unsynced)| unsynced.files.iter().cloned())
        .collect();
    #[cfg(feature = "planted-bugs")]
    if crate::planted::is("ack-before-sync") {
        work.iter().for_each(|(log, unsynced)| log.synced(unsynced.end));
        crate::planted::wait_for_the_disk();
    }
    let mut results = files.sync_data_many(&handles).into_iter().zip(&handles);
    for (log, unsynced) in work {
        let mut error = None;
        for (result, file) in results.by_ref().take(unsynced.files.len()) {
            if let Err(cause) = result {
                error = Some(format!("sync of {} failed: {cause}", file.path().display()));
            }
        }
        match error {
            // An earlier failure of the directory makes a later success meaningless.
            None => match log.offline() {
                None => log.synced(unsynced.end),
                Some(reason) => log.fail(reason),
            },
            Some(reason) => log.fail(reason),
        }
    }
}
