//! What runs and how it is: states and plugins, all from memory.

use super::{ConnectorStatus, Herder, HerderError, Inner, PluginRow, Slot, StateInfo, kind_name};
use crate::{
    converters,
    stores::status::{State, Status},
};

impl Herder {
    /// `GET …/status`.
    ///
    /// # Errors
    /// [`HerderError::NotFound`].
    #[allow(
        clippy::unused_async,
        reason = "reads are to stay async for a worker among others"
    )]
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus, HerderError> {
        let missing = |name: &str| HerderError::NotFound(format!("No status found for connector {name}"));
        let slot = self.inner.slot(name, missing)?;
        Ok(self.inner.status_of(&slot))
    }

    /// `GET …/tasks/{task}/status`.
    ///
    /// # Errors
    /// [`HerderError::NotFound`].
    #[allow(
        clippy::unused_async,
        reason = "reads are to stay async for a worker among others"
    )]
    pub async fn task_status(&self, name: &str, task: u32) -> Result<StateInfo, HerderError> {
        let status = &self.inner.shared.status;
        let found = status.task(name, task);
        let found = found.map(|found| self.inner.task_state(name, task, found));
        found.ok_or_else(|| HerderError::NotFound(format!("No status found for task {name}-{task}")))
    }

    /// `GET /connector-plugins`.
    pub fn plugins(&self, connectors_only: bool) -> Vec<PluginRow> {
        let mut rows: Vec<PluginRow> = self
            .inner
            .plugins
            .list()
            .into_iter()
            .map(|info| PluginRow {
                class: info.class,
                kind: kind_name(Some(info.kind)),
                version: Some(info.version),
            })
            .collect();
        rows.sort_by(|one, other| (one.kind, &one.class).cmp(&(other.kind, &other.class)));
        if !connectors_only {
            rows.extend(converters::classes().map(|(class, header_only)| PluginRow {
                class: class.to_owned(),
                kind: if header_only {
                    "header_converter"
                } else {
                    "converter"
                },
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }));
        }
        rows
    }
}

impl Inner {
    fn task_state(&self, name: &str, task: u32, status: Status) -> StateInfo {
        let store = &self.shared.status;
        StateInfo {
            lag: store.lag(name, task),
            ..StateInfo::new(Some(task), status, store.worker_id())
        }
    }

    /// State of a connector and its tasks. One whose first start is not done yet is UNASSIGNED.
    pub(super) fn status_of(&self, slot: &Slot) -> ConnectorStatus {
        let store = &self.shared.status;
        let unassigned = Status {
            state: State::Unassigned,
            trace: None,
            version: None,
        };
        let connector = store.connector(&slot.name).unwrap_or(unassigned);
        let tasks = store.tasks(&slot.name).into_iter();
        ConnectorStatus {
            name: slot.name.clone(),
            connector: StateInfo::new(None, connector, store.worker_id()),
            tasks: tasks
                .map(|(task, status)| self.task_state(&slot.name, task, status))
                .collect(),
            kind: kind_name(slot.view().kind),
        }
    }
}
