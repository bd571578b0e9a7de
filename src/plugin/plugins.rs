//! The packages on `plugin.path` and the classes loaded from them.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use jackfield_tasks::TaskGroup;
use tokio::sync::watch;

use crate::{
    BadPackage, ConnectorPlugin, Form, Kind, LookupError, PluginConfig, PluginInfo,
    discover::{self, Found, FoundPackage},
    failures::Failures,
    follow::Verified,
    http::HttpService,
    limits::{Limits, PluginLimits},
    manifest::Sha256,
    native::{self, NativeHost},
    reach::Grantor,
    select::{self, Origin, Wanted},
    versions::compare_versions,
    wasm::{self, Directories, WasmHost, World},
    watch::Watcher,
};

/// Packages that change while they are loaded are tried this often.
const LOAD_ATTEMPTS: usize = 8;

/// Everything found on `plugin.path`. Discovery reads manifests and runs no plugin code.
#[derive(Debug)]
pub struct Plugins {
    config: PluginConfig,
    limits: Arc<Limits>,
    group: TaskGroup,
    /// Ends with these plugins.
    pub(crate) following: TaskGroup,
    pub(crate) watcher: Arc<Watcher>,
    http: Arc<HttpService>,
    grantor: Arc<Grantor>,
    /// What relative paths of WASM plugins are relative to.
    pub(crate) current_directory: Option<PathBuf>,
    /// Made when the first WASM class is loaded.
    wasm: tokio::sync::OnceCell<Arc<WasmHost>>,
    found: Mutex<Arc<Found>>,
    /// Held while `plugin.path` is read.
    scanning: Mutex<()>,
    /// Counts the changes of what was found.
    changes: watch::Sender<u64>,
    pub(crate) failures: Failures,
    pub(crate) verified: Verified,
    loaded: Mutex<HashMap<Key, Cell>>,
    /// Classes of the process itself.
    registered: Vec<Arc<dyn ConnectorPlugin>>,
}

/// Package directory, digest of its manifest, class, form.
type Key = (PathBuf, Sha256, String, Form);
type Cell = Arc<tokio::sync::OnceCell<Arc<dyn ConnectorPlugin>>>;

/// What a config means: a class of the process, or one of a package in a form.
#[derive(Debug)]
enum Choice {
    Process(Arc<dyn ConnectorPlugin>),
    Package {
        package: Arc<FoundPackage>,
        info: PluginInfo,
        form: Form,
        /// It could not be loaded as it is.
        failed: bool,
    },
}

impl Drop for Plugins {
    fn drop(&mut self) {
        self.following.cancel();
    }
}

impl Plugins {
    /// Reads the manifests of all packages on `plugin.path`. A bad package is listed in [`Plugins::bad`], never fatal.
    pub fn discover(config: PluginConfig) -> Self {
        Self::with_limits(config, Limits::default())
    }

    /// As [`Plugins::discover`], with limits that the operator has set.
    pub fn discover_limited(config: PluginConfig, limits: PluginLimits) -> Self {
        Self::with_limits(config, Limits::with(limits))
    }

    pub(crate) fn with_limits(config: PluginConfig, limits: Limits) -> Self {
        let found = discover::scan(&config.plugin_path);
        let group = TaskGroup::new("plugin");
        let (policy, variables) = (config.policy.clone(), config.environment.clone());
        Self {
            http: HttpService::new(&group),
            grantor: Arc::new(Grantor::new(policy, config.native.clone(), variables)),
            config,
            limits: Arc::new(limits),
            following: group.child("follow"),
            group,
            watcher: Watcher::new(),
            current_directory: std::env::current_dir().ok(),
            wasm: tokio::sync::OnceCell::new(),
            found: Mutex::new(Arc::new(found)),
            scanning: Mutex::default(),
            changes: watch::Sender::new(0),
            failures: Failures::default(),
            verified: Verified::default(),
            loaded: Mutex::default(),
            registered: Vec::new(),
        }
    }

    /// Adds a class of the process itself; it comes before packages.
    pub fn register(&mut self, plugin: Arc<dyn ConnectorPlugin>) {
        self.registered.push(plugin);
    }

    /// Usable connector classes, sorted by class, newest version first.
    pub fn list(&self) -> Vec<PluginInfo> {
        let found = self.found();
        let infos = found.packages.iter().flat_map(|package| {
            let classes = package.manifest.plugins.iter();
            let infos = classes.map(|connector| select::info(package, connector));
            infos.filter(move |info| {
                let failed = |form: &Form| self.failures.has(package, *form);
                info.forms.is_empty() || !info.forms.iter().all(failed)
            })
        });
        let mut list: Vec<_> = infos.collect();
        list.extend(self.registered.iter().map(|plugin| plugin.info().clone()));
        list.sort_by(|one, other| {
            one.class
                .cmp(&other.class)
                .then_with(|| compare_versions(&other.version, &one.version))
        });
        list
    }

