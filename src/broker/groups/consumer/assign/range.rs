//! `range`: of each topic every subscriber gets a run of partitions, in the order of the members, so that topics with as
//! many partitions go together.

use std::collections::BTreeMap;

use jackfield_log::TopicId;

use super::{Assigned, Candidates};
use crate::groups::consumer::member::Assignment;

/// How far a topic is given out.
struct Topic {
    partitions: i32,
    /// Every subscriber gets at least so many.
    quota: i32,
    /// So many subscribers get one more.
    extra: i32,
    next: i32,
}

pub(super) fn assign(members: &Candidates<'_>, partitions: &dyn Fn(TopicId) -> i32) -> Assigned {
    let mut subscribers: BTreeMap<TopicId, i32> = BTreeMap::new();
    for topic in members.values().flat_map(|member| &member.topics) {
        *subscribers.entry(*topic).or_default() += 1;
    }
    let mut topics: BTreeMap<TopicId, Topic> = subscribers
        .into_iter()
        .map(|(topic, subscribers)| {
            let partitions = partitions(topic);
            let state = Topic {
                partitions,
                quota: partitions / subscribers,
                extra: partitions % subscribers,
                next: 0,
            };
            (topic, state)
        })
        .collect();
    let mut assigned = Assigned::new();
    for id in in_order(members) {
        let mut assignment = Assignment::new();
        for topic in &members[id].topics {
            let Some(state) = topics.get_mut(topic) else {
                continue;
            };
            let end = (state.next + state.quota + i32::from(state.extra > 0)).min(state.partitions);
            state.extra = (state.extra - 1).max(0);
            if state.next < end {
                assignment.insert(*topic, (state.next..end).collect());
            }
            state.next = end;
        }
        assigned.insert(id.to_owned(), assignment);
    }
    assigned
}

/// Static members by their instance ids, which outlive a restart; then the others by their own.
fn in_order<'a>(members: &Candidates<'a>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = members.keys().copied().collect();
    ids.sort_by_key(|id| {
        let instance = members[id].instance_id;
        (instance.is_none(), instance.unwrap_or(id))
    });
    ids
}
