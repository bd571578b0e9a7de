//! `jackfield topics`: list, create, describe, alter and delete topics, and delete records.

use std::{collections::BTreeMap, ops::Range};

use anyhow::bail;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    create_partitions_request::CreatePartitionsTopic,
    create_topics_request::{CreatableTopic, CreatableTopicConfig},
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    delete_topics_request::DeleteTopicState,
    metadata_response::{MetadataResponsePartition, MetadataResponseTopic},
};
use serde_json::{Value, json};

use crate::{
    arguments::{ConfigType, TopicsAction, TopicsArguments},
    client::{Connection, key_value},
    configs::{self, Change},
    configuration::Environment,
    exit::Usage,
    kafka::{Kafka, Partitions, Refusal, broker_ids, text, topic_name},
    output::{Outcome, Output, confirm},
    position::Position,
};

const TOPIC_ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC: i16 = 3;
const POLICY_VIOLATION: i16 = 44;

/// Runs one action.
pub(crate) fn run(arguments: TopicsArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let output = Output::new(arguments.output, environment);
    let mut kafka = Kafka::connect(&connection)?;
    match arguments.action {
        TopicsAction::List { internal, long } => list(&mut kafka, &output, internal, long),
        TopicsAction::Describe { topics } => describe(&mut kafka, &output, &topics),
        TopicsAction::Create {
            topics,
            partitions,
            replication_factor,
            config,
            if_not_exists,
            dry_run,
        } => {
            let configs: Result<Vec<_>, _> = config.iter().map(|pair| key_value("--config", pair)).collect();
            let new = NewTopics {
                // -1 leaves both numbers to the broker.
                partitions: partitions.unwrap_or(-1),
                replication_factor: replication_factor.unwrap_or(-1),
                configs: configs?,
                dry_run,
            };
            let outcomes = create(&mut kafka, &topics, &new)?;
            report(&output, outcomes, if_not_exists.then_some(TOPIC_ALREADY_EXISTS))
        }
        TopicsAction::Alter {
            topics,
            partitions,
            config,
            delete_config,
        } => {
            let changes = configs::changes("--config", &config, &delete_config)?;
            if partitions.is_none() && changes.is_empty() {
                let text = "nothing to change; give --partitions, --config or --delete-config";
                return Err(Usage(text.to_owned()).into());
            }
            for name in &topics {
                configs::check_keys(&mut kafka, (ConfigType::Topic, name.clone()), &delete_config)?;
            }
            report(&output, alter(&mut kafka, &topics, partitions, &changes)?, None)
        }
        TopicsAction::Delete {
            topics,
            if_exists,
            confirmation,
        } => {
            let question = format!("delete {} with all records?", topics.join(", "));
            confirm(&question, confirmation.yes)?;
            let outcomes = delete(&mut kafka, &topics)?;
            report(&output, outcomes, if_exists.then_some(UNKNOWN_TOPIC))
        }
        TopicsAction::DeleteRecords {
            topic,
            partition,
            before,
            confirmation,
        } => {
            let question = format!("delete the records of {topic} in front of {before}?");
            confirm(&question, confirmation.yes)?;
            delete_records(&mut kafka, &output, topic, &partition, before)
        }
    }
}

/// What the user called fine is no failure, and nothing was done either.
fn report(output: &Output, mut outcomes: Vec<Outcome>, fine: Option<i16>) -> anyhow::Result<()> {
    // Kafka answers in an order of its own.
    outcomes.sort_by(|one, other| one.name.cmp(&other.name));
    outcomes.retain(|outcome| !matches!(&outcome.result, Err(refusal) if Some(refusal.code) == fine));
    output.outcomes(&outcomes)
}

/// A topic of the broker's own.
fn is_internal(name: &str, topic: &MetadataResponseTopic) -> bool {
    topic.is_internal || name.starts_with("__")
}

fn list(kafka: &mut Kafka, output: &Output, internal: bool, long: bool) -> anyhow::Result<()> {
    let mut topics = kafka.all_topics()?;
    topics.retain(|name, topic| internal || !is_internal(name, topic));
    let replicas = |topic: &MetadataResponseTopic| {
        topic
            .partitions
            .first()
            .map_or(0, |first| first.replica_nodes.len())
    };
    let object = |(name, topic): (&String, &MetadataResponseTopic)| {
        json!({
            "name": name,
            "partitions": topic.partitions.len(),
            "replication_factor": replicas(topic),
            "internal": topic.is_internal,
        })
    };
    let document = topics.iter().map(object).collect::<Vec<_>>();
    output.print(&Value::Array(document), || {
        if !long {
            return topics.keys().map(|name| format!("{name}\n")).collect();
        }
        let row = |(name, topic): (&String, &MetadataResponseTopic)| {
            vec![
                name.clone(),
                topic.partitions.len().to_string(),
                replicas(topic).to_string(),
            ]
        };
        let rows: Vec<_> = topics.iter().map(row).collect();
        output.table(&["TOPIC", "PARTITIONS", "REPLICAS"], &rows)
    })
}

