//! A connector's configuration: the keys every connector has, checked together with the connector's own definition.
//!
//! Every problem is listed at once, in Kafka's words. Unknown keys are errors with a suggestion
//! (`config.unknown.keys=ignore` opts out), and what this worker cannot do yet is an error instead of being ignored.

mod infos;
mod keys;
pub(crate) mod topic_creation;
pub(crate) mod transforms;

use std::{collections::BTreeMap, time::Duration};

use jackfield_api::ConfigDef;
use jackfield_cluster::{Compression, TopicSelection};
use jackfield_plugin::{Form, Kind, Wanted};

pub(crate) use self::infos::{Looked, infos, key_infos, option_infos};
use self::{
    topic_creation::{TopicCreation, full_match},
    transforms::NamedTransform,
};
use crate::{
    ConfigMap,
    config::{CLIENT_OPTIONS, CONVERTERS, ConverterSpec, NO_CLIENT, WorkerConfig, clients},
    converters::{self, Converter, OPTIONS},
    definition::{Effect, Key, boolean, list, unknown},
    transforms::TransformSpec,
};

/// A connector config that was checked.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorConfig {
    /// `tasks.max`.
    pub(crate) tasks_max: u32,
    /// `tasks.max.enforce`.
    pub(crate) tasks_max_enforce: bool,
    /// `key.converter`.
    pub(crate) key_converter: ConverterSpec,
    /// `value.converter`.
    pub(crate) value_converter: ConverterSpec,
    /// `header.converter`.
    pub(crate) header_converter: ConverterSpec,
    /// `errors.tolerance=all`.
    pub(crate) tolerate_errors: bool,
    /// `errors.log.enable`.
    pub(crate) log_errors: bool,
    /// `errors.log.include.messages`.
    pub(crate) log_coordinates: bool,
    /// What a sink reads; `None` for sources.
    pub(crate) topics: Option<TopicSelection>,
    /// `topic.creation.*`.
    pub(crate) topic_creation: TopicCreation,
    /// `producer.override.compression.type`, or the worker's.
    pub(crate) compression: Compression,
    /// Group of a sink's tasks.
    pub(crate) group_id: String,
    /// `consumer.override.max.poll.records`, or the worker's.
    pub(crate) max_poll_records: Option<u32>,
    /// `consumer.override.fetch.max.bytes`, or the worker's.
    pub(crate) fetch_max_bytes: Option<usize>,
    /// `consumer.override.session.timeout.ms`, or the worker's.
    pub(crate) session_timeout: Duration,
    /// `transforms` as they are named.
    pub(crate) named_transforms: Vec<NamedTransform>,
    /// The same, loaded.
    pub(crate) transforms: Vec<TransformSpec>,
    /// One line per key that was given and has no effect.
    pub(crate) notices: Vec<String>,
}

/// What is wrong with a config, and with which of its keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems(Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// With this key.
    pub(crate) key: String,
    /// Kafka's words, where it has some.
    pub(crate) message: String,
}

impl Problems {
    /// Notes one.
    pub(crate) fn add(&mut self, key: &str, message: impl Into<String>) {
        self.0.push(Problem {
            key: key.to_owned(),
            message: message.into(),
        });
    }

    /// Whether all is well.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, message: &str) -> bool {
        self.0.iter().any(|problem| problem.message == message)
    }

    /// All of them, in the order in which they were found.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

/// The key that chooses between versions of a connector.
pub(crate) const PLUGIN_VERSION: &str = "connector.plugin.version";

const OVERRIDES: [(&str, &str); 3] = [
    ("producer.override.", "producer."),
    ("consumer.override.", "consumer."),
    ("admin.override.", "admin."),
];

