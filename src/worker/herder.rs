//! The herder: starts and stops connectors and their tasks, and answers REST.
//!
//! Every connector has a lock of its own, so one that starts slowly holds up nobody else; what REST reads never waits
//! for it. A change is written to the config topic before it takes effect, and an operation that has begun is carried
//! to its end even when the request that asked for it goes away. Plugin code runs in the connector's own operations
//! and tasks only.

mod info;
mod lifecycle;
mod offsets;
mod plugins;
mod reload;
mod start_stop;
mod status;
mod transforms;
mod validate;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jackfield_cluster::Cluster;
use jackfield_env::{Env, LogLevel, LoggerLevel};
use jackfield_plugin::{ConnectorPlugin, Kind, Plugins};
use jackfield_tasks::{TaskGroup, TaskHandle};
use tokio::sync::Notify;

pub use self::info::{
    ConnectorInfo, ConnectorOffset, ConnectorStatus, HerderError, PluginRow, StateInfo, TargetState, TaskId,
};
use crate::{
    ConfigMap,
    config::WorkerConfig,
    stores::{
        StoreError,
        configs::{ConfigStore, StoredConnector},
        offsets::OffsetStore,
        status::StatusStore,
    },
    task::{RunningTask, Shared},
    transforms::TransformSpec,
};

const STOPPING: &str = "Worker is shutting down";

/// The worker: starts and stops connectors and their tasks, and answers REST. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Herder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    plugins: Arc<Plugins>,
    configs: ConfigStore,
    group: TaskGroup,
    connectors: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// Held while a name is taken or given back; never while plugin code runs.
    naming: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
}

/// A connector.
#[derive(Debug)]
struct Slot {
    name: String,
    /// What reads see.
    view: Mutex<View>,
    /// Held by the operation that changes the connector.
    live: tokio::sync::Mutex<Live>,
    /// Notified when a task wants the task configs anew.
    reconfiguration: Arc<Notify>,
    /// Does what is wanted then.
    follower: Mutex<Option<TaskHandle<()>>>,
}

#[derive(Debug, Clone)]
struct View {
    config: ConfigMap,
    kind: Option<Kind>,
    target: TargetState,
    tasks: Vec<ConfigMap>,
    /// What the connector and its tasks run; `None` while it could not be loaded, and while the connector is stopped.
    plugin: Option<Arc<dyn ConnectorPlugin>>,
}

#[derive(Debug, Default)]
struct Live {
    tasks: Vec<RunningTask>,
    /// What the tasks send their records through.
    transforms: Vec<TransformSpec>,
    kind: Option<Kind>,
    /// The task configs in the store were made from an older connector config.
    stale: bool,
    /// Taken out of the herder; whoever waited for the lock has nothing to do.
    deleted: bool,
}

