//! Clients of every family move keyed records through a topic with two members of a group, of which one is killed half-way:
//! nothing is lost, the order of every key is kept, and records are read twice only after the kill.

mod rust_members;

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use crate::harness::{
    kafka,
    process::{self, Process},
    program::Broker,
    python,
    scratch::Scratch,
    shown::shown,
    wait,
    wire::Wire,
};

const TOPIC: &str = "keyed";
const PARTITIONS: usize = 3;
const KEYS: usize = 100;
const EACH: usize = 1_000;
const RECORDS: usize = KEYS * EACH;
/// How long the killed member is waited for.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// So often the first member asks whether there is a second: soon enough to leave something for it to read.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// What a member may have read and not committed: a round of its loop, and one more on its way.
const UNCOMMITTED: usize = 1_000;

const OLDEST_JAVA_CLIENT: &str = "2.1.1";

/// One record as a member wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    partition: usize,
    offset: i64,
    key: String,
    value: usize,
}

/// The complete lines of a member's file.
fn seen(file: &Path) -> Vec<Seen> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| {
            let [partition, offset, key, value] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("line {line:?} of {}", file.display())
            };
            Seen {
                partition: partition.parse().unwrap(),
                offset: offset.parse().unwrap(),
                key: key.to_owned(),
                value: value.parse().unwrap(),
            }
        })
        .collect()
}

/// Nothing is missing, keys are in order for each member, and what the killed member read is repeated only behind the kill.
fn check(killed: &[Seen], survivor: &[Seen], survivor_at_kill: usize) {
    let mut records = HashSet::new();
    for member in [killed, survivor] {
        let mut positions = HashMap::new();
        let mut values = HashMap::new();
        for seen in member {
            let before = positions.insert(seen.partition, seen.offset);
            assert!(before < Some(seen.offset), "after offset {before:?}: {seen:?}");
            let before = values.insert(&seen.key, seen.value);
            assert!(
                before.is_none_or(|value| value < seen.value),
                "after {before:?}: {seen:?}"
            );
        }
        records.extend(member.iter().map(|seen| (&seen.key, seen.value)));
    }
    assert_eq!(records.len(), RECORDS, "records seen");
    let of_killed: HashSet<_> = killed.iter().map(|seen| (seen.partition, seen.offset)).collect();
    let is_repeated = |seen: &&Seen| of_killed.contains(&(seen.partition, seen.offset));
    let early: Vec<_> = survivor[..survivor_at_kill].iter().filter(is_repeated).collect();
    assert!(early.is_empty(), "repeated before the kill: {:?}", &early[..1]);
    let repeated = survivor.iter().filter(is_repeated).count();
    assert!(repeated <= UNCOMMITTED, "{repeated} records repeated");
}

/// Fills the topic with `produce`, starts two members with `member`, kills one of them half-way.
fn scenario(
    (client, version, protocol): (&str, &str, &str),
    produce: impl FnOnce(u16),
    member: impl Fn(u16, &Path) -> Command,
) {
    let name = &client.replace(' ', "-");
    let scratch = Scratch::new(&format!("clients-{name}"));
    let session = SESSION_TIMEOUT.as_millis();
    let broker = Broker::start(
        &scratch,
        &[
            "group.initial.rebalance.delay.ms=0",
            &format!("num.partitions={PARTITIONS}"),
            &format!("group.consumer.min.session.timeout.ms={session}"),
            &format!("group.consumer.session.timeout.ms={session}"),
        ],
    );
    let mut wire = Wire::connect(broker.port);
    wire.create_topic(TOPIC, i32::try_from(PARTITIONS).unwrap(), &[]);
    produce(broker.port);
    let files: [PathBuf; 2] = ["killed", "survivor"].map(|name| scratch.join(name));
    let mut members = files
        .each_ref()
        .map(|file| Process::start(name, &mut member(broker.port, file), &file.with_extension("log")));
    let half = Duration::from_secs(120);
    wait::within("half of the records to be read by both members", half, || {
        for member in &mut members {
            assert!(member.is_running(), "a member of {name} ended: {}", member.log());
        }
        let [one, other] = files.each_ref().map(|file| seen(file).len());
        (one > 0 && other > 0 && one + other > RECORDS / 2).then_some(())
    });
    members[0].kill_9();
    let survivor_at_kill = seen(&files[1]).len();
    let mut read = 0;
    wait::within("all records to be read", half, || {
        assert!(
            members[1].is_running(),
            "the member of {name} ended: {}",
            members[1].log()
        );
        read = files
            .iter()
            .flat_map(|file| seen(file))
            .map(|seen| (seen.partition, seen.offset))
            .collect::<HashSet<_>>()
            .len();
        (read == RECORDS).then_some(())
    });
    members[1].kill_9();
    check(&seen(&files[0]), &seen(&files[1]), survivor_at_kill);
    let what = format!(
        "moves {RECORDS} keyed records with a group ({protocol} protocol) of two, one killed half-way"
    );
    shown(client, version, &what);
}

