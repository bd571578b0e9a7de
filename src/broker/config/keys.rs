//! The broker options that have an effect: Kafka's keys and defaults, and the few of our own.

use super::definition::{Definition, Kind};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

const fn option(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Definition {
    Definition {
        name,
        kind,
        default: Some(default),
        doc,
    }
}

const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Definition {
    Definition {
        name,
        kind,
        default: None,
        doc,
    }
}

/// Every broker option with an effect, sorted by name.
#[rustfmt::skip]
pub(crate) static BROKER_OPTIONS: &[Definition] = &[
    unset("advertised.listeners", Kind::Text, "Addresses clients are told to connect to, by listener name; default: the address each client reached"),
    option("auto.create.topics.enable", Kind::Boolean, "true", "Create a topic when a client asks for its metadata and allows it"),
    unset("broker.id", Kind::Int(-1, INT), "Older name of node.id"),
    unset("broker.rack", Kind::Text, "Rack of this broker, as Metadata and DescribeCluster tell clients"),
    option("config.unknown.keys", Kind::OneOf(&["error", "ignore"]), "error", "What becomes of keys that neither Kafka nor Jackfield defines"),
    option("connections.max.idle.ms", Kind::Long(1, LONG), "600000", "Close connections that were silent this long"),
    unset("controller.listener.names", Kind::List(&[]), "Listeners of Kafka's controller; they are not opened, there is none here"),
    option("default.replication.factor", Kind::Int(1, INT), "1", "Replicas of new topics; this broker is one node and keeps one"),
    option("delete.topic.enable", Kind::Boolean, "true", "Whether topics can be deleted"),
    option("durability", Kind::OneOf(&["fsync", "os"]), "fsync", "When an append is acknowledged: after it was synced to disk, or (as Apache Kafka does) after the operating system has it"),
    option("fetch.max.bytes", Kind::Int(1024, INT), "57671680", "Most bytes of records in one Fetch response (one whole batch is always returned)"),
    option("group.consumer.assignment.interval.ms", Kind::Int(0, INT), "1000", "Shortest time between two target assignments of a consumer group"),
    option("group.consumer.assignors", Kind::List(&["range", "uniform"]), "uniform,range", "Assignors of consumer groups; the first is the default"),
    option("group.consumer.heartbeat.interval.ms", Kind::Int(1, INT), "5000", "How often members of a consumer group are told to send heartbeats"),
    option("group.consumer.max.assignment.interval.ms", Kind::Int(0, INT), "15000", "Longest group.consumer.assignment.interval.ms"),
    option("group.consumer.max.heartbeat.interval.ms", Kind::Int(1, INT), "15000", "Longest group.consumer.heartbeat.interval.ms"),
    option("group.consumer.max.session.timeout.ms", Kind::Int(1, INT), "60000", "Longest group.consumer.session.timeout.ms"),
    option("group.consumer.max.size", Kind::Int(1, INT), "2147483647", "Most members of a consumer group"),
    option("group.consumer.migration.policy", Kind::OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]), "bidirectional", "Which groups with members may change between the classic and the consumer protocol"),
    option("group.consumer.min.assignment.interval.ms", Kind::Int(0, INT), "0", "Shortest group.consumer.assignment.interval.ms"),
    option("group.consumer.min.heartbeat.interval.ms", Kind::Int(1, INT), "5000", "Shortest group.consumer.heartbeat.interval.ms"),
    option("group.consumer.min.session.timeout.ms", Kind::Int(1, INT), "45000", "Shortest group.consumer.session.timeout.ms"),
    option("group.consumer.regex.refresh.interval.ms", Kind::Int(10_000, INT), "600000", "How often subscribed regular expressions are matched with the topics at the latest"),
    option("group.consumer.session.timeout.ms", Kind::Int(1, INT), "45000", "A member of a consumer group that is silent for longer is removed"),
    option("group.initial.rebalance.delay.ms", Kind::Int(0, INT), "3000", "How long the first rebalance of an empty group waits for more members"),
    option("group.max.session.timeout.ms", Kind::Int(1, INT), "1800000", "Longest session timeout a member may ask for"),
    option("group.max.size", Kind::Int(1, INT), "2147483647", "Most members of a group"),
    option("group.min.session.timeout.ms", Kind::Int(1, INT), "6000", "Shortest session timeout a member may ask for"),
    unset("listener.security.protocol.map", Kind::Text, "Security protocol of each listener name; PLAINTEXT is the one there is"),
    option("listeners", Kind::Text, "PLAINTEXT://127.0.0.1:9092", "Addresses the broker listens on"),
    option("log.cleanup.policy", Kind::List(&["compact", "delete"]), "delete", "Default of cleanup.policy"),
    option("log.dir", Kind::Text, "jackfield-data/broker", "Where topics are kept, when log.dirs is not set"),
    unset("log.dirs", Kind::Text, "Directories in which topics are kept; the first also says what the topics are, and has to stay the first"),
    option("log.index.interval.bytes", Kind::Int(0, INT), "4096", "Default of index.interval.bytes"),
    option("log.index.size.max.bytes", Kind::Int(4, INT), "10485760", "Default of segment.index.bytes"),
    option("log.message.timestamp.after.max.ms", Kind::Long(0, LONG), "3600000", "Default of message.timestamp.after.max.ms"),
    option("log.message.timestamp.before.max.ms", Kind::Long(0, LONG), "9223372036854775807", "Default of message.timestamp.before.max.ms"),
    option("log.message.timestamp.type", Kind::OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime", "Default of message.timestamp.type"),
    option("log.retention.bytes", Kind::Long(-1, LONG), "-1", "Default of retention.bytes"),
    option("log.retention.check.interval.ms", Kind::Long(1, LONG), "300000", "How often retention is applied"),
    option("log.retention.hours", Kind::Int(-1, INT), "168", "Default of retention.ms, in hours"),
    unset("log.retention.minutes", Kind::Int(-1, INT), "Default of retention.ms, in minutes; wins over hours"),
    unset("log.retention.ms", Kind::Long(-1, LONG), "Default of retention.ms; wins over minutes"),
    option("log.roll.hours", Kind::Int(1, INT), "168", "Default of segment.ms, in hours"),
    unset("log.roll.ms", Kind::Long(1, LONG), "Default of segment.ms; wins over hours"),
    option("log.segment.bytes", Kind::Int(1024, INT), "1073741824", "Default of segment.bytes"),
    option("log.segment.delete.delay.ms", Kind::Long(0, LONG), "60000", "Default of file.delete.delay.ms"),
    option("max.connections", Kind::Int(1, INT), "10000", "Most open connections"),
    option("max.connections.per.ip", Kind::Int(1, INT), "2147483647", "Most open connections of one address"),
    option("max.incremental.fetch.session.cache.slots", Kind::Int(0, INT), "1000", "Most fetch sessions, in which consumers ask for and are told what changed only"),
    option("message.max.bytes", Kind::Int(0, INT), "1048588", "Default of max.message.bytes"),
    unset("node.id", Kind::Int(0, INT), "Id of this broker in Metadata; default 1"),
    option("num.partitions", Kind::Int(1, 100_000), "1", "Partitions of a topic when its creator does not say"),
    option("offset.metadata.max.bytes", Kind::Int(0, INT), "4096", "Longest metadata of a committed offset"),
    option("offsets.retention.check.interval.ms", Kind::Long(1, LONG), "600000", "How often expired offsets are removed"),
    option("offsets.retention.minutes", Kind::Int(1, INT), "10080", "How long offsets of an empty group are kept"),
    option("offsets.topic.num.partitions", Kind::Int(1, 100_000), "50", "Partitions of __consumer_offsets, when it is created"),
    option("offsets.topic.segment.bytes", Kind::Int(1024, INT), "104857600", "Segment size of __consumer_offsets, when it is created"),
    option("producer.id.expiration.ms", Kind::Int(1, INT), "86400000", "How long the sequence numbers of a silent idempotent producer are remembered"),
    option("socket.listen.backlog.size", Kind::Int(1, 65_535), "1024", "Connections the operating system may hold before they are accepted"),
    option("socket.request.max.bytes", Kind::Int(1024, INT), "104857600", "Largest request, 16 MiB where it is no produce request; a connection that declares more is closed"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ignored::KAFKA_KEYS;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        assert!(BROKER_OPTIONS.is_sorted_by_key(|option| option.name));
        for option in BROKER_OPTIONS {
            if let Some(default) = option.default {
                assert_eq!(option.kind.check(default), Ok(()), "{}", option.name);
            }
        }
    }

    #[test]
    fn all_but_our_own_keys_are_kafkas() {
        let own: Vec<_> = BROKER_OPTIONS
            .iter()
            .map(|option| option.name)
            .filter(|name| !KAFKA_KEYS.lines().any(|key| key == *name))
            .collect();
        assert_eq!(own, ["config.unknown.keys", "durability"]);
    }
}
