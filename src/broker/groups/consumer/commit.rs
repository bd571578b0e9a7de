//! Who may commit and fetch offsets.

use jackfield_log::TopicId;

use super::{super::error::GroupError, group::ConsumerGroup, member::ConsumerMember};

/// First version of OffsetCommit that members of the consumer protocol may use.
const MEMBER_EPOCH_VERSION: i16 = 9;

/// Which of a commit's partitions are accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CommitCheck<'a> {
    All,
    /// The epoch is older than the member's: a partition counts that the member has had since.
    HeldSince(&'a ConsumerMember, i32),
}

impl CommitCheck<'_> {
    /// Checks one partition.
    pub(crate) fn check(self, topic: TopicId, partition: i32) -> Result<(), GroupError> {
        let Self::HeldSince(member, epoch) = self else {
            return Ok(());
        };
        match member.epoch_of(topic, partition) {
            Some(since) if epoch >= since => Ok(()),
            _ => Err(stale(member)),
        }
    }
}

fn stale(member: &ConsumerMember) -> GroupError {
    if member.uses_classic_protocol() {
        GroupError::IllegalGeneration
    } else {
        GroupError::StaleMemberEpoch
    }
}

impl ConsumerGroup {
    /// Checks a commit of a request's version.
    pub(crate) fn validate_commit(
        &self,
        member_id: &str,
        epoch: i32,
        version: i16,
    ) -> Result<CommitCheck<'_>, GroupError> {
        if epoch < 0 && self.is_empty() {
            // An administrator, or a consumer that assigns itself.
            return Ok(CommitCheck::All);
        }
        let member = self.member(member_id).ok_or(GroupError::UnknownMemberId)?;
        if !member.uses_classic_protocol() && version < MEMBER_EPOCH_VERSION {
            return Err(GroupError::UnsupportedVersion);
        }
        match epoch.cmp(&member.current.epoch) {
            std::cmp::Ordering::Equal => Ok(CommitCheck::All),
            std::cmp::Ordering::Greater => Err(stale(member)),
            std::cmp::Ordering::Less => Ok(CommitCheck::HeldSince(member, epoch)),
        }
    }

    /// Checks who fetches offsets; who does not say is not asked.
    pub(crate) fn validate_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), GroupError> {
        let Some(member_id) = member_id else {
            return if epoch < 0 {
                Ok(())
            } else {
                Err(GroupError::UnknownMemberId)
            };
        };
        let member = self.member(member_id).ok_or(GroupError::UnknownMemberId)?;
        if epoch == member.current.epoch {
            Ok(())
        } else {
            Err(stale(member))
        }
    }
}
