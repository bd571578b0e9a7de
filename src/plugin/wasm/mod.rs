//! WASM plugins: components in wasmtime, one store per task, thrown away on any fault.
//!
//! Calls are async (fibers): a component that waits for a file frees the thread, one that computes yields every 10 ms and is
//! ended after 5 s. It reaches randomness and what its package asks for and the worker's config and policy grant
//! (`reach.rs`), and nothing else: directories, hosts, environment variables, the time; stdout and stderr are log lines.

mod bindings;
mod cache;
mod clocks;
mod component;
mod directories;
mod forget;
mod imports;
mod instance;
mod network;
mod output;
mod state;
mod task;
mod ticker;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

pub use self::bindings::CONTRACT;
pub(crate) use self::directories::Directories;

use async_trait::async_trait;
use jackfield_api::{ConfigDef, ConfigValueIssue, OffsetChange};
use jackfield_tasks::TaskGroup;
use wasmtime::{
    Engine, InstanceAllocationStrategy, OptLevel, Strategy,
    component::{HasSelf, Instance as WasmInstance, Linker},
};

use self::{
    bindings::{Connectors, exports::jackfield::plugin::connector},
    cache::CodeCache,
    component::Compiled,
    instance::Instance,
    state::State,
    task::{WasmSink, WasmSource, WasmTransform},
    ticker::Ticker,
};
use crate::{
    ConnectorPlugin, Form, HostedSink, HostedSource, HostedTransform, Kind, PluginError, PluginInfo,
    TaskServices,
    discover::FoundPackage,
    http::{HttpService, Requests},
    limits::{FIBER_STACK_BYTES, Limits, WASM_STACK_BYTES},
    manifest::Sha256,
    reach::{Grantor, Reach},
    receive::{self, Receiver},
    services::HostTask,
    watch::Watcher,
};

/// The engine and everything components share.
pub(crate) struct WasmHost {
    engine: Engine,
    linker: Linker<State>,
    ticker: Ticker,
    cache: CodeCache,
    limits: Arc<Limits>,
    /// Those of a transform's instances.
    transform_limits: Limits,
    group: TaskGroup,
    watcher: Arc<Watcher>,
    directories: Directories,
    current_directory: Option<PathBuf>,
    grantor: Arc<Grantor>,
    http: Arc<HttpService>,
    /// By digest: one component may have many classes.
    compiled: Mutex<HashMap<Sha256, Cell>>,
}

/// What there is outside of components.
pub(crate) struct World {
    /// Those of `plugin.wasm.directories`.
    pub(crate) directories: Directories,
    pub(crate) current_directory: Option<PathBuf>,
    pub(crate) grantor: Arc<Grantor>,
    pub(crate) http: Arc<HttpService>,
}

type Cell = Arc<tokio::sync::OnceCell<Arc<Compiled>>>;
type Config = BTreeMap<String, String>;

impl std::fmt::Debug for WasmHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WasmHost")
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

impl WasmHost {
    /// Makes the engine.
    pub(crate) fn new(
        world: World,
        cache_dir: PathBuf,
        limits: Arc<Limits>,
        group: &TaskGroup,
        watcher: Arc<Watcher>,
    ) -> Result<Self, String> {
        let failed = |cause: wasmtime::Error| format!("WASM engine cannot start: {cause:#}");
        let engine = Engine::new(&engine_config()).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        network::shadow_lookup(&mut linker).map_err(failed)?;
        Connectors::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(failed)?;
        let ticker = Ticker::start(engine.weak()).map_err(|cause| failed(cause.into()))?;
        Ok(Self {
            engine,
            linker,
            ticker,
            cache: CodeCache::new(cache_dir),
            transform_limits: limits.of_transforms(),
            limits,
            group: group.clone(),
            watcher,
            directories: world.directories,
            current_directory: world.current_directory,
            grantor: world.grantor,
            http: world.http,
            compiled: Mutex::default(),
        })
    }
}

fn engine_config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        // Plain functions only; a call costs a third of one with component-model async.
        .concurrency_support(false)
        .epoch_interruption(true)
        .consume_fuel(false)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        // Less than 4 GiB of address space would mean explicit bounds checks; memory is limited by the store.
        .memory_reservation(4 << 30)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES);
    config
}

/// A loaded WASM class.
#[derive(Debug)]
pub(crate) struct WasmConnector {
    info: PluginInfo,
    config_def: ConfigDef,
    compiled: Arc<Compiled>,
    package: Arc<FoundPackage>,
    host: Arc<WasmHost>,
}

