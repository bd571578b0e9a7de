//! What a sink asks for beside its answers: partitions to be paused and resumed, positions to be read from, a commit now.

use std::{collections::BTreeSet, sync::Arc};

use jackfield_api as api;
use jackfield_cluster::TopicPartition;
use jackfield_plugin::{SinkWish, TaskWishes};
use tokio::time::Instant;

use super::SinkTask;

/// The sink's wishes, and the partitions it has paused.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) said: Arc<TaskWishes>,
    paused: BTreeSet<TopicPartition>,
    /// It reads from elsewhere: what was fetched before is not to be delivered.
    pub(super) sought: bool,
}

impl Wishes {
    /// Listens to what a task wants.
    pub(super) fn of(said: Arc<TaskWishes>) -> Self {
        Self {
            said,
            ..Self::default()
        }
    }

    /// A partition that was given up is not paused when it comes back.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.paused.remove(partition);
    }
}

impl SinkTask<'_> {
    /// Does what the sink wanted in its last call.
    pub(super) fn grant_wishes(&mut self) {
        for wish in self.wishes.said.take_sink_wishes() {
            match wish {
                SinkWish::Pause(partitions) => {
                    let partitions = self.ours(partitions);
                    self.consumer.pause(&partitions);
                    self.wishes.paused.extend(partitions);
                }
                SinkWish::Resume(partitions) => {
                    let partitions = self.ours(partitions);
                    partitions
                        .iter()
                        .for_each(|partition| self.wishes.forget(partition));
                    self.consumer.resume(&partitions);
                }
                SinkWish::Seek(positions) => {
                    for position in positions {
                        let partition = TopicPartition {
                            topic: position.topic.into(),
                            partition: position.partition,
                        };
                        if position.offset < 0 || self.positions.next(&partition).is_none() {
                            tracing::warn!(
                                connector = self.context.connector,
                                task = self.context.task,
                                topic = %partition.topic,
                                partition = partition.partition,
                                offset = position.offset,
                                "sink seeks a position it cannot have, ignored"
                            );
                            continue;
                        }
                        self.positions.delivered(&partition, position.offset);
                        self.consumer.seek(&partition, position.offset);
                        self.wishes.sought = true;
                    }
                }
                SinkWish::Commit => self.next_flush = Instant::now(),
            }
        }
    }

    /// Lets everything come again but what the sink has paused.
    pub(super) fn resume_all(&mut self) {
        let mut partitions = self.positions.partitions();
        partitions.retain(|partition| !self.wishes.paused.contains(partition));
        self.consumer.resume(&partitions);
    }

    /// Those that are assigned to this task.
    fn ours(&self, partitions: Vec<api::TopicPartition>) -> Vec<TopicPartition> {
        let partition = |at: api::TopicPartition| TopicPartition {
            topic: at.topic.into(),
            partition: at.partition,
        };
        let mut partitions: Vec<_> = partitions.into_iter().map(partition).collect();
        partitions.retain(|partition| self.positions.next(partition).is_some());
        partitions
    }
}
