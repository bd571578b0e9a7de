//! Topics and their partitions.
//!
//! A topic is its partition directories; what they do not hold (configs, and the partition count while a topic is being
//! created) is kept in one small file per topic, `<first log dir>/topics/<name>.properties`, replaced atomically. It is
//! written first and removed last, so that a half-created topic is completed and a half-deleted one goes at the next start.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jackfield_env::Env;
use jackfield_log::{LogConfig, LogManager, PartitionLog, TopicId};
use tokio::sync::watch;

use crate::topic_config;

/// Longest topic name (it becomes a directory name).
const MAX_NAME_BYTES: usize = 249;
/// Most partitions one request may create.
const MAX_PARTITIONS: i32 = 10_000;
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
    InvalidConfig(String),
    #[error("{0}")]
    Storage(String),
}

#[derive(Debug, Default)]
struct Registry {
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
    logs: Arc<LogManager>,
    env: Env,
    directory: PathBuf,
    defaults: LogConfig,
    num_partitions: i32,
    registry: RwLock<Registry>,
    /// One creation or deletion at a time.
    changes: Mutex<()>,
    changed: watch::Sender<u64>,
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
        "." | ".." => invalid("Topic name is invalid: '.' or '..' is not allowed".to_owned()),
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

impl Topics {
    /// Takes over the topics whose logs were found. Blocking.
    ///
    /// # Errors
    /// A message when the topic files cannot be read or a half-created topic cannot be completed.
    pub(crate) fn load(
        logs: Arc<LogManager>,
        env: Env,
        first_log_dir: PathBuf,
        defaults: LogConfig,
        num_partitions: i32,
    ) -> Result<Self, String> {
        let topics = Self {
            logs,
            env,
            directory: first_log_dir.join("topics"),
            defaults,
            num_partitions,
            registry: RwLock::default(),
            changes: Mutex::new(()),
            changed: watch::Sender::new(0),
        };
        let files = &*topics.env.files;
        files
            .create_dir_all(&topics.directory)
            .map_err(|error| format!("{}: {error}", topics.directory.display()))?;
        let mut found: BTreeMap<String, Vec<Arc<PartitionLog>>> = BTreeMap::new();
        for log in topics.logs.logs() {
            found.entry(log.topic().to_owned()).or_default().push(log);
        }
        for (name, partitions) in found {
            topics.adopt(&name, partitions)?;
        }
        Ok(topics)
    }

    /// Registers a topic found on disk, completing it when its creation was interrupted.
    fn adopt(&self, name: &str, mut partitions: Vec<Arc<PartitionLog>>) -> Result<(), String> {
        let (count, configs) = self.read_file(name)?;
        let id = partitions[0].topic_id();
        let config = topic_config::resolve(&self.defaults, &configs)
            .map_err(|error| format!("topic {name}: {error}"))?;
        let highest = partitions
            .iter()
            .map(|log| log.partition() + 1)
            .max()
            .unwrap_or(0);
        for partition in 0..highest.max(count) {
            if !partitions.iter().any(|log| log.partition() == partition) {
                tracing::warn!(
                    topic = name,
                    partition,
                    "completing a partition whose creation was interrupted"
                );
                let created = self
                    .logs
                    .create(name, id, partition..partition + 1, config.clone());
                partitions.extend(created.map_err(|error| error.to_string())?);
            }
        }
        partitions.sort_by_key(|log| log.partition());
        for log in &partitions {
            log.set_config(config.clone());
        }
        self.register(name, id, partitions, configs);
        Ok(())
    }

    fn register(
        &self,
        name: &str,
        id: TopicId,
        partitions: Vec<Arc<PartitionLog>>,
        configs: BTreeMap<String, String>,
    ) -> Arc<Topic> {
        let internal = INTERNAL_TOPICS.contains(&name);
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

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.properties"))
    }

    fn read_file(&self, name: &str) -> Result<(i32, BTreeMap<String, String>), String> {
        let path = self.file(name);
        if !self.env.files.exists(&path) {
            return Ok((0, BTreeMap::new()));
        }
        let content = self
            .env
            .files
            .read(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&content);
        let mut configs: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let count = configs.remove("partitions").and_then(|count| count.parse().ok());
        Ok((
            count.ok_or_else(|| format!("{}: has no partition count", path.display()))?,
            configs,
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

    /// The broker's defaults for topic configs.
    pub(crate) fn defaults(&self) -> &LogConfig {
        &self.defaults
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
        let flat = |name: &str| name.replace('.', "_");
        if let Some(twin) = registry.by_name.keys().find(|known| flat(known) == flat(name)) {
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
        let config =
            topic_config::resolve(&self.defaults, configs).map_err(CreateTopicError::InvalidConfig)?;
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
        tokio_block(|| self.create_blocking(name, partitions, configs))
    }

    fn create_blocking(
        &self,
        name: &str,
        partitions: Option<i32>,
        configs: &BTreeMap<String, String>,
    ) -> Result<Arc<Topic>, CreateTopicError> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let (partitions, config) = self.check(name, partitions, configs)?;
        let storage =
            |error: std::io::Error| CreateTopicError::Storage(format!("creating topic {name}: {error}"));
        let mut text = format!("partitions={partitions}\n");
        for (key, value) in configs {
            text.push_str(&format!("{key}={value}\n"));
        }
        self.env
            .files
            .write_atomic(&self.file(name), text.as_bytes())
            .map_err(storage)?;
        let id = self.new_id();
        match self.logs.create(name, id, 0..partitions, config) {
            Ok(logs) => {
                tracing::info!(topic = name, partitions, "created topic");
                Ok(self.register(name, id, logs, configs.clone()))
            }
            Err(error) => {
                let undone =
                    self.logs.delete(name).is_ok() && self.env.files.remove_file(&self.file(name)).is_ok();
                if !undone {
                    tracing::warn!(
                        topic = name,
                        "remains of a topic that could not be created are left on disk"
                    );
                }
                Err(CreateTopicError::Storage(error.to_string()))
            }
        }
    }

    fn new_id(&self) -> TopicId {
        let mut bytes = [0; 16];
        self.env.random.fill(&mut bytes);
        TopicId(*uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes())
    }

    /// Deletes a topic; `false` when there is none.
    ///
    /// # Errors
    /// [`CreateTopicError::Storage`] when the file system refuses.
    #[allow(
        clippy::unused_async,
        reason = "callers must not rely on the deletion being synchronous"
    )]
    pub async fn delete(&self, name: &str) -> Result<bool, CreateTopicError> {
        tokio_block(|| self.delete_blocking(name))
    }

    fn delete_blocking(&self, name: &str) -> Result<bool, CreateTopicError> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(topic) = self.get(name) else {
            return Ok(false);
        };
        self.logs
            .delete(name)
            .map_err(|error| CreateTopicError::Storage(error.to_string()))?;
        if let Err(error) = self.env.files.remove_file(&self.file(name)) {
            tracing::warn!(topic = name, %error, "config file of a deleted topic is left on disk");
        }
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.by_name.remove(name);
        registry.by_id.remove(&topic.id);
        drop(registry);
        self.changed.send_modify(|version| *version += 1);
        tracing::info!(topic = name, "deleted topic");
        Ok(true)
    }
}

/// Runs short blocking file work: beside the other tasks on a multi-threaded runtime, inline on any other.
fn tokio_block<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
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
