//! New code for running connectors: whose package was replaced, or of whose class a newer version came, or that of one of
//! its transforms, is stopped as for any other change, sources and sinks with what they have committed, and started with
//! the new code.
//!
//! The new code is loaded and asked for its task configs first. When that fails the connector goes on with the code it
//! has. Nobody else's tasks are touched.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jackfield_plugin::ConnectorPlugin;
use tokio::{
    sync::{MutexGuard, watch},
    time::{Instant, timeout_at},
};

use super::{Inner, Live, Slot, TargetState};
use crate::{
    ConfigMap,
    connector_config::{ConnectorConfig, wanted},
    transforms::TransformSpec,
};

/// A package is taken for complete when nothing has changed for this long.
const SETTLED: Duration = Duration::from_millis(300);
/// Where something changes all the time nobody waits longer.
const SETTLED_AT_LAST: Duration = Duration::from_secs(5);

impl Inner {
    /// Reloads connectors from now on, as long as the worker runs.
    pub(super) fn follow_plugins(self: &Arc<Self>) {
        let worker = Arc::downgrade(self);
        let mut changes = self.plugins.changes();
        let cancelled = self.group.cancelled();
        self.group.spawn("follow-plugins", async move {
            loop {
                tokio::select! {
                    () = cancelled.cancelled() => return,
                    settled = settle(&mut changes) => if !settled { return },
                }
                let Some(worker) = worker.upgrade() else { return };
                worker.reload_all();
            }
        });
    }

    fn reload_all(self: &Arc<Self>) {
        let slots: Vec<Arc<Slot>> = self.connectors().values().cloned().collect();
        for slot in slots {
            let worker = Arc::clone(self);
            let name = format!("reload-{}", slot.name);
            self.group.spawn(name, async move { worker.reload(&slot).await });
        }
    }

    /// Brings a connector to the code that its config asks for now. Loading may take its time, and holds up no other change
    /// of the connector; who changes it meanwhile takes the new code anyway.
    async fn reload(self: &Arc<Self>, slot: &Arc<Slot>) {
        let (config, running) = {
            let view = slot.view();
            (view.config.clone(), view.plugin.clone())
        };
        let Ok(wanted) = wanted(&config) else { return };
        let Some(running) = running else {
            if self.plugins.selected(&wanted).is_some() {
                self.start_again(slot).await;
            }
            return;
        };
        if !self.shared.worker.plugin_reload_enable() {
            return;
        }
        let new = match self.plugins.load_replacement(&wanted, running.info()).await {
            Ok(Some(new)) => new,
            Ok(None) if self.has_new_transform(slot).await => Arc::clone(&running),
            Ok(None) => return,
            Err(error) => return goes_on(slot, &running, &error.to_string()),
        };
        let (checked, tasks) = match self.prepare(slot, &new, &config).await {
            Ok(prepared) => prepared,
            Err(reason) => return goes_on(slot, &running, &reason),
        };
        let Some(mut live) = self.lock(slot).await else {
            return;
        };
        let as_before = {
            let view = slot.view();
            let plugin = view.plugin.as_ref().map(|plugin| plugin.info().digest);
            view.config == config && plugin == Some(running.info().digest)
        };
        if as_before {
            self.switch(slot, &mut live, running, new, &checked, tasks).await;
        }
    }

    /// Whether there is new code for a transform of a connector's tasks.
    async fn has_new_transform(&self, slot: &Slot) -> bool {
        let running = match self.lock(slot).await {
            Some(live) => live.transforms.clone(),
            None => return false,
        };
        for TransformSpec { wanted, plugin, .. } in &running {
            match self.plugins.load_replacement(wanted, plugin.info()).await {
                Ok(Some(_)) => return true,
                Ok(None) => {}
                Err(error) => goes_on(slot, plugin, &error.to_string()),
            }
        }
        false
    }

    /// Starts a connector whose class could not be had.
    async fn start_again(self: &Arc<Self>, slot: &Arc<Slot>) {
        let Some(mut live) = self.lock(slot).await else {
            return;
        };
        if slot.view().plugin.is_none() {
            tracing::info!(
                connector = slot.name,
                "connector starts, its plugin may be there by now"
            );
            self.start_connector(slot, &mut live, false).await;
        }
    }

    /// The connector, to be changed; `None` when it is not to run, or nothing is any more.
    async fn lock<'a>(&self, slot: &'a Slot) -> Option<MutexGuard<'a, Live>> {
        let cancelled = self.group.cancelled();
        let live = tokio::select! {
            live = slot.live.lock() => live,
            () = cancelled.cancelled() => return None,
        };
        let stopped = slot.view().target == TargetState::Stopped;
        let over = live.deleted || stopped || self.stopping.load(Ordering::SeqCst);
        (!over).then_some(live)
    }

    /// What the new code makes of the connector's config.
    async fn prepare(
        &self,
        slot: &Slot,
        new: &Arc<dyn ConnectorPlugin>,
        config: &ConfigMap,
    ) -> Result<(ConnectorConfig, Vec<ConfigMap>), String> {
        let version = &new.info().version;
        let about = |what: String| format!("version {version}: {what}");
        let checked = self
            .check_with(new, config)
            .await
            .map_err(|error| about(error.to_string()))?;
        let tasks = self.task_configs(slot, new, &checked).await.map_err(about)?;
        Ok((checked, tasks))
    }

    async fn switch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        running: Arc<dyn ConnectorPlugin>,
        new: Arc<dyn ConnectorPlugin>,
        checked: &ConnectorConfig,
        tasks: Vec<ConfigMap>,
    ) {
        let started = Instant::now();
        let from = running.info().version.clone();
        let late = self.stop_tasks(live).await;
        drop(running);
        if slot.view().target == TargetState::Paused {
            self.start_connector(slot, live, false).await;
        } else {
            {
                let mut view = slot.view();
                view.kind = Some(new.info().kind);
                view.plugin = Some(Arc::clone(&new));
            }
            live.kind = Some(new.info().kind);
            if let Err(cause) = self.start_tasks(slot, live, &new, checked, tasks, false).await {
                self.start_failed(slot, cause).await;
            }
        }
        self.plugins.forget_unused();
        tracing::info!(
            connector = slot.name,
            from,
            to = new.info().version,
            late_tasks = late,
            elapsed_ms = started.elapsed().as_millis(),
            "connector goes on with new plugin code"
        );
    }
}

/// Waits for a change, and then until nothing changes any more. Says whether there may be another one.
async fn settle(changes: &mut watch::Receiver<u64>) -> bool {
    if changes.changed().await.is_err() {
        return false;
    }
    let at_last = Instant::now() + SETTLED_AT_LAST;
    while Instant::now() < at_last {
        match timeout_at(at_last.min(Instant::now() + SETTLED), changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return false,
            Err(_) => break,
        }
    }
    true
}

fn goes_on(slot: &Slot, running: &Arc<dyn ConnectorPlugin>, reason: &str) {
    let info = running.info();
    tracing::warn!(
        connector = slot.name,
        class = info.class,
        version = info.version,
        reason,
        "connector goes on with the plugin code it has"
    );
}
