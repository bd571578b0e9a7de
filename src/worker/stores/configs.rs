//! The config topic: what should run, as Connect writes it down.
//!
//! Keys: `connector-<name>`, `task-<name>-<n>`, `commit-<name>`, `target-state-<name>`. Task configs take effect with
//! the commit record behind them. Records of features that are not there (session keys, fencing, restart requests,
//! log levels) are passed over, so that a topic of Kafka Connect's can be taken over as it is.

use std::{collections::BTreeMap, sync::Arc};

use jackfield_cluster::Cluster;
use jackfield_env::Env;

use super::{KeyedTopic, StoreError, java_map::in_java_order};
use crate::{ConfigMap, TargetState, config::WorkerConfig, converters::json_string};

/// What the topic says about one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredConnector {
    /// Its config.
    pub(crate) config: ConfigMap,
    /// Its target state.
    pub(crate) target: TargetState,
    /// Its committed task configs.
    pub(crate) tasks: Vec<ConfigMap>,
}

/// The store. Writes are durable when they return.
#[derive(Debug)]
pub(crate) struct ConfigStore {
    topic: KeyedTopic,
}

impl ConfigStore {
    /// Opens the topic and reads what it says.
    pub(crate) async fn open(
        cluster: Arc<dyn Cluster>,
        env: Env,
        config: &WorkerConfig,
    ) -> Result<(Self, BTreeMap<String, StoredConnector>), StoreError> {
        let topic =
            KeyedTopic::open(cluster, env, &config.config_topic(), "connector configurations").await?;
        if topic.partitions() != 1 {
            return Err(StoreError::Unfit(format!(
                "Topic '{}' supplied via the 'config.storage.topic' property is required to have a single partition in \
                 order to guarantee consistency of connector configurations, but found {} partitions.",
                topic.name(),
                topic.partitions()
            )));
        }
        let mut replay = Replay::default();
        for (key, value) in topic.read().await? {
            replay.record(&String::from_utf8_lossy(&key), value.as_deref());
        }
        Ok((Self { topic }, replay.finish()))
    }

    /// Writes a connector's config, with its target state in front when one is given.
    pub(crate) async fn put_connector(
        &self,
        name: &str,
        config: &ConfigMap,
        target: Option<TargetState>,
    ) -> Result<(), StoreError> {
        let mut records = Vec::with_capacity(2);
        if let Some(target) = target {
            records.push(target_record(name, target));
        }
        records.push((format!("connector-{name}"), Some(properties(config))));
        self.topic.put(&records).await
    }

    /// Writes a connector's task configs and makes them effective.
    pub(crate) async fn put_tasks(&self, name: &str, tasks: &[ConfigMap]) -> Result<(), StoreError> {
        let configs = tasks.iter().enumerate();
        let mut records: Vec<_> = configs
            .map(|(task, config)| {
                (
                    format!("task-{name}-{task}"),
                    Some(properties(&in_java_order(config))),
                )
            })
            .collect();
        if !records.is_empty() {
            self.topic.put(&records).await?;
            records.clear();
        }
        let commit = format!(r#"{{"tasks":{}}}"#, tasks.len()).into_bytes();
        self.topic.put(&[(format!("commit-{name}"), Some(commit))]).await
    }

    /// Writes a target state.
    pub(crate) async fn put_target(&self, name: &str, target: TargetState) -> Result<(), StoreError> {
        self.topic.put(&[target_record(name, target)]).await
    }

    /// Deletes a connector.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let records = [
            (format!("connector-{name}"), None),
            (format!("target-state-{name}"), None),
        ];
        self.topic.put(&records).await
    }
}

