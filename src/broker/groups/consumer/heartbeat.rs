//! ConsumerGroupHeartbeat of a member that joins or stays.

use std::collections::BTreeSet;

use super::{
    super::error::GroupError,
    group::ConsumerGroup,
    member::{
        Assignment, ConsumerMember, JOINING_EPOCH, LEAVING_EPOCH, LEAVING_STATIC_EPOCH, without_epochs,
    },
    outcome::{Outcome, Refusal, TimerChange, TimerKind, World},
    reconcile::{Reconcile, reconcile},
    records::ConsumerRecord,
    settings::ConsumerSettings,
};

/// A heartbeat; what is `None` did not change.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct ConsumerHeartbeat {
    pub group_id: String,
    pub member_id: String,
    /// 0 = joins, -1 = leaves, -2 = leaves and will come back.
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: Option<i32>,
    pub subscribed_topics: Option<BTreeSet<String>>,
    pub subscribed_regex: Option<String>,
    pub server_assignor: Option<String>,
    /// Partitions the member holds.
    pub owned: Option<Assignment>,
    pub client_id: String,
    /// `/address`, as Java prints it.
    pub client_host: String,
    /// The member made up its id (version 1 and newer).
    pub has_own_id: bool,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct ConsumerHeartbeatAnswer {
    pub member_id: String,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// `None` when it did not change.
    pub assignment: Option<Assignment>,
}

impl ConsumerHeartbeat {
    pub(crate) fn joins(&self) -> bool {
        self.member_epoch == JOINING_EPOCH
    }

    pub(crate) fn leaves(&self) -> bool {
        matches!(self.member_epoch, LEAVING_EPOCH | LEAVING_STATIC_EPOCH)
    }

    /// Checks what can be said without the group.
    pub(crate) fn validate(&self, settings: &ConsumerSettings) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::new(GroupError::InvalidRequest, message));
        let is_blank = |text: &str| text.trim().is_empty();
        let names_itself = self.has_own_id || self.member_epoch > 0 || self.member_epoch == LEAVING_EPOCH;
        if names_itself && is_blank(&self.member_id) {
            return invalid("MemberId can't be empty.");
        }
        if is_blank(&self.group_id) {
            return invalid("GroupId can't be empty.");
        }
        if self.instance_id.as_deref().is_some_and(is_blank) {
            return invalid("InstanceId can't be empty.");
        }
        if self.rack_id.as_deref().is_some_and(is_blank) {
            return invalid("RackId can't be empty.");
        }
        if self.joins() {
            if self.rebalance_timeout_ms.is_none() {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            if self.subscribed_topics.is_none() && self.subscribed_regex.is_none() {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
        } else if self.member_epoch == LEAVING_STATIC_EPOCH && self.instance_id.is_none() {
            return invalid("InstanceId can't be null.");
        } else if self.member_epoch < LEAVING_STATIC_EPOCH {
            return invalid("MemberEpoch is invalid.");
        }
        match &self.server_assignor {
            Some(name) if settings.assignor(name).is_none() => {
                let known: Vec<&str> = settings
                    .assignors
                    .iter()
                    .map(|assignor| assignor.name())
                    .collect();
                Err(Refusal::new(
                    GroupError::UnsupportedAssignor,
                    format!(
                        "ServerAssignor {name} is not supported. Supported assignors: {}.",
                        known.join(", ")
                    ),
                ))
            }
            // Here, because nobody waits for the group while an expression is compiled.
            _ => match self.subscribed_regex.as_deref() {
                None | Some("") => Ok(()),
                Some(regex) => super::regex::validate(regex),
            },
        }
    }

    /// A member that tells all there is to tell wants to be told all, too.
    fn is_full(&self) -> bool {
        let is_subscribed = self.subscribed_topics.is_some() || self.subscribed_regex.is_some();
        self.rebalance_timeout_ms.is_some() && is_subscribed && self.owned.is_some()
    }

    /// The member with what the heartbeat says of it.
    fn updated(&self, member: &ConsumerMember) -> ConsumerMember {
        let mut updated = member.clone();
        let metadata = &mut updated.metadata;
        metadata.instance_id = self.instance_id.clone().or(metadata.instance_id.take());
        metadata.rack_id = self.rack_id.clone().or(metadata.rack_id.take());
        metadata.rebalance_timeout_ms = self.rebalance_timeout_ms.unwrap_or(metadata.rebalance_timeout_ms);
        metadata.server_assignor = self.server_assignor.clone().or(metadata.server_assignor.take());
        if let Some(topics) = &self.subscribed_topics {
            metadata.subscribed_topics.clone_from(topics);
        }
        if let Some(regex) = &self.subscribed_regex {
            metadata.subscribed_regex.clone_from(regex);
        }
        metadata.client_id.clone_from(&self.client_id);
        metadata.client_host.clone_from(&self.client_host);
        metadata.classic = None;
        updated
    }
}

