//! ConsumerGroupDescribe, versions 0 and 1.

use kafka_protocol::{
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, TopicName,
        consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    describe_groups::GROUP_OPERATIONS,
    groups::{DescribedConsumerMember, DescribedTopic, Groups},
};

/// Kafka's number of members with the classic protocol.
const CLASSIC_MEMBER: i8 = 0;
/// Kafka's number of members with the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

/// Handles the request.
pub(crate) async fn handle(
    groups: &Groups,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut answers = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let found = groups.describe_consumer_group(&group_id).await;
        let answer = DescribedGroup::default().with_group_id(group_id);
        let mut answer = match found {
            Ok(group) => answer
                .with_group_state(StrBytes::from_static_str(group.state))
                .with_group_epoch(group.group_epoch)
                .with_assignment_epoch(group.assignment_epoch)
                .with_assignor_name(StrBytes::from_static_str(group.assignor))
                .with_members(group.members.into_iter().map(member).collect()),
            Err(refusal) => answer
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.message))),
        };
        if request.include_authorized_operations && answer.error_code == 0 {
            answer.authorized_operations = GROUP_OPERATIONS;
        }
        answers.push(answer);
    }
    ConsumerGroupDescribeResponse::default().with_groups(answers)
}

fn member(member: DescribedConsumerMember) -> Member {
    let names = member.subscribed_topics.into_iter();
    Member::default()
        .with_member_id(StrBytes::from_string(member.member_id))
        .with_instance_id(member.instance_id.map(StrBytes::from_string))
        .with_rack_id(member.rack_id.map(StrBytes::from_string))
        .with_member_epoch(member.member_epoch)
        .with_client_id(StrBytes::from_string(member.client_id))
        .with_client_host(StrBytes::from_string(member.client_host))
        .with_subscribed_topic_names(names.map(|name| TopicName(StrBytes::from_string(name))).collect())
        .with_subscribed_topic_regex(Some(StrBytes::from_string(member.subscribed_regex)))
        .with_assignment(assignment(member.assignment))
        .with_target_assignment(assignment(member.target))
        .with_member_type(if member.uses_classic_protocol {
            CLASSIC_MEMBER
        } else {
            CONSUMER_MEMBER
        })
}

fn assignment(topics: Vec<DescribedTopic>) -> Assignment {
    let topics = topics.into_iter().map(|topic| {
        TopicPartitions::default()
            .with_topic_id(Uuid::from_bytes(topic.id.0))
            .with_topic_name(TopicName(StrBytes::from_string(topic.name.to_string())))
            .with_partitions(topic.partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
