//! The directories the operating system watches for us: how many need each, and the watching itself.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Shared;

#[derive(Debug, Default)]
pub(super) struct Directories {
    notify: Option<RecommendedWatcher>,
    /// How many places of entries need each watched directory.
    users: HashMap<PathBuf, usize>,
}

impl Directories {
    /// Watches these directories, all of them or none.
    pub(super) fn watch_all<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a Path>,
        shared: &Arc<Shared>,
    ) -> notify::Result<()> {
        let mut watched = Vec::new();
        for directory in wanted {
            if let Err(cause) = self.watch(directory, shared) {
                self.release(&watched);
                return Err(cause);
            }
            watched.push(directory.to_owned());
        }
        Ok(())
    }

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

    /// One place less needs each of these.
    pub(super) fn release(&mut self, directories: &[PathBuf]) {
        for directory in directories {
            let Some(users) = self.users.get_mut(directory) else {
                continue;
            };
            *users -= 1;
            if *users > 0 {
                continue;
            }
            self.users.remove(directory);
            if let Some(notify) = &mut self.notify {
                // It fails when the directory itself is gone, which ends the watching too.
                notify.unwatch(directory).ok();
            }
        }
    }
}
