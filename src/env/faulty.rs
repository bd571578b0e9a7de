//! Files that fail on demand, and that count what is asked of them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use crate::{Entry, File, Files};

/// What goes wrong, shared by all files opened through one [`FaultyFiles`].
#[derive(Debug)]
pub struct Faults {
    fail_sync: AtomicBool,
    /// Syncs of what lies below fail, too.
    broken: Mutex<Option<PathBuf>>,
    fail_writes: AtomicBool,
    fail_set_len: AtomicBool,
    /// Bytes that may still be written before writes are torn; negative = no limit.
    write_budget: AtomicI64,
    /// Files that may still be opened; negative = no limit.
    open_budget: AtomicI64,
    /// Renames that still work; negative = no limit.
    rename_budget: AtomicI64,
    /// Reads that still work before one fails; negative = none does.
    failing_read: AtomicI64,
    rounds: AtomicU64,
    synced_files: AtomicU64,
    reads: AtomicU64,
    syncs_held: Gate,
    reads_held: Gate,
}

/// Holds who comes while it is closed.
#[derive(Debug, Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn close(&self, close: bool) {
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = close;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let mut is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_closed {
            is_closed = self
                .opened
                .wait(is_closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            fail_sync: AtomicBool::new(false),
            broken: Mutex::new(None),
            fail_writes: AtomicBool::new(false),
            fail_set_len: AtomicBool::new(false),
            write_budget: AtomicI64::new(-1),
            open_budget: AtomicI64::new(-1),
            rename_budget: AtomicI64::new(-1),
            failing_read: AtomicI64::new(-1),
            rounds: AtomicU64::new(0),
            synced_files: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            syncs_held: Gate::default(),
            reads_held: Gate::default(),
        }
    }
}

impl Faults {
    /// Makes every sync fail from now on.
    pub fn fail_sync(&self, fail: bool) {
        self.fail_sync.store(fail, Ordering::SeqCst);
    }

    /// Makes every sync of what lies below `dir` fail from now on: a disk that broke beside others that work.
    pub fn fail_sync_below(&self, dir: &Path) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(dir.to_owned());
    }

    /// Makes every write fail with "no space left on device" from now on.
    pub fn fail_writes(&self, fail: bool) {
        self.fail_writes.store(fail, Ordering::SeqCst);
    }

    /// Makes files keep their lengths from now on.
    pub fn fail_set_len(&self, fail: bool) {
        self.fail_set_len.store(fail, Ordering::SeqCst);
    }

    /// Lets `bytes` more bytes be written; the write that exceeds them is torn there and fails, as do all later ones.
    pub fn tear_after(&self, bytes: i64) {
        self.write_budget.store(bytes, Ordering::SeqCst);
    }

    /// Lets `count` more files or directories be opened; then there are "too many open files". Negative = no limit.
    pub fn limit_opens(&self, count: i64) {
        self.open_budget.store(count, Ordering::SeqCst);
    }

    /// Lets `count` more files or directories be renamed; then that fails. Negative = no limit.
    pub fn limit_renames(&self, count: i64) {
        self.rename_budget.store(count, Ordering::SeqCst);
    }

    /// Makes one read of an open file fail, after `count` others, and none after it. Negative = none at all.
    pub fn fail_read_after(&self, count: i64) {
        self.failing_read.store(count, Ordering::SeqCst);
    }

    /// Whether the read of [`Faults::fail_read_after`] is still to come.
    pub fn is_read_to_fail(&self) -> bool {
        self.failing_read.load(Ordering::SeqCst) >= 0
    }

    /// Holds every `sync_data_many` before it begins, until it is called again with `false`.
    pub fn hold_sync(&self, hold: bool) {
        self.syncs_held.close(hold);
    }

    /// Holds every read of an open file, until it is called again with `false`.
    pub fn hold_reads(&self, hold: bool) {
        self.reads_held.close(hold);
    }

    /// Reads of open files, those that are held included.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Calls of `sync_data_many`, those that are held included.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::SeqCst)
    }

    /// Files synced over all calls.
    pub fn synced_files(&self) -> u64 {
        self.synced_files.load(Ordering::SeqCst)
    }

    fn check_read(&self) -> io::Result<()> {
        let countdown = |left: i64| (left >= 0).then(|| left - 1);
        let before = self
            .failing_read
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, countdown);
        if before == Ok(0) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }

    fn check_sync(&self, path: &Path) -> io::Result<()> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fail_sync.load(Ordering::SeqCst) || broken.as_ref().is_some_and(|dir| path.starts_with(dir)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// Takes one of a budget; `errno` when nothing is left of it.
fn spend(budget: &AtomicI64, errno: i32) -> io::Result<()> {
    let spent = budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
        0 => None,
        left => Some(left - i64::from(left > 0)),
    });
    spent.map_or(Err(io::Error::from_raw_os_error(errno)), |_| Ok(()))
}

