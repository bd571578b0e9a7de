//! The one error a connector returns.

/// The one list of error kinds: WIT, C ABI and Rust alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The same call may be repeated after a back-off.
    Retriable,
    /// A record is bad; `errors.tolerance` decides.
    Data,
    /// The configuration is wrong: no restart until it changes.
    Config,
    /// The task fails.
    Fatal,
}

/// The one error a connector returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What may be done about it.
    pub kind: ErrorKind,
    /// Lower case, names the thing and the value, causes joined with ": ".
    pub message: String,
}

impl ConnectError {
    /// The same call may be repeated after a back-off.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Retriable,
            message: message.into(),
        }
    }

    /// A record is bad.
    pub fn data(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Data,
            message: message.into(),
        }
    }

    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Config,
            message: message.into(),
        }
    }

    /// The task fails.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Fatal,
            message: message.into(),
        }
    }
}

impl From<crate::batch::BatchError> for ConnectError {
    /// A batch that cannot be built or read is a defect, not a bad record.
    fn from(cause: crate::batch::BatchError) -> Self {
        Self::fatal(cause.to_string())
    }
}

impl ErrorKind {
    /// The kind as the C ABI writes it, see [`crate::abi::Error::kind`].
    pub fn abi_code(self) -> u8 {
        match self {
            Self::Retriable => crate::abi::ERROR_RETRIABLE,
            Self::Data => crate::abi::ERROR_DATA,
            Self::Config => crate::abi::ERROR_CONFIG,
            Self::Fatal => crate::abi::ERROR_FATAL,
        }
    }

    /// Reads the kind of the C ABI; a panic and everything unknown is fatal.
    pub fn from_abi_code(code: u8) -> Self {
        match code {
            crate::abi::ERROR_RETRIABLE => Self::Retriable,
            crate::abi::ERROR_DATA => Self::Data,
            crate::abi::ERROR_CONFIG => Self::Config,
            _ => Self::Fatal,
        }
    }
}
