//! What a component instance can reach: its imports, its WASI world, its limits.

use std::{path::PathBuf, sync::Arc};

use jackfield_api::LogLevel;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{
    ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, sockets::WasiSocketsCtxView,
};

use super::{
    clocks,
    directories::Directories,
    network::{Lookups, NamesView, Network},
    output::LogStream,
    ticker::TICK,
};
use crate::{
    limits::{Limits, MAX_HANDLES, MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES},
    manifest::DirectoryAccess,
    reach::Reach,
    services::HostTask,
};

/// Data of one store.
pub(super) struct State {
    task: Option<Arc<HostTask>>,
    wasi: WasiCtx,
    table: ResourceTable,
    stdout: LogStream,
    stderr: LogStream,
    reach: Arc<Reach>,
    pub(super) directories: Directories,
    network: Arc<Network>,
    lookups: Lookups,
    /// A path outside of the granted directories the plugin wanted to watch.
    pub(super) denied: Option<PathBuf>,
    /// The host call that is waited for.
    pub(super) waiting_for: Option<String>,
    limiter: Limiter,
    /// Ticks of computing in this call, and how many there may be.
    ticks: u32,
    max_ticks: u32,
}

/// Memory and tables over the whole store.
struct Limiter {
    memory_bytes: usize,
    max_memory_bytes: usize,
    table_elements: usize,
    /// What was wanted when memory, or table elements, were refused.
    refused_bytes: Option<usize>,
    refused_elements: Option<usize>,
}

impl State {
    /// A store for one task, or for questions when there is no task. Nothing is open to it but what is granted here.
    pub(super) fn store(
        engine: &Engine,
        task: Option<Arc<HostTask>>,
        directories: Directories,
        reach: Arc<Reach>,
        limits: &Limits,
    ) -> Result<Store<Self>, String> {
        let stdout = LogStream::new(LogLevel::Info, task.clone());
        let stderr = LogStream::new(LogLevel::Warn, task.clone());
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout.clone())
            .stderr(stderr.clone())
            .envs(&reach.environment());
        directories.open(&mut wasi)?;
        let network = Network::new(Arc::clone(&reach));
        network.open(&mut wasi);
        if !reach.clock() {
            clocks::stop(&mut wasi);
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
            reach,
            directories,
            network,
            lookups: Lookups::new(),
            denied: None,
            waiting_for: None,
            limiter: Limiter {
                memory_bytes: 0,
                max_memory_bytes: limits.memory_bytes,
                table_elements: 0,
                refused_bytes: None,
                refused_elements: None,
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
        let state = store.data_mut();
        state.ticks = 0;
        state.waiting_for = None;
        state.network.begin_call();
        store.set_epoch_deadline(1);
    }

    /// What it did with the time of a call that took too long.
    pub(super) fn explain_delay(&self) -> String {
        let computed = TICK * self.ticks.min(self.max_ticks);
        match &self.waiting_for {
            Some(call) => format!("; it was waiting for {call}"),
            None => format!("; it computed for {computed:?} of that"),
        }
    }

    /// The network of the component.
    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// After each call: the path the plugin wanted to watch and may not. It cannot tell this from a host that does not watch,
    /// so it is always an error.
    pub(super) fn take_denied(&mut self) -> Option<String> {
        let path = self.denied.take()?;
        let shown = path.display();
        Some(match self.reach.directories() {
            DirectoryAccess::None => format!(
                "{shown} cannot be used: the package does not ask for directories in its plugin.toml; use \
                 plugin.form=native if it has that form"
            ),
            DirectoryAccess::Read | DirectoryAccess::ReadWrite => format!(
                "{shown} is outside of the directories this WASM plugin may use ({}): use plugin.form=native, or add its \
                 directory to plugin.wasm.directories, or {}",
                self.directories.describe(),
                self.reach.directory_remedy(&path)
            ),
        })
    }

    /// What may explain an error of the plugin about a file.
    pub(super) fn file_hint(&self) -> String {
        format!(
            "directories this WASM plugin may use (plugin.wasm.directories, plugin.policy): {}",
            self.directories.describe()
        )
    }

    /// For lookups of names.
    pub(super) fn names(&mut self) -> NamesView<'_> {
        let Self {
            wasi,
            table,
            network,
            lookups,
            ..
        } = self;
        NamesView {
            sockets: WasiSocketsCtxView {
                ctx: wasi.sockets(),
                table,
            },
            network,
            lookups,
        }
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
        if let Some(wanted) = self.limiter.refused_elements {
            explained.push_str(&format!(
                "; it wanted tables of {wanted} elements, the limit is {MAX_TABLE_ELEMENTS}"
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
            self.refused_elements = Some(total);
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
