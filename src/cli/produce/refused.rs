//! Why a record was not taken, in words that say which one, and what to do.

use rdkafka::error::RDKafkaErrorCode;

use super::deliveries::Failure;
use crate::{
    arguments::ConfigType,
    client::Connection,
    configs,
    kafka::{Kafka, Partitions},
};

const MOST_BYTES: &str = "max.message.bytes";

/// The first record that was not taken, and why.
pub(super) fn in_words(failure: &Failure, topic: &str, connection: &Connection) -> String {
    let Failure {
        number, partition, ..
    } = failure;
    let why = match failure.code() {
        Some(RDKafkaErrorCode::InvalidRecord) if !failure.has_key => {
            "the broker does not take it without a key, as in a topic with cleanup.policy=compact; give it one with \
             --key or --key-separator"
                .to_owned()
        }
        Some(RDKafkaErrorCode::InvalidRecord) => {
            "the broker refuses it, or a record sent together with it, as invalid".to_owned()
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            too_large(failure.bytes, topic, most_bytes(topic, connection))
        }
        Some(RDKafkaErrorCode::UnknownPartition) => no_partition(topic, *partition, connection),
        _ => connection.explain(&failure.error).to_string(),
    };
    match failure.code() {
        Some(RDKafkaErrorCode::UnknownPartition) => format!("record {number}: {why}"),
        _ => format!("record {number}, for partition {partition} of topic '{topic}': {why}"),
    }
}

/// A partition that does not exist.
pub(super) fn no_partition(topic: &str, partition: i32, connection: &Connection) -> String {
    let existing = Kafka::connect(connection)
        .and_then(|mut kafka| kafka.topics(&[topic.to_owned()]))
        .and_then(|topics| Partitions::of(&topics, &[partition]));
    match existing {
        Err(error) => error.to_string(),
        Ok(_) => format!("topic '{topic}' has no partition {partition}"),
    }
}

/// What the topic takes; what cannot be asked is not told.
fn most_bytes(topic: &str, connection: &Connection) -> Option<usize> {
    let resource = (ConfigType::Topic, topic.to_owned());
    let mut kafka = Kafka::connect(connection).ok()?;
    let entries = configs::fetch(&mut kafka, &[resource], &[MOST_BYTES.to_owned()]).ok()?;
    entries.first()?.value.as_ref()?.parse().ok()
}

/// A batch may be too large whose records are not.
fn too_large(bytes: usize, topic: &str, most: Option<usize>) -> String {
    let limit = most.map_or_else(|| MOST_BYTES.to_owned(), |most| format!("{MOST_BYTES}={most}"));
    let raise = format!("raise it with: jackfield topics alter {topic} --config {MOST_BYTES}=BYTES");
    match most {
        Some(most) if bytes < most => format!(
            "it has {bytes} bytes, and the batch it was sent in is larger than {limit} of the topic; make batches \
             smaller with -X batch.size={most}, or {raise}"
        ),
        _ => format!("it has {bytes} bytes, which is more than {limit} of the topic; {raise}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_or_its_batch_is_too_large() {
        assert_eq!(
            too_large(2000, "t", Some(1000)),
            "it has 2000 bytes, which is more than max.message.bytes=1000 of the topic; raise it with: jackfield \
             topics alter t --config max.message.bytes=BYTES"
        );
        assert!(too_large(20, "t", Some(1000)).contains("-X batch.size=1000"));
        assert!(
            too_large(20, "t", None).starts_with("it has 20 bytes, which is more than max.message.bytes of")
        );
    }
}
