//! The broker's configuration: `server.properties`, checked as a whole.
//!
//! A key that neither Kafka nor Jackfield defines is an error with a suggestion; a key of Kafka's without effect here is
//! accepted with one line of notice. The options themselves are in `tables`.

pub(crate) mod definition;
pub(crate) mod foreign;
pub(crate) mod listener;
pub(crate) mod reference;
pub(crate) mod rules;
pub(crate) mod tables;
pub(crate) mod valid;
pub(crate) mod values;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use jackfield_log::{Durability, LogManagerConfig};

use self::{
    listener::{Listener, ListenerKeys},
    values::{Map, Values},
};
use crate::groups::{Assignor, ConsumerSettings, GroupsConfig, MigrationPolicy};

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
    /// `connections.max.idle.ms`.
    pub(crate) connections_max_idle: Duration,
    /// `socket.listen.backlog.size`.
    pub(crate) listen_backlog: u32,
    /// `fetch.max.bytes`.
    pub(crate) fetch_max_bytes: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub(crate) fetch_sessions: usize,
    /// `max.request.partition.size.limit`.
    pub(crate) request_partitions_max: i32,
}

impl BrokerConfig {
    /// Checks a flat map of `server.properties` keys.
    ///
    /// # Errors
    /// Every unknown key and every bad value, one a line.
    pub fn parse(properties: &BTreeMap<String, String>) -> Result<Self, BrokerConfigError> {
        let (mut problems, mut notices) = (Vec::new(), Vec::new());
        let values = checked(properties, &mut notices, &mut problems);
        note_what_is_limited(&values, &mut notices);
        problems.extend(rules::broken(&values));
        problems.extend(rules::broken_of_cordoned(&values));
        let logs = log_manager(&values);
        if logs.log_dirs.is_empty() {
            problems.push("log.dirs names no directory".to_owned());
        }
        let named_listeners = listeners(&values).unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(BrokerConfigError(problems.join("\n")));
        }
        Ok(Self {
            node_id: values.int("node.id"),
            addresses: named_listeners.iter().map(|listener| listener.address).collect(),
            named_listeners,
            num_partitions: values.int("num.partitions"),
            auto_create_topics: values.flag("auto.create.topics.enable"),
            delete_topics: values.flag("delete.topic.enable"),
            logs,
            groups: groups(&values),
            limits: limits(&values),
            notices,
            values,
        })
    }

    /// One line per Kafka key that was given and has no effect here.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// `broker.rack`, which clients are told.
    pub(crate) fn rack(&self) -> Option<String> {
        self.values.given("broker.rack").map(str::to_owned)
    }

    /// `listeners`, resolved.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// The values that can be used, of options and of single listeners and plugins.
fn checked(properties: &Map, notices: &mut Vec<String>, problems: &mut Vec<String>) -> Values {
    let ignore_unknown = properties
        .get("config.unknown.keys")
        .is_some_and(|value| value == "ignore");
    let mut values = Map::new();
    for (key, value) in properties {
        let known = tables::broker().find(key);
        let why_ignored = known.map_or_else(|| foreign::why_ignored(key), |option| option.no_effect);
        match known {
            Some(option) => {
                if let Err(problem) = option.check(value) {
                    problems.push(problem);
                    continue;
                }
            }
            None if why_ignored.is_some() => {}
            None if ignore_unknown => {
                notices.push(format!("{key} is unknown and ignored"));
                continue;
            }
            None => {
                problems.push(unknown(key, " (config.unknown.keys=ignore accepts such keys)"));
                continue;
            }
        }
        if key == "authorizer.class.name" && !value.trim().is_empty() {
            // Its effect would be protection: giving it must not look as if it worked.
            problems.push(format!(
                "{key}: this broker does not check permissions yet; remove the key, and let only trusted clients connect"
            ));
        }
        if let Some(why) = why_ignored {
            notices.push(format!("{key} has no effect: {why}"));
        }
        values.insert(key.clone(), value.clone());
    }
    // As in Kafka, one of them says the other.
    let ids = ["node.id", "broker.id"].map(|key| values.get(key).filter(|id| !id.starts_with('-')).cloned());
    if let [Some(id), None] | [None, Some(id)] = ids {
        values.insert("node.id".to_owned(), id.clone());
        values.insert("broker.id".to_owned(), id);
    }
    Values::new(values)
}

