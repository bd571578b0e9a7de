//! DescribeQuorum, versions 0 to 2: a quorum of one. This broker is its own controller and keeps no metadata log; its
//! offsets count the changes of topics since the start.

use std::net::SocketAddr;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName,
        describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData},
    },
    protocol::StrBytes,
};

use crate::broker::Core;

const METADATA_TOPIC: &str = "__cluster_metadata";
/// First version with messages, nodes and their listeners.
const NODES_VERSION: i16 = 2;

/// Handles the request.
pub(crate) fn handle(
    core: &Core,
    local: SocketAddr,
    request: &DescribeQuorumRequest,
    version: i16,
) -> DescribeQuorumResponse {
    let is_metadata = matches!(
        &request.topics[..],
        [topic] if topic.topic_name.as_str() == METADATA_TOPIC
            && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
    );
    let response = DescribeQuorumResponse::default().with_error_message(None);
    if !is_metadata {
        return response.with_topics(unknown(request));
    }
    let partition = leader(core);
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
        .with_partitions(vec![partition]);
    let response = response.with_topics(vec![topic]);
    if version < NODES_VERSION {
        return response;
    }
    let (host, port) = core.advertised(local);
    let listener = Listener::default()
        .with_name(StrBytes::from_string(core.listener_name(local)))
        .with_host(StrBytes::from_string(host))
        .with_port(port);
    let node = Node::default()
        .with_node_id(BrokerId(core.config.node_id))
        .with_listeners(vec![listener]);
    response.with_nodes(vec![node])
}

/// The one voter, which leads.
fn leader(core: &Core) -> PartitionData {
    let node = BrokerId(core.config.node_id);
    let changes = i64::try_from(*core.topics.watch().borrow()).unwrap_or(i64::MAX);
    let now_ms = core.env.clock.now_ms();
    let voter = ReplicaState::default()
        .with_replica_id(node)
        .with_log_end_offset(changes)
        .with_last_fetch_timestamp(now_ms)
        .with_last_caught_up_timestamp(now_ms);
    PartitionData::default()
        .with_error_message(None)
        .with_leader_id(node)
        .with_high_watermark(changes)
        .with_current_voters(vec![voter])
}

/// Nothing else has a quorum.
fn unknown(request: &DescribeQuorumRequest) -> Vec<TopicData> {
    let error = ResponseError::UnknownTopicOrPartition;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            PartitionData::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_static_str(
                    "This server does not host this topic-partition.",
                )))
        });
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(partitions.collect())
    });
    topics.collect()
}
