//! The configs in force: what the broker was started with, under what was set while it runs.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jackfield_env::Env;
use kafka_protocol::error::ResponseError;

use crate::{
    blocking,
    config::{
        definition::{Scope, Table},
        foreign, rules, tables, unknown,
        values::{Map, Values, check_lengths},
    },
    stored_configs::{ConfigsFile, Owner, Stored},
};

/// Why configs were not changed: Kafka's error code, and a message in its words.
pub(crate) type Refusal = (ResponseError, String);

/// Options of TLS that Kafka changes for single listeners only.
const OF_LISTENERS_ONLY: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];
/// Options that can be set for a listener of all brokers at once.
const OF_LISTENERS_OF_ALL: [&str; 3] = [
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
];
/// Options that Kafka changes while it runs, and this broker does not.
const OF_THE_START: [&str; 2] = ["listener.security.protocol.map", "listeners"];

/// What is set, and what is in force because of it.
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) stored: Stored,
    /// Of this broker.
    pub(crate) own: Map,
    /// Of all brokers.
    pub(crate) cluster: Map,
    /// In force.
    pub(crate) values: Values,
}

impl Levels {
    fn new(file: &Values, node: &str, stored: Stored) -> Self {
        let own = stored.of(Owner::Broker, node);
        let cluster = stored.of(Owner::Broker, "");
        Self {
            values: file.under(&[&cluster, &own]),
            stored,
            own,
            cluster,
        }
    }
}

/// The configs in force.
#[derive(Debug)]
pub(crate) struct DynamicConfigs {
    file: ConfigsFile,
    /// What the broker was started with.
    started_with: Values,
    node: String,
    levels: RwLock<Arc<Levels>>,
    /// One change at a time.
    changes: Mutex<()>,
}

impl DynamicConfigs {
    /// Reads what was set before.
    ///
    /// # Errors
    /// A message when that cannot be read, or does not go with what the broker is started with.
    pub(crate) fn open(env: Env, log_dir: &Path, started_with: Values, node_id: i32) -> Result<Self, String> {
        let file = ConfigsFile::new(env, log_dir);
        let node = node_id.to_string();
        let levels = Levels::new(&started_with, &node, file.read()?);
        let broken = rules::broken(&levels.values);
        if !broken.is_empty() {
            return Err(format!(
                "{}, with the configs that were set while the broker ran: {}; give the broker's own configs the values they had, or take the others back first",
                file.path().display(),
                broken.join("; ")
            ));
        }
        Ok(Self {
            file,
            started_with,
            node,
            levels: RwLock::new(Arc::new(levels)),
            changes: Mutex::new(()),
        })
    }

    pub(crate) fn started_with(&self) -> &Values {
        &self.started_with
    }

    pub(crate) fn levels(&self) -> Arc<Levels> {
        Arc::clone(&self.levels.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value in force of a numeric option of a group, such as `consumer.session.timeout.ms`: the group's own within the
    /// broker's bounds, or the broker's.
    pub(crate) fn group_number(&self, group: &str, option: &str) -> i64 {
        let levels = self.levels();
        let own = levels.stored.of(Owner::Group, group);
        let own = own.get(option).and_then(|value| value.trim().parse::<i64>().ok());
        let Some(own) = own else {
            let definition = tables::group().find(option);
            let default = definition.and_then(|definition| match definition.scope {
                Scope::Defaulted(Some(key)) => levels.values.maybe_number(key),
                _ => definition.default?.parse().ok(),
            });
            return default.unwrap_or_default();
        };
        let (least, most) = group_bounds(option, &levels.values);
        own.max(least.unwrap_or(own)).min(most.unwrap_or(i64::MAX))
    }

    /// Replaces the configs of one by what `change` makes of them, durably. When they are a broker's, `in_force` is called
    /// with its values before anybody else can change them again.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub(crate) fn change(
        &self,
        owner: Owner,
        name: &str,
        validate_only: bool,
        change: impl FnOnce(&Map) -> Result<Map, Refusal>,
        in_force: impl FnOnce(&Values),
    ) -> Result<(), Refusal> {
        blocking::run(|| {
            let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let before = self.levels();
            let configs = change(&before.stored.of(owner, name))?;
            check_lengths(&configs).map_err(|problem| (ResponseError::InvalidConfig, problem))?;
            match owner {
                Owner::Broker => check_broker(&configs, !name.is_empty())?,
                Owner::Group => check_group(&configs, &before.values)?,
                Owner::ClientMetrics => check_client_metrics(&configs)?,
            }
            let stored = before.stored.with(owner, name, configs);
            let after = Levels::new(&self.started_with, &self.node, stored);
            if owner == Owner::Broker {
                check_together(&before.values, &after.values)?;
            }
            if validate_only || after.stored == before.stored {
                return Ok(());
            }
            self.file.write(&after.stored).map_err(|error| {
                let problem = format!("writing the file of configs: {error}");
                (ResponseError::KafkaStorageError, problem)
            })?;
            let after = Arc::new(after);
            *self.levels.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);
            if owner == Owner::Broker {
                in_force(&after.values);
            }
            tracing::info!(?owner, name, "changed configs");
            Ok(())
        })
    }
}

