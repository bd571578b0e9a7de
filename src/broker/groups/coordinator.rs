//! The async face of the group coordinator.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jackfield_env::Env;
use jackfield_log::PartitionLog;
use jackfield_tasks::TaskGroup;
use tokio::{
    sync::{Notify, OnceCell, oneshot, watch},
    time::{Duration, Instant},
};

use super::{
    classic::{
        effects::{
            Effects, JoinRefused, JoinRequest, Joined, LeavingMember, Now, Settings, SyncRequest, Synced,
            Ticket,
        },
        group::ClassicGroup,
    },
    config::GroupsConfig,
    error::GroupError,
    loader::{self, LoadError},
    offsets,
    placement::partition_for_group,
    records::{GroupRecord, OffsetValue},
    shard::{Entry, Gated, Shard, Waiter},
};
use crate::{CreateTopicError, Topics};

/// Topic that holds groups and offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Checks timers at least this often, whatever the schedule says.
const TIMER_CHECK_MAX: Duration = Duration::from_secs(60);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub struct GroupPartition {
    pub topic: String,
    pub partition: i32,
}

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// Of which partition; it must exist.
    pub partition: GroupPartition,
    /// Next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 = unknown.
    pub leader_epoch: i32,
    /// Anything the client wants to keep.
    pub metadata: String,
}