fn note_what_is_limited(values: &Values, notices: &mut Vec<String>) {
    let mut note = |what: &str| notices.push(what.to_owned());
    if values.number("default.replication.factor") > 1 {
        note("default.replication.factor has no effect: this broker is one node and keeps one replica");
    }
    if values
        .list("log.cleanup.policy")
        .any(|policy| policy == "compact")
    {
        note("log.cleanup.policy: compact requires keys, but topics are not compacted yet");
    }
    if values.given("controller.listener.names").is_some() {
        note("controller.listener.names: these listeners are not opened, there is no controller");
    }
}

fn listeners(values: &Values) -> Result<Vec<Listener>, String> {
    listener::resolve(ListenerKeys {
        listeners: values.text("listeners"),
        advertised: values.given("advertised.listeners"),
        protocol_map: values.given("listener.security.protocol.map"),
        controller_names: values.given("controller.listener.names"),
    })
}

fn log_manager(values: &Values) -> LogManagerConfig {
    LogManagerConfig {
        log_dirs: rules::log_dirs(values).map(PathBuf::from).collect(),
        durability: if values.text("durability") == "os" {
            Durability::Os
        } else {
            Durability::Fsync
        },
        broker_id: values.int("node.id"),
        cluster_id: String::new(),
        producer_id_expiration_ms: values.number("producer.id.expiration.ms"),
        retention_check_interval_ms: values.number("log.retention.check.interval.ms"),
    }
}

fn groups(values: &Values) -> GroupsConfig {
    let check_interval_ms = values.number("offsets.retention.check.interval.ms");
    GroupsConfig {
        initial_rebalance_delay_ms: values.unsigned("group.initial.rebalance.delay.ms"),
        min_session_timeout_ms: values.int("group.min.session.timeout.ms"),
        max_session_timeout_ms: values.int("group.max.session.timeout.ms"),
        max_size: values.size("group.max.size"),
        consumer: consumer_groups(values),
        offset_metadata_max_bytes: values.size("offset.metadata.max.bytes"),
        offsets_retention_ms: values.number("offsets.retention.minutes") * 60_000,
        offsets_retention_check_interval_ms: u64::try_from(check_interval_ms).unwrap_or(u64::MAX),
        offsets_topic_partitions: values.int("offsets.topic.num.partitions"),
        offsets_topic_segment_bytes: values.unsigned("offsets.topic.segment.bytes"),
    }
}

fn consumer_groups(values: &Values) -> ConsumerSettings {
    let policy = values.text("group.consumer.migration.policy");
    ConsumerSettings {
        session_timeout_ms: values.unsigned("group.consumer.session.timeout.ms"),
        heartbeat_interval_ms: values.int("group.consumer.heartbeat.interval.ms"),
        max_size: values.size("group.consumer.max.size"),
        assignors: Assignor::list(values.list("group.consumer.assignors")),
        migration_policy: MigrationPolicy::of(policy).unwrap_or(MigrationPolicy::Bidirectional),
        assignment_interval_ms: values.number("group.consumer.assignment.interval.ms"),
        regex_refresh_interval_ms: values.number("group.consumer.regex.refresh.interval.ms"),
    }
}

fn limits(values: &Values) -> Limits {
    // A negative time is for ever.
    let idle_ms = u64::try_from(values.number("connections.max.idle.ms")).unwrap_or(u64::MAX);
    Limits {
        request_max_bytes: values.size("socket.request.max.bytes"),
        // A timer cannot reach further than this.
        connections_max_idle: Duration::from_millis(idle_ms).min(Duration::from_hours(24 * 365)),
        listen_backlog: values.unsigned("socket.listen.backlog.size"),
        fetch_max_bytes: values.size("fetch.max.bytes"),
        fetch_sessions: values.size("max.incremental.fetch.session.cache.slots"),
        request_partitions_max: values.int("max.request.partition.size.limit"),
    }
}

/// What to say of a key that nobody knows: what may be meant, or else `otherwise`.
pub(crate) fn unknown(key: &str, otherwise: &str) -> String {
    match tables::broker().suggestion(key) {
        Some(near) => format!("{key} is unknown; did you mean {near}?"),
        None => format!("{key} is unknown{otherwise}"),
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
            notices.contains("process.roles has no effect: there is no controller quorum, this"),
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
            "Invalid value big for configuration log.segment.bytes: Not a number of type INT",
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
