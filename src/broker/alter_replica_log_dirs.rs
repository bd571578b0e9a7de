//! AlterReplicaLogDirs, versions 1 and 2: a partition stays in the log directory where it was created.

use std::collections::BTreeMap;

use jackfield_log::LogDir;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName,
        alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult},
    },
    protocol::StrBytes,
};

use crate::{blocking, broker::Core, describe_log_dirs::absolute};

/// Longest name of a file.
const MAX_NAME_BYTES: usize = 255;
/// What Kafka's name of a directory that is being filled has besides the partition's.
const FUTURE_SUFFIX_BYTES: usize = ".-future".len() + 32;

/// Handles the request; asks the file system. Of a partition that is named twice the last directory counts.
pub(crate) fn handle(core: &Core, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let directories = blocking::run(|| core.logs.log_dirs());
    let mut answers: BTreeMap<TopicName, BTreeMap<i32, i16>> = BTreeMap::new();
    for wanted in request.dirs {
        let directory = directories
            .iter()
            .find(|directory| absolute(&directory.path) == wanted.path);
        for topic in wanted.topics {
            let rows = answers.entry(topic.name.clone()).or_default();
            for partition in topic.partitions {
                let moved = alter(core, directory, &topic.name, partition);
                rows.insert(partition, moved.map_or_else(|error| error.code(), |()| 0));
            }
        }
    }
    let refused = ResponseError::InvalidReplicaAssignment.code();
    let rows = answers.values().flat_map(BTreeMap::values);
    let partitions = rows.filter(|code| **code == refused).count();
    if partitions > 0 {
        tracing::warn!(partitions, "partitions are not moved between log directories");
    }
    let results = answers.into_iter().map(|(topic, rows)| {
        let row = |(partition, code): (i32, i16)| {
            AlterReplicaLogDirPartitionResult::default()
                .with_partition_index(partition)
                .with_error_code(code)
        };
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(topic)
            .with_partitions(rows.into_iter().map(row).collect())
    });
    AlterReplicaLogDirsResponse::default().with_results(results.collect())
}

/// In the order in which Kafka checks.
fn alter(
    core: &Core,
    directory: Option<&LogDir>,
    topic: &StrBytes,
    partition: i32,
) -> Result<(), ResponseError> {
    if format!("{}-{partition}", topic.as_str()).len() + FUTURE_SUFFIX_BYTES > MAX_NAME_BYTES {
        return Err(ResponseError::InvalidTopicException);
    }
    let directory = directory.ok_or(ResponseError::LogDirNotFound)?;
    if directory.offline.is_some() {
        return Err(ResponseError::KafkaStorageError);
    }
    if directory.is_cordoned {
        return Err(ResponseError::InvalidReplicaAssignment);
    }
    let Some(log) = core.topics.partition(topic, partition) else {
        return Err(ResponseError::UnknownTopicOrPartition);
    };
    if log.is_offline() {
        return Err(ResponseError::KafkaStorageError);
    }
    if log.log_dir() == directory.path {
        return Ok(());
    }
    // As of a directory that takes no partitions (KIP-1066): asking again is of no use.
    Err(ResponseError::InvalidReplicaAssignment)
}
