//! Configs of every kind of resource: described and changed as Apache Kafka 4.3 does, in force at once, and kept.

use std::{collections::BTreeMap, sync::Arc};

use jackfield_env::{
    Env, LogLevel, LogLevels, LoggerLevel, RealFiles,
    faulty::{Faults, FaultyFiles},
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    alter_configs_request,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::DescribeConfigsResourceResult,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};

use super::harness::{Client, Server, text};

/// What a Kafka that was just started said of its configs that were not in its file, and of those of a topic, a group and a
/// subscription: resource, name, value, type, `r` for read-only and `s` for sensitive, synonyms.
const DESCRIPTIONS: &str = include_str!("configs/recorded_descriptions.txt");
/// What Kafka answered to changes, one after the other: resource, its name, changes, error code, message.
const ALTERATIONS: &str = include_str!("configs/recorded_alterations.txt");

/// Kafka's numbers of resources.
fn number(resource: &str) -> i8 {
    match resource {
        "TOPIC" => 2,
        "BROKER" => 4,
        "BROKER_LOGGER" => 8,
        "CLIENT_METRICS" => 16,
        "GROUP" => 32,
        _ => panic!("{resource}"),
    }
}

/// Changes as `key=value`, `+key=value` (append), `~key=value` (subtract) and `!key` (delete), separated by spaces.
fn request(resource: &str, name: &str, changes: &str) -> IncrementalAlterConfigsRequest {
    let configs = changes.split(' ').map(|change| {
        let (key, value) = match change.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (change, None),
        };
        let signs = [('!', 1), ('+', 2), ('~', 3)];
        let sign = signs.iter().find(|(sign, _)| key.starts_with(*sign));
        AlterableConfig::default()
            .with_name(text(sign.map_or(key, |_| &key[1..])))
            .with_config_operation(sign.map_or(0, |(_, operation)| *operation))
            .with_value(value.map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(number(resource))
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

async fn send(client: &mut Client, request: &IncrementalAlterConfigsRequest) -> (i16, String) {
    let answer = client.call(1, request).await;
    let response = &answer.responses[0];
    let message = response.error_message.as_ref().map(ToString::to_string);
    (response.error_code, message.unwrap_or_default())
}

/// Error code and message of changes.
pub(super) async fn alter(client: &mut Client, resource: &str, name: &str, changes: &str) -> (i16, String) {
    send(client, &request(resource, name, changes)).await
}

/// The changes take effect.
pub(super) async fn altered(client: &mut Client, resource: &str, name: &str, changes: &str) {
    let answer = alter(client, resource, name, changes).await;
    assert_eq!(answer, (0, String::new()), "{resource} {name} {changes}");
}

async fn describe(client: &mut Client, resource: &str, name: &str) -> Vec<DescribeConfigsResourceResult> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(number(resource))
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_include_synonyms(true)
        .with_include_documentation(true)
        .with_resources(vec![resource]);
    let result = client.call(4, &request).await.results.remove(0);
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    result.configs
}

/// A config as `value source: synonyms`.
pub(super) async fn described(client: &mut Client, resource: &str, name: &str, key: &str) -> String {
    let configs = describe(client, resource, name).await;
    let config = configs.iter().find(|config| config.name.as_str() == key);
    let config = config.unwrap_or_else(|| panic!("{key}"));
    let value = config.value.as_ref().map_or("null", |value| value.as_str());
    let synonyms = config.synonyms.iter().map(|synonym| {
        let value = synonym.value.as_ref().map_or("null", |value| value.as_str());
        format!("{}:{}={value}", synonym.source, synonym.name.as_str())
    });
    format!(
        "{value} {}: {}",
        config.config_source,
        synonyms.collect::<Vec<_>>().join(" ")
    )
}

/// Defaults that are not Kafka's.
const OUR_DEFAULTS: [&str; 3] = ["log.dir", "max.connections", "socket.listen.backlog.size"];

/// What is not recorded: it stood in Kafka's file, or Kafka has it set for the cluster; the others are our own.
const UNRECORDED: [&str; 19] = [
    "advertised.listeners",
    "broker.id",
    "config.unknown.keys",
    "controller.listener.names",
    "controller.quorum.voters",
    "durability",
    "group.initial.rebalance.delay.ms",
    "listener.security.protocol.map",
    "listeners",
    "log.dirs",
    "min.insync.replicas",
    "node.id",
    "offsets.topic.replication.factor",
    "process.roles",
    "share.coordinator.state.topic.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "min.insync.replicas",
];

#[tokio::test]
async fn everything_is_described_as_kafka_does() {
    let server = Server::start(&[("offsets.topic.num.partitions", "50"), ("node.id", "1")]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut ours = BTreeMap::new();
    for (resource, name) in [
        ("BROKER", "1"),
        ("TOPIC", "t"),
        ("GROUP", "g"),
        ("CLIENT_METRICS", "m"),
    ] {
        for config in describe(&mut client, resource, name).await {
            let documentation = config.documentation.as_ref().map_or("", |text| text.as_str());
            assert!(!documentation.is_empty(), "{}", config.name.as_str());
            ours.insert((format!("{resource} {name}"), config.name.to_string()), config);
        }
    }
    for line in DESCRIPTIONS.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [resource, name, value, kind, flags, synonyms] = columns[..] else {
            panic!("{line}");
        };
        let config = ours
            .remove(&(resource.to_owned(), name.to_owned()))
            .unwrap_or_else(|| panic!("{resource} {name} is missing"));
        let mut found = String::new();
        found.push_str(if config.read_only { "r" } else { "" });
        found.push_str(if config.is_sensitive { "s" } else { "" });
        found.push_str(if found.is_empty() { "-" } else { "" });
        assert_eq!(
            (config.config_type.to_string().as_str(), &*found),
            (kind, flags),
            "{name}"
        );
        if OUR_DEFAULTS.contains(&name) || config.config_source != 5 {
            continue;
        }
        let shown = config.value.as_ref().map_or("null", |value| value.as_str());
        assert_eq!(shown, value, "{name}");
        let found = config.synonyms.iter().map(|synonym| {
            let value = synonym.value.as_ref().map_or("", |value| value.as_str());
            format!("{}={value}", synonym.name.as_str())
        });
        assert_eq!(found.collect::<Vec<_>>().join(" "), synonyms, "{name}");
    }
    let left: Vec<_> = ours.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(left, UNRECORDED);
}

#[tokio::test]
async fn changes_are_accepted_and_refused_as_kafka_does() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    for line in ALTERATIONS.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [resource, name, changes, code, message] = columns[..] else {
            panic!("{line}");
        };
        let answer = alter(&mut client, resource, name, changes).await;
        let expected = (code.parse().unwrap(), message.to_owned());
        assert_eq!(answer, expected, "{resource} {name} {changes}");
    }
}

