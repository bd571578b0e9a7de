//! Why a stream cannot go on: its file cannot be read, which is that file's matter where there are many, or the task's.

use jackfield_api::ConnectError;

/// What kept a stream from going on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This file or its directory cannot be read.
    File(ConnectError),
    Task(ConnectError),
}

impl Failure {
    /// For who has no other file.
    pub(crate) fn into_error(self) -> ConnectError {
        match self {
            Self::File(error) | Self::Task(error) => error,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::Task(error)
    }
}
