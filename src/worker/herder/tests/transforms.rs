//! Transforms between a source and its topics, and between topics and a sink.

use jackfield_cluster::Compression;

use super::{
    plugins::lock,
    rig::{Rig, wait_for},
};

const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines\nvalue.converter=StringConverter\n\
                      transforms=words\ntransforms.words.type=Words";
const SINK: &str = "name=snk\nconnector.class=ListSink\ntopics=in\nvalue.converter=StringConverter\n\
                    key.converter=StringConverter\ntransforms=words\ntransforms.words.type=org.example.Words";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn records_of_a_source_become_none_one_and_several() {
    let mut rig = Rig::new("").await;
    lock(&rig.source).lines = texts(&["a b", "", "c", "  ", ""]);
    rig.create(SOURCE).await;
    wait_for("the words", || async {
        rig.values("lines").await == ["a", "b", "c"]
    })
    .await;
    // The filtered records at the end are behind the stored offset, too.
    let stored = || async {
        let offsets = rig.herder.offsets("src").await.unwrap();
        offsets.first().map(|found| found.offset.clone())
    };
    wait_for("the offset behind the last line", || async {
        stored()
            .await
            .is_some_and(|offset| format!("{offset:?}").contains('5'))
    })
    .await;
    rig.restart().await;
    lock(&rig.source).lines.push("d".to_owned());
    wait_for("the word after the restart", || async {
        rig.values("lines").await == ["a", "b", "c", "d"]
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn a_chain_may_write_to_another_topic() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = texts(&["a b"]);
    rig.create(&format!(
        "{SOURCE}\ntransforms=words,again\ntransforms.again.type=Words\ntransforms.again.extra=elsewhere"
    ))
    .await;
    wait_for("the words elsewhere", || async {
        rig.values("elsewhere").await == ["a", "b"]
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn what_a_transform_rejects_fails_the_task_or_is_passed_over() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = texts(&["a", "poison", "b"]);
    rig.create(SOURCE).await;
    rig.wait_for_states("src", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("src", 0).await.unwrap().trace.unwrap();
    for part in [
        "in TRANSFORMATION: poison is refused",
        "record in batch: 1",
        "transform: words",
    ] {
        assert!(trace.contains(part), "{trace}");
    }
    rig.create(&format!(
        "{}\nerrors.tolerance=all",
        SOURCE.replace("src", "tolerant")
    ))
    .await;
    wait_for("the others", || async { rig.values("lines").await == ["a", "b"] }).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_sink_gets_what_the_transforms_leave_and_commits_all() {
    let rig = Rig::new("").await;
    rig.write(&["a b", "", "c", ""], Compression::None).await;
    rig.create(SINK).await;
    wait_for("the words", || async { rig.sink_values().len() == 3 }).await;
    assert_eq!(
        rig.sink_values(),
        ["a", "b", "c"].map(|value| format!("Utf8(\"{value}\")"))
    );
    assert_eq!(
        lock(&rig.sink).offsets,
        [0, 0, 2],
        "words keep the offset of their line"
    );
    wait_for("the commit behind the filtered record", || async {
        let offsets = rig.herder.offsets("snk").await.unwrap();
        format!("{offsets:?}").contains("4")
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_transform_is_said_by_key() {
    let rig = Rig::new("").await;
    let problems = |text: &str| {
        let given = super::rig::config(text).into_iter();
        let given = given.map(|(key, value)| (key, Some(value))).collect();
        let herder = rig.herder.clone();
        async move {
            let infos = herder.validate(given).await.unwrap();
            let shown = serde_json::to_value(infos).unwrap();
            let configs = shown["configs"].as_array().unwrap().clone();
            let errors = configs.iter().flat_map(|config| {
                let name = config["value"]["name"].as_str().unwrap().to_owned();
                let errors = config["value"]["errors"].as_array().unwrap().clone();
                errors
                    .into_iter()
                    .map(move |error| format!("{name}: {}", error.as_str().unwrap()))
            });
            errors.collect::<Vec<_>>()
        }
    };
    let base = "name=src\nconnector.class=ListSource\ntopic=lines\ntransforms=a,b";
    let found = problems(&format!(
        "{base}\ntransforms.a.type=ListSink\ntransforms.b.type=Words\ntransforms.b.extr=x"
    ))
    .await;
    expect_test::expect![[r#"
        transforms.a.type: Invalid value ListSink for configuration transforms.a.type: it is a sink, not a transformation
        transforms.b.extr: Unknown configuration 'extr': did you mean 'extra'?"#]].assert_eq(&found.join("\n"));
    let found = problems(&format!(
        "{base}\ntransforms.b.type=Nowhere\ntransforms.c.type=Words"
    ))
    .await;
    expect_test::expect![[r#"
        transforms.c.type: Unknown configuration 'transforms.c.type': transforms names a,b; name c there, or remove it
        transforms.a.type: Missing required configuration "transforms.a.type" which has no default value."#]]
    .assert_eq(&found.join("\n"));
    rig.stop().await;
}
