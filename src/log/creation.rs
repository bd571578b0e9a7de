//! Creating topics: the files of new partitions, made durable before the topic is known.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use jackfield_env::File;

use crate::{
    AppendError, CreateError, LogConfig, TopicId, checkpoint,
    commit::DirectoryHealth,
    leftovers,
    manager::{Directory, LogManager},
    partition_log::{PartitionLog, Shared},
    recovery,
    segment::Segment,
};

/// New files that are made durable together; so many stay open until then.
const FILES_PER_SYNC: usize = 128;

/// What the partitions of a new topic have in common.
#[derive(Debug)]
struct New<'a> {
    topic: &'a str,
    id: TopicId,
    config: &'a LogConfig,
}

impl LogManager {
    /// Creates the given partitions of a topic durably: directories, metadata, first segments. Blocking.
    ///
    /// # Errors
    /// [`CreateError`] when no directory is online or the file system refuses.
    pub fn create(
        &self,
        topic: &str,
        topic_id: TopicId,
        partitions: Range<i32>,
        config: LogConfig,
    ) -> Result<Vec<Arc<PartitionLog>>, CreateError> {
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let new = New {
            topic,
            id: topic_id,
            config: &config,
        };
        let mut begun = BTreeSet::new();
        let created = self
            .make(&new, partitions, &mut begun)
            .map_err(|source| CreateError {
                source,
                leaves_remains: self.discard(&begun).is_err(),
            })?;
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        for log in &created {
            logs.insert((topic.into(), log.partition()), Arc::clone(log));
        }
        Ok(created)
    }

    /// The directories that were begun are in `begun`, also when it fails.
    fn make(
        &self,
        new: &New<'_>,
        partitions: Range<i32>,
        begun: &mut BTreeSet<PathBuf>,
    ) -> Result<Vec<Arc<PartitionLog>>, AppendError> {
        let topic = new.topic;
        let failed = |error: io::Error| AppendError::Storage(format!("creating topic {topic}: {error}"));
        self.check_unknown(topic, partitions.clone())?;
        self.forget_checkpoints(topic, partitions.clone())
            .map_err(failed)?;
        let directories = self.emptiest_first(partitions.len())?;
        let parents = directories.iter().map(|d| self.env.files.open_dir(&d.path));
        let parents: Vec<_> = parents.collect::<io::Result<_>>().map_err(failed)?;
        let (mut created, mut dirty) = (Vec::new(), Vec::new());
        for (partition, directory) in partitions.zip(directories.iter().cycle()) {
            let dir = directory.path.join(format!("{topic}-{partition}"));
            self.make_room(&dir).map_err(failed)?;
            begun.insert(dir.clone());
            let log = self.write_partition(new, partition, directory, &dir, &mut dirty);
            created.push(log.map_err(failed)?);
            if dirty.len() >= FILES_PER_SYNC {
                self.sync_all(std::mem::take(&mut dirty))?;
            }
        }
        dirty.extend(parents);
        self.sync_all(dirty)?;
        Ok(created)
    }

    /// In place of a partition that should be there and was not found: it refuses everything. The manager does not know it.
    pub fn stand_in(
        &self,
        topic: &str,
        partition: i32,
        topic_id: TopicId,
        config: LogConfig,
    ) -> Arc<PartitionLog> {
        let unusable = self.unusable.get(&(topic.to_owned(), partition));
        let reason = unusable.map_or_else(
            || format!("{topic}-{partition} is in none of the log directories that work"),
            |(_, reason)| reason.clone(),
        );
        let shared = Shared {
            log_dir: PathBuf::new(),
            env: self.env.clone(),
            durability: self.config.durability,
            health: Arc::new(DirectoryHealth::failed(reason)),
            committer: Arc::clone(&self.committer),
        };
        let segment = Segment::lazily(&self.env.files, Path::new(""), 0, 0, self.env.clock.now_ms());
        let state = recovery::new_state(PathBuf::new(), config, vec![segment], vec![(0, 0)], 0);
        PartitionLog::new(topic, partition, topic_id, shared, state)
    }

    fn check_unknown(&self, topic: &str, mut partitions: Range<i32>) -> Result<(), AppendError> {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        let known = partitions.find(|partition| logs.contains_key(&(topic.into(), *partition)));
        known.map_or(Ok(()), |partition| {
            Err(AppendError::Storage(format!(
                "{topic}-{partition} exists already"
            )))
        })
    }

