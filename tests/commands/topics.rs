//! `topics`, `configs` and `offsets`.

use serde_json::json;

use super::{Commands, cells};
use crate::harness::{
    program::Broker,
    scratch::{Scratch, free_port},
    wait,
};

#[test]
fn topics_live_from_creation_to_deletion() {
    let scratch = Scratch::new("commands-topics");
    let broker = Broker::start(&scratch, &[]);
    on(&Commands::of_broker(broker.port, &scratch));
}

/// The same on any broker.
pub(super) fn on(commands: &Commands) {
    assert_eq!(
        commands.ok("topics create orders --partitions 2 --config retention.ms=86400000"),
        "created orders\n"
    );
    commands.check_error("topics create orders", "topic 'orders': already exists");
    assert_eq!(commands.ok("topics create orders --if-not-exists"), "");
    assert_eq!(commands.ok("topics create dry --dry-run"), "could create dry\n");
    assert_eq!(
        commands.json("topics create payments -c retention.ms=-1 --json"),
        json!([{"topic": "payments", "result": "created"}])
    );
    commands.check_error("topics create a/b", "topic 'a/b': ");
    commands.ok("topics create with.a.dot");
    commands.check_error("topics create with_a_dot", "collide");
    commands.ok("topics delete with.a.dot");
    assert_eq!(commands.ok("topics list"), "orders\npayments\n");
    assert_eq!(cells(&commands.ok("topics ls --long"))[0], ["orders", "2", "1"]);
    let listed = commands.json("topics list --json");
    assert_eq!(
        listed[0],
        json!({"name": "orders", "partitions": 2, "replication_factor": 1, "internal": false})
    );

    described(commands);
    offsets(commands);
    let deleted = commands.ok("topics delete-records orders --before 1 --partition 1 --yes");
    assert_eq!(deleted, "starts at 1: orders:1\n");
    assert_eq!(
        cells(&commands.ok("offsets orders"))[1],
        ["orders", "1", "1", "3", "2"]
    );
    commands.check_error(
        "topics delete-records orders --before 1 -p 7",
        "topic 'orders' has no partition 7; it has 3",
    );

    commands.check_error(
        "topics delete-records orders --before 4 -p 1",
        "partition 1 of topic 'orders' ends at 3, in front of 4; nothing was deleted, and --before latest deletes everything",
    );
    assert_eq!(
        commands.ok("topics delete-records orders --before latest -p 1"),
        "starts at 3: orders:1\n"
    );

    configs_of(commands);
    assert_eq!(
        commands.ok("topics delete orders payments"),
        "deleted orders\ndeleted payments\n"
    );
    commands.check_error("topics delete orders", "topic 'orders': does not exist");
    assert_eq!(commands.ok("topics rm orders --if-exists"), "");
}

fn described(commands: &Commands) {
    commands.produce("produce orders --partition 1", "a\nb\nc\n");
    let described = commands.ok("topics describe orders");
    assert!(
        described.starts_with("orders\n  retention.ms=86400000\nPARTITION  LEADER"),
        "{described}"
    );
    assert!(
        described.ends_with("        1       1         1    1      0    3        3\n"),
        "{described}"
    );
    let described = commands.json("topics describe orders --json");
    assert_eq!(described[0]["configs"], json!({"retention.ms": "86400000"}));
    assert_eq!(
        described[0]["partitions"][1],
        json!({"partition": 1, "leader": 1, "replicas": [1], "isr": [1], "start": 0, "end": 3})
    );
    commands.check_error(
        "topics describe ordres",
        "topic 'ordres' does not exist; did you mean 'orders'?",
    );
    commands.check_error(
        "topics describe x",
        "topic 'x' does not exist; create it with: jackfield topics create x",
    );

    assert_eq!(
        commands.ok(
            "topics alter orders --partitions 3 --config cleanup.policy=delete --delete-config retention.ms"
        ),
        "altered orders\n"
    );
    let configs = &commands.json("topics describe orders --json")[0]["configs"];
    assert_eq!(*configs, json!({"cleanup.policy": "delete"}));
    commands.check_error("topics alter orders --partitions 1", "topic 'orders': ");
    commands.check_error("topics alter orders --partitions 4 --config bad.key=1", "bad.key");
    assert_eq!(cells(&commands.ok("topics list --long"))[0], ["orders", "3", "1"]);
    commands.check_usage("topics alter orders", "nothing to change; give --partitions");
    commands.check_error(
        "topics alter orders --partitions 4 --delete-config retention.mss",
        "a topic has no key 'retention.mss'; did you mean 'retention.ms'?",
    );
}

