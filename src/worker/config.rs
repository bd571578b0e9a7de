//! The worker's configuration by Kafka's keys, checked as a whole: every problem is listed at once.
//!
//! Keys of Kafka's that have no effect here give one line of notice each; a key that nobody knows is an error with a
//! suggestion. Where the values come from (file, environment, flags) is the caller's business.

pub(crate) mod clients;
mod header_rules;
mod keys;
mod plugin_limits;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

pub use header_rules::{HeaderAction, HeaderRule};
pub(crate) use keys::CLIENT_OPTIONS;
use keys::{FAMILIES, KEYS};

use crate::{
    converters::{Converter, OPTIONS},
    definition::{Effect, Key, boolean, list, unknown},
};

/// Worker configs by Kafka's keys, checked: one definition per key, unknown keys refused with a suggestion.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    given: BTreeMap<String, String>,
    notices: Vec<String>,
    listeners: Vec<String>,
    plugin_path: Vec<PathBuf>,
    wasm_directories: Vec<PathBuf>,
    response_headers: Vec<HeaderRule>,
}

/// A worker config that cannot be used; the message lists every problem.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct WorkerConfigError(pub String);

/// Class and options of a converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterSpec {
    /// Class, full or short name.
    pub class: String,
    /// Options without their prefix.
    pub options: BTreeMap<String, String>,
}

/// The three uses of a converter.
pub(crate) const CONVERTERS: [&str; 3] = ["key.converter", "value.converter", "header.converter"];

/// One internal topic: its name and how to create it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageTopic {
    /// Name.
    pub name: String,
    /// Partitions when it is created; `None` = broker default.
    pub partitions: Option<i32>,
    /// Topic configs when it is created.
    pub configs: BTreeMap<String, String>,
}

