//! `connect-configs`, `connect-offsets`, `connect-status` and the data topic: the same REST calls and lines leave the same records.

use std::{collections::BTreeMap, fs, io::Write};

use regex::Regex;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::expected::{self, hex, updating};
use crate::harness::{
    batches::ReadRecord,
    kafka::{RealConnect, RealKafka},
    program::Standalone,
    rest::Rest,
    scratch::Scratch,
    wait,
    wire::Wire,
};

fn drive(rest: &Rest, scratch: &Scratch, mut text_arrived: impl FnMut() -> bool) {
    scratch.write(
        "test.txt",
        "foo\nbar\n\n\"quoted\" \\ / \u{1} \u{7f} <tag> & '\tend\n",
    );
    scratch.write("text.txt", "\u{e9} \u{1f600} \u{2028} \u{ffff} \u{80}\n");
    let text = json!({
        "connector.class": "FileStreamSource", "tasks.max": "1", "file": "text.txt", "topic": "connect-golden-text",
    });
    let source = json!({
        "connector.class": "FileStreamSource", "tasks.max": "1", "file": "test.txt", "topic": "connect-golden",
    });
    let sink = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1",
        "file": "test.sink.txt", "topics": "connect-golden",
    });
    assert_eq!(rest.put("/connectors/golden-source/config", &source).status, 201);
    rest.wait_for_state("golden-source", "RUNNING");
    assert_eq!(rest.put("/connectors/golden-sink/config", &sink).status, 201);
    rest.wait_for_state("golden-sink", "RUNNING");
    let lines = |count: usize| {
        wait::until(&format!("{count} lines in the sink file"), || {
            let content = fs::read_to_string(scratch.join("test.sink.txt")).ok()?;
            (content.lines().count() == count).then_some(())
        });
    };
    lines(4);
    for (path, state) in [
        ("pause", "PAUSED"),
        ("resume", "RUNNING"),
        ("stop", "STOPPED"),
        ("resume", "RUNNING"),
    ] {
        rest.bare("PUT", &format!("/connectors/golden-source/{path}"));
        rest.wait_for_state("golden-source", state);
    }
    fs::File::options()
        .append(true)
        .open(scratch.join("test.txt"))
        .unwrap()
        .write_all(b"after\n")
        .unwrap();
    lines(5);
    let mut changed = source.clone();
    changed["batch.size"] = Value::String("10".to_owned());
    assert_eq!(rest.put("/connectors/golden-source/config", &changed).status, 200);
    wait::until("the task to have the new config", || {
        (rest.get("/connectors/golden-source/tasks").body[0]["config"]["batch.size"] == "10").then_some(())
    });
    rest.wait_for_state("golden-source", "RUNNING");
    assert_eq!(rest.delete("/connectors/golden-sink").status, 204);
    assert_eq!(rest.put("/connectors/golden-text/config", &text).status, 201);
    rest.wait_for_state("golden-text", "RUNNING");
    wait::until("the topic of the text", || text_arrived().then_some(()));
}

fn text_arrived(port: u16) -> bool {
    let mut wire = Wire::connect(port);
    wire.topics().contains_key("connect-golden-text") && !wire.read_all("connect-golden-text", 0).is_empty()
}

