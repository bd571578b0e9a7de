//! The broker's configuration: `server.properties`, checked as a whole.
//!
//! A key that neither Kafka nor Jackfield defines is an error with a suggestion; a key of Kafka's without effect here is
//! accepted with one line of notice. The options themselves are the table in `keys`.

pub(crate) mod definition;
pub(crate) mod ignored;
pub(crate) mod keys;
pub(crate) mod listener;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use jackfield_log::{Durability, LogConfig, LogManagerConfig};

use self::{
    definition::{Values, find, split_list, suggestion},
    ignored::{Foreign, KAFKA_KEYS, classify},
    keys::BROKER_OPTIONS,
    listener::{Listener, ListenerKeys},
};
use crate::{
    groups::{Assignor, ConsumerSettings, GroupsConfig, MigrationPolicy},
    topic_config,
};

/// Id of this broker when neither `node.id` nor `broker.id` says.
const DEFAULT_NODE_ID: i64 = 1;

/// Broker configs by Kafka's keys (`server.properties`), checked: unknown keys refused with a suggestion, keys of
/// Kafka's without effect here accepted with a notice.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// What was given; the fields below are made of it.
    pub(crate) values: Values,
    pub(crate) node_id: i32,
    pub(crate) named_listeners: Vec<Listener>,
    pub(crate) num_partitions: i32,
    pub(crate) auto_create_topics: bool,
    pub(crate) delete_topics: bool,
    pub(crate) logs: LogManagerConfig,
    pub(crate) log_defaults: LogConfig,
    pub(crate) groups: GroupsConfig,
    pub(crate) limits: Limits,
    addresses: Vec<SocketAddr>,
    notices: Vec<String>,
}

/// A broker config that cannot be used; the message lists every problem, one a line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BrokerConfigError(pub String);

/// Limits on what peers may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `socket.request.max.bytes`.
    pub(crate) request_max_bytes: usize,
    /// `max.connections`.
    pub(crate) max_connections: usize,
    /// `max.connections.per.ip`.
    pub(crate) max_connections_per_ip: usize,
    /// `connections.max.idle.ms`.
    pub(crate) connections_max_idle: Duration,
    /// `socket.listen.backlog.size`.
    pub(crate) listen_backlog: u32,
    /// `fetch.max.bytes`.
    pub(crate) fetch_max_bytes: usize,
}

impl BrokerConfig {
    /// Checks a flat map of `server.properties` keys.
    ///
    /// # Errors
    /// Every unknown key and every bad value, one a line.
    pub fn parse(properties: &BTreeMap<String, String>) -> Result<Self, BrokerConfigError> {
        let mut problems = Vec::new();
        let values = Values::check(BROKER_OPTIONS, properties, &mut problems);
        let mut notices = Vec::new();
        sort_out_foreign(properties, &values, &mut notices, &mut problems);
        note_what_is_limited(&values, &mut notices);
        let read = Read(&values);
        if read.number("group.min.session.timeout.ms") > read.number("group.max.session.timeout.ms") {
            problems.push("group.min.session.timeout.ms is above group.max.session.timeout.ms".to_owned());
        }
        read.check_consumer_groups(&mut problems);
        let logs = read.log_manager();
        if logs.log_dirs.is_empty() {
            problems.push("log.dirs names no directory".to_owned());
        }
        let named_listeners = read.listeners().unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(BrokerConfigError(problems.join("\n")));
        }
        Ok(Self {
            node_id: read.node_id(),
            addresses: named_listeners.iter().map(|listener| listener.address).collect(),
            named_listeners,
            num_partitions: read.int("num.partitions"),
            auto_create_topics: read.flag("auto.create.topics.enable"),
            delete_topics: read.flag("delete.topic.enable"),
            logs,
            log_defaults: topic_config::defaults(&values),
            groups: read.groups(),
            limits: read.limits(),
            notices,
            values,
        })
    }

    /// One line per Kafka key that was given and has no effect here.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// `listeners`, resolved.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

fn sort_out_foreign(
    properties: &BTreeMap<String, String>,
    values: &Values,
    notices: &mut Vec<String>,
    problems: &mut Vec<String>,
) {
    let ignore_unknown = values.given("config.unknown.keys") == Some("ignore");
    for key in properties
        .keys()
        .filter(|key| find(BROKER_OPTIONS, key).is_none())
    {
        match classify(key) {
            Foreign::Ignored(why) => notices.push(format!("{key} has no effect: {why}")),
            Foreign::Refused(why) => problems.push(format!("{key}: {why}")),
            Foreign::Unknown if ignore_unknown => notices.push(format!("{key} is unknown and ignored")),
            Foreign::Unknown => problems.push(unknown(key)),
        }
    }
}

