//! Bugs that the tests of the crash checker switch on, and points where a test ends the process. Compiled with the feature
//! `planted-bugs` only, which no released program has; `JF_PLANT` names the bug or the point.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Whether this bug is switched on.
pub(crate) fn is(bug: &str) -> bool {
    planted() == Some(bug)
}

/// With `JF_PLANT=kill-at=NAME:COUNT` the process ends here, without any goodbye, when it comes to this point the COUNTth
/// time.
pub(crate) fn pass(point: &str) {
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let planted = planted().and_then(|planted| planted.strip_prefix("kill-at="));
    let Some((name, count)) = planted.and_then(|at| at.split_once(':')) else {
        return;
    };
    if name == point && Some(PASSED.fetch_add(1, Ordering::SeqCst) + 1) == count.parse().ok() {
        std::process::abort();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a switch of test builds, outside the program's configuration"
)]
fn planted() -> Option<&'static str> {
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("JF_PLANT").ok()).as_deref()
}