fn offsets(commands: &Commands) {
    assert_eq!(
        cells(&commands.ok("offsets orders"))[1],
        ["orders", "1", "0", "3", "3"]
    );
    assert_eq!(
        commands.json("offsets orders -p 1 --json"),
        json!([{"topic": "orders", "partition": 1, "start": 0, "end": 3, "records": 3}])
    );
    for (position, offset) in [
        ("earliest", 0),
        ("latest", 3),
        ("-1", 2),
        ("+1", 1),
        ("-1h", 0),
        ("2", 2),
    ] {
        assert_eq!(
            commands.json(&format!("offsets orders -p 1 --json --at {position}")),
            json!([{"topic": "orders", "partition": 1, "offset": offset}]),
            "{position}"
        );
    }
    commands.produce("produce payments --timestamp 2026-01-31T12:00:00Z", "a\nb\n");
    for (position, offset) in [("2026-01-31T12:00:00Z", 0), ("2026-01-31T12:00:01Z", 2)] {
        let found = commands.ok(&format!("offsets payments --at {position}"));
        assert_eq!(
            cells(&found)[0],
            ["payments", "0", &offset.to_string()],
            "{position}"
        );
    }
}

fn configs_of(commands: &Commands) {
    assert_eq!(
        commands.ok("configs set topic orders retention.ms=5000 segment.ms=6000"),
        "configured orders\n"
    );
    let listed = commands.ok("configs list topic");
    assert!(
        cells(&listed).contains(&vec!["topic", "orders", "retention.ms", "5000", "topic"]),
        "{listed}"
    );
    let described = commands.ok("configs describe topic orders");
    assert!(
        described.starts_with("KEY             VALUE   SOURCE\ncleanup.policy  delete  topic\n"),
        "{described}"
    );
    assert_eq!(
        commands.json("configs describe topic orders --json")[1],
        json!({
            "type": "topic", "name": "orders", "key": "retention.ms", "value": "5000", "source": "topic",
            "read_only": false, "sensitive": false,
        })
    );
    assert!(
        commands
            .ok("configs describe topic orders --all")
            .contains("\nmax.message.bytes ")
    );
    let explained = commands.ok("configs describe topic orders retention.ms");
    assert!(
        explained.starts_with("retention.ms=5000  (topic)\n  "),
        "{explained}"
    );
    commands.check_error(
        "configs describe topic orders retention.mss",
        "did you mean 'retention.ms'?",
    );
    commands.check_error(
        "configs describe topic ordres",
        "topic 'ordres' does not exist; did you mean 'orders'?",
    );
    commands.check_error("configs set topic orders retention.ms=soon", "retention.ms");
    commands.check_usage("configs set topic orders retention.ms", "must be key=value");
    commands.check_error(
        "configs delete topic orders retention.mss",
        "a topic has no key 'retention.mss'; did you mean 'retention.ms'?",
    );
    assert_eq!(
        commands.ok("configs set topic orders retention.ms=7 --dry-run"),
        "could configure orders\n"
    );
    assert_eq!(
        commands.ok("configs delete topic orders retention.ms segment.ms"),
        "configured orders\n"
    );
    assert_eq!(cells(&commands.ok("configs describe topic orders")).len(), 1);
    let broker = commands.ok("configs describe broker 1");
    assert!(broker.contains("static broker"), "{broker}");
    configured_apart(commands);
    commands.check_error(
        "configs describe broker 77",
        "there is no broker 77; there are: 1 (127.0.0.1:",
    );
    commands.check_error(
        "configs describe broker one",
        "broker 'one' must be a number, or default",
    );
}

/// A group need not be there to be configured, and the defaults of all brokers are rows of their own.
fn configured_apart(commands: &Commands) {
    commands.ok("configs set group none-yet consumer.session.timeout.ms=50000");
    commands.ok("configs set broker default log.retention.ms=604800000");
    // Kafka's broker takes a moment.
    for (line, row) in [
        (
            "configs list group",
            ["group", "none-yet", "consumer.session.timeout.ms", "50000"],
        ),
        (
            "configs list broker",
            ["broker", "default", "log.retention.ms", "604800000"],
        ),
    ] {
        wait::until(line, || {
            let listed = commands.ok(line);
            cells(&listed).iter().any(|found| found[..4] == row).then_some(())
        });
    }
    commands.ok("configs delete broker default log.retention.ms");
    commands.ok("configs delete group none-yet consumer.session.timeout.ms");
    // Kafka itself has another key there.
    wait::until("the default of all brokers to be gone", || {
        let described = commands.ok("configs describe broker default");
        (!described.contains("log.retention.ms")).then_some(())
    });
}

