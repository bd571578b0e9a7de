//! What the broker core refuses, as the port reports it.

use jackfield_broker::{AppendError, CreateTopicError, ReadError, error_codes, groups::GroupError};
use jackfield_protocol::records::BatchError;

use crate::{ClusterError, TopicPartition};

/// Whether a refusal is about the members that a group has.
pub(crate) fn is_group_in_use(code: i16) -> bool {
    let refusals = [
        GroupError::UnknownMemberId,
        GroupError::NonEmptyGroup,
        GroupError::GroupSubscribedToTopic,
    ];
    refusals.iter().any(|refusal| refusal.code() == code)
}

impl ClusterError {
    /// A partition that is not there.
    pub(crate) fn unknown_partition(partition: &TopicPartition) -> Self {
        Self::from_group_error(
            GroupError::UnknownTopicOrPartition,
            &format!(
                "topic {} has no partition {}",
                partition.topic, partition.partition
            ),
            true,
        )
    }

    /// A refusal of the group coordinator.
    pub(crate) fn group(error: GroupError, group_id: &str) -> Self {
        Self::from_group_error(error, &format!("group {group_id}: {error}"), error.is_retriable())
    }

    fn from_group_error(error: GroupError, message: &str, retriable: bool) -> Self {
        Self {
            code: error.code(),
            message: message.to_owned(),
            retriable,
        }
    }

    /// A refused append.
    pub(crate) fn append(error: &AppendError, partition: &TopicPartition) -> Self {
        Self {
            code: error_codes::of_append(error),
            message: format!("append to {}-{}: {error}", partition.topic, partition.partition),
            retriable: false,
        }
    }

    /// A failed read.
    pub(crate) fn read(error: &ReadError, partition: &TopicPartition) -> Self {
        Self {
            code: error_codes::of_read(error),
            message: format!("read of {}-{}: {error}", partition.topic, partition.partition),
            retriable: false,
        }
    }

    /// Stored bytes that cannot be read or understood.
    pub(crate) fn damaged(error: &dyn std::fmt::Display, partition: &TopicPartition) -> Self {
        let what = error.to_string();
        Self::read(&ReadError::Damaged(what), partition)
    }

    /// A refused batch of stored bytes.
    pub(crate) fn batch(error: &BatchError, partition: &TopicPartition) -> Self {
        Self::damaged(error, partition)
    }

    /// A topic that could not be created.
    pub(crate) fn create_topic(error: &CreateTopicError) -> Self {
        Self {
            code: error_codes::of_create_topic(error),
            message: error.to_string(),
            retriable: false,
        }
    }

    /// A producer whose task was started again elsewhere.
    pub(crate) fn fenced(transactional_id: &str) -> Self {
        Self {
            code: error_codes::PRODUCER_FENCED,
            message: format!("producer {transactional_id} is fenced by a newer one of the same id"),
            retriable: false,
        }
    }

    /// A commit by someone who holds nothing.
    pub(crate) fn not_a_member(group_id: &str) -> Self {
        Self::group(GroupError::UnknownMemberId, group_id)
    }

    /// Something of this process that has ended.
    pub(crate) fn closed(what: &str) -> Self {
        Self {
            code: 0,
            message: format!("{what} is closed"),
            retriable: false,
        }
    }
}
