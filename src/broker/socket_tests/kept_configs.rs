//! What was set is there after a restart, and nothing that could be set keeps the broker from starting; limits of what one
//! request may set or create.

use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    describe_configs_request::DescribeConfigsResource,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};

use super::{
    configs::{alter, altered, described},
    harness::{Client, Server, create_request, text},
};

const CONFLICT: &str = "conflict topic config setting";

/// Error code and message of a creation.
async fn created(client: &mut Client, request: &CreateTopicsRequest) -> (i16, String) {
    let answer = client.call(7, request).await;
    let result = &answer.topics[0];
    let message = result.error_message.as_ref().map(ToString::to_string);
    (result.error_code, message.unwrap_or_default())
}

#[tokio::test]
async fn a_topic_that_does_not_go_with_new_defaults_goes_on() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client
        .create_topic("t", 1, &[("max.compaction.lag.ms", "5000")])
        .await;
    altered(
        &mut client,
        "BROKER",
        "",
        "log.cleaner.min.compaction.lag.ms=10000",
    )
    .await;
    let server = server.restart().await;
    let mut client = server.client().await;
    assert!(
        described(&mut client, "TOPIC", "t", "max.compaction.lag.ms")
            .await
            .starts_with("5000 ")
    );
    let (code, message) = alter(&mut client, "TOPIC", "t", "retention.ms=5").await;
    assert!(code == 40 && message.contains(CONFLICT), "{code} {message}");
}

#[tokio::test]
async fn a_value_of_several_lines_is_kept() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[("retention.ms", "7\n")]).await;
    altered(&mut client, "TOPIC", "t", "cleanup.policy=delete,\ncompact").await;
    let server = server.restart().await;
    let mut client = server.client().await;
    for (key, value) in [("retention.ms", "7 "), ("cleanup.policy", "delete,compact ")] {
        let kept = described(&mut client, "TOPIC", "t", key).await;
        assert!(kept.starts_with(value), "{key}: {kept}");
    }
}

#[tokio::test]
async fn a_config_that_cannot_be_used_any_more_deletes_nothing() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[("retention.ms", "7")]).await;
    client.create_topic("u", 1, &[("flush.ms", "7")]).await;
    // As another version might have written it, without the checksum of its own.
    for (key, without) in [
        ("retention.ms=7", "retention.ms=soon"),
        ("flush.ms=7", "flush.ms=soon"),
    ] {
        for file in std::fs::read_dir(server.dir.path().join("topics")).unwrap() {
            let path = file.unwrap().path();
            let content = std::fs::read_to_string(&path).unwrap();
            if content.contains(key) {
                let own = &content[..content.find("#crc32c").unwrap()];
                std::fs::write(path, own.replace(key, without)).unwrap();
            }
        }
    }
    let server = server.restart().await;
    let deletes = |topic: &str| {
        server
            .broker
            .topics()
            .partition(topic, 0)
            .unwrap()
            .config()
            .delete
    };
    assert_eq!((deletes("t"), deletes("u")), (false, true));
}

#[tokio::test]
async fn a_cordoned_directory_takes_no_new_partitions_and_can_be_taken_away() {
    let server = Server::start(&[]).await;
    let second = tempfile::tempdir().unwrap();
    let (one, other) = (
        server.dir.path().display().to_string(),
        second.path().display().to_string(),
    );
    let server = server.restart_with("log.dirs", &format!("{one},{other}")).await;
    let mut client = server.client().await;
    let (code, message) = alter(
        &mut client,
        "BROKER",
        "1",
        &format!("cordoned.log.dirs=*,{other}"),
    )
    .await;
    assert!(
        code == 42 && message.contains("must not contain other values"),
        "{message}"
    );
    altered(&mut client, "BROKER", "1", "cordoned.log.dirs=*").await;
    let (code, message) = created(&mut client, &create_request("t", 1, &[])).await;
    assert!(
        code == 38 && message.contains("directories cordoned"),
        "{code} {message}"
    );
    altered(&mut client, "BROKER", "1", &format!("cordoned.log.dirs={other}")).await;
    client.create_topic("t", 3, &[]).await;
    let server = server.restart_with("log.dirs", &one).await;
    let mut client = server.client().await;
    altered(&mut client, "BROKER", "1", "log.retention.ms=5000").await;
    let (code, message) = alter(&mut client, "BROKER", "1", "cordoned.log.dirs=/x").await;
    assert!(
        code == 42 && message.contains("Missing entries : /x"),
        "{message}"
    );
    altered(&mut client, "BROKER", "1", "!cordoned.log.dirs").await;
}

#[tokio::test]
async fn one_request_does_not_ask_for_too_much() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let mut request = create_request("t", 6_000, &[]);
    request.topics.extend(create_request("u", 4_001, &[]).topics);
    let refused = (
        44,
        "Excessively large number of partitions per request.".to_owned(),
    );
    assert_eq!(created(&mut client, &request).await, refused);
    let config = |index: usize| AlterableConfig::default().with_name(text(&index.to_string()));
    let changes = AlterConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text("1"))
        .with_configs(
            (0..10_001)
                .map(config)
                .map(|config| config.with_value(Some(text("1"))))
                .collect(),
        );
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![changes]);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, 44);
    let resource = DescribeConfigsResource::default()
        .with_resource_type(32)
        .with_resource_name(text("g"))
        .with_configuration_keys(Some(vec![text("share.auto.offset.reset")]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource; 10_001]);
    let results = client.call(4, &request).await.results;
    assert_eq!((results[9_999].error_code, results[10_000].error_code), (0, 42));
    // What is said of it fits into a classic string.
    let name = "x".repeat(32_767);
    let unknown = AlterConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text("1"))
        .with_configs(vec![
            AlterableConfig::default()
                .with_name(text(&name))
                .with_value(Some(text("1"))),
        ]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![unknown]);
    assert_eq!(client.call(0, &request).await.responses[0].error_code, 42);
}

#[tokio::test]
async fn a_value_grows_no_longer_than_kafkas() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let replicas = |from: i32| {
        let words: Vec<_> = (from..from + 3_000)
            .map(|partition| format!("{partition}:1"))
            .collect();
        words.join(",")
    };
    let key = "leader.replication.throttled.replicas";
    altered(&mut client, "TOPIC", "t", &format!("{key}={}", replicas(10_000))).await;
    let (code, message) = alter(&mut client, "TOPIC", "t", &format!("+{key}={}", replicas(20_000))).await;
    assert!(code == 40 && message.contains("32767 bytes"), "{code} {message}");
}
