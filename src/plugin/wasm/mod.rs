//! WASM plugins: components in wasmtime, one store per task, thrown away on any fault.
//!
//! Calls are async (fibers): a component that waits for a file frees the thread, one that computes yields every 10 ms and is
//! ended after 5 s. It reaches the directories the worker's config grants, a clock and randomness, and nothing else:
//! no network, no environment, no other files; stdout and stderr are log lines.

mod bindings;
mod cache;
mod component;
mod forget;
mod instance;
mod output;
mod state;
mod task;
mod ticker;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use self::{bindings::CONTRACT, state::Directories};

use async_trait::async_trait;
use jackfield_api::{ConfigDef, ConfigValueIssue, ConnectError, OffsetChange};
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
    task::{WasmSink, WasmSource},
    ticker::Ticker,
};
use crate::{
    ConnectorPlugin, Form, HostedSink, HostedSource, Kind, PluginInfo, TaskServices,
    discover::FoundPackage,
    limits::{FIBER_STACK_BYTES, Limits, WASM_STACK_BYTES},
    manifest::{DirectoryAccess, Sha256},
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
    group: TaskGroup,
    watcher: Arc<Watcher>,
    directories: Arc<Directories>,
    /// By digest: one component may have many classes.
    compiled: Mutex<HashMap<Sha256, Cell>>,
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
        directories: Directories,
        cache_dir: PathBuf,
        limits: Arc<Limits>,
        group: &TaskGroup,
        watcher: Arc<Watcher>,
    ) -> Result<Self, String> {
        let failed = |cause: wasmtime::Error| format!("WASM engine cannot start: {cause:#}");
        let engine = Engine::new(&engine_config()).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        Connectors::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(failed)?;
        let ticker = Ticker::start(engine.weak()).map_err(|cause| failed(cause.into()))?;
        Ok(Self {
            engine,
            linker,
            ticker,
            cache: CodeCache::new(cache_dir),
            limits,
            group: group.clone(),
            watcher,
            directories: Arc::new(directories),
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
    /// What the package asks for.
    access: DirectoryAccess,
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
    let access = package.manifest.capabilities.directories;
    let mut connector = WasmConnector {
        info,
        config_def: ConfigDef::default(),
        compiled,
        access,
        host,
    };
    let config_def = connector.describe().await.map_err(|error| error.message);
    let file = artifact.file.display();
    connector.config_def = config_def.map_err(|what| format!("{file}: {what}"))?;
    Ok(connector)
}

impl WasmConnector {
    /// Checks the class against the manifest and reads its config definition, in an instance that may do nothing.
    async fn describe(&self) -> Result<ConfigDef, ConnectError> {
        let deadline = self.host.limits.describe;
        let (mut instance, guest) = self.questions(DirectoryAccess::None).await?;
        let known = Arc::clone(&guest);
        let call = instance.call(&self.host, "classes", deadline, |store| {
            Box::pin(async move { known.call_classes(store).await.map(Ok) })
        });
        let classes = call.await?;
        let class = &self.info.class;
        let Some(found) = classes.iter().find(|found| found.class == *class) else {
            let names: Vec<_> = classes.iter().map(|found| found.class.as_str()).collect();
            return Err(ConnectError::fatal(format!(
                "it has no class {class}, only {}",
                names.join(", ")
            )));
        };
        let kind = match found.kind {
            connector::Kind::Source => Kind::Source,
            connector::Kind::Sink => Kind::Sink,
        };
        crate::plugins::check_class(&self.info, kind, &found.version).map_err(ConnectError::fatal)?;
        let exported = match kind {
            Kind::Source => self.compiled.source.is_some(),
            Kind::Sink => self.compiled.sink.is_some(),
        };
        if !exported {
            return Err(ConnectError::fatal(format!(
                "{class} is a {kind}, but it does not export {kind}-task"
            )));
        }
        let class = class.clone();
        let call = instance.call(&self.host, "config-def", deadline, |store| {
            Box::pin(async move { guest.call_config_def(store, &class).await })
        });
        serde_json::from_str(&call.await?)
            .map_err(|cause| ConnectError::fatal(format!("its config definition cannot be read: {cause}")))
    }

    /// A short-lived instance for questions about the class.
    async fn questions(
        &self,
        access: DirectoryAccess,
    ) -> Result<(Instance, Arc<connector::Guest>), ConnectError> {
        let (mut instance, inner) = self.instantiate(None, access, self.host.limits.describe).await?;
        let guest = self
            .compiled
            .connector
            .load(instance.store(), &inner)
            .map_err(missing)?;
        Ok((instance, Arc::new(guest)))
    }

    async fn instantiate(
        &self,
        task: Option<Arc<HostTask>>,
        access: DirectoryAccess,
        deadline: std::time::Duration,
    ) -> Result<(Instance, WasmInstance), ConnectError> {
        let host = &self.host;
        let store = State::store(&host.engine, task, &host.directories, access, &host.limits)
            .map_err(ConnectError::config)?;
        Instance::new(host, &self.compiled, store, deadline).await
    }

    fn wrong_kind(&self) -> ConnectError {
        ConnectError::fatal(format!("{} is a {}", self.info.class, self.info.kind))
    }
}

fn missing(cause: wasmtime::Error) -> ConnectError {
    ConnectError::fatal(format!(
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

    async fn validate(&self, config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        let (mut instance, guest) = self.questions(self.access).await?;
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

    async fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>, ConnectError> {
        let (mut instance, guest) = self.questions(self.access).await?;
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

    async fn alter_offsets(&self, config: &Config, offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        let (mut instance, guest) = self.questions(self.access).await?;
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
    ) -> Result<Box<dyn HostedSource>, ConnectError> {
        let source = self
            .compiled
            .source
            .as_ref()
            .filter(|_| self.info.kind == Kind::Source);
        let source = source.ok_or_else(|| self.wrong_kind())?;
        let task = HostTask::new(services, Arc::clone(&self.host.watcher));
        let deadline = self.host.limits.start;
        let (mut instance, inner) = self.instantiate(Some(task), self.access, deadline).await?;
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
    ) -> Result<Box<dyn HostedSink>, ConnectError> {
        let sink = self
            .compiled
            .sink
            .as_ref()
            .filter(|_| self.info.kind == Kind::Sink);
        let sink = sink.ok_or_else(|| self.wrong_kind())?;
        let task = HostTask::new(services, Arc::clone(&self.host.watcher));
        let deadline = self.host.limits.start;
        let (mut instance, inner) = self.instantiate(Some(task), self.access, deadline).await?;
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
}
