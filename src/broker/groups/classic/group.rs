//! A classic group: its state, members and the questions asked about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{
    effects::{Effects, Joined, JoinedMember, Now},
    member::{Member, Protocol, timeout_ms},
    timers::JoinTimer,
};
use crate::groups::{
    consumer_protocol,
    describe::{DescribedGroup, DescribedMember},
    error::GroupError,
    records::{GroupRecord, GroupValue, MemberValue},
};

/// Protocol type of consumers.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// States of a classic group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; may hold offsets.
    Empty,
    /// Waits for members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Everyone has its assignment.
    Stable,
    /// Removed.
    Dead,
}

impl State {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// A classic group.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) previous_state: State,
    /// Wall-clock time of the last state change; `None` when a record of an old Kafka did not hold it.
    pub(super) state_since_ms: Option<i64>,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) generation: i32,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Member id by instance id.
    pub(super) static_members: HashMap<String, String>,
    /// Members that were given an id and have not come back with it, with their deadline.
    pub(super) pending_joins: BTreeMap<String, u64>,
    /// Members of this generation that have not sent their sync.
    pub(super) pending_syncs: BTreeSet<String>,
    /// How many members support a protocol.
    supporters: HashMap<String, usize>,
    /// Topics of all consumers; `None` when the members are no consumers, or not understood.
    subscribed_topics: Option<BTreeSet<String>>,
    /// Another member came during the initial rebalance.
    pub(super) new_member_added: bool,
    pub(super) join_timer: Option<JoinTimer>,
    pub(super) sync_deadline: Option<u64>,
}

impl ClassicGroup {
    /// An empty group.
    pub(crate) fn new(id: &str, now: Now) -> Self {
        Self {
            id: id.to_owned(),
            state: State::Empty,
            previous_state: State::Dead,
            state_since_ms: Some(now.wall_ms),
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            supporters: HashMap::new(),
            subscribed_topics: None,
            new_member_added: false,
            join_timer: None,
            sync_deadline: None,
        }
    }

