//! Configs that change, and partitions that are added.

use std::collections::BTreeMap;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterConfigsRequest, BrokerId, CreatePartitionsRequest, IncrementalAlterConfigsRequest,
        alter_configs_request,
        create_partitions_request::CreatePartitionsAssignment,
        create_partitions_request::CreatePartitionsTopic,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
};

use super::harness::{Client, Server, batch, text, topic_name, values};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn resource(kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) -> AlterConfigsResource {
    let configs = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect())
}

/// Error code and message of one change of topic `t`.
async fn change(client: &mut Client, changes: &[(&str, i8, Option<&str>)]) -> (i16, String) {
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource(TOPIC, "t", changes)]);
    let answer = client.call(1, &request).await;
    let response = &answer.responses[0];
    let message = response.error_message.as_ref().map(ToString::to_string);
    (response.error_code, message.unwrap_or_default())
}

fn configs(server: &Server) -> BTreeMap<String, String> {
    server.broker.topics().get("t").unwrap().configs.clone()
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn configs_change_at_once_and_for_good() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client
        .create_topic("t", 1, &[("retention.ms", "1000"), ("segment.bytes", "2000000")])
        .await;
    let done = (0, String::new());
    let changes = [
        ("retention.ms", SET, Some("-1")),
        ("segment.bytes", DELETE, None),
        ("cleanup.policy", APPEND, Some("compact")),
    ];
    assert_eq!(change(&mut client, &changes).await, done);
    let expected = map(&[("cleanup.policy", "delete,compact"), ("retention.ms", "-1")]);
    assert_eq!(configs(&server), expected);
    let log = server.broker.topics().partition("t", 0).unwrap().config();
    assert_eq!(
        (log.retention_ms, log.compact, log.segment_bytes),
        (-1, true, 1 << 30)
    );
    let server = server.restart().await;
    assert_eq!(configs(&server), expected);
    let mut client = server.client().await;
    let changes = [("cleanup.policy", SUBTRACT, Some("delete"))];
    assert_eq!(change(&mut client, &changes).await, done);
    // The old request replaces all of them.
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(text("max.message.bytes"))
        .with_value(Some(text("5000")));
    let topic = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![topic]);
    let only_checked = request.clone().with_validate_only(true);
    assert_eq!(client.call(2, &only_checked).await.responses[0].error_code, 0);
    assert_eq!(
        configs(&server),
        map(&[("cleanup.policy", "compact"), ("retention.ms", "-1")])
    );
    assert_eq!(client.call(2, &request).await.responses[0].error_code, 0);
    assert_eq!(configs(&server), map(&[("max.message.bytes", "5000")]));
}

#[tokio::test]
async fn bad_changes_of_configs_say_what_is_wrong_and_change_nothing() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let invalid_config = ResponseError::InvalidConfig.code();
    let invalid_request = ResponseError::InvalidRequest.code();
    for (changes, code, said) in [
        (
            &[("retention.ms", SET, Some("soon"))][..],
            invalid_config,
            "retention.ms",
        ),
        (&[("retenton.ms", SET, Some("1"))], invalid_config, "retenton.ms"),
        (
            &[("retention.ms", APPEND, Some("1"))],
            invalid_config,
            "Can't APPEND to key retention.ms",
        ),
        (&[("retention.ms", SET, None)], invalid_request, "Null value"),
        (
            &[("retention.ms", 4, Some("1"))],
            invalid_request,
            "Unknown operation type 4",
        ),
        (
            &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)],
            invalid_request,
            "duplicate",
        ),
        (
            &[
                ("retention.ms", SET, Some("1")),
                ("segment.bytes", SET, Some("x")),
            ],
            invalid_config,
            "segment.bytes",
        ),
    ] {
        let (refused, message) = change(&mut client, changes).await;
        assert_eq!(refused, code, "{changes:?}: {message}");
        assert!(message.contains(said), "{changes:?}: {message}");
    }
    assert_eq!(configs(&server), BTreeMap::new());
    let set = [("num.partitions", SET, Some("3"))];
    let resources = vec![
        resource(TOPIC, "x", &[]),
        resource(BROKER, "1", &set),
        resource(BROKER, "7", &set),
        resource(9, "1", &set),
        resource(TOPIC, "t", &[]),
        resource(TOPIC, "t", &[]),
    ];
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
    let answer = client.call(1, &request).await;
    let codes: Vec<_> = answer
        .responses
        .iter()
        .map(|response| response.error_code)
        .collect();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(codes[0], unknown);
    assert_eq!(codes[1..], [invalid_request; 5]);
}

