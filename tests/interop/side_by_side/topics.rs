//! `kafka-topics`.

use super::{Side, TOPIC, TOPIC_ARGUMENTS};
use crate::harness::{wait, wire::Wire};

const TOPICS: &str = "TopicCommand";

/// Creates the script's topic.
pub(super) fn create(side: &mut Side<'_>) {
    // Its records are old.
    let options = ["--partitions", "3", "--config", "retention.ms=-1"];
    side.run(TOPICS, &[&["--create"][..], &TOPIC_ARGUMENTS, &options].concat());
    side.run(TOPICS, &["--create", "--topic", TOPIC]);
    describe(side);
}

/// More partitions, and fewer.
pub(super) fn change_partitions(side: &mut Side<'_>) {
    for partitions in ["4", "4", "2"] {
        side.run(TOPICS, &["--alter", "--topic", TOPIC, "--partitions", partitions]);
    }
}

pub(super) fn describe(side: &mut Side<'_>) {
    side.run(TOPICS, &[&["--describe"][..], &TOPIC_ARGUMENTS].concat());
}

/// The end of the script's topic.
pub(super) fn delete(side: &mut Side<'_>) {
    side.run(TOPICS, &[&["--delete"][..], &TOPIC_ARGUMENTS].concat());
    describe(side);
}

/// Every other option, on topics of their own.
pub(super) fn script(side: &mut Side<'_>) {
    create_each_way(side);
    describe_each_way(side);
    alter_each_way(side);
    delete_each_way(side);
}

fn create_each_way(side: &mut Side<'_>) {
    for options in [
        &[
            "--topic",
            "one",
            "--config",
            "retention.ms=1000",
            "--config",
            "cleanup.policy=compact",
        ][..],
        &["--topic", "two", "--replica-assignment", "1,1"],
        &[
            "--topic",
            "three",
            "--partitions",
            "2",
            "--replication-factor",
            "1",
        ],
        &["--topic", "one", "--if-not-exists"],
        &["--topic", "one.two"],
        &["--topic", "one_two"],
        &["--topic", "bad", "--replica-assignment", "7"],
        &["--topic", "bad", "--replica-assignment", "1:1"],
        &["--topic", "bad", "--replication-factor", "3"],
        &["--topic", "bad", "--partitions", "0"],
        &["--topic", "bad", "--config", "retention.ms=soon"],
        &["--topic", "bad", "--config", "no.such.config=1"],
        &["--topic", "bad name"],
        &["--topic", "."],
        &[],
    ] {
        side.run(TOPICS, &[&["--create"][..], options].concat());
    }
}

fn describe_each_way(side: &mut Side<'_>) {
    side.run(TOPICS, &["--list"]);
    side.run(TOPICS, &["--list", "--exclude-internal"]);
    side.run(TOPICS, &["--list", "--topic", "t.*"]);
    for options in [
        &["--topic", "t.*"][..],
        &["--topic", "one", "--exclude-internal"],
        &["--topics-with-overrides"],
        &["--under-replicated-partitions"],
        &["--unavailable-partitions"],
        &["--under-min-isr-partitions"],
        &["--at-min-isr-partitions", "--topic", "two"],
        &["--topic", "two", "--partition-size-limit-per-response", "1"],
        &["--topic-id", "AAAAAAAAAAAAAAAAAAAAAg"],
        &["--topic-id", "nothing"],
        &["--topic", "missing", "--if-exists"],
    ] {
        side.run(TOPICS, &[&["--describe"][..], options].concat());
    }
}

fn alter_each_way(side: &mut Side<'_>) {
    for options in [
        &["--topic", "missing", "--partitions", "2"][..],
        &["--topic", "missing", "--partitions", "2", "--if-exists"],
        &[
            "--topic",
            "three",
            "--partitions",
            "4",
            "--replica-assignment",
            "1,1,1,1",
        ],
        &[
            "--topic",
            "three",
            "--partitions",
            "5",
            "--replica-assignment",
            "1,1,1,1,7",
        ],
        &["--topic", "t.*", "--partitions", "6"],
    ] {
        side.run(TOPICS, &[&["--alter"][..], options].concat());
    }
}

fn delete_each_way(side: &mut Side<'_>) {
    for options in [
        &["--topic", "missing"][..],
        &["--topic", "missing", "--if-exists"],
        &["--topic", "t.*"],
        &["--topic", "one.*"],
    ] {
        side.run(TOPICS, &[&["--delete"][..], options].concat());
    }
    // Kafka's broker hears of it from the controller, after the answer.
    wait::until("the topics to be gone", || {
        let topics = Wire::connect(side.port).topics();
        (!topics.keys().any(|name| name.starts_with("one"))).then_some(())
    });
    side.run(TOPICS, &["--list", "--exclude-internal"]);
}
