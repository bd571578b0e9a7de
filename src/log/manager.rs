//! All logs of a broker: the log directories, creation and deletion of topics, orderly shutdown.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    thread::JoinHandle,
};

use jackfield_env::{Env, File};

use crate::{
    AppendError, LogConfig, LogManagerConfig, OpenError, TopicId,
    checkpoint::{self, Offsets},
    commit::{Committer, DirectoryHealth},
    copies::Copies,
    identity,
    leftovers::DELETE_SUFFIX,
    maintenance::Maintenance,
    opening::{self, Found},
    partition_log::{PartitionLog, Shared},
};

/// Longest name of a file.
const MAX_NAME_BYTES: usize = 255;

/// One of `log.dirs`.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) health: Arc<DirectoryHealth>,
    /// What `meta.properties` says of node, directory and cluster.
    pub(crate) identity: OnceLock<String>,
    /// Held open until the manager is closed: the lock on `.lock` lives as long.
    lock: Mutex<Option<Arc<dyn File>>>,
}

impl Directory {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            health: Arc::default(),
            identity: OnceLock::new(),
            lock: Mutex::new(None),
        }
    }

    /// Creates the directory where there is none, and locks it.
    fn open(&self, env: &Env) -> Result<(), OpenError> {
        let path = &self.path;
        if !env.files.exists(&path.join(checkpoint::META_PROPERTIES)) {
            env.files.create_dir_durably(path).map_err(OpenError::io(path))?;
        }
        let lock = env
            .files
            .lock(&path.join(".lock"))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => OpenError::Locked(path.display().to_string()),
                _ => OpenError::io(path)(error),
            })?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        Ok(())
    }
}

/// Checkpoints as they are on disk.
#[derive(Debug, Default)]
pub(crate) struct Checkpointed {
    pub(crate) offsets: HashMap<PathBuf, Offsets>,
    /// By log directory.
    pub(crate) copies: HashMap<PathBuf, Copies>,
}

/// Settings that change while the logs are open.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "Kafka's broker config keys")]
pub struct Changing {
    pub producer_id_expiration_ms: i64,
    /// `cordoned.log.dirs`: directories that take no new partitions.
    pub cordoned: Vec<PathBuf>,
}

pub(crate) type Logs = BTreeMap<(Arc<str>, i32), Arc<PartitionLog>>;

