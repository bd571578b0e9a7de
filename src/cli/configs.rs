//! `jackfield configs`: what topics, brokers and groups are configured with.

use std::collections::BTreeMap;

use anyhow::bail;
use kafka_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest, ListGroupsRequest,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::DescribeConfigsResourceResult,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};
use serde_json::{Value, json};

use crate::{
    arguments::{ConfigType, ConfigsAction, ConfigsArguments},
    client::{Connection, key_value},
    configuration::Environment,
    kafka::{Kafka, Refusal, text},
    output::{Outcome, Output, confirm, suggestion},
};

const SET: i8 = 0;
const DELETE: i8 = 1;
/// The name that stands for the defaults of all brokers; on the wire it is empty.
const ALL_BROKERS: &str = "default";

impl ConfigType {
    fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::Group => 32,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::Group => "group",
        }
    }
}

/// Runs one action.
pub(crate) fn run(arguments: ConfigsArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let output = Output::new(arguments.output, environment);
    let mut kafka = Kafka::connect(&connection)?;
    match arguments.action {
        ConfigsAction::List { kind } => list(&mut kafka, &output, kind),
        ConfigsAction::Describe {
            kind,
            name,
            keys,
            all,
        } => describe(&mut kafka, &output, (kind, name), &keys, all),
        ConfigsAction::Set {
            kind,
            name,
            pairs,
            dry_run,
        } => {
            let changes = changes("KEY=VALUE", &pairs, &[])?;
            let refusal = alter(&mut kafka, kind, &name, &changes, dry_run)?;
            let done = if dry_run { "could configure" } else { "configured" };
            outcome(&mut kafka, &output, kind, name, done, refusal)
        }
        ConfigsAction::Delete {
            kind,
            name,
            keys,
            confirmation,
        } => {
            let question = format!(
                "return {} of {} {name} to the default?",
                keys.join(", "),
                kind.name()
            );
            confirm(&question, confirmation.yes)?;
            check_keys(&mut kafka, (kind, name.clone()), &keys)?;
            let refusal = alter(&mut kafka, kind, &name, &changes("", &[], &keys)?, false)?;
            outcome(&mut kafka, &output, kind, name, "configured", refusal)
        }
    }
}

fn outcome(
    kafka: &mut Kafka,
    output: &Output,
    kind: ConfigType,
    name: String,
    done: &str,
    refusal: Option<Refusal>,
) -> anyhow::Result<()> {
    if kind == ConfigType::Topic && refusal.as_ref().is_some_and(|refusal| refusal.code == 3) {
        return Err(kafka.unknown_topic(&name));
    }
    output.outcomes(&[Outcome {
        kind: kind.name(),
        name,
        result: refusal.map_or_else(|| Ok(done.to_owned()), Err),
    }])
}

/// One value as a broker tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    source: i8,
    read_only: bool,
    sensitive: bool,
    documentation: Option<String>,
    synonyms: Vec<(String, Option<String>, i8)>,
}

impl Entry {
    /// Whether it was set for this very thing: a topic, a broker, all brokers, or a group.
    pub(crate) fn is_own(&self) -> bool {
        match self.kind {
            "topic" => self.source == 1,
            "broker" => matches!(self.source, 2..=4),
            _ => self.source == 8,
        }
    }

    fn shown(&self) -> String {
        match (&self.value, self.sensitive) {
            (_, true) => "(hidden)".to_owned(),
            (Some(value), false) => value.clone(),
            (None, false) => "(none)".to_owned(),
        }
    }

    fn document(&self) -> Value {
        json!({
            "type": self.kind,
            "name": self.name,
            "key": self.key,
            "value": self.value,
            "source": source(self.source),
            "read_only": self.read_only,
            "sensitive": self.sensitive,
        })
    }
}

/// Kafka's name of where a value comes from, in lower case.
fn source(code: i8) -> &'static str {
    match code {
        1 => "topic",
        2 => "dynamic broker",
        3 => "dynamic default broker",
        4 => "static broker",
        5 => "default",
        6 => "dynamic broker logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}

/// Everything that is configured for these.
pub(crate) fn fetch(
    kafka: &mut Kafka,
    resources: &[(ConfigType, String)],
    keys: &[String],
) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut anywhere = Vec::new();
    let mut brokers: BTreeMap<i32, (ConfigType, String)> = BTreeMap::new();
    // A broker alone knows what is in its file.
    for (kind, name) in resources {
        match (kind, name.parse()) {
            (ConfigType::Broker, Ok(id)) => {
                brokers.insert(id, (*kind, name.clone()));
            }
            (ConfigType::Broker, Err(_)) if name != ALL_BROKERS && !name.is_empty() => {
                bail!("broker '{name}' must be a number, or {ALL_BROKERS}")
            }
            _ => anywhere.push((*kind, name.clone())),
        }
    }
    if !anywhere.is_empty() {
        let answer = kafka.any(&request(&anywhere, keys), 4)?;
        read(kafka, answer, &mut entries)?;
    }
    for (id, resource) in brokers {
        let answer = kafka.at(id, &request(&[resource], keys), 4)?;
        read(kafka, answer, &mut entries)?;
    }
    Ok(entries)
}