impl WorkerConfig {
    /// Checks a flat map of the worker's keys (`listeners`, `key.converter`, `plugin.path`, `offset.flush.interval.ms`,
    /// …). Keys starting with `broker.` and `data.dir` are the caller's and must be taken out before.
    ///
    /// # Errors
    /// [`WorkerConfigError`] with one line per problem.
    pub fn parse(properties: &BTreeMap<String, String>) -> Result<Self, WorkerConfigError> {
        let mut problems = Vec::new();
        let mut notices = Vec::new();
        let ignore_unknown = properties
            .get("config.unknown.keys")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("ignore"));
        for (name, value) in properties {
            match classify(name) {
                Class::Key(key) => match (key.check(value), key.effect) {
                    (Err(problem), _) => problems.push(problem),
                    (Ok(()), Effect::None(why)) => notices.push(format!("{name} has no effect: {why}")),
                    (Ok(()), _) => {}
                },
                Class::NoEffect(why) => notices.push(format!("{name} has no effect: {why}")),
                Class::Passes => {}
                Class::Unknown if ignore_unknown => {
                    notices.push(format!("{name} is no known configuration and is passed over"));
                }
                Class::Unknown => problems.push(unknown_key(name)),
            }
        }
        let mut config = Self {
            given: properties.clone(),
            notices,
            listeners: Vec::new(),
            plugin_path: Vec::new(),
            wasm_directories: Vec::new(),
            response_headers: Vec::new(),
        };
        config.listeners = list(config.text("listeners")).map(str::to_owned).collect();
        config.plugin_path = list(config.text("plugin.path")).map(PathBuf::from).collect();
        config.wasm_directories = list(config.text("plugin.wasm.directories"))
            .map(PathBuf::from)
            .collect();
        match header_rules::parse(config.text("response.http.headers.config")) {
            Ok(rules) => config.response_headers = rules,
            Err(problem) => problems.push(problem),
        }
        for which in CONVERTERS {
            let spec = config.converter(which);
            if let Err(error) = Converter::build(&spec.class, &spec.options) {
                problems.push(format!(
                    "Invalid value {} for configuration {which}: {error}",
                    spec.class
                ));
            }
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(WorkerConfigError(problems.join("\n")))
        }
    }

    /// Every key that works: name, default, what it is for.
    pub fn reference() -> impl Iterator<Item = (&'static str, Option<&'static str>, &'static str)> {
        let works = |key: &&Key| key.effect == Effect::Works;
        KEYS.iter()
            .chain(CLIENT_OPTIONS)
            .filter(works)
            .map(|key| (key.name, key.default, key.doc))
    }

    /// One line per key that was given and has no effect here.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// `listeners`: REST URIs.
    pub fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// `admin.listeners`: URIs that `/admin` alone is served on; `None` = it is part of the REST API, empty = nowhere.
    pub fn admin_listeners(&self) -> Option<Vec<String>> {
        let given = self.given.get("admin.listeners")?;
        Some(list(given).map(str::to_owned).collect())
    }

    /// `plugin.path`.
    pub fn plugin_path(&self) -> &[PathBuf] {
        &self.plugin_path
    }

    /// `plugin.wasm.directories`: what WASM plugins may read and write.
    pub fn wasm_directories(&self) -> &[PathBuf] {
        &self.wasm_directories
    }

    /// `plugin.policy`: the file that grants packages what they may reach; `None` = nothing is granted so.
    pub fn plugin_policy(&self) -> Option<&Path> {
        let file = self.text("plugin.policy").trim();
        (!file.is_empty()).then(|| Path::new(file))
    }

    /// `plugin.native.allow`: packages that may run native code beside the shipped ones; `*` = all.
    pub fn native_allow(&self) -> Vec<String> {
        list(self.text("plugin.native.allow"))
            .map(str::to_owned)
            .collect()
    }

    /// `plugin.reload.enable`.
    pub fn plugin_reload_enable(&self) -> bool {
        boolean(self.text("plugin.reload.enable")).unwrap_or(true)
    }

    /// `topic.tracking.enable`.
    pub fn topic_tracking_enable(&self) -> bool {
        boolean(self.text("topic.tracking.enable")).unwrap_or(true)
    }

    /// `topic.tracking.allow.reset`.
    pub fn topic_tracking_allow_reset(&self) -> bool {
        boolean(self.text("topic.tracking.allow.reset")).unwrap_or(true)
    }

    /// `bootstrap.servers`, when given.
    pub fn bootstrap_servers(&self) -> Option<&str> {
        self.given
            .get("bootstrap.servers")
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// `rest.advertised.host.name` and `rest.advertised.port`, when given: what `worker_id` is made of.
    pub fn advertised(&self) -> (Option<&str>, Option<u16>) {
        let host = self
            .given
            .get("rest.advertised.host.name")
            .map(|value| value.trim());
        let port = self
            .given
            .get("rest.advertised.port")
            .and_then(|value| value.trim().parse().ok());
        (host.filter(|host| !host.is_empty()), port)
    }

    /// `access.control.allow.origin`: origins of web pages that may use the REST API; `*` = all.
    pub fn allowed_origins(&self) -> Vec<String> {
        list(self.text("access.control.allow.origin"))
            .map(str::to_owned)
            .collect()
    }

    /// `access.control.allow.methods`.
    pub fn allowed_methods(&self) -> Vec<String> {
        list(self.text("access.control.allow.methods"))
            .map(str::to_owned)
            .collect()
    }

    /// `response.http.headers.config`.
    pub fn response_headers(&self) -> &[HeaderRule] {
        &self.response_headers
    }

    /// `task.shutdown.graceful.timeout.ms`: what all tasks together have to stop.
    pub fn graceful_timeout(&self) -> Duration {
        self.millis("task.shutdown.graceful.timeout.ms")
    }

    /// `offset.flush.interval.ms`.
    pub fn offset_flush_interval(&self) -> Duration {
        self.millis("offset.flush.interval.ms")
    }

    /// `offset.flush.timeout.ms`.
    pub fn offset_flush_timeout(&self) -> Duration {
        self.millis("offset.flush.timeout.ms")
    }

    /// `topic.creation.enable`.
    pub fn topic_creation_enable(&self) -> bool {
        boolean(self.text("topic.creation.enable")).unwrap_or(true)
    }

    /// A converter and its options; `which` is `key.converter`, `value.converter` or `header.converter`.
    pub fn converter(&self, which: &str) -> ConverterSpec {
        let prefix = format!("{which}.");
        let options = self.given.iter().filter_map(|(key, value)| {
            key.strip_prefix(&prefix)
                .map(|option| (option.to_owned(), value.clone()))
        });
        ConverterSpec {
            class: self.text(which).trim().to_owned(),
            options: options.collect(),
        }
    }

    /// The config topic: one partition, always.
    pub fn config_topic(&self) -> StorageTopic {
        StorageTopic {
            partitions: Some(1),
            ..self.storage_topic("config")
        }
    }

    /// The topic of source offsets.
    pub fn offset_topic(&self) -> StorageTopic {
        self.storage_topic("offset")
    }

    /// The status topic.
    pub fn status_topic(&self) -> StorageTopic {
        self.storage_topic("status")
    }

    /// An option of the task clients, e.g. `producer.compression.type`.
    pub(crate) fn client_option(&self, name: &str) -> Option<&str> {
        let default = || {
            CLIENT_OPTIONS
                .iter()
                .find(|key| key.name == name)
                .and_then(|key| key.default)
        };
        self.given.get(name).map(|value| value.trim()).or_else(default)
    }

    fn storage_topic(&self, which: &str) -> StorageTopic {
        let prefix = format!("{which}.storage.");
        let mut configs: BTreeMap<String, String> = self
            .given
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)))
            .filter(|(key, _)| {
                !matches!(
                    *key,
                    "topic" | "partitions" | "replication.factor" | "file.filename"
                )
            })
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect();
        // Kafka's own rule: internal topics are compacted whatever is asked for.
        configs.insert("cleanup.policy".to_owned(), "compact".to_owned());
        let partitions = KEYS
            .iter()
            .any(|key| key.name == format!("{which}.storage.partitions"))
            .then(|| {
                self.text(&format!("{which}.storage.partitions"))
                    .trim()
                    .parse()
                    .unwrap_or(-1)
            });
        StorageTopic {
            name: self.text(&format!("{which}.storage.topic")).trim().to_owned(),
            partitions: partitions.filter(|count| *count > 0),
            configs,
        }
    }

    /// The given value or the default; empty when there is neither.
    fn text(&self, name: &str) -> &str {
        let default = || {
            KEYS.iter()
                .find(|key| key.name == name)
                .and_then(|key| key.default)
        };
        self.given
            .get(name)
            .map(String::as_str)
            .or_else(default)
            .unwrap_or_default()
    }

    fn millis(&self, name: &str) -> Duration {
        // Checked by `parse`, so a number.
        Duration::from_millis(self.text(name).trim().parse().unwrap_or_default())
    }
}

