//! Following `plugin.path`: what comes, goes or changes there is found without anybody asking.
//!
//! The path watcher tells that something happened in a directory that matters (a root, a package, one with artifacts), and
//! everything is scanned anew; what is half written then is bad, or fails when it is loaded, until the next event ends that.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use jackfield_tasks::TaskGroup;
use tokio::sync::Notify;

use crate::{
    Form,
    plugins::Plugins,
    watch::{Watch, Watcher},
};

/// Events that come within this time are one: copying a file makes many.
const GATHER: Duration = Duration::from_millis(50);
/// What has not changed for this long is taken for complete, and its digests are checked.
const SETTLED: Duration = Duration::from_millis(200);

/// What was checked already, by directory and stamp.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<HashSet<(PathBuf, u64)>>);

impl Plugins {
    /// Follows `plugin.path` from now on, as long as these plugins are there.
    pub fn follow(self: &Arc<Self>) {
        let group = self.following.clone();
        let follower = Follower {
            plugins: Arc::downgrade(self),
            watcher: Arc::clone(&self.watcher),
            wake: Arc::default(),
            watches: HashMap::new(),
            group: group.clone(),
        };
        group.spawn("plugin.path", follower.run());
    }

    /// Compares every artifact that can run here with its digest: what does not fit is in [`Plugins::bad`] then. Reads
    /// whole files and runs no code.
    pub fn verify(&self) {
        let found = self.found();
        let checked: HashSet<_> = found
            .packages
            .iter()
            .map(|package| (package.directory.clone(), package.stamp))
            .collect();
        let before = {
            let mut verified = self.verified.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *verified, checked)
        };
        for package in &found.packages {
            if before.contains(&(package.directory.clone(), package.stamp)) {
                continue;
            }
            let wasm = package.manifest.artifact.wasm.as_ref();
            let wasm = wasm.map(|wasm| (Form::Wasm, &wasm.file, wasm.sha256));
            let native = package.manifest.native_here();
            let native = native.map(|native| (Form::Native, &native.file, native.sha256));
            for (form, file, wanted) in wasm.into_iter().chain(native) {
                let reason = match crate::artifact::digest(&package.directory.join(file)) {
                    Ok(digest) if digest == wanted => continue,
                    Ok(digest) => format!(
                        "artifact {}: sha256 is {digest}, the manifest says {wanted}: the file was changed, is cut off or \
                         still being written; install the package again",
                        file.display()
                    ),
                    Err(cause) => format!("artifact {} cannot be read: {cause}", file.display()),
                };
                self.failures.note(package, form, &reason);
            }
        }
    }
}

struct Follower {
    plugins: Weak<Plugins>,
    watcher: Arc<Watcher>,
    wake: Arc<Notify>,
    watches: HashMap<PathBuf, Watch>,
    group: TaskGroup,
}

impl Follower {
    async fn run(mut self) {
        let cancelled = self.group.cancelled();
        while self.watch() {
            tokio::select! {
                () = self.wake.notified() => {}
                () = cancelled.cancelled() => return,
            }
            tokio::time::sleep(GATHER).await;
            self.work("scan", Plugins::rescan).await;
            match tokio::time::timeout(SETTLED, self.wake.notified()).await {
                Ok(()) => self.wake.notify_one(),
                Err(_) => self.work("verify", Plugins::verify).await,
            }
        }
    }

    async fn work(&self, name: &str, work: fn(&Plugins)) {
        if let Some(plugins) = self.plugins.upgrade() {
            // A panic is logged, and the next event may bring a better result.
            let _ = self
                .group
                .spawn_blocking(name, move || work(&plugins))
                .join()
                .await;
        }
    }

    /// Watches what the last scan depends on. Says whether the plugins are still there.
    fn watch(&mut self) -> bool {
        let Some(plugins) = self.plugins.upgrade() else {
            return false;
        };
        let found = plugins.found();
        self.watches.retain(|path, _| found.directories.contains(path));
        for path in &found.directories {
            let (watcher, wake) = (&self.watcher, &self.wake);
            // The first wake says that watching has begun, so nothing falls between the scan and it.
            self.watches
                .entry(path.clone())
                .or_insert_with(|| watcher.watch(path, Arc::clone(wake)));
        }
        true
    }
}
