//! Topics and their partitions.
//!
//! A topic is its partition directories and a file beside them (`topic_files`), which is written before the first
//! directory is made and removed after the last is gone. It says whether the topic was created to its end, and a deletion is
//! marked in it first: what was interrupted goes at the next start, of everything else nothing does (`topics_found`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jackfield_env::Env;
use jackfield_log::{LogConfig, LogManager, PartitionLog, TopicId};
use tokio::sync::watch;

use crate::{
    blocking,
    topic_config::{self, Defaults},
    topic_files::{TopicFile, TopicFiles},
};

/// Longest topic name (it becomes a directory name).
pub(crate) const MAX_NAME_BYTES: usize = 249;
/// Most partitions one request may create.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;
/// Topics of the broker's own, which clients may neither write nor delete.
const INTERNAL_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// A topic.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: Vec<Arc<PartitionLog>>,
    pub configs: BTreeMap<String, String>,
    pub internal: bool,
}

/// Why a topic could not be created; mapped to Kafka's error codes in one file.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum CreateTopicError {
    #[error("Topic '{0}' already exists.")]
    AlreadyExists(String),
    #[error("{0}")]
    InvalidName(String),
    #[error("{0}")]
    InvalidPartitions(String),
    #[error("{0}")]
    InvalidReplicationFactor(String),
    #[error("{0}")]
    InvalidAssignment(String),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    Storage(String),
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

impl Registry {
    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_name.insert(Arc::clone(&topic.name), topic);
    }
}

/// Topics and their partitions.
#[derive(Debug)]
pub struct Topics {
    pub(crate) logs: Arc<LogManager>,
    pub(crate) env: Env,
    pub(crate) files: TopicFiles,
    /// What topics have that set nothing themselves.
    pub(crate) defaults: RwLock<Arc<Defaults>>,
    pub(crate) num_partitions: i32,
    pub(crate) registry: RwLock<Registry>,
    /// One creation or deletion at a time.
    pub(crate) changes: Mutex<()>,
    pub(crate) changed: watch::Sender<u64>,
}

/// Whether a topic is the broker's own.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// Checks a topic name by Kafka's rules.
///
/// # Errors
/// [`CreateTopicError::InvalidName`] in Kafka's words.
pub fn check_name(name: &str) -> Result<(), CreateTopicError> {
    let invalid = |what: String| Err(CreateTopicError::InvalidName(what));
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => invalid("Topic name is invalid: the empty string is not allowed".to_owned()),
        "." | ".." => invalid(format!("Topic name is invalid: '{name}' is not allowed")),
        _ if name.len() > MAX_NAME_BYTES => invalid(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {MAX_NAME_BYTES}"
        )),
        _ if !name.chars().all(legal) => invalid(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', \
             '_' and '-'"
        )),
        _ => Ok(()),
    }
}

/// Whether two names differ in dots and underscores only.
fn are_twins(one: &str, other: &str) -> bool {
    let flat = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.len() == other.len() && one.bytes().map(flat).eq(other.bytes().map(flat))
}

