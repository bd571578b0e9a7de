//! Topics and their partitions.
//!
//! A topic is its partition directories and a file beside them (`topic_files`), which is written before the first
//! directory is made and removed after the last is gone; a deletion is marked in it first. So a half-created topic is
//! completed at the next start, and a half-deleted one goes. Directories without such a file (Apache Kafka's, for
//! instance) are taken over with default configs.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jackfield_env::Env;
use jackfield_log::{LogConfig, LogManager, PartitionLog, TopicId};
use tokio::sync::watch;

use crate::{
    blocking, topic_config,
    topic_files::{TopicFile, TopicFiles},
};

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
    files: TopicFiles,
    defaults: LogConfig,
    num_partitions: i32,
    registry: RwLock<Registry>,
    /// One creation or deletion at a time.
    changes: Mutex<()>,
    changed: watch::Sender<u64>,
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

/// The partitions of a name whose topic is all there, when there are several ids under that name; the others, and all of
/// them when that is not clear, are left alone.
fn of_one_id(
    name: &str,
    partitions: Vec<Arc<PartitionLog>>,
    files: &[TopicFile],
) -> Option<Vec<Arc<PartitionLog>>> {
    let first = partitions[0].topic_id();
    if partitions.iter().all(|log| log.topic_id() == first) {
        return Some(partitions);
    }
    let complete = |file: &&TopicFile| {
        let has = |partition| {
            let of_it = |log: &Arc<PartitionLog>| log.partition() == partition && log.topic_id() == file.id;
            partitions.iter().any(of_it)
        };
        file.name == name && file.partitions > 0 && (0..file.partitions).all(has)
    };
    let ids: Vec<_> = files.iter().filter(complete).map(|file| file.id).collect();
    let kept = if let [id] = ids[..] { Some(id) } else { None };
    let (own, others): (Vec<_>, Vec<_>) = partitions
        .into_iter()
        .partition(|log| Some(log.topic_id()) == kept);
    let others: Vec<_> = others
        .iter()
        .map(|log| format!("{name}-{} ({})", log.partition(), log.topic_id().to_base64()))
        .collect();
    tracing::error!(
        topic = name,
        directories = others.join(", "),
        "partitions of several topics have the same name; these are left alone: move them out of log.dirs"
    );
    kept.map(|_| own)
}

/// Whether two names differ in dots and underscores only.
fn are_twins(one: &str, other: &str) -> bool {
    let flat = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.len() == other.len() && one.bytes().map(flat).eq(other.bytes().map(flat))
}

impl Topics {
    /// Takes over the topics whose logs were found. Blocking.
    ///
    /// # Errors
    /// A message when the topic files cannot be read or a half-created topic cannot be completed.
    pub(crate) fn load(
        logs: Arc<LogManager>,
        env: Env,
        first_log_dir: &Path,
        defaults: LogConfig,
        num_partitions: i32,
    ) -> Result<Self, String> {
        let topics = Self {
            logs,
            files: TopicFiles::new(env.clone(), first_log_dir),
            env,
            defaults,
            num_partitions,
            registry: RwLock::default(),
            changes: Mutex::new(()),
            changed: watch::Sender::new(0),
        };
        let mut files = topics.files.read_all()?;
        files.retain(|file| !topics.finish_deletion(file));
        let mut found: BTreeMap<String, Vec<Arc<PartitionLog>>> = BTreeMap::new();
        for log in topics.logs.logs() {
            found.entry(log.topic().to_owned()).or_default().push(log);
        }
        for (name, partitions) in found {
            let Some(partitions) = of_one_id(&name, partitions, &files) else {
                files.retain(|file| file.name != name);
                continue;
            };
            let id = partitions[0].topic_id();
            let position = files.iter().position(|file| file.id == id);
            let file = position.map(|position| files.swap_remove(position));
            topics.adopt(
                &name,
                partitions,
                file.unwrap_or_else(|| TopicFile::without_configs(id, &name)),
            )?;
        }
        for file in files {
            // Nothing of it was made, and nobody was told it was.
            topics.files.remove(&file);
        }
        Ok(topics)
    }

    /// Registers a topic found on disk, completing it when its creation was interrupted.
    fn adopt(
        &self,
        name: &str,
        mut partitions: Vec<Arc<PartitionLog>>,
        file: TopicFile,
    ) -> Result<(), String> {
        let config = topic_config::resolve(&self.defaults, &file.configs)
            .map_err(|error| format!("{}: {error}", self.files.path(file.id).display()))?;
        let highest = partitions
            .iter()
            .map(|log| log.partition() + 1)
            .max()
            .unwrap_or(0);
        for partition in 0..highest.max(file.partitions) {
            if !partitions.iter().any(|log| log.partition() == partition) {
                tracing::warn!(
                    topic = name,
                    partition,
                    "completing a partition whose creation was interrupted"
                );
                let created = self
                    .logs
                    .create(name, file.id, partition..partition + 1, config.clone());
                partitions.extend(created.map_err(|error| error.to_string())?);
            }
        }
        partitions.sort_by_key(|log| log.partition());
        for log in &partitions {
            log.set_config(config.clone());
        }
        self.register(name, file.id, partitions, file.configs);
        Ok(())
    }

    /// Whether the file is of a topic whose deletion was interrupted; it is deleted now.
    fn finish_deletion(&self, file: &TopicFile) -> bool {
        if !file.deleting {
            return false;
        }
        let of_it = |log: &Arc<PartitionLog>| log.topic_id() == file.id;
        if self.logs.logs().iter().any(of_it)
            && let Err(error) = self.logs.delete(&file.name, file.id)
        {
            tracing::error!(topic = file.name, %error, "interrupted deletion cannot be finished; tried again at the next start");
            return true;
        }
        tracing::info!(topic = file.name, "finished an interrupted deletion");
        self.files.remove(file);
        true
    }

    fn register(
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
        let mut file = TopicFile {
            partitions,
            configs: configs.clone(),
            ..TopicFile::without_configs(self.new_id(), name)
        };
        self.files.write(&file).map_err(|error| storage(&error))?;
        match self.logs.create(name, file.id, 0..partitions, config) {
            Ok(logs) => {
                tracing::info!(topic = name, partitions, "created topic");
                Ok(self.register(name, file.id, logs, file.configs))
            }
            Err(error) => {
                // What was made of it goes at the next start.
                file.deleting = true;
                if let Err(error) = self.files.write(&file) {
                    tracing::warn!(topic = name, %error, "remains of a topic that could not be created are left on disk");
                }
                Err(storage(&error))
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
        blocking::run(|| self.delete_blocking(name))
    }

    fn delete_blocking(&self, name: &str) -> Result<bool, CreateTopicError> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(topic) = self.get(name) else {
            return Ok(false);
        };
        let file = TopicFile {
            deleting: true,
            ..TopicFile::without_configs(topic.id, name)
        };
        let storage = |error: &dyn std::fmt::Display| {
            CreateTopicError::Storage(format!("deleting topic {name}: {error}"))
        };
        self.files.write(&file).map_err(|error| storage(&error))?;
        self.logs
            .delete(name, topic.id)
            .map_err(|error| storage(&error))?;
        self.files.remove(&file);
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
