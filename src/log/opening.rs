//! Opening the log directories at start: every partition's directory, several at a time.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use jackfield_env::{Entry, File, Files};

use crate::{
    LogConfig, OpenError,
    append::is_shortage_of_process,
    checkpoint,
    known::Checkpoints,
    leftovers,
    manager::{Directory, LogManager, Logs},
    partition_log::PartitionLog,
    recovery,
};

/// Directories that are opened at the same time, at most.
const THREADS: usize = 16;
/// Directories that are worth a thread.
const DIRECTORIES_PER_THREAD: usize = 8;

/// A log, and its files that were checked but may not be on disk.
type Opened = (Arc<PartitionLog>, Vec<Arc<dyn File>>);

/// What is in the log directories.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) logs: Logs,
    /// Logs of another topic than the one in `logs` that has the name.
    pub(crate) strays: Vec<Arc<PartitionLog>>,
    /// Partitions that cannot be opened, in a directory that can: in which one, and why.
    pub(crate) unusable: BTreeMap<(String, i32), (PathBuf, String)>,
}

/// Does `work` with every directory that works. One that fails is offline from then on.
///
/// # Errors
/// `work` says that the operator has to decide, the process has no files or memory left, or no directory is left.
pub(crate) fn each_that_works(
    directories: &[Directory],
    mut work: impl FnMut(&Directory) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mut last = None;
    for directory in directories.iter().filter(|d| d.health.offline().is_none()) {
        match work(directory) {
            Err(OpenError::Io { path, source }) if is_shortage_of_process(&source) => {
                return Err(OpenError::Io { path, source });
            }
            Err(error @ OpenError::Io { .. }) => {
                directory.health.fail(error.to_string());
                last = Some(error);
            }
            done => done?,
        }
    }
    match last {
        Some(error) if directories.iter().all(|d| d.health.offline().is_some()) => Err(error),
        _ => Ok(()),
    }
}

impl LogManager {
    /// Opens every log of a directory. Their files are on disk, and the clean marker is gone, when this returns. Of a
    /// directory that fails everything is found that can be.
    pub(crate) fn load_directory(
        &self,
        directory: &Directory,
        defaults: &LogConfig,
        found: &mut Found,
    ) -> Result<(), OpenError> {
        let files = &*self.env.files;
        let path = &directory.path;
        let at = |name: &str| path.join(name);
        let marker = at(checkpoint::CLEAN_SHUTDOWN);
        let checkpoints = Checkpoints::read(files, path).map_err(OpenError::io(path))?;
        self.note_checkpoints(path, &checkpoints);
        let entries = files.read_dir(path).map_err(OpenError::io(path))?;
        // Reading many small files is waiting for the disk, mostly.
        let opened = in_parallel(&entries, |entry| {
            self.open_entry(directory, entry, defaults, &checkpoints)
        });
        let mut unsynced = Vec::new();
        let mut failed = Ok(());
        for (entry, opened) in entries.iter().zip(opened) {
            match opened {
                Ok(None) => {}
                Ok(Some((log, checked))) => {
                    unsynced.extend(checked);
                    found.add(log)?;
                }
                Err(error) if checkpoint::is_content(&error) => found.add_unusable(path, &entry.name, &error),
                Err(error) => failed = Err(OpenError::io(&at(&entry.name))(error)),
            }
        }
        failed?;
        for (result, file) in files.sync_data_many(&unsynced).into_iter().zip(&unsynced) {
            result.map_err(OpenError::io(file.path()))?;
        }
        // From here on a crash is unclean.
        files
            .remove_file(&marker)
            .and_then(|()| files.sync_dir(path))
            .map_err(OpenError::io(&marker))
    }

    /// Takes over the checkpoints as they are on disk. One that is missing or damaged is written.
    fn note_checkpoints(&self, path: &Path, read: &Checkpoints) {
        let mut known = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, offsets) in [
            (checkpoint::RECOVERY_POINT, &read.recovery_points),
            (checkpoint::LOG_START, &read.starts),
            (checkpoint::HIGH_WATERMARK, &read.watermarks),
        ] {
            if !offsets.is_empty() {
                known.offsets.insert(path.join(name), offsets.clone());
            }
        }
        known.copies.insert(path.to_owned(), read.copies.clone());
    }

    /// Opens the log in a directory entry; `None` when that is something else, or never became a log.
    fn open_entry(
        &self,
        directory: &Directory,
        entry: &Entry,
        defaults: &LogConfig,
        checkpoints: &Checkpoints,
    ) -> io::Result<Option<Opened>> {
        if !entry.is_dir {
            return Ok(None);
        }
        let files = &*self.env.files;
        let dir = directory.path.join(&entry.name);
        if leftovers::is_deleted_partition(&entry.name) {
            files.remove_dir_all(&dir)?;
            return Ok(None);
        }
        let Some((topic, partition)) = recovery::parse_directory(&entry.name) else {
            return Ok(None);
        };
        let known = checkpoints.of(topic, partition);
        if known.copy.is_none() && !recovery::is_complete(files, &dir)? {
            remove_unused(files, &dir)?;
            return Ok(None);
        }
        let mut unsynced = Vec::new();
        let log = recovery::open(
            dir,
            topic,
            partition,
            self.shared(directory),
            defaults.clone(),
            known,
            &mut unsynced,
        )?;
        Ok(Some((log, unsynced)))
    }
}

impl Found {
    fn add(&mut self, log: Arc<PartitionLog>) -> Result<(), OpenError> {
        let key = (log.topic().into(), log.partition());
        let Some(other) = self.logs.get(&key) else {
            self.logs.insert(key, log);
            return Ok(());
        };
        if other.topic_id() != log.topic_id() {
            self.strays.push(log);
            return Ok(());
        }
        Err(OpenError::Invalid {
            path: log.lock().dir.display().to_string(),
            message: format!(
                "the same partition is in {}: remove one of them",
                other.log_dir.display()
            ),
        })
    }

    fn add_unusable(&mut self, log_dir: &Path, name: &str, error: &io::Error) {
        let directory = log_dir.join(name);
        tracing::error!(directory = %directory.display(), %error, "partition cannot be used; restore its directory from a copy and restart");
        if let Some((topic, partition)) = recovery::parse_directory(name) {
            let reason = format!("{}: {error}", directory.display());
            self.unusable
                .insert((topic.to_owned(), partition), (log_dir.to_owned(), reason));
        }
    }
}

/// What `work` makes of every item, in order, by several threads.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(items.iter().map(|_| None).collect::<Vec<_>>());
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
        }
    };
    thread::scope(|scope| {
        for number in 1..THREADS.min(items.len() / DIRECTORIES_PER_THREAD) {
            let thread = thread::Builder::new().name(format!("log-open-{number}"));
            // Without it the others do its work.
            if thread.spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_iter().flatten().collect()
}

/// Removes a partition that was never fully created; what is something else is left alone.
fn remove_unused(files: &dyn Files, dir: &Path) -> io::Result<()> {
    if leftovers::is_unused_partition(files, dir)? {
        tracing::warn!(directory = %dir.display(), "partition was never fully created; removing it");
        return files.remove_dir_all(dir);
    }
    tracing::warn!(directory = %dir.display(), "directory looks like a partition's by its name but holds other files; it is left alone: move it out of log.dirs");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        for count in [0, 1, 7, 1_000] {
            let items: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(in_parallel(&items, |item| item * 2), doubled);
        }
    }
}
