//! The options of each kind of resource: every one that Apache Kafka 4.3 defines, and the few of our own, in the text files
//! beside this. A line has name, type, default, valid values, importance, scope, why there is no effect here, and meaning.

use std::sync::LazyLock;

use super::definition::Table;

static BROKER: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("broker_keys.txt")));
static TOPIC: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("topic_keys.txt")));
static GROUP: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("group_keys.txt")));
static CLIENT_METRICS: LazyLock<Table> =
    LazyLock::new(|| Table::parse(include_str!("client_metrics_keys.txt")));

pub(crate) fn broker() -> &'static Table {
    &BROKER
}

pub(crate) fn topic() -> &'static Table {
    &TOPIC
}

pub(crate) fn group() -> &'static Table {
    &GROUP
}

pub(crate) fn client_metrics() -> &'static Table {
    &CLIENT_METRICS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{definition::Scope, valid::Valid};

    #[test]
    fn the_tables_are_sorted_and_their_defaults_are_valid() {
        for table in [broker(), topic(), group(), client_metrics()] {
            assert!(table.iter().is_sorted_by_key(|option| option.name));
            for option in table.iter() {
                if let Some(default) = option.default {
                    assert_eq!(option.check(default), Ok(()), "{}", option.name);
                    assert_eq!(option.shown(default), default, "{}", option.name);
                }
                assert!(
                    ["high", "medium", "low"].contains(&option.importance),
                    "{}",
                    option.name
                );
                assert!(!option.meaning.ends_with('.'), "{}", option.name);
            }
        }
    }

    /// The broker's option that holds a default is of the same type, and takes what the other takes.
    #[test]
    fn defaults_agree_with_the_brokers() {
        for option in topic().iter().chain(group().iter()) {
            let Scope::Defaulted(Some(key)) = option.scope else {
                continue;
            };
            let broker = broker().find(key).unwrap();
            assert_eq!(option.kind, broker.kind, "{key}");
            let times = ["flush.ms", "retention.ms", "segment.ms", "segment.jitter.ms"];
            if !times.contains(&option.name) {
                assert_eq!(option.default, broker.default, "{key}");
            }
        }
    }

    /// Every option that Apache Kafka 4.3 defines, as its own classes print it: resource, name, type, default, valid values,
    /// importance, and how it can be updated.
    const RECORDED: &str = include_str!("recorded_kafka_4_3.txt");

    /// What differs from Kafka's: defaults for one node that listens to itself, and bounds.
    const CHANGED: [&str; 10] = [
        "listeners",
        "log.dir",
        "log.segment.bytes",
        "max.connections",
        "node.id",
        "num.partitions",
        "offsets.topic.num.partitions",
        "offsets.topic.segment.bytes",
        "segment.bytes",
        "socket.listen.backlog.size",
    ];

    /// Options that Kafka takes at runtime only, and our own.
    const UNRECORDED: [&str; 5] = [
        "config.unknown.keys",
        "durability",
        "follower.replication.throttled.rate",
        "leader.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second",
    ];

    /// Valid values as Kafka prints them.
    fn printed(valid: &Valid) -> String {
        match valid {
            Valid::Between(low, high) if high.is_finite() => format!("[{low},...,{high}]"),
            Valid::Between(low, _) => format!("[{low},...]"),
            Valid::OneOf(words) => format!("[{}]", words.join(", ")),
            Valid::OneOfInAnyCase(words) => format!("(case insensitive) [{}]", words.join(", ")),
            Valid::List { words, .. } if !words.is_empty() => format!("[{}]", words.join(", ")),
            Valid::NotEmpty => "non-empty string".to_owned(),
            Valid::GzipLevel => "[1,...,9] or -1".to_owned(),
            Valid::ThrottledReplicas => "[partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned(),
            Valid::OffsetReset => "[latest, earliest, by_duration:PnDTnHnMn.nS]".to_owned(),
            Valid::Any | Valid::List { .. } => String::new(),
        }
    }

    #[test]
    fn every_option_of_kafkas_is_as_kafka_has_it() {
        let mut names: Vec<&str> = Vec::new();
        for line in RECORDED.lines() {
            let columns: Vec<_> = line.split('\t').collect();
            let (table, name) = match columns[0] {
                "broker" => (broker(), columns[1]),
                "topic" => (topic(), columns[1]),
                "group" => (group(), columns[1]),
                _ => (client_metrics(), columns[1]),
            };
            let option = table.find(name).unwrap_or_else(|| panic!("{name}"));
            names.push(name);
            if CHANGED.contains(&name) {
                continue;
            }
            let update = match option.scope {
                Scope::PerBroker => "per-broker",
                Scope::ClusterWide => "cluster-wide",
                Scope::Internal => "internal",
                Scope::ReadOnly | Scope::DynamicOnly | Scope::Defaulted(_) => "read-only",
            };
            let default = option.default.unwrap_or("null");
            let importance = option.importance.to_uppercase();
            let ours = [
                option.kind.name(),
                default,
                &printed(&option.valid),
                &importance,
                update,
            ];
            // Checked by other rules, of several options together.
            let mut theirs = columns[2..].to_vec();
            if theirs[2].starts_with("non-empty list") || theirs[2].starts_with("non-null") {
                theirs[2] = "";
            }
            assert_eq!(ours[..], theirs[..], "{name}");
        }
        let ours = [broker(), topic(), group(), client_metrics()];
        let ours = ours
            .into_iter()
            .flat_map(|table| table.iter().map(|option| option.name));
        let unrecorded: Vec<_> = ours.filter(|name| !names.contains(name)).collect();
        assert_eq!(unrecorded, UNRECORDED);
    }
}
