//! Hears when somebody changes the sources of a project.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::ModifyKind};
use tokio::{sync::Notify, time::Instant};

/// Editors write several files, and some of them several times: changes are over when it is silent for so long.
const SILENCE: Duration = Duration::from_millis(150);
/// What builds write, and what builds are not made of.
const IGNORED: [&str; 3] = ["target", "build", "Cargo.lock"];

/// See the file's header.
pub(super) struct Changes {
    changed: Arc<Notify>,
    /// The last of the changes that are not over yet.
    last: Option<Instant>,
    /// Ends with this.
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Follows a project.
    ///
    /// # Errors
    /// The operating system does not let it be watched.
    pub(super) fn follow(directory: &Path) -> anyhow::Result<Self> {
        let changed = Arc::new(Notify::new());
        let (heard, root) = (Arc::clone(&changed), directory.to_owned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(&root, &event)) {
                heard.notify_one();
            }
        })?;
        let about = || format!("cannot follow {}: --once goes without", directory.display());
        watcher
            .watch(directory, RecursiveMode::NonRecursive)
            .with_context(about)?;
        // Not as a whole: builds write thousands of directories.
        for entry in std::fs::read_dir(directory).with_context(about)? {
            let path = entry.with_context(about)?.path();
            if path.is_dir() && !is_ignored(path.file_name()) {
                watcher
                    .watch(&path, RecursiveMode::Recursive)
                    .with_context(about)?;
            }
        }
        Ok(Self {
            changed,
            last: None,
            _watcher: watcher,
        })
    }

    /// The next change, when it is over. Nothing is lost when this is dropped before its end.
    pub(super) async fn next(&mut self) {
        loop {
            match self.last {
                None => self.changed.notified().await,
                Some(last) => {
                    let more = tokio::time::timeout_at(last + SILENCE, self.changed.notified());
                    if more.await.is_err() {
                        self.last = None;
                        return;
                    }
                }
            }
            self.last = Some(Instant::now());
        }
    }
}

fn is_change(root: &Path, event: &Event) -> bool {
    let relevant = match event.kind {
        EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Access(_) | EventKind::Other => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
    };
    let inside = |path: &PathBuf| {
        let first = path.strip_prefix(root).ok()?.components().next()?;
        let hidden = path.file_name().is_some_and(is_hidden);
        Some(!is_ignored(Some(first.as_os_str())) && !hidden)
    };
    relevant && event.paths.iter().any(|path| inside(path) == Some(true))
}

fn is_ignored(name: Option<&OsStr>) -> bool {
    name.is_none_or(|name| is_hidden(name) || IGNORED.iter().any(|ignored| name == *ignored))
}

/// Also what editors keep beside the files they change.
fn is_hidden(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") || name.ends_with(b"~") || name == b"4913"
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, MetadataKind};

    use super::*;

    #[test]
    fn what_counts_as_a_change() {
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let check = |kind, path: &str, wanted| {
            let event = Event::new(kind).add_path(PathBuf::from(path));
            assert_eq!(is_change(Path::new("/p"), &event), wanted, "{event:?}");
        };
        check(data, "/p/src/lib.rs", true);
        check(data, "/p/plugin.toml", true);
        check(EventKind::Create(CreateKind::File), "/p/src/new.rs", true);
        check(data, "/p/target/release/x.d", false);
        check(data, "/p/Cargo.lock", false);
        check(data, "/p/src/.lib.rs.swp", false);
        check(data, "/p/src/lib.rs~", false);
        check(data, "/other/src/lib.rs", false);
        check(EventKind::Access(AccessKind::Any), "/p/src/lib.rs", false);
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        check(metadata, "/p/src/lib.rs", false);
    }

    #[tokio::test]
    async fn changes_are_heard() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("src")).unwrap();
        let mut changes = Changes::follow(project.path()).unwrap();
        std::fs::write(project.path().join("src/lib.rs"), "x").unwrap();
        // Whoever waits for other things, too, asks again and again.
        let heard = async { while tokio::time::timeout(SILENCE / 2, changes.next()).await.is_err() {} };
        assert!(tokio::time::timeout(Duration::from_secs(20), heard).await.is_ok());
    }
}
