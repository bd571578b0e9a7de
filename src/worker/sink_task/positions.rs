//! Where a sink task stands in each of its partitions, and what is committed.

use std::{collections::BTreeMap, sync::Arc};

use jackfield_cluster::{CommittedOffset, TopicPartition};
use jackfield_plugin::SinkPosition;

/// Positions of the assigned partitions.
#[derive(Debug, Default)]
pub(super) struct Positions {
    partitions: BTreeMap<TopicPartition, Position>,
}

#[derive(Debug)]
struct Position {
    /// Next offset to be delivered; -1 = nothing committed and nothing delivered yet.
    next: i64,
    /// Offset and metadata of the last commit.
    committed: (i64, String),
}

impl Positions {
    /// Starts with what is committed.
    pub(super) fn assign(&mut self, committed: &[CommittedOffset]) {
        for offset in committed {
            let next = offset.offset.unwrap_or(-1);
            let position = Position {
                next,
                committed: (next, offset.metadata.clone()),
            };
            self.partitions.insert(offset.partition.clone(), position);
        }
    }

    /// Forgets a partition.
    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// The partitions.
    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Next offset of a partition.
    pub(super) fn next(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition).map(|position| position.next)
    }

    /// Everything below `next` was delivered.
    pub(super) fn delivered(&mut self, partition: &TopicPartition, next: i64) {
        if let Some(position) = self.partitions.get_mut(partition) {
            position.next = next;
        }
    }

    /// Positions as the sink gets them: all, with the metadata of the last commit.
    pub(super) fn current(&self) -> Vec<SinkPosition> {
        let positions = self.partitions.iter().map(|(partition, position)| SinkPosition {
            topic: Arc::clone(&partition.topic),
            partition: partition.partition,
            offset: position.next,
            metadata: position.committed.1.clone(),
        });
        positions.collect()
    }

    /// What is to be committed of the positions that the sink returned: those that are ours, not beyond what was
    /// delivered, and new.
    pub(super) fn to_commit(&self, safe: Vec<SinkPosition>) -> Vec<CommittedOffset> {
        let mut commits = Vec::new();
        for position in safe {
            let partition = TopicPartition {
                topic: position.topic,
                partition: position.partition,
            };
            let Some(ours) = self.partitions.get(&partition) else {
                tracing::warn!(
                    topic = %partition.topic,
                    partition = partition.partition,
                    "sink returned a position of a partition it does not have"
                );
                continue;
            };
            if position.offset > ours.next.max(0) {
                tracing::warn!(
                    topic = %partition.topic,
                    partition = partition.partition,
                    offset = position.offset,
                    delivered = ours.next,
                    "sink returned a position beyond what it was given"
                );
                continue;
            }
            // A partition nothing was ever read of is committed at the start, for its metadata's sake.
            let offset = position.offset.max(0);
            if (offset, &position.metadata) != (ours.committed.0.max(0), &ours.committed.1) {
                let offset = Some(offset);
                commits.push(CommittedOffset {
                    partition,
                    offset,
                    metadata: position.metadata,
                });
            }
        }
        commits
    }

    /// Notes what was committed.
    pub(super) fn committed(&mut self, commits: &[CommittedOffset]) {
        for commit in commits {
            if let Some(position) = self.partitions.get_mut(&commit.partition) {
                position.committed = (commit.offset.unwrap_or(-1), commit.metadata.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: index,
        }
    }

    fn safe(index: i32, offset: i64, metadata: &str) -> SinkPosition {
        SinkPosition {
            topic: "t".into(),
            partition: index,
            offset,
            metadata: metadata.to_owned(),
        }
    }

    #[test]
    fn only_new_positions_of_ours_that_were_delivered_are_committed() {
        let mut positions = Positions::default();
        let committed = |index, offset| CommittedOffset {
            partition: partition(index),
            offset,
            metadata: "m".to_owned(),
        };
        positions.assign(&[committed(0, Some(5)), committed(1, None)]);
        positions.delivered(&partition(0), 9);
        let commits = positions.to_commit(vec![
            safe(0, 9, "m"),
            safe(0, 10, "m"),
            safe(0, 5, "m"),
            safe(0, 5, "n"),
            safe(1, -1, "m"),
            safe(1, -1, "start"),
            safe(2, 1, ""),
        ]);
        let shown: Vec<_> = commits
            .iter()
            .map(|c| (c.partition.partition, c.offset, c.metadata.as_str()))
            .collect();
        assert_eq!(
            shown,
            [(0, Some(9), "m"), (0, Some(5), "n"), (1, Some(0), "start")]
        );
        positions.committed(&commits[2..]);
        assert_eq!(positions.to_commit(vec![safe(1, -1, "start")]), [], "not again");
        positions.committed(&commits[..1]);
        assert_eq!(positions.to_commit(vec![safe(0, 9, "m")]), []);
    }
}
