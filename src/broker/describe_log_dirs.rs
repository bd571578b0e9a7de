//! DescribeLogDirs, versions 1 to 4: log directories, the partitions in them, and their room (KIP-827).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jackfield_log::{LogDir, PartitionLog};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
    protocol::StrBytes,
};

use crate::{blocking, broker::Core};

/// Handles the request; asks the file system.
pub(crate) fn handle(core: &Core, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let logs = match request.topics {
        None => core.logs.logs(),
        Some(topics) => topics
            .iter()
            .flat_map(|topic| {
                let log = |index: &i32| core.topics.partition(&topic.topic, *index);
                topic.partitions.iter().filter_map(log).collect::<Vec<_>>()
            })
            .collect(),
    };
    let directories = blocking::run(|| core.logs.log_dirs());
    let results = directories.iter().map(|directory| describe(directory, &logs));
    DescribeLogDirsResponse::default().with_results(results.collect())
}

fn describe(directory: &LogDir, logs: &[Arc<PartitionLog>]) -> DescribeLogDirsResult {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (total, usable) = directory
        .space
        .map_or((-1, -1), |space| (bytes(space.total), bytes(space.usable)));
    let answer = DescribeLogDirsResult::default()
        .with_log_dir(absolute(&directory.path))
        .with_total_bytes(total)
        .with_usable_bytes(usable);
    if directory.offline.is_some() {
        return answer.with_error_code(ResponseError::KafkaStorageError.code());
    }
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in logs.iter().filter(|log| log.log_dir() == directory.path) {
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(log.partition())
            .with_partition_size(bytes(log.size_bytes()))
            .with_offset_lag((log.high_watermark() - log.log_end_offset()).max(0));
        topics.entry(log.topic()).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, Vec<DescribeLogDirsPartition>)| {
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_partitions(partitions)
    };
    answer.with_topics(topics.into_iter().map(topic).collect())
}

/// A path as answers name it.
pub(crate) fn absolute(path: &Path) -> StrBytes {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    StrBytes::from_string(absolute.to_string_lossy().into_owned())
}
