//! kafka-configs against this broker and against a real Apache Kafka beside it: every config of every kind of resource, and
//! changes of them, are told alike. What is not is listed here, with the reason.

use std::{collections::BTreeMap, thread};

use crate::harness::{
    kafka::{self, RealKafka},
    process,
    program::Broker,
    scratch::Scratch,
    shown::shown,
};

/// Both brokers start with these.
const GIVEN: [&str; 4] = [
    "node.id=1",
    "log.retention.hours=2",
    "log.segment.bytes=2000000",
    "group.initial.rebalance.delay.ms=0",
];

/// Configs of the broker that differ.
const DIFFERENT: [(&str, &str); 10] = [
    // Kafka needs them, and they stand in its file; here they do not, or with other ports and directories.
    ("advertised.listeners", "where it listens"),
    ("controller.listener.names", "there is no controller"),
    ("controller.quorum.voters", "there is no controller"),
    ("listener.security.protocol.map", "there is no controller"),
    ("listeners", "where it listens"),
    ("node.id", "has no default there"),
    ("process.roles", "there is no controller"),
    ("log.dir", "another place by default"),
    ("max.connections=", "files a process may open by default"),
    ("socket.listen.backlog.size", "a larger one by default"),
];
/// As [`DIFFERENT`]: what Kafka's tests have in their file, what it sets by itself, and our own.
const MORE_DIFFERENT: [(&str, &str); 5] = [
    ("offsets.topic.replication.factor", "in the file of one of them"),
    (
        "transaction.state.log.replication.factor",
        "in the file of one of them",
    ),
    ("transaction.state.log.min.isr", "in the file of one of them"),
    ("config.unknown.keys", "ours"),
    ("durability", "ours"),
];
/// Kafka sets it for the cluster because of eligible leader replicas.
const SET_BY_KAFKA: &str = "min.insync.replicas";

/// What kafka-configs printed, line by line, sorted.
type Printed = Vec<String>;

fn run(port: u16, arguments: &str) -> Printed {
    let mut command = kafka::java("kafka.admin.ConfigCommand");
    command.args(["--bootstrap-server", &format!("127.0.0.1:{port}")]);
    let output = process::outside(command.args(arguments.split(' ')))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace(&format!("127.0.0.1:{port}"), "BROKER");
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| line.trim().to_owned())
        // Java's stack and the times of its log say nothing of the answer.
        .filter(|line| !line.is_empty() && !line.starts_with("at ") && !line.starts_with('['))
        .collect();
    lines.sort_unstable();
    lines.push(format!("exit {}", output.status.code().unwrap_or(-1)));
    lines
}

fn is_expected(line: &str) -> bool {
    let known = DIFFERENT.iter().chain(&MORE_DIFFERENT);
    line.starts_with(SET_BY_KAFKA) || known.clone().any(|(start, _)| line.starts_with(start))
}

const SCRIPT: [&str; 15] = [
    "--describe --all --entity-type brokers --entity-name 1",
    "--describe --all --entity-type topics --entity-name side",
    "--describe --all --entity-type groups --entity-name g",
    "--describe --all --entity-type client-metrics --entity-name m",
    "--alter --entity-type brokers --entity-name 1 --add-config log.retention.ms=60000,log.cleaner.backoff.ms=5",
    "--alter --entity-type brokers --entity-default --add-config log.retention.ms=70000,message.max.bytes=5000",
    "--alter --entity-type brokers --entity-name 1 --add-config num.partitions=5",
    "--alter --entity-type brokers --entity-name 1 --add-config log.retention.ms=0",
    "--alter --entity-type groups --entity-name g --add-config consumer.session.timeout.ms=50000",
    "--alter --entity-type groups --entity-name g --add-config consumer.session.timeout.ms=5",
    "--alter --entity-type client-metrics --entity-name m --add-config interval.ms=500,metrics=[a,b]",
    "--describe --all --entity-type brokers --entity-name 1",
    "--describe --entity-type brokers --entity-default",
    "--describe --all --entity-type topics --entity-name side",
    "--describe --entity-type groups",
];

fn script(port: u16) -> Vec<Printed> {
    let mut create = kafka::topics();
    create.args([
        "--bootstrap-server",
        &format!("127.0.0.1:{port}"),
        "--create",
        "--topic",
        "side",
    ]);
    create.args(["--config", "segment.bytes=3000000"]);
    process::run(process::outside(&mut create));
    SCRIPT.iter().map(|arguments| run(port, arguments)).collect()
}

#[test]
fn kafka_configs_tells_the_same_of_both_brokers() {
    let (ours, theirs) = (Scratch::new("configs-jackfield"), Scratch::new("configs-kafka"));
    let broker = Broker::start(&ours, &GIVEN);
    let kafka = RealKafka::start(&theirs, &GIVEN);
    let (jackfield, kafka) = thread::scope(|scope| {
        let kafka = scope.spawn(|| script(kafka.port));
        (script(broker.port), kafka.join().unwrap())
    });
    let mut differences = Vec::new();
    for ((command, ours), theirs) in SCRIPT.iter().zip(&jackfield).zip(&kafka) {
        let mut lines: BTreeMap<&String, i32> = BTreeMap::new();
        for (of, sign) in [(ours, 1), (theirs, -1)] {
            for line in of.iter().filter(|line| !is_expected(line)) {
                *lines.entry(line).or_default() += sign;
            }
        }
        for (line, sign) in lines.into_iter().filter(|(_, sign)| *sign != 0) {
            let whose = if sign > 0 { "Jackfield" } else { "Kafka" };
            differences.push(format!("{command}\n  {whose}: {line}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    shown(
        "Kafka's command-line tools",
        kafka::VERSION,
        "kafka-configs describes and alters topics, brokers, groups and client metrics as beside Apache Kafka",
    );
}
