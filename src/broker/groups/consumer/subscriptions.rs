//! What the members of a group are subscribed to, counted.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_log::TopicId;

use super::{group::ConsumerGroup, member::ConsumerMember, topics::TopicImage};

/// How a topic is subscribed to.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    /// By so many members by its name.
    by_name: usize,
    /// By so many regular expressions.
    by_regex: usize,
}

/// Subscriptions of a set of members.
#[derive(Debug)]
pub(super) struct Subscriptions<'a> {
    topics: BTreeMap<&'a str, Count>,
    /// How many members are subscribed to a regular expression.
    regexes: BTreeMap<&'a str, usize>,
    members: usize,
}

impl ConsumerGroup {
    /// The members as they are once `updated` is among them.
    pub(super) fn members_with<'a>(
        &'a self,
        updated: &'a ConsumerMember,
    ) -> impl Iterator<Item = &'a ConsumerMember> {
        let others = self.members.values().filter(|member| member.id != updated.id);
        others.chain(std::iter::once(updated))
    }

    /// What these members are subscribed to, as far as the regular expressions are resolved.
    pub(super) fn subscriptions<'a>(
        &'a self,
        of: impl Iterator<Item = &'a ConsumerMember>,
    ) -> Subscriptions<'a> {
        let mut subscriptions = Subscriptions {
            topics: BTreeMap::new(),
            regexes: BTreeMap::new(),
            members: 0,
        };
        for member in of {
            subscriptions.members += 1;
            for topic in &member.metadata.subscribed_topics {
                subscriptions.topics.entry(topic).or_default().by_name += 1;
            }
            if let Some(regex) = member.regex() {
                *subscriptions.regexes.entry(regex).or_default() += 1;
            }
        }
        let resolved = self
            .regexes
            .iter()
            .filter(|(regex, _)| subscriptions.regexes.contains_key(regex.as_str()));
        for topic in resolved.flat_map(|(_, resolved)| &resolved.topics) {
            subscriptions.topics.entry(topic).or_default().by_regex += 1;
        }
        subscriptions
    }

    /// Ids of the topics a member is subscribed to, as far as they exist.
    pub(super) fn subscribed_ids(
        &self,
        member: &ConsumerMember,
        image: &dyn TopicImage,
    ) -> BTreeSet<TopicId> {
        let resolved = member.regex().and_then(|regex| self.regexes.get(regex));
        let by_regex = resolved.iter().flat_map(|resolved| &resolved.topics);
        let names = member.metadata.subscribed_topics.iter().chain(by_regex);
        names.filter_map(|name| Some(image.by_name(name)?.0)).collect()
    }
}

impl<'a> Subscriptions<'a> {
    /// Names of all topics someone is subscribed to.
    pub(super) fn topics(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.topics.keys().copied()
    }

    pub(super) fn members_of_regex(&self, regex: &str) -> usize {
        self.regexes.get(regex).copied().unwrap_or(0)
    }

    /// Whether all members are subscribed to the same topics, as far as Kafka looks.
    pub(super) fn are_homogeneous(&self) -> bool {
        match self.regexes.values().next() {
            None => self.topics.values().all(|count| count.by_name == self.members),
            Some(members) => {
                *members == self.members
                    && self
                        .topics
                        .values()
                        .all(|count| count.by_regex == 1 && count.by_name == 0)
            }
        }
    }
}
