//! Native plugins: trusted libraries behind the C ABI of `jackfield_api::abi`.
//!
//! Everything unsafe of the host is in this folder, except for reading compiled WASM code back from the cache.
#![allow(
    unsafe_code,
    reason = "the C boundary: libraries are loaded and called here and nowhere else"
)]

mod boundary;
mod calls;
mod descriptor;
pub(crate) mod fuzzing;
mod host;
mod library;
mod task;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use jackfield_api::{ConfigDef, ConfigValueIssue, OffsetChange, abi};
use jackfield_tasks::TaskGroup;

use self::{
    boundary::{call, call_for_bytes, call_for_json, key_values},
    calls::call_once,
    descriptor::{NativeClass, TaskTable},
    task::{Handle, NativeSink, NativeSource, NativeTransform, SinkState, SourceState, TransformState},
};
use crate::{
    ConnectorPlugin, Form, HostedSink, HostedSource, HostedTransform, PluginError, PluginInfo, TaskServices,
    discover::FoundPackage,
    http::{HttpService, Requests},
    limits::Limits,
    reach::Reach,
    receive::Receiver,
    services::HostTask,
    watch::Watcher,
};

/// A loaded native class.
#[derive(Debug)]
pub(crate) struct NativeConnector {
    info: PluginInfo,
    class: NativeClass,
    config_def: ConfigDef,
    host: NativeHost,
}

/// What native classes share.
#[derive(Debug, Clone)]
pub(crate) struct NativeHost {
    pub(crate) group: TaskGroup,
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) http: Arc<HttpService>,
}

type Config = BTreeMap<String, String>;

impl NativeHost {
    /// A task, which may reach everything: it could without the host, too.
    fn task(&self, services: TaskServices) -> Arc<HostTask> {
        let (http, wake) = (Arc::clone(&self.http), Arc::clone(&services.wake));
        let requests = Requests::new(http, Arc::new(Reach::Everything), wake);
        HostTask::new(services, Arc::clone(&self.watcher), requests)
    }
}

/// Loads a class of a package's library.
pub(crate) async fn load(
    host: NativeHost,
    package: Arc<FoundPackage>,
    info: PluginInfo,
    cache_dir: &Path,
) -> Result<NativeConnector, String> {
    let cache_dir = cache_dir.to_owned();
    let (class, config_def) = {
        let info = info.clone();
        let work = move || load_blocking(&package, &info, &cache_dir).map_err(PluginError::fatal);
        // Reading and linking a library takes its time on a slow disk: the deadline of `start`.
        call_once(&host.group, "load", host.limits.start, work)
            .await
            .map_err(|error| error.message)?
    };
    Ok(NativeConnector {
        info,
        class,
        config_def,
        host,
    })
}

fn load_blocking(
    package: &FoundPackage,
    info: &PluginInfo,
    cache_dir: &Path,
) -> Result<(NativeClass, ConfigDef), String> {
    let artifact = package
        .manifest
        .native_here()
        .ok_or("no library for this machine")?;
    let classes = library::load(package, artifact, cache_dir)?;
    let file = artifact.file.display();
    let Some((version, class)) = classes.get(&info.class) else {
        let mut names: Vec<_> = classes.keys().map(String::as_str).collect();
        names.sort_unstable();
        return Err(format!(
            "{file} has no class {}, only {}",
            info.class,
            names.join(", ")
        ));
    };
    crate::plugins::check_class(info, class.kind(), version).map_err(|what| format!("{file}: {what}"))?;
    let (class, table) = (*class, class.connector);
    // SAFETY: the descriptor is the plugin's own, the places are valid during the call.
    let json = call_for_bytes(|out, error| unsafe { (table.config_def)(class.descriptor, out, error) })
        .map_err(|error| format!("{file}: config definition of {}: {error}", info.class))?;
    let config_def = serde_json::from_slice(json.as_ref()).map_err(|cause| {
        format!(
            "{file}: config definition of {} cannot be read: {cause}",
            info.class
        )
    })?;
    Ok((class, config_def))
}

fn validate(class: &NativeClass, config: &Config) -> Result<Vec<ConfigValueIssue>, PluginError> {
    let config = key_values(config);
    call_for_json("validate", |out, error| {
        // SAFETY: the descriptor is the plugin's own, config and places are valid during the call.
        unsafe { (class.connector.validate)(class.descriptor, config.as_ptr(), config.len(), out, error) }
    })
}

fn task_configs(class: &NativeClass, config: &Config, max_tasks: u32) -> Result<Vec<Config>, PluginError> {
    let config = key_values(config);
    let (first, count) = (config.as_ptr(), config.len());
    call_for_json("taskConfigs", |out, error| {
        // SAFETY: the descriptor is the plugin's own, config and places are valid during the call.
        unsafe { (class.connector.task_configs)(class.descriptor, first, count, max_tasks, out, error) }
    })
}

