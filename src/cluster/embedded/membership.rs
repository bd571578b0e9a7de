//! Membership of a consumer in its group: joining, leading, heartbeats.
//!
//! A background task holds it, so that a slow `put` between two polls does not cost the membership. It tells the
//! consumer through a watch what it holds, and joins again only when told to: before that the consumer has given up
//! its partitions (the eager protocol of Java's `range`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jackfield_broker::{
    Broker,
    groups::{
        GroupError, JoinRefused, JoinRequest, JoinedMember, LeavingMember, Protocol, SyncRequest,
        consumer_protocol::{Assignment, Subscription},
    },
};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::subscription::Selection;
use crate::{
    ClusterError, TopicPartition,
    range_assignor::{AssignedMember, assign},
};

/// Java's default `max.poll.interval.ms`, which consumers give as rebalance timeout.
const REBALANCE_TIMEOUT_MS: i32 = 300_000;
/// Java's default `heartbeat.interval.ms`; rebalances are noticed at once, without waiting for it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
/// The first generation waits this long for the other tasks of a connector, which start at the same moment.
const INITIAL_REBALANCE_DELAY_MS: u32 = 10;
/// Pause after an error that may pass.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";
/// Java's form of the address of a client on the same machine.
const CLIENT_HOST: &str = "/127.0.0.1";

/// What the member holds after which join.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// Counts the joins; the consumer orders the next one by naming the last.
    pub(crate) round: u64,
    pub(crate) held: Held,
}

/// What the member holds.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    /// Nothing yet: joining.
    Joining,
    /// These partitions, in this generation.
    Assigned(Arc<Generation>),
    /// Still those of the last generation, but the group rebalances: give them up and rejoin.
    Rebalancing,
    /// Nothing any more: the group went on without this member.
    Lost,
    /// The group does not take this member.
    Failed(ClusterError),
}

/// A member's part of a generation.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// The background task.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) broker: Broker,
    pub(crate) group_id: String,
    pub(crate) client_id: String,
    pub(crate) session_timeout: Duration,
    pub(crate) selection: Selection,
    pub(crate) standing: watch::Sender<Standing>,
    /// The round whose partitions the consumer has given up: time to join again.
    pub(crate) given_up: watch::Receiver<u64>,
    /// Empty until the coordinator gave one.
    pub(crate) member_id: String,
}

/// What a member looks at to notice that the assignment is outdated.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Topics of its own subscription.
    subscribed: Vec<String>,
    /// As leader: partition counts of all topics of the group.
    partition_counts: BTreeMap<String, Option<usize>>,
}

impl Membership {
    /// Runs until `leave` resolves (then the group is left) or the group refuses the member for good.
    pub(crate) async fn run(mut self, leave: oneshot::Receiver<()>) {
        tokio::select! {
            // Both an order and a consumer that was dropped.
            _order = leave => {}
            error = self.hold_membership() => {
                tracing::error!(group = %self.group_id, %error, "not accepted by the group");
                self.now_holds(Held::Failed(error));
            }
        }
        if !self.member_id.is_empty() {
            let leaving = LeavingMember {
                member_id: self.member_id.clone(),
                group_instance_id: None,
            };
            if let Err(error) = self.broker.groups().leave(&self.group_id, &[leaving]).await {
                tracing::warn!(group = %self.group_id, %error, "the group was not left in order");
            }
        }
    }

    /// A member of the same name is from a process that was killed, or from a task that was given up. It will not come
    /// back, so that nobody has to wait for the end of its session.
    async fn remove_predecessors(&self) -> Result<(), GroupError> {
        let groups = self.broker.groups();
        let members = groups.members_of_client(&self.group_id, &self.client_id)?;
        if members.is_empty() {
            return Ok(());
        }
        let leaving: Vec<_> = members
            .into_iter()
            .map(|member_id| LeavingMember {
                member_id,
                group_instance_id: None,
            })
            .collect();
        // One that left meanwhile is as good.
        groups.leave(&self.group_id, &leaving).await.map(drop)
    }

