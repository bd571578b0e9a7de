//! DescribeConfigs, versions 1 to 4: topic and broker configs with their values, sources and documentation.

use std::collections::BTreeMap;

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
        definition::{Definition, Kind},
        keys::BROKER_OPTIONS,
    },
    topic_config::{Origin, TOPIC_OPTIONS, broker_key, settings},
};

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;

const DYNAMIC_TOPIC_CONFIG: i8 = 1;
const STATIC_BROKER_CONFIG: i8 = 4;
const DEFAULT_CONFIG: i8 = 5;

/// A config as it is described.
pub(crate) struct Entry {
    pub(crate) definition: &'static Definition,
    pub(crate) value: String,
    /// Kafka's number of where the value comes from.
    pub(crate) source: i8,
    /// Where the value could come from, the one in force first: name, value, source. As in Kafka, keys with other units
    /// in front of the broker's own key are left out.
    synonyms: Vec<(&'static str, String, i8)>,
    read_only: bool,
}

/// All configs of a topic with the given configs of its own.
pub(crate) fn topic_entries(core: &Core, own: &BTreeMap<String, String>) -> Vec<Entry> {
    let entry = |definition: &'static Definition| {
        let synonyms: Vec<_> = settings(definition, own, &core.config.values)
            .into_iter()
            .map(|setting| match setting.origin {
                Origin::Topic => (definition.name, setting.value, DYNAMIC_TOPIC_CONFIG),
                Origin::Broker(key) => (key, setting.value, STATIC_BROKER_CONFIG),
                Origin::Default(key) => (key, setting.value, DEFAULT_CONFIG),
            })
            .collect();
        let (_, value, source) = synonyms.first().expect("a default at least").clone();
        let (own, broker): (Vec<_>, Vec<_>) = synonyms
            .into_iter()
            .partition(|(_, _, source)| *source == DYNAMIC_TOPIC_CONFIG);
        let key = broker_key(definition);
        let broker = broker.into_iter().skip_while(|(name, _, _)| *name != key);
        let synonyms = own.into_iter().chain(broker).collect();
        Entry {
            definition,
            value,
            source,
            synonyms,
            read_only: false,
        }
    };
    TOPIC_OPTIONS.iter().map(entry).collect()
}

/// The broker's configs that have an effect; all can be changed by a restart only.
fn broker_entries(core: &Core) -> Vec<Entry> {
    let entry = |definition: &'static Definition| {
        let given = core.config.values.given(definition.name);
        let given = given.map(|value| (definition.name, value.to_owned(), STATIC_BROKER_CONFIG));
        let default = definition.default;
        let default = default.map(|value| (definition.name, value.to_owned(), DEFAULT_CONFIG));
        let synonyms: Vec<_> = given.into_iter().chain(default).collect();
        let (value, source) = synonyms
            .first()
            .map_or((String::new(), DEFAULT_CONFIG), |(_, value, source)| {
                (value.clone(), *source)
            });
        Entry {
            definition,
            value,
            source,
            synonyms,
            read_only: true,
        }
    };
    BROKER_OPTIONS.iter().map(entry).collect()
}

/// Handles the request.
pub(crate) fn handle(core: &Core, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match entries_of(core, resource) {
            Ok(entries) => {
                let keys = resource.configuration_keys.as_ref();
                let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
                let entries = entries.into_iter().filter(|entry| wanted(entry.definition.name));
                result.with_configs(entries.map(|entry| describe(entry, request)).collect())
            }
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn entries_of(
    core: &Core,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Entry>, (ResponseError, String)> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => match core.topics.get(name) {
            Some(topic) => Ok(topic_entries(core, &topic.configs)),
            None => Err((
                ResponseError::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            )),
        },
        BROKER if name == core.config.node_id.to_string() => Ok(broker_entries(core)),
        // The default of all brokers: nothing is configured dynamically here.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER => Err((
            ResponseError::InvalidRequest,
            format!(
                "Unexpected broker id, expected {}, but received {name}",
                core.config.node_id
            ),
        )),
        other => Err((
            ResponseError::InvalidRequest,
            format!("Unsupported resource type: {other}"),
        )),
    }
}

fn describe(entry: Entry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let synonyms = if request.include_synonyms {
        entry.synonyms
    } else {
        Vec::new()
    };
    let synonyms = synonyms.into_iter().map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_source(source)
    });
    let documentation = request
        .include_documentation
        .then(|| StrBytes::from_static_str(entry.definition.doc));
    // An option without a value is null, as in Kafka.
    let value = Some(entry.value).filter(|value| !value.is_empty() || entry.definition.default.is_some());
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.definition.name))
        .with_value(value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source)
        .with_config_type(type_number(entry.definition.kind))
        .with_documentation(documentation)
        .with_synonyms(synonyms.collect())
}

/// Kafka's number of a type.
fn type_number(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::Text | Kind::OneOf(_) => 2,
        Kind::Int(..) => 3,
        Kind::Long(..) => 5,
        Kind::Double(..) => 6,
        Kind::List(_) => 7,
    }
}
