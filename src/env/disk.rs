//! A disk in memory that dies, fills up or breaks at any operation, and of which is left what a loss of power leaves.
//!
//! It knows two states of everything: what a process sees, and what is on disk. A write changes the first; a sync carries
//! the file's bytes over to the second, a sync of a directory its names. [`Disk::after_power_cut`] makes what a file system
//! may show at the next start: what was synced, and any part of the rest. No more is promised than POSIX does: a new file
//! whose directory was not synced may be gone, although ext4 would have kept it.

mod nodes;
mod power_cut;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use power_cut::Cut;

use self::nodes::{NameChange, Nodes};
use crate::{Entry, File, Files};

/// What can be asked of a disk that changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Operation {
    Create,
    Write,
    SetLen,
    SyncData,
    SyncDirectory,
    Rename,
    Remove,
    MakeDirectory,
}

impl Operation {
    /// Whether it is refused when no space is left.
    pub fn needs_room(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Write | Self::Rename | Self::MakeDirectory
        )
    }

    /// Whether it makes something durable.
    pub fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncDirectory)
    }
}

/// One operation that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub operation: Operation,
    /// Of which file or directory.
    pub path: PathBuf,
    /// Bytes of a write.
    pub bytes: usize,
}

/// What goes wrong, by the number of the operation.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// `bytes` of this write are still made; nothing works from then on.
    Death {
        at: usize,
        bytes: usize,
    },
    /// `bytes` of this write find room; nothing that needs room works from then on.
    Full {
        at: usize,
        bytes: usize,
    },
    /// This one fails, and no other.
    Error {
        at: usize,
        errno: i32,
    },
}

#[derive(Debug, Clone)]
struct State {
    nodes: Nodes,
    asked: Vec<Asked>,
    fault: Fault,
    is_dead: bool,
    has_failed: bool,
    /// Syncs that are answered and not made: from which operation on, what, and how the path ends.
    ignored: Vec<(usize, Operation, String)>,
}

/// An operation that fails; of a write, so many bytes are made all the same.
struct Refused {
    bytes: usize,
    error: io::Error,
}

impl Refused {
    fn with(bytes: usize, errno: i32) -> Result<(), Self> {
        let error = io::Error::from_raw_os_error(errno);
        Err(Self { bytes, error })
    }
}

const EIO: i32 = 5;
const EISDIR: i32 = 21;
const ENOSPC: i32 = 28;

