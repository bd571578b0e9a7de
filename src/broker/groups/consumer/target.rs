//! The target assignment: which assignor computes it, and what changes with it.

use std::collections::BTreeMap;

use super::{
    assign::{self, Candidate},
    group::ConsumerGroup,
    member::{Assignment, ConsumerMember},
    outcome::World,
    records::ConsumerRecord,
    settings::{Assignor, ConsumerSettings},
};

impl ConsumerGroup {
    /// The assignor most members want; the first in name order when tied.
    pub(super) fn preferred_assignor(
        &self,
        updated: Option<&ConsumerMember>,
        settings: &ConsumerSettings,
    ) -> Assignor {
        let updated_id = updated.map(|member| member.id.as_str());
        let others = self
            .members
            .values()
            .filter(|member| Some(member.id.as_str()) != updated_id);
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in others
            .chain(updated)
            .filter_map(|member| member.metadata.server_assignor.as_deref())
        {
            *votes.entry(name).or_default() += 1;
        }
        // Of several maxima the first: `max_by_key` would take the last.
        let best = votes.iter().rev().max_by_key(|(_, count)| **count);
        best.and_then(|(name, _)| settings.assignor(name))
            .unwrap_or_else(|| settings.default_assignor())
    }

    /// Whether another assignor is to be taken once the member is what it says now.
    pub(super) fn changes_assignor(&self, updated: &ConsumerMember, settings: &ConsumerSettings) -> bool {
        self.preferred_assignor(None, settings) != self.preferred_assignor(Some(updated), settings)
    }

    /// The target assignment of the changed member and its epoch; computed anew when the group has a newer epoch.
    pub(super) fn next_target(
        &self,
        epoch: i32,
        updated: &ConsumerMember,
        world: World<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> (i32, Assignment) {
        let last = || self.target.get(&updated.id).cloned().unwrap_or_default();
        if self.assignment_epoch >= epoch || !self.may_assign_again(world) {
            return (self.assignment_epoch, last());
        }
        let subscriptions = self.subscriptions(self.members_with(updated));
        let candidates: BTreeMap<&str, Candidate<'_>> = self
            .members_with(updated)
            .map(|member| {
                let candidate = Candidate {
                    instance_id: member.metadata.instance_id.as_deref(),
                    topics: self.subscribed_ids(member, world.topics),
                    previous: self.target.get(&member.id),
                };
                (member.id.as_str(), candidate)
            })
            .collect();
        let count = |topic| world.topics.by_id(topic).map_or(0, |(_, partitions)| partitions);
        let assignor = self.preferred_assignor(Some(updated), world.settings);
        let mut assigned = assign::assign(assignor, &candidates, subscriptions.are_homogeneous(), &count);
        let mut own = Assignment::new();
        for id in candidates.keys().copied() {
            let target = assigned.remove(id).unwrap_or_default();
            if id == updated.id {
                own.clone_from(&target);
            }
            if self.target.get(id) != Some(&target) {
                records.push(ConsumerRecord::Target(id.to_owned(), Some(target)));
            }
        }
        records.push(ConsumerRecord::TargetEpoch(Some((epoch, world.now.wall_ms))));
        tracing::info!(group = %self.id, epoch, assignor = assignor.name(), members = candidates.len(), "target assignment");
        (epoch, own)
    }

    /// Many members that come at once are not each worth an assignment.
    fn may_assign_again(&self, world: World<'_>) -> bool {
        let (since, interval) = (
            self.assignment_timestamp_ms,
            world.settings.assignment_interval_ms,
        );
        since == 0 || interval == 0 || world.now.wall_ms >= since.saturating_add(interval)
    }
}