/// `Member.java`, compiled with the oldest client.
fn java_classes() -> &'static Path {
    static CLASSES: OnceLock<Scratch> = OnceLock::new();
    CLASSES
        .get_or_init(|| {
            let classes = Scratch::new("clients-java");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/clients/Member.java");
            process::run(
                Command::new("javac")
                    .args(["--release", "11", "-d"])
                    .arg(classes.path())
                    .arg("-cp")
                    .arg(kafka::client_jar(OLDEST_JAVA_CLIENT))
                    .arg(source),
            );
            classes
        })
        .path()
}

/// Of members with the classic protocol.
fn classic_timing() -> [String; 2] {
    [
        format!("session.timeout.ms={}", SESSION_TIMEOUT.as_millis()),
        format!("heartbeat.interval.ms={}", HEARTBEAT_INTERVAL.as_millis()),
    ]
}

/// The Java client: `version` is `None` for the one beside Kafka's other jars.
fn java(version: Option<&str>, group_protocol: Option<&str>) {
    let client = version.map_or_else(String::new, |version| {
        format!("{}:", kafka::client_jar(version).display())
    });
    let class_path = format!("{}:{client}{}", java_classes().display(), kafka::class_path());
    let command = |role: &str, port: u16| {
        let mut command = kafka::java_with(&class_path, "Member");
        command.args([role, &port.to_string(), TOPIC]);
        command
    };
    let name = format!(
        "java-{}-{}",
        version.unwrap_or("newest"),
        group_protocol.unwrap_or("classic")
    );
    let version = version.unwrap_or(kafka::VERSION);
    scenario(
        ("Java client", version, group_protocol.unwrap_or("classic")),
        |port| {
            process::run(command("produce", port).args([KEYS.to_string(), EACH.to_string()]));
        },
        |port, file| {
            let mut member = command("consume", port);
            member.arg(file).arg(format!("group.id={name}"));
            match group_protocol {
                Some(protocol) => member.arg(format!("group.protocol={protocol}")),
                None => member.args(classic_timing()),
            };
            member
        },
    );
}

#[test]
fn newest_java() {
    java(None, None);
}

#[test]
fn java_with_the_consumer_protocol() {
    java(None, Some("consumer"));
}

#[test]
fn oldest_java() {
    java(Some(OLDEST_JAVA_CLIENT), None);
}

#[test]
fn confluent_kafka() {
    let command = |role: &str, port: u16| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/clients/member.py");
        let mut command = python::python();
        command.arg(script).args([role, &port.to_string(), TOPIC]);
        command
    };
    scenario(
        (
            "confluent-kafka (Python)",
            python::version("confluent-kafka"),
            "classic",
        ),
        |port| {
            process::run(command("produce", port).args([KEYS.to_string(), EACH.to_string()]));
        },
        |port, file| {
            let mut member = command("consume", port);
            member
                .arg(file)
                .arg("group.id=confluent-kafka")
                .args(classic_timing());
            member
        },
    );
}

#[test]
fn rdkafka() {
    scenario(
        ("rdkafka (Rust)", "0.39", "classic"),
        rust_members::produce_rdkafka,
        |port, file| rust_members::member("rdkafka", port, file.to_str().unwrap()),
    );
}

#[test]
fn krafka() {
    scenario(
        ("krafka (pure Rust)", "0.28", "classic"),
        rust_members::produce_krafka,
        |port, file| rust_members::member("krafka", port, file.to_str().unwrap()),
    );
}
