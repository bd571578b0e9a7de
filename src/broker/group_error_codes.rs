//! Kafka's error codes of what the group coordinator refuses.

use kafka_protocol::error::ResponseError;

use crate::groups::GroupError;

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
