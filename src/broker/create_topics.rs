//! CreateTopics, versions 2 to 7.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, CreateTopicsRequest, CreateTopicsResponse,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    CreateTopicError, alter_partition_reassignments::check_assignment, broker::Core, describe_configs,
    error_codes, repeated::repeated, topics, wire,
};

/// A request that passed the checks.
struct Wanted {
    partitions: Option<i32>,
    configs: BTreeMap<String, String>,
}

/// What a new topic is reported to be.
struct Created {
    id: Uuid,
    partitions: i32,
    configs: BTreeMap<String, String>,
}

/// Handles the request.
pub(crate) async fn handle(core: &Core, request: CreateTopicsRequest) -> CreateTopicsResponse {
    if partitions(core, &request) > u64::from(topics::MAX_PARTITIONS.unsigned_abs()) {
        return refused(&request);
    }
    let twice = repeated(request.topics.iter().map(|topic| topic.name.to_string()));
    let mut results = Vec::new();
    for topic in request.topics {
        let result = CreatableTopicResult::default().with_name(topic.name.clone());
        if twice.contains(topic.name.as_str()) {
            let message = StrBytes::from_static_str("Duplicate topic name.");
            let code = ResponseError::InvalidRequest.code();
            results.push(
                result
                    .with_error_code(code)
                    .with_error_message(Some(message))
                    .with_num_partitions(-1),
            );
            continue;
        }
        results.push(match create(core, &topic, request.validate_only).await {
            Ok(created) => result
                .with_error_message(None)
                .with_topic_id(created.id)
                .with_num_partitions(created.partitions)
                .with_replication_factor(1)
                .with_configs(Some(configs(core, &created.configs))),
            Err(error) => result
                .with_error_code(error_codes::of_create_topic(&error))
                .with_error_message(Some(wire::message(error.to_string())))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    CreateTopicsResponse::default().with_topics(results)
}

/// How many partitions are asked for.
fn partitions(core: &Core, request: &CreateTopicsRequest) -> u64 {
    let of = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => u64::from(core.topics.num_partitions.unsigned_abs()),
        (0, count) => u64::try_from(count).unwrap_or(0),
        (count, _) => count as u64,
    };
    request.topics.iter().map(of).sum()
}

/// As in Kafka all of them are refused.
fn refused(request: &CreateTopicsRequest) -> CreateTopicsResponse {
    let message = StrBytes::from_static_str("Excessively large number of partitions per request.");
    let result = |topic: &CreatableTopic| {
        CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_code(ResponseError::PolicyViolation.code())
            .with_error_message(Some(message.clone()))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
    };
    CreateTopicsResponse::default().with_topics(request.topics.iter().map(result).collect())
}

async fn create(
    core: &Core,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<Created, CreateTopicError> {
    let wanted = check(core, topic)?;
    let name = topic.name.as_str();
    if validate_only {
        let (partitions, _) = core.topics.check(name, wanted.partitions, &wanted.configs)?;
        return Ok(Created {
            id: Uuid::nil(),
            partitions,
            configs: wanted.configs,
        });
    }
    let created = core
        .topics
        .create(name, wanted.partitions, &wanted.configs)
        .await?;
    Ok(Created {
        id: Uuid::from_bytes(created.id.0),
        partitions: i32::try_from(created.partitions.len()).unwrap_or(i32::MAX),
        configs: wanted.configs,
    })
}

/// What one node can give: one replica per partition, on itself.
fn check(core: &Core, topic: &CreatableTopic) -> Result<Wanted, CreateTopicError> {
    if topics::is_internal(&topic.name) {
        return Err(CreateTopicError::InvalidName(format!(
            "Topic '{}' is the broker's own and made when it is needed.",
            topic.name.as_str()
        )));
    }
    let partitions = if topic.assignments.is_empty() {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(CreateTopicError::InvalidReplicationFactor(
                "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
            ));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(CreateTopicError::InvalidPartitions(
                "Number of partitions was set to an invalid non-positive value.".to_owned(),
            ));
        }
        if topic.replication_factor > 1 {
            return Err(CreateTopicError::InvalidReplicationFactor(format!(
                "Unable to replicate the partition {} time(s): The target replication factor of {} cannot be reached \
                 because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
                topic.replication_factor, topic.replication_factor
            )));
        }
        topic.num_partitions
    } else {
        assigned(core, topic)?
    };
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            return Err(CreateTopicError::InvalidConfig(format!(
                "Null value not supported for topic configs: {}",
                config.name.as_str()
            )));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    Ok(Wanted {
        partitions: Some(partitions),
        configs,
    })
}

/// How many partitions are assigned, each to this broker.
fn assigned(core: &Core, topic: &CreatableTopic) -> Result<i32, CreateTopicError> {
    for (value, what) in [
        (i32::from(topic.replication_factor), "replication factor"),
        (topic.num_partitions, "numPartitions"),
    ] {
        if value != -1 {
            return Err(CreateTopicError::InvalidRequest(format!(
                "A manual partition assignment was specified, but {what} was not set to -1."
            )));
        }
    }
    let mut indexes = BTreeSet::new();
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if !indexes.insert(index) {
            return Err(CreateTopicError::InvalidAssignment(format!(
                "Found multiple manual partition assignments for partition {index}"
            )));
        }
        check_assignment(&assignment.broker_ids, BrokerId(core.config.node_id))
            .map_err(CreateTopicError::InvalidAssignment)?;
    }
    if !indexes
        .iter()
        .copied()
        .zip(0..)
        .all(|(index, expected)| index == expected)
    {
        return Err(CreateTopicError::InvalidAssignment(
            "partitions should be a consecutive 0-based integer sequence".to_owned(),
        ));
    }
    Ok(i32::try_from(indexes.len()).unwrap_or(i32::MAX))
}

fn configs(core: &Core, own: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    describe_configs::topic_entries(core, own)
        .into_iter()
        .map(|entry| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_string(entry.name))
                .with_value(entry.value.map(StrBytes::from_string))
                .with_config_source(entry.source)
        })
        .collect()
}
