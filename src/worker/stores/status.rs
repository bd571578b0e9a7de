//! The status topic: states of connectors and tasks, and the topics they use.
//!
//! Reads come from memory and never wait. Writes go to the topic in order; that they are durable is waited for at
//! shutdown only, as in Connect.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use jackfield_cluster::{Acknowledgement, Cluster};
use jackfield_env::Env;
use jackfield_plugin::TaskReport;

use super::{KeyedTopic, StoreError};
use crate::{config::WorkerConfig, converters::json_string};

/// A state that is shown and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// Connect's state.
    pub(crate) state: State,
    /// What went wrong.
    pub(crate) trace: Option<String>,
    /// Version of the plugin.
    pub(crate) version: Option<String>,
}

/// Connect's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's names")]
pub(crate) enum State {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
}

impl State {
    /// Connect's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
        }
    }
}

/// This worker's generation: it runs alone, so its group had one rebalance.
const GENERATION: i32 = 1;

/// The store.
pub(crate) struct StatusStore {
    topic: KeyedTopic,
    env: Env,
    worker_id: String,
    memory: Mutex<Memory>,
    /// Holds the order of writes, and the acknowledgement of the last one.
    writing: tokio::sync::Mutex<Option<Acknowledgement>>,
}

#[derive(Debug, Default)]
struct Memory {
    connectors: BTreeMap<String, Status>,
    tasks: BTreeMap<(String, u32), Status>,
    /// What running tasks report; not part of the topic.
    reports: BTreeMap<(String, u32), Arc<TaskReport>>,
    /// Topics in use: connector, topic.
    topics: BTreeSet<(String, String)>,
}

impl std::fmt::Debug for StatusStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("StatusStore")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl StatusStore {
    /// Opens the topic. Of what it says only the topics in use count: states are those of the tasks that run here. Rows
    /// of connectors and tasks that are not in `existing` (names and task counts) are removed from it.
    pub(crate) async fn open(
        cluster: Arc<dyn Cluster>,
        env: Env,
        config: &WorkerConfig,
        worker_id: String,
        existing: &BTreeMap<String, usize>,
    ) -> Result<Self, StoreError> {
        let topic = KeyedTopic::open(
            cluster,
            env.clone(),
            &config.status_topic(),
            "connector and task statuses",
        )
        .await?;
        let mut rows = BTreeSet::new();
        for (key, value) in topic.read().await? {
            let key = String::from_utf8_lossy(&key).into_owned();
            if value.is_some() {
                rows.insert(key)
            } else {
                rows.remove(&key)
            };
        }
        let (kept, gone): (BTreeSet<_>, BTreeSet<_>) = rows.into_iter().partition(|key| is_of(key, existing));
        let topics = kept.iter().filter_map(|key| topic_row(key));
        let topics = topics.map(|(connector, topic)| (connector.to_owned(), topic.to_owned()));
        let store = Self {
            topic,
            env,
            worker_id,
            memory: Mutex::new(Memory {
                topics: topics.collect(),
                ..Memory::default()
            }),
            writing: tokio::sync::Mutex::default(),
        };
        if !gone.is_empty() {
            let gone: Vec<_> = gone.into_iter().map(|key| (key, None)).collect();
            store.write(&gone).await;
        }
        Ok(store)
    }

    /// The worker's id, as every status shows it.
    pub(crate) fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// A connector's state.
    pub(crate) fn connector(&self, name: &str) -> Option<Status> {
        self.memory().connectors.get(name).cloned()
    }

    /// A task's state.
    pub(crate) fn task(&self, name: &str, task: u32) -> Option<Status> {
        self.memory().tasks.get(&(name.to_owned(), task)).cloned()
    }

    /// What a running task reports.
    pub(crate) fn report(&self, name: &str, task: u32) -> Option<Arc<TaskReport>> {
        self.memory().reports.get(&(name.to_owned(), task)).cloned()
    }

    /// What all running tasks report.
    pub(crate) fn reports(&self) -> BTreeMap<(String, u32), Arc<TaskReport>> {
        self.memory().reports.clone()
    }

    /// Shows from now on what a task reports.
    pub(crate) fn show_report(&self, name: &str, task: u32, report: Arc<TaskReport>) {
        self.memory().reports.insert((name.to_owned(), task), report);
    }

    /// The task does not run any more.
    pub(crate) fn hide_report(&self, name: &str, task: u32) {
        self.memory().reports.remove(&(name.to_owned(), task));
    }

