//! The operations that change connectors: create, configure, delete, pause, resume, stop, restart.

use std::sync::Arc;

use jackfield_plugin::Kind;

use super::{
    ConnectorInfo, ConnectorStatus, Herder, HerderError, Inner, Live, Slot, TargetState, View, info,
    not_found, unknown, unknown_to_restart,
};
use crate::{
    ConfigMap, GivenConfig,
    stores::status::{State, Status},
    task::Control,
};

impl Herder {
    /// Creates; an existing name is `AlreadyExists`.
    ///
    /// # Errors
    /// The name is taken, the config is invalid, or the config topic cannot be written.
    pub async fn create(
        &self,
        name: &str,
        config: ConfigMap,
        initial: TargetState,
    ) -> Result<ConnectorInfo, HerderError> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.finish(format!("create-{name}"), async move {
            if inner.connectors().contains_key(&name) {
                return Err(taken(&name));
            }
            let (plugin, _) = inner.validate(&config).await?;
            inner.create(&name, config, initial, plugin.info().kind).await
        })
        .await
    }

    /// Creates or replaces; the flag says whether it was created. A config that is there already
    /// changes nothing, but starts again what has failed.
    ///
    /// # Errors
    /// The config is invalid, or the config topic cannot be written.
    pub async fn put_config(
        &self,
        name: &str,
        config: ConfigMap,
    ) -> Result<(bool, ConnectorInfo), HerderError> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.finish(format!("configure-{name}"), async move {
            let (plugin, _) = inner.validate(&config).await?;
            let kind = plugin.info().kind;
            loop {
                let slot = inner.connectors().get(&name).cloned();
                let Some(slot) = slot else {
                    match inner
                        .create(&name, config.clone(), TargetState::Started, kind)
                        .await
                    {
                        Err(HerderError::AlreadyExists(_)) => continue,
                        created => return created.map(|info| (true, info)),
                    }
                };
                let mut live = slot.live.lock().await;
                if !live.deleted {
                    inner.replace(&slot, &mut live, config, kind).await?;
                    return Ok((false, info(&slot)));
                }
            }
        })
        .await
    }

    /// Changes single keys of a config; a null takes its key out.
    ///
    /// # Errors
    /// No such connector, the new config is invalid, or the config topic cannot be written.
    pub async fn patch_config(&self, name: &str, patch: GivenConfig) -> Result<ConnectorInfo, HerderError> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.finish(format!("configure-{name}"), async move {
            let slot = inner.slot(&name, not_found)?;
            let mut live = slot.live.lock().await;
            if live.deleted {
                return Err(not_found(&name));
            }
            let mut config = slot.view().config.clone();
            for (key, value) in patch {
                match value {
                    Some(value) => drop(config.insert(key, value)),
                    None => drop(config.shift_remove(&key)),
                }
            }
            if let Some(other) = config.get("name").filter(|other| **other != name) {
                return Err(HerderError::BadRequest(format!(
                    "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
                )));
            }
            let (plugin, _) = inner.validate(&config).await?;
            inner
                .replace(&slot, &mut live, config, plugin.info().kind)
                .await?;
            Ok(info(&slot))
        })
        .await
    }

    /// Deletes; offsets stay.
    ///
    /// # Errors
    /// No such connector, or the config topic cannot be written.
    pub async fn delete(&self, name: &str) -> Result<(), HerderError> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.finish(format!("delete-{name}"), async move {
            let slot = inner.slot(&name, not_found)?;
            let mut live = slot.live.lock().await;
            if live.deleted {
                return Err(not_found(&name));
            }
            inner.configs.delete(&name).await?;
            inner.stop_tasks(&mut live).await;
            let _naming = inner.naming.lock().await;
            live.deleted = true;
            slot.end_following();
            inner.connectors().remove(&name);
            inner.shared.status.remove_connector(&name).await;
            tracing::info!(connector = name, "connector deleted");
            Ok(())
        })
        .await
    }

    /// Pause, resume, stop.
    ///
    /// # Errors
    /// No such connector, or the config topic cannot be written.
    pub async fn set_target_state(&self, name: &str, state: TargetState) -> Result<(), HerderError> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.finish(format!("target-{name}"), async move {
            let slot = inner.slot(&name, unknown)?;
            let mut live = slot.live.lock().await;
            if live.deleted {
                return Err(unknown(&name));
            }
            let mut late = 0;
            if state == TargetState::Stopped {
                late = inner.stop_tasks(&mut live).await;
                inner.configs.put_tasks(&name, &[]).await?;
            }
            inner.configs.put_target(&name, state).await?;
            slot.view().target = state;
            match state {
                TargetState::Started if live.tasks.is_empty() || live.stale => {
                    inner.stop_tasks(&mut live).await;
                    inner.start_connector(&slot, &mut live, true).await;
                }
                TargetState::Started => {
                    inner.set_connector_state(&slot, State::Running).await;
                    live.tasks.iter().for_each(|task| task.tell(Control::Run));
                }
                TargetState::Paused => {
                    inner.set_connector_state(&slot, State::Paused).await;
                    live.tasks.iter().for_each(|task| task.tell(Control::Pause));
                }
                TargetState::Stopped => {
                    slot.view().tasks.clear();
                    slot.view().plugin = None;
                    for (task, _) in inner.shared.status.tasks(&name) {
                        inner.shared.status.remove_task(&name, task).await;
                    }
                    inner.set_stopped(&slot, late).await;
                }
            }
            Ok(())
        })
        .await
    }

    /// Restarts the connector and, as asked, its tasks; returns the status with what will be restarted as RESTARTING.
    /// Without `include_tasks` the tasks go on, unless the connector makes new task configs.
    ///
    /// # Errors
    /// No such connector.
    pub async fn restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorStatus, HerderError> {
        let slot = self.inner.slot(name, unknown_to_restart)?;
        let mut status = self.inner.status_of(&slot);
        let failed = State::Failed.name();
        let connector = !only_failed || status.connector.state == failed;
        let mut tasks = Vec::new();
        if connector {
            status.connector.state = State::Restarting.name().to_owned();
        }
        for task in &mut status.tasks {
            if include_tasks && (!only_failed || task.state == failed) {
                task.state = State::Restarting.name().to_owned();
                tasks.extend(task.id);
            }
        }
        let inner = Arc::clone(&self.inner);
        let wait = !include_tasks && !only_failed;
        let restart = self.finish(format!("restart-{name}"), async move {
            if !wait {
                inner.mark_restarting(&slot, connector, &tasks).await;
            }
            let work = Arc::clone(&inner);
            let mut handle = inner.group.spawn("restart", async move {
                work.restart(&slot, connector, &tasks).await;
            });
            // With a flag the answer is the plan, and the restart follows it.
            if wait {
                let _ = handle.join().await;
            }
            Ok(())
        });
        restart.await?;
        Ok(status)
    }

    /// Restarts one task.
    ///
    /// # Errors
    /// No such connector or task.
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<(), HerderError> {
        let slot = self.inner.slot(name, unknown_to_restart)?;
        let inner = Arc::clone(&self.inner);
        self.finish(format!("restart-{name}-{task}"), async move {
            let mut live = slot.live.lock().await;
            let index = usize::try_from(task).unwrap_or(usize::MAX);
            if live.deleted || index >= live.tasks.len() {
                return Err(HerderError::NotFound(format!(
                    "Unknown task: {}-{task}",
                    slot.name
                )));
            }
            inner.restart_tasks(&slot, &mut live, &[task]).await;
            Ok(())
        })
        .await
    }
}