#[tokio::test]
async fn what_would_have_no_effect_or_do_harm_is_refused() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    for (name, changes, said) in [
        (
            "1",
            "log.retention.mss=5",
            "log.retention.mss is unknown; did you mean log.retention.ms?",
        ),
        ("1", "colour=blue", "colour is unknown"),
        (
            "1",
            "listeners=PLAINTEXT://0.0.0.0:1",
            "opens its listeners at the start",
        ),
        (
            "1",
            "listener.name.a.ssl.keystore.password=x",
            "Secrets are not stored",
        ),
        (
            "1",
            "background.threads=50",
            "not be greater than double the current value 10",
        ),
        ("1", "cordoned.log.dirs=/x", "Missing entries : /x"),
        (
            "7",
            "log.retention.ms=5",
            "Unexpected broker id, expected 1, but received 7",
        ),
        (
            "x",
            "log.retention.ms=5",
            "Node id must be an integer, but it is: x",
        ),
    ] {
        let (code, message) = alter(&mut client, "BROKER", name, changes).await;
        assert!(
            code == 42 && message.contains(said),
            "{changes}: {code} {message}"
        );
    }
    let too_long = request("GROUP", "g", &format!("a.b={}", "x".repeat(40_000)));
    client.send(1, &too_long).await;
    assert!(client.receive_frame().await.is_none() && !server.dir.path().join("configs").exists());
}

/// Retention and largest message of the log of `t`.
fn in_force(server: &Server) -> (i64, usize) {
    let log = server.broker.topics().partition("t", 0).unwrap();
    (log.config().retention_ms, log.config().max_message_bytes)
}

