//! What administrators are told of a consumer group.

use std::{collections::BTreeSet, sync::Arc};

use jackfield_log::TopicId;

use super::{
    group::ConsumerGroup,
    member::{Assignment, ConsumerMember, without_epochs},
    settings::ConsumerSettings,
    topics::TopicImage,
};

/// Everything there is to say about a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct DescribedConsumerGroup {
    pub state: &'static str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedConsumerMember>,
}

/// A member of a described consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct DescribedConsumerMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topics: BTreeSet<String>,
    pub subscribed_regex: String,
    /// What it holds, also what it is still giving up.
    pub assignment: Vec<DescribedTopic>,
    /// What it is to hold.
    pub target: Vec<DescribedTopic>,
    pub uses_classic_protocol: bool,
}

/// Partitions of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct DescribedTopic {
    pub id: TopicId,
    pub name: Arc<str>,
    pub partitions: Vec<i32>,
}

impl ConsumerGroup {
    /// The group as it is now. Topics that are gone are left out.
    pub(crate) fn described(
        &self,
        image: &dyn TopicImage,
        settings: &ConsumerSettings,
    ) -> DescribedConsumerGroup {
        DescribedConsumerGroup {
            state: self.state().name(),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.preferred_assignor(None, settings).name(),
            members: self
                .members
                .values()
                .map(|member| self.described_member(member, image))
                .collect(),
        }
    }

    fn described_member(&self, member: &ConsumerMember, image: &dyn TopicImage) -> DescribedConsumerMember {
        let mut held = without_epochs(&member.current.assigned);
        for (topic, partitions) in without_epochs(&member.current.pending_revocation) {
            held.entry(topic).or_default().extend(partitions);
        }
        let target = self.target.get(&member.id).cloned().unwrap_or_default();
        let metadata = &member.metadata;
        DescribedConsumerMember {
            member_id: member.id.clone(),
            instance_id: metadata.instance_id.clone(),
            rack_id: metadata.rack_id.clone(),
            member_epoch: member.current.epoch,
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            subscribed_topics: metadata.subscribed_topics.clone(),
            subscribed_regex: metadata.subscribed_regex.clone(),
            assignment: named(held, image),
            target: named(target, image),
            uses_classic_protocol: member.uses_classic_protocol(),
        }
    }
}

fn named(assignment: Assignment, image: &dyn TopicImage) -> Vec<DescribedTopic> {
    let topic = |(id, partitions): (TopicId, BTreeSet<i32>)| {
        let (name, _) = image.by_id(id)?;
        Some(DescribedTopic {
            id,
            name,
            partitions: partitions.into_iter().collect(),
        })
    };
    assignment.into_iter().filter_map(topic).collect()
}
