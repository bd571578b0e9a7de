//! The committed positions of a group, looked at and changed by someone who is no member.

use std::sync::Arc;

use jackfield_broker::groups::{
    CommitRequest, FetchedOffset, GroupError, GroupPartition, Groups, OffsetToCommit,
};

use crate::{ClusterError, CommittedOffset, TopicPartition};

/// All of them.
pub(super) async fn read(groups: &Groups, group_id: &str) -> Result<Vec<CommittedOffset>, ClusterError> {
    let fetched = groups.fetch(group_id, None).await;
    let fetched = fetched.map_err(|error| ClusterError::group(error, group_id))?;
    Ok(fetched.into_iter().map(committed).collect())
}

/// Sets those with an offset, removes the others.
pub(super) async fn alter(
    groups: &Groups,
    group_id: &str,
    offsets: &[(TopicPartition, Option<i64>)],
) -> Result<(), ClusterError> {
    let failed = |error| ClusterError::group(error, group_id);
    let commits: Vec<_> = offsets
        .iter()
        .filter_map(|(partition, offset)| Some(commit(partition, (*offset)?)))
        .collect();
    let gone: Vec<_> = offsets
        .iter()
        .filter(|(_, offset)| offset.is_none())
        .map(|(partition, _)| plain(partition))
        .collect();
    if !commits.is_empty() {
        let request = CommitRequest {
            group_id: group_id.to_owned(),
            generation: -1,
            offsets: commits,
            ..CommitRequest::default()
        };
        let committed = groups.commit(request).await.map_err(failed)?;
        first_error(committed).map_err(failed)?;
    }
    if !gone.is_empty() {
        let deleted = groups.delete_offsets(group_id, &gone).await.map_err(failed)?;
        first_error(deleted).map_err(failed)?;
    }
    Ok(())
}

/// Deletes the group.
pub(super) async fn delete(groups: &Groups, group_id: &str) -> Result<(), ClusterError> {
    match groups.delete_group(group_id).await {
        Ok(()) | Err(GroupError::GroupIdNotFound) => Ok(()),
        Err(error) => Err(ClusterError::group(error, group_id)),
    }
}

fn first_error(results: Vec<Result<(), GroupError>>) -> Result<(), GroupError> {
    results.into_iter().collect()
}

fn plain(partition: &TopicPartition) -> GroupPartition {
    GroupPartition {
        topic: partition.topic.to_string(),
        partition: partition.partition,
    }
}

fn commit(partition: &TopicPartition, offset: i64) -> OffsetToCommit {
    OffsetToCommit {
        partition: plain(partition),
        offset,
        leader_epoch: -1,
        metadata: String::new(),
    }
}

fn committed(fetched: FetchedOffset) -> CommittedOffset {
    CommittedOffset {
        partition: TopicPartition {
            topic: Arc::from(fetched.partition.topic),
            partition: fetched.partition.partition,
        },
        offset: (fetched.offset >= 0).then_some(fetched.offset),
        metadata: fetched.metadata,
    }
}