#[tokio::test]
async fn changes_of_the_broker_are_in_force_at_once_and_kept() {
    let server = Server::start(&[("log.retention.minutes", "1")]).await;
    let mut client = server.client().await;
    client
        .create_topic("t", 1, &[("max.message.bytes", "5000")])
        .await;
    altered(
        &mut client,
        "BROKER",
        "",
        "log.retention.ms=7000 message.max.bytes=6000",
    )
    .await;
    assert_eq!(in_force(&server), (7_000, 5_000));
    altered(&mut client, "BROKER", "1", "log.retention.ms=9000").await;
    assert_eq!(in_force(&server), (9_000, 5_000));
    let chain =
        "2:log.retention.ms=9000 3:log.retention.ms=7000 4:log.retention.minutes=1 5:log.retention.hours=168";
    assert_eq!(
        described(&mut client, "TOPIC", "t", "retention.ms").await,
        format!("9000 2: {chain}")
    );
    assert_eq!(
        described(&mut client, "BROKER", "1", "log.retention.ms").await,
        format!("9000 2: {chain}")
    );
    let cluster = describe(&mut client, "BROKER", "").await;
    let names: Vec<_> = cluster.iter().map(|config| config.name.as_str()).collect();
    assert_eq!(names, ["log.retention.ms", "message.max.bytes"]);
    let checked = request("BROKER", "1", "log.retention.ms=1").with_validate_only(true);
    assert_eq!(send(&mut client, &checked).await.0, 0);
    // On disk by the time of the answer.
    let stored = std::fs::read_to_string(server.dir.path().join("configs")).unwrap();
    assert!(stored.contains("#broker=1\nlog.retention.ms=9000\n"), "{stored}");
    let server = server.restart().await;
    assert_eq!(in_force(&server), (9_000, 5_000));
    let mut client = server.client().await;
    client.create_topic("u", 1, &[]).await;
    let log = server.broker.topics().partition("u", 0).unwrap().config();
    assert_eq!((log.retention_ms, log.max_message_bytes), (9_000, 6_000));
    altered(&mut client, "BROKER", "1", "!log.retention.ms").await;
    // The old request replaces all of them.
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(number("BROKER"))
        .with_resource_name(text(""));
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(2, &request).await.responses[0].error_code, 0);
    assert_eq!(in_force(&server), (60_000, 5_000));
    assert_eq!(
        described(&mut client, "TOPIC", "t", "retention.ms").await,
        "60000 5: ",
        "as Kafka tells it of a key in other units"
    );
}

#[tokio::test]
async fn limits_of_connections_change_while_the_broker_runs() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    altered(&mut client, "BROKER", "1", "max.connections.per.ip=1").await;
    assert!(server.client().await.is_closed().await);
    altered(
        &mut client,
        "BROKER",
        "1",
        "max.connections.per.ip.overrides=127.0.0.1:2",
    )
    .await;
    let mut second = server.client().await;
    altered(&mut second, "BROKER", "1", "max.connections.per.ip.overrides=").await;
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_is_not_made() {
    let faults = Arc::new(Faults::default());
    let files = Arc::new(FaultyFiles::new(Arc::new(RealFiles), Arc::clone(&faults)));
    let server = Server::start_in(Env { files, ..Env::real() }, &[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let before = in_force(&server);
    faults.fail_writes(true);
    let (code, message) = alter(&mut client, "BROKER", "1", "log.retention.ms=5000").await;
    faults.fail_writes(false);
    assert_eq!(code, 56, "{message}");
    assert_eq!(in_force(&server), before);
    assert!(
        !described(&mut client, "BROKER", "1", "log.retention.ms")
            .await
            .contains("5000")
    );
}

#[tokio::test]
async fn a_damaged_file_of_configs_keeps_the_broker_from_starting() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    altered(&mut client, "BROKER", "1", "log.retention.ms=-1").await;
    let path = server.dir.path().join("configs");
    let content = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, content.replace("-1", "-7")).unwrap();
    let refused = server.refusal_with("num.partitions", "1").await;
    assert!(refused.contains("configs is damaged"), "{refused}");
}