/// A member before and after a request, with the records written meanwhile.
pub(super) struct Change<'a> {
    pub(super) member: ConsumerMember,
    pub(super) updated: ConsumerMember,
    /// What the member says it holds.
    pub(super) owned: Option<&'a Assignment>,
    pub(super) records: Vec<ConsumerRecord>,
}

/// How far a change got.
pub(super) struct Changed {
    pub(super) updated: ConsumerMember,
    pub(super) records: Vec<ConsumerRecord>,
    pub(super) timers: Vec<TimerChange>,
    pub(super) checked_topics: Option<u64>,
    pub(super) resolve_regexes: bool,
}

impl ConsumerGroup {
    /// Handles a heartbeat that does not leave. The request is valid; its member has an id.
    pub(crate) fn heartbeat(
        &self,
        request: &ConsumerHeartbeat,
        world: World<'_>,
    ) -> Result<Outcome<ConsumerHeartbeatAnswer>, Refusal> {
        let (id, instance) = (request.member_id.as_str(), request.instance_id.as_deref());
        self.check_size(id, instance, world.settings.max_size)?;
        let existing = instance.and_then(|instance| self.static_member(instance));
        let member = match (instance, existing) {
            (None, _) | (Some(_), None) if request.joins() => {
                tracing::info!(group = %self.id, member = id, "member joins the consumer group");
                self.member(id)
                    .cloned()
                    .unwrap_or_else(|| ConsumerMember::new(id))
            }
            (Some(instance), Some(existing)) if request.joins() => {
                check_released(existing, id, instance)?;
                let (working, records, member) = self.with_static_member_replaced(existing, id);
                return working.heartbeat_of(member, request, world, records);
            }
            (None, _) => self.known_member(id)?.clone(),
            (Some(instance), _) => self.known_static_member(id, instance)?.clone(),
        };
        check_epoch(&member, request)?;
        self.heartbeat_of(member, request, world, Vec::new())
    }

    fn heartbeat_of(
        &self,
        member: ConsumerMember,
        request: &ConsumerHeartbeat,
        world: World<'_>,
        records: Vec<ConsumerRecord>,
    ) -> Result<Outcome<ConsumerHeartbeatAnswer>, Refusal> {
        let held_before = member.current.assigned.clone();
        let change = Change {
            updated: request.updated(&member),
            member,
            owned: request.owned.as_ref(),
            records,
        };
        let changed = self.change(change, world)?;
        let member = changed.updated;
        let tell = request.joins() || request.is_full() || member.current.assigned != held_before;
        let answer = ConsumerHeartbeatAnswer {
            member_epoch: member.current.epoch,
            heartbeat_interval_ms: world.settings.heartbeat_interval_ms,
            assignment: tell.then(|| without_epochs(&member.current.assigned)),
            member_id: member.id.clone(),
        };
        let mut timers = changed.timers;
        let session = u64::from(world.settings.session_timeout_ms);
        timers.push(TimerChange::Set(member.id, TimerKind::Session, session));
        Ok(Outcome {
            records: changed.records,
            timers,
            checked_topics: changed.checked_topics,
            checked_regexes: None,
            resolve_regexes: changed.resolve_regexes,
            value: answer,
        })
    }