impl Inner {
    /// Takes the name, stores the config, starts the connector.
    async fn create(
        self: &Arc<Self>,
        name: &str,
        config: ConfigMap,
        initial: TargetState,
        kind: Kind,
    ) -> Result<ConnectorInfo, HerderError> {
        let naming = self.naming.lock().await;
        if self.connectors().contains_key(name) {
            return Err(taken(name));
        }
        let target = Some(initial).filter(|initial| *initial != TargetState::Started);
        self.configs.put_connector(name, &config, target).await?;
        let slot = Slot::new(
            name,
            View {
                config,
                kind: Some(kind),
                target: initial,
                tasks: Vec::new(),
                plugin: None,
            },
        );
        let mut live = slot.live.lock().await;
        self.connectors().insert(name.to_owned(), Arc::clone(&slot));
        self.follow_reconfigurations(&slot);
        drop(naming);
        tracing::info!(connector = name, "connector created");
        // As it was created: Connect lists the tasks once it has started them.
        let created = info(&slot);
        self.start_connector(&slot, &mut live, true).await;
        Ok(created)
    }

    /// Replaces a config.
    async fn replace(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        config: ConfigMap,
        kind: Kind,
    ) -> Result<(), HerderError> {
        let changed = slot.view().config != config;
        if !changed && self.is_as_it_should_be(slot, live) {
            return Ok(());
        }
        if changed {
            self.configs.put_connector(&slot.name, &config, None).await?;
            let mut view = slot.view();
            view.config = config;
            view.kind = Some(kind);
        }
        tracing::info!(connector = slot.name, changed, "connector configured");
        self.stop_tasks(live).await;
        self.start_connector(slot, live, changed).await;
        Ok(())
    }

    /// Whether a connector that is to run does so, with all its tasks; one that is not to run always is.
    fn is_as_it_should_be(&self, slot: &Slot, live: &Live) -> bool {
        let status = &self.shared.status;
        let running = status
            .connector(&slot.name)
            .is_some_and(|status| status.state == State::Running);
        let failed = |(_, status): &(u32, Status)| status.state == State::Failed;
        let target = slot.view().target;
        target != TargetState::Started
            || running && !live.tasks.is_empty() && !status.tasks(&slot.name).iter().any(failed)
    }

    /// Who reads the status after the answer must not take the state of before for the one of afterwards. While something
    /// else is done to the connector, that says how it is.
    async fn mark_restarting(&self, slot: &Slot, connector: bool, tasks: &[u32]) {
        let Ok(live) = slot.live.try_lock() else { return };
        if live.deleted {
            return;
        }
        if connector {
            self.set_connector_state(slot, State::Restarting).await;
        }
        for task in tasks {
            self.set_task_restarting(slot, *task).await;
        }
    }

    async fn restart(self: &Arc<Self>, slot: &Arc<Slot>, connector: bool, tasks: &[u32]) {
        let mut live = slot.live.lock().await;
        if live.deleted {
            return;
        }
        if connector {
            self.set_connector_state(slot, State::Restarting).await;
            self.refresh_connector(slot, &mut live).await;
        }
        self.restart_tasks(slot, &mut live, tasks).await;
    }
}

fn taken(name: &str) -> HerderError {
    HerderError::AlreadyExists(format!("Connector {name} already exists"))
}
