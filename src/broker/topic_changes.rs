//! What changes of a topic that is there: its configs, and how many partitions it has.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use jackfield_log::PartitionLog;

use kafka_protocol::error::ResponseError;

use crate::{
    CreateTopicError, Topic, Topics, blocking,
    dynamic_configs::Refusal,
    topic_config::{self, Defaults},
    topic_files::TopicFile,
};

/// Configs of a topic, by key.
type Configs = BTreeMap<String, String>;

/// Why a topic was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ChangeTopicError {
    #[error("The topic '{0}' does not exist.")]
    Unknown(String),
    /// As a creation is refused.
    #[error(transparent)]
    Refused(#[from] CreateTopicError),
    /// What was asked cannot be done to configs.
    #[error("{1}")]
    Change(ResponseError, String),
}

impl Topics {
    /// Replaces the configs of a topic by what `change` makes of them, durably: they are in force when this returns. When
    /// only `validate_only`, nothing is changed.
    ///
    /// # Errors
    /// [`ChangeTopicError`]; nothing is changed then.
    pub(crate) fn change_configs(
        &self,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&Configs) -> Result<Configs, Refusal>,
    ) -> Result<(), ChangeTopicError> {
        blocking::run(|| {
            let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let topic = self
                .get(name)
                .ok_or_else(|| ChangeTopicError::Unknown(name.to_owned()))?;
            let configs = change(&topic.configs)
                .map_err(|(error, message)| ChangeTopicError::Change(error, message))?;
            let config = self.resolve(&configs)?;
            let configs = topic_config::normalized(&configs);
            if validate_only || configs == topic.configs {
                return Ok(());
            }
            self.rewrite(&topic, topic.partitions.clone(), configs)?;
            for log in &topic.partitions {
                log.set_config(config.clone());
            }
            tracing::info!(topic = name, "changed the configs of a topic");
            Ok(())
        })
    }

    /// Gives all topics other defaults: those that set an option themselves keep it.
    pub(crate) fn set_defaults(&self, defaults: Defaults) {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *self.defaults.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(defaults);
        for topic in self.list() {
            let config = self.of_existing(&topic.name, &topic.configs);
            for log in &topic.partitions {
                log.set_config(config.clone());
            }
        }
    }

    /// Adds partitions until there are `count`, durably.
    ///
    /// # Errors
    /// [`ChangeTopicError`]; the topic has as many as before then.
    pub(crate) fn add_partitions(&self, name: &str, count: i32) -> Result<(), ChangeTopicError> {
        blocking::run(|| {
            let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let topic = self
                .get(name)
                .ok_or_else(|| ChangeTopicError::Unknown(name.to_owned()))?;
            self.check_room()?;
            let config = self.of_existing(name, &topic.configs);
            let storage = |error: &dyn std::fmt::Display| {
                CreateTopicError::Storage(format!("adding partitions to topic {name}: {error}"))
            };
            let mut partitions = topic.partitions.clone();
            for partition in i32::try_from(partitions.len()).unwrap_or(i32::MAX)..count {
                // Left by an attempt that failed before it was told to anybody: there is nothing in it.
                let left = self.logs.get(name, partition);
                let left = left.filter(|log: &Arc<PartitionLog>| log.topic_id() == topic.id);
                let made = match left {
                    Some(log) => vec![log],
                    None => self
                        .logs
                        .create(name, topic.id, partition..partition + 1, config.clone())
                        .map_err(|error| storage(&error))?,
                };
                partitions.extend(made);
            }
            self.rewrite(&topic, partitions, topic.configs.clone())?;
            tracing::info!(topic = name, partitions = count, "added partitions to a topic");
            Ok(())
        })
    }

    /// Writes the file of a topic anew, and registers what it says.
    fn rewrite(
        &self,
        topic: &Topic,
        partitions: Vec<Arc<PartitionLog>>,
        configs: Configs,
    ) -> Result<(), CreateTopicError> {
        let file = TopicFile {
            partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            configs,
            ..TopicFile::without_configs(topic.id, &topic.name)
        };
        self.files.write(&file).map_err(|error| {
            CreateTopicError::Storage(format!("writing the file of topic {}: {error}", topic.name))
        })?;
        self.register(&topic.name, topic.id, partitions, file.configs);
        Ok(())
    }
}
