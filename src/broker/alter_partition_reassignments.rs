//! AlterPartitionReassignments, versions 0 and 1: the only assignment there can be is the one that is.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
        alter_partition_reassignments_request::ReassignablePartition,
        alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
    },
    protocol::StrBytes,
};

use crate::broker::Core;

/// Handles the request.
pub(crate) fn handle(
    core: &Core,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let answers = topic.partitions.iter().map(|partition| {
            let answer =
                ReassignablePartitionResponse::default().with_partition_index(partition.partition_index);
            match reassign(core, &topic.name, partition) {
                Ok(()) => answer.with_error_message(None),
                Err((error, message)) => answer
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message))),
            }
        });
        let answers = answers.collect();
        ReassignableTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(answers)
    });
    AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_allow_replication_factor_change(request.allow_replication_factor_change)
        .with_responses(topics.collect())
}

/// Errors are in Kafka's words.
fn reassign(core: &Core, topic: &str, asked: &ReassignablePartition) -> Result<(), (ResponseError, String)> {
    let partition = asked.partition_index;
    if core.topics.get(topic).is_none() {
        let message = format!("Unable to find a topic named {topic}.");
        return Err((ResponseError::UnknownTopicOrPartition, message));
    }
    if core.topics.partition(topic, partition).is_none() {
        let message = format!("Unable to find partition {topic}:{partition}.");
        return Err((ResponseError::UnknownTopicOrPartition, message));
    }
    let Some(replicas) = &asked.replicas else {
        let message = "No partition reassignment is in progress.".to_owned();
        return Err((ResponseError::NoReassignmentInProgress, message));
    };
    check_assignment(replicas, BrokerId(core.config.node_id))
        .map_err(|message| (ResponseError::InvalidReplicaAssignment, message))
}

/// Whether one node can have the replicas.
///
/// # Errors
/// Kafka's words.
pub(crate) fn check_assignment(replicas: &[BrokerId], node: BrokerId) -> Result<(), String> {
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    if sorted.is_empty() {
        return Err("The manual partition assignment includes an empty replica list.".to_owned());
    }
    for (index, replica) in sorted.iter().enumerate() {
        if *replica != node {
            return Err(format!(
                "The manual partition assignment includes broker {}, but no such broker is registered.",
                replica.0
            ));
        }
        if index > 0 {
            return Err(format!(
                "The manual partition assignment includes the broker {} more than once.",
                replica.0
            ));
        }
    }
    Ok(())
}
