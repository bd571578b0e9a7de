//! What can go wrong: one enum per operation.

/// Why an append was refused. The broker maps each to a Kafka error code.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum AppendError {
    #[error("batch is corrupt: {0}")]
    Corrupt(String),
    #[error("batch is invalid: {0}")]
    InvalidRecord(String),
    #[error("batch of {size} bytes exceeds max.message.bytes {max}")]
    TooLarge { size: usize, max: usize },
    #[error("timestamp {0} is out of bounds")]
    InvalidTimestamp(i64),
    /// The first of them, at most [`RECORD_ERRORS_MAX`].
    #[error("{}", rejected(.0))]
    Records(Vec<RecordError>),
    #[error("unsupported compression codec {0}")]
    UnsupportedCompression(i16),
    #[error("out of order sequence for producer {producer_id}: expected {expected}, got {got}")]
    OutOfOrderSequence {
        producer_id: i64,
        expected: i32,
        got: i32,
    },
    #[error("producer epoch {got} is older than {current}")]
    InvalidProducerEpoch { current: i16, got: i16 },
    #[error("sequence {0} was already appended and is no longer remembered")]
    DuplicateSequence(i32),
    #[error("log storage failed: {0}")]
    Storage(String),
}

/// Most records of a batch that are named when it is refused for them; those behind are not looked at.
pub const RECORD_ERRORS_MAX: usize = 100;

/// A record for which its batch was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Which record of the batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub message: String,
    /// Whether it is its time.
    pub is_timestamp: bool,
}

/// Message of a batch that was refused for some of its records.
fn rejected(errors: &[RecordError]) -> String {
    const SHOWN: usize = 3;
    let first: Vec<_> = errors
        .iter()
        .take(SHOWN)
        .map(|error| format!("record {}: {}", error.index, error.message))
        .collect();
    let more = if errors.len() > SHOWN { ", …" } else { "" };
    let at_least = if errors.len() == RECORD_ERRORS_MAX {
        "at least "
    } else {
        ""
    };
    format!(
        "the batch is refused for {at_least}{} of its records: {}{more}",
        errors.len(),
        first.join(", ")
    )
}

/// A read could not be served.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum ReadError {
    #[error("offset {offset} is out of range [{start}, {end}]")]
    OutOfRange { offset: i64, start: i64, end: i64 },
    #[error("log storage failed: {0}")]
    Storage(String),
    #[error("segment is damaged: {0}")]
    Damaged(String),
}

/// Partitions could not be created.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct CreateError {
    /// Why.
    #[source]
    pub source: AppendError,
    /// Whether some of them may be found at the next start.
    pub leaves_remains: bool,
}

/// Opening the log directories failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or directory.
        path: String,
        /// Its error.
        source: std::io::Error,
    },
    /// Another process uses the directory.
    #[error("log directory {0} is in use by another process: stop it, or choose another log.dirs")]
    Locked(String),
    /// The directory does not belong here or cannot be understood.
    #[error("{path}: {message}")]
    Invalid {
        /// File or directory.
        path: String,
        /// What is wrong and what to do.
        message: String,
    },
}

impl OpenError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }
}
