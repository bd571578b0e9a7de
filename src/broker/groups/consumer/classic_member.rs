//! Members of a consumer group that use the classic protocol: their joins, syncs and heartbeats. The assignment is the
//! coordinator's, so nobody leads and nobody waits.

use bytes::Bytes;

use super::{
    super::{
        classic::{
            effects::{JoinRefused, JoinRequest, Joined, SyncRequest, Synced},
            group::CONSUMER_PROTOCOL_TYPE,
            member::{Protocol, timeout_ms},
        },
        consumer_protocol::{self, Subscription},
        error::GroupError,
    },
    group::ConsumerGroup,
    heartbeat::Change,
    member::{Assignment, ClassicMetadata, ConsumerMember, MemberState},
    outcome::{Outcome, Refusal, TimerChange, TimerKind, World},
    settings::MigrationPolicy,
    topics::TopicImage,
};

/// What a join comes to.
pub(crate) enum ClassicJoin {
    Joined(Outcome<Joined>),
    /// The last member of the consumer protocol is replaced: the group as it is with the joining member, which becomes a
    /// classic group.
    Downgrade {
        group: Box<ConsumerGroup>,
        member_id: String,
        /// The assignment does not fit any more.
        rebalance: bool,
    },
}

/// An answer, and what happens to the member's timers whatever it is.
pub(crate) type Timed<T> = (Result<T, GroupError>, Vec<TimerChange>);

impl ConsumerMember {
    /// The protocol a classic member of a consumer group is told of.
    fn classic_protocol(&self) -> Option<&Protocol> {
        self.metadata.classic.as_ref()?.protocols.first()
    }
}

impl ConsumerGroup {
    /// Handles a join of a classic member. `fresh_id` is random.
    pub(crate) fn classic_join(
        &self,
        request: &JoinRequest,
        fresh_id: &str,
        classic_max_size: usize,
        world: World<'_>,
    ) -> Result<ClassicJoin, JoinRefused> {
        let is_new = request.member_id.is_empty();
        let id = if is_new { fresh_id } else { &request.member_id };
        let refuse = |error| JoinRefused {
            error,
            member_id: String::new(),
        };
        if world.settings.migration_policy == MigrationPolicy::Disabled {
            return Err(refuse(GroupError::InconsistentGroupProtocol));
        }
        let instance = request.group_instance_id.as_deref();
        let check = self.check_size(id, instance, world.settings.max_size);
        check.map_err(|refusal| refuse(refusal.error))?;
        if !self.supports_classic(&request.protocol_type, &request.protocols) {
            return Err(refuse(GroupError::InconsistentGroupProtocol));
        }
        if request.require_known_member_id && is_new && instance.is_none() {
            return Err(JoinRefused {
                error: GroupError::MemberIdRequired,
                member_id: id.to_owned(),
            });
        }
        let subscription = request
            .protocols
            .first()
            .map(|protocol| Subscription::decode(&protocol.metadata));
        let Some(Ok(subscription)) = subscription else {
            return Err(refuse(GroupError::InconsistentGroupProtocol));
        };
        let replaced = instance.and_then(|instance| self.static_member(instance));
        let downgrades =
            replaced.is_some_and(|replaced| self.becomes_classic_with(replaced, classic_max_size, world));
        let joined = match (instance, replaced) {
            (Some(_), Some(old)) if is_new => {
                let (working, records, member) = self.with_static_member_replaced(old, id);
                if downgrades {
                    return Ok(self.downgrade(working, member, request, subscription));
                }
                working.classic_joined(member, request, subscription, world, records)
            }
            (Some(instance), _) if !is_new => {
                let member = self.known_static_member(id, instance);
                let member = member.map_err(|refusal| refuse(refusal.error))?.clone();
                if downgrades {
                    return Ok(self.downgrade(self.clone(), member, request, subscription));
                }
                self.classic_joined(member, request, subscription, world, Vec::new())
            }
            _ => {
                tracing::info!(group = %self.id, member = id, "member joins the consumer group with the classic protocol");
                let member = self
                    .member(id)
                    .cloned()
                    .unwrap_or_else(|| ConsumerMember::new(id));
                self.classic_joined(member, request, subscription, world, Vec::new())
            }
        };
        joined
            .map(ClassicJoin::Joined)
            .map_err(|refusal| refuse(refusal.error))
    }