fn note_what_is_limited(values: &Values, notices: &mut Vec<String>) {
    let mut note = |what: &str| notices.push(what.to_owned());
    if values.given_number("default.replication.factor") > Some(1) {
        note("default.replication.factor has no effect: this broker is one node and keeps one replica");
    }
    let policy = values.given("log.cleanup.policy").unwrap_or_default();
    if split_list(policy).any(|policy| policy == "compact") {
        note("log.cleanup.policy: compact requires keys, but topics are not compacted yet");
    }
    if values.given("controller.listener.names").is_some() {
        note("controller.listener.names: these listeners are not opened, there is no controller");
    }
}

/// Typed access to the checked values and their defaults.
struct Read<'a>(&'a Values);

impl Read<'_> {
    /// The value of an option as text: given, or its default.
    fn text(&self, name: &str) -> &str {
        let default = || find(BROKER_OPTIONS, name).and_then(|option| option.default);
        self.0.given(name).or_else(default).unwrap_or_default()
    }

    /// The value of a numeric option that has a default.
    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().expect("a numeric option with a default")
    }

    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).unwrap_or(i32::MAX)
    }

    fn unsigned(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn listeners(&self) -> Result<Vec<Listener>, String> {
        listener::resolve(ListenerKeys {
            listeners: self.text("listeners"),
            advertised: self.0.given("advertised.listeners"),
            protocol_map: self.0.given("listener.security.protocol.map"),
            controller_names: self.0.given("controller.listener.names"),
        })
    }

    /// `node.id`, or the older `broker.id`.
    fn node_id(&self) -> i32 {
        let id = ["node.id", "broker.id"].into_iter().find_map(|key| {
            let id = self.0.given_number(key);
            id.filter(|id| *id >= 0)
        });
        i32::try_from(id.unwrap_or(DEFAULT_NODE_ID)).unwrap_or(i32::MAX)
    }

    fn log_manager(&self) -> LogManagerConfig {
        let dirs = self.0.given("log.dirs").unwrap_or_else(|| self.text("log.dir"));
        LogManagerConfig {
            log_dirs: split_list(dirs).map(PathBuf::from).collect(),
            durability: if self.text("durability") == "os" {
                Durability::Os
            } else {
                Durability::Fsync
            },
            broker_id: self.node_id(),
            cluster_id: String::new(),
            producer_id_expiration_ms: self.number("producer.id.expiration.ms"),
            retention_check_interval_ms: self.number("log.retention.check.interval.ms"),
        }
    }

    fn groups(&self) -> GroupsConfig {
        let check_interval_ms = self.number("offsets.retention.check.interval.ms");
        GroupsConfig {
            initial_rebalance_delay_ms: self.unsigned("group.initial.rebalance.delay.ms"),
            min_session_timeout_ms: self.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: self.int("group.max.session.timeout.ms"),
            max_size: self.size("group.max.size"),
            consumer: self.consumer_groups(),
            offset_metadata_max_bytes: self.size("offset.metadata.max.bytes"),
            offsets_retention_ms: self.number("offsets.retention.minutes") * 60_000,
            offsets_retention_check_interval_ms: u64::try_from(check_interval_ms).unwrap_or(u64::MAX),
            offsets_topic_partitions: self.int("offsets.topic.num.partitions"),
            offsets_topic_segment_bytes: self.unsigned("offsets.topic.segment.bytes"),
        }
    }

    fn check_consumer_groups(&self, problems: &mut Vec<String>) {
        for what in [
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "assignment.interval.ms",
        ] {
            let key = |bound: &str| format!("group.consumer.{bound}{what}");
            let (min, value, max) = (key("min."), key(""), key("max."));
            if self.number(&value) < self.number(&min) || self.number(&value) > self.number(&max) {
                problems.push(format!("{value} must be from {min} to {max}"));
            }
        }
        if self.number("group.consumer.heartbeat.interval.ms")
            >= self.number("group.consumer.session.timeout.ms")
        {
            problems.push(
                "group.consumer.heartbeat.interval.ms must be below group.consumer.session.timeout.ms"
                    .to_owned(),
            );
        }
        if split_list(self.text("group.consumer.assignors")).next().is_none() {
            problems.push("group.consumer.assignors names no assignor".to_owned());
        }
    }

    fn consumer_groups(&self) -> ConsumerSettings {
        let policy = self.text("group.consumer.migration.policy");
        ConsumerSettings {
            session_timeout_ms: self.unsigned("group.consumer.session.timeout.ms"),
            heartbeat_interval_ms: self.int("group.consumer.heartbeat.interval.ms"),
            max_size: self.size("group.consumer.max.size"),
            assignors: Assignor::list(split_list(self.text("group.consumer.assignors"))),
            migration_policy: MigrationPolicy::of(policy).unwrap_or(MigrationPolicy::Bidirectional),
            assignment_interval_ms: self.number("group.consumer.assignment.interval.ms"),
            regex_refresh_interval_ms: self.number("group.consumer.regex.refresh.interval.ms"),
        }
    }

    fn limits(&self) -> Limits {
        let idle_ms = u64::try_from(self.number("connections.max.idle.ms")).unwrap_or(u64::MAX);
        Limits {
            request_max_bytes: self.size("socket.request.max.bytes"),
            max_connections: self.size("max.connections"),
            max_connections_per_ip: self.size("max.connections.per.ip"),
            // A timer cannot reach further than this.
            connections_max_idle: Duration::from_millis(idle_ms).min(Duration::from_hours(24 * 365)),
            listen_backlog: self.unsigned("socket.listen.backlog.size"),
            fetch_max_bytes: self.size("fetch.max.bytes"),
        }
    }
}

