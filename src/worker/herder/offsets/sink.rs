//! A sink's offsets in Connect's shape: `{"kafka_topic","kafka_partition"}` and `{"kafka_offset"}`.

use std::sync::Arc;

use jackfield_api::OffsetChange;
use jackfield_cluster::{ClusterError, CommittedOffset, TopicPartition};
use serde_json::{Value, json};

use crate::herder::{ConnectorOffset, HerderError};

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

/// Rows of committed positions.
pub(super) fn rows(committed: Vec<CommittedOffset>) -> Vec<ConnectorOffset> {
    let mut committed = committed;
    committed.sort_by(|one, other| one.partition.cmp(&other.partition));
    let rows = committed.into_iter().filter_map(|committed| {
        let TopicPartition { topic, partition } = committed.partition;
        Some(ConnectorOffset {
            partition: json!({TOPIC: &*topic, PARTITION: partition}),
            offset: json!({OFFSET: committed.offset?}),
        })
    });
    rows.collect()
}

/// Positions to be set, or taken out where the offset is null; numbers may be texts.
pub(super) fn parse(rows: &[ConnectorOffset]) -> Result<Vec<(TopicPartition, Option<i64>)>, HerderError> {
    rows.iter()
        .map(|row| Ok((partition(&row.partition)?, offset(&row.offset)?)))
        .collect()
}

/// The same for the connector to look at.
pub(super) fn changes(offsets: &[(TopicPartition, Option<i64>)]) -> Vec<OffsetChange> {
    let change = |(partition, offset): &(TopicPartition, Option<i64>)| OffsetChange {
        partition: json!({TOPIC: &*partition.topic, PARTITION: partition.partition}).to_string(),
        offset: offset.map(|offset| json!({OFFSET: offset}).to_string()),
    };
    offsets.iter().map(change).collect()
}

fn partition(given: &Value) -> Result<TopicPartition, HerderError> {
    let bad = |message: &str| HerderError::BadRequest(message.to_owned());
    let Value::Object(given) = given else {
        return Err(bad(
            "The partition for a sink connector offset cannot be null or missing",
        ));
    };
    let (Some(topic), Some(partition)) = (given.get(TOPIC), given.get(PARTITION)) else {
        return Err(bad(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
        ));
    };
    if topic.is_null() {
        return Err(bad("Kafka topic names must be valid strings and may not be null"));
    }
    if partition.is_null() {
        return Err(bad("Kafka partitions must be valid numbers and may not be null"));
    }
    let partition = text(partition);
    let number = partition.parse().map_err(|_| {
        HerderError::BadRequest(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{partition}'. Partition \
             values for sink connectors need to be integers."
        ))
    })?;
    Ok(TopicPartition {
        topic: Arc::from(text(topic)),
        partition: number,
    })
}

fn offset(given: &Value) -> Result<Option<i64>, HerderError> {
    let given = match given {
        Value::Null => return Ok(None),
        given => given.get(OFFSET),
    };
    let given = given.map(text).ok_or_else(|| {
        HerderError::BadRequest(
            "The offset for a sink connector should either be null or contain the key 'kafka_offset'"
                .to_owned(),
        )
    })?;
    let offset: i64 = given.parse().map_err(|_| {
        HerderError::BadRequest(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{given}'. Offset values for \
             sink connectors need to be integers."
        ))
    })?;
    if offset < 0 {
        return Err(HerderError::BadRequest(format!(
            "Kafka offsets must not be negative, but '{given}' was provided"
        )));
    }
    Ok(Some(offset))
}

/// What a text or a number says.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why positions could not be changed. `action` is `alter` or `reset`.
pub(super) fn failed(action: &str, connector: &str, error: &ClusterError) -> HerderError {
    if error.is_group_in_use() {
        return HerderError::Internal(format!(
            "Failed to {action} consumer group offsets for connector {connector} either because its tasks haven't \
             stopped completely yet or the connector was resumed before the request to {action} its offsets could be \
             successfully completed. If the connector is in a stopped state, this operation can be safely retried. If \
             it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink \
             tasks."
        ));
    }
    HerderError::Internal(format!(
        "Failed to {action} consumer group offsets for connector {connector}: {error}"
    ))
}
