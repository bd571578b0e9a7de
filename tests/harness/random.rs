//! Moments that differ from run to run.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    thread,
    time::Duration,
};

/// A number below `bound`.
pub(crate) fn below(bound: u64) -> u64 {
    RandomState::new().build_hasher().finish() % bound
}

/// Sleeps, at most that long.
pub(crate) fn sleep(longest: Duration) {
    let micros = u64::try_from(longest.as_micros()).unwrap();
    thread::sleep(Duration::from_micros(below(micros + 1)));
}
