//! The committed positions of a sink task's whole group, which the sink may ask for when partitions are opened.

use std::sync::{Mutex, PoisonError};

use jackfield_api::{GROUP_POSITIONS, SinkPosition};
use jackfield_cluster::CommittedOffset;
use jackfield_plugin::StoredOffsets;

/// The positions as JSON.
#[derive(Debug, Default)]
pub(super) struct GroupPositions(Mutex<Option<String>>);

impl GroupPositions {
    /// What is answered from now on.
    pub(super) fn set(&self, committed: Vec<CommittedOffset>) {
        let positions = committed.into_iter().map(|committed| SinkPosition {
            topic: committed.partition.topic.to_string(),
            partition: committed.partition.partition,
            offset: committed.offset.unwrap_or(-1),
            metadata: committed.metadata,
        });
        let positions: Vec<_> = positions.collect();
        let json = serde_json::to_string(&positions).expect("plain fields are written as JSON");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(json);
    }
}

impl StoredOffsets for GroupPositions {
    fn read(&self, asked: &str) -> Option<String> {
        let positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        positions.clone().filter(|_| asked == GROUP_POSITIONS)
    }
}
