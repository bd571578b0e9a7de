//! A consumer group: what its records say, and the questions asked about it.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::classic::effects::Now,
    member::{Assignment, ConsumerMember, CurrentAssignment, LEAVING_EPOCH},
    outcome::{Outcome, TimerChange, TimerKind},
    records::{ConsumerRecord, ResolvedRegex},
};

/// Epoch of a group before its first record.
const FIRST_EPOCH: i32 = 1;

/// States of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; may hold offsets.
    Empty,
    /// The target assignment is behind the group.
    Assigning,
    /// Members are on their way to the target assignment.
    Reconciling,
    /// Everyone has what it is to have.
    Stable,
}

impl State {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// A consumer group.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerGroup {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) metadata_hash: i64,
    pub(super) assignment_epoch: i32,
    /// Wall-clock time of the target assignment; 0 = unknown.
    pub(super) assignment_timestamp_ms: i64,
    pub(super) members: BTreeMap<String, ConsumerMember>,
    /// Member id by instance id.
    pub(super) static_members: HashMap<String, String>,
    /// What each member is to have.
    pub(super) target: BTreeMap<String, Assignment>,
    pub(super) regexes: BTreeMap<String, ResolvedRegex>,
    /// There is a record of an older Kafka that has no meaning any more.
    pub(super) has_partition_metadata: bool,
    /// Version of the topics the group was last compared with.
    pub(super) checked_topics: Option<u64>,
    /// Version of the topics the regular expressions were last matched with.
    pub(super) checked_regexes: Option<u64>,
    /// Monotonic time at which something is due, by member and kind.
    timers: BTreeMap<String, BTreeMap<TimerKind, u64>>,
}

impl ConsumerGroup {
    /// A group without members.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            assignment_epoch: FIRST_EPOCH,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            target: BTreeMap::new(),
            regexes: BTreeMap::new(),
            has_partition_metadata: false,
            checked_topics: None,
            checked_regexes: None,
            timers: BTreeMap::new(),
        }
    }

    /// Takes over what a record says. The end of the group is its keeper's matter.
    pub(crate) fn apply(&mut self, record: ConsumerRecord) {
        match record {
            ConsumerRecord::Epoch(Some((epoch, hash))) => {
                self.epoch = epoch;
                self.metadata_hash = hash;
            }
            ConsumerRecord::Epoch(None) => {}
            ConsumerRecord::PartitionMetadata { is_tombstone } => self.has_partition_metadata = !is_tombstone,
            ConsumerRecord::Member(id, Some(metadata)) => {
                let member = self.member_or_new(&id);
                let old_instance = std::mem::replace(&mut member.metadata, metadata).instance_id;
                let instance = member.metadata.instance_id.clone();
                if let Some(old) = old_instance {
                    self.static_members.remove(&old);
                }
                if let Some(instance) = instance {
                    self.static_members.insert(instance, id);
                }
            }
            ConsumerRecord::Member(id, None) => self.remove(&id),
            ConsumerRecord::TargetEpoch(value) => {
                (self.assignment_epoch, self.assignment_timestamp_ms) = value.unwrap_or((-1, 0));
            }
            ConsumerRecord::Target(id, Some(target)) => {
                self.target.insert(id, target);
            }
            ConsumerRecord::Target(id, None) => {
                self.target.remove(&id);
            }
            ConsumerRecord::Current(id, Some(current)) => self.member_or_new(&id).current = current,
            ConsumerRecord::Current(id, None) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.current = CurrentAssignment {
                        epoch: LEAVING_EPOCH,
                        previous_epoch: LEAVING_EPOCH,
                        ..CurrentAssignment::default()
                    };
                }
            }
            ConsumerRecord::Regex(regex, Some(resolved)) => {
                self.regexes.insert(regex, resolved);
            }
            ConsumerRecord::Regex(regex, None) => {
                self.regexes.remove(&regex);
            }
        }
    }

    fn member_or_new(&mut self, id: &str) -> &mut ConsumerMember {
        self.members
            .entry(id.to_owned())
            .or_insert_with_key(|id| ConsumerMember::new(id))
    }

    fn remove(&mut self, id: &str) {
        self.timers.remove(id);
        let instance = self
            .members
            .remove(id)
            .and_then(|member| member.metadata.instance_id);
        if let Some(instance) = instance {
            // A member that took its place may already be there.
            if self
                .static_members
                .get(&instance)
                .is_some_and(|member| member == id)
            {
                self.static_members.remove(&instance);
            }
        }
    }

    pub(crate) fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.assignment_epoch {
            State::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(self.assignment_epoch))
        {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(crate) fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &ConsumerMember> {
        self.members.values()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&ConsumerMember> {
        self.members.get(id)
    }

    pub(super) fn static_member(&self, instance: &str) -> Option<&ConsumerMember> {
        self.members.get(self.static_members.get(instance)?)
    }

    /// Whether another member holds a partition, be it only until it has given it up.
    pub(super) fn is_held_by_another(
        &self,
        member: &str,
        topic: jackfield_log::TopicId,
        partition: i32,
    ) -> bool {
        self.members
            .values()
            .any(|other| other.id != member && other.holds(topic, partition))
    }

    /// Whether offsets of the topic are in use by members.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        let by_name = |member: &ConsumerMember| member.metadata.subscribed_topics.contains(topic);
        self.regexes
            .values()
            .any(|resolved| resolved.topics.contains(topic))
            || self.members.values().any(by_name)
    }

    /// Ids of the members that a client of this name joined.
    pub(crate) fn members_of_client(&self, client_id: &str) -> Vec<String> {
        let of_client = self
            .members
            .values()
            .filter(|member| member.metadata.client_id == client_id);
        of_client.map(|member| member.id.clone()).collect()
    }

    /// What takes effect after a step's records: the topics it looked at, and its timers.
    pub(crate) fn settle<T>(&mut self, outcome: &mut Outcome<T>, now: Now) {
        self.checked_topics = outcome.checked_topics.or(self.checked_topics);
        self.checked_regexes = outcome.checked_regexes.or(self.checked_regexes);
        self.set_timers(std::mem::take(&mut outcome.timers), now);
    }

    pub(crate) fn set_timers(&mut self, timers: Vec<TimerChange>, now: Now) {
        for change in timers {
            // A step may have put out a member whose timers were set before.
            if !self.members.contains_key(change.member()) {
                continue;
            }
            match change {
                TimerChange::Set(member, kind, after_ms) => {
                    let deadline = now.monotonic_ms + after_ms;
                    self.timers.entry(member).or_default().insert(kind, deadline);
                }
                TimerChange::SetIfAbsent(member, kind, after_ms) => {
                    let deadline = now.monotonic_ms + after_ms;
                    self.timers
                        .entry(member)
                        .or_default()
                        .entry(kind)
                        .or_insert(deadline);
                }
                TimerChange::Cancel(member, kind) => {
                    if let Some(timers) = self.timers.get_mut(&member) {
                        timers.remove(&kind);
                    }
                }
            }
        }
    }

    /// Monotonic time of the next thing to do by itself.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.values().flat_map(BTreeMap::values).min().copied()
    }

    /// Members whose time is over, and why.
    pub(crate) fn overdue(&self, now: Now) -> Vec<(String, TimerKind)> {
        let due = |timers: &BTreeMap<TimerKind, u64>| {
            let mut due = timers
                .iter()
                .filter(|(_, deadline)| **deadline <= now.monotonic_ms);
            due.next().map(|(kind, _)| *kind)
        };
        self.timers
            .iter()
            .filter_map(|(member, timers)| Some((member.clone(), due(timers)?)))
            .collect()
    }
}