impl Slot {
    fn new(name: &str, view: View) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            view: Mutex::new(view),
            live: tokio::sync::Mutex::default(),
            reconfiguration: Arc::default(),
            follower: Mutex::default(),
        })
    }

    /// Tasks of the connector are not listened to any more.
    fn end_following(&self) {
        let follower = self
            .follower
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(follower) = follower {
            follower.abort();
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Herder {
    /// Reads the internal topics (created when missing), and starts what they say should run.
    ///
    /// # Errors
    /// An internal topic cannot be opened, or is not fit to be one.
    pub async fn start(
        config: WorkerConfig,
        cluster: Arc<dyn Cluster>,
        plugins: Arc<Plugins>,
        env: Env,
        worker_id: String,
    ) -> Result<Self, HerderError> {
        let (configs, stored) = ConfigStore::open(cluster.clone(), env.clone(), &config).await?;
        let offsets = OffsetStore::open(cluster.clone(), env.clone(), &config).await?;
        let existing = stored.iter();
        let existing = existing.map(|(name, connector)| (name.clone(), connector.tasks.len()));
        let existing = existing.collect();
        let status = StatusStore::open(cluster.clone(), env.clone(), &config, worker_id, &existing).await?;
        let shared = Arc::new(Shared {
            worker: config,
            cluster,
            env,
            offsets,
            status,
        });
        let herder = Self {
            inner: Arc::new(Inner {
                shared,
                plugins,
                configs,
                group: TaskGroup::new("worker"),
                connectors: Mutex::default(),
                naming: tokio::sync::Mutex::default(),
                stopping: AtomicBool::new(false),
            }),
        };
        herder.inner.plugins.follow();
        herder.inner.follow_plugins();
        for (name, connector) in stored {
            herder.resume_stored(&name, connector);
        }
        Ok(herder)
    }

    /// Starts a connector of the config topic in the background: a slow one holds up neither the worker nor others.
    fn resume_stored(&self, name: &str, connector: StoredConnector) {
        let view = View {
            config: connector.config,
            kind: None,
            target: connector.target,
            tasks: connector.tasks,
            plugin: None,
        };
        let slot = Slot::new(name, view);
        self.inner.connectors().insert(name.to_owned(), Arc::clone(&slot));
        let inner = Arc::clone(&self.inner);
        inner.follow_reconfigurations(&slot);
        self.inner.group.spawn(format!("start-{name}"), async move {
            let mut live = slot.live.lock().await;
            inner.start_connector(&slot, &mut live, false).await;
        });
    }

    /// Names of all connectors.
    ///
    /// # Errors
    /// None at present.
    #[allow(
        clippy::unused_async,
        reason = "reads are to stay async for a worker among others"
    )]
    pub async fn connectors(&self) -> Result<Vec<String>, HerderError> {
        Ok(self.inner.connectors().keys().cloned().collect())
    }

    /// `GET /connectors/{name}`.
    ///
    /// # Errors
    /// [`HerderError::NotFound`].
    #[allow(
        clippy::unused_async,
        reason = "reads are to stay async for a worker among others"
    )]
    pub async fn connector(&self, name: &str) -> Result<ConnectorInfo, HerderError> {
        Ok(info(&*self.inner.slot(name, not_found)?))
    }

    /// `GET …/tasks`: configs by task.
    ///
    /// # Errors
    /// [`HerderError::NotFound`].
    #[allow(
        clippy::unused_async,
        reason = "reads are to stay async for a worker among others"
    )]
    pub async fn task_configs(&self, name: &str) -> Result<Vec<(TaskId, ConfigMap)>, HerderError> {
        let slot = self.inner.slot(name, not_found)?;
        let tasks = slot.view().tasks.clone();
        let tasks = (0..).zip(tasks);
        Ok(tasks
            .map(|(task, config)| {
                (
                    TaskId {
                        connector: name.to_owned(),
                        task,
                    },
                    config,
                )
            })
            .collect())
    }

    /// A sign of life: names can be taken and given back.
    ///
    /// # Errors
    /// The worker is shutting down.
    pub async fn ping(&self) -> Result<(), HerderError> {
        drop(self.inner.naming.lock().await);
        if self.inner.stopping.load(Ordering::SeqCst) {
            return Err(HerderError::Internal(STOPPING.to_owned()));
        }
        Ok(())
    }

    /// The loggers of the process.
    pub fn loggers(&self) -> BTreeMap<String, LoggerLevel> {
        self.inner.shared.env.log_levels.all()
    }

    /// Sets the level of a logger and of all below it; returns those whose level is another now.
    pub fn set_logger(&self, logger: &str, level: LogLevel) -> Vec<String> {
        let env = &self.inner.shared.env;
        env.log_levels.set(logger, level, env.clock.now_ms())
    }

    /// Cluster id.
    pub fn cluster_id(&self) -> String {
        self.inner.shared.cluster.cluster_id()
    }

    /// The worker's own config.
    pub fn config(&self) -> &WorkerConfig {
        &self.inner.shared.worker
    }

    /// Stops sources, flushes sinks, commits offsets, within `deadline`. Returns how many tasks did not end in time.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.inner.stop_everything(deadline).await
    }

    /// Carries an operation to its end, whatever becomes of the caller.
    async fn finish<T, F>(&self, name: String, operation: F) -> Result<T, HerderError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HerderError>> + Send + 'static,
    {
        if self.inner.stopping.load(Ordering::SeqCst) {
            return Err(HerderError::Internal(STOPPING.to_owned()));
        }
        let mut handle = self.inner.group.spawn(name, operation);
        handle
            .join()
            .await
            .unwrap_or_else(|error| Err(HerderError::Internal(error.to_string())))
    }
}

impl Inner {
    fn connectors(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connector, or the error that `missing` makes of its name.
    fn slot(&self, name: &str, missing: fn(&str) -> HerderError) -> Result<Arc<Slot>, HerderError> {
        self.connectors().get(name).cloned().ok_or_else(|| missing(name))
    }
}

impl From<StoreError> for HerderError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

fn not_found(name: &str) -> HerderError {
    HerderError::NotFound(format!("Connector {name} not found"))
}

fn unknown(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector {name}"))
}

fn unknown_to_restart(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector: {name}"))
}

fn info(slot: &Slot) -> ConnectorInfo {
    let view = slot.view();
    let tasks = (0..).zip(&view.tasks);
    ConnectorInfo {
        name: slot.name.clone(),
        config: view.config.clone(),
        tasks: tasks
            .map(|(task, _)| TaskId {
                connector: slot.name.clone(),
                task,
            })
            .collect(),
        kind: kind_name(view.kind),
    }
}

/// Connect's word for a kind.
fn kind_name(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Source) => "source",
        Some(Kind::Sink) => "sink",
        Some(Kind::Transform) => "transformation",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests;
