//! ConsumerGroupHeartbeat, versions 0 and 1.

use std::{collections::BTreeSet, net::IpAddr};

use jackfield_log::TopicId;
use kafka_protocol::{
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        consumer_group_heartbeat_response::{Assignment, TopicPartitions},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    groups::{ConsumerHeartbeat, Groups},
    join_group::java_address,
};

/// First version whose members make up their ids.
const OWN_ID_VERSION: i16 = 1;

/// Handles the request.
pub(crate) async fn handle(
    groups: &Groups,
    client_id: &str,
    client_address: IpAddr,
    request: ConsumerGroupHeartbeatRequest,
    version: i16,
) -> ConsumerGroupHeartbeatResponse {
    let answer = groups
        .consumer_heartbeat(plain(client_id, client_address, request, version))
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => {
            return ConsumerGroupHeartbeatResponse::default()
                .with_error_code(refusal.error.code())
                .with_error_message(Some(StrBytes::from_string(refusal.message)));
        }
    };
    let assignment = answer.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic, partitions)| {
            TopicPartitions::default()
                .with_topic_id(Uuid::from_bytes(topic.0))
                .with_partitions(partitions.into_iter().collect())
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(StrBytes::from_string(answer.member_id)))
        .with_member_epoch(answer.member_epoch)
        .with_heartbeat_interval_ms(answer.heartbeat_interval_ms)
        .with_assignment(assignment)
}

fn plain(
    client_id: &str,
    client_address: IpAddr,
    request: ConsumerGroupHeartbeatRequest,
    version: i16,
) -> ConsumerHeartbeat {
    let text = |text: Option<StrBytes>| text.map(|text| text.to_string());
    let names = request.subscribed_topic_names;
    let owned = request.topic_partitions.map(|topics| {
        let mut owned = std::collections::BTreeMap::<TopicId, BTreeSet<i32>>::new();
        for topic in topics {
            let id = TopicId(topic.topic_id.into_bytes());
            owned.entry(id).or_default().extend(topic.partitions);
        }
        owned
    });
    ConsumerHeartbeat {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        member_epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|timeout| *timeout != -1),
        subscribed_topics: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        subscribed_regex: text(request.subscribed_topic_regex),
        server_assignor: text(request.server_assignor),
        owned,
        client_id: client_id.to_owned(),
        client_host: java_address(client_address),
        has_own_id: version >= OWN_ID_VERSION,
    }
}
