//! ListOffsets, versions 1 to 11: earliest, latest, by timestamp, and the largest timestamp.

use jackfield_log::{PartitionLog, ReadError, TimestampOffset};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};

use crate::{blocking, broker::Core, error_codes, leader_epoch, repeated::repeated};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// KIP-734.
const MAX_TIMESTAMP: i64 = -3;
/// Earliest offset in local storage (KIP-405): everything is local here.
const EARLIEST_LOCAL: i64 = -4;
/// Latest offset in tiered storage (KIP-1005): there is none here.
const LATEST_TIERED: i64 = -5;
/// First offset that is to go to tiered storage (KIP-1023): there is none here.
const EARLIEST_PENDING_UPLOAD: i64 = -6;
/// Last version that the codec knows; the next one has the same fields.
pub(crate) const CODEC_VERSION: i16 = 10;
/// The special times, and the first versions that have them.
const SPECIAL: [(i64, i16); 6] = [
    (LATEST, 1),
    (EARLIEST, 1),
    (MAX_TIMESTAMP, 7),
    (EARLIEST_LOCAL, 8),
    (LATEST_TIERED, 9),
    (EARLIEST_PENDING_UPLOAD, 11),
];

/// First version whose answers name the leader epoch of the record.
const LEADER_EPOCH_VERSION: i16 = 4;

/// Handles the request; reads segment files where a timestamp is asked for.
pub(crate) fn handle(core: &Core, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let mut asked = request.topics.iter().flat_map(|topic| &topic.partitions);
    if asked.any(|partition| partition.timestamp >= 0 || partition.timestamp == MAX_TIMESTAMP) {
        blocking::run(|| answer(core, request, version))
    } else {
        answer(core, request, version)
    }
}

fn answer(core: &Core, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let asked = request.topics.iter().flat_map(|topic| {
        let place = |partition: &ListOffsetsPartition| (topic.name.to_string(), partition.partition_index);
        topic.partitions.iter().map(place)
    });
    let twice = repeated(asked);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let is_twice = twice.contains(&(topic.name.to_string(), partition.partition_index));
            let log = core.topics.partition(&topic.name, partition.partition_index);
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(-1)
                .with_offset(-1)
                .with_leader_epoch(-1);
            let found = if is_twice {
                Err(ResponseError::InvalidRequest.code())
            } else {
                look_up(log.as_deref(), partition, version)
            };
            match found {
                Ok(None) => answer,
                Ok(Some(found)) => {
                    let known = version >= LEADER_EPOCH_VERSION;
                    answer
                        .with_timestamp(found.timestamp)
                        .with_offset(found.offset)
                        .with_leader_epoch(if known { found.leader_epoch } else { -1 })
                }
                Err(code) => answer.with_error_code(code),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn look_up(
    log: Option<&PartitionLog>,
    asked: &ListOffsetsPartition,
    version: i16,
) -> Result<Option<TimestampOffset>, i16> {
    let special = SPECIAL
        .iter()
        .find(|(timestamp, _)| *timestamp == asked.timestamp);
    if asked.timestamp < 0 && special.is_none_or(|(_, since)| version < *since) {
        return Err(ResponseError::UnsupportedVersion.code());
    }
    let log = log.ok_or(ResponseError::UnknownTopicOrPartition.code())?;
    if log.is_offline() {
        return Err(ResponseError::KafkaStorageError.code());
    }
    let leader_epoch = log.leader_epoch();
    leader_epoch::check(asked.current_leader_epoch, leader_epoch).map_err(|error| error.code())?;
    let at = |offset: i64, leader_epoch: i32| {
        Ok(Some(TimestampOffset {
            timestamp: -1,
            offset,
            leader_epoch,
        }))
    };
    let code = |error: ReadError| {
        if log.is_deleted() {
            ResponseError::UnknownTopicOrPartition.code()
        } else {
            error_codes::of_read(&error)
        }
    };
    match asked.timestamp {
        LATEST => at(log.high_watermark(), leader_epoch),
        EARLIEST | EARLIEST_LOCAL => {
            let start = log.log_start_offset();
            at(start, log.leader_epoch_at(start))
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(None),
        MAX_TIMESTAMP => log.offset_of_max_timestamp().map_err(code),
        timestamp => log.offset_for_timestamp(timestamp).map_err(code),
    }
}
