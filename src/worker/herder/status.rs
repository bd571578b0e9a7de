//! What runs and how it is: states, and topics in use, all from memory.

use std::{collections::BTreeMap, sync::Arc};

use jackfield_plugin::TaskReport;

use super::{ConnectorStatus, Herder, HerderError, Inner, Slot, StateInfo, kind_name};
use crate::stores::status::{State, Status};

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

    /// `GET …/topics`: the topics that the connector's tasks have used; none for a connector that is not there.
    pub fn topics(&self, name: &str) -> Vec<String> {
        self.inner.shared.status.topics(name)
    }

    /// What the running tasks report, by connector and task.
    pub fn reports(&self) -> BTreeMap<(String, u32), Arc<TaskReport>> {
        self.inner.shared.status.reports()
    }

    /// `PUT …/topics/reset`: forgets them.
    pub async fn reset_topics(&self, name: &str) {
        self.inner.shared.status.remove_topics(name).await;
    }
}

impl Inner {
    fn task_state(&self, name: &str, task: u32, status: Status) -> StateInfo {
        let store = &self.shared.status;
        let report = store.report(name, task);
        StateInfo {
            lag: report.as_ref().and_then(|report| report.lag()),
            message: report.and_then(|report| report.state()),
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
