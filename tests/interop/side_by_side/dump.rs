//! `kafka-dump-log` on each broker's own files, and the records of `__consumer_offsets` by their formatters.

use std::collections::BTreeSet;

use super::{BROKER, GROUP, Side, TOPIC, masks};
use crate::harness::{
    batches::{self, Codec, record},
    wire::Wire,
};

/// Batches that fill more than a segment.
const ROLLED: i64 = 150;

const DUMP: &str = "DumpLogSegments";

pub(super) fn script(side: &mut Side<'_>) {
    let data = side.data.display().to_string();
    let file = |directory: &str, end: &str| format!("{data}/{directory}/00000000000000000000.{end}");
    let topic = format!("{TOPIC}-1");
    let log = file(&topic, "log");
    for options in [
        &[][..],
        &["--deep-iteration"],
        &["--print-data-log"],
        &["--verify-index-only"],
    ] {
        side.run_at(DUMP, &[&["--files", &log][..], options].concat());
    }
    roll(side);
    for end in ["log", "index", "timeindex"] {
        let rolled = file("rolled-0", end);
        side.run_at(DUMP, &["--files", &rolled]);
        side.run_at(DUMP, &["--files", &rolled, "--index-sanity-check"]);
        side.run_at(DUMP, &["--files", &rolled, "--verify-index-only"]);
    }
    side.run("TopicCommand", &["--delete", "--topic", "rolled"]);
    side.run_at(DUMP, &["--files", &format!("{data}/{topic}/missing.log")]);
    let group = format!("__consumer_offsets-{}", group_partition());
    let decoded = ["--files", &file(&group, "log"), "--offsets-decoder"];
    side.run_with(DUMP, None, &decoded, payloads);
    for formatter in ["OffsetsMessageFormatter", "GroupMetadataMessageFormatter"] {
        let formatter = format!("org.apache.kafka.tools.consumer.{formatter}");
        let topic = ["--topic", "__consumer_offsets", "--from-beginning"];
        let more = ["--timeout-ms", "1500", "--formatter", &formatter];
        let at = ["--bootstrap-server", BROKER];
        side.run_with(
            "consumer.ConsoleConsumer",
            None,
            &[&at[..], &topic, &more].concat(),
            records_of_groups,
        );
    }
}

/// A topic with a closed segment, whose indexes are complete.
fn roll(side: &mut Side<'_>) {
    let configs = ["--config", "segment.bytes=1048576", "--config", "retention.ms=-1"];
    side.run(
        "TopicCommand",
        &[&["--create", "--topic", "rolled"][..], &configs].concat(),
    );
    let mut wire = Wire::connect(side.port);
    for number in 0..ROLLED {
        let records = [record(1_700_000_000_000 + number * 10, "x".repeat(9_000))];
        wire.produce_to_new("rolled", 0, &batches::batch(Codec::None, None, &records));
    }
}

/// As Java hashes the group's name.
fn group_partition() -> i32 {
    let hash = GROUP.bytes().fold(0_i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(byte))
    });
    (hash & i32::MAX) % 50
}

/// Lines that are there once however often they are: a consumer may commit once more on its way.
fn once(lines: impl Iterator<Item = String>) -> String {
    let lines: BTreeSet<_> = lines.map(|line| masks::masked(&line)).collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// What the records of `__consumer_offsets` say.
fn payloads(text: &str) -> String {
    once(text.lines().filter_map(|line| {
        let (_, key) = line.split_once(" key: ")?;
        Some(without_topic_ids(key))
    }))
}

/// JSON documents behind each other and before what comes on stderr, without those of the consumer that reads them.
fn records_of_groups(text: &str) -> String {
    let documents = text.replace("}{\"key\"", "}\n{\"key\"");
    let documents = documents.lines().filter(|line| line.starts_with('{'));
    let documents = documents.filter_map(|line| Some(&line[..=line.rfind('}')?]));
    let others = documents.filter(|line| !line.contains("\"group\":\"console-consumer-"));
    once(others.map(without_topic_ids))
}

fn without_topic_ids(text: &str) -> String {
    const KEY: &str = "\"topicId\":\"";
    let mut parts = text.split(KEY);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.find('"').map_or(part, |end| &part[end..]);
        format!("{text}{KEY}{rest}")
    })
}
