//! Topic options: Kafka's keys, their defaults from the broker's options, and what they mean for a log.

use std::collections::BTreeMap;

use jackfield_log::LogConfig;

use crate::config::definition::{Definition, Kind, Values, find, split_list, suggestion};

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

/// Every topic option of Apache Kafka 4.3, sorted by name. Those whose doc says "kept" have no effect here.
#[rustfmt::skip]
pub(crate) static TOPIC_OPTIONS: &[Definition] = &[
    option("cleanup.policy", Kind::List(&["compact", "delete"]), "delete", "delete removes old segments by retention; compact requires keys (and removes nothing yet)"),
    option("compression.gzip.level", Kind::Int(-1, 9), "-1", "kept: batches are stored as their producers compressed them"),
    option("compression.lz4.level", Kind::Int(1, 17), "9", "kept: batches are stored as their producers compressed them"),
    option("compression.type", Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer", "kept: batches are stored as their producers compressed them"),
    option("compression.zstd.level", Kind::Int(-131_072, 22), "3", "kept: batches are stored as their producers compressed them"),
    option("delete.retention.ms", Kind::Long(0, LONG), "86400000", "kept: topics are not compacted yet"),
    option("file.delete.delay.ms", Kind::Long(0, LONG), "60000", "How long files of deleted segments stay on disk"),
    option("flush.messages", Kind::Long(1, LONG), "9223372036854775807", "kept: the broker's durability decides when records are synced"),
    option("flush.ms", Kind::Long(0, LONG), "9223372036854775807", "kept: the broker's durability decides when records are synced"),
    option("follower.replication.throttled.replicas", Kind::Text, "", "kept: there are no other brokers"),
    option("index.interval.bytes", Kind::Int(0, INT), "4096", "Bytes of records between two entries of the offset index"),
    option("leader.replication.throttled.replicas", Kind::Text, "", "kept: there are no other brokers"),
    option("local.retention.bytes", Kind::Long(-2, LONG), "-2", "kept: tiered storage is not supported"),
    option("local.retention.ms", Kind::Long(-2, LONG), "-2", "kept: tiered storage is not supported"),
    option("max.compaction.lag.ms", Kind::Long(1, LONG), "9223372036854775807", "kept: topics are not compacted yet"),
    option("max.message.bytes", Kind::Int(0, INT), "1048588", "Largest batch a producer may send"),
    option("message.timestamp.after.max.ms", Kind::Long(0, LONG), "3600000", "How far a record's time may lie in the future"),
    option("message.timestamp.before.max.ms", Kind::Long(0, LONG), "9223372036854775807", "How far a record's time may lie in the past"),
    option("message.timestamp.type", Kind::OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime", "Whose time records carry: the producer's or the broker's"),
    option("min.cleanable.dirty.ratio", Kind::Double(0, 1), "0.5", "kept: topics are not compacted yet"),
    option("min.compaction.lag.ms", Kind::Long(0, LONG), "0", "kept: topics are not compacted yet"),
    option("min.insync.replicas", Kind::Int(1, INT), "1", "kept: there are no other brokers"),
    option("preallocate", Kind::Boolean, "false", "kept: segments grow as they are written"),
    option("remote.log.copy.disable", Kind::Boolean, "false", "kept: tiered storage is not supported"),
    option("remote.log.delete.on.disable", Kind::Boolean, "false", "kept: tiered storage is not supported"),
    option("remote.storage.enable", Kind::OneOf(&["false"]), "false", "kept: tiered storage is not supported"),
    option("retention.bytes", Kind::Long(-1, LONG), "-1", "Most bytes of a partition; -1 = no limit"),
    option("retention.ms", Kind::Long(-1, LONG), "604800000", "How long records are kept; -1 = for ever"),
    option("segment.bytes", Kind::Int(1024, INT), "1073741824", "Size at which a new segment file is begun"),
    option("segment.index.bytes", Kind::Int(4, INT), "10485760", "Largest offset index of a segment"),
    option("segment.jitter.ms", Kind::Long(0, LONG), "0", "kept: segments are not rolled at random times"),
    option("segment.ms", Kind::Long(1, LONG), "604800000", "Age at which a new segment file is begun"),
    option("unclean.leader.election.enable", Kind::Boolean, "false", "kept: there are no other brokers"),
];

/// Broker option that holds the default of a topic option, where there is one with an effect.
const SYNONYMS: [(&str, &str); 10] = [
    ("cleanup.policy", "log.cleanup.policy"),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    ("index.interval.bytes", "log.index.interval.bytes"),
    ("max.message.bytes", "message.max.bytes"),
    (
        "message.timestamp.after.max.ms",
        "log.message.timestamp.after.max.ms",
    ),
    (
        "message.timestamp.before.max.ms",
        "log.message.timestamp.before.max.ms",
    ),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("retention.bytes", "log.retention.bytes"),
    ("segment.bytes", "log.segment.bytes"),
    ("segment.index.bytes", "log.index.size.max.bytes"),
];

const HOUR_MS: i64 = 60 * 60 * 1_000;
const MINUTE_MS: i64 = 60 * 1_000;

/// Broker options behind `retention.ms` with their units, the strongest first.
const RETENTION_KEYS: &[(&str, i64)] = &[
    ("log.retention.ms", 1),
    ("log.retention.minutes", MINUTE_MS),
    ("log.retention.hours", HOUR_MS),
];
/// Broker options behind `segment.ms`.
const ROLL_KEYS: &[(&str, i64)] = &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)];

