//! Path watching as a host service: ends a task's idle time when a file changes, appears or goes.
//!
//! One watcher serves all tasks. It watches the directory a file lies in (and the one a link points into), so that a
//! missing file's appearance and a rotation are seen. Where the operating system's notification cannot work (network file
//! systems, limits, a missing directory) the file is looked at once per second; whatever may become better is tried again.
//!
//! Everything that can block happens on one keeper thread, which lives only while there is something to set up or to look
//! at. The notification callback takes the lock of `entries` and nothing else: notify's own thread runs it, and waits for
//! nobody.

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::Notify;

/// How often a file is looked at where notification does not work.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Watches paths for all tasks.
#[derive(Debug)]
pub(crate) struct Watcher {
    shared: Arc<Shared>,
}

/// One watched path; dropping it ends the watching.
#[derive(Debug)]
pub(crate) struct Watch {
    id: u64,
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    entries: Mutex<Entries>,
    /// Wakes the keeper; goes with `entries`.
    work: Condvar,
    /// Taken by the keeper only.
    directories: Mutex<Directories>,
    /// Never tries notification.
    poll_only: bool,
    poll_interval: Duration,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    by_id: HashMap<u64, Entry>,
    /// Directories some entry no longer needs.
    released: Vec<PathBuf>,
    keeper_runs: bool,
    /// There is something to do before the poll interval ends.
    urgent: bool,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    wake: Arc<Notify>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The operating system tells: about these files, in directories that are watched for this entry.
    Notified(Vec<PathBuf>),
    /// We look. `stamp` is what was seen last, `None` = never looked.
    Polled { stamp: Option<Stamp>, retry: bool },
}

/// What changes when a file changes; `None` = there is no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

#[derive(Debug, Default)]
struct Directories {
    notify: Option<RecommendedWatcher>,
    /// How many places of entries lie in each watched directory.
    users: HashMap<PathBuf, usize>,
}