    fn downgrade(
        &self,
        mut working: Self,
        member: ConsumerMember,
        request: &JoinRequest,
        subscription: Subscription,
    ) -> ClassicJoin {
        let updated = updated(&member, request, subscription);
        let subscription_changed = updated.metadata.subscribed_topics != member.metadata.subscribed_topics
            || updated.metadata.subscribed_regex != member.metadata.subscribed_regex;
        let member_id = updated.id.clone();
        working.apply(super::records::ConsumerRecord::Member(
            updated.id,
            Some(updated.metadata),
        ));
        ClassicJoin::Downgrade {
            rebalance: subscription_changed || self.assignment_epoch < self.epoch,
            group: Box::new(working),
            member_id,
        }
    }

    fn classic_joined(
        &self,
        member: ConsumerMember,
        request: &JoinRequest,
        subscription: Subscription,
        world: World<'_>,
        records: Vec<super::records::ConsumerRecord>,
    ) -> Result<Outcome<Joined>, Refusal> {
        let owned = by_id(&subscription.owned, world.topics);
        let change = Change {
            updated: updated(&member, request, subscription),
            member,
            owned: Some(&owned),
            records,
        };
        let changed = self.change(change, world)?;
        let member = changed.updated;
        let mut timers = changed.timers;
        let (id, sync_ms) = (member.id.clone(), timeout_ms(request.rebalance_timeout_ms));
        timers.push(TimerChange::Cancel(id.clone(), TimerKind::Join));
        timers.extend(member.classic_session());
        timers.push(TimerChange::Set(id, TimerKind::Sync, sync_ms));
        let joined = Joined {
            generation: member.current.epoch,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
            protocol_name: member.classic_protocol().map(|protocol| protocol.name.clone()),
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
            member_id: member.id,
        };
        Ok(Outcome {
            records: changed.records,
            timers,
            checked_topics: changed.checked_topics,
            checked_regexes: None,
            resolve_regexes: changed.resolve_regexes,
            value: joined,
        })
    }

    /// Whether a member with these protocols fits to the classic members there are.
    fn supports_classic(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        let mut classic = self
            .members
            .values()
            .filter_map(|member| member.metadata.classic.as_ref())
            .peekable();
        let is_supported = |classic: &ClassicMetadata, name: &str| {
            classic.protocols.iter().any(|supported| supported.name == name)
        };
        if protocol_type != CONSUMER_PROTOCOL_TYPE || protocols.is_empty() {
            return false;
        }
        if classic.peek().is_none() {
            return true;
        }
        let all: Vec<&ClassicMetadata> = classic.collect();
        protocols
            .iter()
            .any(|protocol| all.iter().all(|classic| is_supported(classic, &protocol.name)))
    }

    /// Whether only classic members are left when this one comes back as one.
    fn becomes_classic_with(
        &self,
        replaced: &ConsumerMember,
        classic_max_size: usize,
        world: World<'_>,
    ) -> bool {
        let mut others = self.members.values().filter(|member| member.id != replaced.id);
        !replaced.uses_classic_protocol()
            && others.all(ConsumerMember::uses_classic_protocol)
            && world.settings.migration_policy.downgrades()
            && self.members.len() <= classic_max_size
    }

