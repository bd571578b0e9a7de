//! Sink tasks: delivery, commits with metadata, retries, errors.

use jackfield_cluster::{Compression, NewTopic, PartitionRecords, RecordBatchBuilder, TopicPartition};
use jackfield_plugin::PluginError;

use super::{
    plugins::lock,
    rig::{Rig, wait_for},
};

const SINK: &str = "name=snk\nconnector.class=ListSink\ntopics=in\nvalue.converter=StringConverter\nkey.converter=StringConverter";

impl Rig {
    pub(super) async fn write(&self, values: &[&str], compression: Compression) {
        self.write_to("in", values, compression).await;
    }

    pub(super) async fn write_to(&self, topic: &str, values: &[&str], compression: Compression) {
        let topic = NewTopic {
            name: topic.to_owned(),
            partitions: Some(1),
            configs: Default::default(),
        };
        self.cluster.create_topic(&topic).await.unwrap();
        let mut builder = RecordBatchBuilder::new(compression);
        for value in values {
            builder.push(1, None, Some(value.as_bytes()), &[]);
        }
        let partition = TopicPartition {
            topic: topic.name.into(),
            partition: 0,
        };
        let records = PartitionRecords {
            partition,
            batch: builder.finish(),
        };
        self.cluster.append(vec![records]).await.unwrap().await.unwrap();
    }

    pub(super) fn sink_values(&self) -> Vec<String> {
        lock(&self.sink).values.clone()
    }
}

#[tokio::test]
async fn records_are_delivered_once_over_restarts_with_the_sinks_metadata() {
    let mut rig = Rig::new("").await;
    rig.write(&["a", "b", "c"], Compression::Zstd).await;
    rig.create(SINK).await;
    wait_for("three values", || async { rig.sink_values().len() == 3 }).await;
    let first = lock(&rig.sink).opened[0].clone();
    assert_eq!((first.offset, first.metadata.as_str()), (-1, ""));
    rig.restart().await;
    rig.write(&["d"], Compression::None).await;
    wait_for("the fourth value", || async { rig.sink_values().len() == 4 }).await;
    assert_eq!(
        rig.sink_values(),
        ["a", "b", "c", "d"].map(|value| format!("Utf8(\"{value}\")"))
    );
    assert_eq!(lock(&rig.sink).offsets, [0, 1, 2, 3]);
    let second = lock(&rig.sink).opened[1].clone();
    assert_eq!((second.offset, second.metadata.as_str()), (3, "values=3"));
    rig.stop().await;
    let sink = lock(&rig.sink);
    assert_eq!((sink.closed, sink.stopped), (2, 2));
}

#[tokio::test]
async fn where_a_sink_starts_is_committed_before_the_first_record() {
    let mut rig = Rig::new("offset.flush.interval.ms=3600000").await;
    lock(&rig.sink).values.push("from before".to_owned());
    rig.write(&["a"], Compression::None).await;
    lock(&rig.sink).put_errors.push_back(PluginError::fatal("crash"));
    rig.create(SINK).await;
    rig.wait_for_states("snk", &["RUNNING", "FAILED"]).await;
    rig.restart().await;
    wait_for("the value", || async { rig.sink_values().len() == 2 }).await;
    let opened = lock(&rig.sink).opened[1].clone();
    assert_eq!((opened.offset, opened.metadata.as_str()), (0, "values=1"));
    rig.stop().await;
}

