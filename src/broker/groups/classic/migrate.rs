//! A classic group that becomes a consumer group, or was one.

use bytes::Bytes;

use super::{
    effects::{Effects, Joined, Now, Settings},
    group::{CONSUMER_PROTOCOL_TYPE, ClassicGroup, State},
    member::Member,
};
use crate::groups::{error::GroupError, records::GroupRecord};

impl ClassicGroup {
    /// A group of consumers with their assignments, in the generation that their consumer group was in.
    pub(crate) fn of_consumers(id: &str, generation: i32, members: Vec<Member>, now: Now) -> Self {
        let mut group = Self::new(id, now);
        group.state = State::Stable;
        group.generation = generation;
        group.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.to_owned());
        for member in members {
            group.insert(member);
        }
        group.protocol_name = group.select_protocol();
        group.understand_subscriptions();
        group
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// A member's metadata under the group's protocol, or under its own first one before the first generation.
    pub(crate) fn metadata_of(&self, member: &Member) -> Bytes {
        match &self.protocol_name {
            Some(name) => member.metadata(name),
            None => member
                .protocols
                .first()
                .map(|protocol| protocol.metadata.clone())
                .unwrap_or_default(),
        }
    }

    /// The group's record as it is now.
    pub(crate) fn current_record(&self) -> GroupRecord {
        self.record(|member| member.assignment.clone())
    }

    /// The join answer of a member that the group was made with.
    pub(crate) fn joined_of_migrated(&self, member_id: &str) -> Joined {
        self.joined(member_id, false)
    }

    /// Everyone is to join again.
    pub(crate) fn rebalance(&mut self, now: Now, settings: &Settings) -> Effects {
        let mut out = Effects::default();
        self.prepare_rebalance(None, now, settings, &mut out);
        out
    }

    /// Sends every parked request away.
    pub(crate) fn refuse_parked(&mut self, error: GroupError) -> Effects {
        let mut out = Effects::default();
        for member in self.members.values_mut() {
            if let Some(join) = member.awaiting_join.take() {
                out.refuse_join(join, error, &member.id);
            }
            if let Some(sync) = member.awaiting_sync.take() {
                out.synced(sync, Err(error));
            }
        }
        out
    }
}
