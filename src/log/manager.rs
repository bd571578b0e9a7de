//! All logs of a broker: the log directories, creation and deletion of topics, orderly shutdown.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::JoinHandle,
};

use jackfield_env::{Env, File};

use crate::{
    AppendError, LogConfig, LogManagerConfig, OpenError, TopicId,
    checkpoint::{self, Offsets},
    commit::{Committer, DirectoryHealth},
    maintenance::Maintenance,
    partition_log::{PartitionLog, Shared},
    recovery::{self, Known},
};

/// Suffix of a partition directory that is being deleted.
pub(crate) const DELETE_SUFFIX: &str = "-delete";

/// One of `log.dirs`.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    health: Arc<DirectoryHealth>,
    /// Held open: the lock on `.lock` lives as long.
    _lock: Arc<dyn File>,
}

type Logs = BTreeMap<(Arc<str>, i32), Arc<PartitionLog>>;

/// All logs of a broker.
#[derive(Debug)]
pub struct LogManager {
    pub(crate) config: LogManagerConfig,
    pub(crate) env: Env,
    pub(crate) directories: Vec<Directory>,
    cluster_id: String,
    committer: Arc<Committer>,
    logs: RwLock<Logs>,
    pub(crate) maintenance: Maintenance,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl LogManager {
    /// Opens (and creates) the directories, recovers every log in them, and starts the commit thread and the
    /// maintenance thread. Blocking. Logs get `defaults` until [`PartitionLog::set_config`].
    ///
    /// # Errors
    /// [`OpenError`]: a directory cannot be used, is in use, or belongs to another cluster.
    pub fn open(config: LogManagerConfig, defaults: LogConfig, env: Env) -> Result<Arc<Self>, OpenError> {
        let mut directories = Vec::new();
        let mut cluster_id = (!config.cluster_id.is_empty()).then(|| config.cluster_id.clone());
        for path in &config.log_dirs {
            directories.push(open_directory(path, &env)?);
            read_identity(path, &env, config.broker_id, &mut cluster_id)?;
        }
        let cluster_id = cluster_id.unwrap_or_else(|| random_id(&env).to_base64());
        let committer = Arc::new(Committer::default());
        let mut manager = Self {
            config,
            env,
            directories,
            cluster_id,
            committer,
            logs: RwLock::new(Logs::new()),
            maintenance: Maintenance::default(),
            threads: Mutex::new(Vec::new()),
        };
        let mut logs = Logs::new();
        for directory in &manager.directories {
            write_identity(&directory.path, &manager)?;
            manager.load_directory(directory, &defaults, &mut logs)?;
        }
        manager.logs = RwLock::new(logs);
        let manager = Arc::new(manager);
        let failed = OpenError::io(Path::new("starting the log threads"));
        let threads = manager
            .committer
            .start(Arc::clone(&manager.env.files))
            .and_then(|commit| Ok(vec![commit, Maintenance::start(&manager)?]))
            .map_err(failed)?;
        *manager.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        Ok(manager)
    }

    fn load_directory(
        &self,
        directory: &Directory,
        defaults: &LogConfig,
        logs: &mut Logs,
    ) -> Result<(), OpenError> {
        let files = &*self.env.files;
        let path = &directory.path;
        let at = |name: &str| path.join(name);
        let marker = at(checkpoint::CLEAN_SHUTDOWN);
        let clean = files.exists(&marker);
        let read = |name: &str| checkpoint::read_offsets(files, &at(name)).map_err(OpenError::io(&at(name)));
        let recovery_points = read(checkpoint::RECOVERY_POINT)?;
        let starts = read(checkpoint::LOG_START)?;
        for entry in files.read_dir(path).map_err(OpenError::io(path))? {
            if !entry.is_dir {
                continue;
            }
            let dir = at(&entry.name);
            if entry.name.ends_with(DELETE_SUFFIX) {
                files.remove_dir_all(&dir).map_err(OpenError::io(&dir))?;
                continue;
            }
            let Some((topic, partition)) = recovery::parse_directory(&entry.name) else {
                continue;
            };
            if !files.exists(&dir.join(checkpoint::PARTITION_METADATA)) {
                tracing::warn!(directory = %dir.display(), "partition was never fully created; removing it");
                files.remove_dir_all(&dir).map_err(OpenError::io(&dir))?;
                continue;
            }
            let key = (topic.to_owned(), partition);
            let known = Known {
                clean,
                recovery_point: recovery_points.get(&key).copied().unwrap_or(0),
                log_start_offset: starts.get(&key).copied(),
            };
            let log = recovery::open(
                dir.clone(),
                topic,
                partition,
                self.shared(directory),
                defaults.clone(),
                known,
            )
            .map_err(OpenError::io(&dir))?;
            logs.insert((topic.into(), partition), log);
        }
        // From here on a crash is unclean.
        files
            .remove_file(&marker)
            .and_then(|()| files.sync_dir(path))
            .map_err(OpenError::io(&marker))
    }

    fn shared(&self, directory: &Directory) -> Shared {
        Shared {
            log_dir: directory.path.clone(),
            env: self.env.clone(),
            durability: self.config.durability,
            health: Arc::clone(&directory.health),
            committer: Arc::clone(&self.committer),
        }
    }

    /// All logs, by topic and partition.
    pub fn logs(&self) -> Vec<Arc<PartitionLog>> {
        self.logs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// One log.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<PartitionLog>> {
        self.logs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(topic.into(), partition))
            .cloned()
    }