/// Where a value of an option comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Set on the topic.
    Topic,
    /// From this key of the broker's configuration.
    Broker(&'static str),
    /// The default, under this key.
    Default(&'static str),
}

/// A value that a topic option has or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// Checks the options given for a topic.
///
/// # Errors
/// Says which key or value is wrong.
pub(crate) fn check(configs: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in configs {
        let Some(definition) = find(TOPIC_OPTIONS, name) else {
            let known = TOPIC_OPTIONS.iter().map(|option| option.name);
            let hint =
                suggestion(name, known).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(format!("unknown topic config {name}{hint}"));
        };
        definition
            .kind
            .check(value)
            .map_err(|must_be| format!("{name} must be {must_be}, not '{value}'"))?;
    }
    Ok(())
}

/// The values of one option for a topic with these configs: the one in force first, then what would follow it.
pub(crate) fn settings(
    definition: &'static Definition,
    configs: &BTreeMap<String, String>,
    broker: &Values,
) -> Vec<Setting> {
    let own = configs.get(definition.name).map(|value| Setting {
        value: value.clone(),
        origin: Origin::Topic,
    });
    let scaled = |(key, unit_ms): &(&'static str, i64)| {
        let value = broker.given_number(key)?;
        let ms = if value < 0 {
            -1
        } else {
            value.saturating_mul(*unit_ms)
        };
        Some((*key, ms.to_string()))
    };
    let plain = SYNONYMS.iter().find(|(topic, _)| *topic == definition.name);
    let times = match definition.name {
        "retention.ms" => RETENTION_KEYS,
        "segment.ms" => ROLL_KEYS,
        _ => &[],
    };
    let from_broker = times
        .iter()
        .filter_map(scaled)
        .chain(plain.and_then(|(_, key)| Some((*key, broker.given(key)?.to_owned()))))
        .map(|(key, value)| Setting {
            value,
            origin: Origin::Broker(key),
        });
    let default_key = times.last().map(|(key, _)| *key).or(plain.map(|(_, key)| *key));
    let default = Setting {
        value: definition.default.unwrap_or_default().to_owned(),
        origin: Origin::Default(default_key.unwrap_or(definition.name)),
    };
    own.into_iter().chain(from_broker).chain([default]).collect()
}

/// The broker's key for a topic option, of several the one that is in force before the others.
pub(crate) fn broker_key(definition: &'static Definition) -> &'static str {
    let plain = SYNONYMS.iter().find(|(topic, _)| *topic == definition.name);
    match definition.name {
        "retention.ms" => RETENTION_KEYS[0].0,
        "segment.ms" => ROLL_KEYS[0].0,
        name => plain.map_or(name, |(_, key)| *key),
    }
}

/// Settings of the logs of a topic that sets nothing itself.
pub(crate) fn defaults(broker: &Values) -> LogConfig {
    let mut config = LogConfig {
        segment_bytes: 0,
        segment_ms: 0,
        segment_index_bytes: 0,
        index_interval_bytes: 0,
        retention_bytes: 0,
        retention_ms: 0,
        max_message_bytes: 0,
        log_append_time: false,
        message_timestamp_before_max_ms: 0,
        message_timestamp_after_max_ms: 0,
        file_delete_delay_ms: 0,
        delete: false,
        compact: false,
    };
    let none = BTreeMap::new();
    for definition in TOPIC_OPTIONS {
        apply(
            &mut config,
            definition.name,
            &settings(definition, &none, broker)[0].value,
        );
    }
    config
}

/// Settings of the logs of a topic with these configs.
///
/// # Errors
/// Says which key or value is wrong.
pub(crate) fn resolve(defaults: &LogConfig, configs: &BTreeMap<String, String>) -> Result<LogConfig, String> {
    check(configs)?;
    let mut config = defaults.clone();
    for (name, value) in configs {
        apply(&mut config, name, value);
    }
    Ok(config)
}

/// Sets what a checked option means for a log; nothing for one without effect.
fn apply(config: &mut LogConfig, name: &str, value: &str) {
    let number = || value.parse::<i64>().expect("a checked number");
    let size = || u64::try_from(number()).unwrap_or(0);
    match name {
        "cleanup.policy" => {
            config.delete = split_list(value).any(|policy| policy == "delete");
            config.compact = split_list(value).any(|policy| policy == "compact");
        }
        "file.delete.delay.ms" => config.file_delete_delay_ms = number(),
        "index.interval.bytes" => config.index_interval_bytes = size(),
        "max.message.bytes" => config.max_message_bytes = usize::try_from(number()).unwrap_or(usize::MAX),
        "message.timestamp.after.max.ms" => config.message_timestamp_after_max_ms = number(),
        "message.timestamp.before.max.ms" => config.message_timestamp_before_max_ms = number(),
        "message.timestamp.type" => config.log_append_time = value == "LogAppendTime",
        "retention.bytes" => config.retention_bytes = number(),
        "retention.ms" => config.retention_ms = number(),
        "segment.bytes" => config.segment_bytes = size(),
        "segment.index.bytes" => config.segment_index_bytes = size(),
        "segment.ms" => config.segment_ms = number(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BrokerConfig, config::keys::BROKER_OPTIONS};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_table_is_sorted_and_agrees_with_the_brokers() {
        assert!(TOPIC_OPTIONS.is_sorted_by_key(|option| option.name));
        for option in TOPIC_OPTIONS {
            let default = option.default.expect("every topic option has a default");
            assert_eq!(option.kind.check(default), Ok(()), "{}", option.name);
        }
        for (topic, broker) in SYNONYMS {
            let topic = find(TOPIC_OPTIONS, topic).unwrap();
            let broker = find(BROKER_OPTIONS, broker).unwrap();
            assert_eq!(
                (topic.kind, topic.default),
                (broker.kind, broker.default),
                "{}",
                topic.name
            );
        }
    }

    #[test]
    fn the_broker_sets_defaults_and_the_topic_wins() {
        let broker = BrokerConfig::parse(&map(&[
            ("log.retention.hours", "2"),
            ("log.roll.hours", "3"),
            ("log.roll.ms", "77"),
            ("message.max.bytes", "1000"),
        ]))
        .unwrap();
        let own = map(&[("cleanup.policy", "compact,delete"), ("segment.bytes", "9000")]);
        let config = resolve(&broker.log_defaults, &own).unwrap();
        assert_eq!(config.retention_ms, 2 * HOUR_MS);
        assert_eq!(config.segment_ms, 77);
        assert_eq!(config.max_message_bytes, 1000);
        assert_eq!(config.segment_bytes, 9000);
        assert!(config.compact && config.delete);
        let definition = find(TOPIC_OPTIONS, "retention.ms").unwrap();
        let settings = settings(definition, &map(&[("retention.ms", "5")]), &broker.values);
        let values: Vec<_> = settings
            .iter()
            .map(|setting| (setting.value.as_str(), setting.origin))
            .collect();
        assert_eq!(
            values,
            [
                ("5", Origin::Topic),
                ("7200000", Origin::Broker("log.retention.hours")),
                ("604800000", Origin::Default("log.retention.hours")),
            ]
        );
    }

    #[test]
    fn wrong_configs_are_named() {
        for (key, value, problem) in [
            (
                "retention.mss",
                "1",
                "unknown topic config retention.mss; did you mean retention.ms?",
            ),
            (
                "retention.ms",
                "-2",
                "retention.ms must be a whole number of at least -1, not '-2'",
            ),
            (
                "cleanup.policy",
                "keep",
                "cleanup.policy must be a list of compact, delete, not 'keep'",
            ),
            (
                "remote.storage.enable",
                "true",
                "remote.storage.enable must be one of false, not 'true'",
            ),
        ] {
            assert_eq!(check(&map(&[(key, value)])).unwrap_err(), problem);
        }
    }
}