/// Loads a class of a package's component; compiles it when it is not in the cache.
pub(crate) async fn load(
    host: Arc<WasmHost>,
    package: Arc<FoundPackage>,
    info: PluginInfo,
) -> Result<WasmConnector, String> {
    let artifact = package.manifest.artifact.wasm.clone().ok_or("no component")?;
    let cell = {
        let mut compiled = host.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(compiled.entry(artifact.sha256).or_default())
    };
    let compile = || async {
        let (host, package, artifact) = (Arc::clone(&host), Arc::clone(&package), artifact.clone());
        let group = host.group.clone();
        let mut compiling =
            group.spawn_blocking("compile", move || component::compile(&host, &package, &artifact));
        compiling.join().await.map_err(|error| error.to_string())?
    };
    let compiled = Arc::clone(cell.get_or_try_init(compile).await?);
    let mut connector = WasmConnector {
        info,
        config_def: ConfigDef::default(),
        compiled,
        package,
        host,
    };
    let config_def = connector.describe().await.map_err(|error| error.message);
    let file = artifact.file.display();
    connector.config_def = config_def.map_err(|what| format!("{file}: {what}"))?;
    Ok(connector)
}

impl WasmConnector {
    /// Checks the class against the manifest and reads its config definition, in an instance that may do nothing.
    async fn describe(&self) -> Result<ConfigDef, PluginError> {
        let deadline = self.host.limits.describe;
        let (mut instance, guest) = self.questions(Grantor::nothing(&self.package)).await?;
        let known = Arc::clone(&guest);
        let call = instance.call(&self.host, "classes", deadline, |store| {
            Box::pin(async move { known.call_classes(store).await.map(Ok) })
        });
        let classes = call.await?;
        let class = &self.info.class;
        let Some(found) = classes.iter().find(|found| found.class == *class) else {
            let names: Vec<_> = classes.iter().map(|found| found.class.as_str()).collect();
            return Err(PluginError::fatal(format!(
                "it has no class {class}, only {}",
                names.join(", ")
            )));
        };
        let kind = match found.kind {
            connector::Kind::Source => Kind::Source,
            connector::Kind::Sink => Kind::Sink,
            connector::Kind::Transform => Kind::Transform,
        };
        crate::plugins::check_class(&self.info, kind, &found.version).map_err(PluginError::fatal)?;
        let exported = match kind {
            Kind::Source => self.compiled.source.is_some(),
            Kind::Sink => self.compiled.sink.is_some(),
            Kind::Transform => self.compiled.transform.is_some(),
        };
        if !exported {
            return Err(PluginError::fatal(format!(
                "{class} is a {kind}, but it does not export its functions"
            )));
        }
        let class = class.clone();
        let call = instance.call(&self.host, "config-def", deadline, |store| {
            Box::pin(async move { guest.call_config_def(store, &class).await })
        });
        serde_json::from_str(&call.await?)
            .map_err(|cause| PluginError::fatal(format!("its config definition cannot be read: {cause}")))
    }

    /// A short-lived instance for questions about the class.
    async fn questions(&self, reach: Reach) -> Result<(Instance, Arc<connector::Guest>), PluginError> {
        let (mut instance, inner) = self
            .instantiate(None, Arc::new(reach), self.host.limits.describe)
            .await?;
        let guest = self
            .compiled
            .connector
            .load(instance.store(), &inner)
            .map_err(missing)?;
        Ok((instance, Arc::new(guest)))
    }

    /// What it may reach with this config.
    fn reach(&self, config: &Config) -> Reach {
        let default = |name: &str| {
            let mut keys = self.config_def.keys.iter();
            keys.find(|key| key.name == name)?.default.clone()
        };
        let value = |name: &str| config.get(name).cloned().or_else(|| default(name));
        self.host.grantor.reach(&self.package, &value)
    }

    /// As [`Self::reach`], when it may start at all.
    fn reach_to_start(&self, config: &Config) -> Result<Reach, PluginError> {
        let reach = self.reach(config);
        reach.check_start()?;
        Ok(reach)
    }