fn describe(kafka: &mut Kafka, output: &Output, names: &[String]) -> anyhow::Result<()> {
    let topics = if names.is_empty() {
        let mut topics = kafka.all_topics()?;
        topics.retain(|name, topic| !is_internal(name, topic));
        topics
    } else {
        kafka.topics(names)?
    };
    let led = Partitions::of(&topics, &[])?;
    // What has no leader has no offsets to tell, and all else is still worth telling.
    let led = Partitions(led.0.into_iter().filter(|(_, leader)| *leader >= 0).collect());
    let ends = kafka.ends(&led)?;
    let resources: Vec<_> = topics
        .keys()
        .map(|name| (ConfigType::Topic, name.clone()))
        .collect();
    let mut configured = BTreeMap::new();
    for entry in configs::fetch(kafka, &resources, &[])? {
        if entry.is_own() {
            let of_topic: &mut Vec<_> = configured.entry(entry.name.clone()).or_default();
            of_topic.push((entry.key, entry.value));
        }
    }
    let (mut documents, mut text) = (Vec::new(), String::new());
    for (name, topic) in &topics {
        let configs = configured.remove(name).unwrap_or_default();
        let partitions = topic.partitions.iter();
        let (rows, partitions): (Vec<_>, Vec<_>) = partitions
            .map(|partition| described(partition, ends.get(&(name.clone(), partition.partition_index))))
            .unzip();
        let settings = configs.iter().map(|(key, value)| (key.clone(), json!(value)));
        documents.push(json!({
            "name": name,
            "id": topic.topic_id.to_string(),
            "internal": topic.is_internal,
            "configs": settings.collect::<serde_json::Map<_, _>>(),
            "partitions": partitions,
        }));
        let gap = if text.is_empty() { "" } else { "\n" };
        text += &format!("{gap}{name}\n");
        for (key, value) in configs {
            text += &format!("  {key}={}\n", value.unwrap_or_default());
        }
        let header = [
            "PARTITION",
            "LEADER",
            "REPLICAS",
            "ISR",
            "START",
            "END",
            "RECORDS",
        ];
        text += &output.table(&header, &rows);
    }
    output.print(&Value::Array(documents), || text)
}

/// A partition as a row and as an object; without a leader it has no offsets.
fn described(partition: &MetadataResponsePartition, range: Option<&Range<i64>>) -> (Vec<String>, Value) {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let row = vec![
        partition.partition_index.to_string(),
        partition.leader_id.0.to_string(),
        broker_ids(&partition.replica_nodes),
        broker_ids(&partition.isr_nodes),
        number(range.map(|range| range.start)),
        number(range.map(|range| range.end)),
        number(range.map(|range| range.end - range.start)),
    ];
    let object = json!({
        "partition": partition.partition_index,
        "leader": partition.leader_id.0,
        "replicas": ids(&partition.replica_nodes),
        "isr": ids(&partition.isr_nodes),
        "start": range.map(|range| range.start),
        "end": range.map(|range| range.end),
    });
    (row, object)
}

struct NewTopics {
    partitions: i32,
    replication_factor: i16,
    configs: Vec<(String, String)>,
    dry_run: bool,
}

fn create(kafka: &mut Kafka, names: &[String], new: &NewTopics) -> anyhow::Result<Vec<Outcome>> {
    let configs: Vec<_> = new
        .configs
        .iter()
        .map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        })
        .collect();
    let topic = |name: &String| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(new.partitions)
            .with_replication_factor(new.replication_factor)
            .with_configs(configs.clone())
    };
    let request = CreateTopicsRequest::default()
        .with_topics(names.iter().map(topic).collect())
        .with_timeout_ms(kafka.timeout_ms())
        .with_validate_only(new.dry_run);
    let answer = kafka.controller(&request, 7)?;
    let done = if new.dry_run { "could create" } else { "created" };
    let outcome = |name: &str, code, message| Outcome {
        kind: "topic",
        name: name.to_owned(),
        result: Refusal::from_code(code, message).map_or_else(|| Ok(done.to_owned()), Err),
    };
    let outcomes = answer.topics.iter();
    Ok(outcomes
        .map(|topic| outcome(&topic.name, topic.error_code, topic.error_message.as_ref()))
        .collect())
}

/// Nothing is altered when the broker would refuse a part of it.
fn alter(
    kafka: &mut Kafka,
    names: &[String],
    partitions: Option<i32>,
    changes: &[Change],
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for name in names {
        let refused = alter_one(kafka, name, partitions, changes)?;
        outcomes.push(Outcome {
            kind: "topic",
            name: name.clone(),
            result: refused.map_or_else(|| Ok("altered".to_owned()), Err),
        });
    }
    Ok(outcomes)
}