/// A commit.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// Group.
    pub group_id: String,
    /// Empty for a consumer that assigns itself.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// -1 for a consumer that assigns itself.
    pub generation: i32,
    /// Kept this long after now instead of by the broker's retention (OffsetCommit 2 to 4).
    pub retention_time_ms: Option<i64>,
    /// Offsets.
    pub offsets: Vec<OffsetToCommit>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct FetchedOffset {
    pub partition: GroupPartition,
    /// -1 = none committed.
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// The coordinator. Cheap to clone; answers when its records are durable.
#[derive(Debug, Clone)]
pub struct Groups {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: GroupsConfig,
    env: Env,
    topics: Arc<Topics>,
    shards: Vec<Mutex<Shard>>,
    offsets_topic: OnceCell<()>,
    started: Instant,
    /// Woken when a deadline comes closer.
    earlier_deadline: Notify,
}

impl Groups {
    /// Loads groups and offsets, and starts the coordinator's timers on `tasks`. Blocking reads.
    ///
    /// # Errors
    /// When `__consumer_offsets` cannot be read.
    pub fn open(
        config: GroupsConfig,
        topics: Arc<Topics>,
        env: Env,
        tasks: &TaskGroup,
    ) -> Result<Self, LoadError> {
        let existing = topics.get(OFFSETS_TOPIC);
        let count = match &existing {
            Some(topic) => topic.partitions.len(),
            None => usize::try_from(config.offsets_topic_partitions)
                .unwrap_or(1)
                .max(1),
        };
        let settings = Settings {
            initial_rebalance_delay_ms: config.initial_rebalance_delay_ms,
            max_size: config.max_size,
        };
        let groups = Self {
            inner: Arc::new(Inner {
                config,
                env,
                topics,
                shards: (0..count).map(|_| Mutex::new(Shard::new(settings))).collect(),
                offsets_topic: OnceCell::new(),
                started: Instant::now(),
                earlier_deadline: Notify::new(),
            }),
        };
        if let Some(topic) = existing {
            let now = groups.now();
            for (index, log) in topic.partitions.iter().enumerate() {
                loader::load(&mut groups.lock(index), log, now)?;
            }
            let _first = groups.inner.offsets_topic.set(());
        }
        groups.start_tasks(tasks);
        Ok(groups)
    }

    fn start_tasks(&self, tasks: &TaskGroup) {
        let (timers, stop) = (self.clone(), tasks.cancelled());
        tasks.spawn("group-timers", async move {
            stop.run_until_cancelled(timers.run_timers()).await;
            timers.close();
        });
        let (cleanup, stop) = (self.clone(), tasks.cancelled());
        tasks.spawn("offset-expiry", async move {
            stop.run_until_cancelled(cleanup.run_expiry()).await;
        });
    }

    async fn run_timers(&self) {
        loop {
            let now = self.now();
            let mut next = None;
            for index in 0..self.inner.shards.len() {
                let mut shard = self.lock(index);
                for group_id in shard.due(now) {
                    shard.step(&group_id, now, |group, settings| {
                        ((), group.on_timer(now, settings))
                    });
                }
                next = next.into_iter().chain(shard.next_deadline()).min();
            }
            let sleep = next.map_or(TIMER_CHECK_MAX, |deadline: u64| {
                Duration::from_millis(deadline.saturating_sub(now.monotonic_ms)).min(TIMER_CHECK_MAX)
            });
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.inner.earlier_deadline.notified() => {}
            }
        }
    }

    /// Refuses everything from now on, and answers what is parked with "coordinator not available".
    pub fn close(&self) {
        for index in 0..self.inner.shards.len() {
            self.lock(index).close();
        }
    }

    pub(super) fn now(&self) -> Now {
        let monotonic = self.inner.started.elapsed().as_millis();
        Now {
            monotonic_ms: u64::try_from(monotonic).unwrap_or(u64::MAX),
            wall_ms: self.inner.env.clock.now_ms(),
        }
    }

    pub(super) fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        // A panic inside a step is a defect of that group alone; the others go on.
        self.inner.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shard_count(&self) -> usize {
        self.inner.shards.len()
    }

    fn shard_of(&self, group_id: &str) -> usize {
        let count = i32::try_from(self.inner.shards.len()).unwrap_or(i32::MAX);
        usize::try_from(partition_for_group(group_id, count)).unwrap_or(0)
    }

    fn open_shard(&self, group_id: &str) -> Result<MutexGuard<'_, Shard>, GroupError> {
        let shard = self.lock(self.shard_of(group_id));
        if shard.closed {
            Err(GroupError::CoordinatorNotAvailable)
        } else {
            Ok(shard)
        }
    }

    /// Creates `__consumer_offsets` when it is not there yet.
    ///
    /// # Errors
    /// `CoordinatorNotAvailable` when it cannot be created.
    pub async fn ensure_offsets_topic(&self) -> Result<(), GroupError> {
        let created = self
            .inner
            .offsets_topic
            .get_or_try_init(|| self.create_offsets_topic())
            .await;
        created.copied()
    }

    async fn create_offsets_topic(&self) -> Result<(), GroupError> {
        let configs = BTreeMap::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("compression.type".to_owned(), "producer".to_owned()),
            (
                "segment.bytes".to_owned(),
                self.inner.config.offsets_topic_segment_bytes.to_string(),
            ),
        ]);
        let partitions = i32::try_from(self.inner.shards.len()).unwrap_or(i32::MAX);
        let created = self
            .inner
            .topics
            .create(OFFSETS_TOPIC, Some(partitions), &configs)
            .await;
        let topic = match created {
            Ok(topic) => Some(topic),
            Err(CreateTopicError::AlreadyExists(_)) => self.inner.topics.get(OFFSETS_TOPIC),
            Err(error) => {
                tracing::error!(%error, "cannot create __consumer_offsets");
                None
            }
        };
        let topic = topic.filter(|topic| topic.partitions.len() == self.inner.shards.len());
        let topic = topic.ok_or(GroupError::CoordinatorNotAvailable)?;
        for (index, log) in topic.partitions.iter().enumerate() {
            self.lock(index).log = Some(Arc::clone(log));
        }
        Ok(())
    }

    /// Waits until the shard's log is durable up to the offset.
    async fn durable(&self, group_id: &str, offset: i64) -> Result<(), GroupError> {
        if offset < 0 {
            return Ok(());
        }
        let log: Option<Arc<PartitionLog>> = self.lock(self.shard_of(group_id)).log.clone();
        let log = log.ok_or(GroupError::NotCoordinator)?;
        log.committed(offset).await.map_err(|error| {
            tracing::error!(group = group_id, offset, %error, "group record not durable");
            GroupError::NotCoordinator
        })
    }

    /// Wakes the timer task when this shard's next deadline may be earlier than what it sleeps for.
    fn deadlines_changed(&self) {
        self.inner.earlier_deadline.notify_one();
    }

    /// Joins a group; waits for the rebalance. Dropping the future is a requester that went away: its member stays
    /// until its session ends.
    ///
    /// # Errors
    /// As Kafka refuses joins.
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, JoinRefused> {
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        let refused = |error| JoinRefused {
            error,
            member_id: member_id.clone(),
        };
        let sessions = self.inner.config.min_session_timeout_ms..=self.inner.config.max_session_timeout_ms;
        if group_id.is_empty() {
            return Err(refused(GroupError::InvalidGroupId));
        }
        if !sessions.contains(&request.session_timeout_ms) {
            return Err(refused(GroupError::InvalidSessionTimeout));
        }
        self.ensure_offsets_topic().await.map_err(refused)?;
        let (sender, receiver) = oneshot::channel();
        let _parked = self.start_join(request, sender).map_err(refused)?;
        let Gated { value, after_offset } = receiver
            .await
            .map_err(|_| refused(GroupError::CoordinatorNotAvailable))?;
        self.durable(&group_id, after_offset).await.map_err(refused)?;
        value
    }

    fn start_join(
        &self,
        request: JoinRequest,
        sender: oneshot::Sender<Gated<Result<Joined, JoinRefused>>>,
    ) -> Result<Parked<'_>, GroupError> {
        let group_id = request.group_id.clone();
        let now = self.now();
        let mut shard = self.open_shard(&group_id)?;
        let is_new = !shard.groups.contains_key(&group_id);
        if is_new {
            if !request.member_id.is_empty() {
                return Err(GroupError::UnknownMemberId);
            }
            shard
                .groups
                .insert(group_id.clone(), Entry::new(ClassicGroup::new(&group_id, now)));
        }
        let ticket = shard.park(Waiter::Join(sender));
        let fresh_id = self.random_uuid().to_string();
        shard.step(&group_id, now, |group, settings| {
            let mut effects = group.join(request, &fresh_id, ticket, now, settings);
            if is_new && effects.records.is_empty() {
                effects.records.push(group.record_of_new_group());
            }
            ((), effects)
        });
        drop(shard);
        self.deadlines_changed();
        Ok(Parked {
            groups: self,
            shard: self.shard_of(&group_id),
            ticket,
        })
    }

    fn random_uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.inner.env.random.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Hands in the leader's assignment, or waits for it.
    ///
    /// # Errors
    /// As Kafka refuses syncs.
    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, GroupError> {
        let group_id = request.group_id.clone();
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let (sender, receiver) = oneshot::channel();
        let _parked = self.start_sync(request, sender)?;
        let Gated { value, after_offset } =
            receiver.await.map_err(|_| GroupError::CoordinatorNotAvailable)?;
        self.durable(&group_id, after_offset).await?;
        value
    }

    fn start_sync(
        &self,
        request: SyncRequest,
        sender: oneshot::Sender<Gated<Result<Synced, GroupError>>>,
    ) -> Result<Parked<'_>, GroupError> {
        let group_id = request.group_id.clone();
        let now = self.now();
        let mut shard = self.open_shard(&group_id)?;
        let ticket = shard.park(Waiter::Sync(sender));
        let parked = Parked {
            groups: self,
            shard: self.shard_of(&group_id),
            ticket,
        };
        let stepped = shard.step(&group_id, now, |group, _| ((), group.sync(request, ticket, now)));
        drop(shard);
        self.deadlines_changed();
        stepped.map(|()| parked).ok_or(GroupError::UnknownMemberId)
    }

    /// Tells that a member lives.
    ///
    /// # Errors
    /// `RebalanceInProgress` when the member is to join again; otherwise as Kafka refuses heartbeats.
    pub fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let now = self.now();
        let stepped = self.open_shard(group_id)?.step(group_id, now, |group, _| {
            (
                group.heartbeat(member_id, group_instance_id, generation, now),
                Effects::default(),
            )
        });
        stepped.unwrap_or(Err(GroupError::UnknownMemberId))
    }

    /// Takes members out of the group; one result per member.
    ///
    /// # Errors
    /// As Kafka refuses the whole request.
    pub async fn leave(
        &self,
        group_id: &str,
        members: &[LeavingMember],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let (left, after_offset) = self.start_leave(group_id, members)?;
        self.durable(group_id, after_offset).await?;
        left
    }

    #[allow(
        clippy::type_complexity,
        reason = "a result per member inside the request's result"
    )]
    fn start_leave(
        &self,
        group_id: &str,
        members: &[LeavingMember],
    ) -> Result<(Result<Vec<Result<(), GroupError>>, GroupError>, i64), GroupError> {
        let now = self.now();
        let mut shard = self.open_shard(group_id)?;
        let left = shard.step(group_id, now, |group, settings| {
            group.leave(members, now, settings)
        });
        let after_offset = shard.groups.get(group_id).map_or(-1, |entry| entry.newest_record);
        drop(shard);
        self.deadlines_changed();
        let nobody = || Ok(members.iter().map(|_| Err(GroupError::UnknownMemberId)).collect());
        Ok((left.unwrap_or_else(nobody), after_offset))
    }

    /// Commits offsets; one result per offset.
    ///
    /// # Errors
    /// As Kafka refuses the whole request.
    pub async fn commit(&self, request: CommitRequest) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.ensure_offsets_topic().await?;
        let (results, after_offset) = self.start_commit(&request)?;
        self.durable(&request.group_id, after_offset).await?;
        Ok(results)
    }

    #[allow(
        clippy::type_complexity,
        reason = "a result per offset, and the offset to wait for"
    )]
    fn start_commit(
        &self,
        request: &CommitRequest,
    ) -> Result<(Vec<Result<(), GroupError>>, i64), GroupError> {
        let now = self.now();
        let checked: Vec<_> = request
            .offsets
            .iter()
            .map(|offset| self.check_offset(offset))
            .collect();
        let mut shard = self.open_shard(&request.group_id)?;
        let group_id = request.group_id.as_str();
        if !shard.groups.contains_key(group_id) {
            if request.generation >= 0 {
                return Err(GroupError::GroupIdNotFound);
            }
            shard
                .groups
                .insert(group_id.to_owned(), Entry::new(ClassicGroup::new(group_id, now)));
        }
        let instance = request.group_instance_id.as_deref();
        let validated = shard.step(group_id, now, |group, _| {
            let validated = group.validate_commit(&request.member_id, instance, request.generation, now);
            (validated, Effects::default())
        });
        validated.unwrap_or(Err(GroupError::UnknownMemberId))?;
        let expire_timestamp = request
            .retention_time_ms
            .map(|retention| now.wall_ms.saturating_add(retention));
        let mut records = Vec::new();
        for (offset, topic_id) in request.offsets.iter().zip(&checked) {
            if let Ok(topic_id) = topic_id {
                records.push(offset_record(
                    group_id,
                    offset,
                    *topic_id,
                    now.wall_ms,
                    expire_timestamp,
                ));
            }
        }
        let after_offset = if records.is_empty() {
            -1
        } else {
            shard.append(group_id, &records, now)?
        };
        Ok((
            checked.into_iter().map(|topic_id| topic_id.map(|_| ())).collect(),
            after_offset,
        ))
    }

    /// The topic's id, when the offset may be committed.
    fn check_offset(&self, offset: &OffsetToCommit) -> Result<[u8; 16], GroupError> {
        let topic = self.inner.topics.get(&offset.partition.topic);
        let topic = topic.ok_or(GroupError::UnknownTopicOrPartition)?;
        let index = usize::try_from(offset.partition.partition).ok();
        if index.is_none_or(|index| index >= topic.partitions.len()) {
            return Err(GroupError::UnknownTopicOrPartition);
        }
        // Java counts UTF-16 units.
        if offset.metadata.encode_utf16().count() > self.inner.config.offset_metadata_max_bytes {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        Ok(topic.id.0)
    }

    /// Committed offsets of the given partitions, or of all that have one.
    ///
    /// # Errors
    /// As Kafka refuses the whole group.
    pub async fn fetch(
        &self,
        group_id: &str,
        partitions: Option<&[GroupPartition]>,
    ) -> Result<Vec<FetchedOffset>, GroupError> {
        let (offsets, after_offset) = self.read_offsets(group_id, partitions)?;
        self.durable(group_id, after_offset).await?;
        Ok(offsets)
    }

    fn read_offsets(
        &self,
        group_id: &str,
        partitions: Option<&[GroupPartition]>,
    ) -> Result<(Vec<FetchedOffset>, i64), GroupError> {
        let shard = self.open_shard(group_id)?;
        let entry = shard.groups.get(group_id);
        let after_offset = entry.map_or(-1, |entry| entry.newest_record);
        let offsets = match partitions {
            Some(partitions) => partitions
                .iter()
                .map(|partition| {
                    let value =
                        entry.and_then(|entry| entry.offsets.get(&partition.topic, partition.partition));
                    fetched(partition.clone(), value)
                })
                .collect(),
            None => entry
                .iter()
                .flat_map(|entry| entry.offsets.iter())
                .map(|(topic, partition, value)| {
                    fetched(
                        GroupPartition {
                            topic: topic.to_owned(),
                            partition,
                        },
                        Some(value),
                    )
                })
                .collect(),
        };
        Ok((offsets, after_offset))
    }

    /// Removes committed offsets of topics the group is not subscribed to; one result per partition.
    ///
    /// # Errors
    /// As Kafka refuses the whole request.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        partitions: &[GroupPartition],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let (results, after_offset) = {
            let now = self.now();
            let mut shard = self.open_shard(group_id)?;
            let entry = shard.groups.get(group_id).ok_or(GroupError::GroupIdNotFound)?;
            entry.group.validate_offset_delete()?;
            let subscribed = |partition: &GroupPartition| entry.group.is_subscribed_to(&partition.topic);
            let results: Vec<_> = partitions
                .iter()
                .map(|partition| {
                    if subscribed(partition) {
                        Err(GroupError::GroupSubscribedToTopic)
                    } else {
                        Ok(())
                    }
                })
                .collect();
            let records: Vec<_> = partitions
                .iter()
                .filter(|partition| !subscribed(partition))
                .filter(|partition| entry.offsets.get(&partition.topic, partition.partition).is_some())
                .map(|partition| offsets::tombstone(group_id, &partition.topic, partition.partition))
                .collect();
            let after_offset = if records.is_empty() {
                -1
            } else {
                shard.append(group_id, &records, now)?
            };
            (results, after_offset)
        };
        self.durable(group_id, after_offset).await?;
        Ok(results)
    }

    /// Follows a group's rebalances: the value changes whenever the group's state does, so that members in this
    /// process need not wait for their next heartbeat.
    pub fn watch_rebalances(&self, group_id: &str) -> watch::Receiver<u64> {
        self.lock(self.shard_of(group_id)).watch(group_id)
    }

    /// Removes an empty group with its offsets.
    ///
    /// # Errors
    /// `NonEmptyGroup`, `GroupIdNotFound`.
    pub async fn delete_group(&self, group_id: &str) -> Result<(), GroupError> {
        let after_offset = {
            let now = self.now();
            let mut shard = self.open_shard(group_id)?;
            let entry = shard.groups.get(group_id).ok_or(GroupError::GroupIdNotFound)?;
            entry.group.validate_delete()?;
            let mut records: Vec<_> = entry
                .offsets
                .iter()
                .map(|(topic, partition, _)| offsets::tombstone(group_id, topic, partition))
                .collect();
            records.push(GroupRecord::Group {
                group: group_id.to_owned(),
                value: None,
            });
            let after_offset = shard.append(group_id, &records, now)?;
            shard.remove(group_id, now);
            after_offset
        };
        self.durable(group_id, after_offset).await
    }
}

fn offset_record(
    group_id: &str,
    offset: &OffsetToCommit,
    topic_id: [u8; 16],
    commit_timestamp: i64,
    expire_timestamp: Option<i64>,
) -> GroupRecord {
    GroupRecord::Offset {
        group: group_id.to_owned(),
        topic: offset.partition.topic.clone(),
        partition: offset.partition.partition,
        value: Some(OffsetValue {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata: offset.metadata.clone(),
            commit_timestamp,
            expire_timestamp,
            topic_id,
        }),
    }
}

fn fetched(partition: GroupPartition, value: Option<&OffsetValue>) -> FetchedOffset {
    match value {
        Some(value) => FetchedOffset {
            partition,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
        },
        None => FetchedOffset {
            partition,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
        },
    }
}

/// Takes a parked request out again when its requester goes away.
#[derive(Debug)]
struct Parked<'a> {
    groups: &'a Groups,
    shard: usize,
    ticket: Ticket,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.groups.lock(self.shard).forget(self.ticket);
    }
}
