//! Metadata, versions 0 to 13: brokers and topics, creating topics on request.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use jackfield_log::TopicId;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, MetadataRequest, MetadataResponse, TopicName,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    CreateTopicError, Topic,
    broker::Core,
    error_codes,
    groups::{GroupError, OFFSETS_TOPIC},
    topics,
};

/// First version in which null means all topics and an empty list means none.
const NULL_IS_ALL_VERSION: i16 = 1;
/// First version in which the client says whether topics may be created.
const ALLOW_AUTO_CREATE_VERSION: i16 = 4;

/// First version with the operations a client is authorized to, on topics.
const TOPIC_OPERATIONS_VERSION: i16 = 8;
/// Versions with the operations a client is authorized to, on the cluster.
const CLUSTER_OPERATIONS_VERSIONS: std::ops::RangeInclusive<i16> = 8..=10;

/// Nobody leads the partition.
pub(crate) const NO_LEADER: BrokerId = BrokerId(-1);

/// Everything there is to do with a topic: nobody is kept from anything (READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE,
/// DESCRIBE_CONFIGS, ALTER_CONFIGS as bits).
pub(crate) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// The same for the cluster (CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS,
/// IDEMPOTENT_WRITE).
pub(crate) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

/// Handles the request.
pub(crate) async fn handle(
    core: &Arc<Core>,
    local: SocketAddr,
    request: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    let node = BrokerId(core.config.node_id);
    let all = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && version < NULL_IS_ALL_VERSION,
    };
    let may_create = core.config.auto_create_topics
        && (version < ALLOW_AUTO_CREATE_VERSION || request.allow_auto_topic_creation);
    let mut topics = Vec::new();
    if all {
        topics.extend(core.topics.list().iter().map(|topic| describe(topic, node)));
    } else {
        for asked in request.topics.unwrap_or_default() {
            topics.push(lookup(core, asked, may_create, node).await);
        }
    }
    if request.include_topic_authorized_operations && version >= TOPIC_OPERATIONS_VERSION {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let (host, port) = core.advertised(local);
    let broker = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(StrBytes::from_string(host))
        .with_port(i32::from(port))
        .with_rack(core.config.rack().map(StrBytes::from_string));
    let mut response = MetadataResponse::default();
    if request.include_cluster_authorized_operations && CLUSTER_OPERATIONS_VERSIONS.contains(&version) {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(core.logs.cluster_id())))
        .with_controller_id(node)
        .with_topics(topics)
}

async fn lookup(
    core: &Arc<Core>,
    asked: MetadataRequestTopic,
    may_create: bool,
    node: BrokerId,
) -> MetadataResponseTopic {
    // Whoever asks by id may leave the name empty, as Java's consumer does.
    let Some(name) = asked.name.filter(|_| asked.topic_id.is_nil()) else {
        let found = core.topics.get_by_id(TopicId(*asked.topic_id.as_bytes()));
        return found.map_or_else(
            || {
                MetadataResponseTopic::default()
                    .with_topic_id(asked.topic_id)
                    .with_error_code(ResponseError::UnknownTopicId.code())
            },
            |topic| describe(&topic, node),
        );
    };
    let refuse = |code: i16| {
        MetadataResponseTopic::default()
            .with_name(Some(name.clone()))
            .with_error_code(code)
    };
    if let Some(topic) = core.topics.get(&name) {
        return describe(&topic, node);
    }
    if let Err(error) = topics::check_name(&name) {
        return refuse(error_codes::of_create_topic(&error));
    }
    if !may_create {
        return refuse(ResponseError::UnknownTopicOrPartition.code());
    }
    if topics::is_internal(&name) {
        return create_internal(core, &name, node).await.unwrap_or_else(refuse);
    }
    match core.topics.create(&name, None, &BTreeMap::new()).await {
        Ok(topic) => describe(&topic, node),
        // Another connection was faster.
        Err(CreateTopicError::AlreadyExists(_)) => match core.topics.get(&name) {
            Some(topic) => describe(&topic, node),
            None => refuse(ResponseError::UnknownTopicOrPartition.code()),
        },
        Err(error) => refuse(error_codes::of_create_topic(&error)),
    }
}

/// Topics of the broker's own are made by their coordinator, with its configs.
async fn create_internal(core: &Core, name: &str, node: BrokerId) -> Result<MetadataResponseTopic, i16> {
    if name == OFFSETS_TOPIC {
        core.groups
            .ensure_offsets_topic()
            .await
            .map_err(GroupError::code)?;
    }
    let topic = core.topics.get(name);
    topic
        .map(|topic| describe(&topic, node))
        .ok_or(ResponseError::UnknownTopicOrPartition.code())
}

fn describe(topic: &Topic, node: BrokerId) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().map(|log| {
        let partition = MetadataResponsePartition::default()
            .with_partition_index(log.partition())
            .with_leader_id(node)
            .with_leader_epoch(log.leader_epoch())
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node]);
        if !log.is_offline() {
            return partition;
        }
        // As in Kafka, whose controller takes the leadership from a replica in a directory that failed.
        partition
            .with_error_code(ResponseError::LeaderNotAvailable.code())
            .with_leader_id(NO_LEADER)
            .with_offline_replicas(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(Uuid::from_bytes(topic.id.0))
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
}
