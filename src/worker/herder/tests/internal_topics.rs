//! What the config and status topics hold after each operation.

use jackfield_cluster::{
    Compression, PartitionRecords, RecordBatchBuilder, TopicPartition, partition_for_key,
};

use super::{
    lifecycle::SOURCE,
    plugins::lock,
    rig::{Rig, config, wait_for},
};
use crate::TargetState;

/// The records that Kafka Connect 4.3.1 leaves for the same calls.
#[tokio::test]
async fn the_config_topic_is_connects() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    rig.change_state("src", TargetState::Paused, &["PAUSED", "PAUSED"])
        .await;
    rig.change_state("src", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    rig.change_state("src", TargetState::Stopped, &["STOPPED"]).await;
    rig.change_state("src", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    let changed = config(&format!("{SOURCE}\nextra=x"));
    let (created, info) = rig.herder.put_config("src", changed).await.unwrap();
    assert!(!created);
    assert_eq!((info.kind, info.tasks.len()), ("source", 1));
    rig.herder.delete("src").await.unwrap();
    let records = rig.records("connect-configs").await;
    let shown: Vec<String> = records
        .iter()
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    expect_test::expect![[r#"
        connector-src {"properties":{"name":"src","connector.class":"ListSource","topic":"lines"}}
        task-src-0 {"properties":{"name":"src","connector.class":"ListSource","topic":"lines","task.class":"org.example.ListSourceTask"}}
        commit-src {"tasks":1}
        target-state-src {"state":"PAUSED","state.v2":"PAUSED"}
        target-state-src {"state":"STARTED","state.v2":"STARTED"}
        commit-src {"tasks":0}
        target-state-src {"state":"PAUSED","state.v2":"STOPPED"}
        target-state-src {"state":"STARTED","state.v2":"STARTED"}
        task-src-0 {"properties":{"name":"src","connector.class":"ListSource","topic":"lines","task.class":"org.example.ListSourceTask"}}
        commit-src {"tasks":1}
        connector-src {"properties":{"name":"src","connector.class":"ListSource","topic":"lines","extra":"x"}}
        task-src-0 {"properties":{"name":"src","connector.class":"ListSource","topic":"lines","task.class":"org.example.ListSourceTask","extra":"x"}}
        commit-src {"tasks":1}
        connector-src -
        target-state-src -"#]]
    .assert_eq(&shown.join("\n"));
    rig.stop().await;
}

#[tokio::test]
async fn the_status_topic_is_connects() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = vec!["a".to_owned()];
    rig.create(SOURCE).await;
    wait_for("the record", || async { !rig.values("lines").await.is_empty() }).await;
    rig.change_state("src", TargetState::Paused, &["PAUSED", "PAUSED"])
        .await;
    rig.herder
        .set_target_state("src", TargetState::Stopped)
        .await
        .unwrap();
    rig.herder.delete("src").await.unwrap();
    wait_for("the tombstones", || async {
        let gone = ("status-connector-src".to_owned(), "-".to_owned());
        rig.records("connect-status").await.contains(&gone)
    })
    .await;
    let mut shown: Vec<String> = Vec::new();
    let mut records = rig.records("connect-status").await;
    // Partitions apart, the order is that of each key.
    records.sort_by(|one, other| one.0.cmp(&other.0));
    for (key, value) in records {
        let masked = match value.find("\"discoverTimestamp\":") {
            Some(at) => format!("{}\"discoverTimestamp\":…}}}}", &value[..at]),
            None => value,
        };
        shown.push(format!("{key} {masked}"));
    }
    expect_test::expect![[r#"
        status-connector-src {"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:8083","generation":1,"version":"1.2.3"}
        status-connector-src {"state":"PAUSED","trace":null,"worker_id":"127.0.0.1:8083","generation":1,"version":"1.2.3"}
        status-connector-src {"state":"STOPPED","trace":null,"worker_id":"127.0.0.1:8083","generation":1,"version":"1.2.3"}
        status-connector-src -
        status-task-src-0 {"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:8083","generation":1,"version":"1.2.3"}
        status-task-src-0 {"state":"PAUSED","trace":null,"worker_id":"127.0.0.1:8083","generation":1,"version":"1.2.3"}
        status-task-src-0 {"state":"UNASSIGNED","trace":null,"worker_id":"127.0.0.1:8083","generation":1,"version":"1.2.3"}
        status-task-src-0 -
        status-topic-lines:connector-src {"topic":{"name":"lines","connector":"src","task":0,"discoverTimestamp":…}}
        status-topic-lines:connector-src -"#]]
    .assert_eq(&shown.join("\n"));
    rig.stop().await;
}

/// The last value of each key of the status topic, `-` = a tombstone.
async fn statuses(rig: &Rig) -> std::collections::BTreeMap<String, String> {
    rig.records("connect-status").await.into_iter().collect()
}

#[tokio::test]
async fn the_status_topic_tells_of_the_end_and_forgets_what_is_gone() {
    let mut rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    rig.herder.shutdown(std::time::Duration::from_secs(20)).await;
    let rows = statuses(&rig).await;
    for key in ["status-connector-src", "status-task-src-0"] {
        assert!(rows[key].contains("UNASSIGNED"), "{key} {}", rows[key]);
    }
    let gone = [
        "status-task-src-7",
        "status-connector-ghost",
        "status-task-ghost-0",
    ];
    let topic = rig
        .cluster
        .describe_topic("connect-status")
        .await
        .unwrap()
        .unwrap();
    for key in gone {
        let mut batch = RecordBatchBuilder::new(Compression::None);
        batch.push(1, Some(key.as_bytes()), Some(b"{}"), &[]);
        let partition = TopicPartition {
            topic: topic.name.clone(),
            partition: partition_for_key(key.as_bytes(), topic.partitions),
        };
        let batch = batch.finish();
        let records = vec![PartitionRecords { partition, batch }];
        rig.cluster.append(records).await.unwrap().await.unwrap();
    }
    rig.restart().await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    let rows = statuses(&rig).await;
    for key in gone {
        assert_eq!(rows[key], "-", "{key}");
    }
    for key in ["status-connector-src", "status-task-src-0"] {
        wait_for(key, || async { statuses(&rig).await[key].contains("RUNNING") }).await;
    }
    rig.stop().await;
}
