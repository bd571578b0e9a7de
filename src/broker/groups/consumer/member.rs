//! A member of a consumer group.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_log::TopicId;

use super::super::classic::member::Protocol;

/// Partitions by topic.
pub(crate) type Assignment = BTreeMap<TopicId, BTreeSet<i32>>;
/// Partitions by topic, each with the member epoch at which it was assigned.
pub(crate) type HeldPartitions = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// Epoch of a member that joins.
pub(crate) const JOINING_EPOCH: i32 = 0;
/// Epoch of a member that leaves.
pub(crate) const LEAVING_EPOCH: i32 = -1;
/// Epoch of a static member that leaves and will come back.
pub(crate) const LEAVING_STATIC_EPOCH: i32 = -2;

/// How far a member is with what it is to be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// Has all it is to have.
    Stable,
    /// Must give up partitions before it gets others.
    UnrevokedPartitions,
    /// Waits for partitions that others still hold.
    UnreleasedPartitions,
    /// Written by a newer Kafka.
    Unknown,
}

impl MemberState {
    /// Kafka's number.
    pub(crate) fn value(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    /// By Kafka's number.
    pub(crate) fn of(value: i8) -> Self {
        match value {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// What is kept of a member that uses the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicMetadata {
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<Protocol>,
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    /// `/address`, as Java prints it.
    pub(crate) client_host: String,
    pub(crate) subscribed_topics: BTreeSet<String>,
    /// Empty = none.
    pub(crate) subscribed_regex: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) server_assignor: Option<String>,
    /// Set for a member that uses the classic protocol.
    pub(crate) classic: Option<ClassicMetadata>,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            subscribed_topics: BTreeSet::new(),
            subscribed_regex: String::new(),
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic: None,
        }
    }
}

/// What a member holds, and at which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    pub(crate) epoch: i32,
    /// Accepted once more: the answer with the newer one may have been lost.
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: HeldPartitions,
    /// The member was told to give these up and still holds them.
    pub(crate) pending_revocation: HeldPartitions,
}

impl Default for CurrentAssignment {
    fn default() -> Self {
        Self {
            epoch: JOINING_EPOCH,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: HeldPartitions::new(),
            pending_revocation: HeldPartitions::new(),
        }
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerMember {
    pub(crate) id: String,
    pub(crate) metadata: MemberMetadata,
    pub(crate) current: CurrentAssignment,
}

impl ConsumerMember {
    /// A member of which nothing is known but its id.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            metadata: MemberMetadata::default(),
            current: CurrentAssignment::default(),
        }
    }

    pub(crate) fn uses_classic_protocol(&self) -> bool {
        self.metadata.classic.is_some()
    }

    /// The regular expression it is subscribed to.
    pub(crate) fn regex(&self) -> Option<&str> {
        Some(self.metadata.subscribed_regex.as_str()).filter(|regex| !regex.is_empty())
    }

    /// Whether it has all that the target of this epoch gives it.
    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    /// Whether it holds a partition, be it only until it has given it up.
    pub(crate) fn holds(&self, topic: TopicId, partition: i32) -> bool {
        holds(&self.current.assigned, topic, partition)
            || holds(&self.current.pending_revocation, topic, partition)
    }

    /// The epoch at which a partition was assigned that the member holds.
    pub(crate) fn epoch_of(&self, topic: TopicId, partition: i32) -> Option<i32> {
        let of = |held: &HeldPartitions| held.get(&topic)?.get(&partition).copied();
        of(&self.current.assigned).or_else(|| of(&self.current.pending_revocation))
    }

    /// The same member under another epoch; the one it had is the previous one.
    pub(crate) fn at_epoch(&self, epoch: i32) -> Self {
        let mut member = self.clone();
        member.current.previous_epoch = member.current.epoch;
        member.current.epoch = epoch;
        member
    }
}

/// Whether a partition is among those held.
pub(crate) fn holds(held: &HeldPartitions, topic: TopicId, partition: i32) -> bool {
    held.get(&topic)
        .is_some_and(|partitions| partitions.contains_key(&partition))
}

/// Partitions without their epochs.
pub(crate) fn without_epochs(held: &HeldPartitions) -> Assignment {
    held.iter()
        .map(|(topic, partitions)| (*topic, partitions.keys().copied().collect()))
        .collect()
}

/// Partitions that are all assigned at one epoch.
pub(crate) fn with_epoch(assignment: &Assignment, epoch: i32) -> HeldPartitions {
    let at = |partitions: &BTreeSet<i32>| partitions.iter().map(|partition| (*partition, epoch)).collect();
    assignment
        .iter()
        .map(|(topic, partitions)| (*topic, at(partitions)))
        .collect()
}
