//! Runs calls of a native task where they may block: they may wait for files, and the async worker must not wait with them.
//!
//! A call costs about 5 µs when it is short and 10 to 15 µs when another thread takes the worker's other work over
//! meanwhile (`spawn_blocking` would cost 22 µs always). No thread stays behind when the task is idle. A call past its
//! deadline cannot be ended: the task is given up, and its thread ends it when the call ever returns.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jackfield_api::ErrorKind;
use jackfield_tasks::{TaskGroup, TaskHandle};
use tokio::runtime::RuntimeFlavor;

use crate::PluginError;

/// A task's state together with the calls to it.
#[derive(Debug)]
pub(super) struct Calls<S> {
    state: Arc<Mutex<S>>,
    group: TaskGroup,
    /// Set by a fatal error: nothing but `stop` is called after it.
    failed: Option<PluginError>,
}

/// A call under way.
pub(super) type Running<T> = TaskHandle<Result<T, PluginError>>;

impl<S: Send + 'static> Calls<S> {
    pub(super) fn new(state: S, group: TaskGroup) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
            group,
            failed: None,
        }
    }

    /// Makes a call and waits for it.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        name: &'static str,
        deadline: Duration,
        work: impl FnOnce(&mut S) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let mut running = self.begin(name, work)?;
        self.finish(name, deadline, &mut running).await
    }

    /// Begins a call; calls follow one after the other.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut S) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<Running<T>, PluginError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let state = Arc::clone(&self.state);
        let work = move || work(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(spawn(&self.group, name, work))
    }

    /// Waits for a call. May be dropped and called again.
    pub(super) async fn finish<T>(
        &mut self,
        name: &'static str,
        deadline: Duration,
        running: &mut Running<T>,
    ) -> Result<T, PluginError> {
        let result = wait(name, deadline, running).await;
        if let Err(error) = &result
            && error.kind == ErrorKind::Fatal
        {
            self.failed = Some(error.clone());
        }
        result
    }

    /// The last call, made whatever happened before.
    pub(super) async fn stop(self, deadline: Duration, work: impl FnOnce(&mut S) + Send + 'static) {
        let state = self.state;
        let mut running = spawn(&self.group, "stop", move || {
            work(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
            Ok(())
        });
        if let Err(error) = wait("stop", deadline, &mut running).await {
            tracing::warn!(error = %error, "native task did not stop");
        }
    }
}

/// A call without a task.
pub(super) async fn call_once<T: Send + 'static>(
    group: &TaskGroup,
    name: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginError> {
    wait(name, deadline, &mut spawn(group, name, work)).await
}

/// Runs a call where it may block. On a multi-threaded runtime the thread hands its other work over only when the call
/// takes long enough for another thread to notice.
fn spawn<T: Send + 'static>(
    group: &TaskGroup,
    name: &'static str,
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Running<T> {
    match tokio::runtime::Handle::current().runtime_flavor() {
        // A task of its own, so that the caller can give it up.
        RuntimeFlavor::MultiThread => group.spawn(name, async move { tokio::task::block_in_place(work) }),
        _ => group.spawn_blocking(name, work),
    }
}

async fn wait<T>(name: &'static str, deadline: Duration, running: &mut Running<T>) -> Result<T, PluginError> {
    match tokio::time::timeout(deadline, running.join()).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(PluginError::fatal(error.to_string())),
        Err(_) => Err(PluginError::fatal(format!(
            "{name} of the native plugin did not return within {} s: the task is given up, its thread may go on",
            deadline.as_secs_f32()
        ))),
    }
}