#[tokio::test]
async fn resources_with_configs_are_listed() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    altered(&mut client, "GROUP", "g", "consumer.session.timeout.ms=50000").await;
    altered(&mut client, "CLIENT_METRICS", "m", "interval.ms=500").await;
    for (version, types, expected) in [
        (0, &[][..], &[(16, "m")][..]),
        (1, &[], &[(2, "t"), (4, "1"), (8, "1"), (16, "m"), (32, "g")]),
        (1, &[2, 32], &[(2, "t"), (32, "g")]),
    ] {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let answer = client.call(version, &request).await;
        let found = answer.config_resources.iter();
        let found: Vec<_> = found
            .map(|found| (found.resource_type, found.resource_name.as_str()))
            .collect();
        assert_eq!((answer.error_code, &found[..]), (0, expected));
    }
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![7]);
    assert_eq!(client.call(1, &request).await.error_code, 35);
    let server = server.restart().await;
    let mut client = server.client().await;
    let option = "consumer.session.timeout.ms";
    assert_eq!(
        described(&mut client, "GROUP", "g", option).await,
        "50000 8: 8:consumer.session.timeout.ms=50000 5:group.consumer.session.timeout.ms=45000"
    );
    altered(&mut client, "GROUP", "g", "!consumer.session.timeout.ms").await;
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![32]);
    assert!(client.call(1, &request).await.config_resources.is_empty());
}

/// Loggers of a test.
#[derive(Debug, Default)]
struct Levels(std::sync::Mutex<BTreeMap<String, LogLevel>>);

impl LogLevels for Levels {
    fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let levels = self.0.lock().unwrap();
        let level = |level: &LogLevel| LoggerLevel {
            level: *level,
            last_modified: None,
        };
        levels
            .iter()
            .map(|(name, known)| (name.clone(), level(known)))
            .collect()
    }

    fn set(&self, logger: &str, level: LogLevel, _now_ms: i64) -> Vec<String> {
        unreachable!("{logger}={level:?}: brokers' loggers are set one by one")
    }

    fn set_own(&self, logger: &str, level: Option<LogLevel>, _now_ms: i64) {
        let mut levels = self.0.lock().unwrap();
        levels.insert(logger.to_owned(), level.unwrap_or(LogLevel::Warn));
    }
}

#[tokio::test]
async fn levels_of_loggers_are_configs_of_the_process() {
    let levels = Levels::default();
    for (name, level) in [("root", LogLevel::Warn), ("jackfield_log", LogLevel::Info)] {
        levels.set_own(name, Some(level), 0);
    }
    let env = Env {
        log_levels: Arc::new(levels),
        ..Env::real()
    };
    let server = Server::start_in(env, &[]).await;
    let mut client = server.client().await;
    let done = (0, String::new());
    let refused = |code: i16, message: &str| (code, message.to_owned());
    let checked = request("BROKER_LOGGER", "1", "root=ERROR").with_validate_only(true);
    assert_eq!(send(&mut client, &checked).await, done);
    assert_eq!(
        described(&mut client, "BROKER_LOGGER", "1", "root").await,
        "WARN 6: "
    );
    for (node, changes, answer) in [
        ("1", "jackfield_log=DEBUG", done.clone()),
        ("1", "nope=INFO", refused(40, "Logger nope does not exist!")),
        (
            "1",
            "root=FOO",
            refused(
                40,
                "Cannot set the log level of root to FOO as it is not a supported log level. Valid log levels are DEBUG, \
                 ERROR, FATAL, INFO, TRACE, WARN",
            ),
        ),
        (
            "1",
            "!root",
            refused(42, "Removing the log level of the root logger is not allowed"),
        ),
        (
            "1",
            "+root=INFO",
            refused(
                42,
                "APPEND operation is not allowed for the BROKER_LOGGER resource",
            ),
        ),
        (
            "2",
            "root=INFO",
            refused(42, "Unexpected node id. Expected 1, but received 2"),
        ),
        (
            "x",
            "root=INFO",
            refused(42, "Node id must be an integer, but it is: x"),
        ),
    ] {
        assert_eq!(
            alter(&mut client, "BROKER_LOGGER", node, changes).await,
            answer,
            "{changes}"
        );
    }
    assert_eq!(
        described(&mut client, "BROKER_LOGGER", "1", "jackfield_log").await,
        "DEBUG 6: "
    );
    altered(&mut client, "BROKER_LOGGER", "1", "!jackfield_log").await;
    assert_eq!(
        described(&mut client, "BROKER_LOGGER", "1", "jackfield_log").await,
        "WARN 6: "
    );
}
