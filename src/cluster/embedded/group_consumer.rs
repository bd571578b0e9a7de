//! A sink task's consumer: events of its membership, and records of what it holds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jackfield_broker::{
    Broker,
    groups::{CommitRequest, GroupPartition, OffsetToCommit},
};
use jackfield_tasks::{TaskGroup, TaskHandle};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    fetcher::Fetcher,
    membership::{Generation, Held, Membership, Standing},
    subscription::Selection,
};
use crate::{ClusterError, CommittedOffset, GroupConsumer, GroupEvent, GroupSubscription, TopicPartition};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct EmbeddedGroupConsumer {
    broker: Broker,
    group_id: String,
    max_bytes: usize,
    fetcher: Fetcher,
    standing: watch::Receiver<Standing>,
    given_up: watch::Sender<u64>,
    topics: watch::Receiver<u64>,
    phase: Phase,
    /// Fires when dropped, too.
    leave: Option<oneshot::Sender<()>>,
    membership: TaskHandle<()>,
}

/// Where the consumer is between two polls.
#[derive(Debug)]
enum Phase {
    /// Waits for partitions.
    Joining,
    /// Holds partitions.
    Assigned(Arc<Generation>),
    /// Told its owner to give the partitions up; the next poll rejoins. They can still be committed.
    Revoked(Arc<Generation>),
    /// Told its owner that they are gone; the next poll rejoins.
    Lost,
}

impl EmbeddedGroupConsumer {
    pub(crate) fn start(
        broker: Broker,
        tasks: &TaskGroup,
        subscription: GroupSubscription,
    ) -> Result<Self, ClusterError> {
        let selection = Selection::parse(&subscription.topics)?;
        let (given_up, orders) = watch::channel(0);
        let (standing, seen_by_consumer) = watch::channel(Standing {
            round: 0,
            held: Held::Joining,
        });
        let (leave, leaving) = oneshot::channel();
        let membership = Membership {
            broker: broker.clone(),
            group_id: subscription.group_id.clone(),
            client_id: subscription.client_id.clone(),
            session_timeout: subscription.session_timeout,
            selection,
            standing,
            given_up: orders,
            member_id: String::new(),
        };
        let membership = tasks.spawn(
            format!("member-{}", subscription.client_id),
            membership.run(leaving),
        );
        Ok(Self {
            topics: broker.topics().watch(),
            broker,
            group_id: subscription.group_id,
            max_bytes: subscription.max_bytes,
            fetcher: Fetcher::default(),
            standing: seen_by_consumer,
            given_up,
            phase: Phase::Joining,
            leave: Some(leave),
            membership,
        })
    }