fn unknown(key: &str) -> String {
    let known = BROKER_OPTIONS
        .iter()
        .map(|option| option.name)
        .chain(KAFKA_KEYS.lines());
    match suggestion(key, known) {
        Some(near) => format!("{key} is unknown; did you mean {near}?"),
        None => format!("{key} is unknown (config.unknown.keys=ignore accepts such keys)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BrokerConfig, BrokerConfigError> {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let trimmed = pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
        BrokerConfig::parse(&trimmed.collect())
    }

    /// `config/server.properties` of Apache Kafka 4.3, without comments.
    const STOCK: &str = "process.roles=broker,controller
        node.id=7
        controller.quorum.bootstrap.servers=localhost:9093
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093
        inter.broker.listener.name=PLAINTEXT
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
        controller.listener.names=CONTROLLER
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
        num.network.threads=3
        num.io.threads=8
        socket.send.buffer.bytes=102400
        socket.receive.buffer.bytes=102400
        socket.request.max.bytes=104857600
        log.dirs=/tmp/kraft-combined-logs
        num.partitions=1
        num.recovery.threads.per.data.dir=1
        offsets.topic.replication.factor=1
        share.coordinator.state.topic.replication.factor=1
        share.coordinator.state.topic.min.isr=1
        transaction.state.log.replication.factor=1
        transaction.state.log.min.isr=1
        log.retention.hours=168
        log.segment.bytes=1073741824
        log.retention.check.interval.ms=300000";

    #[test]
    fn settings_of_consumer_groups_must_fit_together() {
        for (key, value) in [
            ("group.consumer.session.timeout.ms", "1000"),
            ("group.consumer.heartbeat.interval.ms", "20000"),
            ("group.consumer.assignment.interval.ms", "20000"),
            ("group.consumer.assignors", ""),
        ] {
            let refused = parse(&format!("{key}={value}")).unwrap_err();
            assert!(refused.0.contains(key), "{refused}");
        }
        let policy =
            parse("group.consumer.migration.policy=upgrade\ngroup.consumer.assignors=range").unwrap();
        let settings = policy.groups.consumer;
        assert_eq!(settings.migration_policy, MigrationPolicy::Upgrade);
        assert_eq!(settings.assignors, [Assignor::Range]);
    }

    #[test]
    fn kafkas_stock_file_is_understood() {
        let config = parse(STOCK).unwrap();
        assert_eq!(config.node_id, 7);
        assert_eq!(config.listeners(), ["0.0.0.0:9092".parse().unwrap()]);
        assert_eq!(config.logs.log_dirs, [PathBuf::from("/tmp/kraft-combined-logs")]);
        let notices = config.notices().join("\n");
        assert!(
            notices.contains("num.io.threads has no effect: nothing here is tuned by it"),
            "{notices}"
        );
        assert!(
            notices.contains("process.roles has no effect: there is no controller quorum"),
            "{notices}"
        );
        assert!(!notices.contains("log.retention"), "{notices}");
    }

    #[test]
    fn defaults_are_kafkas() {
        let config = parse("").unwrap();
        assert_eq!(config.listeners(), ["127.0.0.1:9092".parse().unwrap()]);
        assert_eq!(config.num_partitions, 1);
        assert!(config.auto_create_topics);
        assert_eq!(config.logs.durability, Durability::Fsync);
        assert_eq!(
            config.groups,
            GroupsConfig {
                max_size: 2_147_483_647,
                ..GroupsConfig::default()
            }
        );
        assert_eq!(config.limits.request_max_bytes, 104_857_600);
        assert_eq!(config.node_id, 1);
    }

    #[test]
    fn every_problem_is_listed() {
        let error = parse(
            "num.partition=3\nlog.segment.bytes=big\nlisteners=SSL://h:1\nauthorizer.class.name=A\nx.y=1",
        )
        .unwrap_err()
        .to_string();
        for problem in [
            "num.partition is unknown; did you mean num.partitions?",
            "log.segment.bytes must be a whole number of at least 1024, not 'big'",
            "wants SSL, which is not supported yet",
            "authorizer.class.name: this broker does not check permissions yet",
            "x.y is unknown (config.unknown.keys=ignore accepts such keys)",
        ] {
            assert!(
                error.lines().any(|line| line.contains(problem)),
                "{problem} in {error}"
            );
        }
        assert!(parse("x.y=1\nconfig.unknown.keys=ignore").is_ok());
    }
}
