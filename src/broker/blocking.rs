//! Short blocking file work in async code.

/// Runs it beside the other tasks on a multi-threaded runtime, inline on any other.
pub(crate) fn run<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
