//! Kafka's error codes: the one place where refusals get their numbers.

use jackfield_log::{AppendError, ReadError};
use kafka_protocol::error::ResponseError;

use crate::{CreateTopicError, groups::GroupError, topic_changes::ChangeTopicError};

/// A producer that was replaced by a newer one.
pub const PRODUCER_FENCED: i16 = 90;

/// Code of a refused append.
pub fn of_append(error: &AppendError) -> i16 {
    match error {
        AppendError::Corrupt(_) => ResponseError::CorruptMessage,
        AppendError::InvalidRecord(_) => ResponseError::InvalidRecord,
        AppendError::Records(errors) if errors.iter().any(|error| error.is_timestamp) => {
            ResponseError::InvalidTimestamp
        }
        AppendError::Records(_) => ResponseError::InvalidRecord,
        AppendError::TooLarge { .. } => ResponseError::MessageTooLarge,
        AppendError::InvalidTimestamp(_) => ResponseError::InvalidTimestamp,
        AppendError::UnsupportedCompression(_) => ResponseError::UnsupportedCompressionType,
        AppendError::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ResponseError::InvalidProducerEpoch,
        AppendError::DuplicateSequence(_) => ResponseError::DuplicateSequenceNumber,
        AppendError::Storage(_) => ResponseError::KafkaStorageError,
    }
    .code()
}

/// Code of a refused read.
pub fn of_read(error: &ReadError) -> i16 {
    match error {
        ReadError::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
        ReadError::Storage(_) => ResponseError::KafkaStorageError,
        ReadError::Damaged(_) => ResponseError::CorruptMessage,
    }
    .code()
}

/// Code of a topic that could not be created.
pub fn of_create_topic(error: &CreateTopicError) -> i16 {
    create_topic(error).code()
}

fn create_topic(error: &CreateTopicError) -> ResponseError {
    match error {
        CreateTopicError::AlreadyExists(_) => ResponseError::TopicAlreadyExists,
        CreateTopicError::InvalidName(_) => ResponseError::InvalidTopicException,
        CreateTopicError::InvalidPartitions(_) => ResponseError::InvalidPartitions,
        CreateTopicError::InvalidReplicationFactor(_) => ResponseError::InvalidReplicationFactor,
        CreateTopicError::InvalidAssignment(_) => ResponseError::InvalidReplicaAssignment,
        CreateTopicError::InvalidRequest(_) => ResponseError::InvalidRequest,
        CreateTopicError::InvalidConfig(_) => ResponseError::InvalidConfig,
        CreateTopicError::Storage(_) => ResponseError::KafkaStorageError,
    }
}

/// Code of a topic that could not be changed.
pub(crate) fn of_change_topic(error: &ChangeTopicError) -> ResponseError {
    match error {
        ChangeTopicError::Unknown(_) => ResponseError::UnknownTopicOrPartition,
        ChangeTopicError::Refused(error) => create_topic(error),
        ChangeTopicError::Change(error, _) => *error,
    }
}

impl GroupError {
    /// Kafka's error code.
    pub fn code(self) -> i16 {
        match self {
            Self::UnknownMemberId => ResponseError::UnknownMemberId.code(),
            Self::IllegalGeneration => ResponseError::IllegalGeneration.code(),
            Self::InconsistentGroupProtocol => ResponseError::InconsistentGroupProtocol.code(),
            Self::RebalanceInProgress => ResponseError::RebalanceInProgress.code(),
            Self::MemberIdRequired => ResponseError::MemberIdRequired.code(),
            Self::FencedInstanceId => ResponseError::FencedInstanceId.code(),
            Self::GroupMaxSizeReached => ResponseError::GroupMaxSizeReached.code(),
            Self::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout.code(),
            Self::InvalidGroupId => ResponseError::InvalidGroupId.code(),
            Self::InvalidRequest => ResponseError::InvalidRequest.code(),
            Self::FencedMemberEpoch => ResponseError::FencedMemberEpoch.code(),
            Self::StaleMemberEpoch => ResponseError::StaleMemberEpoch.code(),
            Self::UnreleasedInstanceId => ResponseError::UnreleasedInstanceId.code(),
            Self::UnsupportedAssignor => ResponseError::UnsupportedAssignor.code(),
            Self::InvalidRegularExpression => ResponseError::InvalidRegularExpression.code(),
            Self::UnsupportedVersion => ResponseError::UnsupportedVersion.code(),
            Self::GroupIdNotFound => ResponseError::GroupIdNotFound.code(),
            Self::NonEmptyGroup => ResponseError::NonEmptyGroup.code(),
            Self::GroupSubscribedToTopic => ResponseError::GroupSubscribedToTopic.code(),
            Self::OffsetMetadataTooLarge => ResponseError::OffsetMetadataTooLarge.code(),
            Self::UnknownTopicOrPartition => ResponseError::UnknownTopicOrPartition.code(),
            Self::CoordinatorNotAvailable => ResponseError::CoordinatorNotAvailable.code(),
            Self::NotCoordinator => ResponseError::NotCoordinator.code(),
            Self::UnknownServerError => ResponseError::UnknownServerError.code(),
        }
    }

    /// Whether the same request may succeed later without anything else being done.
    pub fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::CoordinatorNotAvailable | Self::NotCoordinator | Self::RebalanceInProgress
        )
    }
}

/// Code of a result.
pub(crate) fn code_of<T>(result: &Result<T, GroupError>) -> i16 {
    result.as_ref().err().map_or(0, |error| error.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_kafkas() {
        for (error, code) in [
            (GroupError::UnsupportedVersion, 35),
            (GroupError::InvalidRequest, 42),
            (GroupError::FencedMemberEpoch, 110),
            (GroupError::UnreleasedInstanceId, 111),
            (GroupError::UnsupportedAssignor, 112),
            (GroupError::StaleMemberEpoch, 113),
            (GroupError::InvalidRegularExpression, 128),
            (GroupError::OffsetMetadataTooLarge, 12),
            (GroupError::CoordinatorNotAvailable, 15),
            (GroupError::NotCoordinator, 16),
            (GroupError::IllegalGeneration, 22),
            (GroupError::InconsistentGroupProtocol, 23),
            (GroupError::InvalidGroupId, 24),
            (GroupError::UnknownMemberId, 25),
            (GroupError::InvalidSessionTimeout, 26),
            (GroupError::RebalanceInProgress, 27),
            (GroupError::NonEmptyGroup, 68),
            (GroupError::GroupIdNotFound, 69),
            (GroupError::MemberIdRequired, 79),
            (GroupError::GroupMaxSizeReached, 81),
            (GroupError::FencedInstanceId, 82),
            (GroupError::GroupSubscribedToTopic, 86),
            (GroupError::UnknownTopicOrPartition, 3),
            (GroupError::UnknownServerError, -1),
        ] {
            assert_eq!(error.code(), code, "{error}");
        }
    }
}
