//! OffsetFetch, versions 1 to 9.

use std::collections::BTreeMap;

use kafka_protocol::{
    messages::{
        GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::StrBytes,
};

use crate::groups::{FetchedOffset, GroupError, GroupPartition, Groups};

/// First version with an error code for the whole group, and with "all partitions".
const GROUP_ERROR_VERSION: i16 = 2;
/// First version that asks for several groups.
const BATCH_VERSION: i16 = 8;

/// Partitions asked for, by topic; `None` = all.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;

/// Handles the request.
pub(crate) async fn handle(
    groups: &Groups,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    if version < BATCH_VERSION {
        let wanted: Wanted = request.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        let fetched = fetch(groups, &request.group_id, &wanted).await;
        return single(fetched, wanted, version);
    }
    let mut answers = Vec::new();
    for group in request.groups {
        let wanted: Wanted = group.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        let fetched =
            match groups.check_fetch(&group.group_id, group.member_id.as_deref(), group.member_epoch) {
                Ok(()) => fetch(groups, &group.group_id, &wanted).await,
                Err(error) => Err(error),
            };
        answers.push(one_of_many(group.group_id, fetched));
    }
    OffsetFetchResponse::default().with_groups(answers)
}

async fn fetch(
    groups: &Groups,
    group_id: &str,
    wanted: &Wanted,
) -> Result<Vec<(TopicName, Vec<FetchedOffset>)>, GroupError> {
    let Some(wanted) = wanted else {
        let mut by_topic: BTreeMap<String, Vec<FetchedOffset>> = BTreeMap::new();
        for offset in groups.fetch(group_id, None).await? {
            by_topic
                .entry(offset.partition.topic.clone())
                .or_default()
                .push(offset);
        }
        let named = by_topic.into_iter();
        return Ok(named
            .map(|(topic, offsets)| (TopicName(StrBytes::from_string(topic)), offsets))
            .collect());
    };
    let mut by_topic = Vec::new();
    for (topic, partitions) in wanted {
        let partitions: Vec<GroupPartition> = partitions
            .iter()
            .map(|partition| GroupPartition {
                topic: topic.to_string(),
                partition: *partition,
            })
            .collect();
        by_topic.push((topic.clone(), groups.fetch(group_id, Some(&partitions)).await?));
    }
    Ok(by_topic)
}

fn single(
    fetched: Result<Vec<(TopicName, Vec<FetchedOffset>)>, GroupError>,
    wanted: Wanted,
    version: i16,
) -> OffsetFetchResponse {
    match fetched {
        Ok(fetched) => {
            let topics = fetched.into_iter().map(|(name, offsets)| {
                let partitions = offsets.into_iter().map(|offset| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(offset.partition.partition)
                        .with_committed_offset(offset.offset)
                        .with_committed_leader_epoch(offset.leader_epoch)
                        .with_metadata(Some(StrBytes::from_string(offset.metadata)))
                });
                OffsetFetchResponseTopic::default()
                    .with_name(name)
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        Err(error) if version >= GROUP_ERROR_VERSION => {
            OffsetFetchResponse::default().with_error_code(error.code())
        }
        Err(error) => {
            let topics = wanted.unwrap_or_default().into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|partition| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(partition)
                        .with_committed_offset(-1)
                        .with_metadata(Some(StrBytes::default()))
                        .with_error_code(error.code())
                });
                OffsetFetchResponseTopic::default()
                    .with_name(name)
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
    }
}

fn one_of_many(
    group_id: GroupId,
    fetched: Result<Vec<(TopicName, Vec<FetchedOffset>)>, GroupError>,
) -> OffsetFetchResponseGroup {
    let answer = OffsetFetchResponseGroup::default().with_group_id(group_id);
    match fetched {
        Ok(fetched) => {
            let topics = fetched.into_iter().map(|(name, offsets)| {
                let partitions = offsets.into_iter().map(|offset| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(offset.partition.partition)
                        .with_committed_offset(offset.offset)
                        .with_committed_leader_epoch(offset.leader_epoch)
                        .with_metadata(Some(StrBytes::from_string(offset.metadata)))
                });
                OffsetFetchResponseTopics::default()
                    .with_name(name)
                    .with_partitions(partitions.collect())
            });
            answer.with_topics(topics.collect())
        }
        Err(error) => answer.with_error_code(error.code()),
    }
}