fn request(resources: &[(ConfigType, String)], keys: &[String]) -> DescribeConfigsRequest {
    let wanted = (!keys.is_empty()).then(|| keys.iter().map(|key| text(key)).collect());
    let resource = |(kind, name): &(ConfigType, String)| {
        DescribeConfigsResource::default()
            .with_resource_type(kind.code())
            .with_resource_name(text(on_wire(*kind, name)))
            .with_configuration_keys(wanted.clone())
    };
    DescribeConfigsRequest::default()
        .with_resources(resources.iter().map(resource).collect())
        .with_include_synonyms(!keys.is_empty())
        .with_include_documentation(!keys.is_empty())
}

fn on_wire(kind: ConfigType, name: &str) -> &str {
    if kind == ConfigType::Broker && name == ALL_BROKERS {
        ""
    } else {
        name
    }
}

fn read(
    kafka: &mut Kafka,
    answer: kafka_protocol::messages::DescribeConfigsResponse,
    entries: &mut Vec<Entry>,
) -> anyhow::Result<()> {
    for result in answer.results {
        let kind = match result.resource_type {
            2 => "topic",
            4 => "broker",
            _ => "group",
        };
        let name = if result.resource_name.is_empty() {
            ALL_BROKERS.to_owned()
        } else {
            result.resource_name.to_string()
        };
        match Refusal::from_code(result.error_code, result.error_message.as_ref()) {
            Some(refusal) if refusal.code == 3 => return Err(kafka.unknown_topic(&name)),
            Some(refusal) => bail!("{kind} '{name}': {refusal}"),
            None => {}
        }
        entries.extend(
            result
                .configs
                .into_iter()
                .map(|config| entry(kind, &name, config)),
        );
    }
    Ok(())
}

fn entry(kind: &'static str, name: &str, config: DescribeConfigsResourceResult) -> Entry {
    let string = |text: Option<kafka_protocol::protocol::StrBytes>| text.map(|text| text.to_string());
    let synonyms = config.synonyms.into_iter();
    Entry {
        kind,
        name: name.to_owned(),
        key: config.name.to_string(),
        value: string(config.value),
        source: config.config_source,
        read_only: config.read_only,
        sensitive: config.is_sensitive,
        documentation: string(config.documentation).filter(|text| !text.is_empty()),
        synonyms: synonyms
            .map(|synonym| (synonym.name.to_string(), string(synonym.value), synonym.source))
            .collect(),
    }
}

fn list(kafka: &mut Kafka, output: &Output, kind: Option<ConfigType>) -> anyhow::Result<()> {
    let wanted = |one: ConfigType| kind.is_none_or(|kind| kind == one);
    let mut resources = Vec::new();
    if wanted(ConfigType::Topic) {
        let topics = kafka.all_topics()?;
        resources.extend(topics.into_keys().map(|name| (ConfigType::Topic, name)));
    }
    if wanted(ConfigType::Broker) {
        resources.extend(
            kafka
                .brokers()
                .keys()
                .map(|id| (ConfigType::Broker, id.to_string())),
        );
        resources.push((ConfigType::Broker, ALL_BROKERS.to_owned()));
    }
    // Not every broker has configuration of groups; who asks for it in particular is told.
    if kind == Some(ConfigType::Group) || (kind.is_none() && kafka.serves::<ListConfigResourcesRequest>(1)) {
        let groups = configured_groups(kafka)?;
        resources.extend(groups.into_iter().map(|name| (ConfigType::Group, name)));
    }
    let mut entries = fetch(kafka, &resources, &[])?;
    entries.retain(Entry::is_own);
    let document = entries.iter().map(Entry::document).collect();
    output.print(&Value::Array(document), || {
        let row = |entry: &Entry| {
            let source = source(entry.source).to_owned();
            vec![
                entry.kind.to_owned(),
                entry.name.clone(),
                entry.key.clone(),
                entry.shown(),
                source,
            ]
        };
        let rows: Vec<_> = entries.iter().map(row).collect();
        output.table(&["TYPE", "NAME", "KEY", "VALUE", "SOURCE"], &rows)
    })
}

/// Groups that have configuration, whether or not there ever was a member; older brokers list only groups that are.
fn configured_groups(kafka: &mut Kafka) -> anyhow::Result<Vec<String>> {
    if !kafka.serves::<ListConfigResourcesRequest>(1) {
        let groups = kafka.any(&ListGroupsRequest::default(), 5)?.groups;
        return Ok(groups.iter().map(|group| group.group_id.to_string()).collect());
    }
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![ConfigType::Group.code()]);
    let answer = kafka.any(&request, 1)?;
    if let Some(refusal) = Refusal::from_code(answer.error_code, None) {
        bail!("the configured groups cannot be listed: {refusal}");
    }
    let names = answer.config_resources.iter();
    Ok(names.map(|resource| resource.resource_name.to_string()).collect())
}

