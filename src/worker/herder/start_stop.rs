//! Starting a connector: its task configs are made, stored when they changed, and run. And stopping it.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures::future::join_all;
use jackfield_plugin::{ConnectorPlugin, Kind};
use tokio::time::Instant;

use super::{Inner, Live, Slot, TargetState};
use crate::{
    ConfigMap,
    connector_config::{ConnectorConfig, sorted, wanted},
    stores::status::{State, Status},
    task::{Control, RunningTask, TaskContext},
};

/// Tasks are listened to again after this time.
const RECONFIGURATION_PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Starts a connector whose tasks do not run, as its target state says. `changed` = its task configs are stored even
    /// when they are the same, because they belong to a new connector config. Failures are its state.
    pub(super) async fn start_connector(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, changed: bool) {
        slot.view().plugin = None;
        match self.try_start(slot, live, changed).await {
            Ok(()) => {}
            Err(cause) => self.start_failed(slot, cause).await,
        }
    }

    pub(super) async fn start_failed(&self, slot: &Slot, cause: String) {
        tracing::error!(connector = slot.name, error = cause, "connector failed to start");
        let trace = format!("connector {} failed to start: {cause}", slot.name);
        self.put_connector_state(slot, State::Failed, Some(trace)).await;
    }

    async fn try_start(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        changed: bool,
    ) -> Result<(), String> {
        let (plugin, checked) = self.checked(slot).await?;
        let kind = plugin.info().kind;
        slot.view().kind = Some(kind);
        slot.view().plugin = Some(Arc::clone(&plugin));
        live.kind = Some(kind);
        let target = slot.view().target;
        tracing::debug!(connector = slot.name, ?target, "connector starts");
        match target {
            TargetState::Started => {}
            TargetState::Paused => {
                live.stale = true;
                return self.hold(slot, State::Paused).await;
            }
            TargetState::Stopped => {
                slot.view().plugin = None;
                return self.hold(slot, State::Stopped).await;
            }
        }
        let tasks = self.task_configs(slot, &plugin, &checked).await?;
        self.start_tasks(slot, live, &plugin, &checked, tasks, changed)
            .await
    }

    /// The plugin and the config as it holds now.
    async fn checked(&self, slot: &Slot) -> Result<(Arc<dyn ConnectorPlugin>, ConnectorConfig), String> {
        let config = slot.view().config.clone();
        let (plugin, checked) = self.check(&config).await.map_err(|error| error.to_string())?;
        for notice in &checked.notices {
            tracing::info!(connector = slot.name, notice, "connector config");
        }
        Ok((plugin, checked))
    }

    /// Starts one task per config; the configs are stored when they changed.
    pub(super) async fn start_tasks(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        plugin: &Arc<dyn ConnectorPlugin>,
        checked: &ConnectorConfig,
        tasks: Vec<ConfigMap>,
        changed: bool,
    ) -> Result<(), String> {
        let changed = changed || slot.view().tasks != tasks;
        if changed {
            self.configs
                .put_tasks(&slot.name, &tasks)
                .await
                .map_err(|error| error.to_string())?;
        }
        slot.view().tasks.clone_from(&tasks);
        live.stale = false;
        if self.stopping.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.set_connector_state(slot, State::Running).await;
        let gone = self.shared.status.tasks(&slot.name).into_iter();
        for (task, _) in gone.filter(|(task, _)| index(*task) >= tasks.len()) {
            self.shared.status.remove_task(&slot.name, task).await;
        }
        live.transforms.clone_from(&checked.transforms);
        for (task, config) in (0..).zip(&tasks) {
            let running = self.start_task(slot, task, config, plugin, checked);
            live.tasks.push(running);
        }
        Ok(())
    }

    /// A connector that is not to run: its tasks begin with its resumption.
    async fn hold(&self, slot: &Slot, state: State) -> Result<(), String> {
        self.set_connector_state(slot, state).await;
        if state == State::Paused {
            let tasks = slot.view().tasks.len();
            let version = self.version(slot);
            for task in (0..).take(tasks) {
                let status = Status {
                    state,
                    trace: None,
                    version: version.clone(),
                };
                self.shared.status.put_task(&slot.name, task, status).await;
            }
        }
        Ok(())
    }

    /// Runs the connector's own part again; tasks go on unless their configs changed or there are none. They go on as
    /// well when the connector itself fails, which is its state then.
    pub(super) async fn refresh_connector(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live) {
        let refreshed = if live.tasks.is_empty() {
            self.try_start(slot, live, false).await
        } else {
            self.try_refresh(slot, live).await
        };
        if let Err(cause) = refreshed {
            self.start_failed(slot, cause).await;
        }
    }

    async fn try_refresh(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live) -> Result<(), String> {
        let (plugin, checked) = self.checked(slot).await?;
        let tasks = self.task_configs(slot, &plugin, &checked).await?;
        let paused = slot.view().target == TargetState::Paused;
        let running = slot.view().plugin.as_ref().map(|running| running.info().digest);
        let same_code = running == Some(plugin.info().digest);
        if tasks == slot.view().tasks && !live.stale && same_code {
            let state = if paused { State::Paused } else { State::Running };
            self.set_connector_state(slot, state).await;
            return Ok(());
        }
        self.stop_tasks(live).await;
        if paused {
            return self.try_start(slot, live, false).await;
        }
        slot.view().plugin = Some(Arc::clone(&plugin));
        self.start_tasks(slot, live, &plugin, &checked, tasks, false)
            .await
    }

    /// Makes the task configs anew whenever a task asks for it, as long as the connector is there; at most once a second.
    pub(super) fn follow_reconfigurations(self: &Arc<Self>, slot: &Arc<Slot>) {
        let (inner, followed) = (Arc::clone(self), Arc::clone(slot));
        let follower = self
            .group
            .spawn(format!("reconfigure-{}", slot.name), async move {
                loop {
                    followed.reconfiguration.notified().await;
                    let (refreshing, slot) = (Arc::clone(&inner), Arc::clone(&followed));
                    // Carried to its end, whatever becomes of the follower.
                    let mut refreshed = inner.group.spawn("refresh", async move {
                        let mut live = slot.live.lock().await;
                        // A connector that does not run makes its task configs when it does.
                        if !live.tasks.is_empty() && !live.deleted {
                            tracing::info!(connector = slot.name, "a task asks for new task configs");
                            refreshing.refresh_connector(&slot, &mut live).await;
                        }
                    });
                    if let Err(error) = refreshed.join().await {
                        tracing::error!(connector = followed.name, error = %error, "new task configs failed");
                    }
                    tokio::time::sleep(RECONFIGURATION_PAUSE).await;
                }
            });
        *slot.follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(follower);
    }

    /// Stops and starts the tasks with these numbers. They run the same code as the others of their connector.
    pub(super) async fn restart_tasks(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, tasks: &[u32]) {
        let (config, running) = {
            let view = slot.view();
            (view.config.clone(), view.plugin.clone())
        };
        let checked = match running {
            Some(plugin) => {
                let checked = self.check_with(&plugin, &config).await;
                checked.map(|checked| (plugin, checked))
            }
            None => self.check(&config).await,
        };
        let (plugin, checked) = match checked {
            Ok(checked) => checked,
            Err(error) => return self.start_failed(slot, error.to_string()).await,
        };
        let until = Instant::now() + self.shared.worker.graceful_timeout();
        let old = tasks.iter().filter_map(|task| live.tasks.get(index(*task)));
        // All are told before one is waited for.
        let ends: Vec<_> = old
            .map(|task| {
                task.tell(Control::Stop(until));
                task.wait_for_end()
            })
            .collect();
        join_all(ends).await;
        if self.stopping.load(Ordering::SeqCst) {
            return;
        }
        for task in tasks {
            let task_config = slot.view().tasks.get(index(*task)).cloned();
            let (Some(running), Some(task_config)) = (live.tasks.get_mut(index(*task)), task_config) else {
                continue;
            };
            self.set_task_restarting(slot, *task).await;
            *running = self.start_task(slot, *task, &task_config, &plugin, &checked);
        }
    }

    fn start_task(
        &self,
        slot: &Arc<Slot>,
        task: u32,
        config: &ConfigMap,
        plugin: &Arc<dyn ConnectorPlugin>,
        checked: &ConnectorConfig,
    ) -> RunningTask {
        let context = TaskContext {
            connector: slot.name.clone(),
            task,
            kind: plugin.info().kind,
            config: checked.clone(),
            task_config: sorted(config),
            plugin: Arc::clone(plugin),
            reconfiguration: Arc::clone(&slot.reconfiguration),
            shared: Arc::clone(&self.shared),
        };
        let paused = slot.view().target == TargetState::Paused;
        let control = if paused { Control::Pause } else { Control::Run };
        RunningTask::start(&self.group, context, control)
    }

    /// One config per task, as Connect stores it: the connector's own, the task class, the sink's topics.
    pub(super) async fn task_configs(
        &self,
        slot: &Slot,
        plugin: &Arc<dyn ConnectorPlugin>,
        checked: &ConnectorConfig,
    ) -> Result<Vec<ConfigMap>, String> {
        let config = slot.view().config.clone();
        let most = checked.tasks_max;
        let made = plugin
            .task_configs(&sorted(&config), most)
            .await
            .map_err(|error| error.to_string())?;
        if checked.tasks_max_enforce && made.len() > usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(format!(
                "The connector {} has generated {} tasks, which is greater than {most}, the maximum number of tasks it is \
                 configured to create. This behaviour should be considered a bug and is disallowed. If necessary, it can \
                 be permitted by reconfiguring the connector with 'tasks.max.enforce' set to false; however, this option \
                 will be removed in a future release.",
                slot.name,
                made.len()
            ));
        }
        let class = &plugin.info().class;
        let task_class = format!("{}Task", class.strip_suffix("Connector").unwrap_or(class));
        let configs = made.into_iter().map(|made| {
            // In the connector's order first, so that equal keys are written in an equal order.
            let mut task: ConfigMap = config
                .keys()
                .filter_map(|key| Some((key.clone(), made.get(key)?.clone())))
                .collect();
            for (key, value) in made {
                task.entry(key).or_insert(value);
            }
            task.insert("task.class".to_owned(), task_class.clone());
            for key in ["topics", "topics.regex"] {
                if let Some(topics) = config.get(key) {
                    task.insert(key.to_owned(), topics.clone());
                }
            }
            task
        });
        Ok(configs.collect())
    }

    /// Stops all tasks of a connector, within `task.shutdown.graceful.timeout.ms` together.
    pub(super) async fn stop_tasks(&self, live: &mut Live) -> usize {
        let until = Instant::now() + self.shared.worker.graceful_timeout();
        stop(std::mem::take(&mut live.tasks), until).await
    }

    /// Stops all sources, then all sinks. Where there are sinks, sources leave them half of the time; a connector that
    /// is being changed is waited for a short while only, together with all others.
    pub(super) async fn stop_everything(&self, deadline: Duration) -> usize {
        let start = Instant::now();
        let until = start + deadline;
        let slots: Vec<Arc<Slot>> = self.connectors().values().cloned().collect();
        slots.iter().for_each(|slot| slot.end_following());
        let locks = slots
            .iter()
            .map(|slot| tokio::time::timeout_at(start + deadline / 8, slot.live.lock()));
        // Held to the end, so that no operation that waited starts tasks again.
        let mut held = join_all(locks).await;
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        for live in held.iter_mut().flatten() {
            let tasks = std::mem::take(&mut live.tasks);
            match live.kind {
                Some(Kind::Source) => sources.extend(tasks),
                _ => sinks.extend(tasks),
            }
        }
        let sources_until = if sinks.is_empty() {
            until
        } else {
            start + deadline / 2
        };
        let mut late = stop(sources, sources_until).await;
        late += stop(sinks, until).await;
        let busy = slots.iter().zip(&held).filter(|(_, lock)| lock.is_err());
        for (slot, _) in busy {
            match slot.live.try_lock() {
                Ok(mut live) => late += stop(std::mem::take(&mut live.tasks), until).await,
                Err(_) => tracing::warn!(
                    connector = slot.name,
                    "connector is being changed and is given up as it is"
                ),
            }
        }
        let left = until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(100));
        let states = async {
            for slot in &slots {
                self.set_connector_state(slot, State::Unassigned).await;
            }
            self.shared.status.flush().await;
        };
        if tokio::time::timeout(left, states).await.is_err() {
            tracing::warn!("states were not all stored in time");
        }
        late + self
            .group
            .shutdown(Duration::from_millis(100))
            .await
            .saturating_sub(late)
    }

    /// Sets a connector's state, without a trace.
    pub(super) async fn set_connector_state(&self, slot: &Slot, state: State) {
        self.put_connector_state(slot, state, None).await;
    }

    /// The connector is stopped; says when tasks did not do their part.
    pub(super) async fn set_stopped(&self, slot: &Slot, late: usize) {
        let trace = (late > 0).then(|| {
            let timeout_ms = self.shared.worker.graceful_timeout().as_millis();
            let tasks = if late == 1 { "task" } else { "tasks" };
            format!(
                "{late} {tasks} did not stop within task.shutdown.graceful.timeout.ms={timeout_ms} and had to be ended: what \
                 was not committed by then is repeated"
            )
        });
        self.put_connector_state(slot, State::Stopped, trace).await;
    }

    pub(super) async fn set_task_restarting(&self, slot: &Slot, task: u32) {
        let restarting = Status {
            state: State::Restarting,
            trace: None,
            version: self.version(slot),
        };
        self.shared.status.put_task(&slot.name, task, restarting).await;
    }

    async fn put_connector_state(&self, slot: &Slot, state: State, trace: Option<String>) {
        let version = self.version(slot);
        self.shared
            .status
            .put_connector(
                &slot.name,
                Status {
                    state,
                    trace,
                    version,
                },
            )
            .await;
    }

    /// Version that the connector runs, or would run.
    fn version(&self, slot: &Slot) -> Option<String> {
        let config = {
            let view = slot.view();
            if let Some(plugin) = &view.plugin {
                return Some(plugin.info().version.clone());
            }
            view.config.clone()
        };
        let selected = self.plugins.selected(&wanted(&config).ok()?)?;
        Some(selected.version)
    }
}

/// Where a task is in its connector's list.
fn index(task: u32) -> usize {
    usize::try_from(task).unwrap_or(usize::MAX)
}

/// Tells all tasks to stop and waits for them. Returns how many did not end in time.
async fn stop(tasks: Vec<RunningTask>, until: Instant) -> usize {
    tasks.iter().for_each(|task| task.tell(Control::Stop(until)));
    let ended = join_all(tasks.into_iter().map(RunningTask::ended)).await;
    ended.into_iter().filter(|in_time| !in_time).count()
}
