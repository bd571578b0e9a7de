//! `uniform` for members with different subscriptions: topic by topic the least loaded subscriber gets the next partition,
//! then loads are levelled between the subscribers of each topic until nothing moves.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_log::TopicId;

use super::{Assigned, Candidates};
use crate::groups::consumer::member::Assignment;

/// Rounds of levelling; overlapping subscriptions may take long to come to rest.
const ROUNDS_MAX: usize = 16;

/// Members are numbers here, in the order of their ids.
struct Builder {
    /// Members that are subscribed to a topic.
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    /// Who has each partition of a topic.
    owners: BTreeMap<TopicId, Vec<Option<usize>>>,
    /// How many partitions a member has.
    loads: Vec<usize>,
}

pub(super) fn assign(members: &Candidates<'_>, partitions: &dyn Fn(TopicId) -> i32) -> Assigned {
    let mut builder = Builder::new(members, partitions);
    let topics = builder.topics_in_order();
    for topic in &topics {
        builder.assign_free(*topic);
    }
    builder.level(&topics);
    builder.finish(members)
}

impl Builder {
    fn new(members: &Candidates<'_>, partitions: &dyn Fn(TopicId) -> i32) -> Self {
        let mut builder = Self {
            subscribers: BTreeMap::new(),
            owners: BTreeMap::new(),
            loads: vec![0; members.len()],
        };
        for (index, member) in members.values().enumerate() {
            for topic in &member.topics {
                builder.subscribers.entry(*topic).or_default().push(index);
                let owners = builder.owners.entry(*topic);
                owners.or_insert_with(|| vec![None; usize::try_from(partitions(*topic)).unwrap_or(0)]);
            }
        }
        for (index, member) in members.values().enumerate() {
            let previous = member.previous.into_iter().flatten();
            for (topic, partitions) in previous.filter(|(topic, _)| member.topics.contains(topic)) {
                for partition in partitions {
                    builder.give(*topic, usize::try_from(*partition).unwrap_or(usize::MAX), index);
                }
            }
        }
        builder
    }

    fn give(&mut self, topic: TopicId, partition: usize, member: usize) {
        let Some(owner) = self
            .owners
            .get_mut(&topic)
            .and_then(|owners| owners.get_mut(partition))
        else {
            return;
        };
        if let Some(former) = owner.replace(member) {
            self.loads[former] -= 1;
        }
        self.loads[member] += 1;
    }

    /// Topics with the most partitions for each subscriber first; then those with fewer subscribers.
    fn topics_in_order(&self) -> Vec<TopicId> {
        let mut topics: Vec<TopicId> = self.owners.keys().copied().collect();
        topics.sort_by(|one, other| {
            let size = |topic: &TopicId| (self.owners[topic].len(), self.subscribers[topic].len());
            let ((ones, one_by), (others, other_by)) = (size(one), size(other));
            // As fractions, without dividing.
            let density = (others * one_by).cmp(&(ones * other_by));
            density.then(one_by.cmp(&other_by)).then(one.cmp(other))
        });
        topics
    }

    /// The subscribers of a topic, the least loaded first.
    fn by_load(&self, topic: TopicId) -> Vec<usize> {
        let mut members = self.subscribers[&topic].clone();
        members.sort_by_key(|member| (self.loads[*member], *member));
        members
    }

    fn assign_free(&mut self, topic: TopicId) {
        let members = self.by_load(topic);
        // Among equals the one further to the front.
        let mut queue: BTreeSet<(usize, usize)> = members
            .iter()
            .enumerate()
            .map(|(place, member)| (self.loads[*member], place))
            .collect();
        for partition in 0..self.owners[&topic].len() {
            if self.owners[&topic][partition].is_some() {
                continue;
            }
            let Some((load, place)) = queue.pop_first() else {
                return;
            };
            self.give(topic, partition, members[place]);
            queue.insert((load + 1, place));
        }
    }

    fn level(&mut self, topics: &[TopicId]) {
        let shared: Vec<TopicId> = topics
            .iter()
            .copied()
            .filter(|topic| self.subscribers[topic].len() > 1)
            .collect();
        for _ in 0..ROUNDS_MAX {
            let moved: usize = shared.iter().map(|topic| self.level_topic(*topic)).sum();
            if moved == 0 {
                return;
            }
        }
    }

    /// Moves partitions of a topic from the most to the least loaded of its subscribers; returns how many.
    fn level_topic(&mut self, topic: TopicId) -> usize {
        let members = self.by_load(topic);
        let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in self.owners[&topic].iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        let place = |(place, member): (usize, &usize)| (self.loads[*member], place);
        let mut least: BTreeSet<(usize, usize)> = members.iter().enumerate().map(place).collect();
        // Only who has partitions of this topic can give some.
        let mut most: BTreeSet<(usize, usize)> = least
            .iter()
            .copied()
            .filter(|(_, place)| owned.contains_key(&members[*place]))
            .collect();
        let mut moved = 0;
        while let (Some((low, to)), Some((high, from))) = (least.first().copied(), most.last().copied()) {
            if high.saturating_sub(low) <= 1 {
                break;
            }
            let (giver, taker) = (members[from], members[to]);
            let Some(partition) = owned.get_mut(&giver).and_then(Vec::pop) else {
                most.remove(&(high, from));
                continue;
            };
            self.give(topic, partition, taker);
            moved += 1;
            for (load, place, next) in [(low, to, low + 1), (high, from, high - 1)] {
                least.remove(&(load, place));
                least.insert((next, place));
                if most.remove(&(load, place)) {
                    most.insert((next, place));
                }
            }
        }
        moved
    }

    fn finish(self, members: &Candidates<'_>) -> Assigned {
        let mut targets: Vec<Assignment> = vec![Assignment::new(); members.len()];
        for (topic, owners) in self.owners {
            for (partition, owner) in (0..).zip(owners) {
                if let Some(owner) = owner {
                    targets[owner].entry(topic).or_default().insert(partition);
                }
            }
        }
        members.keys().map(|id| (*id).to_owned()).zip(targets).collect()
    }
}
