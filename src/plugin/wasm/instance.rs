//! One instance of a component in a store of its own, and calls into it. After a trap, a deadline or a limit the store is
//! thrown away and every further call repeats the error.

use std::{future::Future, pin::Pin, time::Duration};

use jackfield_api::ErrorKind;
use wasmtime::{Store, component::Instance as WasmInstance};

use crate::PluginError;

use super::{WasmHost, bindings::jackfield::plugin::types, component::Compiled, state::State};

/// A call into the component.
pub(super) type Call<'a, T> =
    Pin<Box<dyn Future<Output = wasmtime::Result<Result<T, types::Error>>> + Send + 'a>>;

/// An instance with its store.
pub(super) struct Instance {
    /// Away during a call, so that a call that is dropped takes its store with it.
    store: Option<Store<State>>,
    failed: Option<PluginError>,
}

impl Instance {
    /// Makes an instance in this store; runs the component's initializers.
    pub(super) async fn new(
        host: &WasmHost,
        compiled: &Compiled,
        mut store: Store<State>,
        deadline: Duration,
    ) -> Result<(Self, WasmInstance), PluginError> {
        let _ticking = host.ticker.call();
        State::begin_call(&mut store);
        let made = tokio::time::timeout(deadline, compiled.instance.instantiate_async(&mut store)).await;
        let made = match made {
            Ok(made) => made.map_err(|cause| trapped("instantiation", &cause, &mut store)),
            Err(_) => Err(overdue("instantiation", deadline, store.data())),
        };
        Ok((
            Self {
                store: Some(store),
                failed: None,
            },
            made?,
        ))
    }

    /// For looking functions up.
    pub(super) fn store(&mut self) -> &mut Store<State> {
        self.store.as_mut().expect("a fresh instance has its store")
    }

    /// Makes a call within its deadline.
    pub(super) async fn call<T>(
        &mut self,
        host: &WasmHost,
        name: &'static str,
        deadline: Duration,
        call: impl for<'a> FnOnce(&'a mut Store<State>) -> Call<'a, T> + Send,
    ) -> Result<T, PluginError> {
        let Some(mut store) = self.store.take() else {
            let dropped =
                || PluginError::fatal("the task is gone: a call to its WASM plugin was not awaited");
            return Err(self.failed.clone().unwrap_or_else(dropped));
        };
        let result = {
            let _ticking = host.ticker.call();
            State::begin_call(&mut store);
            tokio::time::timeout(deadline, call(&mut store)).await
        };
        let result = match result {
            Ok(Ok(Ok(result))) => match store.data_mut().take_denied() {
                None => Ok(result),
                Some(denied) => Err((PluginError::config(denied), true)),
            },
            Ok(Ok(Err(error))) => {
                let error = connect_error(error, store.data());
                let discard = error.kind == ErrorKind::Fatal;
                Err(refused(error, discard, &mut store))
            }
            Ok(Err(cause)) => {
                let error = trapped(name, &cause, &mut store);
                Err((refused(error, true, &mut store).0, true))
            }
            Err(_) => Err((overdue(name, deadline, store.data()), true)),
        };
        match result {
            Ok(result) => {
                self.store = Some(store);
                Ok(result)
            }
            Err((error, false)) => {
                self.store = Some(store);
                Err(error)
            }
            Err((error, true)) => {
                if let Some(task) = store.data().task() {
                    task.unwatch();
                }
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Makes the plugin's answer an error for good.
    pub(super) fn fail(&mut self, error: PluginError) -> PluginError {
        self.store = None;
        self.failed = Some(error.clone());
        error
    }

    /// Whether `stop` can be called.
    pub(super) fn is_live(&self) -> bool {
        self.store.is_some()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(task) = self.store.as_ref().and_then(|store| store.data().task()) {
            task.unwatch();
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("live", &self.is_live())
            .field("failed", &self.failed)
            .finish()
    }
}

fn connect_error(error: types::Error, state: &State) -> PluginError {
    let types::Error { kind, mut message } = error;
    // WASI's numbers for: not found, not permitted, no such capability.
    if ["(os error 44)", "(os error 63)", "(os error 76)", "(os error 2)"]
        .iter()
        .any(|code| message.contains(code))
    {
        message = format!("{message}; {}", state.file_hint());
    }
    let kind = match kind {
        types::ErrorKind::Retriable => ErrorKind::Retriable,
        types::ErrorKind::Data => ErrorKind::Data,
        types::ErrorKind::Config => ErrorKind::Config,
        types::ErrorKind::Fatal => ErrorKind::Fatal,
    };
    PluginError {
        kind,
        message,
        is_fault: false,
    }
}

/// An error, and whether it ends the instance, with the refusal behind it: what the plugin made of that says less. A refusal
/// that the plugin dealt with is no error; when something else fails in the same call it is mentioned.
fn refused(error: PluginError, discard: bool, store: &mut Store<State>) -> (PluginError, bool) {
    let state = store.data_mut();
    let behind = state
        .take_denied()
        .or_else(|| state.network().refusal_behind(&error.message));
    if let Some(refusal) = behind {
        return (PluginError::config(format!("{refusal}; {}", error.message)), true);
    }
    match state.network().refused_now() {
        None => (error, discard),
        Some(refusal) => {
            let message = format!("{}; in the same call: {refusal}", error.message);
            (PluginError { message, ..error }, discard)
        }
    }
}

fn trapped(name: &str, cause: &wasmtime::Error, store: &mut Store<State>) -> PluginError {
    let explained = store.data_mut().explain_trap();
    // The root cause is the trap; what lies above it is a backtrace.
    PluginError::fault(format!(
        "{name} of the WASM plugin trapped: {}{explained}",
        cause.root_cause()
    ))
}

fn overdue(name: &str, deadline: Duration, state: &State) -> PluginError {
    PluginError::fault(format!(
        "{name} of the WASM plugin did not return within {} s: the task is discarded{}",
        deadline.as_secs_f32(),
        state.explain_delay()
    ))
}