/// The given files, with faults.
#[derive(Debug)]
pub struct FaultyFiles {
    inner: Arc<dyn Files>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    faults: Arc<Faults>,
}

impl FaultyFiles {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Files>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    fn wrap(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultyFile {
            inner,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl File for FaultyFile {
    fn path(&self) -> &PathBuf {
        self.inner.path()
    }

    fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize> {
        self.faults.reads.fetch_add(1, Ordering::SeqCst);
        self.faults.reads_held.pass();
        self.faults.check_read()?;
        self.inner.read_at(out, position)
    }

    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        if self.faults.fail_writes.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(28));
        }
        let budget = self.faults.write_budget.load(Ordering::SeqCst);
        if budget >= 0 {
            let wanted = i64::try_from(data.len()).unwrap_or(i64::MAX);
            let allowed = wanted.min(budget);
            self.faults.write_budget.fetch_sub(allowed, Ordering::SeqCst);
            self.inner
                .write_all_at(&data[..usize::try_from(allowed).unwrap_or(0)], position)?;
            return if allowed == wanted {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(28))
            };
        }
        self.inner.write_all_at(data, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.check_sync(self.path())?;
        self.inner.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.faults.fail_set_len.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn as_std(&self) -> Option<&std::fs::File> {
        self.inner.as_std()
    }
}

impl Files for FaultyFiles {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        spend(&self.faults.open_budget, 24)?;
        Ok(self.wrap(self.inner.open(path, create)?))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        spend(&self.faults.open_budget, 24)?;
        Ok(self.wrap(self.inner.open_dir(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if self.faults.fail_writes.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(28));
        }
        self.faults.check_sync(path)?;
        self.inner.write_atomic(path, content)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        spend(&self.faults.rename_budget, 5)?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        if self.faults.open_budget.load(Ordering::SeqCst) == 0 && path.exists() {
            // It would have to be opened.
            return Err(io::Error::from_raw_os_error(24));
        }
        self.inner.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.inner.read_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.check_sync(path)?;
        self.inner.sync_dir(path)
    }

    fn sync_data_many(&self, files: &[Arc<dyn File>]) -> Vec<io::Result<()>> {
        self.faults.rounds.fetch_add(1, Ordering::SeqCst);
        self.faults
            .synced_files
            .fetch_add(files.len() as u64, Ordering::SeqCst);
        self.faults.syncs_held.pass();
        let results = self.inner.sync_data_many(files);
        let judged = results.into_iter().zip(files);
        judged
            .map(|(result, file)| self.faults.check_sync(file.path()).and(result))
            .collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.lock(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealFiles;

    #[test]
    fn faults_happen_when_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let files = FaultyFiles::new(Arc::new(RealFiles), Arc::clone(&faults));
        let file = files.open(&dir.path().join("f"), true).unwrap();
        faults.tear_after(5);
        file.write_all_at(b"abc", 0).unwrap();
        let torn = file.write_all_at(b"defg", 3).unwrap_err();
        assert_eq!(torn.kind(), io::ErrorKind::StorageFull);
        assert_eq!(files.read(file.path()).unwrap(), b"abcde");
        faults.tear_after(-1);
        faults.fail_sync(true);
        assert!(file.sync_data().is_err());
        let failed = files.sync_data_many(&[Arc::clone(&file)]);
        assert_eq!(failed[0].as_ref().unwrap_err().raw_os_error(), Some(5));
        assert!(files.write_atomic(&dir.path().join("g"), b"x").is_err());
        faults.fail_sync(false);
        file.sync_data().unwrap();
        assert_eq!((faults.rounds(), faults.synced_files()), (1, 1));
        let beside = files.open(&dir.path().join("beside"), true).unwrap();
        faults.fail_sync_below(file.path());
        let results = files.sync_data_many(&[Arc::clone(&beside), file.clone()]);
        assert!(results[0].is_ok() && results[1].is_err());
        faults.fail_writes(true);
        assert!(file.write_all_at(b"x", 0).is_err());
        faults.limit_opens(1);
        files.open_dir(dir.path()).unwrap();
        let refused = files.open_dir(dir.path()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(24));
        assert!(files.remove_dir_all(dir.path()).is_err());
        faults.fail_set_len(true);
        assert!(file.set_len(0).is_err());
        faults.fail_read_after(1);
        let results = [(); 3].map(|()| file.read_at(&mut [0], 0).is_ok());
        assert_eq!(results, [true, false, true]);
        assert!(!faults.is_read_to_fail());
        faults.limit_renames(0);
        assert!(files.rename(file.path(), beside.path()).is_err());
    }
}
