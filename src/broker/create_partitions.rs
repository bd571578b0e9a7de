//! CreatePartitions, versions 0 to 3.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, CreatePartitionsRequest, CreatePartitionsResponse,
        create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
    },
    protocol::StrBytes,
};

use crate::{
    alter_partition_reassignments::check_assignment, broker::Core, error_codes, repeated::repeated,
    topics::MAX_PARTITIONS,
};

/// Why no partitions were added, in Kafka's words.
type Refusal = (i16, String);

/// Handles the request.
pub(crate) fn handle(core: &Core, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let twice = repeated(request.topics.iter().map(|topic| topic.name.to_string()));
    let results = request.topics.into_iter().map(|topic| {
        let added = if twice.contains(topic.name.as_str()) {
            let message = "Duplicate topic in request.".to_owned();
            Err((ResponseError::InvalidRequest.code(), message))
        } else {
            add(core, &topic, request.validate_only)
        };
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        match added {
            Ok(()) => result,
            Err((code, message)) => result
                .with_error_code(code)
                .with_error_message(Some(StrBytes::from_string(message))),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn add(core: &Core, asked: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    let name = asked.name.as_str();
    let Some(topic) = core.topics.get(name) else {
        let message = "This server does not host this topic-partition.".to_owned();
        return Err((ResponseError::UnknownTopicOrPartition.code(), message));
    };
    let invalid = |message: String| Err((ResponseError::InvalidPartitions.code(), message));
    let present = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if topic.internal {
        return invalid(format!(
            "Topic '{name}' is the broker's own; its partitions are configured."
        ));
    }
    if asked.count == present {
        return invalid(format!("Topic already has {present} partition(s)."));
    }
    if asked.count < present {
        return invalid(format!(
            "The topic {name} currently has {present} partition(s); {} would not be an increase.",
            asked.count
        ));
    }
    if asked.count > MAX_PARTITIONS {
        return invalid(format!(
            "{} is more than {MAX_PARTITIONS} partitions.",
            asked.count
        ));
    }
    if let Some(assignments) = &asked.assignments {
        let additional = usize::try_from(asked.count - present).unwrap_or(0);
        let mut checked = if assignments.len() == additional {
            Ok(())
        } else {
            Err(format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            ))
        };
        for assignment in assignments {
            let node = BrokerId(core.config.node_id);
            checked = checked.and_then(|()| check_assignment(&assignment.broker_ids, node));
        }
        checked.map_err(|message| (ResponseError::InvalidReplicaAssignment.code(), message))?;
    }
    if validate_only {
        return Ok(());
    }
    let added = core.topics.add_partitions(name, asked.count);
    added.map_err(|error| (error_codes::of_change_topic(&error).code(), error.to_string()))
}