fn alter_one(
    kafka: &mut Kafka,
    name: &str,
    partitions: Option<i32>,
    changes: &[Change],
) -> anyhow::Result<Option<Refusal>> {
    if let Some(count) = partitions {
        if !changes.is_empty() {
            let refused = configs::alter(kafka, ConfigType::Topic, name, changes, true)?;
            if refused.is_some() {
                return Ok(refused);
            }
        }
        let refused = grow(kafka, name, count)?;
        if refused.is_some() {
            return Ok(refused);
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    configs::alter(kafka, ConfigType::Topic, name, changes, false)
}

fn grow(kafka: &mut Kafka, name: &str, count: i32) -> anyhow::Result<Option<Refusal>> {
    let topic = CreatePartitionsTopic::default()
        .with_name(topic_name(name))
        .with_count(count)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(kafka.timeout_ms());
    let answer = kafka.controller(&request, 3)?;
    let result = answer.results.first();
    Ok(result.and_then(|result| Refusal::from_code(result.error_code, result.error_message.as_ref())))
}

fn delete(kafka: &mut Kafka, names: &[String]) -> anyhow::Result<Vec<Outcome>> {
    let state = |name: &String| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let mut request = DeleteTopicsRequest::default().with_timeout_ms(kafka.timeout_ms());
    // Names moved with version 6.
    if kafka.serves::<DeleteTopicsRequest>(6) {
        request = request.with_topics(names.iter().map(state).collect());
    } else {
        request = request.with_topic_names(names.iter().map(|name| topic_name(name)).collect());
    }
    let answer = kafka.controller(&request, 6)?;
    let mut outcomes = Vec::new();
    for result in &answer.responses {
        let name = result
            .name
            .as_ref()
            .map(|name| name.to_string())
            .unwrap_or_default();
        let mut refusal = Refusal::from_code(result.error_code, result.error_message.as_ref());
        if let Some(refusal) = refusal.as_mut().filter(|refusal| refusal.code == UNKNOWN_TOPIC) {
            let known = kafka.all_topics()?;
            refusal.message += &crate::output::suggestion(&name, known.keys().map(String::as_str));
        }
        outcomes.push(Outcome {
            kind: "topic",
            name,
            result: refusal.map_or_else(|| Ok("deleted".to_owned()), Err),
        });
    }
    Ok(outcomes)
}

/// An offset that a partition does not have yet is a mistake, and everything would be deleted.
fn refuse_behind_end(kafka: &mut Kafka, partitions: &Partitions, wanted: i64) -> anyhow::Result<()> {
    for ((topic, id), range) in kafka.ends(partitions)? {
        if wanted > range.end {
            bail!(
                "partition {id} of topic '{topic}' ends at {}, in front of {wanted}; nothing was deleted, and \
                 --before latest deletes everything",
                range.end
            );
        }
    }
    Ok(())
}

fn delete_records(
    kafka: &mut Kafka,
    output: &Output,
    topic: String,
    only: &[i32],
    before: Position,
) -> anyhow::Result<()> {
    let partitions = Partitions::of(&kafka.topics(&[topic])?, only)?;
    if let Position::Offset(wanted) = before {
        refuse_behind_end(kafka, &partitions, wanted)?;
    }
    let offsets = kafka.resolve(&partitions, before)?;
    let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<DeleteRecordsPartition>>> = BTreeMap::new();
    for ((topic, id), offset) in &offsets {
        let leader = partitions.0[&(topic.clone(), *id)];
        let wanted = DeleteRecordsPartition::default()
            .with_partition_index(*id)
            .with_offset(*offset);
        by_leader
            .entry(leader)
            .or_default()
            .entry(topic)
            .or_default()
            .push(wanted);
    }
    let mut outcomes = Vec::new();
    for (leader, topics) in by_leader {
        let topic = |(name, partitions)| {
            DeleteRecordsTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions)
        };
        let request = DeleteRecordsRequest::default()
            .with_timeout_ms(kafka.timeout_ms())
            .with_topics(topics.into_iter().map(topic).collect());
        for topic in kafka.at(leader, &request, 2)?.topics {
            for partition in topic.partitions {
                let done = format!("starts at {}:", partition.low_watermark);
                let mut refusal = Refusal::from_code(partition.error_code, None);
                if let Some(refusal) = refusal
                    .as_mut()
                    .filter(|refusal| refusal.code == POLICY_VIOLATION)
                {
                    refusal.message = "the topic's cleanup.policy has no 'delete'".to_owned();
                }
                outcomes.push(Outcome {
                    kind: "partition",
                    name: format!("{}:{}", &*topic.name, partition.partition_index),
                    result: refusal.map_or(Ok(done), Err),
                });
            }
        }
    }
    output.outcomes(&outcomes)
}
