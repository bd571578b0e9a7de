//! Clocks of components that may not know the time: they can be asked and stand still. Waiting works, it needs no clock.

use std::time::Duration;

use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// Stands at its beginning.
struct Stopped;

/// Stops the clocks of a component.
pub(super) fn stop(wasi: &mut WasiCtxBuilder) {
    wasi.wall_clock(Stopped).monotonic_clock(Stopped);
}

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}
