//! What one check works with: a class, a config, a directory and a peer of its own.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use jackfield_plugin::{ConnectorPlugin, Kind, PluginError, SinkPosition, StoredOffsets, TaskServices};
use serde_json::Value;

use crate::{
    conformance::Scenario,
    peer::{Behaviour, Peer},
};

/// Topic of the records that sinks and transforms are given.
pub(crate) const TOPIC: &str = "kit";

pub(crate) struct Stage<'a> {
    pub(crate) plugin: &'a Arc<dyn ConnectorPlugin>,
    pub(crate) scenario: &'a Scenario,
    pub(crate) directory: &'a Path,
    /// The connector's config.
    pub(crate) config: BTreeMap<String, String>,
    peer: &'a Peer,
    url: String,
}

/// Offsets as a worker has stored them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    /// Source partitions with their offsets, JSON objects both.
    pub(crate) source: Vec<(Value, Value)>,
    /// Committed positions of a sink's group.
    pub(crate) sink: Arc<Mutex<Vec<SinkPosition>>>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        plugin: &'a Arc<dyn ConnectorPlugin>,
        scenario: &'a Scenario,
        directory: &'a Path,
        peer: &'a Peer,
    ) -> Self {
        let url = peer.place(&scenario.http);
        let mut config = scenario.config(directory, &url);
        let info = plugin.info();
        if info.kind != Kind::Transform {
            config.insert("name".to_owned(), "conformance".to_owned());
            config.insert("connector.class".to_owned(), info.class.clone());
            config.insert("tasks.max".to_owned(), "1".to_owned());
        }
        if info.kind == Kind::Sink {
            config.insert("topics".to_owned(), TOPIC.to_owned());
        }
        Self {
            plugin,
            scenario,
            directory,
            config,
            peer,
            url,
        }
    }

    /// How the peer answers from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.peer.behave(&self.url, behaviour);
    }

    /// What the peer was sent.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.peer.received(&self.url)
    }

    /// The config of the first task.
    pub(crate) async fn task_config(&self) -> Result<BTreeMap<String, String>, String> {
        if self.plugin.info().kind == Kind::Transform {
            return Ok(self.config.clone());
        }
        let configs = self.plugin.task_configs(&self.config, 1).await;
        let configs = configs.map_err(|error| said("taskConfigs", &error))?;
        if configs.len() > 1 {
            return Err(format!(
                "taskConfigs gave {} configs, at most 1 was asked for",
                configs.len()
            ));
        }
        let first = configs.into_iter().next();
        first.ok_or_else(|| "taskConfigs gave no config for the scenario's config".to_owned())
    }

    /// Services of a host with these offsets.
    pub(crate) fn services(&self, stored: Stored) -> TaskServices {
        TaskServices {
            connector: "conformance".to_owned(),
            task: 0,
            wake: Arc::default(),
            stored_offsets: Arc::new(stored),
            report: Arc::default(),
            wishes: Arc::default(),
        }
    }

    /// What is wrong with a config, by option: the definition's checks and the class's own.
    pub(crate) async fn problems(
        &self,
        config: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, String)>, String> {
        let issues = self.plugin.config_def().check(config);
        let mut problems: Vec<_> = issues
            .into_iter()
            .map(|issue| (issue.name, issue.message))
            .collect();
        match self.plugin.validate(config).await {
            Ok(issues) => problems.extend(issues.into_iter().map(|issue| (issue.name, issue.message))),
            Err(error) if error.is_fault => return Err(said("validate", &error)),
            // As the worker shows it.
            Err(error) => problems.push(("connector.class".to_owned(), error.message)),
        }
        Ok(problems)
    }
}

impl StoredOffsets for Stored {
    fn read(&self, source_partition: &str) -> Option<String> {
        let wanted: Value = serde_json::from_str(source_partition).ok()?;
        let found = self.source.iter().find(|(partition, _)| *partition == wanted)?;
        Some(found.1.to_string())
    }

    fn group_positions(&self) -> Vec<jackfield_api::SinkPosition> {
        let positions = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let position = |at: &SinkPosition| jackfield_api::SinkPosition {
            topic: at.topic.to_string(),
            partition: at.partition,
            offset: at.offset,
            metadata: at.metadata.clone(),
        };
        positions.iter().map(position).collect()
    }
}

/// What a call answered instead of doing it.
pub(crate) fn said(call: &str, error: &PluginError) -> String {
    if error.is_fault {
        return format!("{call} broke down: {}", error.message);
    }
    format!(
        "{call} gave a {} error: {}",
        format!("{:?}", error.kind).to_lowercase(),
        error.message
    )
}