    /// One new partition; what has to be made durable is added to `dirty`.
    fn write_partition(
        &self,
        new: &New<'_>,
        partition: i32,
        directory: &Directory,
        dir: &Path,
        dirty: &mut Vec<Arc<dyn File>>,
    ) -> io::Result<Arc<PartitionLog>> {
        let files = &*self.env.files;
        files.create_dir_all(dir)?;
        for (name, content) in [
            (checkpoint::LEADER_EPOCH, checkpoint::render_epochs(&[(0, 0)])),
            (
                checkpoint::PARTITION_METADATA,
                checkpoint::render_partition_metadata(new.id),
            ),
        ] {
            let file = files.open(&dir.join(name), true)?;
            file.set_len(0)?;
            file.write_all_at(&content, 0)?;
            dirty.push(file);
        }
        let (shared, config) = (self.shared(directory), new.config.clone());
        let log = recovery::create(dir.to_owned(), new.topic, partition, new.id, shared, config)?;
        dirty.push(Arc::clone(&log.lock().active().file));
        dirty.push(files.open_dir(dir)?);
        Ok(log)
    }

    /// Removes what an earlier creation left under the name of a new partition.
    fn make_room(&self, dir: &Path) -> io::Result<()> {
        let files = &*self.env.files;
        if !files.exists(dir) || leftovers::is_unused_partition(files, dir)? {
            return files.remove_dir_all(dir);
        }
        let message = format!("{} exists and holds other files: move it away", dir.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    }

    /// Makes files and directories durable; every directory in which that fails goes offline.
    pub(crate) fn sync_all(&self, dirty: Vec<Arc<dyn File>>) -> Result<(), AppendError> {
        let results = self.env.files.sync_data_many(&dirty);
        let failed = results.into_iter().zip(&dirty).map(|(result, file)| {
            // They may be of several directories.
            result.map_err(|error| self.sync_failed(file.path(), &error))
        });
        failed.fold(Ok(()), Result::and)
    }

    /// Removes what was begun of a topic that could not be created, durably. Fails when something of it may be found at the
    /// next start. A directory that is offline is left alone.
    fn discard(&self, begun: &BTreeSet<PathBuf>) -> io::Result<()> {
        let files = &*self.env.files;
        let discard = |directory: &Directory| {
            let begun = begun.iter().filter(|dir| dir.starts_with(&directory.path));
            match directory.health.offline() {
                Some(reason) => return Err(io::Error::other(reason)),
                None => begun
                    .map(|dir| files.remove_dir_all(dir))
                    .fold(Ok(()), Result::and)?,
            }
            files.sync_dir(&directory.path)
        };
        let concerned = |directory: &&Directory| begun.iter().any(|dir| dir.starts_with(&directory.path));
        let discarded = self.directories.iter().filter(concerned).map(|directory| {
            discard(directory).inspect_err(|error| {
                tracing::warn!(directory = %directory.path.display(), %error, "partitions of a topic that could not be created are left");
            })
        });
        discarded.fold(Ok(()), Result::and)
    }

    /// Whether there is a directory for new partitions, or none because they are offline: not when those that are online are
    /// all in `cordoned.log.dirs`.
    pub fn takes_partitions(&self) -> bool {
        let cordoned = self.changing().cordoned;
        let mut online = self
            .directories
            .iter()
            .filter(|directory| directory.health.offline().is_none())
            .peekable();
        online.peek().is_none() || online.any(|directory| !cordoned.contains(&directory.path))
    }

    /// The online directories, those with the fewest partitions first; no more than `wanted`.
    fn emptiest_first(&self, wanted: usize) -> Result<Vec<&Directory>, AppendError> {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        let held = |directory: &Directory| logs.values().filter(|log| log.log_dir == directory.path).count();
        let mut ranked: Vec<_> = self
            .directories
            .iter()
            .filter(|directory| directory.health.offline().is_none())
            .map(|directory| (held(directory), directory))
            .collect();
        if ranked.is_empty() {
            return Err(AppendError::Storage("every log directory is offline".to_owned()));
        }
        let cordoned = self.changing().cordoned;
        ranked.retain(|(_, directory)| !cordoned.contains(&directory.path));
        if ranked.is_empty() {
            return Err(AppendError::Storage(
                "every log directory that is online is in cordoned.log.dirs".to_owned(),
            ));
        }
        ranked.sort_by_key(|(count, _)| *count);
        ranked.truncate(wanted.max(1));
        Ok(ranked.into_iter().map(|(_, directory)| directory).collect())
    }
}
