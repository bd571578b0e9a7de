//! What a component instance can reach: its imports, its WASI world, its limits.

use std::{
    path::{Component as Part, Path, PathBuf},
    sync::Arc,
};

use jackfield_api::LogLevel;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{output::LogStream, ticker::TICK};
use crate::{
    limits::{Limits, MAX_HANDLES, MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES},
    manifest::DirectoryAccess,
    services::HostTask,
};

/// Data of one store.
pub(super) struct State {
    task: Option<Arc<HostTask>>,
    wasi: WasiCtx,
    table: ResourceTable,
    stdout: LogStream,
    stderr: LogStream,
    pub(super) directories: Arc<Directories>,
    pub(super) access: DirectoryAccess,
    /// A path outside of the granted directories the plugin wanted to watch.
    pub(super) denied: Option<PathBuf>,
    limiter: Limiter,
    /// Ticks of computing in this call, and how many there may be.
    ticks: u32,
    max_ticks: u32,
}

/// The granted directories (`plugin.wasm.directories`), absolute.
#[derive(Debug)]
pub(crate) struct Directories {
    granted: Vec<PathBuf>,
    /// The worker's current directory, when it is granted: relative paths mean the same inside as outside.
    pub(super) current: Option<PathBuf>,
}

/// Memory and tables over the whole store.
struct Limiter {
    memory_bytes: usize,
    max_memory_bytes: usize,
    table_elements: usize,
    /// What was wanted when memory was refused.
    refused_bytes: Option<usize>,
}

impl Directories {
    /// Checks that they are there. The error names the config key.
    pub(crate) fn new(configured: &[PathBuf], current: Option<PathBuf>) -> Result<Self, String> {
        let mut granted = Vec::with_capacity(configured.len());
        for directory in configured {
            let wrong = |what: &dyn std::fmt::Display| {
                format!(
                    "plugin.wasm.directories: {}: {what}; create the directory or correct the key",
                    directory.display()
                )
            };
            let metadata = std::fs::metadata(directory).map_err(|cause| wrong(&cause))?;
            if !metadata.is_dir() {
                return Err(wrong(&"not a directory"));
            }
            granted.push(std::path::absolute(directory).map_err(|cause| wrong(&cause))?);
        }
        // Under the name of the granted directory, which may be a link.
        let current = current.and_then(|current| {
            let current = current.canonicalize().ok()?;
            granted.iter().find_map(|directory| {
                let below = current.strip_prefix(directory.canonicalize().ok()?).ok()?;
                Some(if below.as_os_str().is_empty() {
                    directory.clone()
                } else {
                    directory.join(below)
                })
            })
        });
        Ok(Self { granted, current })
    }

    /// The absolute path when it lies in a granted directory.
    pub(super) fn grant(&self, path: &Path) -> Option<PathBuf> {
        if path.components().any(|part| part == Part::ParentDir) {
            return None;
        }
        if path.is_relative() {
            return Some(self.current.as_ref()?.join(path));
        }
        self.granted
            .iter()
            .any(|directory| path.starts_with(directory))
            .then(|| path.to_owned())
    }

    /// For messages.
    fn describe(&self) -> String {
        if self.granted.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self
            .granted
            .iter()
            .map(|directory| directory.display().to_string())
            .collect();
        names.join(", ")
    }
}

impl State {
    /// A store for one task, or for questions when there is no task. Nothing is open to it but what is granted here.
    pub(super) fn store(
        engine: &Engine,
        task: Option<Arc<HostTask>>,
        directories: &Arc<Directories>,
        access: DirectoryAccess,
        limits: &Limits,
    ) -> Result<Store<Self>, String> {
        let stdout = LogStream::new(LogLevel::Info, task.clone());
        let stderr = LogStream::new(LogLevel::Warn, task.clone());
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false);
        let permissions = match access {
            DirectoryAccess::None => None,
            DirectoryAccess::Read => Some(FsPerms::ReadOnly),
            DirectoryAccess::ReadWrite => Some(FsPerms::ReadWrite),
        };
        if let Some(permissions) = permissions {
            for directory in &directories.granted {
                wasi.preopened_dir(directory, directory.display().to_string(), permissions)
                    .map_err(|cause| {
                        format!(
                            "plugin.wasm.directories: {} cannot be opened: {cause:#}",
                            directory.display()
                        )
                    })?;
            }
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let max_ticks = limits.cpu.as_millis().div_ceil(TICK.as_millis());
        let state = Self {
            task,
            wasi: wasi.build(),
            table,
            stdout,
            stderr,
            directories: Arc::clone(directories),
            access,
            denied: None,
            limiter: Limiter {
                memory_bytes: 0,
                max_memory_bytes: limits.memory_bytes,
                table_elements: 0,
                refused_bytes: None,
            },
            ticks: 0,
            max_ticks: u32::try_from(max_ticks).unwrap_or(u32::MAX),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        store.set_max_component_handles(MAX_HANDLES);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            state.ticks += 1;
            Ok(if state.ticks > state.max_ticks {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Yield(1)
            })
        });
        Ok(store)
    }

    /// Before each call.
    pub(super) fn begin_call(store: &mut Store<Self>) {
        store.data_mut().ticks = 0;
        store.set_epoch_deadline(1);
    }

    /// After each call: what the plugin wanted and may not have.
    pub(super) fn take_denied(&mut self) -> Option<String> {
        let path = self.denied.take()?;
        let path = path.display();
        Some(match self.access {
            DirectoryAccess::None => format!(
                "{path} cannot be used: the package does not ask for directories in its plugin.toml; use \
                 plugin.form=native if it has that form"
            ),
            DirectoryAccess::Read | DirectoryAccess::ReadWrite => format!(
                "{path} is outside of the directories WASM plugins may use ({}): add its directory to \
                 plugin.wasm.directories, or use plugin.form=native",
                self.directories.describe()
            ),
        })
    }

    /// What may explain an error of the plugin about a file.
    pub(super) fn file_hint(&self) -> String {
        format!(
            "directories WASM plugins may use (plugin.wasm.directories): {}",
            self.directories.describe()
        )
    }

    /// What the plugin last wrote to stderr, and which limit it ran into.
    pub(super) fn explain_trap(&mut self) -> String {
        let mut explained = String::new();
        if self.ticks > self.max_ticks {
            let allowed = TICK * self.max_ticks;
            explained.push_str(&format!("; it computed for more than {allowed:?} in one call"));
        }
        if let Some(wanted) = self.limiter.refused_bytes {
            const MIB: usize = 1024 * 1024;
            let max = self.limiter.max_memory_bytes / MIB;
            explained.push_str(&format!(
                "; it wanted {} MiB of memory, the limit is {max} MiB",
                wanted.div_ceil(MIB)
            ));
        }
        let (stdout, stderr) = (self.stdout.take_kept(), self.stderr.take_kept());
        let said = if stderr.is_empty() { stdout } else { stderr };
        if !said.is_empty() {
            explained.push_str("; it said: ");
            explained.push_str(&said);
        }
        explained
    }

    pub(super) fn task(&self) -> Option<&Arc<HostTask>> {
        self.task.as_ref()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.max_memory_bytes {
            self.refused_bytes = Some(total);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if total > MAX_TABLE_ELEMENTS {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
