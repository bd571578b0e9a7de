//! Bugs that the tests of the crash checker switch on. Compiled with the feature `planted-bugs` only, which no released
//! program has; `JF_PLANT` names the bug.

use std::sync::OnceLock;

/// Whether this bug is switched on.
#[allow(
    clippy::disallowed_methods,
    reason = "a switch of test builds, outside the program's configuration"
)]
pub(crate) fn is(bug: &str) -> bool {
    static BUG: OnceLock<Option<String>> = OnceLock::new();
    BUG.get_or_init(|| std::env::var("JF_PLANT").ok()).as_deref() == Some(bug)
}