impl Watcher {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(false, POLL_INTERVAL)
    }

    fn with(poll_only: bool, poll_interval: Duration) -> Arc<Self> {
        let shared = Arc::new(Shared {
            entries: Mutex::default(),
            work: Condvar::new(),
            directories: Mutex::default(),
            poll_only,
            poll_interval,
        });
        Arc::new(Self { shared })
    }

    /// Wakes from now on when the file at `path` changes. Returns at once; the first wake says that watching has begun.
    pub(crate) fn watch(&self, path: &Path, wake: Arc<Notify>) -> Watch {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut entries = self.shared.entries();
        let id = entries.next;
        entries.next += 1;
        let state = State::Polled {
            stamp: None,
            retry: true,
        };
        entries.by_id.insert(
            id,
            Entry {
                path: absolute,
                wake,
                state,
            },
        );
        self.shared.call_keeper(entries);
        Watch {
            id,
            path: path.to_owned(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Watch {
    /// The path as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut entries = self.shared.entries();
        if let Some(Entry {
            state: State::Notified(places),
            ..
        }) = entries.by_id.remove(&self.id)
        {
            entries
                .released
                .extend(places.iter().filter_map(|place| Some(place.parent()?.to_owned())));
            self.shared.call_keeper(entries);
        }
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the keeper, or starts it.
    fn call_keeper(self: &Arc<Self>, mut entries: MutexGuard<'_, Entries>) {
        entries.urgent = true;
        self.work.notify_one();
        if entries.keeper_runs {
            return;
        }
        let shared = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("path-watcher".to_owned())
            .spawn(move || shared.keep());
        match started {
            Ok(_) => entries.keeper_runs = true,
            Err(cause) => tracing::error!(error = %cause, "path watcher cannot start, paths are not watched"),
        }
    }

    /// The keeper: looks after everything that is not notified, until there is no such thing.
    fn keep(self: Arc<Self>) {
        loop {
            let (released, polled) = {
                let mut entries = self.entries();
                entries.urgent = false;
                let look = |(id, entry): (&u64, &Entry)| match &entry.state {
                    State::Polled { stamp, retry } => Some((*id, entry.path.clone(), *stamp, *retry)),
                    State::Notified(_) => None,
                };
                let polled: Vec<_> = entries.by_id.iter().filter_map(look).collect();
                let released = std::mem::take(&mut entries.released);
                if polled.is_empty() && released.is_empty() {
                    entries.keeper_runs = false;
                    return;
                }
                (released, polled)
            };
            released.iter().for_each(|directory| self.release(directory));
            for (id, path, stamp, retry) in polled {
                self.look(id, &path, stamp, retry);
            }
            let entries = self.entries();
            let idle = entries.released.is_empty()
                && entries
                    .by_id
                    .values()
                    .any(|entry| matches!(entry.state, State::Polled { .. }));
            if idle && !entries.urgent {
                let waited = self
                    .work
                    .wait_timeout_while(entries, self.poll_interval, |entries| !entries.urgent);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Tries to have an entry notified; else compares its file with what was seen last.
    fn look(self: &Arc<Self>, id: u64, path: &Path, before: Option<Stamp>, retry: bool) {
        let (places, retry) = if retry { self.attach(path) } else { (None, false) };
        // After attaching, so that no change falls between the two.
        let now = stamp(path);
        let mut entries = self.entries();
        let Some(entry) = entries.by_id.get_mut(&id) else {
            // Dropped meanwhile.
            entries.released.extend(
                places
                    .iter()
                    .flatten()
                    .filter_map(|place| Some(place.parent()?.to_owned())),
            );
            return;
        };
        if before != Some(now) || places.is_some() {
            entry.wake.notify_one();
        }
        entry.state = match places {
            Some(places) => State::Notified(places),
            None => State::Polled {
                stamp: Some(now),
                retry,
            },
        };
    }

    /// Watches the directories a path depends on. Gives the files to listen for, or none and whether to try again.
    fn attach(self: &Arc<Self>, path: &Path) -> (Option<Vec<PathBuf>>, bool) {
        if self.poll_only {
            return (None, false);
        }
        let mut places = vec![path.to_owned()];
        if let Ok(target) = path.canonicalize()
            && target != path
        {
            places.push(target);
        }
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        for attached in 0..places.len() {
            let directory = places[attached].parent().unwrap_or(Path::new("/")).to_owned();
            let watched = if is_remote(&directory) {
                Err(false)
            } else {
                directories.watch(&directory, self).map_err(|cause| {
                    tracing::debug!(path = %directory.display(), error = %cause, "not notified of changes, polling");
                    true
                })
            };
            if let Err(retry) = watched {
                for place in &places[..attached] {
                    directories.release(place.parent().unwrap_or(Path::new("/")));
                }
                return (None, retry);
            }
        }
        (Some(places), true)
    }

    fn release(&self, directory: &Path) {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .release(directory);
    }

    /// The callback of notify.
    fn changed(self: &Arc<Self>, event: notify::Result<Event>) {
        let mut entries = self.entries();
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            // Events were lost: everything may have changed.
            _ => return entries.by_id.values().for_each(|entry| entry.wake.notify_one()),
        };
        let moved = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) => return,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
            EventKind::Any | EventKind::Modify(_) | EventKind::Other => false,
        };
        let Entries { by_id, released, .. } = &mut *entries;
        let mut refresh = false;
        for entry in by_id.values_mut() {
            let State::Notified(places) = &entry.state else {
                continue;
            };
            let touched = |place: &PathBuf| {
                let its_directory = |path: &PathBuf| moved && place.parent() == Some(path);
                event
                    .paths
                    .iter()
                    .any(|path| path == place || its_directory(path))
            };
            if !places.iter().any(touched) {
                continue;
            }
            entry.wake.notify_one();
            if moved {
                // The path may mean another file now, or lie in another directory: find out anew.
                released.extend(places.iter().filter_map(|place| Some(place.parent()?.to_owned())));
                entry.state = State::Polled {
                    stamp: None,
                    retry: true,
                };
                refresh = true;
            }
        }
        if refresh {
            self.call_keeper(entries);
        }
    }
}

impl Directories {
    fn watch(&mut self, directory: &Path, shared: &Arc<Shared>) -> notify::Result<()> {
        let notify = match &mut self.notify {
            Some(notify) => notify,
            None => {
                let shared: Weak<Shared> = Arc::downgrade(shared);
                self.notify.insert(notify::recommended_watcher(move |event| {
                    if let Some(shared) = shared.upgrade() {
                        shared.changed(event);
                    }
                })?)
            }
        };
        // Again even when it is watched: it may be another directory under the same name.
        notify.watch(directory, RecursiveMode::NonRecursive)?;
        *self.users.entry(directory.to_owned()).or_default() += 1;
        Ok(())
    }

    fn release(&mut self, directory: &Path) {
        let Some(users) = self.users.get_mut(directory) else {
            return;
        };
        *users -= 1;
        if *users > 0 {
            return;
        }
        self.users.remove(directory);
        if let Some(notify) = &mut self.notify {
            // It fails when the directory itself is gone, which ends the watching too.
            notify.unwatch(directory).ok();
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
    ))
}

/// Whether other machines can change files there without this one being told.
fn is_remote(directory: &Path) -> bool {
    /// NFS, SMB, CIFS, SMB2, 9P, AFS (two), Ceph, Coda, FUSE, OCFS2, GFS2, Lustre, VirtualBox.
    const REMOTE: [u64; 14] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x5346_414f,
        0x6b41_4653,
        0x00c3_6400,
        0x7375_7245,
        0x6573_5546,
        0x7461_636f,
        0x0116_1970,
        0x0bd0_0bd0,
        0x786f_4256,
    ];
    rustix::fs::statfs(directory).is_ok_and(|found| {
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a magic number of 32 bits"
        )]
        let magic = u64::from(found.f_type as u32);
        REMOTE.contains(&magic)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    async fn woken(wake: &Notify) {
        tokio::time::timeout(DEADLINE, wake.notified())
            .await
            .expect("woken within the deadline");
    }

    /// Waits until the watcher has settled: notified (or polled) as `wanted`, and nothing left to set up.
    async fn settled(watcher: &Watcher, wanted: fn(&State) -> bool) {
        let settled = || {
            watcher
                .shared
                .entries()
                .by_id
                .values()
                .all(|entry| wanted(&entry.state))
        };
        tokio::time::timeout(DEADLINE, async {
            while !settled() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("not settled: {watcher:?}"));
    }

    fn notified(state: &State) -> bool {
        matches!(state, State::Notified(_))
    }

    fn looked_at(state: &State) -> bool {
        matches!(state, State::Polled { stamp: Some(_), .. })
    }

    fn append(path: &Path) {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .write_all(b"line\n")
            .unwrap();
    }

    /// Runs through appearance, append and removal; `ready` says that watching has begun.
    async fn follow(watcher: Arc<Watcher>, ready: fn(&State) -> bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.txt");
        let (wake, barrier) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let watch = watcher.watch(&path, Arc::clone(&wake));
        let other = watcher.watch(&directory.path().join("barrier"), Arc::clone(&barrier));
        woken(&wake).await;
        woken(&barrier).await;
        for step in [
            append,
            append,
            |path: &Path| fs::remove_file(path).unwrap(),
            append,
        ] {
            settled(&watcher, ready).await;
            // What is under way comes before the barrier's event, so no wake of an earlier step is left over.
            append(&directory.path().join("barrier"));
            woken(&barrier).await;
            settled(&watcher, ready).await;
            while tokio::time::timeout(Duration::ZERO, wake.notified())
                .await
                .is_ok()
            {}
            step(&path);
            woken(&wake).await;
        }
        drop((watch, other));
        assert!(watcher.shared.entries().by_id.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_appears_grows_and_goes_wakes() {
        follow(Watcher::new(), notified).await;
    }

    #[tokio::test]
    async fn polling_sees_the_same() {
        follow(Watcher::with(true, Duration::from_millis(5)), looked_at).await;
    }

    #[tokio::test]
    async fn a_directory_that_appears_later_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("later/test.txt");
        let watcher = Watcher::new();
        let wake = Arc::new(Notify::new());
        let _watch = watcher.watch(&path, Arc::clone(&wake));
        settled(&watcher, looked_at).await;
        woken(&wake).await;
        fs::create_dir(root.path().join("later")).unwrap();
        settled(&watcher, notified).await;
        woken(&wake).await;
        append(&path);
        woken(&wake).await;
    }

    #[tokio::test]
    async fn a_change_behind_a_link_wakes() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("elsewhere/target.txt");
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        append(&target);
        let link = root.path().join("link.txt");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let watcher = Watcher::new();
        let wake = Arc::new(Notify::new());
        let _watch = watcher.watch(&link, Arc::clone(&wake));
        settled(&watcher, notified).await;
        woken(&wake).await;
        append(&target);
        woken(&wake).await;
    }

    #[tokio::test]
    async fn other_files_wake_nobody_and_the_keeper_rests() {
        let root = tempfile::tempdir().unwrap();
        let watcher = Watcher::new();
        let (one, two) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let _first = watcher.watch(&root.path().join("one"), Arc::clone(&one));
        let second = watcher.watch(&root.path().join("two"), Arc::clone(&two));
        settled(&watcher, notified).await;
        woken(&one).await;
        woken(&two).await;
        append(&root.path().join("two"));
        woken(&two).await;
        settled(&watcher, notified).await;
        // Events come in order, so the next one for `two` proves that `one` was passed over.
        let silent = tokio::time::timeout(Duration::ZERO, one.notified()).await;
        assert!(silent.is_err(), "a change of another file woke");
        drop(second);
        tokio::time::timeout(DEADLINE, async {
            while watcher.shared.entries().keeper_runs {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("no thread is left when there is nothing to look at");
    }
}
