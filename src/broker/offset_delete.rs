//! OffsetDelete, version 0: committed offsets of topics that the group is not subscribed to.

use kafka_protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse,
    offset_delete_request::OffsetDeleteRequestTopic,
    offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
};

use crate::{
    broker::Core,
    error_codes::code_of,
    groups::{GroupError, GroupPartition},
};

/// Handles the request. As in Kafka, the group is not looked at when none of the topics exists.
pub(crate) async fn handle(core: &Core, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    if request.group_id.is_empty() {
        return OffsetDeleteResponse::default().with_error_code(GroupError::InvalidGroupId.code());
    }
    let topics: Vec<(&OffsetDeleteRequestTopic, bool)> = request
        .topics
        .iter()
        .map(|topic| (topic, core.topics.get(&topic.name).is_some()))
        .collect();
    let known = topics.iter().filter(|(_, exists)| *exists);
    let partitions: Vec<_> = known.flat_map(|(topic, _)| partitions(topic)).collect();
    let deleted = if partitions.is_empty() {
        Ok(Vec::new())
    } else {
        core.groups.delete_offsets(&request.group_id, &partitions).await
    };
    let mut results = match deleted {
        Ok(results) => results.into_iter(),
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let answers = topics.into_iter().map(|(topic, exists)| {
        let results = results.by_ref();
        let answers = topic.partitions.iter().map(|partition| {
            let deleted = if exists { results.next() } else { None };
            let deleted = deleted.unwrap_or(Err(GroupError::UnknownTopicOrPartition));
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code_of(&deleted))
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(answers.collect())
    });
    OffsetDeleteResponse::default().with_topics(answers.collect())
}

fn partitions(topic: &OffsetDeleteRequestTopic) -> impl Iterator<Item = GroupPartition> {
    topic.partitions.iter().map(|partition| GroupPartition {
        topic: topic.name.to_string(),
        partition: partition.partition_index,
    })
}
