//! `uniform` for members with one subscription: as many partitions for each, moved as little as possible.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jackfield_log::TopicId;

use super::{Assigned, Candidates};
use crate::groups::consumer::member::Assignment;

pub(super) fn assign(members: &Candidates<'_>, partitions: &dyn Fn(TopicId) -> i32) -> Assigned {
    let topics = members
        .values()
        .next()
        .map(|member| member.topics.clone())
        .unwrap_or_default();
    if topics.is_empty() {
        return Assigned::new();
    }
    let counts: BTreeMap<TopicId, i32> = topics.iter().map(|topic| (*topic, partitions(*topic))).collect();
    let total: usize = counts
        .values()
        .map(|count| usize::try_from(*count).unwrap_or(0))
        .sum();
    let mut unassigned = unassigned(members, &counts);
    let (mut assigned, room) = keep(members, &counts, total, &mut unassigned);
    for (id, room) in room {
        let target: &mut Assignment = assigned.entry(id.to_owned()).or_default();
        let count = room.min(unassigned.len());
        for (topic, partition) in unassigned.drain(..count) {
            target.entry(topic).or_default().insert(partition);
        }
    }
    assigned
}

fn unassigned(members: &Candidates<'_>, counts: &BTreeMap<TopicId, i32>) -> VecDeque<(TopicId, i32)> {
    let mut taken: BTreeMap<TopicId, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partitions) in members.values().filter_map(|member| member.previous).flatten() {
        taken.entry(*topic).or_default().extend(partitions);
    }
    let all = counts
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition)));
    let is_free = |(topic, partition): &(TopicId, i32)| {
        taken
            .get(topic)
            .is_none_or(|partitions| !partitions.contains(partition))
    };
    all.filter(is_free).collect()
}

/// What every member keeps of its own, and who has room for how many more. What does not fit becomes unassigned.
fn keep<'a>(
    members: &Candidates<'a>,
    counts: &BTreeMap<TopicId, i32>,
    total: usize,
    unassigned: &mut VecDeque<(TopicId, i32)>,
) -> (Assigned, Vec<(&'a str, usize)>) {
    let (quota, mut extra) = (total / members.len(), total % members.len());
    let (mut assigned, mut room) = (Assigned::new(), Vec::new());
    let mut following = members.len();
    for (id, member) in members {
        // This member and all that follow.
        let left = following;
        following -= 1;
        let mut takes_extra = extra > 0;
        let mut free = quota + usize::from(takes_extra);
        let mut kept = Assignment::new();
        for (topic, partitions) in member.previous.into_iter().flatten() {
            let Some(count) = counts.get(topic) else { continue };
            for partition in partitions.iter().copied().filter(|partition| partition < count) {
                if free > 0 {
                    free -= 1;
                    kept.entry(*topic).or_default().insert(partition);
                } else {
                    unassigned.push_back((*topic, partition));
                }
            }
        }
        if free > 0 && takes_extra && left > extra {
            // Another one may already hold the partition too many.
            free -= 1;
            takes_extra = false;
        }
        if free > 0 {
            room.push((*id, free));
        }
        extra -= usize::from(takes_extra);
        assigned.insert((*id).to_owned(), kept);
    }
    (assigned, room)
}