fn alter_offsets(
    class: &NativeClass,
    config: &Config,
    offsets: &[OffsetChange],
) -> Result<bool, PluginError> {
    let config = key_values(config);
    let offsets = serde_json::to_string(offsets).map_err(|cause| PluginError::fatal(cause.to_string()))?;
    let offsets = abi::Slice::of(&offsets);
    let (first, count) = (config.as_ptr(), config.len());
    call_for_json("alterOffsets", |out, error| {
        // SAFETY: the descriptor is the plugin's own; config, offsets and places are valid during the call.
        unsafe {
            (class.connector.alter_offsets)(class.descriptor, first, count, &raw const offsets, out, error)
        }
    })
}

/// Starts a task: `function` is `start` of the task's table.
fn start(
    class: NativeClass,
    config: &Config,
    host: Arc<HostTask>,
    function: StartFn,
    stop: unsafe extern "C" fn(*mut std::ffi::c_void),
) -> Result<Handle, PluginError> {
    let config = key_values(config);
    #[allow(clippy::cast_possible_truncation, reason = "a few dozen bytes")]
    let context = abi::TaskContext {
        struct_size: size_of::<abi::TaskContext>() as u32,
        task_id: host.task(),
        connector: abi::Slice::of(host.connector()),
        host: host::handle(&host),
    };
    let mut task = std::ptr::null_mut();
    // SAFETY: the descriptor is the plugin's own; config, context and places are valid during the call, the host handle
    // is kept alive by the task's `Handle`.
    call(|error| unsafe {
        function(
            class.descriptor,
            config.as_ptr(),
            config.len(),
            &raw const context,
            &raw mut task,
            error,
        )
    })?;
    if task.is_null() {
        return Err(PluginError::fatal("plugin started a task without a handle"));
    }
    // SAFETY: just stored by `start` of the same table.
    Ok(unsafe { Handle::new(task, stop, host) })
}

type StartFn = unsafe extern "C" fn(
    *const abi::ClassDesc,
    *const abi::KeyValue,
    usize,
    *const abi::TaskContext,
    *mut *mut std::ffi::c_void,
    *mut abi::Error,
) -> i32;

impl NativeConnector {
    fn wrong_kind(&self) -> PluginError {
        PluginError::fatal(format!("{} is a {}", self.info.class, self.info.kind))
    }
}

#[async_trait]
impl ConnectorPlugin for NativeConnector {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn form(&self) -> Form {
        Form::Native
    }

    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn validate(&self, config: &Config) -> Result<Vec<ConfigValueIssue>, PluginError> {
        let (class, config) = (self.class, config.clone());
        call_once(&self.host.group, "validate", self.host.limits.start, move || {
            validate(&class, &config)
        })
        .await
    }

    async fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>, PluginError> {
        let (class, config) = (self.class, config.clone());
        let work = move || task_configs(&class, &config, max_tasks);
        let configs = call_once(&self.host.group, "taskConfigs", self.host.limits.start, work).await?;
        crate::receive::task_configs(configs, max_tasks)
    }

    async fn alter_offsets(&self, config: &Config, offsets: &[OffsetChange]) -> Result<bool, PluginError> {
        let (class, config, offsets) = (self.class, config.clone(), offsets.to_vec());
        let work = move || alter_offsets(&class, &config, &offsets);
        call_once(&self.host.group, "alterOffsets", self.host.limits.start, work).await
    }

    async fn start_source(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSource>, PluginError> {
        let TaskTable::Source(table) = self.class.tasks else {
            return Err(self.wrong_kind());
        };
        let task = self.host.task(services);
        let (class, config) = (self.class, config.clone());
        let state = call_once(&self.host.group, "start", self.host.limits.start, move || {
            let handle = start(class, &config, task, table.start, table.stop)?;
            Ok(SourceState {
                handle,
                table,
                receiver: Receiver::default(),
            })
        })
        .await?;
        Ok(Box::new(NativeSource::new(
            state,
            self.host.group.clone(),
            Arc::clone(&self.host.limits),
        )))
    }

    async fn start_sink(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSink>, PluginError> {
        let TaskTable::Sink(table) = self.class.tasks else {
            return Err(self.wrong_kind());
        };
        let task = self.host.task(services);
        let (class, config) = (self.class, config.clone());
        let state = call_once(&self.host.group, "start", self.host.limits.start, move || {
            let handle = start(class, &config, task, table.start, table.stop)?;
            Ok(SinkState { handle, table })
        })
        .await?;
        Ok(Box::new(NativeSink::new(
            state,
            self.host.group.clone(),
            Arc::clone(&self.host.limits),
        )))
    }

    async fn start_transform(
        &self,
        config: &Config,
        services: TaskServices,
    ) -> Result<Box<dyn HostedTransform>, PluginError> {
        let TaskTable::Transform(table) = self.class.tasks else {
            return Err(self.wrong_kind());
        };
        let task = self.host.task(services);
        let (class, config) = (self.class, config.clone());
        let state = call_once(&self.host.group, "start", self.host.limits.start, move || {
            let handle = start(class, &config, task, table.start, table.stop)?;
            Ok(TransformState {
                handle,
                table,
                receiver: Receiver::default(),
            })
        })
        .await?;
        Ok(Box::new(NativeTransform::new(
            state,
            self.host.group.clone(),
            Arc::clone(&self.host.limits),
        )))
    }
}
