//! `jackfield topics`: list, create, describe and delete.

use std::io::Write as _;

use anyhow::bail;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
};

use crate::{
    arguments::{TopicsAction, TopicsArguments},
    client::{ANSWER_TIMEOUT, Connection, LibraryLog, key_value, partitions},
    configuration::Environment,
    plugins::columns,
};

/// Runs one action.
pub(crate) async fn run(arguments: TopicsArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    match arguments.action {
        TopicsAction::List { internal } => list(&connection, internal),
        TopicsAction::Describe { topics } => describe(&connection, topics),
        TopicsAction::Create {
            topics,
            partitions,
            config,
            if_not_exists,
        } => create(&connection, &topics, partitions, &config, if_not_exists).await,
        TopicsAction::Delete { topics, if_exists } => delete(&connection, &topics, if_exists).await,
    }
}

fn reader(connection: &Connection) -> anyhow::Result<BaseConsumer<LibraryLog>> {
    let config = connection.config(&[("allow.auto.create.topics", "false")]);
    Ok(config.create_with_context(LibraryLog)?)
}

fn list(connection: &Connection, internal: bool) -> anyhow::Result<()> {
    let client = reader(connection)?;
    let metadata = connection.metadata(client.client(), None)?;
    let mut names: Vec<_> = metadata
        .topics()
        .iter()
        .map(rdkafka::metadata::MetadataTopic::name)
        .collect();
    names.retain(|name| internal || !name.starts_with("__"));
    names.sort_unstable();
    let mut out = std::io::stdout().lock();
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

fn describe(connection: &Connection, mut topics: Vec<String>) -> anyhow::Result<()> {
    let client = reader(connection)?;
    if topics.is_empty() {
        let metadata = connection.metadata(client.client(), None)?;
        topics = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned())
            .collect();
        topics.sort_unstable();
    }
    let mut rows = vec![["TOPIC", "PARTITION", "LEADER", "FIRST OFFSET", "NEXT OFFSET"].map(str::to_owned)];
    for topic in &topics {
        let metadata = connection.metadata(client.client(), Some(topic))?;
        let leaders: Vec<_> = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|found| (found.id(), found.leader()))
            .collect();
        for partition in partitions(&metadata, topic)? {
            let watermarks = client.fetch_watermarks(topic, partition, ANSWER_TIMEOUT);
            let (first, next) = watermarks.map_err(|error| connection.explain(&error))?;
            let leader = leaders
                .iter()
                .find(|(id, _)| *id == partition)
                .map_or(-1, |(_, leader)| *leader);
            let numbers =
                [partition.into(), leader.into(), first, next].map(|number: i64| number.to_string());
            let [partition, leader, first, next] = numbers;
            rows.push([topic.clone(), partition, leader, first, next]);
        }
    }
    std::io::stdout().lock().write_all(columns(&rows).as_bytes())?;
    Ok(())
}

fn admin(connection: &Connection) -> anyhow::Result<AdminClient<LibraryLog>> {
    let client: AdminClient<LibraryLog> = connection.config(&[]).create_with_context(LibraryLog)?;
    // An admin request to nobody would only time out, without a reason.
    connection.metadata(client.inner(), None)?;
    Ok(client)
}

async fn create(
    connection: &Connection,
    topics: &[String],
    partitions: Option<i32>,
    configs: &[String],
    if_not_exists: bool,
) -> anyhow::Result<()> {
    let configs: anyhow::Result<Vec<_>> = configs.iter().map(|pair| key_value("--config", pair)).collect();
    let configs = configs?;
    let new = |topic| {
        // -1 leaves both numbers to the broker.
        let topic = NewTopic::new(topic, partitions.unwrap_or(-1), TopicReplication::Fixed(-1));
        configs
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value))
    };
    let new: Vec<_> = topics.iter().map(|topic| new(topic)).collect();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIMEOUT));
    let results = admin(connection)?.create_topics(&new, &options).await?;
    report(
        "created",
        &results,
        if_not_exists.then_some(RDKafkaErrorCode::TopicAlreadyExists),
    )
}

async fn delete(connection: &Connection, topics: &[String], if_exists: bool) -> anyhow::Result<()> {
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIMEOUT));
    let results = admin(connection)?.delete_topics(&names, &options).await?;
    report(
        "deleted",
        &results,
        if_exists.then_some(RDKafkaErrorCode::UnknownTopicOrPartition),
    )
}

/// One line per topic; what failed makes the command fail, unless the user called it fine.
fn report(done: &str, results: &[TopicResult], fine: Option<RDKafkaErrorCode>) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let mut out = std::io::stdout().lock();
    for result in results {
        match result {
            Ok(topic) => writeln!(out, "{done} {topic}")?,
            Err((_, code)) if Some(*code) == fine => {}
            Err((topic, code)) => failed.push(format!("topic '{topic}': {}", reason(*code))),
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("{}", failed.join("\n"))
    }
}

fn reason(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::TopicAlreadyExists => "already exists".to_owned(),
        RDKafkaErrorCode::UnknownTopicOrPartition => "does not exist".to_owned(),
        RDKafkaErrorCode::InvalidTopic => {
            "is not a legal name (letters, digits, '.', '_' and '-', at most 249 characters)".to_owned()
        }
        RDKafkaErrorCode::InvalidConfig => "has a configuration the broker does not accept".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_named_unless_fine() {
        let exists = RDKafkaErrorCode::TopicAlreadyExists;
        let results = [Err(("a".to_owned(), exists)), Ok("b".to_owned())];
        assert!(report("created", &results, Some(exists)).is_ok());
        let error = report("created", &results, None).unwrap_err();
        assert_eq!(error.to_string(), "topic 'a': already exists");
    }
}