#[test]
fn errors_say_what_was_wrong_and_what_to_do() {
    let scratch = Scratch::new("commands-errors");
    let nowhere = Commands::of_broker(free_port(), &scratch);
    for line in [
        "topics list",
        "groups list",
        "offsets a",
        "configs list",
        "consume a",
        "produce a",
    ] {
        let expected = format!(
            "no answer from a broker at {} (connection refused); is `jackfield standalone` or `jackfield broker` \
             running? -b HOST:PORT names another address\n",
            nowhere.bootstrap_server
        );
        assert_eq!(nowhere.fails(line), format!("jackfield: {expected}"), "{line}");
    }
    let broker = Broker::start(&scratch, &["auto.create.topics.enable=false"]);
    let commands = Commands::of_broker(broker.port, &scratch);
    let other = format!("topics list -b {}", nowhere.bootstrap_server);
    assert!(
        commands.fails(&other).contains(&nowhere.bootstrap_server),
        "the flag wins"
    );
    // The second address answers.
    let both = format!(
        "topics list -b {},127.0.0.1:{}",
        nowhere.bootstrap_server, broker.port
    );
    assert_eq!(commands.ok(&both), "");
    commands.check_error(
        "consume nothing",
        "topic 'nothing' does not exist; create it with: ",
    );
    scratch.write(
        "client.properties",
        format!("bootstrap.servers=127.0.0.1:{}\nkey.serializer=x\n", broker.port),
    );
    let (_, notes) = nowhere.both("topics list --command-config client.properties", b"");
    assert_eq!(
        notes,
        "jackfield: without effect here, in client.properties: key.serializer\n"
    );
}

#[test]
fn wrong_command_lines_end_with_2() {
    let scratch = Scratch::new("commands-usage");
    let broker = Broker::start(&scratch, &[]);
    let commands = Commands::of_broker(broker.port, &scratch);
    commands.check_usage(
        "topics list -X security.protocol=SSL",
        "only PLAINTEXT is supported yet",
    );
    commands.ok("topics create made");
    for (line, expected) in [
        ("topics create a --config retention.ms", "must be key=value"),
        (
            "topics create a --partitions -5",
            "invalid value '-5' for '--partitions",
        ),
        ("topics list -X foo", "must be key=value"),
        (
            "topics list -b localhost",
            "'localhost' is no address; write HOST:PORT",
        ),
        ("topics list --command-config nope", "cannot read nope"),
        ("consume a -f %q", "--format %q: "),
        ("consume a --group=", "a value is required for '--group"),
        (
            "groups list --state nonsense",
            "'nonsense' is no state of a group; there are PreparingRebalance",
        ),
        (
            "groups reset g --topic a:x --to-latest",
            "must be topic or topic:0,1,2",
        ),
        (
            "groups reset g --topic a --to-offset -5",
            "invalid value '-5' for '--to-offset",
        ),
        ("connectors list --url ftp://x", "must be http://HOST:PORT"),
        ("connectors patch a tasks.max", "must be key=value"),
        ("connectors validate nope", "cannot read nope"),
        ("standalone nope.properties", "cannot read nope.properties"),
        ("broker --config nope", "cannot read nope"),
        ("broker --set x", "must be key=value"),
        ("produce made /", "cannot be read"),
        ("produce a --timestamp -1h", "'-1h' is no time"),
        (
            "--log-level wran topics list",
            "log level 'wran' is not understood",
        ),
    ] {
        commands.check_usage(line, expected);
    }
    for line in [
        "topics",
        "consume a --from soon",
        "groups reset g --topic t",
        "topics list --timeout 5",
    ] {
        assert_eq!(commands.output(line, b"").status.code(), Some(2), "{line}");
    }
}

#[test]
fn shells_complete_commands() {
    let scratch = Scratch::new("commands-completions");
    let commands = Commands::of_broker(1, &scratch);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = commands.ok(&format!("completions {shell}"));
        assert!(script.contains("delete-records"), "{shell}");
    }
}
