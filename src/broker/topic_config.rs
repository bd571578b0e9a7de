//! Topic options: their defaults from the broker's options, and what they mean for a log.

use std::collections::BTreeMap;

use jackfield_log::LogConfig;

use crate::config::{
    definition::{Definition, Scope, split_list},
    tables,
    values::{self, Values},
};

const HOUR_MS: i64 = 60 * 60 * 1_000;
const MINUTE_MS: i64 = 60 * 1_000;

/// Topic options whose default several broker options hold, in these units, the strongest first.
const TIMES: [(&str, &[(&str, i64)]); 4] = [
    (
        "flush.ms",
        &[
            ("log.flush.interval.ms", 1),
            ("log.flush.scheduler.interval.ms", 1),
        ],
    ),
    (
        "retention.ms",
        &[
            ("log.retention.ms", 1),
            ("log.retention.minutes", MINUTE_MS),
            ("log.retention.hours", HOUR_MS),
        ],
    ),
    (
        "segment.jitter.ms",
        &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)],
    ),
    ("segment.ms", &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)]),
];

/// What topics have that set nothing themselves.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    /// The broker's values.
    pub(crate) values: Values,
    /// What these mean for a log.
    pub(crate) log: LogConfig,
}

impl Defaults {
    pub(crate) fn new(values: Values) -> Self {
        let log = defaults(&values);
        Self { values, log }
    }
}

/// The default of a topic option that is a time, of several broker options.
pub(crate) fn time(broker: &Values, name: &str) -> i64 {
    let keys = TIMES.iter().find(|(option, _)| *option == name);
    let keys = keys.map_or(&[][..], |(_, keys)| *keys);
    let scaled = |(key, unit_ms): &(&str, i64)| {
        let value = broker.maybe_number(key)?;
        Some(if value < 0 && *unit_ms > 1 {
            -1
        } else {
            value.saturating_mul(*unit_ms)
        })
    };
    let value = keys.iter().find_map(scaled).unwrap_or(-1);
    // As in Kafka, any negative retention is for ever.
    if name == "retention.ms" {
        value.max(-1)
    } else {
        value
    }
}

/// The broker's options that stand for the same as this one, the strongest first.
pub(crate) fn same_as(key: &str) -> Vec<&str> {
    let (_, keys) = TIMES
        .iter()
        .find(|(_, keys)| keys.iter().any(|(known, _)| *known == key))
        .unwrap_or(&("", &[]));
    // The interval of the scheduler is a default of the other, and no more than that.
    if keys.is_empty() || key == "log.flush.scheduler.interval.ms" {
        return vec![key];
    }
    keys.iter().map(|(key, _)| *key).collect()
}

/// The value of an option for a topic that does not set it.
pub(crate) fn default(definition: &Definition, broker: &Values) -> Option<String> {
    let own = || definition.default.map(str::to_owned);
    match definition.scope {
        Scope::Defaulted(Some(_)) if TIMES.iter().any(|(name, _)| *name == definition.name) => {
            Some(time(broker, definition.name).to_string())
        }
        Scope::Defaulted(Some(key)) => broker
            .given(key)
            .map(|value| definition.shown(value))
            .or_else(own),
        _ => own(),
    }
}

/// Checks the options given for a topic.
///
/// # Errors
/// Says which key or value is wrong, in Kafka's words.
pub(crate) fn check(broker: &Values, configs: &BTreeMap<String, String>) -> Result<(), String> {
    let table = tables::topic();
    values::check_lengths(configs)?;
    for (name, value) in configs {
        let Some(definition) = table.find(name) else {
            let hint = table.suggestion(name);
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(format!("Unknown topic config name: {name}{hint}"));
        };
        definition.check(value)?;
    }
    let value = |name: &str| {
        let definition = table.find(name)?;
        let given = configs.get(name).map(|value| definition.shown(value));
        given.or_else(|| default(definition, broker))
    };
    let lag = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    let (least, most) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        ));
    }
    if value("remote.storage.enable").as_deref() == Some("true") {
        return Err(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        );
    }
    Ok(())
}

