//! Advances the engine's epoch every 10 ms while WASM code runs, so that calls yield and can be ended. When none has run
//! for a while the thread sleeps until the next call.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use wasmtime::EngineWeak;

/// Time between two epochs.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Ticks without a call after which the thread sleeps.
const IDLE_TICKS: u32 = 100;

/// The ticking thread; ends with this.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Calls begun and calls ended.
    begun: AtomicU64,
    ended: AtomicU64,
    asleep: AtomicBool,
    /// Set to end the thread; its lock goes with `wake`.
    stop: Mutex<bool>,
    wake: Condvar,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Ticking<'a>(&'a Shared);

impl Ticker {
    pub(super) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("wasm-epoch".to_owned())
            .spawn(move || thread.run(&engine))?;
        Ok(Self { shared })
    }

    /// Time counts as long as the answer lives.
    pub(super) fn call(&self) -> Ticking<'_> {
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            // Under the lock, so that the thread is either before its last look or waiting.
            drop(self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner));
            self.shared.wake.notify_one();
        }
        Ticking(&self.shared)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn run(&self, engine: &EngineWeak) {
        let (mut seen, mut idle) = (0, 0);
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            if idle < IDLE_TICKS {
                stop = self
                    .wake
                    .wait_timeout(stop, TICK)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            } else {
                self.asleep.store(true, Ordering::SeqCst);
                // A call that began before it could see `asleep` is seen here.
                let quiet = |stop: &mut bool| !*stop && self.begun.load(Ordering::SeqCst) == seen;
                stop = self
                    .wake
                    .wait_while(stop, quiet)
                    .unwrap_or_else(PoisonError::into_inner);
                self.asleep.store(false, Ordering::SeqCst);
            }
            let begun = self.begun.load(Ordering::SeqCst);
            let quiet = begun == seen && self.ended.load(Ordering::SeqCst) == begun;
            idle = if quiet { idle + 1 } else { 0 };
            seen = begun;
        }
    }
}