/// The records of each topic as text, with what may differ taken out: see each function.
fn collect(wire: &mut Wire) -> BTreeMap<String, Vec<u8>> {
    let topics = wire.topics();
    let mut files = BTreeMap::new();
    let mut add = |name: &str, lines: Vec<String>| {
        files.insert(format!("{name}.txt"), (lines.join("\n") + "\n").into_bytes());
    };
    let mut read = |name: &str| -> Vec<(usize, ReadRecord)> {
        let partitions = 0..*topics
            .get(name)
            .unwrap_or_else(|| panic!("no topic {name} in {topics:?}"));
        partitions
            .flat_map(|partition| {
                let records = wire.read_all(name, i32::try_from(partition).unwrap());
                records
                    .into_iter()
                    .map(move |record| (partition, record))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    add(
        "connect-configs",
        read("connect-configs").iter().map(config).collect(),
    );
    add(
        "connect-offsets",
        read("connect-offsets").iter().filter_map(offset).collect(),
    );
    add("connect-status", statuses(&read("connect-status")));
    for name in ["connect-golden", "connect-golden-text"] {
        add(name, read(name).iter().map(plain).collect());
    }
    add("__consumer_offsets", sink_offsets(&read("__consumer_offsets")));
    files
}

fn plain((partition, record): &(usize, ReadRecord)) -> String {
    format!(
        "{partition} {} => {}",
        show(record.key.as_deref()),
        show(record.value.as_deref())
    )
}

fn show(data: Option<&[u8]>) -> String {
    data.map_or("null".to_owned(), |data| {
        String::from_utf8(data.to_vec()).expect("UTF-8")
    })
}

/// Properties are sorted: Java writes them in the order of a HashMap.
fn config((partition, record): &(usize, ReadRecord)) -> String {
    let mut value = show(record.value.as_deref());
    if let Ok(Value::Object(mut object)) = serde_json::from_str(&value)
        && let Some(Value::Object(properties)) = object.get_mut("properties")
    {
        properties.sort_keys();
        value = Value::Object(object).to_string();
    }
    format!("{partition} {} => {value}", show(record.key.as_deref()))
}

/// Without the file whose text is not ASCII: Kafka's position counts UTF-16 units there and re-reads text after a restart;
/// ours counts bytes.
fn offset(record: &(usize, ReadRecord)) -> Option<String> {
    let line = plain(record);
    // Ours also say which file it was, whatever its name is now.
    let identity =
        r#","device":\d+,"inode":\d+,"fingerprint":"[0-9a-f]+","fingerprint.bytes":\d+,"modified.ms":\d+"#;
    let line = Regex::new(identity).unwrap().replace(&line, "").into_owned();
    (!line.contains("golden-text")).then_some(line)
}

/// Sorted by key, repetitions of a value dropped, without UNASSIGNED (which Kafka writes when its workers rebalance). Worker,
/// generation, version and time are ids and times.
fn statuses(records: &[(usize, ReadRecord)]) -> Vec<String> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (partition, record) in records {
        let mut value = show(record.value.as_deref());
        for (pattern, mask) in [
            (r#""worker_id":"[^"]+""#, r#""worker_id":"W""#),
            (r#""generation":\d+"#, r#""generation":0"#),
            (r#""version":"[^"]+""#, r#""version":"V""#),
            (r#""discoverTimestamp":\d{13}"#, r#""discoverTimestamp":0"#),
        ] {
            value = Regex::new(pattern).unwrap().replace(&value, mask).into_owned();
        }
        let line = format!("{partition} {} => {value}", show(record.key.as_deref()));
        let lines = by_key.entry(show(record.key.as_deref())).or_default();
        if !value.contains("UNASSIGNED") && lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    by_key.into_values().flatten().collect()
}

/// The last offset the sink's group committed: offset, leader epoch. Metadata is the sink's own, times and ids vary.
fn sink_offsets(records: &[(usize, ReadRecord)]) -> Vec<String> {
    let mut last = BTreeMap::new();
    for (_, record) in records {
        let (Some(key), Some(value)) = (&record.key, &record.value) else {
            continue;
        };
        if key[..2] == [0, 1] && key.windows(11).any(|window| window == b"golden-sink") {
            let [version, offset, epoch] = [&value[..2], &value[2..10], &value[10..14]].map(hex);
            last.insert(
                hex(key),
                format!("version {version} offset {offset} leader epoch {epoch}"),
            );
        }
    }
    last.into_iter()
        .map(|(key, value)| format!("{key} => {value}"))
        .collect()
}

const ONE_PARTITION: &str = "offsets.topic.num.partitions=1";

#[test]
fn connect_records_equal_kafkas() {
    let scratch = Scratch::new("golden-connect");
    let files = if updating() {
        let kafka = RealKafka::start(&scratch, &[ONE_PARTITION]);
        let mut connect = RealConnect::start(&scratch, kafka.port, &[""; 0]);
        drive(&connect.rest, &scratch, || text_arrived(kafka.port));
        connect.process.stop(Signal::TERM);
        collect(&mut Wire::connect(kafka.port))
    } else {
        let mut worker = Standalone::new(&scratch);
        worker.property("offset.flush.interval.ms", "500");
        worker.property(
            &format!("broker.{}", ONE_PARTITION.split_once('=').unwrap().0),
            "1",
        );
        worker.start(&[]);
        drive(&worker.rest, &scratch, || text_arrived(worker.kafka_port));
        collect(&mut Wire::connect(worker.kafka_port))
    };
    expected::check("connect", &files);
}
