//! A group of either protocol, as far as its keepers do not mind which.

use super::{
    classic::group::{self, ClassicGroup},
    consumer::group::ConsumerGroup,
    describe::{CLASSIC, CONSUMER, ListedGroup},
    error::GroupError,
    records::GroupRecord,
};

/// A group.
#[derive(Debug)]
pub(crate) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

/// Where a group is with its rebalances.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Classic(group::State),
    /// Epochs of the group and of its target assignment.
    Consumer(i32, i32),
}

impl Group {
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Classic(group) => Phase::Classic(group.state()),
            Self::Consumer(group) => Phase::Consumer(group.epoch(), group.assignment_epoch()),
        }
    }

    pub(crate) fn as_consumer(&self) -> Option<&ConsumerGroup> {
        match self {
            Self::Consumer(group) => Some(group),
            Self::Classic(_) => None,
        }
    }

    pub(crate) fn as_classic(&self) -> Option<&ClassicGroup> {
        match self {
            Self::Classic(group) => Some(group),
            Self::Consumer(_) => None,
        }
    }

    /// No members; may hold offsets.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        match self {
            Self::Classic(group) => group.next_deadline(),
            Self::Consumer(group) => group.next_deadline(),
        }
    }

    /// Whether offsets of the topic are in use by members.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// From when on an offset committed at `commit_ms` ages; `None` while offsets of this group do not expire.
    pub(crate) fn offsets_age_from(&self, commit_ms: i64) -> Option<i64> {
        match self {
            Self::Classic(group) => group.offsets_age_from(commit_ms),
            Self::Consumer(_) => Some(commit_ms),
        }
    }

    pub(crate) fn members_of_client(&self, client_id: &str) -> Vec<String> {
        match self {
            Self::Classic(group) => group.members_of_client(client_id),
            Self::Consumer(group) => group.members_of_client(client_id),
        }
    }

    pub(crate) fn listed(&self, group_id: &str) -> ListedGroup {
        let (state, protocol_type, group_type) = match self {
            Self::Classic(group) => (group.state().name(), group.protocol_type(), CLASSIC),
            Self::Consumer(group) => (group.state().name(), group::CONSUMER_PROTOCOL_TYPE, CONSUMER),
        };
        ListedGroup {
            group_id: group_id.to_owned(),
            protocol_type: protocol_type.to_owned(),
            state,
            group_type,
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn validate_delete(&self) -> Result<(), GroupError> {
        match self {
            Self::Classic(group) => group.validate_delete(),
            Self::Consumer(group) if group.is_empty() => Ok(()),
            Self::Consumer(_) => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Whether offsets of topics without subscription may be deleted.
    pub(crate) fn validate_offset_delete(&self) -> Result<(), GroupError> {
        match self {
            Self::Classic(group) => group.validate_offset_delete(),
            Self::Consumer(_) => Ok(()),
        }
    }

    /// The records that end the group.
    pub(crate) fn end(&self, group_id: &str) -> Vec<GroupRecord> {
        match self {
            Self::Classic(_) => vec![GroupRecord::Group {
                group: group_id.to_owned(),
                value: None,
            }],
            Self::Consumer(group) => GroupRecord::of_consumer_group(group_id, group.end()),
        }
    }
}