    /// What the membership says, as an event for the owner. Changes the phase only together with the event, after
    /// the last await: a poll that is dropped loses nothing.
    async fn membership_event(&mut self) -> Result<Option<GroupEvent>, ClusterError> {
        let Standing { round, held } = self.standing.borrow_and_update().clone();
        match (held, &self.phase) {
            (Held::Failed(error), _) => Err(error),
            (Held::Assigned(generation), Phase::Joining) => {
                let committed = self.committed_of(&generation).await?;
                self.fetcher.assign(self.broker.topics(), &committed);
                self.phase = Phase::Assigned(generation);
                Ok(Some(GroupEvent::Assigned(committed)))
            }
            (Held::Rebalancing, Phase::Assigned(generation)) => {
                let partitions = generation.partitions.clone();
                self.phase = Phase::Revoked(Arc::clone(generation));
                self.fetcher.clear();
                Ok(Some(GroupEvent::Revoked(partitions)))
            }
            (Held::Lost, Phase::Assigned(generation)) => {
                let partitions = generation.partitions.clone();
                self.phase = Phase::Lost;
                self.fetcher.clear();
                Ok(Some(GroupEvent::Lost(partitions)))
            }
            // Between a join and this poll the group moved on: nothing was handed out, so nothing is taken back.
            (Held::Rebalancing | Held::Lost, Phase::Joining) => {
                self.given_up.send_replace(round);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    async fn committed_of(&self, generation: &Generation) -> Result<Vec<CommittedOffset>, ClusterError> {
        let wanted: Vec<GroupPartition> = generation.partitions.iter().map(group_partition).collect();
        let fetched = self.broker.groups().fetch(&self.group_id, Some(&wanted)).await;
        let fetched = fetched.map_err(|error| ClusterError::group(error, &self.group_id))?;
        let committed = generation
            .partitions
            .iter()
            .zip(fetched)
            .map(|(partition, fetched)| CommittedOffset {
                partition: partition.clone(),
                offset: Some(fetched.offset).filter(|offset| *offset >= 0),
                metadata: fetched.metadata,
            });
        Ok(committed.collect())
    }

    fn generation(&self) -> Option<&Arc<Generation>> {
        match &self.phase {
            Phase::Assigned(generation) | Phase::Revoked(generation) => Some(generation),
            Phase::Joining | Phase::Lost => None,
        }
    }
}

#[async_trait]
impl GroupConsumer for EmbeddedGroupConsumer {
    async fn poll(&mut self, timeout: Duration) -> Result<GroupEvent, ClusterError> {
        let deadline = Instant::now() + timeout;
        if matches!(self.phase, Phase::Revoked(_) | Phase::Lost) {
            self.phase = Phase::Joining;
        }
        loop {
            if let Some(event) = self.membership_event().await? {
                return Ok(event);
            }
            if self.topics.has_changed().unwrap_or(false) {
                self.topics.mark_unchanged();
                self.fetcher.refresh_logs(self.broker.topics());
            }
            let fetched = self.fetcher.fetch(self.broker.topics(), self.max_bytes)?;
            if !fetched.is_empty() {
                return Ok(GroupEvent::Records(fetched));
            }
            if self.fetcher.watch() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(GroupEvent::Idle),
                () = self.fetcher.news() => {}
                changed = self.standing.changed() => {
                    changed.map_err(|_| ClusterError::closed("the group membership"))?;
                }
                Ok(()) = self.topics.changed() => self.topics.mark_changed(),
            }
        }
    }

    fn pause(&mut self, partitions: &[TopicPartition]) {
        self.fetcher.set_paused(partitions, true);
    }

    fn resume(&mut self, partitions: &[TopicPartition]) {
        self.fetcher.set_paused(partitions, false);
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        self.fetcher.seek(partition, offset);
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        match &self.phase {
            Phase::Assigned(generation) => generation.partitions.clone(),
            Phase::Joining | Phase::Revoked(_) | Phase::Lost => Vec::new(),
        }
    }

    async fn committed(&self) -> Result<Vec<CommittedOffset>, ClusterError> {
        let fetched = self.broker.groups().fetch(&self.group_id, None).await;
        let fetched = fetched.map_err(|error| ClusterError::group(error, &self.group_id))?;
        let committed = fetched.into_iter().map(|fetched| CommittedOffset {
            partition: TopicPartition {
                topic: fetched.partition.topic.into(),
                partition: fetched.partition.partition,
            },
            offset: Some(fetched.offset).filter(|offset| *offset >= 0),
            metadata: fetched.metadata,
        });
        Ok(committed.collect())
    }

    async fn commit(&mut self, offsets: Vec<CommittedOffset>) -> Result<(), ClusterError> {
        let Some(generation) = self.generation() else {
            return Err(ClusterError::not_a_member(&self.group_id));
        };
        let offsets = offsets.into_iter().filter_map(|committed| {
            Some(OffsetToCommit {
                partition: group_partition(&committed.partition),
                offset: committed.offset?,
                leader_epoch: -1,
                metadata: committed.metadata,
            })
        });
        let request = CommitRequest {
            group_id: self.group_id.clone(),
            member_id: generation.member_id.clone(),
            generation: generation.generation,
            offsets: offsets.collect(),
            ..CommitRequest::default()
        };
        let results = self.broker.groups().commit(request).await;
        let refused = |error| ClusterError::group(error, &self.group_id);
        let results = results.map_err(refused)?;
        results.into_iter().collect::<Result<(), _>>().map_err(refused)
    }

    async fn leave(mut self: Box<Self>) -> Result<(), ClusterError> {
        drop(self.leave.take());
        let ended = self.membership.join().await;
        ended.map_err(|error| ClusterError {
            code: 0,
            message: error.to_string(),
            retriable: false,
        })
    }
}

fn group_partition(partition: &TopicPartition) -> GroupPartition {
    GroupPartition {
        topic: partition.topic.to_string(),
        partition: partition.partition,
    }
}
