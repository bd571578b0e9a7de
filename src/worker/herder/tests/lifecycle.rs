//! Creating, changing, pausing, stopping, restarting, deleting.

use super::{
    plugins::lock,
    rig::{Rig, config, wait_for},
};
use crate::{HerderError, TargetState};

pub(super) const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines";

fn text<T: std::fmt::Debug>(result: Result<T, HerderError>) -> String {
    match result.unwrap_err() {
        HerderError::NotFound(text) => format!("404 {text}"),
        HerderError::AlreadyExists(text) => format!("409 {text}"),
        HerderError::BadConfig(text) => format!("400 {text}"),
        other => format!("500 {other}"),
    }
}

#[tokio::test]
async fn refusals_are_kafkas() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    let herder = &rig.herder;
    let put = |text: &'static str| herder.put_config("x", config(text));
    let started = TargetState::Started;
    for (result, expected) in [
        (
            text(herder.connector("nope").await),
            "404 Connector nope not found",
        ),
        (
            text(herder.status("nope").await),
            "404 No status found for connector nope",
        ),
        (
            text(herder.task_status("src", 7).await),
            "404 No status found for task src-7",
        ),
        (
            text(herder.task_configs("nope").await),
            "404 Connector nope not found",
        ),
        (text(herder.delete("nope").await), "404 Connector nope not found"),
        (
            text(herder.set_target_state("nope", started).await),
            "404 Unknown connector nope",
        ),
        (
            text(herder.restart("nope", false, false).await),
            "404 Unknown connector: nope",
        ),
        (
            text(herder.restart_task("nope", 0).await),
            "404 Unknown connector: nope",
        ),
        (
            text(herder.restart_task("src", 7).await),
            "404 Unknown task: src-7",
        ),
        (
            text(herder.create("src", config(SOURCE), started).await),
            "409 Connector src already exists",
        ),
        (
            text(put("name=x").await),
            "400 Connector config {name=x} contains no connector type",
        ),
    ] {
        assert_eq!(result, expected);
    }
    let missing = text(put("name=x\nconnector.class=Nope").await);
    assert!(
        missing.starts_with("400 Failed to find any class that implements Connector"),
        "{missing}"
    );
    assert!(
        missing.contains("available connectors are: org.example.ListSinkConnector, org.example.List"),
        "{missing}"
    );
    expect_test::expect![[r#"
        400 Connector configuration is invalid and contains the following 2 error(s):
        Unknown configuration 'topics': did you mean 'topic'?
        Missing required configuration "topic" which has no default value.
        You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"#]]
    .assert_eq(&text(put("name=x\nconnector.class=ListSource\ntopics=a").await));
    let own = text(put("name=x\nconnector.class=ListSource\ntopic=a\nextra=bad").await);
    assert!(own.contains("1 error(s):\nextra is bad\n"), "{own}");
    assert_eq!(herder.connectors().await.unwrap(), ["src"]);
    rig.stop().await;
}

#[tokio::test]
async fn what_was_paused_or_stopped_is_so_after_a_restart() {
    let mut rig = Rig::new("").await;
    lock(&rig.source).lines = vec!["a".to_owned()];
    for name in ["running", "paused", "stopped"] {
        rig.create(&SOURCE.replace("src", name)).await;
    }
    rig.herder
        .set_target_state("paused", TargetState::Paused)
        .await
        .unwrap();
    rig.herder
        .set_target_state("stopped", TargetState::Stopped)
        .await
        .unwrap();
    rig.wait_for_states("paused", &["PAUSED", "PAUSED"]).await;
    rig.restart().await;
    rig.wait_for_states("running", &["RUNNING", "RUNNING"]).await;
    rig.wait_for_states("paused", &["PAUSED", "PAUSED"]).await;
    rig.wait_for_states("stopped", &["STOPPED"]).await;
    rig.change_state("paused", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    let configs = rig.records("connect-configs").await;
    let commits = configs.iter().filter(|(key, _)| key == "commit-running").count();
    assert_eq!(commits, 1, "unchanged task configs are not written again");
    rig.stop().await;
}

#[tokio::test]
async fn a_connector_may_begin_paused_or_stopped() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = vec!["a".to_owned()];
    for (name, state, shown) in [
        ("p", TargetState::Paused, "PAUSED"),
        ("s", TargetState::Stopped, "STOPPED"),
    ] {
        let config = config(&SOURCE.replace("src", name));
        rig.herder.create(name, config, state).await.unwrap();
        assert_eq!(rig.states(name).await, [shown]);
    }
    assert_eq!(lock(&rig.source).started_from.len(), 0);
    let keys: Vec<String> = rig
        .records("connect-configs")
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        keys,
        ["target-state-p", "connector-p", "target-state-s", "connector-s"]
    );
    rig.change_state("p", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    rig.stop().await;
}

#[tokio::test]
async fn a_paused_source_does_not_poll() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    rig.change_state("src", TargetState::Paused, &["PAUSED", "PAUSED"])
        .await;
    let (polls, wake) = {
        let mut source = lock(&rig.source);
        source.lines.push("a".to_owned());
        (source.polls, source.wake.clone().unwrap())
    };
    wake.notify_one();
    rig.herder
        .set_target_state("src", TargetState::Paused)
        .await
        .unwrap();
    assert_eq!(lock(&rig.source).polls, polls);
    rig.herder
        .set_target_state("src", TargetState::Started)
        .await
        .unwrap();
    wait_for("the record", || async { rig.values("lines").await.len() == 1 }).await;
    assert_eq!(
        lock(&rig.source).started_from.len(),
        1,
        "the task was the same all the time"
    );
    rig.stop().await;
}

