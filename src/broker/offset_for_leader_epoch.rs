//! OffsetForLeaderEpoch, versions 2 to 4: where the records of a leader epoch end.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch_request::OffsetForLeaderPartition,
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};

use crate::{broker::Core, leader_epoch};

/// Handles the request.
pub(crate) fn handle(core: &Core, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = EpochEndOffset::default()
                .with_partition(asked.partition)
                .with_leader_epoch(-1)
                .with_end_offset(-1);
            match look_up(core, &topic.topic, asked) {
                Ok(None) => answer,
                Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Err(error) => answer.with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic)
            .with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn look_up(
    core: &Core,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ResponseError> {
    let log = core.topics.partition(topic, asked.partition);
    let log = log.ok_or(ResponseError::UnknownTopicOrPartition)?;
    if log.is_offline() {
        return Err(ResponseError::KafkaStorageError);
    }
    leader_epoch::check(asked.current_leader_epoch, log.leader_epoch())?;
    if asked.leader_epoch < 0 {
        return Ok(None);
    }
    // Nothing beyond what consumers may read is told of.
    let committed = |(epoch, end): (i32, i64)| (epoch, end.min(log.high_watermark()));
    Ok(log.end_offset_of_epoch(asked.leader_epoch).map(committed))
}
