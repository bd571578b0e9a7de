//! Bugs that the tests of the crash checker switch on. Compiled with the feature `planted-bugs` only, which no released
//! program has; `JF_PLANT` names the bug.

use std::{
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use jackfield_env::File;

/// Whether this bug is switched on.
#[allow(
    clippy::disallowed_methods,
    reason = "a switch of test builds, outside the program's configuration"
)]
pub(crate) fn is(bug: &str) -> bool {
    static BUG: OnceLock<Option<String>> = OnceLock::new();
    BUG.get_or_init(|| std::env::var("JF_PLANT").ok()).as_deref() == Some(bug)
}

/// The time a sync takes on a disk: the ones that lie in memory, as those of the tests do, have none to speak of.
#[allow(clippy::disallowed_methods, reason = "a wait is the bug")]
pub(crate) fn wait_for_the_disk() {
    thread::sleep(Duration::from_millis(5));
}

/// Writes a while after it was acknowledged.
#[allow(clippy::disallowed_methods, reason = "a thread of its own is the bug")]
pub(crate) fn write_later(file: Arc<dyn File>, data: Vec<u8>, position: u64) {
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        if let Err(error) = file.write_all_at(&data, position) {
            tracing::error!(%error, "late write failed");
        }
    });
}
