//! DescribeConfigs, versions 1 to 4: topic and broker configs with their sources.

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
    topic_config::{DEFINITIONS, Definition, Type},
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const DYNAMIC_TOPIC_CONFIG: i8 = 1;
const STATIC_BROKER_CONFIG: i8 = 4;
const DEFAULT_CONFIG: i8 = 5;

/// A topic config in force.
pub(crate) struct Entry {
    pub(crate) definition: &'static Definition,
    pub(crate) value: String,
    pub(crate) source: i8,
    /// Where the value could come from, the one in force first: name, value, source.
    synonyms: Vec<(&'static str, String, i8)>,
}

/// All configs of a topic with the given configs of its own.
pub(crate) fn topic_entries(core: &Core, own: &BTreeMap<String, String>) -> Vec<Entry> {
    DEFINITIONS
        .iter()
        .map(|definition| {
            let mut synonyms = Vec::new();
            if let Some(value) = own.get(definition.key) {
                synonyms.push((definition.key, value.clone(), DYNAMIC_TOPIC_CONFIG));
            }
            if !definition.broker_key.is_empty() {
                if let Some(value) = core.config.given.get(definition.broker_key) {
                    synonyms.push((definition.broker_key, value.clone(), STATIC_BROKER_CONFIG));
                }
                synonyms.push((
                    definition.broker_key,
                    definition.default.to_owned(),
                    DEFAULT_CONFIG,
                ));
            }
            let (value, source) = synonyms.first().map_or_else(
                || (definition.default.to_owned(), DEFAULT_CONFIG),
                |(_, value, source)| (value.clone(), *source),
            );
            Entry {
                definition,
                value,
                source,
                synonyms,
            }
        })
        .collect()
}

/// Handles the request.
pub(crate) fn handle(core: &Core, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let synonyms = request.include_synonyms;
    let results = request
        .resources
        .into_iter()
        .map(|resource| describe(core, &resource, synonyms));
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(core: &Core, resource: &DescribeConfigsResource, synonyms: bool) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    let refuse = |error: ResponseError, message: String| {
        DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)))
    };
    let wanted = |key: &str| {
        resource
            .configuration_keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|k| k.as_str() == key))
    };
    match resource.resource_type {
        TOPIC => {
            let Some(topic) = core.topics.get(&resource.resource_name) else {
                let message = format!("The topic '{}' does not exist.", resource.resource_name.as_str());
                return refuse(ResponseError::UnknownTopicOrPartition, message);
            };
            let entries = topic_entries(core, &topic.configs);
            let entries = entries.into_iter().filter(|entry| wanted(entry.definition.key));
            result.with_configs(entries.map(|entry| topic_result(entry, synonyms)).collect())
        }
        BROKER => {
            let here = core.config.node_id.to_string();
            if !matches!(resource.resource_name.as_str(), "" | "0") && resource.resource_name.as_str() != here
            {
                let message = format!(
                    "Unexpected broker id, expected {here} but received {}",
                    resource.resource_name.as_str()
                );
                return refuse(ResponseError::InvalidRequest, message);
            }
            let given = core.config.given.iter().filter(|(key, _)| wanted(key));
            result.with_configs(given.map(|(key, value)| broker_result(key, value)).collect())
        }
        other => refuse(
            ResponseError::InvalidRequest,
            format!("Unsupported resource type: {other}"),
        ),
    }
}

fn topic_result(entry: Entry, synonyms: bool) -> DescribeConfigsResourceResult {
    let synonyms = if synonyms { entry.synonyms } else { Vec::new() };
    let synonyms = synonyms.into_iter().map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_source(source)
    });
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.definition.key))
        .with_value(Some(StrBytes::from_string(entry.value)))
        .with_config_source(entry.source)
        .with_config_type(entry.definition.kind as i8)
        .with_synonyms(synonyms.collect())
}

/// A key of the broker's configuration as it was given; it can be changed by a restart only.
fn broker_result(key: &str, value: &str) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(key.to_owned()))
        .with_value(Some(StrBytes::from_string(value.to_owned())))
        .with_read_only(true)
        .with_config_source(STATIC_BROKER_CONFIG)
        .with_config_type(Type::String as i8)
}
