//! DescribeConfigs, versions 1 to 4: configs with their values, sources and documentation.

use std::collections::HashSet;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
        },
    },
    protocol::StrBytes,
};

use crate::{
    broker::Core,
    config::{
        definition::{Definition, Scope},
        foreign, tables,
        values::Map,
    },
    config_resources::{Resource, own_id},
    config_sources::{Synonym, source, synonyms},
    dynamic_configs::{Levels, Refusal},
    stored_configs::Owner,
    topic_config, topics, wire,
};

/// Most resources that one request describes; a client asks for more in several.
const RESOURCES_MAX: usize = 10_000;

/// A config as it is described.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// Kafka's number of where the value comes from.
    pub(crate) source: i8,
    synonyms: Vec<Synonym>,
    definition: Option<&'static Definition>,
    read_only: bool,
    is_sensitive: bool,
}

impl Entry {
    /// Of an option that can be set, with where its value could come from.
    fn new(definition: &'static Definition, value: Option<String>, synonyms: Vec<Synonym>) -> Self {
        Self {
            name: definition.name.to_owned(),
            value,
            source: synonyms.first().map_or(source::DEFAULT, |first| first.source),
            synonyms,
            definition: Some(definition),
            read_only: false,
            is_sensitive: definition.is_sensitive(),
        }
    }
}

/// All configs of a topic with the given configs of its own.
pub(crate) fn topic_entries(core: &Core, own: &Map) -> Vec<Entry> {
    let levels = core.configs.levels();
    let entry = |definition: &'static Definition| {
        let default = topic_config::default(definition, &levels.values);
        defaulted(core, &levels, definition, own, source::TOPIC, default)
    };
    let is_described =
        |definition: &&Definition| definition.scope != Scope::Internal || own.contains_key(definition.name);
    tables::topic().iter().filter(is_described).map(entry).collect()
}

fn group_entries(core: &Core, own: &Map) -> Vec<Entry> {
    let levels = core.configs.levels();
    let entry = |definition: &'static Definition| {
        let default = match definition.scope {
            Scope::Defaulted(Some(key)) => Some(levels.values.text(key).to_owned()),
            _ => definition.default.map(str::to_owned),
        };
        let mut entry = defaulted(core, &levels, definition, own, source::GROUP, default);
        if definition.scope == Scope::Defaulted(None) {
            let default = definition.default.map(|value| Synonym {
                name: definition.name.to_owned(),
                value: Some(value.to_owned()),
                source: source::DEFAULT,
            });
            entry.synonyms.extend(default);
        }
        entry
    };
    tables::group().iter().map(entry).collect()
}

/// A config of a topic or a group: its own value, or the broker's.
fn defaulted(
    core: &Core,
    levels: &Levels,
    definition: &'static Definition,
    own: &Map,
    own_source: i8,
    default: Option<String>,
) -> Entry {
    let own = own.get(definition.name).map(|value| definition.shown(value));
    let set = own.as_ref().map(|value| Synonym {
        name: definition.name.to_owned(),
        value: Some(value.clone()),
        source: own_source,
    });
    let of_broker = match definition.scope {
        Scope::Defaulted(Some(key)) => synonyms(core.configs.started_with(), levels, key),
        _ => Vec::new(),
    };
    Entry::new(
        definition,
        own.or(default),
        set.into_iter().chain(of_broker).collect(),
    )
}

fn client_metrics_entries(own: &Map) -> Vec<Entry> {
    let entry = |definition: &'static Definition| {
        let value = own.get(definition.name).map(|value| definition.shown(value));
        let set = value.clone().map(|value| Synonym {
            name: definition.name.to_owned(),
            value: Some(value),
            source: source::CLIENT_METRICS,
        });
        let default = || definition.default.map(str::to_owned);
        Entry::new(definition, value.or_else(default), set.into_iter().collect())
    };
    tables::client_metrics().iter().map(entry).collect()
}

/// All configs of this broker.
fn broker_entries(core: &Core) -> Vec<Entry> {
    let levels = core.configs.levels();
    let is_described = |definition: &&Definition| {
        let only_set = matches!(definition.scope, Scope::Internal | Scope::DynamicOnly);
        !only_set || levels.values.given(definition.name).is_some()
    };
    let of_table = tables::broker()
        .iter()
        .filter(is_described)
        .map(|option| option.name);
    let foreign = levels
        .values
        .keys()
        .filter(|key| tables::broker().find(key).is_none());
    let entry = |name: &str| {
        let given = levels.values.given(name);
        let definition = foreign::definition(name);
        let value = match definition {
            Some(definition) => given.or(definition.default).map(|value| definition.shown(value)),
            None => given.map(str::to_owned),
        };
        broker_entry(name, value, synonyms(core.configs.started_with(), &levels, name))
    };
    of_table.chain(foreign).map(entry).collect()
}