    /// From what a member says of itself to what it is to hold: its record, the group's epoch, the target assignment, and
    /// the next step towards it.
    pub(super) fn change(&self, change: Change<'_>, world: World<'_>) -> Result<Changed, Refusal> {
        let Change {
            member,
            updated,
            owned,
            mut records,
        } = change;
        if updated != member {
            records.push(ConsumerRecord::Member(
                updated.id.clone(),
                Some(updated.metadata.clone()),
            ));
        }
        let names_changed = updated.metadata.subscribed_topics != member.metadata.subscribed_topics;
        let regex = self.regex_change(&member, &updated, world, &mut records);
        let other_counts = if updated.uses_classic_protocol() {
            // It can only give its expression up, and does not choose an assignor.
            regex.changed
        } else {
            // What a new expression matches is not known yet.
            regex.changed_and_resolved || self.changes_assignor(&updated, world.settings)
        };
        let must_bump = names_changed || other_counts;
        let (epoch, checked_topics) = self.next_epoch(must_bump, &updated, world, &mut records);
        let (target_epoch, target) = self.next_target(epoch, &updated, world, &mut records);
        let step = Reconcile {
            target_epoch,
            target: &target,
            subscription_changed: names_changed || regex.changed,
            owned,
        };
        let mut timers = Vec::new();
        let updated = self.reconcile_member(updated, &step, world, &mut records, &mut timers)?;
        Ok(Changed {
            updated,
            records,
            timers,
            checked_topics,
            resolve_regexes: regex.resolve,
        })
    }