#[tokio::test]
async fn the_same_batch_is_put_again_when_the_sink_asks() {
    let rig = Rig::new("").await;
    lock(&rig.sink).put_errors.extend([
        PluginError::retriable("busy"),
        PluginError::retriable("still busy"),
    ]);
    rig.write(&["a", "b"], Compression::None).await;
    rig.create(SINK).await;
    wait_for("the cause in the status", || async {
        let status = rig.herder.task_status("snk", 0).await;
        status.is_ok_and(|status| status.trace.is_some_and(|trace| trace.contains("still busy")))
    })
    .await;
    wait_for("both values", || async { rig.sink_values().len() == 2 }).await;
    rig.write(&["c"], Compression::None).await;
    wait_for("the third value", || async { rig.sink_values().len() == 3 }).await;
    assert_eq!(lock(&rig.sink).offsets, [0, 1, 2]);
    assert_eq!(rig.herder.task_status("snk", 0).await.unwrap().trace, None);
    rig.stop().await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_retries_loses_nothing() {
    let mut rig = Rig::new("").await;
    lock(&rig.sink)
        .put_errors
        .extend(std::iter::repeat_n(PluginError::retriable("full"), 1000));
    rig.write(&["a", "b"], Compression::None).await;
    rig.create(SINK).await;
    wait_for("a retry", || async { lock(&rig.sink).put_errors.len() < 999 }).await;
    rig.stop().await;
    lock(&rig.sink).put_errors.clear();
    rig.restart_after_stop().await;
    wait_for("both values", || async { rig.sink_values().len() == 2 }).await;
    rig.stop().await;
}

#[tokio::test]
async fn refused_records_are_skipped_or_fail_the_task() {
    let rig = Rig::new("").await;
    lock(&rig.sink).refused.push("Utf8(\"b\")".to_owned());
    rig.write(&["a", "b", "c"], Compression::Lz4).await;
    rig.create(&format!("{SINK}\nerrors.tolerance=all")).await;
    wait_for("what was not refused", || async { rig.sink_values().len() == 2 }).await;
    rig.create(&SINK.replace("snk", "strict")).await;
    rig.wait_for_states("strict", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("strict", 0).await.unwrap().trace.unwrap();
    assert!(trace.contains("TASK_PUT: Utf8(\"b\") is refused"), "{trace}");
    assert!(
        trace.contains("topic: in\n\tpartition: 0\n\toffset: 1"),
        "{trace}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_json_fails_the_task_or_is_skipped() {
    let rig = Rig::new("").await;
    rig.write(&["\"a\"", "not json", "{\"b\":1}"], Compression::None)
        .await;
    let json = SINK.replace("value.converter=StringConverter", "value.converter=JsonConverter");
    let json = format!("{json}\nvalue.converter.schemas.enable=false");
    rig.create(&json.replace("snk", "strict")).await;
    rig.wait_for_states("strict", &["RUNNING", "FAILED"]).await;
    let trace = rig.herder.task_status("strict", 0).await.unwrap().trace.unwrap();
    assert!(
        trace.contains("failed in VALUE_CONVERTER: Converting byte[] to Kafka Connect data failed"),
        "{trace}"
    );
    assert!(trace.contains("offset: 1"), "{trace}");
    lock(&rig.sink).values.clear();
    rig.create(&format!("{json}\nerrors.tolerance=all")).await;
    wait_for("two values", || async { rig.sink_values().len() == 2 }).await;
    assert_eq!(rig.sink_values(), ["Utf8(\"a\")", "Json(\"{\\\"b\\\":1}\")"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_failed_flush_commits_nothing() {
    let mut rig = Rig::new("offset.flush.interval.ms=3600000").await;
    rig.write(&["a"], Compression::None).await;
    rig.create(SINK).await;
    wait_for("the value", || async { rig.sink_values().len() == 1 }).await;
    lock(&rig.sink)
        .flush_errors
        .push_back(PluginError::fatal("fsync failed"));
    rig.restart().await;
    wait_for("the value again", || async { rig.sink_values().len() == 2 }).await;
    assert_eq!(
        lock(&rig.sink).offsets,
        [0, 0],
        "what was not flushed comes again"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_paused_sink_holds_still_and_goes_on_where_it_was() {
    let rig = Rig::new("").await;
    rig.write(&["a"], Compression::None).await;
    rig.create(SINK).await;
    wait_for("the value", || async { rig.sink_values().len() == 1 }).await;
    rig.herder
        .set_target_state("snk", crate::TargetState::Paused)
        .await
        .unwrap();
    rig.wait_for_states("snk", &["PAUSED", "PAUSED"]).await;
    rig.write(&["b", "c"], Compression::None).await;
    assert_eq!(rig.sink_values().len(), 1);
    rig.herder
        .set_target_state("snk", crate::TargetState::Started)
        .await
        .unwrap();
    wait_for("the others", || async { rig.sink_values().len() == 3 }).await;
    assert_eq!(lock(&rig.sink).offsets, [0, 1, 2]);
    rig.stop().await;
}

#[tokio::test]
async fn a_flush_that_failed_is_repeated_while_the_sink_is_paused() {
    let rig = Rig::new("offset.flush.interval.ms=300").await;
    rig.write(&["a"], Compression::None).await;
    rig.create(SINK).await;
    wait_for("the value", || async { rig.sink_values().len() == 1 }).await;
    let busy = std::iter::repeat_n(PluginError::retriable("busy"), 3);
    lock(&rig.sink).flush_errors.extend(busy);
    rig.herder
        .set_target_state("snk", crate::TargetState::Paused)
        .await
        .unwrap();
    wait_for("a flush that succeeds", || async {
        lock(&rig.sink).flush_errors.is_empty()
    })
    .await;
    let flushes = lock(&rig.sink).flushes;
    wait_for("one more flush", || async { lock(&rig.sink).flushes > flushes }).await;
    rig.wait_for_states("snk", &["PAUSED", "PAUSED"]).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_was_given_up_in_the_middle_of_a_batch_comes_again_once() {
    for compression in [Compression::None, Compression::Zstd] {
        let rig = Rig::new("").await;
        rig.write(&["a", "b", "c", "d", "e", "f", "g", "h"], compression)
            .await;
        lock(&rig.sink).full_at = Some(3);
        rig.create(&format!("{SINK}\nconsumer.override.max.poll.records=3"))
            .await;
        wait_for("a full sink", || async { lock(&rig.sink).full > 0 }).await;
        let target = |state| rig.herder.set_target_state("snk", state);
        target(crate::TargetState::Paused).await.unwrap();
        rig.wait_for_states("snk", &["PAUSED", "PAUSED"]).await;
        lock(&rig.sink).full_at = None;
        target(crate::TargetState::Started).await.unwrap();
        wait_for("all values", || async { rig.sink_values().len() >= 8 }).await;
        assert_eq!(lock(&rig.sink).offsets, [0, 1, 2, 3, 4, 5, 6, 7]);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_compressed_batch_is_delivered_step_by_step() {
    let rig = Rig::new("").await;
    rig.write(&["1", "2", "3", "bad"], Compression::Zstd).await;
    let json = SINK.replace("value.converter=StringConverter", "value.converter=JsonConverter");
    rig.create(&format!(
        "{json}\nvalue.converter.schemas.enable=false\nconsumer.override.max.poll.records=2"
    ))
    .await;
    rig.wait_for_states("snk", &["RUNNING", "FAILED"]).await;
    assert_eq!(lock(&rig.sink).offsets, [0, 1], "before the bad one is read");
    rig.stop().await;
}

/// A sink that keeps one position for all partitions needs those of partitions that have left.
#[tokio::test]
async fn a_sink_may_ask_for_the_positions_of_the_whole_group() {
    let rig = Rig::new("").await;
    rig.write_to("a", &["1", "2"], Compression::None).await;
    rig.write_to("b", &["3"], Compression::None).await;
    let with = |topics: &str| super::rig::config(&SINK.replace("topics=in", &format!("topics={topics}")));
    for (topics, values) in [("a", 2), ("b", 3), ("a", 3)] {
        let opened = lock(&rig.sink).group.len();
        rig.herder.put_config("snk", with(topics)).await.unwrap();
        wait_for("the partition and its values", || async {
            lock(&rig.sink).group.len() > opened && rig.sink_values().len() == values
        })
        .await;
    }
    let known = lock(&rig.sink).group.clone();
    let position = |topic: &str, offset, metadata: &str| jackfield_api::SinkPosition {
        topic: topic.to_owned(),
        partition: 0,
        offset,
        metadata: metadata.to_owned(),
    };
    assert_eq!(known[0], []);
    assert_eq!(known[1], [position("a", 2, "values=2")]);
    let mut last = known[2].clone();
    last.sort_by(|one, other| one.topic.cmp(&other.topic));
    assert_eq!(last, [position("a", 2, "values=2"), position("b", 1, "values=3")]);
    rig.stop().await;
}

/// What a sink may do only after a commit need not wait for the next interval.
#[tokio::test]
async fn a_sink_is_asked_again_right_after_a_commit() {
    let rig = Rig::new("offset.flush.interval.ms=3600000").await;
    rig.write(&["a"], Compression::None).await;
    rig.create(SINK).await;
    wait_for(
        "the flush after the partition was opened, and one after its commit",
        || async { lock(&rig.sink).flushed.len() == 2 },
    )
    .await;
    assert_eq!(
        lock(&rig.sink).flushed,
        ["", "values=0"],
        "what was committed before each"
    );
    rig.stop().await;
}