impl State {
    /// Counts an operation and decides whether it is made.
    fn admit(&mut self, operation: Operation, path: &Path, bytes: usize) -> Result<(), Refused> {
        if self.is_dead {
            return Refused::with(0, EIO);
        }
        let number = self.asked.len();
        self.asked.push(Asked {
            operation,
            path: path.to_owned(),
            bytes,
        });
        match self.fault {
            Fault::Death { at, bytes: torn } if number == at => {
                self.is_dead = true;
                Refused::with(torn.min(bytes), EIO)
            }
            Fault::Full { at, bytes: torn } if number >= at && operation.needs_room() => {
                self.has_failed = true;
                Refused::with(if number == at { torn.min(bytes) } else { 0 }, ENOSPC)
            }
            Fault::Error { at, errno } if number == at => {
                self.has_failed = true;
                Refused::with(0, errno)
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        self.admit(operation, path, 0).map_err(|refused| refused.error)
    }

    fn is_ignored(&self, operation: Operation, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let mut ignored = self.ignored.iter();
        ignored.any(|(from, what, end)| self.asked.len() > *from && *what == operation && path.ends_with(end))
    }

    fn sync(&mut self, path: &Path, node: usize) -> io::Result<()> {
        let operation = if self.nodes.is_directory(node) {
            Operation::SyncDirectory
        } else {
            Operation::SyncData
        };
        if let Err(refused) = self.admit(operation, path, 0) {
            if !self.is_dead {
                self.nodes.drop_unsynced(node);
            }
            return Err(refused.error);
        }
        if !self.is_ignored(operation, path) {
            self.nodes.sync(node);
        }
        Ok(())
    }

    fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        let node = self.nodes.find(path)?;
        if self.nodes.is_directory(node) {
            for name in self.nodes.names(node)?.keys().cloned().collect::<Vec<_>>() {
                self.remove_tree(&path.join(name))?;
            }
        }
        self.remove(path)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.nodes.parent_of(path)?;
        self.change(Operation::Remove, path)?;
        self.nodes.rename(NameChange::remove(directory, name))
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

impl Default for Disk {
    fn default() -> Self {
        Self::with(State {
            nodes: Nodes::default(),
            asked: Vec::new(),
            fault: Fault::None,
            is_dead: false,
            has_failed: false,
            ignored: Vec::new(),
        })
    }
}

impl Disk {
    fn with(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything fails from operation `at` on (the first is 0), as for a process that was killed there. When that is a
    /// write, its first `bytes` bytes are made.
    pub fn die_at(&self, at: usize, bytes: usize) {
        self.lock().fault = Fault::Death { at, bytes };
    }

    /// No space is left from operation `at` on, but for `bytes` bytes of that write, until [`Disk::make_room`].
    pub fn fill_at(&self, at: usize, bytes: usize) {
        self.lock().fault = Fault::Full { at, bytes };
    }

    /// Operation `at` fails with this error, and no other does. What a failed sync should have made durable never will be:
    /// the kernel counts it as written.
    pub fn fail_at(&self, at: usize, errno: i32) {
        self.lock().fault = Fault::Error { at, errno };
    }

    /// There is space again.
    pub fn make_room(&self) {
        let mut state = self.lock();
        state.fault = Fault::None;
        state.has_failed = false;
    }

    /// Answers, from operation `from` on, syncs of paths that end like this without making them: a disk, or a program, that
    /// lies.
    pub fn ignore_syncs(&self, from: usize, operation: Operation, end: &str) {
        self.lock().ignored.push((from, operation, end.to_owned()));
    }

    /// Every operation asked for since the disk was new, refused ones included.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// Whether the operation of [`Disk::die_at`] has come.
    pub fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Whether an operation failed for [`Disk::fill_at`] or [`Disk::fail_at`].
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// What is found at the next start: another disk, on which everything is durable unless nothing was cut. The count of
    /// operations goes on, and so do faults that lie ahead.
    #[must_use]
    pub fn after_power_cut(&self, cut: Cut) -> Self {
        let state = self.lock();
        let fault = if state.is_dead { Fault::None } else { state.fault };
        Self::with(State {
            nodes: power_cut::left_by(&state.nodes, cut),
            asked: state.asked.clone(),
            fault,
            is_dead: false,
            has_failed: state.has_failed,
            ignored: state.ignored.clone(),
        })
    }
}

/// An open file or directory of a [`Disk`].
#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    path: PathBuf,
    node: usize,
}

impl File for DiskFile {
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        if state.is_dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let content = state.nodes.content(self.node)?;
        let rest = usize::try_from(position).map_or(&[][..], |at| content.get(at..).unwrap_or_default());
        let read = rest.len().min(out.len());
        out[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let admitted = state.admit(Operation::Write, &self.path, data.len());
        let made = admitted
            .as_ref()
            .map_or_else(|refused| refused.bytes, |()| data.len());
        if made > 0 {
            state.nodes.write(self.node, position, &data[..made])?;
        }
        admitted.map_err(|refused| refused.error)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.lock().sync(&self.path, self.node)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.change(Operation::SetLen, &self.path)?;
        state.nodes.set_len(self.node, len)
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        if state.is_dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(state.nodes.content(self.node)?.len() as u64)
    }

    fn as_std(&self) -> Option<&std::fs::File> {
        None
    }
}

impl Disk {
    /// For looking at it; fails on a dead disk.
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.is_dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(state)
    }

    fn handle(&self, path: &Path, node: usize) -> Arc<dyn File> {
        Arc::new(DiskFile {
            disk: self.clone(),
            path: path.to_owned(),
            node,
        })
    }
}

impl Files for Disk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let mut state = self.alive()?;
        let node = match state.nodes.find(path) {
            Ok(node) if state.nodes.is_directory(node) => return Err(io::Error::from_raw_os_error(EISDIR)),
            Ok(node) => node,
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                let (directory, name) = state.nodes.parent_of(path)?;
                state.change(Operation::Create, path)?;
                state.nodes.create_file(directory, name)?
            }
            Err(error) => return Err(error),
        };
        Ok(self.handle(path, node))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.alive()?;
        let node = state.nodes.find(path)?;
        state.nodes.names(node)?;
        Ok(self.handle(path, node))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.alive()?;
        let node = state.nodes.find(path)?;
        Ok(state.nodes.content(node)?.to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let node = state.nodes.find(from)?;
        let (directory, name) = state.nodes.parent_of(from)?;
        let (new_directory, new_name) = state.nodes.parent_of(to)?;
        if directory != new_directory {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        state.change(Operation::Rename, from)?;
        state
            .nodes
            .rename(NameChange::rename(directory, name, new_name, node))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if state.nodes.find(path).is_err() {
            return Ok(());
        }
        state.remove(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if state.nodes.find(path).is_err() {
            return Ok(());
        }
        state.remove_tree(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let mut ancestors: Vec<_> = path.ancestors().collect();
        ancestors.reverse();
        for ancestor in ancestors {
            if state.nodes.find(ancestor).is_err() {
                let (directory, name) = state.nodes.parent_of(ancestor)?;
                state.change(Operation::MakeDirectory, ancestor)?;
                state.nodes.create_directory(directory, name)?;
            }
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.alive()?;
        let node = state.nodes.find(path)?;
        let names = state.nodes.names(node)?;
        let entry = |(name, node): (&String, &usize)| Entry {
            name: name.clone(),
            is_dir: state.nodes.is_directory(*node),
            len: state
                .nodes
                .content(*node)
                .map_or(0, |content| content.len() as u64),
        };
        Ok(names.iter().map(entry).collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let node = state.nodes.find(path)?;
        state.sync(path, node)
    }

    fn sync_data_many(&self, files: &[Arc<dyn File>]) -> Vec<io::Result<()>> {
        files.iter().map(|file| file.sync_data()).collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, true)
    }

    fn exists(&self, path: &Path) -> bool {
        self.alive().is_ok_and(|state| state.nodes.find(path).is_ok())
    }
}