impl Topics {
    pub(crate) fn register(
        &self,
        name: &str,
        id: TopicId,
        partitions: Vec<Arc<PartitionLog>>,
        configs: BTreeMap<String, String>,
    ) -> Arc<Topic> {
        let internal = is_internal(name);
        let topic = Arc::new(Topic {
            name: name.into(),
            id,
            partitions,
            configs,
            internal,
        });
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::clone(&topic));
        self.changed.send_modify(|version| *version += 1);
        topic
    }

    fn defaults(&self) -> Arc<Defaults> {
        Arc::clone(&self.defaults.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Settings of the logs of a topic with these configs.
    ///
    /// # Errors
    /// [`CreateTopicError::InvalidConfig`].
    pub(crate) fn resolve(&self, configs: &BTreeMap<String, String>) -> Result<LogConfig, CreateTopicError> {
        topic_config::resolve(&self.defaults(), configs).map_err(CreateTopicError::InvalidConfig)
    }

    /// Settings of the logs of a topic that has these configs already.
    pub(crate) fn of_existing(&self, name: &str, configs: &BTreeMap<String, String>) -> LogConfig {
        topic_config::of_existing(&self.defaults(), name, configs)
    }

    /// Whether a log directory takes new partitions.
    ///
    /// # Errors
    /// [`CreateTopicError::InvalidReplicationFactor`] in Kafka's words.
    pub(crate) fn check_room(&self) -> Result<(), CreateTopicError> {
        if self.logs.takes_partitions() {
            return Ok(());
        }
        Err(CreateTopicError::InvalidReplicationFactor(
            "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned."
                .to_owned(),
        ))
    }

    fn read_registry(&self) -> std::sync::RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// One topic.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read_registry().by_name.get(name).cloned()
    }

    /// By id.
    pub fn get_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.read_registry().by_id.get(&id).cloned()
    }

    /// All topics, sorted by name.
    pub fn list(&self) -> Vec<Arc<Topic>> {
        self.read_registry().by_name.values().cloned().collect()
    }

    /// A partition's log.
    pub fn partition(&self, name: &str, partition: i32) -> Option<Arc<PartitionLog>> {
        let registry = self.read_registry();
        registry
            .by_name
            .get(name)?
            .partitions
            .get(usize::try_from(partition).ok()?)
            .cloned()
    }

    /// Changes whenever the set of topics does.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Checks what [`Topics::create`] would be asked, without creating. Returns the partition count.
    ///
    /// # Errors
    /// [`CreateTopicError`], as `create`.
    pub fn check(
        &self,
        name: &str,
        partitions: Option<i32>,
        configs: &BTreeMap<String, String>,
    ) -> Result<(i32, LogConfig), CreateTopicError> {
        check_name(name)?;
        let registry = self.read_registry();
        if registry.by_name.contains_key(name) {
            return Err(CreateTopicError::AlreadyExists(name.to_owned()));
        }
        // Kafka's metric names replace dots by underscores, so it refuses such twins.
        if let Some(twin) = registry.by_name.keys().find(|known| are_twins(known, name)) {
            return Err(CreateTopicError::InvalidName(format!(
                "Topic '{name}' collides with existing topic: {twin}"
            )));
        }
        let partitions = match partitions {
            None | Some(-1) => self.num_partitions,
            Some(count) if (1..=MAX_PARTITIONS).contains(&count) => count,
            Some(count) => {
                return Err(CreateTopicError::InvalidPartitions(format!(
                    "Number of partitions was set to an invalid value: {count} is not between 1 and {MAX_PARTITIONS}."
                )));
            }
        };
        self.check_room()?;
        let config = self.resolve(configs)?;
        Ok((partitions, config))
    }

    /// Creates a topic durably. `partitions` -1 or `None` = `num.partitions`.
    ///
    /// # Errors
    /// [`CreateTopicError`]; nothing was created then.
    #[allow(
        clippy::unused_async,
        reason = "callers must not rely on the creation being synchronous"
    )]
    pub async fn create(
        &self,
        name: &str,
        partitions: Option<i32>,
        configs: &BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, CreateTopicError> {
        blocking::run(|| self.create_blocking(name, partitions, configs))
    }

    fn create_blocking(
        &self,
        name: &str,
        partitions: Option<i32>,
        configs: &BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, CreateTopicError> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let (partitions, config) = self.check(name, partitions, configs)?;
        let storage = |error: &dyn std::fmt::Display| {
            CreateTopicError::Storage(format!("creating topic {name}: {error}"))
        };
        let file = TopicFile {
            partitions,
            configs: topic_config::normalized(configs),
            ..TopicFile::without_configs(self.new_id(), name)
        };
        self.files
            .write_unfinished(&file)
            .map_err(|error| storage(&error))?;
        let logs = self.logs.create(name, file.id, 0..partitions, config);
        let logs = logs.map_err(|error| {
            if !error.leaves_remains {
                self.files.remove(file.id);
            }
            storage(&error)
        })?;
        if let Err(error) = self.files.finish_creation(file.id) {
            // Nobody is told of it, so it goes; at the next start, if not now.
            let undone = self.files.begin_deletion(file.id, name).is_ok();
            if undone && self.logs.delete(name, file.id).is_ok() {
                self.files.remove(file.id);
            }
            return Err(storage(&error));
        }
        tracing::info!(topic = name, partitions, "created topic");
        Ok(self.register(name, file.id, logs, file.configs))
    }

    fn new_id(&self) -> TopicId {
        let mut bytes = [0; 16];
        self.env.random.fill(&mut bytes);
        TopicId(*uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes())
    }

    /// Deletes a topic; `false` when there is none. A deletion that fails can be tried again; once it is marked on disk, the
    /// next start ends it.
    ///
    /// # Errors
    /// [`CreateTopicError::Storage`] when the file system refuses.
    #[allow(
        clippy::unused_async,
        reason = "callers must not rely on the deletion being synchronous"
    )]
    pub async fn delete(&self, name: &str) -> Result<bool, CreateTopicError> {
        blocking::run(|| self.delete_blocking(name))
    }

    fn delete_blocking(&self, name: &str) -> Result<bool, CreateTopicError> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(topic) = self.get(name) else {
            return Ok(false);
        };
        let storage = |error: &dyn std::fmt::Display| {
            CreateTopicError::Storage(format!("deleting topic {name}: {error}"))
        };
        let marked = self.files.begin_deletion(topic.id, name);
        if marked.is_ok() || self.files.is_unfinished(topic.id) {
            // The next start may find the mark, so nothing is acknowledged any more.
            topic.partitions.iter().for_each(|log| log.mark_deleted());
        }
        marked.map_err(|error| storage(&error))?;
        let file = TopicFile::without_configs(topic.id, name);
        self.delete_logs(file, &topic.partitions)
            .map_err(|error| storage(&error))?;
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.by_name.remove(name);
        registry.by_id.remove(&topic.id);
        drop(registry);
        self.changed.send_modify(|version| *version += 1);
        tracing::info!(topic = name, "deleted topic");
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["a", "a.b_c-9", &"x".repeat(249)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
