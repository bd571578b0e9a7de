//! Making many files durable at once, at a cost that does not grow with their number.
//!
//! One file: one fdatasync. A few: one each, several in flight, because they share the disk's cache flushes. Many: one
//! syncfs per file system, unless that is slower because others write there, or the file system is not known to mean it.
//! Knows open files only.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs, io,
    os::unix::fs::MetadataExt,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{
    File,
    sync_costs::{Costs, Way},
};

/// How many fdatasync are in flight at once, the caller's own included.
const IN_FLIGHT: usize = 16;
/// Since this version of Linux, syncfs reports write-back errors (`s_wb_err`).
const SYNCFS_REPORTS_ERRORS: (u32, u32) = (5, 8);

/// `f_type` of the file systems whose syncfs makes everything durable, or that keep nothing: ext2 to ext4, xfs, btrfs, f2fs,
/// tmpfs. Others answer it without having asked their server (FUSE, 9p), or without its errors (overlayfs).
const SYNCFS_FILE_SYSTEMS: [i64; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];

/// See [`crate::Files::sync_data_many`].
pub(crate) fn sync_data_many(files: &[Arc<dyn File>]) -> Vec<io::Result<()>> {
    static COSTS: Costs = Costs::new();
    match files {
        [] => Vec::new(),
        [one] => vec![one.sync_data()],
        several if !syncfs_is_truthful() => sync_each(several),
        several => {
            let mut way = COSTS.choose(several.len());
            let started = Instant::now();
            let at_once = if way == Way::FileSystem {
                sync_file_systems(several)
            } else {
                None
            };
            let results = at_once.unwrap_or_else(|| {
                way = Way::Each;
                sync_each(several)
            });
            COSTS.note(way, several.len(), started.elapsed());
            results
        }
    }
}

/// Files being synced by several threads: each takes the next one until none is left.
#[derive(Debug)]
struct Batch {
    files: Vec<Arc<dyn File>>,
    next: AtomicUsize,
    outcomes: Mutex<Outcomes>,
    done: Condvar,
}

#[derive(Debug)]
struct Outcomes {
    results: Vec<io::Result<()>>,
    missing: usize,
}

impl Batch {
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = self.files.get(index) else { return };
            let result = file.sync_data();
            let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.results[index] = result;
            outcomes.missing -= 1;
            if outcomes.missing == 0 {
                self.done.notify_all();
            }
        }
    }
}

/// Threads that wait for batches; started when first needed, and never more than can be in flight.
#[derive(Debug, Default)]
struct Pool {
    queue: Mutex<VecDeque<Arc<Batch>>>,
    wake: Condvar,
    threads: Mutex<usize>,
}