    /// States of a connector's tasks, by number.
    pub(crate) fn tasks(&self, name: &str) -> Vec<(u32, Status)> {
        let memory = self.memory();
        let range = memory
            .tasks
            .range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX));
        range.map(|((_, task), status)| (*task, status.clone())).collect()
    }

    /// Sets a connector's state.
    pub(crate) async fn put_connector(&self, name: &str, status: Status) {
        let value = self.value(&status);
        if self.memory().connectors.insert(name.to_owned(), status.clone()) == Some(status) {
            return;
        }
        self.write(&[(format!("status-connector-{name}"), Some(value))])
            .await;
    }

    /// Sets a task's state.
    pub(crate) async fn put_task(&self, name: &str, task: u32, status: Status) {
        let value = self.value(&status);
        if self
            .memory()
            .tasks
            .insert((name.to_owned(), task), status.clone())
            == Some(status)
        {
            return;
        }
        self.write(&[(format!("status-task-{name}-{task}"), Some(value))])
            .await;
    }

    /// Forgets a task.
    pub(crate) async fn remove_task(&self, name: &str, task: u32) {
        if self.memory().tasks.remove(&(name.to_owned(), task)).is_some() {
            self.write(&[(format!("status-task-{name}-{task}"), None)]).await;
        }
    }

    /// Forgets a connector, its tasks and its topics.
    pub(crate) async fn remove_connector(&self, name: &str) {
        for (task, _) in self.tasks(name) {
            self.remove_task(name, task).await;
        }
        self.memory().connectors.remove(name);
        let mut records = self.forget_topics(name);
        records.push((format!("status-connector-{name}"), None));
        self.write(&records).await;
    }

    /// The topics that a connector's tasks have used.
    pub(crate) fn topics(&self, name: &str) -> Vec<String> {
        let memory = self.memory();
        let of_connector = memory.topics.iter().filter(|(connector, _)| connector == name);
        of_connector.map(|(_, topic)| topic.clone()).collect()
    }

    /// Forgets the topics of a connector.
    pub(crate) async fn remove_topics(&self, name: &str) {
        let records = self.forget_topics(name);
        if !records.is_empty() {
            self.write(&records).await;
        }
    }

    /// Takes a connector's topics out of memory; returns the tombstones of their rows.
    fn forget_topics(&self, name: &str) -> Vec<(String, Option<Vec<u8>>)> {
        let mut memory = self.memory();
        let all = std::mem::take(&mut memory.topics);
        let (gone, kept): (BTreeSet<_>, BTreeSet<_>) =
            all.into_iter().partition(|(connector, _)| connector == name);
        memory.topics = kept;
        let tombstone = |(connector, topic): &(String, String)| (topic_key(connector, topic), None);
        gone.iter().map(tombstone).collect()
    }

    /// Notes that a task uses a topic.
    pub(crate) async fn put_topic(&self, connector: &str, task: u32, topic: &str) {
        if !self
            .memory()
            .topics
            .insert((connector.to_owned(), topic.to_owned()))
        {
            return;
        }
        let mut value = br#"{"topic":{"name":"#.to_vec();
        json_string(topic, &mut value);
        value.extend_from_slice(br#","connector":"#);
        json_string(connector, &mut value);
        // Writing to a Vec cannot fail.
        let _ = write!(
            value,
            r#","task":{task},"discoverTimestamp":{}}}}}"#,
            self.env.clock.now_ms()
        );
        self.write(&[(topic_key(connector, topic), Some(value))]).await;
    }

    /// Waits until everything written is durable.
    pub(crate) async fn flush(&self) {
        let last = self.writing.lock().await.take();
        if let Some(Err(error)) = match last {
            Some(acknowledgement) => Some(acknowledgement.await),
            None => None,
        } {
            tracing::warn!(topic = self.topic.name(), error = %error, "status was not stored");
        }
    }

    /// Appends; a failure is logged, because the state in memory is what counts while the worker runs.
    async fn write(&self, records: &[(String, Option<Vec<u8>>)]) {
        let mut last = self.writing.lock().await;
        match self.topic.append(records).await {
            Ok(acknowledgement) => *last = Some(acknowledgement),
            Err(error) => tracing::warn!(error = %error, "status was not stored"),
        }
    }

    fn value(&self, status: &Status) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        // Writing to a Vec cannot fail.
        let _ = write!(out, r#"{{"state":"{}","trace":"#, status.state.name());
        text_or_null(status.trace.as_deref(), &mut out);
        out.extend_from_slice(br#","worker_id":"#);
        json_string(&self.worker_id, &mut out);
        let _ = write!(out, r#","generation":{GENERATION},"version":"#);
        text_or_null(status.version.as_deref(), &mut out);
        out.push(b'}');
        out
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connector and topic of a row's key.
fn topic_row(key: &str) -> Option<(&str, &str)> {
    let (topic, connector) = key.strip_prefix("status-topic-")?.split_once(":connector-")?;
    Some((connector, topic))
}

/// Whether a row belongs to something that exists. Rows of other kinds are left alone.
fn is_of(key: &str, existing: &BTreeMap<String, usize>) -> bool {
    if let Some((connector, _)) = topic_row(key) {
        return existing.contains_key(connector);
    }
    if let Some(connector) = key.strip_prefix("status-connector-") {
        return existing.contains_key(connector);
    }
    let task = key
        .strip_prefix("status-task-")
        .and_then(|task| task.rsplit_once('-'));
    task.is_none_or(|(connector, task)| {
        let tasks = existing.get(connector).copied().unwrap_or(0);
        task.parse::<usize>().is_ok_and(|task| task < tasks)
    })
}

fn topic_key(connector: &str, topic: &str) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

fn text_or_null(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => json_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_belong_to_what_exists() {
        let existing = BTreeMap::from([("a".to_owned(), 2), ("a-1".to_owned(), 0)]);
        for (key, kept) in [
            ("status-connector-a", true),
            ("status-connector-a-1", true),
            ("status-connector-b", false),
            ("status-task-a-1", true),
            ("status-task-a-2", false),
            ("status-task-a-1-0", false),
            ("status-task-b-0", false),
            ("status-topic-t:connector-a", true),
            ("status-topic-t:connector-b", false),
            ("session-key", true),
        ] {
            assert_eq!(is_of(key, &existing), kept, "{key}");
        }
    }
}