/// Clients of tasks, as prefixes of their keys.
const CLIENTS: [&str; 3] = ["producer", "consumer", "admin"];

/// Why keys of Kafka's clients have no effect.
pub(crate) const NO_CLIENT: &str = "tasks reach the embedded broker in process, without a network client";

fn unknown_key(name: &str) -> String {
    let of_clients = CLIENTS
        .iter()
        .filter(|client| name.starts_with(&format!("{client}.")))
        .flat_map(|client| clients::of_client(client).map(move |key| format!("{client}.{key}")));
    let of_clients: Vec<String> = of_clients.collect();
    let known = KEYS.iter().chain(CLIENT_OPTIONS).map(|key| key.name);
    unknown(name, known.chain(of_clients.iter().map(String::as_str)))
}

enum Class {
    Key(&'static Key),
    NoEffect(&'static str),
    Passes,
    Unknown,
}

fn classify(name: &str) -> Class {
    if let Some(key) = KEYS.iter().chain(CLIENT_OPTIONS).find(|key| key.name == name) {
        return Class::Key(key);
    }
    let converter = CONVERTERS
        .iter()
        .find_map(|which| name.strip_prefix(which)?.strip_prefix('.'));
    if let Some(option) = converter {
        return if OPTIONS.contains(&option) {
            Class::Passes
        } else {
            Class::Unknown
        };
    }
    if let Some((_, why)) = FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return Class::NoEffect(why);
    }
    if let Some((client, option)) = name
        .split_once('.')
        .filter(|(client, _)| CLIENTS.contains(client))
    {
        return if clients::is_known(client, option) {
            Class::NoEffect(NO_CLIENT)
        } else {
            Class::Unknown
        };
    }
    let storage = ["config.storage.", "offset.storage.", "status.storage."];
    if storage.iter().any(|prefix| name.starts_with(prefix)) {
        return Class::Passes;
    }
    Class::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WorkerConfig, WorkerConfigError> {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        WorkerConfig::parse(
            &pairs
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    #[test]
    fn kafkas_stock_standalone_config_works_as_it_is() {
        let config = parse(
            "bootstrap.servers=localhost:9092
             key.converter=org.apache.kafka.connect.json.JsonConverter
             value.converter=org.apache.kafka.connect.json.JsonConverter
             key.converter.schemas.enable=true
             value.converter.schemas.enable=true
             offset.storage.file.filename=connect.offsets
             offset.flush.interval.ms=10000",
        )
        .unwrap();
        assert_eq!(config.offset_flush_interval(), Duration::from_secs(10));
        assert_eq!(config.bootstrap_servers(), Some("localhost:9092"));
        assert_eq!(
            config.converter("key.converter").options["schemas.enable"],
            "true"
        );
        assert_eq!(
            config.notices(),
            [
                "offset.storage.file.filename has no effect: source offsets are kept in the topic of offset.storage.topic"
            ]
        );
        assert_eq!(config.config_topic().name, "connect-configs");
        assert_eq!(config.offset_topic().partitions, Some(25));
        assert_eq!(config.status_topic().configs["cleanup.policy"], "compact");
    }

    #[test]
    fn kafkas_stock_distributed_config_works_as_it_is() {
        let config = parse(
            "bootstrap.servers=localhost:9092
             group.id=connect-cluster
             key.converter=org.apache.kafka.connect.json.JsonConverter
             value.converter=org.apache.kafka.connect.json.JsonConverter
             offset.storage.topic=my-offsets
             offset.storage.replication.factor=1
             offset.storage.partitions=7
             offset.storage.cleanup.policy=delete
             offset.storage.segment.bytes=1048576
             config.storage.topic=connect-configs
             config.storage.replication.factor=1
             status.storage.topic=connect-status
             status.storage.replication.factor=1
             offset.flush.interval.ms=10000",
        )
        .unwrap();
        let topic = config.offset_topic();
        assert_eq!((topic.name.as_str(), topic.partitions), ("my-offsets", Some(7)));
        assert_eq!(topic.configs["cleanup.policy"], "compact");
        assert_eq!(topic.configs["segment.bytes"], "1048576");
        assert_eq!(config.notices().len(), 4, "{:?}", config.notices());
    }

    #[test]
    fn every_problem_is_listed() {
        let error = parse(
            "offset.flush.interval.ms=soon
             value.converter=Jsn
             plugin.pth=/plugins
             config.providers=file
             producer.compression.type=rar",
        )
        .unwrap_err();
        expect_test::expect![[r#"
            config.providers=file is not supported yet; remove it
            Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG
            Unknown configuration 'plugin.pth': did you mean 'plugin.path'?
            Invalid value rar for configuration producer.compression.type: String must be one of: none, gzip, snappy, lz4, zstd
            Invalid value Jsn for configuration value.converter: Class Jsn could not be found; did you mean Json?"#]]
        .assert_eq(&error.0);
    }

    #[test]
    fn client_keys_are_told_apart() {
        let config = parse("producer.linger.ms=5\nconsumer.auto.offset.reset=earliest").unwrap();
        assert_eq!(
            config.notices(),
            [format!("producer.linger.ms has no effect: {NO_CLIENT}")]
        );
        let error = parse("consumer.auto.offset.reset=latest\nproducer.lingr.ms=5").unwrap_err();
        expect_test::expect![[r#"
            consumer.auto.offset.reset=latest is not supported yet; remove it or use earliest
            Unknown configuration 'producer.lingr.ms': did you mean 'producer.linger.ms'?"#]]
        .assert_eq(&error.0);
    }

    #[test]
    fn unknown_keys_can_be_passed_over() {
        let config = parse("my.own.key=1\nconfig.unknown.keys=ignore").unwrap();
        assert_eq!(
            config.notices(),
            ["my.own.key is no known configuration and is passed over"]
        );
        assert!(parse("my.own.key=1").is_err());
        assert!(parse("value.converter.schema.enable=false").is_err());
    }

    #[test]
    fn definitions_are_unique_and_their_defaults_valid() {
        let mut names: Vec<&str> = KEYS.iter().chain(CLIENT_OPTIONS).map(|key| key.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for key in KEYS.iter().chain(CLIENT_OPTIONS) {
            assert!(
                key.default.is_none_or(|default| key.check(default).is_ok()),
                "{}",
                key.name
            );
            assert!(!key.doc.is_empty(), "{}", key.name);
        }
    }
}