#[tokio::test]
async fn an_unchanged_config_changes_nothing() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    let before = rig.records("connect-configs").await.len();
    let (created, _) = rig.herder.put_config("src", config(SOURCE)).await.unwrap();
    assert!(!created);
    assert_eq!(rig.records("connect-configs").await.len(), before);
    assert_eq!(lock(&rig.source).started_from.len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn an_unchanged_config_starts_what_has_failed() {
    let rig = Rig::new("").await;
    let fatal = || jackfield_plugin::PluginError::fatal("gone");
    lock(&rig.source).start_errors.push_back(fatal());
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    rig.herder.put_config("src", config(SOURCE)).await.unwrap();
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    lock(&rig.source).config_errors.push_back(fatal());
    let other = SOURCE.replace("src", "other");
    rig.create(&other).await;
    rig.wait_for_states("other", &["FAILED"]).await;
    rig.herder.put_config("other", config(&other)).await.unwrap();
    rig.wait_for_states("other", &["RUNNING", "RUNNING"]).await;
    rig.stop().await;
}

#[tokio::test]
async fn tasks_go_on_when_a_restarted_connector_fails() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    lock(&rig.source)
        .config_errors
        .push_back(jackfield_plugin::PluginError::retriable("not reachable"));
    rig.herder.restart("src", false, false).await.unwrap();
    rig.wait_for_states("src", &["FAILED", "RUNNING"]).await;
    let trace = rig.herder.status("src").await.unwrap().connector.trace.unwrap();
    assert!(trace.contains("not reachable"), "{trace}");
    rig.herder.restart("src", false, false).await.unwrap();
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    assert_eq!(lock(&rig.source).started_from.len(), 1);
    assert_eq!(lock(&rig.source).stopped, 0);
    rig.stop().await;
}

#[tokio::test]
async fn restart_takes_what_it_is_told_to() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    let status = rig.herder.restart("src", true, false).await.unwrap();
    assert_eq!(
        (status.connector.state.as_str(), status.tasks[0].state.as_str()),
        ("RESTARTING", "RESTARTING")
    );
    wait_for("the second start", || async {
        lock(&rig.source).started_from.len() == 2
    })
    .await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    let status = rig.herder.restart("src", true, true).await.unwrap();
    assert_eq!(
        (status.connector.state.as_str(), status.tasks[0].state.as_str()),
        ("RUNNING", "RUNNING")
    );
    rig.herder.restart("src", false, false).await.unwrap();
    assert_eq!(lock(&rig.source).started_from.len(), 2, "tasks go on");
    lock(&rig.source)
        .errors
        .push_back(jackfield_plugin::PluginError::fatal("gone"));
    lock(&rig.source).wake.clone().unwrap().notify_one();
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    let status = rig.herder.restart("src", true, true).await.unwrap();
    assert_eq!(
        (status.connector.state.as_str(), status.tasks[0].state.as_str()),
        ("RUNNING", "RESTARTING")
    );
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    rig.stop().await;
}

#[tokio::test]
async fn more_tasks_than_allowed_fail_the_connector() {
    let rig = Rig::new("test.tasks=3").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["FAILED"]).await;
    let trace = rig.herder.status("src").await.unwrap().connector.trace.unwrap();
    assert!(
        trace.contains("has generated 3 tasks, which is greater than 1"),
        "{trace}"
    );
    rig.herder
        .put_config("src", config(&format!("{SOURCE}\ntasks.max=3")))
        .await
        .unwrap();
    rig.wait_for_states("src", &["RUNNING", "RUNNING", "RUNNING", "RUNNING"])
        .await;
    rig.herder
        .put_config(
            "src",
            config(&format!("{SOURCE}\ntasks.max=2\ntasks.max.enforce=false")),
        )
        .await
        .unwrap();
    rig.wait_for_states("src", &["RUNNING", "RUNNING", "RUNNING", "RUNNING"])
        .await;
    rig.stop().await;
}

#[tokio::test]
async fn internal_topics_that_are_not_fit_are_refused() {
    let rig = Rig::new("").await;
    let topic = jackfield_cluster::NewTopic {
        name: "plain".to_owned(),
        partitions: Some(2),
        configs: Default::default(),
    };
    rig.cluster.create_topic(&topic).await.unwrap();
    let error = rig
        .second_herder("config.storage.topic=plain")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("must have cleanup.policy=compact, but has cleanup.policy=delete"),
        "{error}"
    );
    let error = rig
        .second_herder("config.storage.topic=connect-offsets")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("required to have a single partition"), "{error}");
    rig.stop().await;
}

#[tokio::test]
async fn plugins_are_listed_with_converters() {
    let rig = Rig::new("").await;
    let rows = rig.herder.plugins(true);
    let shown: Vec<_> = rows.iter().map(|row| (row.class.as_str(), row.kind)).collect();
    assert_eq!(
        shown,
        [
            ("org.example.ListSinkConnector", "sink"),
            ("org.example.ListSourceConnector", "source")
        ]
    );
    let all = rig.herder.plugins(false);
    assert!(
        all.iter()
            .any(|row| row.class == "org.apache.kafka.connect.json.JsonConverter" && row.kind == "converter")
    );
    rig.stop().await;
}