/// Code of adding partitions to a topic.
async fn add(client: &mut Client, topic: CreatePartitionsTopic, validate_only: bool) -> i16 {
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_validate_only(validate_only);
    client.call(3, &request).await.results[0].error_code
}

#[tokio::test]
async fn partitions_are_added_and_stay() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[("retention.ms", "-1")]).await;
    client.produce("t", 0, batch(&["before"])).await;
    let count = |count: i32| {
        CreatePartitionsTopic::default()
            .with_name(topic_name("t"))
            .with_count(count)
            .with_assignments(None)
    };
    assert_eq!(add(&mut client, count(3), true).await, 0);
    assert_eq!(
        server.broker.topics().get("t").unwrap().partitions.len(),
        1,
        "only checked"
    );
    assert_eq!(add(&mut client, count(3), false).await, 0);
    client.produce("t", 2, batch(&["after"])).await;
    let assigned = |ids: &[i32]| {
        let ids = ids.iter().map(|id| BrokerId(*id)).collect();
        CreatePartitionsAssignment::default().with_broker_ids(ids)
    };
    let invalid = ResponseError::InvalidPartitions.code();
    let wrong = ResponseError::InvalidReplicaAssignment.code();
    for (topic, code) in [
        (count(3), invalid),
        (count(2), invalid),
        (count(-1), invalid),
        (count(i32::MAX), invalid),
        (count(4).with_assignments(Some(vec![assigned(&[2])])), wrong),
        (count(5).with_assignments(Some(vec![assigned(&[1])])), wrong),
        (
            count(4).with_name(topic_name("x")),
            ResponseError::UnknownTopicOrPartition.code(),
        ),
        (count(4).with_assignments(Some(vec![assigned(&[1])])), 0),
    ] {
        let said = format!("{topic:?}");
        assert_eq!(add(&mut client, topic, false).await, code, "{said}");
    }
    let server = server.restart().await;
    let topic = server.broker.topics().get("t").unwrap();
    assert_eq!(
        (topic.partitions.len(), &*topic.configs["retention.ms"]),
        (4, "-1")
    );
    assert_eq!(topic.partitions[3].config().retention_ms, -1);
    let mut client = server.client().await;
    assert_eq!(values(&client.fetch("t", 0, 0).await), ["before"]);
    assert_eq!(values(&client.fetch("t", 2, 0).await), ["after"]);
}

/// As a crash leaves them: some directories, and a file that does not know of them.
#[tokio::test]
async fn partitions_whose_addition_was_interrupted_are_in_nobodys_way() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let id = server.broker.topics().get("t").unwrap().id;
    let topic_file = server
        .dir
        .path()
        .join(format!("topics/{}.properties", id.to_base64()));
    let before = std::fs::read(&topic_file).unwrap();
    let count = |count: i32| {
        CreatePartitionsTopic::default()
            .with_name(topic_name("t"))
            .with_count(count)
            .with_assignments(None)
    };
    assert_eq!(add(&mut client, count(4), false).await, 0);
    server.broker.shutdown(super::harness::DEADLINE).await;
    std::fs::write(&topic_file, before).unwrap();
    std::fs::remove_dir_all(server.dir.path().join("t-2")).unwrap();
    let server = server.restart().await;
    let mut client = server.client().await;
    // The second is behind the first without a gap, the fourth is not.
    assert_eq!(server.broker.topics().get("t").unwrap().partitions.len(), 2);
    assert_eq!(add(&mut client, count(4), false).await, 0);
    for partition in 0..4 {
        client.produce("t", partition, batch(&["x"])).await;
    }
}
