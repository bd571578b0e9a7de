//! The host of the component of typed lists: the engine is set as the plugin host's, and wasmtime makes a list of records of
//! what comes and of what goes.

use std::path::Path;

use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker},
};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    wasmtime::component::bindgen!({
        path: "benches/boundary/typed.wit",
        world: "typed-list",
        exports: { default: async },
    });
}

pub(crate) use bindings::exports::bench::typed::entries::Entry;

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// An instance.
pub(crate) struct Lists {
    store: Store<State>,
    instance: bindings::TypedList,
}

impl Lists {
    pub(crate) async fn start(component: &Path) -> Self {
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .epoch_interruption(true)
            .memory_reservation(4 << 30);
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_file(&engine, component).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let state = State {
            wasi: WasiCtxBuilder::new().build(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&engine, state);
        store.set_epoch_deadline(u64::MAX / 2);
        store.set_hostcall_fuel(256 << 20);
        let instance = bindings::TypedList::instantiate_async(&mut store, &component, &linker)
            .await
            .unwrap();
        Self { store, instance }
    }

    pub(crate) async fn poll(&mut self, shape: &str, count: u32) -> Vec<Entry> {
        let entries = self.instance.bench_typed_entries();
        entries.call_poll(&mut self.store, shape, count).await.unwrap()
    }

    pub(crate) async fn put(&mut self, batch: &[Entry]) -> u64 {
        let entries = self.instance.bench_typed_entries();
        entries.call_put(&mut self.store, batch).await.unwrap()
    }
}
