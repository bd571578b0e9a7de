//! Path watching as a host service: ends a task's idle time when a file changes, appears or goes, or when that happens to
//! any file of a directory.
//!
//! One watcher serves all tasks. The operating system notifies of what happens in a directory: the one a file lies in, so
//! that a missing file's appearance and a rotation are seen, and a watched directory itself. Where notification cannot work
//! (limits, a missing directory) the path is looked at once per second, and what may become better is tried again. Where
//! it works but does not tell everything (network file systems, links) both are done.
//!
//! Everything that can block happens on one keeper thread, which lives only while there is something to set up or to look
//! at. The notification callback takes the lock of `entries` and nothing else: notify's own thread runs it, and waits for
//! nobody.

mod directories;
mod place;
mod stamp;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::Notify;

use self::{
    directories::Directories,
    place::{Place, Places},
    stamp::Stamp,
};

/// How often a path is looked at where notification does not tell everything.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Looking takes one part in so many of the time, however large a directory is.
const POLL_SHARE: u32 = 10;

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
    /// What the operating system tells about; none = nothing.
    places: Vec<Place>,
    /// `None` = the operating system tells everything.
    poll: Option<Poll>,
}

/// How a path is looked at.
#[derive(Debug, Clone, Copy)]
struct Poll {
    /// What was seen last, `None` = never looked.
    stamp: Option<Stamp>,
    /// Notification may work by now.
    retry: bool,
}

impl Poll {
    /// Of a path that nothing is known about.
    const ANEW: Self = Self {
        stamp: None,
        retry: true,
    };
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

    /// Wakes from now on when the file at `path` changes, or any entry of the directory at `path`. Returns at once; the
    /// first wake says that watching has begun.
    pub(crate) fn watch(&self, path: &Path, wake: Arc<Notify>) -> Watch {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut entries = self.shared.entries();
        let id = entries.next;
        entries.next += 1;
        let entry = Entry {
            path: absolute,
            wake,
            places: Vec::new(),
            poll: Some(Poll::ANEW),
        };
        entries.by_id.insert(id, entry);
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
        if let Some(mut entry) = entries.by_id.remove(&self.id)
            && !entry.places.is_empty()
        {
            entries.release(&mut entry.places);
            self.shared.call_keeper(entries);
        }
    }
}

impl Entries {
    /// Leaves it to the keeper to end the watching of directories that nobody needs then.
    fn release(&mut self, places: &mut Vec<Place>) {
        self.released.extend(places.drain(..).map(Place::into_directory));
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directories(&self) -> MutexGuard<'_, Directories> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The keeper: looks after everything the operating system does not tell about, until there is no such thing.
    fn keep(self: Arc<Self>) {
        let mut next = Instant::now();
        loop {
            let begun = Instant::now();
            let due = begun >= next;
            let (released, polled) = {
                let mut entries = self.entries();
                if entries.released.is_empty() && !entries.by_id.values().any(|entry| entry.poll.is_some()) {
                    entries.keeper_runs = false;
                    return;
                }
                entries.urgent = false;
                let look = |(id, entry): (&u64, &Entry)| {
                    let poll = entry.poll.filter(|poll| due || poll.stamp.is_none())?;
                    Some((*id, entry.path.clone(), poll))
                };
                let polled: Vec<_> = entries.by_id.iter().filter_map(look).collect();
                (std::mem::take(&mut entries.released), polled)
            };
            self.directories().release(&released);
            for (id, path, poll) in polled {
                self.look(id, &path, poll);
            }
            if due {
                next = Instant::now() + self.poll_interval.max(begun.elapsed() * POLL_SHARE);
            }
            let entries = self.entries();
            if !entries.urgent && entries.by_id.values().any(|entry| entry.poll.is_some()) {
                let pause = next.saturating_duration_since(Instant::now());
                let waited = self
                    .work
                    .wait_timeout_while(entries, pause, |entries| !entries.urgent);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Tries to have an entry notified, and compares its path with what was seen last.
    fn look(self: &Arc<Self>, id: u64, path: &Path, poll: Poll) {
        let attached = if poll.retry {
            self.attach(path)
        } else {
            Attached::Not { retry: false }
        };
        // After attaching, so that no change falls between the two.
        let now = Stamp::of(path);
        let mut entries = self.entries();
        let Some(entry) = entries.by_id.get_mut(&id) else {
            // Dropped meanwhile.
            if let Attached::To(Places { mut places, .. }) = attached {
                entries.release(&mut places);
            }
            return;
        };
        if entry.poll.is_some_and(|known| known.retry) && !poll.retry {
            // Its meaning changed meanwhile; the next round finds out anew.
            return;
        }
        let mut replaced = Vec::new();
        if poll.stamp != Some(now) || matches!(attached, Attached::To(_)) {
            entry.wake.notify_one();
        }
        let (complete, retry) = match attached {
            Attached::To(found) => {
                replaced = std::mem::replace(&mut entry.places, found.places);
                (found.complete, false)
            }
            Attached::Not { retry } => (false, retry),
        };
        entry.poll = (!complete).then_some(Poll {
            stamp: Some(now),
            retry,
        });
        entries.release(&mut replaced);
    }

    /// Watches the directories a path depends on.
    fn attach(self: &Arc<Self>, path: &Path) -> Attached {
        if self.poll_only {
            return Attached::Not { retry: false };
        }
        let found = match Places::of(path) {
            Ok(found) => found,
            Err(cause) => {
                tracing::debug!(path = %path.display(), error = %cause, "not notified of changes, polling");
                return Attached::Not { retry: true };
            }
        };
        let wanted = found.places.iter().map(Place::directory);
        if let Err(cause) = self.directories().watch_all(wanted, self) {
            tracing::debug!(path = %path.display(), error = %cause, "not notified of changes, polling");
            return Attached::Not { retry: true };
        }
        if !Places::of(path).is_ok_and(|now| now == found) {
            // What the path means changed before anybody would have told.
            let given_back: Vec<_> = found.places.into_iter().map(Place::into_directory).collect();
            self.directories().release(&given_back);
            return Attached::Not { retry: true };
        }
        Attached::To(found)
    }

    /// The callback of notify.
    fn changed(self: &Arc<Self>, event: notify::Result<Event>) {
        let (event, lost) = match event {
            Ok(event) if !event.need_rescan() => (event, false),
            // Events were lost: everything may have changed, and may mean something else.
            _ => (Event::default(), true),
        };
        let moved = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) => return,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
            EventKind::Any | EventKind::Modify(_) | EventKind::Other => false,
        };
        // Asked before the lock is taken.
        let link = moved && event.paths.iter().any(|path| path.is_symlink());
        let mut entries = self.entries();
        let Entries { by_id, released, .. } = &mut *entries;
        let mut refresh = false;
        for entry in by_id.values_mut() {
            let mut touches = event.paths.iter().flat_map(|path| {
                let touch = |place: &Place| place.touched_by(path, moved, link);
                entry.places.iter().filter_map(touch)
            });
            let Some(first) = (if lost { Some(true) } else { touches.next() }) else {
                continue;
            };
            let anew = first || touches.any(|anew| anew);
            entry.wake.notify_one();
            if anew {
                released.extend(entry.places.drain(..).map(Place::into_directory));
                entry.poll = Some(Poll::ANEW);
                refresh = true;
            }
        }
        if refresh {
            self.call_keeper(entries);
        }
    }
}

/// Outcome of an attempt to be notified.
#[derive(Debug)]
enum Attached {
    To(Places),
    /// Not now; `retry` = it may work later.
    Not {
        retry: bool,
    },
}

#[cfg(test)]
mod tests;
