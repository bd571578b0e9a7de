//! A group with members changes its protocol: from classic when the first member of the consumer protocol comes, and back
//! when the last one is gone.

use std::collections::BTreeSet;

use super::{
    super::{
        classic::{
            effects::Now,
            group::ClassicGroup,
            member::{Member, timeout_ms},
        },
        consumer_protocol::{self, Subscription},
        error::GroupError,
    },
    classic_member::{by_id, protocol_assignment},
    group::ConsumerGroup,
    member::{
        ClassicMetadata, ConsumerMember, CurrentAssignment, HeldPartitions, MemberMetadata, MemberState,
        with_epoch,
    },
    metadata_hash::metadata_hash,
    outcome::{Refusal, World},
    records::ConsumerRecord,
    topics::TopicImage,
};

impl ConsumerGroup {
    /// A classic group with members as a consumer group, when it may become one.
    ///
    /// # Errors
    /// `GroupIdNotFound`, as Kafka says it: there is no consumer group of this name.
    pub(crate) fn of_classic(classic: &ClassicGroup, world: World<'_>) -> Result<Self, Refusal> {
        let id = classic.id();
        let refuse = |why: &str| {
            tracing::info!(
                group = id,
                reason = why,
                "classic group does not become a consumer group"
            );
            let message = format!("Cannot upgrade classic group {id} to consumer group: {why}.");
            Err(Refusal::new(GroupError::GroupIdNotFound, message))
        };
        if !world.settings.migration_policy.upgrades() {
            return refuse("group.consumer.migration.policy does not allow it");
        }
        if !classic.is_consumer_group() {
            return refuse("its members are no consumers");
        }
        if classic.members().count() > world.settings.max_size {
            return refuse("it has more members than group.consumer.max.size");
        }
        let mut group = Self::new(id);
        group.epoch = classic.generation();
        group.assignment_epoch = classic.generation();
        for member in classic.members() {
            let Some((member, target)) = migrated(member, classic, world.topics) else {
                return refuse("a member's subscription or assignment is not understood");
            };
            let Some(target) = target else {
                return refuse("a custom assignor gives its members data that would be lost");
            };
            group
                .target
                .insert(member.id.clone(), super::member::without_epochs(&target));
            group.apply(ConsumerRecord::Member(member.id.clone(), Some(member.metadata)));
            group.apply(ConsumerRecord::Current(member.id, Some(member.current)));
        }
        let subscriptions = group.subscriptions(group.members.values());
        group.metadata_hash = metadata_hash(subscriptions.topics(), world.topics);
        tracing::info!(
            group = id,
            members = group.members.len(),
            "classic group becomes a consumer group"
        );
        Ok(group)
    }

    /// The records of the whole group.
    pub(crate) fn all_records(&self) -> Vec<ConsumerRecord> {
        let members = || self.members.values();
        let mut records: Vec<_> = members()
            .map(|member| ConsumerRecord::Member(member.id.clone(), Some(member.metadata.clone())))
            .collect();
        records.push(ConsumerRecord::Epoch(Some((self.epoch, self.metadata_hash))));
        records.extend(members().map(|member| {
            let target = self.target.get(&member.id).cloned().unwrap_or_default();
            ConsumerRecord::Target(member.id.clone(), Some(target))
        }));
        let target_epoch = (self.assignment_epoch, self.assignment_timestamp_ms);
        records.push(ConsumerRecord::TargetEpoch(Some(target_epoch)));
        records.extend(
            members().map(|member| ConsumerRecord::Current(member.id.clone(), Some(member.current.clone()))),
        );
        records
    }

    /// The group without some members as a classic group; all others use the classic protocol.
    pub(crate) fn to_classic(
        &self,
        leaving: &BTreeSet<String>,
        topics: &dyn TopicImage,
        now: Now,
    ) -> ClassicGroup {
        let staying = self
            .members
            .values()
            .filter(|member| !leaving.contains(&member.id));
        let members = staying.filter_map(|member| {
            let classic = member.metadata.classic.clone()?;
            let session_ms = timeout_ms(classic.session_timeout_ms);
            let target = self.target.get(&member.id).cloned().unwrap_or_default();
            Some(Member {
                id: member.id.clone(),
                group_instance_id: member.metadata.instance_id.clone(),
                client_id: member.metadata.client_id.clone(),
                client_host: member.metadata.client_host.clone(),
                rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                assignment: protocol_assignment(&target, classic.protocols.first(), topics),
                protocols: classic.protocols,
                is_new: false,
                awaiting_join: None,
                awaiting_sync: None,
                heartbeat_deadline: Some(now.monotonic_ms + session_ms),
            })
        });
        tracing::info!(group = %self.id, "consumer group becomes a classic group");
        ClassicGroup::of_consumers(&self.id, self.epoch, members.collect(), now)
    }
}

/// A member of the classic group as it is in the consumer group, with what it holds; `None` there when a custom assignor
/// gave it data besides.
fn migrated(
    member: &Member,
    classic: &ClassicGroup,
    topics: &dyn TopicImage,
) -> Option<(ConsumerMember, Option<HeldPartitions>)> {
    let metadata = classic.metadata_of(member);
    let subscription = Subscription::decode(&metadata).ok()?;
    let assignment = consumer_protocol::Assignment::decode(&member.assignment).ok()?;
    let has_user_data = assignment.user_data.is_some_and(|data| !data.is_empty());
    let epoch = classic.generation();
    let assigned = with_epoch(&by_id(&assignment.partitions, topics), epoch);
    let migrated = ConsumerMember {
        id: member.id.clone(),
        metadata: MemberMetadata {
            instance_id: member.group_instance_id.clone(),
            rack_id: subscription.rack_id,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topics: subscription.topics.into_iter().collect(),
            subscribed_regex: String::new(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            server_assignor: None,
            classic: Some(ClassicMetadata {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.clone(),
            }),
        },
        current: CurrentAssignment {
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned: assigned.clone(),
            pending_revocation: HeldPartitions::new(),
        },
    };
    Some((migrated, (!has_user_data).then_some(assigned)))
}
