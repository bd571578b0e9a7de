//! Source tasks: order, offsets, errors, restarts.

use jackfield_plugin::Lag;
use jackfield_plugin::PluginError;

use super::{
    plugins::lock,
    rig::{Rig, wait_for},
};

const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines";

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|line| format!("line {line}")).collect()
}

fn quoted(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| format!("\"{line}\"")).collect()
}

#[tokio::test]
async fn records_arrive_in_order_and_a_restart_goes_on_after_them() {
    let mut rig = Rig::new("").await;
    lock(&rig.source).lines = lines(0..1000);
    rig.create(SOURCE).await;
    wait_for("the source to know that all is safe", || async {
        lock(&rig.source).committed == 10
    })
    .await;
    assert_eq!(rig.values("lines").await, quoted(&lines(0..1000)));
    let stored = rig.records("connect-offsets").await;
    let expected = (
        r#"["src",{"list":"main"}]"#.to_owned(),
        r#"{"position":1000}"#.to_owned(),
    );
    assert_eq!(stored.last(), Some(&expected));
    rig.restart().await;
    wait_for("the second start", || async {
        lock(&rig.source).started_from.len() == 2
    })
    .await;
    assert_eq!(lock(&rig.source).started_from, [0, 1000]);
    let wake = {
        let mut source = lock(&rig.source);
        source.lines.push("line 1000".to_owned());
        source.wake.clone().unwrap()
    };
    wake.notify_one();
    wait_for("the new line", || async {
        rig.values("lines").await.len() == 1001
    })
    .await;
    assert_eq!(rig.values("lines").await, quoted(&lines(0..1001)));
    rig.stop().await;
}