    /// A task of its own, with what it may reach.
    fn task(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<(Arc<HostTask>, Arc<Reach>), PluginError> {
        let reach = Arc::new(self.reach_to_start(config)?);
        let wake = Arc::clone(&services.wake);
        let requests = Requests::new(Arc::clone(&self.host.http), Arc::clone(&reach), wake);
        let task = HostTask::new(services, Arc::clone(&self.host.watcher), requests);
        Ok((task, reach))
    }

    async fn instantiate(
        &self,
        task: Option<Arc<HostTask>>,
        reach: Arc<Reach>,
        deadline: std::time::Duration,
    ) -> Result<(Instance, WasmInstance), PluginError> {
        let host = &self.host;
        let limits = match self.info.kind {
            Kind::Transform => &host.transform_limits,
            Kind::Source | Kind::Sink => &*host.limits,
        };
        let directories = host.directories.of(&reach, host.current_directory.as_deref());
        let store = directories
            .and_then(|directories| State::store(&host.engine, task, directories, reach, limits))
            .map_err(PluginError::config)?;
        Instance::new(host, &self.compiled, store, deadline).await
    }

    fn wrong_kind(&self) -> PluginError {
        PluginError::fatal(format!("{} is a {}", self.info.class, self.info.kind))
    }
}

fn missing(cause: wasmtime::Error) -> PluginError {
    PluginError::fatal(format!(
        "the component lacks a function of the contract: {cause:#}"
    ))
}

fn pairs(config: &Config) -> Vec<(String, String)> {
    config
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[async_trait]
impl ConnectorPlugin for WasmConnector {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn form(&self) -> Form {
        Form::Wasm
    }

    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn validate(&self, config: &Config) -> Result<Vec<ConfigValueIssue>, PluginError> {
        let (mut instance, guest) = self.questions(self.reach(config)).await?;
        let (class, config) = (self.info.class.clone(), pairs(config));
        let call = instance.call(&self.host, "validate", self.host.limits.start, |store| {
            Box::pin(async move { guest.call_validate(store, &class, &config).await })
        });
        let issues = call.await?.into_iter();
        Ok(issues
            .map(|issue| ConfigValueIssue {
                name: issue.name,
                message: issue.message,
            })
            .collect())
    }

    async fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>, PluginError> {
        let (mut instance, guest) = self.questions(self.reach_to_start(config)?).await?;
        let (class, config) = (self.info.class.clone(), pairs(config));
        let call = instance.call(&self.host, "taskConfigs", self.host.limits.start, |store| {
            Box::pin(async move { guest.call_task_configs(store, &class, &config, max_tasks).await })
        });
        let configs = call
            .await?
            .into_iter()
            .map(|config| config.into_iter().collect())
            .collect();
        receive::task_configs(configs, max_tasks)
    }

    async fn alter_offsets(&self, config: &Config, offsets: &[OffsetChange]) -> Result<bool, PluginError> {
        let (mut instance, guest) = self.questions(self.reach_to_start(config)?).await?;
        let (class, config) = (self.info.class.clone(), pairs(config));
        let change = |change: &OffsetChange| connector::OffsetChange {
            partition: change.partition.clone(),
            offset: change.offset.clone(),
        };
        let offsets: Vec<_> = offsets.iter().map(change).collect();
        let call = instance.call(&self.host, "alterOffsets", self.host.limits.start, |store| {
            Box::pin(async move { guest.call_alter_offsets(store, &class, &config, &offsets).await })
        });
        call.await
    }

    async fn start_source(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSource>, PluginError> {
        let source = self
            .compiled
            .source
            .as_ref()
            .filter(|_| self.info.kind == Kind::Source);
        let source = source.ok_or_else(|| self.wrong_kind())?;
        let (task, reach) = self.task(config, services)?;
        let deadline = self.host.limits.start;
        let (mut instance, inner) = self.instantiate(Some(task), reach, deadline).await?;
        let guest = Arc::new(source.load(instance.store(), &inner).map_err(missing)?);
        let (starting, class, config) = (Arc::clone(&guest), self.info.class.clone(), pairs(config));
        let call = instance.call(&self.host, "start", deadline, |store| {
            Box::pin(async move { starting.call_start(store, &class, &config).await })
        });
        call.await?;
        let host = Arc::clone(&self.host);
        Ok(Box::new(WasmSource {
            host,
            instance,
            guest,
            receiver: Receiver::default(),
        }))
    }

    async fn start_sink(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSink>, PluginError> {
        let sink = self
            .compiled
            .sink
            .as_ref()
            .filter(|_| self.info.kind == Kind::Sink);
        let sink = sink.ok_or_else(|| self.wrong_kind())?;
        let (task, reach) = self.task(config, services)?;
        let deadline = self.host.limits.start;
        let (mut instance, inner) = self.instantiate(Some(task), reach, deadline).await?;
        let guest = Arc::new(sink.load(instance.store(), &inner).map_err(missing)?);
        let (starting, class, config) = (Arc::clone(&guest), self.info.class.clone(), pairs(config));
        let call = instance.call(&self.host, "start", deadline, |store| {
            Box::pin(async move { starting.call_start(store, &class, &config).await })
        });
        call.await?;
        Ok(Box::new(WasmSink {
            host: Arc::clone(&self.host),
            instance,
            guest,
        }))
    }

    async fn start_transform(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<Box<dyn HostedTransform>, PluginError> {
        let transform = self
            .compiled
            .transform
            .as_ref()
            .filter(|_| self.info.kind == Kind::Transform);
        let transform = transform.ok_or_else(|| self.wrong_kind())?;
        let (task, reach) = self.task(config, services)?;
        let deadline = self.host.limits.start;
        let (mut instance, inner) = self.instantiate(Some(task), reach, deadline).await?;
        let guest = Arc::new(transform.load(instance.store(), &inner).map_err(missing)?);
        let (starting, class, config) = (Arc::clone(&guest), self.info.class.clone(), pairs(config));
        let call = instance.call(&self.host, "start", deadline, |store| {
            Box::pin(async move { starting.call_start(store, &class, &config).await })
        });
        call.await?;
        Ok(Box::new(WasmTransform {
            host: Arc::clone(&self.host),
            instance,
            guest,
            receiver: Receiver::default(),
        }))
    }
}