    fn classic_member(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<&ConsumerMember, GroupError> {
        let member = match instance {
            None => self.known_member(id),
            Some(instance) => self.known_static_member(id, instance),
        };
        let member = member.map_err(|refusal| refusal.error)?;
        if !member.uses_classic_protocol() {
            Err(GroupError::UnknownMemberId)
        } else if member.current.epoch != generation {
            Err(GroupError::IllegalGeneration)
        } else {
            Ok(member)
        }
    }

    /// Handles a sync: the assignment is there already.
    pub(crate) fn classic_sync(&self, request: &SyncRequest, topics: &dyn TopicImage) -> Timed<Synced> {
        let instance = request.group_instance_id.as_deref();
        let member = match self.classic_member(&request.member_id, instance, request.generation) {
            Ok(member) => member,
            Err(error) => return (Err(error), Vec::new()),
        };
        let protocol = member.classic_protocol();
        let differs = |asked: Option<&str>, own: Option<&str>| asked.is_some() && asked != own;
        let name = protocol.map(|protocol| protocol.name.as_str());
        if differs(request.protocol_type.as_deref(), Some(CONSUMER_PROTOCOL_TYPE))
            || differs(request.protocol_name.as_deref(), name)
        {
            return (Err(GroupError::InconsistentGroupProtocol), Vec::new());
        }
        // One that is to give up partitions already joined for it, and comes again when it did.
        if self.assignment_epoch > member.current.epoch
            && member.current.state != MemberState::UnrevokedPartitions
        {
            return (Err(GroupError::RebalanceInProgress), vec![member.join_timer()]);
        }
        let mut timers = vec![TimerChange::Cancel(member.id.clone(), TimerKind::Sync)];
        timers.extend(member.classic_session());
        let held = super::member::without_epochs(&member.current.assigned);
        let synced = Synced {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment: protocol_assignment(&held, protocol, topics),
        };
        (Ok(synced), timers)
    }

    /// Handles a heartbeat of a classic member.
    pub(crate) fn classic_heartbeat(&self, id: &str, instance: Option<&str>, generation: i32) -> Timed<()> {
        let member = match self.classic_member(id, instance, generation) {
            Ok(member) => member,
            Err(error) => return (Err(error), Vec::new()),
        };
        let mut timers: Vec<TimerChange> = member.classic_session().into_iter().collect();
        let must_join = member.current.epoch < self.assignment_epoch
            || match member.current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        if must_join {
            timers.push(member.join_timer());
            return (Err(GroupError::RebalanceInProgress), timers);
        }
        (Ok(()), timers)
    }

    /// Whether others still hold what the member is to have.
    fn waits_for_others(&self, member: &ConsumerMember) -> bool {
        let target = self.target.get(&member.id);
        target.into_iter().flatten().any(|(topic, partitions)| {
            let mut partitions = partitions.iter();
            partitions.any(|partition| self.is_held_by_another(&member.id, *topic, *partition))
        })
    }
}

/// The member with what its join says of it.
fn updated(member: &ConsumerMember, request: &JoinRequest, subscription: Subscription) -> ConsumerMember {
    let mut updated = member.clone();
    let metadata = &mut updated.metadata;
    metadata.instance_id = request.group_instance_id.clone().or(metadata.instance_id.take());
    metadata.rack_id = subscription.rack_id.or(metadata.rack_id.take());
    metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
    metadata.subscribed_topics = subscription.topics.into_iter().collect();
    metadata.subscribed_regex.clear();
    metadata.client_id.clone_from(&request.client_id);
    metadata.client_host.clone_from(&request.client_host);
    metadata.classic = Some(ClassicMetadata {
        session_timeout_ms: request.session_timeout_ms,
        protocols: request.protocols.clone(),
    });
    updated
}

/// Partitions by the ids of their topics, as far as these exist.
pub(super) fn by_id(partitions: &[(String, Vec<i32>)], topics: &dyn TopicImage) -> Assignment {
    let mut by_id = Assignment::new();
    for (name, partitions) in partitions {
        if let Some((id, _)) = topics.by_name(name) {
            by_id.entry(id).or_default().extend(partitions);
        }
    }
    by_id
}

/// An assignment in the bytes of the consumer protocol, in the version the member speaks.
pub(super) fn protocol_assignment(
    assignment: &Assignment,
    protocol: Option<&Protocol>,
    topics: &dyn TopicImage,
) -> Bytes {
    let named = assignment.iter().filter_map(|(topic, partitions)| {
        let (name, _) = topics.by_id(*topic)?;
        Some((name.to_string(), partitions.iter().copied().collect()))
    });
    let assignment = consumer_protocol::Assignment {
        partitions: named.collect(),
        user_data: None,
    };
    let version = protocol.and_then(|protocol| consumer_protocol::version(&protocol.metadata));
    assignment.encode_in(version.unwrap_or(0))
}