    /// Cluster id of `meta.properties`.
    pub fn cluster_id(&self) -> String {
        self.cluster_id.clone()
    }

    /// Creates the given partitions of a topic durably: directories, metadata, first segments. Blocking.
    ///
    /// # Errors
    /// [`AppendError::Storage`] when no directory is online or the file system refuses.
    pub fn create(
        &self,
        topic: &str,
        topic_id: TopicId,
        partitions: std::ops::Range<i32>,
        config: LogConfig,
    ) -> Result<Vec<Arc<PartitionLog>>, AppendError> {
        let failed = |error: io::Error| AppendError::Storage(format!("creating topic {topic}: {error}"));
        let mut created = Vec::new();
        let mut dirty = Vec::new();
        for partition in partitions {
            let directory = self.emptiest_directory(created.len())?;
            let dir = directory.path.join(format!("{topic}-{partition}"));
            dirty.extend(self.write_metadata(&dir, topic_id).map_err(failed)?);
            let shared = self.shared(directory);
            created.push(
                recovery::create(dir, topic, partition, topic_id, shared, config.clone()).map_err(failed)?,
            );
        }
        for directory in &self.directories {
            dirty.push(self.env.files.open_dir(&directory.path).map_err(failed)?);
        }
        for result in self.env.files.sync_data_many(&dirty) {
            result.map_err(failed)?;
        }
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        for log in &created {
            logs.insert((topic.into(), log.partition()), Arc::clone(log));
        }
        Ok(created)
    }

    /// Writes the files of a new partition; returns what has to be made durable, the directory last.
    fn write_metadata(&self, dir: &Path, topic_id: TopicId) -> io::Result<Vec<Arc<dyn File>>> {
        let files = &*self.env.files;
        files.create_dir_all(dir)?;
        let mut dirty = Vec::new();
        for (name, content) in [
            (checkpoint::LEADER_EPOCH, checkpoint::render_epochs(&[(0, 0)])),
            (
                checkpoint::PARTITION_METADATA,
                checkpoint::render_partition_metadata(topic_id),
            ),
        ] {
            let file = files.open(&dir.join(name), true)?;
            file.set_len(0)?;
            file.write_all_at(&content, 0)?;
            dirty.push(file);
        }
        dirty.push(files.open(&crate::segment::path(dir, 0, "log"), true)?);
        dirty.push(files.open_dir(dir)?);
        Ok(dirty)
    }

    /// The online directory with the fewest partitions; `pending` new ones are spread round-robin.
    fn emptiest_directory(&self, pending: usize) -> Result<&Directory, AppendError> {
        let online: Vec<_> = self
            .directories
            .iter()
            .filter(|d| d.health.offline().is_none())
            .collect();
        if online.is_empty() {
            return Err(AppendError::Storage("every log directory is offline".to_owned()));
        }
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        let held = |directory: &Directory| logs.values().filter(|log| log.log_dir == directory.path).count();
        let mut ranked: Vec<_> = online
            .iter()
            .map(|directory| (held(directory), *directory))
            .collect();
        ranked.sort_by_key(|(count, _)| *count);
        Ok(ranked[pending % ranked.len()].1)
    }

