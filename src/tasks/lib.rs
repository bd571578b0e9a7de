//! Supervised task groups and shutdown order.
//!
//! Nothing in Jackfield is spawned bare: every task has a name and an owner, a panic becomes a
//! [`TaskError::Panicked`] of that task and of nothing else, and every shutdown has a deadline.
//! This crate knows tokio and nothing about Jackfield.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why a task ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The task panicked; the message is the panic's.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// Name given at `spawn`.
        name: String,
        /// The panic message, or "unknown panic".
        message: String,
    },
    /// The task was aborted before it finished.
    #[error("task {name} was aborted")]
    Aborted {
        /// Name given at `spawn`.
        name: String,
    },
}

/// A set of tasks that are cancelled and awaited together.
///
/// Groups form a tree: cancelling a group cancels its children, not its parent.
#[derive(Debug, Clone)]
pub struct TaskGroup {
    name: String,
    token: CancellationToken,
    tracker: TaskTracker,
}

/// Handle of one spawned task. Dropping it detaches the task from the caller, not from its group.
#[derive(Debug)]
pub struct TaskHandle<T> {
    name: String,
    join: JoinHandle<T>,
}

impl TaskGroup {
    /// A root group.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
        }
    }

    /// A group that is cancelled with this one, and can be shut down on its own.
    pub fn child(&self, name: impl Into<String>) -> Self {
        Self {
            name: format!("{}/{}", self.name, name.into()),
            token: self.token.child_token(),
            tracker: TaskTracker::new(),
        }
    }

    /// The group's name, its parents' in front.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Token that fires when the group is asked to stop. Tasks select on it.
    pub fn cancelled(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a named task. A panic inside is logged at ERROR and reported by [`TaskHandle::join`].
    #[allow(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
    pub fn spawn<F>(&self, name: impl Into<String>, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let name = format!("{}/{}", self.name, name.into());
        let join = self.tracker.spawn(future);
        TaskHandle { name, join }
    }

    /// Starts a named blocking closure on tokio's blocking pool.
    #[allow(clippy::disallowed_methods, reason = "the one place where tasks are spawned")]
    pub fn spawn_blocking<F, T>(&self, name: impl Into<String>, work: F) -> TaskHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let name = format!("{}/{}", self.name, name.into());
        let join = self.tracker.spawn_blocking(work);
        TaskHandle { name, join }
    }

    /// Asks every task to stop, and returns at once.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Asks every task to stop and waits for them. Returns the number of tasks still running when
    /// `deadline` passed (0 = all ended).
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.token.cancel();
        self.wait(deadline).await
    }

    /// Waits for all tasks to end by themselves, at most until `deadline`. Returns how many still run.
    pub async fn wait(&self, deadline: Duration) -> usize {
        self.tracker.close();
        match tokio::time::timeout(deadline, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tracker.len(),
        }
    }
}

impl<T> TaskHandle<T> {
    /// Waits for the task's result.
    ///
    /// # Errors
    /// [`TaskError`] when the task panicked or was aborted.
    pub async fn join(&mut self) -> Result<T, TaskError> {
        match (&mut self.join).await {
            Ok(value) => Ok(value),
            Err(error) if error.is_panic() => {
                let payload = error.into_panic();
                let message = payload
                    .downcast_ref::<&str>()
                    .map(ToString::to_string)
                    .or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "unknown panic".to_owned());
                tracing::error!(task = %self.name, error = %message, "task panicked");
                Err(TaskError::Panicked {
                    name: self.name.clone(),
                    message,
                })
            }
            Err(_) => Err(TaskError::Aborted {
                name: self.name.clone(),
            }),
        }
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }

    /// Ends the task at its next await point.
    pub fn abort(&self) {
        self.join.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_tasks_own() {
        let group = TaskGroup::new("test");
        let mut bad = group.spawn("bad", async { panic!("boom") });
        let mut good = group.spawn("good", async { 7 });
        let error: Result<(), _> = bad.join().await;
        assert!(matches!(error, Err(TaskError::Panicked { message, .. }) if message == "boom"));
        assert_eq!(good.join().await.ok(), Some(7));
    }

    #[tokio::test]
    async fn shutdown_cancels_children_and_reports_the_stuck() {
        let group = TaskGroup::new("root");
        let child = group.child("child");
        let token = child.cancelled();
        child.spawn("polite", async move { token.cancelled().await });
        child.spawn("stuck", std::future::pending::<()>());
        group.cancel();
        assert_eq!(child.shutdown(Duration::from_millis(20)).await, 1);
    }
}