    /// A group as its record holds it: Stable with members, Empty without. Members have a full session from now.
    pub(crate) fn restored(id: &str, value: GroupValue, now: Now) -> Self {
        let mut group = Self::new(id, now);
        group.state = if value.members.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        group.state_since_ms = Some(value.current_state_timestamp).filter(|time| *time != -1);
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        group.generation = value.generation;
        group.leader = value.leader;
        let protocol = value.protocol.clone().unwrap_or_default();
        group.protocol_name = value.protocol;
        for member in value.members {
            let deadline = now.monotonic_ms + timeout_ms(member.session_timeout_ms);
            group.insert(Member::restored(member, &protocol, deadline));
        }
        group.understand_subscriptions();
        group
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    #[cfg(test)]
    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn transition_to(&mut self, state: State, now: Now) {
        tracing::debug!(group = %self.id, from = ?self.state, to = ?state, generation = self.generation, "group state");
        self.previous_state = self.state;
        self.state = state;
        self.state_since_ms = Some(now.wall_ms);
    }

    /// Ends the group: it answers nothing any more.
    pub(crate) fn die(&mut self, now: Now) {
        self.transition_to(State::Dead, now);
        self.join_timer = None;
        self.sync_deadline = None;
        self.pending_joins.clear();
    }

    /// Adds a member; the first one decides the protocol type and leads.
    pub(super) fn insert(&mut self, member: Member) {
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.count_support(&member.protocols, true);
        self.pending_joins.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member or a pending member; another member leads when it was the leader.
    pub(super) fn remove(&mut self, member_id: &str) -> Option<Member> {
        let removed = self.members.remove(member_id);
        if let Some(member) = &removed {
            self.count_support(&member.protocols, false);
            if let Some(instance) = &member.group_instance_id {
                self.static_members.remove(instance);
            }
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
        removed
    }

    /// Replaces what a member supports.
    pub(super) fn set_protocols(&mut self, member_id: &str, protocols: Vec<Protocol>) {
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        let old = std::mem::replace(&mut member.protocols, protocols.clone());
        self.count_support(&old, false);
        self.count_support(&protocols, true);
    }

    fn count_support(&mut self, protocols: &[Protocol], add: bool) {
        for protocol in protocols {
            let count = self.supporters.entry(protocol.name.clone()).or_default();
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }

    fn supported_by_all(&self, protocol: &str) -> bool {
        self.supporters
            .get(protocol)
            .is_some_and(|count| *count == self.members.len())
    }

    /// Whether someone with these protocols fits into the group.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && (self.members.is_empty() && !protocols.is_empty()
                || protocols
                    .iter()
                    .any(|protocol| self.supported_by_all(&protocol.name)))
    }

    /// The protocol with the most votes among those everyone supports; the first in name order when tied.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(vote) = member.vote(|protocol| self.supported_by_all(protocol)) {
                *votes.entry(vote).or_default() += 1;
            }
        }
        let best = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == best)
            .map(|(name, _)| name.to_owned())
    }

    pub(super) fn awaiting_join_count(&self) -> usize {
        self.members
            .values()
            .filter(|member| member.awaiting_join.is_some())
            .count()
    }

    pub(super) fn has_all_members_joined(&self) -> bool {
        self.pending_joins.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The longest rebalance timeout of all members.
    pub(super) fn rebalance_timeout_ms(&self) -> u64 {
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0);
        timeout_ms(longest)
    }

    /// Checks that a request comes from a current member.
    pub(super) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(current) if current != member_id => {
                    tracing::info!(group = %self.id, instance = instance_id, member = member_id, "member is fenced");
                    return Err(GroupError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        }
    }

    /// Starts the next generation, or empties the group when nobody is left.
    pub(super) fn init_next_generation(&mut self, now: Now) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol_name = self.select_protocol();
        self.understand_subscriptions();
        self.pending_syncs.clear();
        let next = if self.members.is_empty() {
            State::Empty
        } else {
            State::CompletingRebalance
        };
        self.transition_to(next, now);
    }

    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    pub(super) fn understand_subscriptions(&mut self) {
        self.subscribed_topics = self.compute_subscribed_topics();
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            match consumer_protocol::Subscription::decode(&member.metadata(protocol)) {
                Ok(subscription) => topics.extend(subscription.topics),
                Err(error) => {
                    tracing::warn!(group = %self.id, %error, "a member's subscription is not understood");
                    return None;
                }
            }
        }
        Some(topics)
    }

    /// Whether offsets of the topic are in use by members.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// From when on an offset committed at `commit_ms` ages; `None` while offsets of this group do not expire.
    pub(crate) fn offsets_age_from(&self, commit_ms: i64) -> Option<i64> {
        if self.protocol_type.is_none() {
            return Some(commit_ms);
        }
        match self.state {
            State::Empty => Some(self.state_since_ms.unwrap_or(commit_ms)),
            State::Stable if self.is_consumer_group() && self.subscribed_topics.is_some() => Some(commit_ms),
            _ => None,
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn validate_delete(&self) -> Result<(), GroupError> {
        match self.state {
            State::Dead => Err(GroupError::GroupIdNotFound),
            State::Empty => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Whether offsets of topics without subscription may be deleted.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), GroupError> {
        match self.state {
            State::Dead => Err(GroupError::GroupIdNotFound),
            State::Empty => Ok(()),
            _ if self.is_consumer_group() => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// The join answer for a member of the current generation.
    pub(super) fn joined(&self, member_id: &str, with_members: bool) -> Joined {
        Joined {
            member_id: member_id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if with_members {
                self.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let member = |member: &Member| JoinedMember {
            member_id: member.id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.values().map(member).collect()
    }

    /// Ids of the members that a client of this name joined.
    pub(crate) fn members_of_client(&self, client_id: &str) -> Vec<String> {
        let members = self.members.values();
        let of_client = members.filter(|member| member.client_id == client_id);
        of_client.map(|member| member.id.clone()).collect()
    }

    /// Empty when no member ever joined.
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The group as it is now. As in Kafka, what members are assigned is told of a stable group only.
    pub(crate) fn described(&self) -> DescribedGroup {
        let protocol = self
            .protocol_name
            .as_deref()
            .filter(|_| self.state == State::Stable);
        let member = |member: &Member| DescribedMember {
            member_id: member.id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
            assignment: protocol.map_or_else(Bytes::new, |_| member.assignment.clone()),
        };
        DescribedGroup {
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self.members.values().map(member).collect(),
        }
    }

    /// The group's record with the given assignment (missing members get an empty one).
    pub(super) fn record(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupRecord {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let member = |member: &Member| MemberValue {
            member_id: member.id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment(member),
        };
        let value = GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since_ms.unwrap_or(-1),
            members: self.members.values().map(member).collect(),
        };
        GroupRecord::Group {
            group: self.id.clone(),
            value: Some(value),
        }
    }

    /// The record that makes a group durable that has had no generation yet.
    pub(crate) fn record_of_new_group(&self) -> GroupRecord {
        let value = GroupValue {
            protocol_type: String::new(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: self.state_since_ms.unwrap_or(-1),
            members: Vec::new(),
        };
        GroupRecord::Group {
            group: self.id.clone(),
            value: Some(value),
        }
    }

    /// Answers a member's parked join, if there is one.
    pub(super) fn refuse_parked_join(
        &mut self,
        member_id: &str,
        error: GroupError,
        answer_id: &str,
        out: &mut Effects,
    ) {
        let ticket = self
            .members
            .get_mut(member_id)
            .and_then(|member| member.awaiting_join.take());
        if let Some(ticket) = ticket {
            out.refuse_join(ticket, error, answer_id);
        }
    }
}
