//! IncrementalAlterConfigs, versions 0 and 1, and AlterConfigs, versions 0 to 2: configs of topics. Those of the broker change
//! by a restart only.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_request,
        incremental_alter_configs_response,
    },
    protocol::StrBytes,
};

use crate::{
    CreateTopicError,
    broker::Core,
    config::definition::{Kind, find, split_list},
    describe_configs::{BROKER, TOPIC},
    error_codes,
    repeated::repeated,
    topic_config::{TOPIC_OPTIONS, settings},
};

/// Why the configs of a resource were not changed, in Kafka's words.
type Refusal = (i16, String);

/// What is done to a key (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    fn of(number: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// One key, what is done to it, and with which value.
type Change = (String, Operation, Option<String>);

/// A resource by type and name.
type Resource = (i8, String);

/// Handles IncrementalAlterConfigs.
pub(crate) fn handle_incremental(
    core: &Core,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let asked = request.resources.into_iter().map(|resource| {
        let key = (resource.resource_type, resource.resource_name.to_string());
        (key, changes(&resource.configs))
    });
    let altered = alter_all(core, asked.collect(), request.validate_only, Others::Stay);
    let responses = altered.into_iter().map(|((kind, name), code, message)| {
        incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name))
            .with_error_code(code)
            .with_error_message((code != 0).then_some(message))
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

/// Handles AlterConfigs: what is not given is removed.
pub(crate) fn handle(core: &Core, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked = request.resources.into_iter().map(|resource| {
        let key = (resource.resource_type, resource.resource_name.to_string());
        let set = resource.configs.iter().map(|config| {
            let value = config.value.as_ref().map(ToString::to_string);
            (config.name.to_string(), Operation::Set, value)
        });
        (key, checked(set.collect()))
    });
    let altered = alter_all(core, asked.collect(), request.validate_only, Others::Go);
    let responses = altered.into_iter().map(|((kind, name), code, message)| {
        alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name))
            .with_error_code(code)
            .with_error_message((code != 0).then_some(message))
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// What becomes of the configs that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    Stay,
    Go,
}

/// Alters each resource; error code and message per resource.
fn alter_all(
    core: &Core,
    asked: Vec<(Resource, Result<Vec<Change>, Refusal>)>,
    validate_only: bool,
    others: Others,
) -> Vec<(Resource, i16, StrBytes)> {
    let twice = repeated(asked.iter().map(|(resource, _)| resource.clone()));
    let alter = |(resource, changes): (Resource, Result<Vec<Change>, Refusal>)| {
        let altered = once(&twice, &resource).and(changes).and_then(|changes| {
            alter(core, &resource, validate_only, &names(&changes), |own| {
                let kept = if others == Others::Stay {
                    own.clone()
                } else {
                    BTreeMap::new()
                };
                apply(core, kept, &changes)
            })
        });
        match altered {
            Ok(()) => (resource, 0, StrBytes::default()),
            Err((code, message)) => (resource, code, StrBytes::from_string(message)),
        }
    };
    asked.into_iter().map(alter).collect()
}

fn invalid(message: String) -> Refusal {
    (ResponseError::InvalidRequest.code(), message)
}

fn once(twice: &HashSet<Resource>, resource: &Resource) -> Result<(), Refusal> {
    if twice.contains(resource) {
        return Err(invalid("Each resource must appear at most once.".to_owned()));
    }
    Ok(())
}

fn changes(configs: &[incremental_alter_configs_request::AlterableConfig]) -> Result<Vec<Change>, Refusal> {
    let change = |config: &incremental_alter_configs_request::AlterableConfig| {
        let operation = Operation::of(config.config_operation);
        let operation = operation
            .ok_or_else(|| invalid(format!("Unknown operation type {}", config.config_operation)))?;
        let value = config.value.as_ref().map(ToString::to_string);
        Ok((config.name.to_string(), operation, value))
    };
    checked(configs.iter().map(change).collect::<Result<_, _>>()?)
}

/// Each key once, and with a value where one is needed.
fn checked(changes: Vec<Change>) -> Result<Vec<Change>, Refusal> {
    let mut seen = HashSet::new();
    if changes.iter().any(|(key, _, _)| !seen.insert(key)) {
        return Err(invalid("Error due to duplicate config keys".to_owned()));
    }
    let without = |change: &&Change| change.1 != Operation::Delete && change.2.is_none();
    let missing: Vec<_> = changes
        .iter()
        .filter(without)
        .map(|change| change.0.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(changes);
    }
    Err(invalid(format!(
        "Null value not supported for : {}",
        missing.join(", ")
    )))
}

fn names(changes: &[Change]) -> String {
    let names: Vec<_> = changes.iter().map(|(key, _, _)| key.as_str()).collect();
    names.join(", ")
}

fn alter(
    core: &Core,
    (kind, name): &Resource,
    validate_only: bool,
    keys: &str,
    change: impl FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CreateTopicError>,
) -> Result<(), Refusal> {
    match *kind {
        TOPIC => {
            let changed = core.topics.change_configs(name, validate_only, change);
            changed.map_err(|error| (error_codes::of_change_topic(&error), error.to_string()))
        }
        BROKER if name.is_empty() || *name == core.config.node_id.to_string() => Err(invalid(format!(
            "Cannot update these configs dynamically: Set({keys})"
        ))),
        BROKER => Err(invalid(format!(
            "Unexpected broker id, expected {} or empty string, but received {name}",
            core.config.node_id
        ))),
        other => Err(invalid(format!("Unsupported resource type: {other}"))),
    }
}

/// The configs after the changes.
fn apply(
    core: &Core,
    mut configs: BTreeMap<String, String>,
    changes: &[Change],
) -> Result<BTreeMap<String, String>, CreateTopicError> {
    for (key, operation, value) in changes {
        let value = value.clone().unwrap_or_default();
        match operation {
            Operation::Set => {
                configs.insert(key.clone(), value);
            }
            Operation::Delete => {
                configs.remove(key);
            }
            Operation::Append | Operation::Subtract => {
                let words = list_after(core, &configs, key, *operation, &value)?;
                configs.insert(key.clone(), words.join(","));
            }
        }
    }
    Ok(configs)
}

/// The words of a list after some were added or taken out.
fn list_after(
    core: &Core,
    configs: &BTreeMap<String, String>,
    key: &str,
    operation: Operation,
    value: &str,
) -> Result<Vec<String>, CreateTopicError> {
    let definition = find(TOPIC_OPTIONS, key).filter(|definition| matches!(definition.kind, Kind::List(_)));
    let Some(definition) = definition else {
        return Err(CreateTopicError::InvalidConfig(format!(
            "Can't {} to key {key} because its type is not LIST.",
            operation.name()
        )));
    };
    let now = settings(definition, configs, &core.config.values);
    let mut words: Vec<String> = now
        .first()
        .into_iter()
        .flat_map(|setting| split_list(&setting.value))
        .map(str::to_owned)
        .collect();
    for word in split_list(value) {
        let known = words.iter().any(|known| known == word);
        match operation {
            Operation::Subtract => words.retain(|known| known != word),
            _ if known => {}
            _ => words.push(word.to_owned()),
        }
    }
    Ok(words)
}
