//! IncrementalAlterConfigs, versions 0 and 1, and AlterConfigs, versions 0 to 2: configs of topics, brokers, groups and client
//! metrics, and levels of loggers.

use std::collections::HashSet;

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
    broker::Core,
    broker_loggers,
    config::{
        definition::{Scope, Table, split_list},
        tables,
        valid::Kind as Type,
        values::{Map, Values},
    },
    config_resources::{Resource as Kind, own_id},
    dynamic_configs::Refusal,
    error_codes,
    repeated::repeated,
    stored_configs::Owner,
    topic_config, wire,
};

/// Most keys that one request changes, as in Kafka.
const CHANGES_MAX: usize = 10_000;

/// What is done to a key (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
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

    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// One key, what is done to it, and with which value.
pub(crate) type Change = (String, Operation, Option<String>);

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
    let changes = |asked: &Result<Vec<Change>, Refusal>| asked.as_ref().map_or(0, Vec::len);
    let is_too_much = asked.iter().map(|(_, asked)| changes(asked)).sum::<usize>() > CHANGES_MAX;
    let alter = |(resource, changes): (Resource, Result<Vec<Change>, Refusal>)| {
        let altered = once(&twice, &resource)
            .and(few(is_too_much))
            .and(changes)
            .and_then(|changes| alter(core, &resource, validate_only, others, &changes));
        match altered {
            Ok(()) => (resource, 0, StrBytes::default()),
            Err((error, problem)) => (resource, error.code(), wire::message(problem)),
        }
    };
    asked.into_iter().map(alter).collect()
}

fn invalid(message: String) -> Refusal {
    (ResponseError::InvalidRequest, message)
}

fn once(twice: &HashSet<Resource>, resource: &Resource) -> Result<(), Refusal> {
    if twice.contains(resource) {
        return Err(invalid("Each resource must appear at most once.".to_owned()));
    }
    Ok(())
}

fn few(is_too_much: bool) -> Result<(), Refusal> {
    if is_too_much {
        let problem = "Unable to perform excessively large batch operation.".to_owned();
        return Err((ResponseError::PolicyViolation, problem));
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

fn alter(
    core: &Core,
    (kind, name): &Resource,
    validate_only: bool,
    others: Others,
    changes: &[Change],
) -> Result<(), Refusal> {
    let kept = |own: &Map| {
        if others == Others::Stay {
            own.clone()
        } else {
            Map::new()
        }
    };
    let store = |owner, defaults: &Defaults<'_>| {
        let change = |own: &Map| apply(kept(own), changes, defaults);
        let in_force = |values: &Values| core.put_in_force(values);
        core.configs.change(owner, name, validate_only, change, in_force)
    };
    match Kind::of(*kind) {
        Some(Kind::Topic) if name.is_empty() => {
            Err(invalid("Default topic resources are not allowed.".to_owned()))
        }
        Some(Kind::Topic) => {
            let levels = core.configs.levels();
            let defaults = |key: &str| list_default(tables::topic(), key, &levels.values);
            let change = |own: &Map| apply(kept(own), changes, &defaults);
            core.topics
                .change_configs(name, validate_only, change)
                .map_err(|error| {
                    let code = error_codes::of_change_topic(&error);
                    (code, error.to_string())
                })
        }
        Some(Kind::Broker) => {
            if !name.is_empty() {
                own_id(core, name, "Node", |own| {
                    format!("Unexpected broker id, expected {own}, but received {name}")
                })?;
            }
            // As in Kafka, a list is appended to its default, whatever the file says.
            store(Owner::Broker, &|key| {
                list_default(tables::broker(), key, &Values::default())
            })
        }
        Some(Kind::ClientMetrics) if name.is_empty() => {
            Err(invalid("Subscription name can't be empty".to_owned()))
        }
        Some(Kind::ClientMetrics) => store(Owner::ClientMetrics, &|key| {
            list_default(tables::client_metrics(), key, &Values::default())
        }),
        Some(Kind::Group) if name.is_empty() => {
            Err(invalid("Default group resources are not allowed.".to_owned()))
        }
        Some(Kind::Group) => store(Owner::Group, &|_| None),
        Some(Kind::BrokerLogger) if others == Others::Stay => {
            broker_loggers::alter(core, name, validate_only, changes)
        }
        // The older request does not know them.
        Some(Kind::BrokerLogger) | None => Err(invalid(format!("Unknown resource type {kind}"))),
    }
}

/// The default of an option that is a list.
type Defaults<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn list_default(table: &'static Table, key: &str, broker: &Values) -> Option<String> {
    let definition = table
        .find(key)
        .filter(|definition| definition.kind == Type::List)?;
    let of_topic = matches!(definition.scope, Scope::Defaulted(_));
    let default = || definition.default.map(str::to_owned);
    let default = if of_topic {
        topic_config::default(definition, broker)
    } else {
        default()
    };
    Some(default.unwrap_or_default())
}

/// The configs after the changes.
fn apply(mut configs: Map, changes: &[Change], defaults: &Defaults<'_>) -> Result<Map, Refusal> {
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
                let default = defaults(key).ok_or_else(|| {
                    let operation = operation.name();
                    let problem = format!("Can't {operation} to key {key} because its type is not LIST.");
                    (ResponseError::InvalidConfig, problem)
                })?;
                let now = configs.get(key).unwrap_or(&default);
                let words = list_after(now, *operation, &value);
                configs.insert(key.clone(), words.join(","));
            }
        }
    }
    Ok(configs)
}

/// The words of a list after some were added or taken out.
fn list_after(now: &str, operation: Operation, value: &str) -> Vec<String> {
    let mut words: Vec<String> = split_list(now).map(str::to_owned).collect();
    for word in split_list(value) {
        let known = words.iter().any(|known| known == word);
        match operation {
            Operation::Subtract => words.retain(|known| known != word),
            _ if known => {}
            _ => words.push(word.to_owned()),
        }
    }
    words
}