    /// Deletes all partitions of a topic: renamed durably at once, unlinked after `file.delete.delay.ms`. Blocking.
    ///
    /// # Errors
    /// [`AppendError::Storage`] when the file system refuses.
    pub fn delete(&self, topic: &str) -> Result<(), AppendError> {
        let failed = |error: io::Error| AppendError::Storage(format!("deleting topic {topic}: {error}"));
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<_> = logs
            .keys()
            .filter(|(name, _)| &**name == topic)
            .cloned()
            .collect();
        let files = &*self.env.files;
        for key in keys {
            let Some(log) = logs.remove(&key) else { continue };
            log.mark_deleted();
            let mut state = log.lock();
            let unique: String = random_id(&self.env)
                .0
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let renamed = log
                .log_dir
                .join(format!("{topic}-{}.{unique}{DELETE_SUFFIX}", key.1));
            files.rename(&state.dir, &renamed).map_err(failed)?;
            state.dir.clone_from(&renamed);
            self.maintenance.unlink_later(
                renamed,
                self.env.clock.now_ms() + state.config.file_delete_delay_ms,
            );
        }
        drop(logs);
        for directory in &self.directories {
            files.sync_dir(&directory.path).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the offset checkpoints of all directories.
    pub(crate) fn write_checkpoints(&self, clean: bool) -> io::Result<()> {
        let logs = self.logs();
        for directory in self.directories.iter().filter(|d| d.health.offline().is_none()) {
            let (mut recovery, mut starts, mut watermarks) = (Offsets::new(), Offsets::new(), Offsets::new());
            for log in logs.iter().filter(|log| log.log_dir == directory.path) {
                let key = (log.topic().to_owned(), log.partition());
                let state = log.lock();
                let first = state.segments[0].base_offset;
                // Segments before the committed one are on disk with their indexes.
                let point = if clean {
                    state.log_end_offset
                } else {
                    state.committed.segment
                };
                if state.log_start_offset > first {
                    starts.insert(key.clone(), state.log_start_offset);
                }
                recovery.insert(key.clone(), point);
                watermarks.insert(key, state.committed.offset);
            }
            let files = &*self.env.files;
            checkpoint::write_offsets(files, &directory.path.join(checkpoint::RECOVERY_POINT), &recovery)?;
            checkpoint::write_offsets(files, &directory.path.join(checkpoint::LOG_START), &starts)?;
            checkpoint::write_offsets(
                files,
                &directory.path.join(checkpoint::HIGH_WATERMARK),
                &watermarks,
            )?;
        }
        Ok(())
    }

    /// Commits what is outstanding, writes indexes, snapshots and checkpoints, leaves the clean marker, and releases
    /// the directories. Blocking; later appends are refused by nobody, so callers stop first.
    pub fn close(&self) {
        self.maintenance.stop();
        self.committer.stop();
        for thread in self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            if thread.join().is_err() {
                tracing::error!("a log thread panicked");
            }
        }
        let logs = self.logs();
        for log in &logs {
            if log.offline().is_none()
                && let Err(error) = log.write_closing_files()
            {
                log.fail(format!("closing {}-{}: {error}", log.topic(), log.partition()));
            }
        }
        crate::commit::round(&*self.env.files, &logs);
        if let Err(error) = self.write_checkpoints(true) {
            tracing::error!(%error, "checkpoints could not be written; the next start checks all logs");
            return;
        }
        for directory in self.directories.iter().filter(|d| d.health.offline().is_none()) {
            let marker = directory.path.join(checkpoint::CLEAN_SHUTDOWN);
            if let Err(error) = self
                .env
                .files
                .write_atomic(&marker, b"{\"version\":0,\"brokerEpoch\":-1}")
            {
                tracing::error!(%error, "clean shutdown marker could not be written; the next start checks all logs");
            }
        }
    }
}

fn open_directory(path: &Path, env: &Env) -> Result<Directory, OpenError> {
    env.files.create_dir_all(path).map_err(OpenError::io(path))?;
    let lock = env
        .files
        .lock(&path.join(".lock"))
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(path.display().to_string()),
            _ => OpenError::io(path)(error),
        })?;
    Ok(Directory {
        path: path.to_owned(),
        health: Arc::new(DirectoryHealth::default()),
        _lock: lock,
    })
}

/// 16 random bytes marked as a version 4 UUID.
pub(crate) fn random_id(env: &Env) -> TopicId {
    let mut bytes = [0; 16];
    env.random.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    TopicId(bytes)
}

fn properties(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect()
}

/// Checks `meta.properties` of a directory against the broker and the directories before it.
fn read_identity(
    path: &Path,
    env: &Env,
    broker_id: i32,
    cluster_id: &mut Option<String>,
) -> Result<(), OpenError> {
    let file = path.join(checkpoint::META_PROPERTIES);
    let content = match env.files.read(&file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io(&file)(error)),
    };
    let invalid = |message: String| OpenError::Invalid {
        path: file.display().to_string(),
        message,
    };
    let text = String::from_utf8(content).map_err(|_| invalid("is not text".to_owned()))?;
    let properties = properties(&text);
    let node = properties.get("node.id").or(properties.get("broker.id"));
    if let Some(node) = node.filter(|node| **node != broker_id.to_string()) {
        return Err(invalid(format!(
            "belongs to node.id {node}, not {broker_id}: correct node.id or log.dirs"
        )));
    }
    if let Some(stored) = properties.get("cluster.id") {
        match cluster_id {
            Some(expected) if expected != stored => {
                return Err(invalid(format!(
                    "belongs to cluster {stored}, not {expected}: correct log.dirs"
                )));
            }
            _ => *cluster_id = Some((*stored).to_owned()),
        }
    }
    Ok(())
}

fn write_identity(path: &Path, manager: &LogManager) -> Result<(), OpenError> {
    let file = path.join(checkpoint::META_PROPERTIES);
    if manager.env.files.exists(&file) {
        return Ok(());
    }
    let directory_id = random_id(&manager.env).to_base64();
    let content = format!(
        "#\nnode.id={}\nversion=1\ndirectory.id={directory_id}\ncluster.id={}\n",
        manager.config.broker_id, manager.cluster_id
    );
    manager
        .env
        .files
        .write_atomic(&file, content.as_bytes())
        .map_err(OpenError::io(&file))
}