fn describe(
    kafka: &mut Kafka,
    output: &Output,
    resource: (ConfigType, String),
    keys: &[String],
    all: bool,
) -> anyhow::Result<()> {
    let mut entries = fetch(kafka, std::slice::from_ref(&resource), keys)?;
    if keys
        .iter()
        .any(|key| !entries.iter().any(|entry| entry.key == *key))
    {
        let known = fetch(kafka, std::slice::from_ref(&resource), &[])?;
        all_known(resource.0, keys, &known)?;
    }
    let every = entries.len();
    entries.retain(|entry| all || !keys.is_empty() || entry.is_own());
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    let hidden = every - entries.len();
    let document = entries
        .iter()
        .map(|entry| with_help(entry, !keys.is_empty()))
        .collect();
    output.print(&Value::Array(document), || {
        if !keys.is_empty() {
            let described: Vec<_> = entries.iter().map(in_words).collect();
            return described.join("\n");
        }
        let row = |entry: &Entry| {
            let read_only = if entry.read_only { " (read-only)" } else { "" };
            vec![
                entry.key.clone(),
                entry.shown(),
                format!("{}{read_only}", source(entry.source)),
            ]
        };
        let rows: Vec<_> = entries.iter().map(row).collect();
        if rows.is_empty() {
            return match hidden {
                0 => "nothing is configured\n".to_owned(),
                _ => format!("nothing but defaults; --all shows all {hidden} keys\n"),
            };
        }
        output.table(&["KEY", "VALUE", "SOURCE"], &rows)
    })
}

/// Keys that nothing has can be returned to no default.
pub(crate) fn check_keys(
    kafka: &mut Kafka,
    resource: (ConfigType, String),
    keys: &[String],
) -> anyhow::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let kind = resource.0;
    let mut resources = vec![resource];
    // The defaults of all brokers have only the keys that are set; a broker has them all.
    if kind == ConfigType::Broker {
        let ids = kafka.brokers().keys().take(1);
        resources.extend(ids.map(|id| (kind, id.to_string())));
    }
    all_known(kind, keys, &fetch(kafka, &resources, &[])?)
}

fn all_known(kind: ConfigType, keys: &[String], known: &[Entry]) -> anyhow::Result<()> {
    // Keys of one listener stand in no list.
    let is_known =
        |key: &str| key.starts_with("listener.name.") || known.iter().any(|entry| entry.key == key);
    let Some(missing) = keys.iter().find(|key| !is_known(key)) else {
        return Ok(());
    };
    let near = suggestion(missing, known.iter().map(|entry| entry.key.as_str()));
    bail!("a {} has no key '{missing}'{near}", kind.name())
}

fn with_help(entry: &Entry, help: bool) -> Value {
    let mut document = entry.document();
    if help {
        let synonym = |(key, value, code): &(String, Option<String>, i8)| json!({"key": key, "value": value, "source": source(*code)});
        document["documentation"] = json!(entry.documentation);
        document["synonyms"] = entry.synonyms.iter().map(synonym).collect();
    }
    document
}

/// A key with everything that is known about it.
fn in_words(entry: &Entry) -> String {
    let mut text = format!("{}={}  ({})\n", entry.key, entry.shown(), source(entry.source));
    for (key, value, code) in entry.synonyms.iter().skip(1) {
        text += &format!(
            "  before that: {key}={} ({})\n",
            value.as_deref().unwrap_or("(none)"),
            source(*code)
        );
    }
    if let Some(documentation) = &entry.documentation {
        text += &format!("  {documentation}\n");
    }
    text
}

/// What is to change: a key, and its value unless it returns to the default.
pub(crate) type Change = (String, Option<String>);

/// Changes from `key=value` pairs and keys.
pub(crate) fn changes(flag: &str, set: &[String], delete: &[String]) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for pair in set {
        let (key, value) = key_value(flag, pair)?;
        changes.push((key, Some(value)));
    }
    changes.extend(delete.iter().map(|key| (key.clone(), None)));
    Ok(changes)
}

/// Changes the configuration of one thing; the answer is why not.
pub(crate) fn alter(
    kafka: &mut Kafka,
    kind: ConfigType,
    name: &str,
    changes: &[Change],
    dry_run: bool,
) -> anyhow::Result<Option<Refusal>> {
    let config = |(key, value): &Change| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(if value.is_some() { SET } else { DELETE })
            .with_value(value.as_deref().map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind.code())
        .with_resource_name(text(on_wire(kind, name)))
        .with_configs(changes.iter().map(config).collect());
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(dry_run);
    let answer = match name.parse() {
        Ok(id) if kind == ConfigType::Broker => kafka.at(id, &request, 1)?,
        _ => kafka.controller(&request, 1)?,
    };
    let result = answer.responses.first();
    Ok(result.and_then(|result| Refusal::from_code(result.error_code, result.error_message.as_ref())))
}