    /// The group's epoch after the change, and which topics were looked at for it.
    fn next_epoch(
        &self,
        must_bump: bool,
        updated: &ConsumerMember,
        world: World<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> (i32, Option<u64>) {
        let version = world.topics.version();
        if !must_bump && self.checked_topics == Some(version) {
            return (self.epoch, None);
        }
        let subscriptions = self.subscriptions(self.members_with(updated));
        let hash = super::metadata_hash::metadata_hash(subscriptions.topics(), world.topics);
        let mut epoch = self.epoch;
        if must_bump || hash != self.metadata_hash {
            epoch += 1;
            tracing::info!(group = %self.id, epoch, "consumer group epoch");
            records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
        }
        if self.has_partition_metadata {
            records.push(ConsumerRecord::PartitionMetadata { is_tombstone: true });
        }
        (epoch, Some(version))
    }

    /// Takes a member one step towards its target, if it is not there.
    pub(super) fn reconcile_member(
        &self,
        member: ConsumerMember,
        step: &Reconcile<'_>,
        world: World<'_>,
        records: &mut Vec<ConsumerRecord>,
        timers: &mut Vec<TimerChange>,
    ) -> Result<ConsumerMember, Refusal> {
        if !step.subscription_changed && member.is_reconciled_to(step.target_epoch) {
            return Ok(member);
        }
        let subscribed = self.subscribed_ids(&member, world.topics);
        let next = reconcile(&member, step, &subscribed, |topic, partition| {
            self.is_held_by_another(&member.id, topic, partition)
        })?;
        if next != member {
            tracing::debug!(
                group = %self.id, member = %next.id, epoch = next.current.epoch, state = ?next.current.state, "member assignment"
            );
            records.push(ConsumerRecord::Current(
                next.id.clone(),
                Some(next.current.clone()),
            ));
            if !next.uses_classic_protocol() {
                timers.push(next.rebalance_timer());
            }
        }
        Ok(next)
    }

    /// A member that is new must find room. One that comes back under its instance id changes nothing.
    pub(super) fn check_size(
        &self,
        id: &str,
        instance: Option<&str>,
        max_size: usize,
    ) -> Result<(), Refusal> {
        let comes_back = instance.is_some_and(|instance| self.static_members.contains_key(instance));
        if comes_back || self.members.len() < max_size || self.members.contains_key(id) {
            return Ok(());
        }
        Err(Refusal::new(
            GroupError::GroupMaxSizeReached,
            format!("The consumer group has reached its maximum capacity of {max_size} members."),
        ))
    }

    pub(super) fn known_member(&self, id: &str) -> Result<&ConsumerMember, Refusal> {
        self.member(id).ok_or_else(|| {
            let message = format!("Member {id} is not a member of group {}.", self.id);
            Refusal::new(GroupError::UnknownMemberId, message)
        })
    }

    /// The member of an instance id, which must be the one that asks.
    pub(super) fn known_static_member(&self, id: &str, instance: &str) -> Result<&ConsumerMember, Refusal> {
        let member = self.static_member(instance).ok_or_else(|| {
            let message = format!("Instance id {instance} is unknown.");
            Refusal::new(GroupError::UnknownMemberId, message)
        })?;
        if member.id == id {
            return Ok(member);
        }
        tracing::info!(group = %self.id, instance, member = id, current = %member.id, "member is fenced");
        Err(Refusal::new(
            GroupError::FencedInstanceId,
            format!(
                "Static member {id} with instance id {instance} was fenced by member {}.",
                member.id
            ),
        ))
    }

    /// The group in which a static member is replaced by itself under a new id, with the records that do it.
    pub(super) fn with_static_member_replaced(
        &self,
        old: &ConsumerMember,
        id: &str,
    ) -> (Self, Vec<ConsumerRecord>, ConsumerMember) {
        tracing::info!(group = %self.id, former = %old.id, member = id, "static member comes back");
        let mut member = old.clone();
        id.clone_into(&mut member.id);
        member.current.epoch = JOINING_EPOCH;
        member.current.previous_epoch = JOINING_EPOCH;
        let mut records = super::leave::removal(&old.id).to_vec();
        records.push(ConsumerRecord::Member(
            member.id.clone(),
            Some(member.metadata.clone()),
        ));
        let target = self.target.get(&old.id).cloned().unwrap_or_default();
        records.push(ConsumerRecord::Target(member.id.clone(), Some(target)));
        records.push(ConsumerRecord::Current(
            member.id.clone(),
            Some(member.current.clone()),
        ));
        let mut group = self.clone();
        for record in &records {
            group.apply(record.clone());
        }
        (group, records, member)
    }
}

/// Another process may hold the instance id: only when it went away may a new one have it.
fn check_released(existing: &ConsumerMember, id: &str, instance: &str) -> Result<(), Refusal> {
    if existing.uses_classic_protocol() || existing.current.epoch == LEAVING_STATIC_EPOCH {
        return Ok(());
    }
    let owner = &existing.id;
    tracing::info!(member = id, instance, %owner, "instance id is not released");
    Err(Refusal::new(
        GroupError::UnreleasedInstanceId,
        format!(
            "Static member {id} with instance id {instance} cannot join the group because the instance id is owned by \
             {owner} member."
        ),
    ))
}

fn check_epoch(member: &ConsumerMember, request: &ConsumerHeartbeat) -> Result<(), Refusal> {
    let (received, current) = (request.member_epoch, &member.current);
    if request.joins() || received == current.epoch {
        return Ok(());
    }
    // The answer with the newer epoch may have been lost.
    let holds_less = request.owned.as_ref().is_some_and(|owned| {
        owned.iter().all(|(topic, partitions)| {
            let mut partitions = partitions.iter();
            partitions.all(|partition| super::member::holds(&current.assigned, *topic, *partition))
        })
    });
    if received < current.epoch && received == current.previous_epoch && holds_less {
        return Ok(());
    }
    let compared = if received > current.epoch {
        "greater"
    } else {
        "smaller"
    };
    Err(Refusal::new(
        GroupError::FencedMemberEpoch,
        format!(
            "The consumer group member has a {compared} member epoch ({received}) than the one known by the group \
             coordinator ({}). The member must abandon all its partitions and rejoin.",
            current.epoch
        ),
    ))
}