/// Settings of the logs of a topic that sets nothing itself.
pub(crate) fn defaults(broker: &Values) -> LogConfig {
    let mut config = LogConfig {
        segment_bytes: 0,
        segment_ms: 0,
        segment_jitter_ms: 0,
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
    for definition in tables::topic().iter() {
        if let Some(value) = default(definition, broker) {
            apply(&mut config, definition.name, &value);
        }
    }
    config
}

/// Settings of the logs of a topic with these configs.
///
/// # Errors
/// Says which key or value is wrong.
pub(crate) fn resolve(defaults: &Defaults, configs: &BTreeMap<String, String>) -> Result<LogConfig, String> {
    check(&defaults.values, configs)?;
    Ok(with(defaults, configs))
}

/// Settings of the logs of a topic that has these configs already: what cannot be used of them is reported, and no record is
/// deleted for want of it.
pub(crate) fn of_existing(defaults: &Defaults, topic: &str, configs: &BTreeMap<String, String>) -> LogConfig {
    let is_usable = |(name, value): &(&String, &String)| {
        let definition = tables::topic().find(name);
        definition.is_some_and(|definition| definition.check(value).is_ok())
    };
    let (usable, wrong): (Vec<_>, Vec<_>) = configs.iter().partition(is_usable);
    let mut config = with(defaults, usable);
    for (key, value) in wrong {
        let says_what_is_kept = ["cleanup.policy", "retention.bytes", "retention.ms"].contains(&key.as_str());
        config.delete &= !says_what_is_kept;
        tracing::error!(
            topic,
            key,
            value,
            nothing_is_deleted = says_what_is_kept,
            "config of a topic cannot be used: set or delete it"
        );
    }
    config
}

/// Configs as they are stored: as Kafka shows them, so a line each.
pub(crate) fn normalized(configs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = |(name, value): (&String, &String)| {
        let definition = tables::topic().find(name);
        let value = definition.map_or_else(|| value.clone(), |definition| definition.shown(value));
        (name.clone(), value)
    };
    configs.iter().map(shown).collect()
}

/// The settings with checked configs.
fn with<'a>(defaults: &Defaults, configs: impl IntoIterator<Item = (&'a String, &'a String)>) -> LogConfig {
    let mut config = defaults.log.clone();
    let mut internal = None;
    for (name, value) in configs {
        apply(&mut config, name, value.trim());
        if name == "internal.segment.bytes" {
            internal = Some(value.trim());
        }
    }
    if let Some(bytes) = internal {
        apply(&mut config, "segment.bytes", bytes);
    }
    config
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
        "segment.jitter.ms" => config.segment_jitter_ms = number(),
        "segment.ms" => config.segment_ms = number(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BrokerConfig;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn of(pairs: &[(&str, &str)]) -> Defaults {
        Defaults::new(BrokerConfig::parse(&map(pairs)).unwrap().values)
    }

    #[test]
    fn the_broker_sets_defaults_and_the_topic_wins() {
        let broker = of(&[
            ("log.retention.hours", "2"),
            ("log.roll.hours", "3"),
            ("log.roll.ms", "77"),
            ("message.max.bytes", "1000"),
        ]);
        let own = map(&[("cleanup.policy", "compact,delete"), ("segment.bytes", " 9000")]);
        let config = resolve(&broker, &own).unwrap();
        assert_eq!(config.retention_ms, 2 * HOUR_MS);
        assert_eq!(config.segment_ms, 77);
        assert_eq!(config.max_message_bytes, 1000);
        assert_eq!(config.segment_bytes, 9000);
        assert!(config.compact && config.delete);
    }

    #[test]
    fn times_without_an_end() {
        for (given, ms) in [
            (&[("log.retention.minutes", "-7")][..], -1),
            (&[("log.retention.ms", "-1"), ("log.retention.hours", "1")], -1),
            (
                &[("log.retention.minutes", "2"), ("log.retention.hours", "1")],
                2 * MINUTE_MS,
            ),
            (&[], 168 * HOUR_MS),
        ] {
            assert_eq!(of(given).log.retention_ms, ms, "{given:?}");
        }
    }

    #[test]
    fn wrong_configs_are_refused_in_kafkas_words() {
        for (configs, problem) in [
            (
                &[("retention.mss", "1")][..],
                "Unknown topic config name: retention.mss; did you mean retention.ms?",
            ),
            (
                &[("retention.ms", "-2")],
                "Invalid value -2 for configuration retention.ms: Value must be at least -1",
            ),
            (
                &[("cleanup.policy", "keep")],
                "Invalid value keep for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                &[("remote.storage.enable", "true")],
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
            ),
            (
                &[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")],
                "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
            ),
        ] {
            assert_eq!(check(&Values::default(), &map(configs)).unwrap_err(), problem);
        }
    }
}
