//! What tasks ask of the worker, and what becomes of plugins that misbehave.

use std::time::Duration;

use jackfield_cluster::Compression;
use jackfield_plugin::{PluginError, SinkWish};

use super::{
    plugins::lock,
    rig::{Rig, wait_for},
};

const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines\nvalue.converter=StringConverter";
const SINK: &str = "name=snk\nconnector.class=ListSink\ntopics=in\nvalue.converter=StringConverter\nkey.converter=StringConverter";

fn partition() -> Vec<jackfield_api::TopicPartition> {
    vec![jackfield_api::TopicPartition {
        topic: "in".to_owned(),
        partition: 0,
    }]
}

/// Says what the sink wants, as its next call does.
fn wish(rig: &Rig, wish: SinkWish) {
    lock(&rig.sink).wishes.as_ref().unwrap().wish(wish);
}

#[tokio::test]
async fn a_sink_pauses_resumes_and_seeks() {
    let rig = Rig::new("").await;
    rig.write(&["a", "b"], Compression::None).await;
    rig.create(SINK).await;
    wait_for("two values", || async { rig.sink_values().len() == 2 }).await;
    wish(&rig, SinkWish::Pause(partition()));
    let flushes = lock(&rig.sink).flushes;
    wait_for("calls after the wish", || async {
        lock(&rig.sink).flushes > flushes + 2
    })
    .await;
    rig.write(&["c"], Compression::None).await;
    let flushes = lock(&rig.sink).flushes;
    wait_for("time to deliver", || async {
        lock(&rig.sink).flushes > flushes + 5
    })
    .await;
    assert_eq!(rig.sink_values().len(), 2, "nothing of a paused partition");
    wish(&rig, SinkWish::Resume(partition()));
    wait_for("the third value", || async { rig.sink_values().len() == 3 }).await;
    wish(
        &rig,
        SinkWish::Seek(vec![jackfield_api::SinkPosition {
            topic: "in".to_owned(),
            partition: 0,
            offset: 1,
            metadata: String::new(),
        }]),
    );
    wait_for("the values from there on", || async {
        rig.sink_values().len() == 5
    })
    .await;
    assert_eq!(lock(&rig.sink).offsets, [0, 1, 2, 1, 2]);
    rig.stop().await;
}

#[tokio::test]
async fn a_sink_asks_for_a_commit() {
    let rig = Rig::new("offset.flush.interval.ms=3600000").await;
    rig.create(SINK).await;
    rig.wait_for_states("snk", &["RUNNING", "RUNNING"]).await;
    rig.write(&["a"], Compression::None).await;
    wait_for("the value", || async { rig.sink_values().len() == 1 }).await;
    wish(&rig, SinkWish::Commit);
    rig.write_to("in", &["b"], Compression::None).await;
    wait_for("the commit", || async {
        format!("{:?}", rig.herder.offsets("snk").await.unwrap()).contains('2')
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn a_task_asks_for_new_task_configs() {
    let rig = Rig::new("test.tasks=2").await;
    rig.create(&format!("{SOURCE}\ntasks.max=3")).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING", "RUNNING"])
        .await;
    let starts = lock(&rig.source).started_from.len();
    // The same configs again: nothing is started.
    let wishes = lock(&rig.source).wishes.clone().unwrap();
    wishes.request_reconfiguration();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(lock(&rig.source).started_from.len(), starts);
    lock(&rig.source).tasks = Some(3);
    wishes.request_reconfiguration();
    rig.wait_for_states("src", &["RUNNING", "RUNNING", "RUNNING", "RUNNING"])
        .await;
    rig.stop().await;
}

#[tokio::test]
async fn a_plugin_that_misbehaves_is_started_anew() {
    let rig = Rig::new("").await;
    lock(&rig.source)
        .errors
        .push_back(PluginError::fault("poll trapped"));
    rig.create(SOURCE).await;
    wait_for("the cause in the status", || async {
        let trace = rig
            .herder
            .task_status("src", 0)
            .await
            .ok()
            .and_then(|status| status.trace);
        trace.is_some_and(|trace| {
            trace.contains("poll trapped") && trace.contains("restart: by itself in 1 s")
        })
    })
    .await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    assert_eq!(lock(&rig.source).started_from.len(), 2, "starts");
    rig.stop().await;
}
