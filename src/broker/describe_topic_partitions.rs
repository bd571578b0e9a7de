//! DescribeTopicPartitions, version 0 (KIP-966): topics in portions of their partitions, with a cursor for the next one.

use std::{cmp::Ordering, collections::BTreeSet};

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    Topic,
    broker::Core,
    error_codes,
    metadata::{NO_LEADER, TOPIC_OPERATIONS},
    topics,
};

/// Handles the request.
pub(crate) fn handle(
    core: &Core,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let start = request.cursor.as_ref();
    let (start_name, start_partition) = start.map_or(("", 0), |cursor| {
        (cursor.topic_name.as_str(), cursor.partition_index)
    });
    let all = request.topics.is_empty();
    let names: BTreeSet<String> = if all {
        core.topics
            .list()
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect()
    };
    let is_cursor_outside = start.is_some() && !all && !names.contains(start_name);
    if is_cursor_outside || start_partition < 0 {
        let refused = names.into_iter().filter(|_| !all);
        let refused = refused.map(|name| failed(name, ResponseError::InvalidRequest.code()));
        return DescribeTopicPartitionsResponse::default().with_topics(refused.collect());
    }
    let mut portion = Portion {
        left: usize::try_from(
            request
                .response_partition_limit
                .clamp(1, core.config.limits.request_partitions_max),
        )
        .unwrap_or(1),
        topics: Vec::new(),
        next: None,
        node: BrokerId(core.config.node_id),
    };
    for name in names {
        let first = match name.as_str().cmp(start_name) {
            Ordering::Less => continue,
            Ordering::Equal => start_partition,
            Ordering::Greater => 0,
        };
        match core.topics.get(&name) {
            _ if portion.left == 0 => portion.go_on_with(&name, 0),
            Some(topic) => portion.add(&topic, first),
            // Deleted while they were listed.
            None if all => {}
            None => {
                let error = topics::check_name(&name).err();
                let code = error.map_or(ResponseError::UnknownTopicOrPartition.code(), |error| {
                    error_codes::of_create_topic(&error)
                });
                portion.topics.push(failed(name, code));
            }
        }
        if portion.next.is_some() {
            break;
        }
    }
    DescribeTopicPartitionsResponse::default()
        .with_topics(portion.topics)
        .with_next_cursor(portion.next)
}

/// An answer that is being made.
struct Portion {
    /// Partitions that still fit.
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
    node: BrokerId,
}

impl Portion {
    fn go_on_with(&mut self, name: &str, partition: i32) {
        let cursor = Cursor::default()
            .with_topic_name(topic_name(name.to_owned()))
            .with_partition_index(partition);
        self.next = Some(cursor);
    }

    /// The topic's partitions from `first` on, as many as fit.
    fn add(&mut self, topic: &Topic, first: i32) {
        let from = usize::try_from(first).unwrap_or(0).min(topic.partitions.len());
        let (now, later) = topic.partitions[from..].split_at(self.left.min(topic.partitions.len() - from));
        let partition = |log: &std::sync::Arc<jackfield_log::PartitionLog>| {
            let partition = DescribeTopicPartitionsResponsePartition::default()
                .with_partition_index(log.partition())
                .with_leader_id(self.node)
                .with_leader_epoch(log.leader_epoch())
                .with_replica_nodes(vec![self.node])
                .with_isr_nodes(vec![self.node])
                // A replica that is the only one is in sync: nothing else is eligible.
                .with_eligible_leader_replicas(Some(Vec::new()))
                .with_last_known_elr(Some(Vec::new()));
            if !log.is_offline() {
                return partition;
            }
            partition
                .with_error_code(ResponseError::LeaderNotAvailable.code())
                .with_leader_id(NO_LEADER)
                .with_offline_replicas(vec![self.node])
        };
        let described = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(topic_name(topic.name.to_string())))
            .with_topic_id(Uuid::from_bytes(topic.id.0))
            .with_is_internal(topic.internal)
            .with_partitions(now.iter().map(partition).collect())
            .with_topic_authorized_operations(TOPIC_OPERATIONS);
        self.topics.push(described);
        self.left -= now.len();
        if let Some(next) = later.first() {
            self.go_on_with(&topic.name, next.partition());
        }
    }
}

fn failed(name: String, code: i16) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name(name)))
        .with_error_code(code)
}

fn topic_name(name: String) -> TopicName {
    TopicName(StrBytes::from_string(name))
}
