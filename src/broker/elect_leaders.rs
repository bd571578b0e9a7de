//! ElectLeaders, versions 0 to 2: this broker leads every partition that it can serve, so nothing is ever to be elected.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        ElectLeadersRequest, ElectLeadersResponse, TopicName,
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
    protocol::StrBytes,
};

use crate::broker::Core;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Why there was no election, in Kafka's words.
type Refusal = (ResponseError, String);

/// Handles the request.
pub(crate) fn handle(core: &Core, request: ElectLeadersRequest) -> ElectLeadersResponse {
    if ![PREFERRED, UNCLEAN].contains(&request.election_type) {
        return ElectLeadersResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    let results: Vec<_> = match request.topic_partitions {
        Some(asked) => asked
            .into_iter()
            .map(|topic| {
                let elect = |partition: &i32| {
                    (
                        *partition,
                        elect(core, request.election_type, &topic.topic, *partition),
                    )
                };
                let results = topic.partitions.iter().map(elect).collect();
                (topic.topic, results)
            })
            .collect(),
        None => core
            .topics
            .list()
            .iter()
            .map(|topic| {
                let name = TopicName(StrBytes::from_string(topic.name.to_string()));
                let partitions = topic.partitions.iter().map(|log| log.partition());
                let elect = |partition| {
                    (
                        partition,
                        elect(core, request.election_type, &topic.name, partition),
                    )
                };
                // Where there is nothing to do is not told of when nobody asked for it by name.
                let needed = |(_, refusal): &(i32, Refusal)| refusal.0 != ResponseError::ElectionNotNeeded;
                (name, partitions.map(elect).filter(needed).collect())
            })
            .collect(),
    };
    let topics = results
        .into_iter()
        .map(|(topic, results): (TopicName, Vec<(i32, Refusal)>)| {
            let result = |(partition, (error, message)): (i32, Refusal)| {
                PartitionResult::default()
                    .with_partition_id(partition)
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message)))
            };
            ReplicaElectionResult::default()
                .with_topic(topic)
                .with_partition_result(results.into_iter().map(result).collect())
        });
    ElectLeadersResponse::default().with_replica_election_results(topics.collect())
}

fn elect(core: &Core, election_type: i8, topic: &str, partition: i32) -> Refusal {
    let unknown = |message: String| (ResponseError::UnknownTopicOrPartition, message);
    if core.topics.get(topic).is_none() {
        return unknown(format!("No such topic as {topic}"));
    }
    let Some(log) = core.topics.partition(topic, partition) else {
        return unknown(format!("No such partition as {topic}-{partition}"));
    };
    let (error, message) = if !log.is_offline() {
        (
            ResponseError::ElectionNotNeeded,
            "Leader election not needed for topic partition.",
        )
    } else if election_type == PREFERRED {
        (
            ResponseError::PreferredLeaderNotAvailable,
            "The preferred leader was not available.",
        )
    } else {
        (
            ResponseError::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        )
    };
    (error, message.to_owned())
}
