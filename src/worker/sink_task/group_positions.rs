//! The committed positions of a sink task's whole group, which the sink may ask for when partitions are opened.

use std::sync::{Mutex, PoisonError};

use jackfield_api::SinkPosition;
use jackfield_cluster::CommittedOffset;
use jackfield_plugin::StoredOffsets;

/// What is answered now.
#[derive(Debug, Default)]
pub(super) struct GroupPositions(Mutex<Vec<SinkPosition>>);

impl GroupPositions {
    /// What is answered from now on.
    pub(super) fn set(&self, committed: Vec<CommittedOffset>) {
        let positions = committed.into_iter().map(|committed| SinkPosition {
            topic: committed.partition.topic.to_string(),
            partition: committed.partition.partition,
            offset: committed.offset.unwrap_or(-1),
            metadata: committed.metadata,
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = positions.collect();
    }
}

impl StoredOffsets for GroupPositions {
    fn group_positions(&self) -> Vec<SinkPosition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