fn invalid(message: String) -> Refusal {
    (ResponseError::InvalidRequest, message)
}

fn check_broker(configs: &Map, per_broker: bool) -> Result<(), Refusal> {
    let table = tables::broker();
    let refuse = |what: &str, is_so: &dyn Fn(&str) -> bool| {
        let names: Vec<_> = configs
            .keys()
            .map(String::as_str)
            .filter(|name| is_so(name))
            .collect();
        if names.is_empty() {
            Ok(())
        } else {
            Err(invalid(format!("{what}: [{}]", names.join(", "))))
        }
    };
    let scope = |name: &str| table.find(name).map(|definition| definition.scope);
    refuse("Cannot update these configs dynamically", &|name| {
        scope(name).is_some_and(|scope| !scope.is_dynamic())
    })?;
    refuse(
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        &|name| OF_LISTENERS_ONLY.contains(&name),
    )?;
    for (name, value) in configs {
        match foreign::definition(name) {
            Some(definition) => definition.check(value).map_err(invalid)?,
            None if foreign::why_ignored(name).is_some() => {}
            None => return Err(invalid(unknown(name, ""))),
        }
    }
    if !per_broker {
        refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            &|name| match foreign::of_listener(name) {
                Some(option) => !OF_LISTENERS_OF_ALL.contains(&option),
                None => scope(name) == Some(Scope::PerBroker),
            },
        )?;
    }
    refuse(
        "This broker opens its listeners at the start; set these in its file",
        &|name| OF_THE_START.contains(&name),
    )?;
    refuse(
        "Secrets are not stored, because nothing is encrypted yet",
        &|name| foreign::definition(name).is_none_or(|definition| definition.is_sensitive()),
    )
}

fn check_together(before: &Values, after: &Values) -> Result<(), Refusal> {
    let broken = rules::broken(after).into_iter().next();
    // What was set before stays when a directory leaves `log.dirs`.
    let is_other = || after.text("cordoned.log.dirs") != before.text("cordoned.log.dirs");
    let broken = broken.or_else(|| rules::broken_of_cordoned(after).filter(|_| is_other()));
    if let Some(problem) = broken {
        return Err(invalid(format!("requirement failed: {problem}")));
    }
    rules::too_far(before, after).map_or(Ok(()), |problem| Err(invalid(problem)))
}

/// The name of an option that no table of its kind of resource has.
fn find_unknown<'a>(table: &Table, configs: &'a Map) -> Option<&'a String> {
    configs.keys().find(|name| table.find(name).is_none())
}

/// The broker's options that bound an option of groups.
const GROUP_BOUNDS: [(&str, &str); 13] = [
    ("consumer.assignment.interval.ms", "group.consumer"),
    ("consumer.heartbeat.interval.ms", "group.consumer"),
    ("consumer.session.timeout.ms", "group.consumer"),
    ("share.assignment.interval.ms", "group.share"),
    ("share.delivery.count.limit", "group.share"),
    ("share.heartbeat.interval.ms", "group.share"),
    ("share.partition.max.record.locks", "group.share"),
    ("share.record.lock.duration.ms", "group.share"),
    ("share.session.timeout.ms", "group.share"),
    ("streams.assignment.interval.ms", "group.streams"),
    ("streams.heartbeat.interval.ms", "group.streams"),
    ("streams.num.standby.replicas", "group.streams"),
    ("streams.session.timeout.ms", "group.streams"),
];

/// The broker's option that is the least or the most of an option of groups.
fn bound_key(option: &str, which: &str) -> Option<String> {
    let (_, prefix) = GROUP_BOUNDS.iter().find(|(name, _)| *name == option)?;
    let (_, of_kind) = option.split_once('.')?;
    // Kafka leaves this word out.
    let of_kind = of_kind.strip_prefix("num.").unwrap_or(of_kind);
    Some(format!("{prefix}.{which}.{of_kind}"))
}

