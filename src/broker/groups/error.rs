//! What the group coordinator refuses, by Kafka's names. The numbers are assigned where the broker assigns all.

/// Why a group request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum GroupError {
    #[error("the coordinator is not aware of this member")]
    UnknownMemberId,
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    #[error("the member's protocol type or protocols do not match those of the group")]
    InconsistentGroupProtocol,
    #[error("the group is rebalancing, so a rejoin is needed")]
    RebalanceInProgress,
    #[error("the member must join again with the member id it was given")]
    MemberIdRequired,
    #[error("the group instance id belongs to a newer member id")]
    FencedInstanceId,
    #[error("the group is full (group.max.size)")]
    GroupMaxSizeReached,
    #[error("the session timeout is outside group.min.session.timeout.ms and group.max.session.timeout.ms")]
    InvalidSessionTimeout,
    #[error("the group id is invalid")]
    InvalidGroupId,
    #[error("the request is invalid")]
    InvalidRequest,
    #[error(
        "the member epoch is not the one the coordinator knows: the member must give up its partitions and rejoin"
    )]
    FencedMemberEpoch,
    #[error("the member epoch is not the current one")]
    StaleMemberEpoch,
    #[error("the group instance id is in use by another member")]
    UnreleasedInstanceId,
    #[error("the assignor is not supported")]
    UnsupportedAssignor,
    #[error("the regular expression is invalid")]
    InvalidRegularExpression,
    #[error("members of this group must use a newer version of the request")]
    UnsupportedVersion,
    #[error("the group does not exist")]
    GroupIdNotFound,
    #[error("the group is not empty")]
    NonEmptyGroup,
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    #[error("the metadata of the offset is longer than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    #[error("the topic or partition does not exist")]
    UnknownTopicOrPartition,
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    #[error("the coordinator cannot write its log")]
    NotCoordinator,
    #[error("the coordinator could not store the group's record")]
    UnknownServerError,
}
