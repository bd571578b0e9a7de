//! The packages on `plugin.path` and the classes loaded from them.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jackfield_tasks::TaskGroup;

use crate::{
    BadPackage, ConnectorPlugin, Form, Kind, LookupError, PluginConfig, PluginInfo,
    discover::{self, Found, FoundPackage},
    http::HttpService,
    limits::Limits,
    native::{self, NativeHost},
    reach::Grantor,
    versions::compare_versions,
    wasm::{self, Directories, WasmHost, World},
    watch::Watcher,
};

/// New packages are picked up while running: `plugin.path` is read again when somebody looks and this time has passed.
const RESCAN_AFTER: Duration = Duration::from_secs(1);

/// Everything found on `plugin.path`. Discovery reads manifests and runs no plugin code.
#[derive(Debug)]
pub struct Plugins {
    config: PluginConfig,
    limits: Arc<Limits>,
    group: TaskGroup,
    watcher: Arc<Watcher>,
    http: Arc<HttpService>,
    grantor: Arc<Grantor>,
    /// What relative paths of WASM plugins are relative to.
    pub(crate) current_directory: Option<PathBuf>,
    /// Made when the first WASM class is loaded.
    wasm: tokio::sync::OnceCell<Arc<WasmHost>>,
    found: Mutex<Scanned>,
    loaded: Mutex<HashMap<Key, Cell>>,
    /// Classes of the process itself.
    registered: Vec<Arc<dyn ConnectorPlugin>>,
}

#[derive(Debug)]
struct Scanned {
    found: Arc<Found>,
    at: Instant,
}

/// Package directory, version, class, form.
type Key = (PathBuf, String, String, Form);
type Cell = Arc<tokio::sync::OnceCell<Arc<dyn ConnectorPlugin>>>;

impl Plugins {
    /// Reads the manifests of all packages on `plugin.path`. A bad package is listed in [`Plugins::bad`], never fatal.
    pub fn discover(config: PluginConfig) -> Self {
        Self::with_limits(config, Limits::default())
    }

