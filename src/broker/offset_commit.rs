//! OffsetCommit, versions 2 to 9.

use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse,
    offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
};

use crate::{
    error_codes::code_of,
    groups::{CommitRequest, GroupError, GroupPartition, Groups, OffsetToCommit},
};

/// First version whose clients understand "group id not found".
const GROUP_ID_NOT_FOUND_VERSION: i16 = 9;

/// Handles the request.
pub(crate) async fn handle(
    groups: &Groups,
    request: OffsetCommitRequest,
    version: i16,
) -> OffsetCommitResponse {
    let results = groups.commit(plain(&request, version)).await;
    let mut codes: Box<dyn Iterator<Item = i16> + Send> = match results {
        Ok(results) => Box::new(results.into_iter().map(|result| code_of(&result))),
        Err(GroupError::GroupIdNotFound) if version < GROUP_ID_NOT_FOUND_VERSION => {
            Box::new(std::iter::repeat(GroupError::IllegalGeneration.code()))
        }
        Err(error) => Box::new(std::iter::repeat(error.code())),
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(codes.next().unwrap_or_default())
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn plain(request: &OffsetCommitRequest, version: i16) -> CommitRequest {
    let offsets = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| OffsetToCommit {
            partition: GroupPartition {
                topic: topic.name.to_string(),
                partition: partition.partition_index,
            },
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition
                .committed_metadata
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })
    });
    CommitRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
        version,
        retention_time_ms: Some(request.retention_time_ms).filter(|retention| *retention != -1),
        offsets: offsets.collect(),
    }
}