/// All logs of a broker.
#[derive(Debug)]
pub struct LogManager {
    pub(crate) config: LogManagerConfig,
    pub(crate) env: Env,
    pub(crate) directories: Vec<Directory>,
    cluster_id: String,
    pub(crate) committer: Arc<Committer>,
    pub(crate) logs: RwLock<Logs>,
    /// Logs of an earlier topic of the same name, which lie in another directory than the log of that name: they are deleted
    /// with their topic, or left alone.
    strays: Mutex<Vec<Arc<PartitionLog>>>,
    /// Partitions in a directory that works, which cannot be opened: in which directory, and why.
    pub(crate) unusable: BTreeMap<(String, i32), (PathBuf, String)>,
    /// Held while a topic is created, so that two creations of one topic cannot meet.
    pub(crate) creating: Mutex<()>,
    /// Checkpoints as they are on disk.
    pub(crate) checkpointed: Mutex<Checkpointed>,
    pub(crate) maintenance: Arc<Maintenance>,
    /// What of the settings changes while it runs.
    changing: RwLock<Changing>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl LogManager {
    /// Opens (and creates) the directories, recovers every log in them, and starts the commit thread. Blocking. Logs get
    /// `defaults` until [`PartitionLog::set_config`]; nothing expires before [`LogManager::start_maintenance`].
    ///
    /// # Errors
    /// [`OpenError`]: a directory cannot be used, is in use, or belongs to another cluster.
    pub fn open(config: LogManagerConfig, defaults: LogConfig, env: Env) -> Result<Arc<Self>, OpenError> {
        let manager = Arc::new(Self::load(config, &defaults, env)?);
        let failed = OpenError::io(Path::new("starting the commit thread"));
        let commit = manager.committer.start(Arc::clone(&manager.env.files));
        manager.own_thread(commit.map_err(failed)?);
        Ok(manager)
    }

    /// Opens the directories and recovers every log in them: all of [`LogManager::open`] but its threads. A directory that
    /// fails is offline; the others go on without it.
    pub(crate) fn load(config: LogManagerConfig, defaults: &LogConfig, env: Env) -> Result<Self, OpenError> {
        let mut cluster_id = (!config.cluster_id.is_empty()).then(|| config.cluster_id.clone());
        let directories: Vec<_> = config.log_dirs.iter().map(|path| Directory::new(path)).collect();
        opening::each_that_works(&directories, |directory| {
            directory.open(&env)?;
            identity::read(&directory.path, &env, config.broker_id, &mut cluster_id).map(|_| ())
        })?;
        let cluster_id = cluster_id.unwrap_or_else(|| identity::random_id(&env).to_base64());
        let changing = RwLock::new(Changing {
            producer_id_expiration_ms: config.producer_id_expiration_ms,
            cordoned: Vec::new(),
        });
        let mut manager = Self {
            config,
            env,
            directories: Vec::new(),
            cluster_id,
            committer: Arc::default(),
            logs: RwLock::default(),
            strays: Mutex::default(),
            unusable: BTreeMap::new(),
            creating: Mutex::new(()),
            checkpointed: Mutex::default(),
            maintenance: Arc::default(),
            changing,
            threads: Mutex::new(Vec::new()),
        };
        let mut found = Found::default();
        opening::each_that_works(&directories, |directory| {
            let (path, env, broker_id) = (&directory.path, &manager.env, manager.config.broker_id);
            identity::write(path, env, broker_id, &manager.cluster_id)?;
            let said = identity::read(path, env, broker_id, &mut Some(manager.cluster_id.clone()))?;
            if let Some(said) = said {
                directory.identity.get_or_init(|| said);
            }
            manager.load_directory(directory, defaults, &mut found)
        })?;
        manager.directories = directories;
        manager.logs = RwLock::new(found.logs);
        manager.strays = Mutex::new(found.strays);
        manager.unusable = found.unusable;
        Ok(manager)
    }

    pub(crate) fn changing(&self) -> Changing {
        self.changing
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces what of the settings changes.
    pub fn change(&self, changing: Changing) {
        *self.changing.write().unwrap_or_else(PoisonError::into_inner) = changing;
    }

    /// Starts retention, checkpoints and the unlinking of what was deleted. Every log must have its own settings by now:
    /// under the defaults it might lose what it is to keep.
    ///
    /// # Errors
    /// [`OpenError`] when no thread can be started.
    pub fn start_maintenance(self: &Arc<Self>) -> Result<(), OpenError> {
        let failed = OpenError::io(Path::new("starting the maintenance thread"));
        self.own_thread(Maintenance::start(self).map_err(failed)?);
        Ok(())
    }

    fn own_thread(&self, thread: JoinHandle<()>) {
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
    }

    pub(crate) fn shared(&self, directory: &Directory) -> Shared {
        Shared {
            log_dir: directory.path.clone(),
            env: self.env.clone(),
            durability: self.config.durability,
            health: Arc::clone(&directory.health),
            committer: Arc::clone(&self.committer),
        }
    }

    /// All logs, by topic and partition, without strays.
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

    /// Takes the directory of a file offline: what could not be synced may be lost.
    pub(crate) fn sync_failed(&self, file: &Path, error: &io::Error) -> AppendError {
        let message = format!("sync of {} failed: {error}", file.display());
        for directory in self.directories.iter().filter(|d| file.starts_with(&d.path)) {
            self.take_offline(directory, &message);
        }
        AppendError::Storage(message)
    }

    /// Takes a directory offline; who waits for its logs hears of it.
    pub(crate) fn take_offline(&self, directory: &Directory, reason: &str) {
        directory.health.fail(reason.to_owned());
        for log in self.logs().iter().filter(|log| log.log_dir == directory.path) {
            log.fail(reason.to_owned());
        }
    }

    /// Logs that have the name of another topic's log: they are not served.
    pub fn strays(&self) -> Vec<Arc<PartitionLog>> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether one of the directories was used before, and not by Apache Kafka since. Known at start only.
    pub fn was_used_before(&self) -> bool {
        let known = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner);
        known.copies.values().any(|copies| !copies.partitions.is_empty())
    }

    /// Why partitions that should be there may not have been found; empty when every directory works.
    pub fn offline_directories(&self) -> Vec<String> {
        let reasons = self.directories.iter().map(|d| d.health.offline());
        reasons.flatten().collect()
    }

    /// Deletes all partitions of a topic with this id: renamed durably at once, unlinked after `file.delete.delay.ms`. From
    /// the beginning they refuse everything, also when this fails; then it can be tried again. Partitions in a directory that
    /// is offline are left there as they are. Blocking.
    ///
    /// # Errors
    /// [`AppendError::Storage`] when the file system refuses.
    pub fn delete(&self, topic: &str, topic_id: TopicId) -> Result<(), AppendError> {
        let failed = |error: io::Error| AppendError::Storage(format!("deleting topic {topic}: {error}"));
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        let mut strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = |log: &&Arc<PartitionLog>| log.topic_id() == topic_id;
        let doomed: Vec<_> = logs.values().chain(&*strays).filter(of_it).cloned().collect();
        doomed.iter().for_each(|log| log.mark_deleted());
        // Opened first: once something is renamed, files that run out must not look like a disk that fails.
        let online = self.directories.iter().filter(|d| d.health.offline().is_none());
        let opened = online.map(|directory| self.env.files.open_dir(&directory.path));
        let parents: Vec<_> = opened.collect::<io::Result<_>>().map_err(failed)?;
        for log in doomed {
            if !log.is_offline() {
                self.rename_deleted(&log).map_err(failed)?;
            }
            let key = (log.topic().into(), log.partition());
            if logs.get(&key).is_some_and(|named| Arc::ptr_eq(named, &log)) {
                logs.remove(&key);
                // Where it was in the way, the other has the place now.
                let other = strays.iter().position(|stray| is_named(stray, &key));
                logs.extend(other.map(|index| (key, strays.swap_remove(index))));
            } else {
                strays.retain(|stray| !Arc::ptr_eq(stray, &log));
            }
        }
        drop((logs, strays));
        self.sync_all(parents)
    }

    fn rename_deleted(&self, log: &PartitionLog) -> io::Result<()> {
        let mut state = log.lock();
        let renamed = log.log_dir.join(self.deleted_name(log.topic(), log.partition()));
        self.env.files.rename(&state.dir, &renamed)?;
        state.dir.clone_from(&renamed);
        let due_ms = self.env.clock.now_ms() + state.config.file_delete_delay_ms;
        drop(state);
        self.maintenance.unlink_later(renamed, due_ms);
        Ok(())
    }

    /// Name of a partition directory on its way out, as Kafka's `LocalLog.logDeleteDirName`.
    fn deleted_name(&self, topic: &str, partition: i32) -> String {
        let unique: String = identity::random_id(&self.env)
            .0
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let suffix = format!("-{partition}.{unique}{DELETE_SUFFIX}");
        // Topic names are ASCII.
        let kept = topic.len().min(MAX_NAME_BYTES - suffix.len());
        format!("{}{suffix}", topic.get(..kept).unwrap_or_default())
    }

    /// Refuses further appends, commits what is outstanding, writes indexes, snapshots and checkpoints, leaves the clean
    /// marker, and releases the directories. Blocking.
    pub fn close(&self) {
        let logs = self.logs();
        for log in &logs {
            log.mark_closed();
        }
        self.stop_threads();
        for log in logs.iter().filter(|log| log.offline().is_none()) {
            if let Err(error) = log.write_closing_files() {
                log.fail(format!("closing {}-{}: {error}", log.topic(), log.partition()));
            }
        }
        crate::commit::round(&*self.env.files, &logs);
        for directory in self.directories.iter().filter(|d| d.health.offline().is_none()) {
            let closed = self
                .checkpoint(directory)
                .and_then(|()| self.write_clean_marker(directory));
            if let Err(error) = closed {
                tracing::error!(directory = %directory.path.display(), %error, "log directory could not be closed in order; the next start checks all its logs");
            }
        }
        for directory in &self.directories {
            directory
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
        }
    }

    fn stop_threads(&self) {
        self.maintenance.stop();
        self.committer.stop();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a log thread panicked");
            }
        }
    }

    fn write_clean_marker(&self, directory: &Directory) -> io::Result<()> {
        let marker = directory.path.join(checkpoint::CLEAN_SHUTDOWN);
        let content = b"{\"version\":0,\"brokerEpoch\":-1}";
        self.env.files.write_atomic(&marker, content)
    }
}

fn is_named(log: &PartitionLog, (topic, partition): &(Arc<str>, i32)) -> bool {
    (log.topic(), log.partition()) == (topic, *partition)
}

impl Drop for LogManager {
    /// Without [`LogManager::close`] the directories look as after a crash; only the threads end.
    fn drop(&mut self) {
        self.maintenance.stop();
        self.committer.stop();
    }
}