    pub(crate) fn with_limits(config: PluginConfig, limits: Limits) -> Self {
        let found = scan(&config);
        let group = TaskGroup::new("plugin");
        let (policy, variables) = (config.policy.clone(), config.environment.clone());
        Self {
            http: HttpService::new(&group),
            grantor: Arc::new(Grantor::new(policy, config.native.clone(), variables)),
            config,
            limits: Arc::new(limits),
            group,
            watcher: Watcher::new(),
            current_directory: std::env::current_dir().ok(),
            wasm: tokio::sync::OnceCell::new(),
            found: Mutex::new(found),
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
        let found = self.found(false);
        let infos = |package: &Arc<FoundPackage>| {
            let package = Arc::clone(package);
            (0..package.manifest.connectors.len()).map(move |index| info(&package, index))
        };
        let mut list: Vec<_> = found.packages.iter().flat_map(infos).collect();
        list.extend(self.registered.iter().map(|plugin| plugin.info().clone()));
        list.sort_by(|one, other| {
            one.class
                .cmp(&other.class)
                .then_with(|| compare_versions(&other.version, &one.version))
        });
        list
    }

    /// Whether there is such a class, by any of its names; nothing is loaded.
    pub fn knows(&self, class: &str) -> bool {
        let own = |info: &PluginInfo| info.class == class || info.aliases.iter().any(|alias| alias == class);
        self.registered.iter().any(|plugin| own(plugin.info()))
            || find(&self.found(false), class).is_ok()
            || find(&self.found(true), class).is_ok()
    }

    /// Packages that cannot be used.
    pub fn bad(&self) -> Vec<BadPackage> {
        self.found(false).bad.clone()
    }

    /// Loads a class by full name or alias (also without the `Connector` suffix); of several versions the newest. `form`
    /// = `plugin.form` of the connector config; `None` = see the documentation of this crate. Loaded classes are kept.
    pub async fn load(
        &self,
        class: &str,
        form: Option<Form>,
    ) -> Result<Arc<dyn ConnectorPlugin>, LookupError> {
        let own = self.registered.iter().find(|plugin| {
            let info = plugin.info();
            info.class == class || info.aliases.iter().any(|alias| alias == class)
        });
        if let Some(plugin) = own {
            return Ok(Arc::clone(plugin));
        }
        let found = self.found(false);
        let (package, index) = match find(&found, class) {
            Ok(found) => found,
            // Perhaps it was installed a moment ago.
            Err(_) => find(&self.found(true), class)?,
        };
        let info = info(&package, index);
        let form = self.choose_form(&package, &info, form)?;
        let key = (
            package.directory.clone(),
            info.version.clone(),
            info.class.clone(),
            form,
        );
        let cell = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loaded.entry(key).or_default())
        };
        let plugin = cell
            .get_or_try_init(|| self.load_form(package, info, form))
            .await?;
        Ok(Arc::clone(plugin))
    }

    async fn load_form(
        &self,
        package: Arc<FoundPackage>,
        info: PluginInfo,
        form: Form,
    ) -> Result<Arc<dyn ConnectorPlugin>, LookupError> {
        let started = Instant::now();
        let class = info.class.clone();
        let about = |what: String| LookupError(format!("{class} cannot be loaded: {what}"));
        let plugin: Arc<dyn ConnectorPlugin> = match form {
            Form::Native => {
                let host = NativeHost {
                    group: self.group.clone(),
                    watcher: Arc::clone(&self.watcher),
                    limits: Arc::clone(&self.limits),
                    http: Arc::clone(&self.http),
                };
                let cache_dir = &self.config.cache_dir;
                Arc::new(
                    native::load(host, package, info, cache_dir)
                        .await
                        .map_err(about)?,
                )
            }
            Form::Wasm => {
                let host = self.wasm_host().await.map_err(about)?;
                Arc::new(wasm::load(host, package, info).await.map_err(about)?)
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

    fn choose_form(
        &self,
        package: &FoundPackage,
        info: &PluginInfo,
        wanted: Option<Form>,
    ) -> Result<Form, LookupError> {
        let name = &package.manifest.package.name;
        let allowed = self.config.native.allows(name, &package.directory);
        let has = |form: Form| info.forms.contains(&form);
        let fail = |what: String| Err(LookupError(format!("{} cannot be loaded: {what}", info.class)));
        match wanted {
            Some(Form::Native) if has(Form::Native) && !allowed => fail(format!(
                "plugin.form is native, but package {name} may not run native code here: add {name} to \
                 plugin.native.allow if you trust it, or use plugin.form=wasm"
            )),
            Some(form) if has(form) => Ok(form),
            Some(form) => {
                let forms: Vec<_> = info.forms.iter().map(ToString::to_string).collect();
                fail(format!(
                    "plugin.form is {form}, but package {name} in {} has only: {}",
                    package.directory.display(),
                    if forms.is_empty() {
                        "libraries for other machines".to_owned()
                    } else {
                        forms.join(", ")
                    }
                ))
            }
            None if allowed && has(Form::Native) => {
                let wish = package.manifest.package.default_form;
                Ok(wish.filter(|form| has(*form)).unwrap_or(Form::Native))
            }
            None if has(Form::Wasm) => Ok(Form::Wasm),
            None if has(Form::Native) => fail(format!(
                "package {name} has only native code, which may not run here: add {name} to plugin.native.allow if you \
                 trust it"
            )),
            None => fail(format!(
                "package {name} has no library for this machine ({})",
                crate::manifest::HOST_TARGET
            )),
        }
    }

    fn found(&self, now: bool) -> Arc<Found> {
        let mut scanned: MutexGuard<'_, Scanned> = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if now || scanned.at.elapsed() > RESCAN_AFTER {
            *scanned = scan(&self.config);
        }
        Arc::clone(&scanned.found)
    }
}

fn scan(config: &PluginConfig) -> Scanned {
    Scanned {
        found: Arc::new(discover::scan(&config.plugin_path)),
        at: Instant::now(),
    }
}

fn info(package: &FoundPackage, index: usize) -> PluginInfo {
    let connector = &package.manifest.connectors[index];
    let native = package.manifest.native_here().map(|_| Form::Native);
    let wasm = package.manifest.artifact.wasm.as_ref().map(|_| Form::Wasm);
    PluginInfo {
        class: connector.class.clone(),
        aliases: connector.aliases.clone(),
        kind: connector.kind,
        version: package.manifest.package.version.clone(),
        location: package.directory.clone(),
        forms: native.into_iter().chain(wasm).collect(),
    }
}

/// Looks a name up: the full class name first, then aliases.
fn find(found: &Found, name: &str) -> Result<(Arc<FoundPackage>, usize), LookupError> {
    let name = name.trim();
    let all = || {
        let classes = |package: &'_ Arc<FoundPackage>| {
            let package = Arc::clone(package);
            (0..package.manifest.connectors.len()).map(move |index| (Arc::clone(&package), index))
        };
        found.packages.iter().flat_map(classes)
    };
    let class = |at: &(Arc<FoundPackage>, usize)| at.0.manifest.connectors[at.1].class.clone();
    let mut matches: Vec<_> = all().filter(|at| class(at) == name).collect();
    if matches.is_empty() {
        matches = all().filter(|at| has_alias(&at.0, at.1, name)).collect();
    }
    let mut names: Vec<_> = matches.iter().map(class).collect();
    names.sort();
    names.dedup();
    if names.len() > 1 {
        return Err(LookupError(format!(
            "{name} may mean {}: write the full class name",
            names.join(" or ")
        )));
    }
    let newest = matches.into_iter().max_by(|one, other| {
        compare_versions(&one.0.manifest.package.version, &other.0.manifest.package.version)
    });
    newest.ok_or_else(|| {
        let mut names: Vec<_> = all().map(|at| class(&at)).collect();
        names.sort();
        names.dedup();
        let mut message = format!("no plugin has class {name}");
        if names.is_empty() {
            message.push_str("; no plugin was found at all, see plugin.path");
        } else {
            message.push_str(&format!("; there are {}", names.join(", ")));
        }
        if !found.bad.is_empty() {
            message.push_str(&format!(
                "; {} packages cannot be used, see `jackfield plugins`",
                found.bad.len()
            ));
        }
        LookupError(message)
    })
}

fn has_alias(package: &FoundPackage, index: usize, name: &str) -> bool {
    let connector = &package.manifest.connectors[index];
    let names = connector.aliases.iter().chain([&connector.class]);
    names.into_iter().any(|known| {
        let simple = known.rsplit(['.', '$']).next().unwrap_or(known);
        known == name || simple == name || simple.strip_suffix("Connector") == Some(name)
    })
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
