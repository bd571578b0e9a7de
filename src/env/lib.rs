//! The outside world as small traits: clock, randomness, files.
//!
//! `log`, `broker` and `worker` reach the clock, randomness and the file system through [`Env`] only,
//! so that tests can control time and inject faults. This crate knows nothing else of Jackfield.

pub mod disk;
pub mod faulty;
mod limits;
mod log_levels;
mod manual_clock;
mod real;
mod sync;
mod sync_costs;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use limits::raise_open_files;
pub use log_levels::{LogLevel, LogLevels, LoggerLevel, NoLogLevels};
pub use manual_clock::ManualClock;
pub use real::{RealFiles, SystemClock, SystemRandom};

/// Everything a component needs of the outside world. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Env {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Randomness (ids, jitter).
    pub random: Arc<dyn Random>,
    /// The file system.
    pub files: Arc<dyn Files>,
    /// What the process logs.
    pub log_levels: Arc<dyn LogLevels>,
}

impl Env {
    /// The operating system's clock, randomness and files.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            files: Arc::new(RealFiles),
            log_levels: Arc::new(NoLogLevels),
        }
    }
}

/// Time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall clock, milliseconds since the Unix epoch (Kafka's unit for every timestamp).
    fn now_ms(&self) -> i64;
}

/// Randomness.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name without its directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes (0 for directories).
    pub len: u64,
}

/// The directory a file lies in; the root lies in itself.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

/// The file system operations that storage needs, each of which a test can make fail.
pub trait Files: Send + Sync + std::fmt::Debug {
    /// Opens for reading and writing, creating the file when `create`.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>>;
    /// Opens for reading only, where that can be told apart.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, false)
    }
    /// Opens a directory so that it can be made durable together with files by [`Files::sync_data_many`].
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Reads a whole small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Replaces a small file durably: temporary sibling, fsync, rename, fsync of the directory. A failure leaves no
    /// temporary; when it is a sync's, the file may have been replaced.
    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        // Opened first: once the file is replaced, files that run out must not look like a disk that fails.
        let directory = self.open_dir(parent_of(path))?;
        let written = self.open(&temporary, true).and_then(|file| {
            file.set_len(0)?;
            file.write_all_at(content, 0)?;
            file.sync_data()
        });
        if let Err(error) = written.and_then(|()| self.rename(&temporary, path)) {
            // On a full disk every attempt would leave one more. Nothing can be done when this fails, too.
            self.remove_file(&temporary).ok();
            return Err(error);
        }
        directory.sync_data()
    }
    /// Renames a file or directory (the directory is not synced).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; a missing file is not an error.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and everything in it; a missing one is not an error.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents, each name made durable before the next. The last one that exists is taken for one
    /// that an earlier attempt made and did not get to sync.
    fn create_dir_durably(&self, path: &Path) -> io::Result<()> {
        let named = path
            .ancestors()
            .filter(|ancestor| !ancestor.as_os_str().is_empty());
        let (missing, known): (Vec<_>, Vec<_>) = named.partition(|ancestor| !self.exists(ancestor));
        if let Some(last) = known.first() {
            match self.sync_dir(parent_of(last)) {
                // Not made by this process, then.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        for directory in missing.into_iter().rev() {
            self.create_dir_all(directory)?;
            self.sync_dir(parent_of(directory))?;
        }
        Ok(())
    }
    /// Lists a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Makes the directory's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the data of all given files durable, however that is cheapest for their number
    /// (one fdatasync, several in flight, or one syncfs). One result per file, in order.
    fn sync_data_many(&self, files: &[Arc<dyn File>]) -> Vec<io::Result<()>>;
    /// Takes an exclusive lock that lives as long as the returned file (Kafka's `.lock`).
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;
    /// Size of the file system that holds the path, and what is free there for this process; in bytes. An error where that
    /// is not known.
    fn space(&self, _path: &Path) -> io::Result<Space> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Room in a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What this process may still use.
    pub usable: u64,
}

/// An open file with positional access.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Path it was opened under.
    fn path(&self) -> &PathBuf;
    /// Reads up to `out.len()` bytes at `position`; 0 at the end of file.
    fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `data` at `position`.
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()>;
    /// Makes the file's data durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Opens it, where that is done at the first use only.
    ///
    /// # Errors
    /// The file system's.
    fn ready(&self) -> io::Result<()> {
        Ok(())
    }
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// The operating system's file, when there is one (for sendfile and syncfs).
    fn as_std(&self) -> Option<&std::fs::File>;
}
