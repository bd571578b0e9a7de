//! What administrators ask: epochs, producers, directories.

use std::path::PathBuf;

use jackfield_env::Space;

use crate::{epochs, manager::LogManager, partition_log::PartitionLog, producer_state::ActiveProducer};

/// A log directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// As configured.
    pub path: PathBuf,
    /// Why it is offline, if it is.
    pub offline: Option<String>,
    /// It takes no new partitions: `cordoned.log.dirs`.
    pub is_cordoned: bool,
    /// Room in its file system, where that is known.
    pub space: Option<Space>,
}

impl LogManager {
    /// All log directories. Asks the file system.
    pub fn log_dirs(&self) -> Vec<LogDir> {
        let cordoned = self.changing().cordoned;
        let describe = |directory: &crate::manager::Directory| LogDir {
            path: directory.path.clone(),
            offline: directory.health.offline(),
            is_cordoned: cordoned.contains(&directory.path),
            space: self.env.files.space(&directory.path).ok(),
        };
        self.directories.iter().map(describe).collect()
    }
}

impl PartitionLog {
    /// The log directory it lies in, as configured.
    pub fn log_dir(&self) -> &std::path::Path {
        &self.log_dir
    }

    /// The leader epoch that the record at an offset has or would have; -1 before the first one.
    pub fn leader_epoch_at(&self, offset: i64) -> i32 {
        epochs::epoch_of(&self.lock().epochs, offset).unwrap_or(-1)
    }

    /// The newest leader epoch that is not newer than the asked one, and the offset behind its last record (KIP-101,
    /// KIP-279): what a follower or consumer that knows records of that epoch may have in common with this log. `None` when
    /// the asked epoch is newer than any of the log's.
    pub fn end_offset_of_epoch(&self, leader_epoch: i32) -> Option<(i32, i64)> {
        let state = self.lock();
        let newer = state.epochs.iter().position(|(epoch, _)| *epoch > leader_epoch);
        match newer {
            Some(0) => Some((leader_epoch, state.epochs[0].1)),
            Some(newer) => Some((state.epochs[newer - 1].0, state.epochs[newer].1)),
            None => {
                let latest = state.epochs.last().map(|(epoch, _)| *epoch);
                (latest == Some(leader_epoch)).then_some((leader_epoch, state.log_end_offset))
            }
        }
    }

    /// Producers that are remembered, by id.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.lock().producers.active().collect()
    }
}