#[tokio::test]
async fn a_source_is_told_only_what_is_stored_already() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = lines(0..300);
    rig.create(SOURCE).await;
    wait_for("commits", || async {
        let told = lock(&rig.source).committed;
        let records = rig.values("lines").await.len();
        let stored = rig.values("connect-offsets").await;
        let stored: usize = stored.last().map_or(0, |offset| {
            offset
                .trim_start_matches(r#"{"position":"#)
                .trim_end_matches('}')
                .parse()
                .unwrap()
        });
        assert!(stored <= records, "offset {stored} of {records} records");
        assert!(
            usize::try_from(told).unwrap() * 100 <= stored,
            "told {told} with offset {stored}"
        );
        told == 3
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn a_bad_record_fails_the_task_with_its_coordinates() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = ["good", "bad", "after"].map(str::to_owned).to_vec();
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("src", 0).await.unwrap().trace.unwrap();
    expect_test::expect![[r#"
        task src-0 failed in VALUE_CONVERTER: invalid JSON: expected '"' at byte 1, found 'b'
        	plugin: org.example.ListSourceConnector 1.2.3 (Native)
        	topic: lines
        	record in batch: 1
        	source partition: {"list":"main"}
        	source offset: {"position":2}
        	hint: errors.tolerance=all passes over such records"#]]
    .assert_eq(&trace);
    assert_eq!(
        rig.values("connect-offsets").await.len(),
        0,
        "no offset past an undelivered record"
    );
    rig.stop().await;
}

#[tokio::test]
async fn tolerated_records_are_skipped_and_offsets_advance_past_them() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = ["bad", "good", "bad"].map(str::to_owned).to_vec();
    rig.create(&format!("{SOURCE}\nerrors.tolerance=all\nerrors.log.enable=true"))
        .await;
    wait_for("the offset", || async {
        rig.values("connect-offsets")
            .await
            .last()
            .is_some_and(|offset| offset == r#"{"position":3}"#)
    })
    .await;
    assert_eq!(rig.values("lines").await, ["\"good\""]);
    assert_eq!(rig.states("src").await, ["RUNNING", "RUNNING"]);
    rig.stop().await;
}

#[tokio::test]
async fn records_after_those_a_source_cannot_read_arrive() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = lines(0..3);
    lock(&rig.source)
        .errors
        .extend(std::iter::repeat_n(PluginError::data("no UTF-8"), 120));
    rig.create(&format!("{SOURCE}\nerrors.tolerance=all")).await;
    wait_for("the records", || async { rig.values("lines").await.len() == 3 }).await;
    assert_eq!(rig.states("src").await, ["RUNNING", "RUNNING"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_source_that_does_not_get_past_a_record_is_slowed_down() {
    let rig = Rig::new("").await;
    lock(&rig.source)
        .errors
        .extend(std::iter::repeat_n(PluginError::data("no UTF-8"), 1_000_000));
    rig.create(&format!("{SOURCE}\nerrors.tolerance=all")).await;
    wait_for("the first polls", || async { lock(&rig.source).polls > 100 }).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let polls = lock(&rig.source).polls;
    assert!(polls < 400, "{polls} polls");
    rig.stop().await;
}

#[tokio::test]
async fn a_record_that_a_source_cannot_read_fails_the_task() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = lines(0..2);
    rig.create(SOURCE).await;
    wait_for("the commit", || async { lock(&rig.source).committed == 1 }).await;
    let wake = {
        let mut source = lock(&rig.source);
        source.errors.push_back(PluginError::data("no UTF-8"));
        source.lines.push("after".to_owned());
        source.wake.clone().unwrap()
    };
    wake.notify_one();
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("src", 0).await.unwrap().trace.unwrap();
    assert!(trace.contains("failed in TASK_POLL: no UTF-8"), "{trace}");
    assert_eq!(rig.values("lines").await.len(), 2);
    let stored = rig.values("connect-offsets").await;
    assert_eq!(stored.last().map(String::as_str), Some(r#"{"position":2}"#));
    rig.stop().await;
}

#[tokio::test]
async fn bytes_are_what_the_converter_makes_of_them() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = vec!["raw".to_owned()];
    lock(&rig.source).raw = true;
    rig.create(&format!(
        "{SOURCE}\nvalue.converter=org.apache.kafka.connect.converters.ByteArrayConverter"
    ))
    .await;
    wait_for("the record", || async { rig.values("lines").await == ["raw"] }).await;
    rig.stop().await;
}

#[tokio::test]
async fn polls_that_may_succeed_later_are_repeated_and_shown() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = lines(0..1);
    lock(&rig.source).errors.extend([
        PluginError::retriable("not yet"),
        PluginError::retriable("nor now"),
    ]);
    rig.create(SOURCE).await;
    wait_for("the cause in the status", || async {
        let status = rig.herder.task_status("src", 0).await;
        status.is_ok_and(|status| {
            status.state == "RUNNING" && status.trace.is_some_and(|trace| trace.contains("nor now"))
        })
    })
    .await;
    wait_for("the record", || async { rig.values("lines").await.len() == 1 }).await;
    wait_for("a clean status", || async {
        rig.herder.task_status("src", 0).await.unwrap().trace.is_none()
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn fatal_errors_and_panics_fail_the_task_alone_until_it_is_restarted() {
    let rig = Rig::new("").await;
    rig.create(&SOURCE.replace("src", "other")).await;
    rig.wait_for_states("other", &["RUNNING", "RUNNING"]).await;
    lock(&rig.source)
        .errors
        .push_back(PluginError::fatal("disk gone"));
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("src", 0).await.unwrap().trace.unwrap();
    assert!(
        trace.starts_with("task src-0 failed in TASK_POLL: disk gone"),
        "{trace}"
    );
    lock(&rig.source).panic = true;
    rig.herder.restart_task("src", 0).await.unwrap();
    wait_for("the panic in the status", || async {
        let status = rig.herder.task_status("src", 0).await.unwrap();
        status.state == "FAILED" && status.trace.is_some_and(|trace| trace.contains("planted panic"))
    })
    .await;
    lock(&rig.source).lines = lines(0..1);
    rig.herder.restart_task("src", 0).await.unwrap();
    wait_for("the record", || async { !rig.values("lines").await.is_empty() }).await;
    assert_eq!(rig.states("other").await, ["RUNNING", "RUNNING"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_start_that_may_succeed_later_is_repeated_by_itself() {
    let rig = Rig::new("").await;
    lock(&rig.source)
        .start_errors
        .push_back(PluginError::retriable("no connection"));
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("src", 0).await.unwrap().trace.unwrap();
    assert!(trace.contains("restart: by itself in 1 s"), "{trace}");
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    rig.stop().await;
}

#[tokio::test]
async fn topics_are_created_as_the_connector_asks() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = lines(0..500);
    rig.create(&format!(
        "{SOURCE}\ntopic.creation.default.partitions=3\ntopic.creation.default.replication.factor=1\n\
         topic.creation.default.retention.ms=1000000"
    ))
    .await;
    wait_for("all records", || async { rig.values("lines").await.len() == 500 }).await;
    let topic = rig.cluster.describe_topic("lines").await.unwrap().unwrap();
    assert_eq!(topic.partitions, 3);
    let records = rig.cluster.read_to_end("lines").await.unwrap();
    let mut used: Vec<i32> = records.iter().map(|(partition, _)| *partition).collect();
    used.dedup();
    assert_eq!(used, [0, 1, 2], "records without key are spread");
    rig.stop().await;
}

#[tokio::test]
async fn a_task_that_hangs_is_given_up_at_the_deadline() {
    let rig = Rig::new("").await;
    lock(&rig.source).hang = true;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    let started = std::time::Instant::now();
    assert_eq!(
        rig.herder.shutdown(std::time::Duration::from_millis(200)).await,
        1
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn the_lag_of_a_task_is_shown_while_it_runs_and_reports() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "RUNNING"]).await;
    let shown = || async {
        let status = serde_json::to_value(rig.herder.status("src").await.unwrap()).unwrap();
        assert_eq!(status["connector"].get("lag"), None);
        let task = serde_json::to_value(rig.herder.task_status("src", 0).await.unwrap()).unwrap();
        assert_eq!(task, status["tasks"][0], "both resources say the same");
        task.get("lag").cloned()
    };
    assert_eq!(shown().await, None);
    let report = lock(&rig.source).report.clone().unwrap();
    for bytes in [u64::MAX, 0] {
        report.report_lag(Lag { bytes, files: 3 });
        let expected = serde_json::json!({"bytes": bytes, "files": 3});
        assert_eq!(shown().await, Some(expected));
    }
    lock(&rig.source).panic = true;
    rig.herder.restart_task("src", 0).await.unwrap();
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    assert_eq!(shown().await, None, "a task that does not run reports nothing");
    report.report_lag(Lag { bytes: 7, files: 7 });
    assert_eq!(shown().await, None, "a report that comes too late is nobody's");
    let stored = rig.records("connect-status").await;
    assert!(
        stored.iter().all(|(_, value)| !value.contains("lag")),
        "{stored:?}"
    );
    rig.stop().await;
}