/// What is set of all brokers.
fn cluster_entries(core: &Core) -> Vec<Entry> {
    let levels = core.configs.levels();
    let entry = |(name, value): (&String, &String)| {
        let mut synonyms = synonyms(core.configs.started_with(), &levels, name);
        synonyms.retain(|synonym| synonym.source == source::DYNAMIC_DEFAULT_BROKER);
        broker_entry(name, Some(value.clone()), synonyms)
    };
    levels.cluster.iter().map(entry).collect()
}

fn broker_entry(name: &str, value: Option<String>, synonyms: Vec<Synonym>) -> Entry {
    let definition = foreign::definition(name);
    let own = tables::broker().find(name);
    Entry {
        name: name.to_owned(),
        value,
        source: synonyms.first().map_or(source::DEFAULT, |first| first.source),
        synonyms,
        definition,
        read_only: !own.is_some_and(|definition| definition.scope.is_dynamic()),
        // As in Kafka, what is not known may be a secret.
        is_sensitive: definition.is_none_or(Definition::is_sensitive),
    }
}

fn logger_entries(core: &Core) -> Vec<Entry> {
    let loggers = core.env.log_levels.all().into_iter();
    let entries = loggers.map(|(name, logger)| Entry {
        name,
        value: Some(logger.level.name().to_owned()),
        source: source::BROKER_LOGGER,
        synonyms: Vec::new(),
        definition: None,
        read_only: false,
        is_sensitive: false,
    });
    entries.collect()
}

/// Handles the request.
pub(crate) fn handle(core: &Core, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().enumerate().map(|(index, resource)| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let entries = few(index).and_then(|()| entries_of(core, resource));
        match entries {
            Ok(entries) => {
                let keys = resource.configuration_keys.as_deref().unwrap_or_default();
                let keys: HashSet<_> = keys.iter().map(|key| key.as_str()).collect();
                let wanted = |name: &str| keys.is_empty() || keys.contains(name);
                let entries = entries.into_iter().filter(|entry| wanted(&entry.name));
                result.with_configs(entries.map(|entry| describe(entry, request)).collect())
            }
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(wire::message(message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// The answer is many times as large as the request.
fn few(index: usize) -> Result<(), Refusal> {
    if index < RESOURCES_MAX {
        return Ok(());
    }
    let problem = format!("At most {RESOURCES_MAX} resources are described at once.");
    Err((ResponseError::InvalidRequest, problem))
}

fn entries_of(core: &Core, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, Refusal> {
    let name = resource.resource_name.as_str();
    let invalid = |message: String| Err((ResponseError::InvalidRequest, message));
    match Resource::of(resource.resource_type) {
        Some(Resource::Topic) => {
            topics::check_name(name)
                .map_err(|error| (ResponseError::InvalidTopicException, error.to_string()))?;
            let topic = core.topics.get(name).ok_or_else(|| {
                let message = format!("The topic '{name}' does not exist.");
                (ResponseError::UnknownTopicOrPartition, message)
            })?;
            Ok(topic_entries(core, &topic.configs))
        }
        Some(Resource::Broker) if name.is_empty() => Ok(cluster_entries(core)),
        Some(Resource::Broker) => {
            own_id(core, name, "Broker", |own| {
                format!("Unexpected broker id, expected {own} or empty string, but received {name}")
            })?;
            Ok(broker_entries(core))
        }
        Some(Resource::BrokerLogger) if name.is_empty() => invalid("Broker id must not be empty".to_owned()),
        Some(Resource::BrokerLogger) => {
            own_id(core, name, "Broker", |own| {
                format!("Unexpected broker id, expected {own} but received {name}")
            })?;
            Ok(logger_entries(core))
        }
        Some(Resource::ClientMetrics) if name.is_empty() => {
            invalid("Client metrics subscription name must not be empty".to_owned())
        }
        Some(Resource::ClientMetrics) => {
            let own = core.configs.levels().stored.of(Owner::ClientMetrics, name);
            Ok(client_metrics_entries(&own))
        }
        Some(Resource::Group) if name.is_empty() => invalid("Group name must not be empty".to_owned()),
        Some(Resource::Group) => {
            let own = core.configs.levels().stored.of(Owner::Group, name);
            Ok(group_entries(core, &own))
        }
        None => invalid(format!("Unsupported resource type: {}", resource.resource_type)),
    }
}

fn describe(entry: Entry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let told = |value: Option<String>| {
        let value = value.filter(|_| !entry.is_sensitive);
        value.map(StrBytes::from_string)
    };
    let synonyms = if request.include_synonyms {
        entry.synonyms
    } else {
        Vec::new()
    };
    let synonyms = synonyms.into_iter().map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_string(synonym.name))
            .with_value(told(synonym.value))
            .with_source(synonym.source)
    });
    let synonyms = synonyms.collect();
    let documentation = entry.definition.filter(|_| request.include_documentation);
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(told(entry.value))
        .with_read_only(entry.read_only)
        .with_is_sensitive(entry.is_sensitive)
        .with_config_source(entry.source)
        .with_config_type(entry.definition.map_or(0, |definition| definition.kind.number()))
        .with_documentation(documentation.map(|definition| StrBytes::from_string(definition.documentation())))
        .with_synonyms(synonyms)
}
