//! Members of a group, classic or KIP-848.

use anyhow::bail;
use bytes::{Buf as _, Bytes};
use kafka_protocol::{
    messages::{
        ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest, GroupId,
        consumer_group_describe_response, describe_groups_response,
    },
    protocol::Decodable as _,
};

use crate::kafka::{Kafka, Partition, Refusal, text};

/// The protocols whose groups can be described; share and streams groups have other requests and other offsets.
const CLASSIC: &str = "classic";
/// KIP-848.
const CONSUMER: &str = "consumer";
/// Classic groups that are no consumers (Connect workers) have assignments of their own kind.
const CONSUMER_PROTOCOL: &str = "consumer";

/// Whether groups of a kind can be described.
pub(crate) fn is_known(kind: &str) -> bool {
    [CLASSIC, CONSUMER].contains(&kind)
}

/// State and members.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) state: String,
    pub(crate) assignor: String,
    pub(crate) members: Vec<Member>,
}

/// One member with its partitions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    pub(crate) assignment: Vec<Partition>,
}

/// Asks the group's coordinator.
pub(crate) fn fetch(kafka: &mut Kafka, name: &str, kind: &str) -> anyhow::Result<Described> {
    let group = GroupId(text(name));
    let described = match kind {
        CONSUMER => {
            let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group]);
            let answer = kafka.group(name, &request, 1, |answer| {
                answer.groups.first().map_or(0, |group| group.error_code)
            })?;
            answer.groups.into_iter().next().map(consumer)
        }
        CLASSIC => {
            let request = DescribeGroupsRequest::default().with_groups(vec![group]);
            // Version 6 calls a group that is not there an error; here it was listed a moment ago.
            let answer = kafka.group(name, &request, 5, |answer| {
                answer.groups.first().map_or(0, |group| group.error_code)
            })?;
            answer.groups.into_iter().next().map(classic)
        }
        other => {
            bail!("group '{name}' is a {other} group; only classic and consumer groups can be described")
        }
    };
    match described {
        Some(Ok(described)) => Ok(described),
        Some(Err(refusal)) => bail!("group '{name}': {refusal}"),
        None => bail!("group '{name}': the broker said nothing about it"),
    }
}

fn consumer(group: consumer_group_describe_response::DescribedGroup) -> Result<Described, Refusal> {
    if let Some(refusal) = Refusal::from_code(group.error_code, group.error_message.as_ref()) {
        return Err(refusal);
    }
    let member = |member: consumer_group_describe_response::Member| {
        let topics = member.assignment.topic_partitions.into_iter();
        Member {
            id: member.member_id.to_string(),
            instance: member.instance_id.map(|id| id.to_string()),
            client: member.client_id.to_string(),
            host: host(&member.client_host),
            assignment: topics
                .flat_map(|topic| each(topic.topic_name.to_string(), topic.partitions))
                .collect(),
        }
    };
    Ok(Described {
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        members: group.members.into_iter().map(member).collect(),
    })
}

fn classic(group: describe_groups_response::DescribedGroup) -> Result<Described, Refusal> {
    if let Some(refusal) = Refusal::from_code(group.error_code, group.error_message.as_ref()) {
        return Err(refusal);
    }
    let is_consumer = &*group.protocol_type == CONSUMER_PROTOCOL;
    let member = |member: describe_groups_response::DescribedGroupMember| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(|id| id.to_string()),
        client: member.client_id.to_string(),
        host: host(&member.client_host),
        assignment: if is_consumer {
            assignment(member.member_assignment)
        } else {
            Vec::new()
        },
    };
    Ok(Described {
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        members: group.members.into_iter().map(member).collect(),
    })
}

/// Java prints addresses with a slash in front.
fn host(host: &str) -> String {
    host.trim_start_matches('/').to_owned()
}

fn each(topic: String, partitions: Vec<i32>) -> impl Iterator<Item = Partition> {
    partitions
        .into_iter()
        .map(move |partition| (topic.clone(), partition))
}

/// What a leader assigned. While a group rebalances there is nothing; what cannot be read is passed over.
fn assignment(mut bytes: Bytes) -> Vec<Partition> {
    const NEWEST: i16 = 3;
    if bytes.len() < 2 {
        return Vec::new();
    }
    let version = bytes.get_i16().clamp(0, NEWEST);
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, version) else {
        return Vec::new();
    };
    let topics = assignment.assigned_partitions.into_iter();
    topics
        .flat_map(|topic| each(topic.topic.to_string(), topic.partitions))
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut as _, BytesMut};
    use kafka_protocol::{
        messages::{TopicName, consumer_protocol_assignment::TopicPartition},
        protocol::{Encodable as _, StrBytes},
    };

    use super::*;

    fn string(value: &'static str) -> StrBytes {
        StrBytes::from_static_str(value)
    }

    #[test]
    fn assignments_of_classic_members_are_read() {
        let topic = TopicPartition::default()
            .with_topic(TopicName(string("a")))
            .with_partitions(vec![0, 2]);
        let mut bytes = BytesMut::new();
        bytes.put_i16(1);
        ConsumerProtocolAssignment::default()
            .with_assigned_partitions(vec![topic])
            .encode(&mut bytes, 1)
            .unwrap();
        let bytes = bytes.freeze();
        assert_eq!(
            assignment(bytes.clone()),
            [("a".to_owned(), 0), ("a".to_owned(), 2)]
        );
        assert_eq!(assignment(Bytes::new()), []);
        assert_eq!(assignment(bytes.slice(..5)), [], "cut off");
    }

    #[test]
    fn both_kinds_look_the_same() {
        let topics = consumer_group_describe_response::TopicPartitions::default()
            .with_topic_name(TopicName(string("a")))
            .with_partitions(vec![1]);
        let assignment =
            consumer_group_describe_response::Assignment::default().with_topic_partitions(vec![topics]);
        let member = consumer_group_describe_response::Member::default()
            .with_member_id(string("m"))
            .with_client_id(string("c"))
            .with_client_host(string("/127.0.0.1"))
            .with_assignment(assignment);
        let group = consumer_group_describe_response::DescribedGroup::default()
            .with_group_state(string("Stable"))
            .with_assignor_name(string("uniform"))
            .with_members(vec![member]);
        let described = consumer(group).unwrap();
        assert_eq!(described.state, "Stable");
        let member = &described.members[0];
        assert_eq!(
            (member.host.as_str(), &member.assignment[..]),
            ("127.0.0.1", &[("a".to_owned(), 1)][..])
        );

        let group = describe_groups_response::DescribedGroup::default().with_error_code(30);
        assert_eq!(classic(group).unwrap_err().name, "GROUP_AUTHORIZATION_FAILED");
    }
}
