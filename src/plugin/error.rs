//! Why a call into a plugin failed.

use jackfield_api::{ConnectError, ErrorKind};

/// Why a call into a plugin failed: what the plugin answered, or what the host had to do to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PluginError {
    /// What may be done about it.
    pub kind: ErrorKind,
    /// Lower case, names the thing and the value, causes joined with ": ".
    pub message: String,
    /// The plugin trapped, panicked, or ran into a deadline or a limit, and the host threw the task away: a new one may do
    /// better. The kind is fatal then.
    pub is_fault: bool,
}

impl PluginError {
    /// The same call may be repeated after a back-off.
    pub fn retriable(message: impl Into<String>) -> Self {
        ConnectError::retriable(message).into()
    }

    /// A record is bad.
    pub fn data(message: impl Into<String>) -> Self {
        ConnectError::data(message).into()
    }

    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        ConnectError::config(message).into()
    }

    /// The task fails.
    pub fn fatal(message: impl Into<String>) -> Self {
        ConnectError::fatal(message).into()
    }

    /// The host threw the task away.
    pub fn fault(message: impl Into<String>) -> Self {
        Self {
            is_fault: true,
            ..Self::fatal(message)
        }
    }
}

impl From<ConnectError> for PluginError {
    fn from(ConnectError { kind, message }: ConnectError) -> Self {
        Self {
            kind,
            message,
            is_fault: false,
        }
    }
}
