//! Creating topics: the files of new partitions, made durable before the topic is known.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use jackfield_env::File;

use crate::{
    AppendError, LogConfig, TopicId, checkpoint, leftovers,
    manager::{Directory, LogManager},
    partition_log::PartitionLog,
    recovery,
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
    /// [`AppendError::Storage`] when no directory is online or the file system refuses.
    pub fn create(
        &self,
        topic: &str,
        topic_id: TopicId,
        partitions: Range<i32>,
        config: LogConfig,
    ) -> Result<Vec<Arc<PartitionLog>>, AppendError> {
        let failed = |error: io::Error| AppendError::Storage(format!("creating topic {topic}: {error}"));
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_unknown(topic, partitions.clone())?;
        self.forget_checkpoints(topic, partitions.clone())
            .map_err(failed)?;
        let directories = self.emptiest_first(partitions.len())?;
        let parents: io::Result<Vec<_>> = directories
            .iter()
            .map(|directory| self.env.files.open_dir(&directory.path))
            .collect();
        let parents = parents.map_err(failed)?;
        let new = New {
            topic,
            id: topic_id,
            config: &config,
        };
        let mut created = Vec::new();
        let mut dirty = Vec::new();
        for (partition, directory) in partitions.zip(directories.iter().cycle()) {
            match self.create_partition(&new, partition, directory, &mut dirty) {
                Ok(log) => created.push(log),
                Err(error) => {
                    // Removing needs files to be opened, too.
                    drop((dirty, parents));
                    self.discard(created);
                    return Err(failed(error));
                }
            }
            if dirty.len() >= FILES_PER_SYNC {
                self.sync_new(std::mem::take(&mut dirty))?;
            }
        }
        dirty.extend(parents);
        self.sync_new(dirty)?;
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        for log in &created {
            logs.insert((topic.into(), log.partition()), Arc::clone(log));
        }
        Ok(created)
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

    /// One new partition; what has to be made durable is added to `dirty`. A failure leaves nothing behind.
    fn create_partition(
        &self,
        new: &New<'_>,
        partition: i32,
        directory: &Directory,
        dirty: &mut Vec<Arc<dyn File>>,
    ) -> io::Result<Arc<PartitionLog>> {
        let dir = directory.path.join(format!("{}-{partition}", new.topic));
        self.make_room(&dir)?;
        let made = self.write_partition(new, partition, directory, &dir, dirty);
        if made.is_err() {
            dirty.clear();
            self.remove_new(&dir);
        }
        made
    }

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

    fn sync_new(&self, dirty: Vec<Arc<dyn File>>) -> Result<(), AppendError> {
        let results = self.env.files.sync_data_many(&dirty);
        let failed = results.into_iter().zip(&dirty).map(|(result, file)| {
            // They may be of several directories.
            result.map_err(|error| self.sync_failed(file.path(), &error))
        });
        failed.fold(Ok(()), Result::and)
    }

    /// Removes what was created of a topic that could not be created.
    fn discard(&self, created: Vec<Arc<PartitionLog>>) {
        let dirs: Vec<PathBuf> = created.iter().map(|log| log.lock().dir.clone()).collect();
        // Their files are closed first: removing needs some to be opened.
        drop(created);
        for dir in dirs {
            self.remove_new(&dir);
        }
    }

    fn remove_new(&self, dir: &Path) {
        if let Err(error) = self.env.files.remove_dir_all(dir) {
            tracing::warn!(directory = %dir.display(), %error, "directory of a topic that could not be created is left");
        }
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
        ranked.sort_by_key(|(count, _)| *count);
        ranked.truncate(wanted.max(1));
        Ok(ranked.into_iter().map(|(_, directory)| directory).collect())
    }
}