    /// Packages that cannot be used, and those of which one form could not be loaded.
    pub fn bad(&self) -> Vec<BadPackage> {
        let found = self.found();
        let mut bad = found.bad.clone();
        bad.extend(self.failures.of(&found));
        bad
    }

    /// Counts how often what was found has changed; see [`Plugins::follow`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Loads the newest version of a class; see [`Plugins::load_wanted`].
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn load(
        &self,
        class: &str,
        form: Option<Form>,
    ) -> Result<Arc<dyn ConnectorPlugin>, LookupError> {
        let wanted = Wanted {
            class: class.to_owned(),
            form,
            ..Wanted::default()
        };
        self.load_wanted(&wanted).await
    }

    /// Loads what a config asks for: of several versions the newest that can be loaded. Loaded classes are kept as long as
    /// their package is there.
    ///
    /// # Errors
    /// There is no such class or version, it may not run in this form, or it cannot be loaded.
    pub async fn load_wanted(&self, wanted: &Wanted) -> Result<Arc<dyn ConnectorPlugin>, LookupError> {
        let mut tried = HashSet::new();
        let mut failure: Option<LookupError> = None;
        for _ in 0..LOAD_ATTEMPTS {
            let choice = self.choose(wanted).or_else(|_| {
                // Perhaps it was installed a moment ago.
                self.rescan();
                self.choose(wanted)
            });
            let choice = match choice {
                Ok(choice) => choice,
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            if let Choice::Package { package, .. } = &choice
                && !tried.insert((package.directory.clone(), package.stamp))
            {
                break;
            }
            match self.load_choice(choice).await {
                Ok(plugin) => return Ok(plugin),
                Err(error) => failure = failure.or(Some(error)),
            }
            // Perhaps it was replaced a moment ago; otherwise an older version may do.
            self.rescan();
        }
        Err(failure.unwrap_or_else(|| LookupError::Unusable(format!("{} cannot be loaded", wanted.class))))
    }

    /// What a config asks for, as far as it can be told without loading it; `None` when it cannot be had at present.
    pub fn selected(&self, wanted: &Wanted) -> Option<PluginInfo> {
        match self.choose(wanted).ok()? {
            Choice::Process(plugin) => Some(plugin.info().clone()),
            Choice::Package { failed: true, .. } => None,
            Choice::Package { info, .. } => Some(info),
        }
    }

    /// Loads what is to take the place of a class that is running: its package was replaced, a newer version came, or the
    /// package is gone and another version is there. `None` = nothing is to take its place.
    ///
    /// # Errors
    /// The new code cannot be had, or loaded.
    pub async fn load_replacement(
        &self,
        wanted: &Wanted,
        running: &PluginInfo,
    ) -> Result<Option<Arc<dyn ConnectorPlugin>>, LookupError> {
        if running.digest.is_none() {
            return Ok(None);
        }
        let choice = self.choose(wanted)?;
        let Choice::Package {
            info, failed: false, ..
        } = &choice
        else {
            return Ok(None);
        };
        if info.digest == running.digest {
            return Ok(None);
        }
        let replaced = info.location == running.location;
        let newer = compare_versions(&info.version, &running.version).is_gt();
        let gone = !self.found().has(&running.location);
        if !(replaced || newer || gone) {
            return Ok(None);
        }
        self.load_choice(choice).await.map(Some)
    }

    /// Lets go of code that nobody runs and no package holds any more. Native libraries stay.
    pub fn forget_unused(&self) {
        let found = self.found();
        let current: HashSet<(&PathBuf, Sha256)> = found
            .packages
            .iter()
            .map(|package| (&package.directory, package.digest))
            .collect();
        self.loaded()
            .retain(|(directory, digest, ..), _| current.contains(&(directory, *digest)));
        if let Some(wasm) = self.wasm.get() {
            let components = found.packages.iter();
            let components = components.filter_map(|package| package.manifest.artifact.wasm.as_ref());
            wasm.forget_unused(&components.map(|component| component.sha256).collect());
        }
    }

    /// Reads `plugin.path` again.
    pub(crate) fn rescan(&self) {
        let scanning = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Arc::new(discover::scan(&self.config.plugin_path));
        let before = {
            let mut now = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if now.is_like(&found) {
                return;
            }
            std::mem::replace(&mut *now, Arc::clone(&found))
        };
        drop(scanning);
        let known = |bad: &BadPackage| {
            let mut before = before.bad.iter();
            before.any(|known| (&known.location, &known.reason) == (&bad.location, &bad.reason))
        };
        for bad in found.bad.iter().filter(|bad| !known(bad)) {
            tracing::warn!(package = %bad.location.display(), reason = bad.reason, "plugin package cannot be used");
        }
        tracing::debug!(
            packages = found.packages.len(),
            bad = found.bad.len(),
            "plugin.path has changed"
        );
        self.forget_unused();
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn found(&self) -> Arc<Found> {
        Arc::clone(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest that has not failed, or the newest.
    fn choose(&self, wanted: &Wanted) -> Result<Choice, LookupError> {
        let mut newest = None;
        for candidate in select::candidates(&self.found(), &self.registered, wanted)? {
            let package = match candidate.origin {
                Origin::Process(plugin) => return Ok(Choice::Process(plugin)),
                Origin::Package(package) => package,
            };
            let info = candidate.info;
            let form = select::choose_form(&self.config.native, &package, &info, wanted.form)?;
            let failed = self.failures.has(&package, form);
            let choice = Choice::Package {
                package,
                info,
                form,
                failed,
            };
            if !failed {
                return Ok(choice);
            }
            newest.get_or_insert(choice);
        }
        newest.ok_or_else(|| LookupError::UnknownClass(format!("no plugin has class {}", wanted.class)))
    }

    /// Loads it, or gives what was loaded before; a failure is remembered.
    async fn load_choice(&self, choice: Choice) -> Result<Arc<dyn ConnectorPlugin>, LookupError> {
        let (package, info, form) = match choice {
            Choice::Process(plugin) => return Ok(plugin),
            Choice::Package {
                package, info, form, ..
            } => (package, info, form),
        };
        let key = (
            package.directory.clone(),
            package.digest,
            info.class.clone(),
            form,
        );
        let cell = Arc::clone(self.loaded().entry(key).or_default());
        let class = info.class.clone();
        let was_loaded = cell.initialized();
        let loaded = cell
            .get_or_try_init(|| self.load_form(Arc::clone(&package), info, form))
            .await;
        match loaded {
            Ok(plugin) => {
                // What was loaded before says nothing about the files that are there now.
                if !was_loaded {
                    self.failures.forget(&package, form);
                }
                Ok(Arc::clone(plugin))
            }
            Err(reason) => {
                self.failures.note(&package, form, &reason);
                Err(LookupError::Unusable(format!(
                    "{class} cannot be loaded: {reason}"
                )))
            }
        }
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<Key, Cell>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load_form(
        &self,
        package: Arc<FoundPackage>,
        info: PluginInfo,
        form: Form,
    ) -> Result<Arc<dyn ConnectorPlugin>, String> {
        let started = Instant::now();
        let plugin: Arc<dyn ConnectorPlugin> = match form {
            Form::Native => {
                let host = NativeHost {
                    group: self.group.clone(),
                    watcher: Arc::clone(&self.watcher),
                    limits: Arc::clone(&self.limits),
                    http: Arc::clone(&self.http),
                };
                let cache_dir = &self.config.cache_dir;
                Arc::new(native::load(host, package, info, cache_dir).await?)
            }
            Form::Wasm => {
                let host = self.wasm_host().await?;
                Arc::new(wasm::load(host, package, info).await?)
            }
        };
        let info = plugin.info();
        tracing::info!(
            class = info.class,
            version = info.version,
            form = %form,
            location = %info.location.display(),
            elapsed_ms = started.elapsed().as_millis(),
            "plugin loaded"
        );
        Ok(plugin)
    }

    async fn wasm_host(&self) -> Result<Arc<WasmHost>, String> {
        let make = || async {
            let current = self.current_directory.as_deref();
            let world = World {
                directories: Directories::new(&self.config.wasm_directories, current)?,
                current_directory: self.current_directory.clone(),
                grantor: Arc::clone(&self.grantor),
                http: Arc::clone(&self.http),
            };
            let cache_dir = self.config.cache_dir.join("wasm");
            let limits = Arc::clone(&self.limits);
            WasmHost::new(world, cache_dir, limits, &self.group, Arc::clone(&self.watcher)).map(Arc::new)
        };
        self.wasm.get_or_try_init(make).await.map(Arc::clone)
    }

    /// How many components are compiled and kept.
    #[cfg(test)]
    pub(crate) fn compiled_count(&self) -> usize {
        self.wasm.get().map_or(0, |wasm| wasm.compiled_count())
    }
}

/// What the manifest says of a class must be what the artifact says.
pub(crate) fn check_class(info: &PluginInfo, kind: Kind, version: &str) -> Result<(), String> {
    let class = &info.class;
    if kind != info.kind {
        return Err(format!("{class} is a {kind}, the manifest says {}", info.kind));
    }
    if version != info.version {
        return Err(format!(
            "{class} has version {version}, the manifest says {}: build the package again",
            info.version
        ));
    }
    Ok(())
}
