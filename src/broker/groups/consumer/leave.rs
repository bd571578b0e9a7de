//! Members that leave or are put out.

use std::collections::BTreeSet;

use super::{
    super::error::GroupError,
    group::ConsumerGroup,
    heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatAnswer},
    member::{ConsumerMember, HeldPartitions, LEAVING_STATIC_EPOCH},
    metadata_hash::metadata_hash,
    outcome::{Outcome, Refusal, TimerChange, TimerKind},
    records::ConsumerRecord,
    settings::ConsumerSettings,
    topics::TopicImage,
};

/// What a heartbeat that leaves comes to.
pub(crate) enum Leaving {
    /// The member is to be put out.
    Remove(String),
    /// A static member that will come back keeps its place.
    Keep(Outcome<()>),
}

/// The records that remove a member.
pub(super) fn removal(id: &str) -> [ConsumerRecord; 3] {
    [
        ConsumerRecord::Current(id.to_owned(), None),
        ConsumerRecord::Target(id.to_owned(), None),
        ConsumerRecord::Member(id.to_owned(), None),
    ]
}

/// The answer to a member that leaves.
pub(crate) fn left(request: &ConsumerHeartbeat) -> ConsumerHeartbeatAnswer {
    ConsumerHeartbeatAnswer {
        member_id: request.member_id.clone(),
        member_epoch: request.member_epoch,
        heartbeat_interval_ms: 0,
        assignment: None,
    }
}

impl ConsumerGroup {
    /// Handles a heartbeat that leaves.
    pub(crate) fn leave(&self, request: &ConsumerHeartbeat) -> Result<Leaving, Refusal> {
        let id = request.member_id.as_str();
        let Some(instance) = request.instance_id.as_deref() else {
            return Ok(Leaving::Remove(self.known_member(id)?.id.clone()));
        };
        let member = self.known_static_member(id, instance)?;
        if request.member_epoch != LEAVING_STATIC_EPOCH {
            return Ok(Leaving::Remove(member.id.clone()));
        }
        tracing::info!(group = %self.id, member = id, instance, "static member leaves for now");
        let mut current = member.current.clone();
        current.epoch = LEAVING_STATIC_EPOCH;
        current.pending_revocation = HeldPartitions::new();
        // Whoever comes back under another id has held these from the beginning.
        current
            .assigned
            .values_mut()
            .flat_map(|partitions| partitions.values_mut())
            .for_each(|epoch| *epoch = 0);
        let mut outcome = Outcome::new(vec![ConsumerRecord::Current(id.to_owned(), Some(current))], ());
        outcome
            .timers
            .push(TimerChange::Cancel(id.to_owned(), TimerKind::Rebalance));
        Ok(Leaving::Keep(outcome))
    }

    /// Which member a LeaveGroup request names: by itself, or an administrator by its instance id.
    pub(crate) fn leaving_member(
        &self,
        id: &str,
        instance: Option<&str>,
    ) -> Result<&ConsumerMember, GroupError> {
        match instance {
            None => self.member(id).ok_or(GroupError::UnknownMemberId),
            Some(instance) if id.is_empty() => {
                self.static_member(instance).ok_or(GroupError::UnknownMemberId)
            }
            Some(instance) => self
                .known_static_member(id, instance)
                .map_err(|refusal| refusal.error),
        }
    }

    /// Puts members out; the group goes on without them.
    pub(crate) fn without(&self, leaving: &BTreeSet<String>, image: &dyn TopicImage) -> Outcome<()> {
        let mut records: Vec<ConsumerRecord> = leaving.iter().flat_map(|id| removal(id)).collect();
        let staying = || {
            let members = self.members.values();
            members.filter(|member| !leaving.contains(&member.id))
        };
        let subscriptions = self.subscriptions(staying());
        let left = leaving.iter().filter_map(|id| self.members.get(id)?.regex());
        let unused: BTreeSet<&str> = left
            .filter(|regex| subscriptions.members_of_regex(regex) == 0)
            .collect();
        records.extend(
            unused
                .iter()
                .map(|regex| ConsumerRecord::Regex((*regex).to_owned(), None)),
        );
        let (epoch, hash) = (self.epoch + 1, metadata_hash(subscriptions.topics(), image));
        tracing::info!(group = %self.id, epoch, members = staying().count(), "members left, consumer group epoch");
        records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
        if staying().next().is_none() {
            // The next member does not wait for the assignment interval, as in Kafka after 4.3; the epoch stays as in 4.3.
            records.push(ConsumerRecord::TargetEpoch(Some((self.assignment_epoch, 0))));
        }
        Outcome::new(records, ())
    }

    /// Whether what remains without these members is a group of classic members that may be a classic group.
    pub(crate) fn becomes_classic_without(
        &self,
        leaving: &BTreeSet<String>,
        settings: &ConsumerSettings,
        classic_max_size: usize,
    ) -> bool {
        let staying = || {
            let members = self.members.values();
            members.filter(|member| !leaving.contains(&member.id))
        };
        let count = staying().count();
        let all_classic = count > 0 && staying().all(ConsumerMember::uses_classic_protocol);
        all_classic && settings.migration_policy.downgrades() && count <= classic_max_size
    }

    /// The records that end the group.
    pub(crate) fn end(&self) -> Vec<ConsumerRecord> {
        let ids = || self.members.keys().cloned();
        let mut records: Vec<_> = ids().map(|id| ConsumerRecord::Current(id, None)).collect();
        records.extend(ids().map(|id| ConsumerRecord::Target(id, None)));
        records.push(ConsumerRecord::TargetEpoch(None));
        records.extend(ids().map(|id| ConsumerRecord::Member(id, None)));
        records.extend(
            self.regexes
                .keys()
                .map(|regex| ConsumerRecord::Regex(regex.clone(), None)),
        );
        records.push(ConsumerRecord::PartitionMetadata { is_tombstone: true });
        records.push(ConsumerRecord::Epoch(None));
        records
    }
}