    async fn hold_membership(&mut self) -> ClusterError {
        if let Err(error) = self.remove_predecessors().await {
            tracing::warn!(group = %self.group_id, %error, "members that died before are waited for");
        }
        loop {
            self.standing.send_modify(|standing| {
                *standing = Standing {
                    round: standing.round + 1,
                    held: Held::Joining,
                };
            });
            match self.join().await {
                Ok((generation, seen)) => {
                    let generation = Arc::new(generation);
                    self.now_holds(Held::Assigned(Arc::clone(&generation)));
                    self.keep(&generation, seen).await;
                }
                Err(error) => match error {
                    GroupError::RebalanceInProgress | GroupError::MemberIdRequired => {}
                    GroupError::UnknownMemberId | GroupError::IllegalGeneration => self.member_id.clear(),
                    GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator => {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    fatal => return ClusterError::group(fatal, &self.group_id),
                },
            }
        }
    }

    /// Joins and syncs once.
    async fn join(&mut self) -> Result<(Generation, Seen), GroupError> {
        let subscribed = self.selection.topics(self.broker.topics());
        let subscription = Subscription {
            topics: subscribed.clone(),
            ..Subscription::default()
        };
        let joined = match self
            .broker
            .groups()
            .join(self.join_request(subscription.encode()))
            .await
        {
            Ok(joined) => joined,
            Err(JoinRefused { error, member_id }) => {
                if error == GroupError::MemberIdRequired {
                    self.member_id = member_id;
                }
                return Err(error);
            }
        };
        self.member_id.clone_from(&joined.member_id);
        let is_leader = joined.leader == joined.member_id;
        let members: Vec<AssignedMember> = joined.members.iter().map(assigned_member).collect();
        let partition_counts = self.partition_counts(&members);
        let assignments = if is_leader {
            encode_assignments(&members, &partition_counts)
        } else {
            Vec::new()
        };
        let request = SyncRequest {
            group_id: self.group_id.clone(),
            member_id: self.member_id.clone(),
            group_instance_id: None,
            generation: joined.generation,
            protocol_type: joined.protocol_type,
            protocol_name: joined.protocol_name,
            assignments,
        };
        let synced = self.broker.groups().sync(request).await?;
        let assignment = Assignment::decode(&synced.assignment).unwrap_or_else(|error| {
            tracing::error!(group = %self.group_id, %error, "the leader's assignment is not understood");
            Assignment::default()
        });
        let generation = Generation {
            member_id: joined.member_id,
            generation: joined.generation,
            partitions: partitions(assignment),
        };
        Ok((
            generation,
            Seen {
                subscribed,
                partition_counts,
            },
        ))
    }

    fn join_request(&self, metadata: Bytes) -> JoinRequest {
        JoinRequest {
            group_id: self.group_id.clone(),
            member_id: self.member_id.clone(),
            group_instance_id: None,
            client_id: self.client_id.clone(),
            client_host: CLIENT_HOST.to_owned(),
            session_timeout_ms: i32::try_from(self.session_timeout.as_millis()).unwrap_or(i32::MAX),
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: vec![Protocol {
                name: ASSIGNOR.to_owned(),
                metadata,
            }],
            // The id first, without waiting: who knows it can leave at any time.
            require_known_member_id: true,
            supports_skip_assignment: true,
            initial_rebalance_delay_ms: Some(INITIAL_REBALANCE_DELAY_MS),
        }
    }

    fn partition_counts(&self, members: &[AssignedMember]) -> BTreeMap<String, Option<usize>> {
        let names = members.iter().flat_map(|member| &member.topics);
        names
            .map(|name| (name.clone(), self.partition_count(name)))
            .collect()
    }

    fn partition_count(&self, topic: &str) -> Option<usize> {
        self.broker
            .topics()
            .get(topic)
            .map(|topic| topic.partitions.len())
    }

    /// Keeps the membership alive until the consumer orders a rejoin.
    async fn keep(&mut self, generation: &Generation, seen: Seen) {
        let mut rebalances = self.broker.groups().watch_rebalances(&self.group_id);
        let mut topics = self.broker.topics().watch();
        // What happened between the join and these lines is not missed.
        rebalances.mark_changed();
        topics.mark_changed();
        let interval = HEARTBEAT_INTERVAL.min(self.session_timeout / 3);
        let round = self.standing.borrow().round;
        let mut given_up = self.given_up.clone();
        let mut is_member = true;
        let mut next_heartbeat = Instant::now() + interval;
        loop {
            tokio::select! {
                // Without a consumer there is no order, only the end.
                Ok(_) = given_up.wait_for(|given_up| *given_up >= round) => return,
                () = tokio::time::sleep_until(next_heartbeat), if is_member => {
                    next_heartbeat = Instant::now() + interval;
                    is_member = self.heartbeat(generation);
                }
                Ok(()) = rebalances.changed(), if is_member => is_member = self.heartbeat(generation),
                Ok(()) = topics.changed(), if is_member => {
                    if self.see(&seen) != seen {
                        tracing::info!(group = %self.group_id, member = %self.member_id, "topics changed, rejoining");
                        self.rebalance();
                    }
                }
                else => break,
            }
        }
        // Neither a membership to keep nor a consumer to order one: the order to leave is on its way.
        std::future::pending().await
    }

    fn see(&self, before: &Seen) -> Seen {
        Seen {
            subscribed: self.selection.topics(self.broker.topics()),
            partition_counts: before
                .partition_counts
                .keys()
                .map(|name| (name.clone(), self.partition_count(name)))
                .collect(),
        }
    }

    /// Sends a heartbeat; `false` when the membership is gone.
    fn heartbeat(&mut self, generation: &Generation) -> bool {
        let groups = self.broker.groups();
        match groups.heartbeat(&self.group_id, &generation.member_id, None, generation.generation) {
            Ok(()) => true,
            Err(GroupError::RebalanceInProgress) => {
                self.rebalance();
                true
            }
            Err(error @ (GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator)) => {
                tracing::warn!(group = %self.group_id, %error, "heartbeat failed");
                true
            }
            Err(error) => {
                tracing::warn!(group = %self.group_id, member = %self.member_id, %error, "membership lost");
                if error != GroupError::IllegalGeneration {
                    self.member_id.clear();
                }
                self.now_holds(Held::Lost);
                false
            }
        }
    }

    fn now_holds(&self, held: Held) {
        self.standing.send_modify(|standing| standing.held = held);
    }

    fn rebalance(&self) {
        self.standing.send_if_modified(|standing| {
            let is_news = matches!(standing.held, Held::Assigned(_));
            if is_news {
                standing.held = Held::Rebalancing;
            }
            is_news
        });
    }
}

fn assigned_member(member: &JoinedMember) -> AssignedMember {
    let subscription = Subscription::decode(&member.metadata).unwrap_or_else(|error| {
        tracing::warn!(member = %member.member_id, %error, "a member's subscription is not understood");
        Subscription::default()
    });
    AssignedMember {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        topics: subscription.topics,
    }
}

fn encode_assignments(
    members: &[AssignedMember],
    partition_counts: &BTreeMap<String, Option<usize>>,
) -> Vec<(String, Bytes)> {
    let assigned = assign(members, |topic| partition_counts.get(topic).copied().flatten());
    let encode = |partitions| {
        Assignment {
            partitions,
            user_data: None,
        }
        .encode()
    };
    assigned
        .into_iter()
        .map(|(member, partitions)| (member, encode(partitions)))
        .collect()
}

fn partitions(assignment: Assignment) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> = assignment
        .partitions
        .into_iter()
        .flat_map(|(topic, indexes)| {
            let topic: Arc<str> = Arc::from(topic);
            indexes.into_iter().map(move |partition| TopicPartition {
                topic: Arc::clone(&topic),
                partition,
            })
        })
        .collect();
    partitions.sort_unstable();
    partitions
}
