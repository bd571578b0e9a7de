//! Deleting the records in front of an offset (KIP-107): the log start moves, durably; segments that lie in front of it go
//! with the next retention check.

use std::sync::Arc;

use crate::{ReadError, manager::LogManager, partition_log::PartitionLog};

impl LogManager {
    /// Deletes the records in front of the given offsets, -1 = all that are acknowledged; one result per log: its start
    /// from now on. Returns when that is on disk.
    ///
    /// # Errors
    /// [`ReadError`]: the offset is beyond what is acknowledged, or the directory is offline.
    pub fn delete_records(&self, asked: &[(Arc<PartitionLog>, i64)]) -> Vec<Result<i64, ReadError>> {
        let mut results: Vec<_> = asked
            .iter()
            .map(|(log, before)| log.move_start(*before))
            .collect();
        for directory in &self.directories {
            let in_directory = |log: &PartitionLog| log.log_dir() == directory.path;
            if !asked.iter().any(|(log, _)| in_directory(log)) {
                continue;
            }
            if let Err(error) = self.checkpoint(directory) {
                let message = format!("{}: {error}", directory.path.display());
                for (result, _) in results
                    .iter_mut()
                    .zip(asked)
                    .filter(|(_, (log, _))| in_directory(log))
                {
                    *result = Err(ReadError::Storage(message.clone()));
                }
            }
        }
        results
    }
}

impl PartitionLog {
    /// Moves the log start up to `before`, in memory.
    fn move_start(&self, before: i64) -> Result<i64, ReadError> {
        if let Some(reason) = self.offline() {
            return Err(ReadError::Storage(reason));
        }
        let mut state = self.lock();
        let end = state.committed.offset;
        let wanted = if before == -1 { end } else { before };
        if !(0..=end).contains(&wanted) || state.deleted {
            return Err(ReadError::OutOfRange {
                offset: before,
                start: state.log_start_offset,
                end,
            });
        }
        if wanted > state.log_start_offset {
            state.log_start_offset = wanted;
            self.publish_start(wanted);
            tracing::info!(
                topic = self.topic(),
                partition = self.partition(),
                log_start_offset = wanted,
                "records deleted on request"
            );
        }
        Ok(state.log_start_offset)
    }
}
