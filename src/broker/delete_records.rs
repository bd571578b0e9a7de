//! DeleteRecords, versions 0 to 2 (KIP-107).

use std::sync::Arc;

use jackfield_log::PartitionLog;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};

use crate::{blocking, broker::Core, error_codes};

/// Handles the request; the answer leaves when the new log starts are on disk.
pub(crate) fn handle(core: &Core, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let partitions = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |asked| (topic, asked)));
    let found: Vec<Result<(Arc<PartitionLog>, i64), ResponseError>> = partitions
        .map(|(topic, asked)| {
            let log = look_up(core, &topic.name, asked.partition_index)?;
            Ok((log, asked.offset))
        })
        .collect();
    let asked: Vec<_> = found.iter().flatten().cloned().collect();
    let deleted = blocking::run(|| core.logs.delete_records(&asked));
    let mut deleted = deleted.iter();
    let mut found = found.iter();
    let topics = request.topics.iter().map(|topic| {
        let answers = topic.partitions.iter().map(|asked| {
            let (start, code) = match found.next() {
                Some(Err(refused)) => (-1, refused.code()),
                _ => match deleted.next() {
                    Some(Ok(start)) => (*start, 0),
                    Some(Err(error)) => (-1, error_codes::of_read(error)),
                    None => (-1, ResponseError::UnknownServerError.code()),
                },
            };
            DeleteRecordsPartitionResult::default()
                .with_partition_index(asked.partition_index)
                .with_low_watermark(start)
                .with_error_code(code)
        });
        DeleteRecordsTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(answers.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn look_up(core: &Core, name: &str, partition: i32) -> Result<Arc<PartitionLog>, ResponseError> {
    let topic = core
        .topics
        .get(name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    if topic.internal {
        return Err(ResponseError::InvalidTopicException);
    }
    let log = core.topics.partition(name, partition);
    let log = log.ok_or(ResponseError::UnknownTopicOrPartition)?;
    if log.config().delete {
        Ok(log)
    } else {
        // What is compacted is not deleted by offset.
        Err(ResponseError::PolicyViolation)
    }
}