fn target_record(name: &str, target: TargetState) -> (String, Option<Vec<u8>>) {
    // The first field is for workers that know no STOPPED yet.
    let (old, new) = match target {
        TargetState::Started => ("STARTED", "STARTED"),
        TargetState::Paused => ("PAUSED", "PAUSED"),
        TargetState::Stopped => ("PAUSED", "STOPPED"),
    };
    let value = format!(r#"{{"state":"{old}","state.v2":"{new}"}}"#);
    (format!("target-state-{name}"), Some(value.into_bytes()))
}

/// `{"properties":{…}}`.
fn properties(config: &ConfigMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"properties":{"#);
    for (index, (key, value)) in config.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json_string(key, &mut out);
        out.push(b':');
        json_string(value, &mut out);
    }
    out.extend_from_slice(b"}}");
    out
}

/// Applies the topic's records in order.
#[derive(Debug, Default)]
struct Replay {
    connectors: BTreeMap<String, ConfigMap>,
    targets: BTreeMap<String, TargetState>,
    uncommitted: BTreeMap<(String, u32), ConfigMap>,
    tasks: BTreeMap<String, Vec<ConfigMap>>,
}

impl Replay {
    fn record(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(name) = key.strip_prefix("target-state-") {
            match value.and_then(parse_target) {
                Some(target) => self.targets.insert(name.to_owned(), target),
                None => self.targets.remove(name),
            };
        } else if let Some(name) = key.strip_prefix("connector-") {
            match value.and_then(parse_properties) {
                Some(config) => self.connectors.insert(name.to_owned(), config),
                None => {
                    self.tasks.remove(name);
                    self.uncommitted.retain(|(connector, _), _| connector != name);
                    self.connectors.remove(name)
                }
            };
        } else if let Some(task) = key.strip_prefix("task-") {
            let id = task
                .rsplit_once('-')
                .and_then(|(name, id)| Some((name.to_owned(), id.parse().ok()?)));
            match (id, value.and_then(parse_properties)) {
                (Some(id), Some(config)) => drop(self.uncommitted.insert(id, config)),
                _ => tracing::warn!(key, "discarding task config that cannot be read"),
            }
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.commit(name, value);
        } else {
            tracing::debug!(key, "passing over config record");
        }
    }

    /// A commit whose task configs are not all there (compaction can do that) leaves the connector without tasks; they
    /// are generated again when it starts.
    fn commit(&mut self, name: &str, value: Option<&[u8]>) {
        let count = value
            .and_then(|value| serde_json::from_slice::<serde_json::Value>(value).ok())
            .and_then(|value| value.get("tasks")?.as_u64())
            .unwrap_or(0);
        let tasks: Option<Vec<ConfigMap>> = (0..count)
            .map(|task| {
                self.uncommitted
                    .get(&(name.to_owned(), u32::try_from(task).ok()?))
                    .cloned()
            })
            .collect();
        match tasks {
            Some(tasks) => drop(self.tasks.insert(name.to_owned(), tasks)),
            None => {
                tracing::warn!(connector = name, tasks = count, "task configs are incomplete");
                self.tasks.remove(name);
            }
        }
    }

    fn finish(mut self) -> BTreeMap<String, StoredConnector> {
        let connectors = std::mem::take(&mut self.connectors).into_iter();
        connectors
            .map(|(name, config)| {
                let target = self.targets.get(&name).copied().unwrap_or(TargetState::Started);
                let tasks = self.tasks.remove(&name).unwrap_or_default();
                (
                    name,
                    StoredConnector {
                        config,
                        target,
                        tasks,
                    },
                )
            })
            .collect()
    }
}

fn parse_properties(value: &[u8]) -> Option<ConfigMap> {
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    let entries = value.get("properties")?.as_object()?.iter();
    Some(
        entries
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
    )
}

fn parse_target(value: &[u8]) -> Option<TargetState> {
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    match value.get("state.v2").or_else(|| value.get("state"))?.as_str()? {
        "PAUSED" => Some(TargetState::Paused),
        "STOPPED" => Some(TargetState::Stopped),
        _ => Some(TargetState::Started),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(records: &[(&str, Option<&str>)]) -> BTreeMap<String, StoredConnector> {
        let mut replay = Replay::default();
        for (key, value) in records {
            replay.record(key, value.map(str::as_bytes));
        }
        replay.finish()
    }

    /// Records as Kafka Connect 4.3.1 wrote them.
    #[test]
    fn kafkas_own_topic_is_understood() {
        let source =
            r#"{"properties":{"name":"local-file-source","connector.class":"FileStreamSource","file":"t"}}"#;
        let task =
            r#"{"properties":{"connector.class":"FileStreamSource","file":"t","task.class":"X","name":"n"}}"#;
        let connectors = replay(&[
            (
                "session-key",
                Some(r#"{"key":"Oi8=","algorithm":"HmacSHA256","creation-timestamp":1}"#),
            ),
            ("connector-local-file-source", Some(source)),
            ("task-local-file-source-0", Some(task)),
            ("commit-local-file-source", Some(r#"{"tasks":1}"#)),
            (
                "target-state-local-file-source",
                Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
            ),
            (
                "restart-connector-local-file-source",
                Some(r#"{"include-tasks":true,"only-failed":false}"#),
            ),
            ("connector-gone", Some(source)),
            ("connector-gone", None),
            ("target-state-gone", None),
        ]);
        assert_eq!(connectors.len(), 1);
        let found = &connectors["local-file-source"];
        assert_eq!(found.target, TargetState::Stopped);
        assert_eq!(found.tasks.len(), 1);
        assert_eq!(found.config["file"], "t");
    }

    #[test]
    fn task_configs_count_from_their_commit_on() {
        let config = Some(r#"{"properties":{"a":"1"}}"#);
        let tasks = |records: &[(&str, Option<&str>)]| replay(records)["c-1"].tasks.len();
        let both = [
            ("connector-c-1", config),
            ("task-c-1-0", config),
            ("task-c-1-1", config),
        ];
        assert_eq!(tasks(&both), 0);
        let committed = ("commit-c-1", Some(r#"{"tasks":2}"#));
        assert_eq!(tasks(&[both[0], both[1], both[2], committed]), 2);
        assert_eq!(tasks(&[both[0], both[1], committed]), 0);
        assert_eq!(
            tasks(&[
                both[0],
                both[1],
                both[2],
                committed,
                ("commit-c-1", Some(r#"{"tasks":0}"#))
            ]),
            0
        );
    }

    #[test]
    fn values_are_byte_equal_to_kafkas() {
        let config = ConfigMap::from_iter(
            [("name", "a"), ("file", "C:\\tmp \"x\" \u{1f600}")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        assert_eq!(
            String::from_utf8(properties(&config)).unwrap(),
            r#"{"properties":{"name":"a","file":"C:\\tmp \"x\" \uD83D\uDE00"}}"#
        );
        let (key, value) = target_record("a", TargetState::Stopped);
        assert_eq!(key, "target-state-a");
        assert_eq!(value.unwrap(), br#"{"state":"PAUSED","state.v2":"STOPPED"}"#);
    }
}