impl ConnectorConfig {
    /// Checks `config` for a connector of this kind with these options of its own.
    pub(crate) fn parse(
        config: &ConfigMap,
        kind: Kind,
        own: &ConfigDef,
        worker: &WorkerConfig,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut notices = Vec::new();
        check_keys(config, kind, own, &mut problems, &mut notices);
        let topics = match kind {
            Kind::Sink => check_topics(config, &mut problems),
            Kind::Source | Kind::Transform => None,
        };
        let topic_creation = match kind {
            Kind::Source if worker.topic_creation_enable() => TopicCreation::parse(config, &mut problems),
            _ => TopicCreation::default(),
        };
        let named_transforms = transforms::parse(config, &mut problems);
        let [key_converter, value_converter, header_converter] =
            CONVERTERS.map(|which| converter(config, which, worker, &mut problems));
        for issue in own.check(&sorted(config)) {
            if !problems.has(&issue.message) {
                problems.add(&issue.name, issue.message);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let get = |name: &str| config.get(name).map(|value| value.trim());
        let flag = |name: &str| get(name).and_then(boolean);
        let client = |name: &str| {
            let (client, option) = name.split_once('.').unwrap_or((name, ""));
            let own = config
                .get(&format!("{client}.override.{option}"))
                .map(|value| value.trim().to_owned());
            own.or_else(|| worker.client_option(name).map(str::to_owned))
        };
        let name = get("name").unwrap_or_default().to_owned();
        let compression = client("producer.compression.type")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let session = client("consumer.session.timeout.ms").and_then(|value| value.parse().ok());
        Ok(Self {
            tasks_max: get("tasks.max").and_then(|value| value.parse().ok()).unwrap_or(1),
            tasks_max_enforce: flag("tasks.max.enforce").unwrap_or(true),
            key_converter,
            value_converter,
            header_converter,
            tolerate_errors: get("errors.tolerance").is_some_and(|value| value.eq_ignore_ascii_case("all")),
            log_errors: flag("errors.log.enable").unwrap_or(false),
            log_coordinates: flag("errors.log.include.messages").unwrap_or(false),
            topics,
            topic_creation,
            compression: Compression::from_name(&compression).unwrap_or_default(),
            group_id: get("consumer.override.group.id")
                .map_or_else(|| format!("connect-{name}"), str::to_owned),
            max_poll_records: client("consumer.max.poll.records").and_then(|value| value.parse().ok()),
            fetch_max_bytes: client("consumer.fetch.max.bytes").and_then(|value| value.parse().ok()),
            session_timeout: Duration::from_millis(session.unwrap_or(45_000)),
            named_transforms,
            transforms: Vec::new(),
            notices,
        })
    }
}

/// The plugin that a config asks for, which is not checked yet.
///
/// # Errors
/// Kafka's words for what is no version.
pub(crate) fn wanted(config: &ConfigMap) -> Result<Wanted, String> {
    let get = |name: &str| config.get(name).map_or("", |value| value.trim());
    let version = get(PLUGIN_VERSION);
    Ok(Wanted {
        class: get("connector.class").to_owned(),
        version: version.parse().map_err(|error| {
            format!("Invalid value {version} for configuration {PLUGIN_VERSION}: {error}")
        })?,
        form: form(config),
    })
}

/// `plugin.form` of a config that is not checked yet.
fn form(config: &ConfigMap) -> Option<Form> {
    match config.get("plugin.form")?.trim().to_ascii_lowercase().as_str() {
        "native" => Some(Form::Native),
        "wasm" => Some(Form::Wasm),
        _ => None,
    }
}

/// The config as plugins take it.
pub(crate) fn sorted(config: &ConfigMap) -> BTreeMap<String, String> {
    config
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn check_keys(
    config: &ConfigMap,
    kind: Kind,
    own: &ConfigDef,
    problems: &mut Problems,
    notices: &mut Vec<String>,
) {
    let known = || keys::of(kind);
    for required in ["name", "connector.class"] {
        if !config.contains_key(required) {
            problems.add(
                required,
                format!("Missing required configuration \"{required}\" which has no default value."),
            );
        }
    }
    let ignore = config
        .get("config.unknown.keys")
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("ignore"));
    for (name, value) in config {
        if let Some(key) = known().find(|key| key.name == name.as_str()) {
            check(key, name, value, problems, notices);
        } else if let Some(key) = overridden(name) {
            check(key, name, value, problems, notices);
        } else if let Some((prefix, client, option)) = client_key(name) {
            if clients::is_known(client, option) {
                notices.push(format!("{name} has no effect: {NO_CLIENT}"));
            } else if !ignore {
                problems.add(name, unknown_client_key(name, prefix, client));
            }
        } else if own.keys.iter().any(|key| key.name == *name) || passes(name, kind) {
            // The connector's own definition, the converter or the group checks it.
        } else if !ignore {
            let candidates = known()
                .map(|key| key.name)
                .chain(own.keys.iter().map(|key| key.name.as_str()));
            problems.add(name, unknown(name, candidates));
        }
    }
}

fn check(key: &Key, name: &str, value: &str, problems: &mut Problems, notices: &mut Vec<String>) {
    match key.check(value) {
        Err(problem) => problems.add(name, problem.replace(key.name, name)),
        Ok(()) => {
            if let Effect::None(why) = key.effect {
                notices.push(format!("{name} has no effect: {why}"));
            }
        }
    }
}

/// The task client option that a connector's override stands for.
fn overridden(name: &str) -> Option<&'static Key> {
    let (own, client) = OVERRIDES.iter().find(|(own, _)| name.starts_with(own))?;
    let option = format!("{client}{}", &name[own.len()..]);
    CLIENT_OPTIONS.iter().find(|key| key.name == option)
}

/// Prefix, client and option of an override.
fn client_key(name: &str) -> Option<(&'static str, &'static str, &str)> {
    let (prefix, client) = OVERRIDES.iter().find(|(own, _)| name.starts_with(own))?;
    Some((*prefix, client.trim_end_matches('.'), &name[prefix.len()..]))
}

fn unknown_client_key(name: &str, prefix: &str, client: &str) -> String {
    let working = CLIENT_OPTIONS
        .iter()
        .filter_map(|key| key.name.strip_prefix(client)?.strip_prefix('.'));
    let known = clients::of_client(client).chain(working);
    let known: Vec<String> = known.map(|key| format!("{prefix}{key}")).collect();
    unknown(name, known.iter().map(String::as_str))
}

/// Keys of families that are checked elsewhere, or belong to predicates (which are refused as such).
fn passes(name: &str, kind: Kind) -> bool {
    let converter = CONVERTERS
        .iter()
        .find_map(|which| name.strip_prefix(which)?.strip_prefix('.'));
    converter.is_some_and(|option| OPTIONS.contains(&option))
        || (kind == Kind::Source && name.starts_with("topic.creation."))
        || ["transforms.", "predicates."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn check_topics(config: &ConfigMap, problems: &mut Problems) -> Option<TopicSelection> {
    let given = |name: &str| {
        config
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    match (given("topics"), given("topics.regex")) {
        (Some(topics), None) => Some(TopicSelection::Names(list(topics).map(str::to_owned).collect())),
        (None, Some(pattern)) => match full_match(pattern) {
            Ok(_) => Some(TopicSelection::Pattern(pattern.to_owned())),
            Err(error) => {
                let message = format!("Invalid value {pattern} for configuration topics.regex: {error}");
                problems.add("topics.regex", message);
                None
            }
        },
        (both, _) => {
            let message = match both {
                Some(_) => "topics and topics.regex are mutually exclusive options, but both are set.",
                None => "Must configure one of topics or topics.regex",
            };
            problems.add("topics", message);
            problems.add("topics.regex", message);
            None
        }
    }
}

/// The connector's converter, or the worker's. A class of the connector's own starts without the worker's options;
/// options alone are laid over the worker's.
fn converter(
    config: &ConfigMap,
    which: &str,
    worker: &WorkerConfig,
    problems: &mut Problems,
) -> ConverterSpec {
    let mut spec = match config.get(which) {
        Some(class) => ConverterSpec {
            class: class.trim().to_owned(),
            options: BTreeMap::new(),
        },
        None => worker.converter(which),
    };
    let prefix = format!("{which}.");
    let known = converters::options(&spec.class).unwrap_or_default();
    let mut options_are_fine = true;
    for (key, value) in config {
        let Some(option) = key.strip_prefix(&prefix) else {
            continue;
        };
        let definition = known.iter().find(|known| known.name == option);
        if let Some(Err(problem)) = definition.map(|definition| definition.check(value)) {
            problems.add(key, problem);
            options_are_fine = false;
        }
        spec.options.insert(option.to_owned(), value.clone());
    }
    if options_are_fine && let Err(error) = Converter::build(&spec.class, &spec.options) {
        problems.add(
            which,
            format!("Invalid value {} for configuration {which}: {error}", spec.class),
        );
    }
    spec
}

#[cfg(test)]
mod tests;
