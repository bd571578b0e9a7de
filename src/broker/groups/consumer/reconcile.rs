//! One step of a member from what it holds towards what it is to hold: first it gives up, then it gets.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_log::TopicId;

use super::{
    super::error::GroupError,
    member::{Assignment, ConsumerMember, HeldPartitions, MemberState, holds},
    outcome::Refusal,
};

/// Where a member is to go.
pub(super) struct Reconcile<'a> {
    pub(super) target_epoch: i32,
    pub(super) target: &'a Assignment,
    /// What it holds of topics it is not subscribed to any more goes at once.
    pub(super) subscription_changed: bool,
    /// What the member says it holds; `None` when it did not change.
    pub(super) owned: Option<&'a Assignment>,
}

/// The member after the step.
///
/// # Errors
/// `FencedMemberEpoch` for a member whose state was written by a newer Kafka.
pub(super) fn reconcile(
    member: &ConsumerMember,
    step: &Reconcile<'_>,
    subscribed: &BTreeSet<TopicId>,
    is_held_by_another: impl Fn(TopicId, i32) -> bool,
) -> Result<ConsumerMember, Refusal> {
    let next = || next_assignment(member, step, subscribed, &is_held_by_another);
    Ok(match member.current.state {
        MemberState::Stable if member.current.epoch != step.target_epoch => next(),
        MemberState::Stable if step.subscription_changed => without_unsubscribed(member, step, subscribed),
        MemberState::Stable => member.clone(),
        MemberState::UnrevokedPartitions if !owns_any(step.owned, &member.current.pending_revocation) => {
            next()
        }
        MemberState::UnrevokedPartitions if step.subscription_changed => {
            without_unsubscribed(member, step, subscribed)
        }
        MemberState::UnrevokedPartitions => member.clone(),
        MemberState::UnreleasedPartitions => next(),
        MemberState::Unknown if step.owned.is_none_or(|owned| !owned.is_empty()) => {
            return Err(Refusal::new(
                GroupError::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.",
            ));
        }
        MemberState::Unknown => next_assignment(
            &member.at_epoch(step.target_epoch),
            step,
            subscribed,
            &is_held_by_another,
        ),
    })
}

/// Whether the member may still hold one of these; what it does not tell of may be all.
fn owns_any(owned: Option<&Assignment>, held: &HeldPartitions) -> bool {
    owned.is_none_or(|owned| {
        owned.iter().any(|(topic, partitions)| {
            let mut partitions = partitions.iter();
            partitions.any(|partition| holds(held, *topic, *partition))
        })
    })
}

/// Takes away what belongs to topics the member is not subscribed to any more.
fn without_unsubscribed(
    member: &ConsumerMember,
    step: &Reconcile<'_>,
    subscribed: &BTreeSet<TopicId>,
) -> ConsumerMember {
    let current = &member.current;
    let (kept, gone): (HeldPartitions, HeldPartitions) = current
        .assigned
        .clone()
        .into_iter()
        .partition(|(topic, _)| subscribed.contains(topic));
    if gone.is_empty() {
        return member.clone();
    }
    let mut pending = current.pending_revocation.clone();
    for (topic, partitions) in gone {
        pending.entry(topic).or_default().extend(partitions);
    }
    let mut next = member.at_epoch(current.epoch);
    next.current.assigned = kept;
    if owns_any(step.owned, &pending) {
        next.current.state = MemberState::UnrevokedPartitions;
        next.current.pending_revocation = pending;
    }
    next
}

/// Partitions of a topic, sorted by what happens to them.
#[derive(Default)]
struct Sorted {
    kept: HeldPartitions,
    to_revoke: HeldPartitions,
    to_assign: Assignment,
    has_unreleased: bool,
}

fn next_assignment(
    member: &ConsumerMember,
    step: &Reconcile<'_>,
    subscribed: &BTreeSet<TopicId>,
    is_held_by_another: &impl Fn(TopicId, i32) -> bool,
) -> ConsumerMember {
    let mut sorted = Sorted::default();
    let nothing = BTreeSet::new();
    let topics: BTreeSet<TopicId> = step
        .target
        .keys()
        .chain(member.current.assigned.keys())
        .copied()
        .collect();
    for topic in topics {
        let target = step
            .target
            .get(&topic)
            .filter(|_| subscribed.contains(&topic))
            .unwrap_or(&nothing);
        let held = member.current.assigned.get(&topic).cloned().unwrap_or_default();
        let (kept, to_revoke): (BTreeMap<i32, i32>, BTreeMap<i32, i32>) = held
            .into_iter()
            .partition(|(partition, _)| target.contains(partition));
        let missing = target
            .iter()
            .copied()
            .filter(|partition| !kept.contains_key(partition));
        let (unreleased, to_assign): (BTreeSet<i32>, BTreeSet<i32>) =
            missing.partition(|partition| is_held_by_another(topic, *partition));
        sorted.has_unreleased |= !unreleased.is_empty();
        put(&mut sorted.kept, topic, kept, BTreeMap::is_empty);
        put(&mut sorted.to_revoke, topic, to_revoke, BTreeMap::is_empty);
        put(&mut sorted.to_assign, topic, to_assign, BTreeSet::is_empty);
    }
    sorted.next(member, step)
}

fn put<T>(map: &mut BTreeMap<TopicId, T>, topic: TopicId, value: T, is_empty: impl Fn(&T) -> bool) {
    if !is_empty(&value) {
        map.insert(topic, value);
    }
}

impl Sorted {
    fn next(self, member: &ConsumerMember, step: &Reconcile<'_>) -> ConsumerMember {
        if !self.to_revoke.is_empty() && owns_any(step.owned, &self.to_revoke) {
            let mut next = member.at_epoch(member.current.epoch);
            next.current.state = MemberState::UnrevokedPartitions;
            next.current.assigned = self.kept;
            next.current.pending_revocation = self.to_revoke;
            return next;
        }
        let mut next = member.at_epoch(step.target_epoch);
        next.current.state = if self.has_unreleased {
            MemberState::UnreleasedPartitions
        } else {
            MemberState::Stable
        };
        next.current.assigned = self.kept;
        next.current.pending_revocation = HeldPartitions::new();
        for (topic, partitions) in self.to_assign {
            let at = partitions
                .into_iter()
                .map(|partition| (partition, step.target_epoch));
            next.current.assigned.entry(topic).or_default().extend(at);
        }
        next
    }
}
