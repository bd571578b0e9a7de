//! Waiting for a state, with a deadline and a name for what did not come.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Generous: a machine with two cores may be running several JVMs beside the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Probes until the state is there and returns what it showed.
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    within(what, PATIENCE, &mut probe)
}

/// As [`until`], with a deadline of its own.
pub(crate) fn within<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = probe() {
            return seen;
        }
        assert!(
            started.elapsed() < deadline,
            "waited {deadline:?} in vain for: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