fn group_bounds(option: &str, broker: &Values) -> (Option<i64>, Option<i64>) {
    let bound = |which| broker.maybe_number(&bound_key(option, which)?);
    (bound("min"), bound("max"))
}

fn check_group(configs: &Map, broker: &Values) -> Result<(), Refusal> {
    let refuse = |problem: String| Err((ResponseError::InvalidConfig, problem));
    let table = tables::group();
    if let Some(name) = find_unknown(table, configs) {
        return refuse(format!("Unknown group config name: {name}"));
    }
    let mut numbers = BTreeMap::new();
    for definition in table.iter() {
        let Some(value) = configs.get(definition.name) else {
            continue;
        };
        definition
            .check(value)
            .map_err(|problem| (ResponseError::InvalidConfig, problem))?;
        if let Ok(number) = value.trim().parse::<i64>() {
            numbers.insert(definition.name, number);
        }
    }
    for (name, number) in &numbers {
        let (least, most) = group_bounds(name, broker);
        let key = |which| bound_key(name, which).unwrap_or_default();
        if least.is_some_and(|least| *number < least) {
            return refuse(format!("{name} must be greater than or equal to {}", key("min")));
        }
        if most.is_some_and(|most| *number > most) {
            return refuse(format!("{name} must be less than or equal to {}", key("max")));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        let value = |name: &str| {
            let own = numbers.get(name).copied();
            own.or_else(|| broker.maybe_number(&format!("group.{name}")))
        };
        let is_set = numbers.contains_key(&*session) || numbers.contains_key(&*heartbeat);
        if is_set && value(&session) <= value(&heartbeat) {
            return refuse(format!("{session} must be greater than {heartbeat}"));
        }
    }
    Ok(())
}

/// What clients can be told apart by (KIP-714).
const CLIENT_PROPERTIES: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

fn check_client_metrics(configs: &Map) -> Result<(), Refusal> {
    let table = tables::client_metrics();
    if let Some(name) = find_unknown(table, configs) {
        return Err(invalid(format!("Unknown client metrics configuration: {name}")));
    }
    for (name, value) in configs {
        let definition = table.find(name).expect("looked up before");
        definition
            .check(value)
            .map_err(|problem| (ResponseError::InvalidConfig, problem))?;
    }
    if let Some(interval) = configs.get("interval.ms")
        && !interval
            .trim()
            .parse::<i32>()
            .is_ok_and(|ms| (100..=3_600_000).contains(&ms))
    {
        return Err(invalid(format!(
            "Invalid value {} for interval.ms, interval must be between 100 and 3600000 (1 hour)",
            interval.trim()
        )));
    }
    let patterns = configs.get("match").map_or("", String::as_str).trim();
    for pattern in patterns
        .split(',')
        .map(str::trim)
        .filter(|_| !patterns.is_empty())
    {
        let parts: Vec<_> = pattern.split('=').collect();
        let is_known = parts.len() == 2 && CLIENT_PROPERTIES.contains(&parts[0].trim());
        if !is_known {
            let problem = format!("Illegal client matching pattern: {pattern}");
            return Err((ResponseError::InvalidConfig, problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Map {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn every_bound_of_groups_is_an_option_of_the_broker() {
        for (option, _) in GROUP_BOUNDS {
            assert!(tables::group().find(option).is_some(), "{option}");
            let (least, most) = group_bounds(option, &Values::default());
            let without_least = option == "streams.num.standby.replicas";
            assert_eq!(
                (least.is_none(), most.is_some()),
                (without_least, true),
                "{option}"
            );
        }
    }

    #[test]
    fn groups_have_their_own_value_within_the_brokers_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let open = |values: &[(&str, &str)]| {
            DynamicConfigs::open(Env::real(), dir.path(), Values::new(map(values)), 1).unwrap()
        };
        let configs = open(&[]);
        let option = "consumer.session.timeout.ms";
        assert_eq!(configs.group_number("g", option), 45_000);
        let set = |_: &Map| Ok(map(&[(option, "50000")]));
        configs.change(Owner::Group, "g", false, set, |_| {}).unwrap();
        assert_eq!(configs.group_number("g", option), 50_000);
        assert_eq!(configs.group_number("h", option), 45_000);
        let configs = open(&[("group.consumer.max.session.timeout.ms", "48000")]);
        assert_eq!(configs.group_number("g", option), 48_000);
    }
}
