//! Which topics there are at start: what is in the log directories, held against the files of the topics.
//!
//! Only the files say what a topic is, so nothing is removed or made anew because something else was not found: a log
//! directory may be missing this time, and come back. Directories without a file (Apache Kafka's, for instance) are taken
//! over with default configs.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::{Arc, Mutex, RwLock},
};

use jackfield_env::Env;
use jackfield_log::{LogManager, PartitionLog, TopicId};
use tokio::sync::watch;

use crate::{
    Topics,
    topic_config::Defaults,
    topic_files::{TopicFile, TopicFiles},
};

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

impl Topics {
    /// Takes over the topics whose logs were found. Blocking.
    ///
    /// # Errors
    /// A message when the topic files cannot be read, or were in another directory.
    pub(crate) fn load(
        logs: Arc<LogManager>,
        env: Env,
        first_log_dir: &Path,
        defaults: Defaults,
        num_partitions: i32,
    ) -> Result<Self, String> {
        let topics = Self {
            logs,
            files: TopicFiles::new(env.clone(), first_log_dir),
            env,
            defaults: RwLock::new(Arc::new(defaults)),
            num_partitions,
            registry: RwLock::default(),
            changes: Mutex::new(()),
            changed: watch::Sender::new(0),
        };
        if topics.logs.was_used_before() {
            // Another directory was the first one then.
            topics.files.check_there()?;
        }
        let (unfinished, mut files): (Vec<_>, Vec<_>) = topics
            .files
            .read_all()?
            .into_iter()
            .partition(|file| file.is_unfinished);
        let doomed: HashSet<TopicId> = unfinished.iter().map(|file| file.id).collect();
        for file in unfinished {
            topics.finish_deletion(file);
        }
        let mut found: BTreeMap<String, Vec<Arc<PartitionLog>>> = BTreeMap::new();
        for log in topics.logs.logs() {
            if doomed.contains(&log.topic_id()) {
                continue;
            }
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
            );
        }
        for file in files {
            topics.adopt_missing(file);
        }
        for log in topics.logs.strays() {
            tracing::error!(
                topic = log.topic(),
                partition = log.partition(),
                id = log.topic_id().to_base64(),
                "partition of another topic with the same name; it is left alone: move it out of log.dirs"
            );
        }
        Ok(topics)
    }

    /// Registers a topic found on disk. Partitions of it that were not found are not made anew: they would be empty, and in
    /// the way of the lost ones.
    fn adopt(&self, name: &str, mut partitions: Vec<Arc<PartitionLog>>, file: TopicFile) {
        let config = self.of_existing(name, &file.configs);
        if file.partitions > 0 {
            // Behind a gap: left by an addition of partitions that was interrupted, and told to nobody.
            partitions.sort_by_key(|log| log.partition());
            let mut next = file.partitions;
            partitions.retain(|log| {
                let in_order = log.partition() <= next;
                next = next.max(log.partition() + 1);
                in_order
            });
        }
        let found: BTreeSet<i32> = partitions.iter().map(|log| log.partition()).collect();
        let highest = found.last().map_or(0, |partition| partition + 1);
        let missing = (0..highest.max(file.partitions)).filter(|partition| !found.contains(partition));
        let missing: Vec<i32> = missing.collect();
        if !missing.is_empty() {
            tracing::error!(topic = name, partitions = ?missing, offline = self.logs.offline_directories().join("; "), "partitions of a topic are missing and answer KAFKA_STORAGE_ERROR: bring their log directory back, or restore them from a copy, and restart; or delete the topic");
        }
        let absent = |partition| self.logs.stand_in(name, partition, file.id, config.clone());
        partitions.extend(missing.into_iter().map(absent));
        partitions.sort_by_key(|log| log.partition());
        for log in &partitions {
            log.set_config(config.clone());
        }
        self.register(name, file.id, partitions, file.configs);
    }

    /// Registers a topic of which nothing was found but its file.
    fn adopt_missing(&self, file: TopicFile) {
        let path = self.files.path(file.id);
        if file.partitions == 0 {
            tracing::error!(file = %path.display(), "no partition of the topic with this file was found; the file is kept: remove it if the topic is gone for good");
            return;
        }
        if self.get(&file.name).is_some() {
            tracing::error!(topic = file.name, file = %path.display(), "file of another topic with the same name, of which no partition was found; it is left alone: remove it if that topic is gone for good");
            return;
        }
        self.adopt(&file.name.clone(), Vec::new(), file);
    }

    /// Ends a creation or deletion that was interrupted: there is no such topic.
    fn finish_deletion(&self, file: TopicFile) {
        let logs = self.logs.logs().into_iter().chain(self.logs.strays());
        let logs: Vec<_> = logs.filter(|log| log.topic_id() == file.id).collect();
        let (name, id) = (file.name.clone(), file.id);
        match self.delete_logs(file, &logs) {
            Ok(left) if left.is_empty() => {
                tracing::info!(topic = name, "ended an interrupted creation or deletion");
            }
            Ok(left) => {
                tracing::warn!(topic = name, partitions = ?left, id = id.to_base64(), "deleted topic has partitions out of reach: they are deleted at the start that finds them; if they are gone for good, remove the topic's file");
            }
            Err(error) => {
                tracing::error!(topic = name, %error, "interrupted creation or deletion cannot be ended; tried again at the next start");
            }
        }
    }

    /// Deletes the logs of a topic whose file says that it goes, and the file, unless some of them could not be got at.
    /// Returns these. `logs` are those that are known.
    pub(crate) fn delete_logs(
        &self,
        mut file: TopicFile,
        logs: &[Arc<PartitionLog>],
    ) -> Result<BTreeSet<i32>, String> {
        self.logs
            .delete(&file.name, file.id)
            .map_err(|error| error.to_string())?;
        let before = file.left.clone();
        for log in logs {
            if log.is_offline() {
                file.left.insert(log.partition());
            } else {
                file.left.remove(&log.partition());
            }
        }
        if file.left != before {
            self.files
                .write_unfinished(&file)
                .map_err(|error| error.to_string())?;
        }
        // What is in a directory that could not be read is not known.
        if file.left.is_empty() && self.logs.offline_directories().is_empty() {
            self.files.remove(file.id);
        }
        Ok(file.left)
    }
}
