//! DescribeProducers, version 0: producers whose batches are remembered (KIP-664).

use jackfield_log::ActiveProducer;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeProducersRequest, DescribeProducersResponse, ProducerId,
        describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
    },
};

use crate::broker::Core;

/// Handles the request.
pub(crate) fn handle(core: &Core, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let answer = PartitionResponse::default().with_partition_index(*index);
            match core.topics.partition(&topic.name, *index) {
                Some(log) if log.is_offline() => {
                    answer.with_error_code(ResponseError::KafkaStorageError.code())
                }
                Some(log) => {
                    answer.with_active_producers(log.active_producers().into_iter().map(state).collect())
                }
                None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

/// There are no transactions yet: none is open.
fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(-1)
}
