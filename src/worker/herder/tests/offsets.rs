//! Offsets of connectors through the herder: read at any time, changed while the connector is stopped.

use serde_json::{Value, json};

use super::{
    plugins::lock,
    rig::{Rig, wait_for},
};
use crate::{ConnectorOffset, HerderError, TargetState};

const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines";
const SINK: &str = "name=snk\nconnector.class=ListSink\ntopics=lines\nvalue.converter=StringConverter";

impl Rig {
    async fn offsets(&self, name: &str) -> Value {
        serde_json::to_value(self.herder.offsets(name).await.unwrap()).unwrap()
    }

    async fn lines(lines: &[&str]) -> Self {
        let rig = Self::new("").await;
        lock(&rig.source).lines = lines.iter().map(|line| (*line).to_owned()).collect();
        rig.create(SOURCE).await;
        let count = lines.len();
        wait_for("all lines", || async { rig.values("lines").await.len() == count }).await;
        rig
    }
}

fn row(partition: Value, offset: Value) -> Vec<ConnectorOffset> {
    vec![ConnectorOffset { partition, offset }]
}

#[tokio::test]
async fn a_stopped_sources_offsets_are_set_and_taken_out_and_it_goes_on_there() {
    let rig = Rig::lines(&["a", "b", "c"]).await;
    let at = |position: u64| json!([{"partition": {"list": "main"}, "offset": {"position": position}}]);
    wait_for("the offset", || async { rig.offsets("src").await == at(3) }).await;
    let change = row(json!({"list": "main"}), json!({"position": 2}));
    let refused = rig.herder.alter_offsets("src", change.clone()).await.unwrap_err();
    assert!(
        matches!(&refused, HerderError::BadRequest(message) if message.contains("must be in the STOPPED state")),
        "{refused:?}"
    );
    rig.change_state("src", TargetState::Stopped, &["STOPPED"]).await;
    assert!(!rig.herder.alter_offsets("src", change).await.unwrap());
    let forbidden = row(json!({"list": "forbidden"}), Value::Null);
    let refused = rig.herder.alter_offsets("src", forbidden).await.unwrap_err();
    assert_eq!(refused.to_string(), "this partition is not to be touched");
    assert_eq!(rig.offsets("src").await, at(2));
    rig.change_state("src", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    wait_for("the last line again", || async {
        rig.values("lines").await.len() == 4
    })
    .await;
    rig.change_state("src", TargetState::Stopped, &["STOPPED"]).await;
    rig.herder.reset_offsets("src").await.unwrap();
    assert_eq!(rig.offsets("src").await, json!([]));
    rig.change_state("src", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    wait_for("all lines again", || async {
        rig.values("lines").await.len() == 7
    })
    .await;
    assert_eq!(lock(&rig.source).started_from, [0, 2, 0]);
    assert!(matches!(
        rig.herder.offsets("nope").await,
        Err(HerderError::NotFound(_))
    ));
    rig.stop().await;
}

#[tokio::test]
async fn a_partition_is_the_same_whatever_order_its_fields_are_given_in() {
    let rig = Rig::new("").await;
    rig.create(SOURCE).await;
    rig.change_state("src", TargetState::Stopped, &["STOPPED"]).await;
    let one = json!({"b": 1, "a": "x"});
    let other: Value = serde_json::from_str(r#"{"a":"x","b":1}"#).unwrap();
    for (partition, position) in [(&one, 1), (&other, 2), (&one, 3)] {
        let change = row(partition.clone(), json!({"position": position}));
        rig.herder.alter_offsets("src", change).await.unwrap();
        assert_eq!(
            rig.offsets("src").await,
            json!([{"partition": other, "offset": {"position": position}}])
        );
    }
    let keys = rig.records("connect-offsets").await.into_iter();
    let keys: std::collections::BTreeSet<_> = keys.map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    rig.herder
        .alter_offsets("src", row(other, Value::Null))
        .await
        .unwrap();
    assert_eq!(rig.offsets("src").await, json!([]));
    rig.stop().await;
}

#[tokio::test]
async fn a_stopped_sinks_offsets_are_those_of_its_group() {
    let rig = Rig::lines(&["a", "b", "c"]).await;
    rig.create(SINK).await;
    wait_for("all values", || async { lock(&rig.sink).values.len() == 3 }).await;
    rig.change_state("snk", TargetState::Stopped, &["STOPPED"]).await;
    let partition = json!({"kafka_topic": "lines", "kafka_partition": 0});
    let at = |offset: u64| json!([{"partition": partition, "offset": {"kafka_offset": offset}}]);
    assert_eq!(rig.offsets("snk").await, at(3));
    // Numbers may be texts.
    let texts = json!({"kafka_topic": "lines", "kafka_partition": "0"});
    let change = row(texts, json!({"kafka_offset": "1"}));
    assert!(rig.herder.alter_offsets("snk", change).await.unwrap());
    assert_eq!(rig.offsets("snk").await, at(1));
    rig.change_state("snk", TargetState::Started, &["RUNNING", "RUNNING"])
        .await;
    wait_for("two values again", || async { lock(&rig.sink).values.len() == 5 }).await;
    rig.change_state("snk", TargetState::Stopped, &["STOPPED"]).await;
    rig.herder
        .alter_offsets("snk", row(partition.clone(), Value::Null))
        .await
        .unwrap();
    assert_eq!(rig.offsets("snk").await, json!([]));
    for _ in 0..2 {
        rig.herder.reset_offsets("snk").await.unwrap();
    }
    let unknown = row(
        json!({"kafka_topic": "nope", "kafka_partition": 0}),
        json!({"kafka_offset": 1}),
    );
    let refused = rig.herder.alter_offsets("snk", unknown).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("Failed to alter consumer group offsets for connector snk: "),
        "{refused}"
    );
    rig.stop().await;
}