impl Pool {
    fn shared() -> &'static Self {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(Self::default)
    }

    /// Asks `count` threads to help with a batch.
    fn help(&'static self, batch: &Arc<Batch>, count: usize) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while *threads < count {
            let name = format!("sync-{}", *threads);
            // Without the thread the batch takes longer, and is complete all the same.
            if thread::Builder::new()
                .name(name)
                .spawn(move || self.run())
                .is_err()
            {
                break;
            }
            *threads += 1;
        }
        drop(threads);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.extend((0..count).map(|_| Arc::clone(batch)));
        drop(queue);
        self.wake.notify_all();
    }

    fn run(&self) {
        loop {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let batch = loop {
                match queue.pop_front() {
                    Some(batch) => break batch,
                    None => queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            batch.work();
        }
    }
}

/// One sync per file, several in flight.
fn sync_each(files: &[Arc<dyn File>]) -> Vec<io::Result<()>> {
    let batch = Arc::new(Batch {
        files: files.to_vec(),
        next: AtomicUsize::new(0),
        outcomes: Mutex::new(Outcomes {
            results: files.iter().map(|_| Ok(())).collect(),
            missing: files.len(),
        }),
        done: Condvar::new(),
    });
    Pool::shared().help(&batch, (files.len() - 1).min(IN_FLIGHT - 1));
    batch.work();
    let mut outcomes = batch.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    while outcomes.missing > 0 {
        outcomes = batch.done.wait(outcomes).unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::take(&mut outcomes.results)
}

/// One syncfs per file system; `None`, and nothing is done, when one of them is not known to make all files durable by it.
///
/// The kernel reports a write-back error of the file system once to every descriptor that was open when it happened, and to
/// those opened later until somebody was told of it. The descriptor used here is that of one of the files, so an error of
/// another one is missed only when it came before this one was opened and another syncfs has reported it: to a round of
/// this process, whose directory is offline then, or to somebody else. An error of somebody else's file is reported as well;
/// that errs on the safe side.
fn sync_file_systems(files: &[Arc<dyn File>]) -> Option<Vec<io::Result<()>>> {
    let mut devices = Vec::with_capacity(files.len());
    for file in files {
        devices.push(match file.as_std() {
            Some(std) => Some((std, syncfs_device(std)?)),
            None => None,
        });
    }
    let mut outcomes: HashMap<u64, Result<(), rustix::io::Errno>> = HashMap::new();
    let results = files.iter().zip(devices).map(|(file, device)| {
        let Some((std, device)) = device else {
            return file.sync_data();
        };
        let outcome = outcomes.entry(device).or_insert_with(|| rustix::fs::syncfs(std));
        outcome.map_err(io::Error::from)
    });
    Some(results.collect())
}

/// The device of a file, when syncfs is as good as a sync of each file there.
fn syncfs_device(file: &fs::File) -> Option<u64> {
    static KNOWN: Mutex<BTreeMap<u64, bool>> = Mutex::new(BTreeMap::new());
    let device = file.metadata().ok()?.dev();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_sound = known.entry(device).or_insert_with(|| {
        let kind = rustix::fs::fstatfs(file).map_or(0, |statistics| statistics.f_type);
        SYNCFS_FILE_SYSTEMS
            .iter()
            .any(|sound| i128::from(*sound) == i128::from(kind))
    });
    is_sound.then_some(device)
}

fn syncfs_is_truthful() -> bool {
    static TRUTHFUL: OnceLock<bool> = OnceLock::new();
    *TRUTHFUL.get_or_init(|| {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        version_of(&release).is_some_and(|version| version >= SYNCFS_REPORTS_ERRORS)
    })
}

/// Major and minor version of a kernel release such as `6.1.0-13-amd64`.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Fails when its name says so, and cannot be reached by syncfs.
    #[derive(Debug)]
    struct Named(PathBuf);

    impl File for Named {
        fn path(&self) -> &PathBuf {
            &self.0
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Ok(())
        }
        fn sync_data(&self) -> io::Result<()> {
            if self.0.starts_with("bad") {
                return Err(io::Error::from_raw_os_error(5));
            }
            Ok(())
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn as_std(&self) -> Option<&fs::File> {
            None
        }
    }

    #[test]
    fn every_file_has_its_own_result() {
        for count in [1, 2, 5, 40, 100] {
            for bad in 0..count {
                let files: Vec<Arc<dyn File>> = (0..count)
                    .map(|n| Arc::new(Named(if n == bad { "bad" } else { "good" }.into())) as Arc<dyn File>)
                    .collect();
                let failed: Vec<_> = sync_data_many(&files)
                    .iter()
                    .map(Result::is_err)
                    .enumerate()
                    .filter(|(_, bad)| *bad)
                    .collect();
                assert_eq!(failed, [(bad, true)], "{count} files");
            }
        }
    }

    #[test]
    fn syncfs_is_left_to_file_systems_that_mean_it() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<Arc<dyn File>> = (0..3)
            .map(|n| Arc::new(Named(dir.path().join(n.to_string()))) as Arc<dyn File>)
            .collect();
        let results = sync_file_systems(&files).expect("what is no file of the kernel's is synced by itself");
        assert!(results.iter().all(Result::is_ok));
        let (fuse, nine_p, nfs, overlay) = (0x6573_5546, 0x0102_1997, 0x6969, 0x794c_7630);
        for kind in [fuse, nine_p, nfs, overlay] {
            assert!(!SYNCFS_FILE_SYSTEMS.contains(&kind), "{kind:#x}");
        }
        let Ok(proc) = fs::File::open("/proc/self/stat") else {
            return;
        };
        assert_eq!(syncfs_device(&proc), None, "nobody knows what it would do there");
    }

    #[test]
    fn kernel_versions() {
        assert_eq!(version_of("6.1.0-13-amd64\n"), Some((6, 1)));
        assert_eq!(version_of("5.10"), Some((5, 10)));
        assert_eq!(version_of("strange"), None);
        assert!(Some((4, 19)) < Some(SYNCFS_REPORTS_ERRORS));
    }
}
