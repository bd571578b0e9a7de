//! `transforms` of a connector's config: aliases, and the class and options of each.

use std::collections::BTreeMap;

use jackfield_api::ConfigDef;
use jackfield_plugin::{Form, VersionRange, Wanted};

use super::Problems;
use crate::{
    ConfigMap,
    definition::{list, unknown},
};

/// A transform as it is named, before its class is looked at.
#[derive(Debug, Clone)]
pub(crate) struct NamedTransform {
    /// The user's name for it.
    pub(crate) alias: String,
    /// `transforms.<alias>.type`, `.plugin.version` and `.plugin.form`.
    pub(crate) wanted: Wanted,
    /// Everything else of `transforms.<alias>.`.
    pub(crate) options: BTreeMap<String, String>,
}

/// Options of a transform that are the worker's.
const TYPE: &str = "type";
const FORM: &str = "plugin.form";
const VERSION: &str = "plugin.version";
/// Options that need predicates.
const PREDICATES: [&str; 2] = ["predicate", "negate"];

/// Reads the transforms, in their order.
pub(super) fn parse(config: &ConfigMap, problems: &mut Problems) -> Vec<NamedTransform> {
    let mut named: Vec<NamedTransform> = Vec::new();
    let aliases = config.get("transforms").map_or("", |aliases| aliases.trim());
    for alias in list(aliases).filter(|alias| !alias.is_empty()) {
        if named.iter().any(|known| known.alias == alias) {
            let message =
                format!("Invalid value {aliases} for configuration transforms: Duplicate alias provided.");
            problems.add("transforms", message);
            continue;
        }
        let prefix = format!("transforms.{alias}.");
        let mut options: BTreeMap<String, String> = config
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.trim().to_owned())))
            .collect();
        for option in PREDICATES {
            if options.remove(option).is_some() {
                let key = format!("{prefix}{option}");
                problems.add(&key, format!("{key} is not supported yet; remove it"));
            }
        }
        let form = match options.remove(FORM).as_deref() {
            None => None,
            Some("native") => Some(Form::Native),
            Some("wasm") => Some(Form::Wasm),
            Some(other) => {
                let key = format!("{prefix}{FORM}");
                let message = format!(
                    "Invalid value {other} for configuration {key}: String must be one of: native, wasm"
                );
                problems.add(&key, message);
                None
            }
        };
        let given = options.remove(VERSION).unwrap_or_default();
        let version = given.parse().unwrap_or_else(|error| {
            let key = format!("{prefix}{VERSION}");
            problems.add(
                &key,
                format!("Invalid value {given} for configuration {key}: {error}"),
            );
            VersionRange::default()
        });
        match options.remove(TYPE) {
            Some(class) if !class.is_empty() => named.push(NamedTransform {
                alias: alias.to_owned(),
                wanted: Wanted { class, version, form },
                options,
            }),
            _ => {
                let key = format!("{prefix}{TYPE}");
                let message = format!("Missing required configuration \"{key}\" which has no default value.");
                problems.add(&key, message);
            }
        }
    }
    check_aliases(config, aliases, problems);
    named
}

/// Keys of transforms that nobody names, unless `config.unknown.keys=ignore` passes over them.
fn check_aliases(config: &ConfigMap, aliases: &str, problems: &mut Problems) {
    let ignore = config.get("config.unknown.keys").map(|value| value.trim());
    if ignore.is_some_and(|value| value.eq_ignore_ascii_case("ignore")) {
        return;
    }
    for key in config.keys() {
        let Some(rest) = key.strip_prefix("transforms.") else {
            continue;
        };
        let alias = rest.split('.').next().unwrap_or_default();
        if list(aliases).any(|known| known == alias) {
            continue;
        }
        let message = match aliases {
            "" => format!(
                "Unknown configuration '{key}': transforms names none; name {alias} there, or remove it"
            ),
            names => format!(
                "Unknown configuration '{key}': transforms names {names}; name {alias} there, or remove it"
            ),
        };
        problems.add(key, message);
    }
}

/// Checks a transform's options against its class's definition.
pub(crate) fn check(transform: &NamedTransform, definition: &ConfigDef, problems: &mut Problems) {
    let prefix = format!("transforms.{}.", transform.alias);
    for issue in definition.check(&transform.options) {
        problems.add(&format!("{prefix}{}", issue.name), issue.message);
    }
    for option in transform.options.keys() {
        if definition.key(option).is_none() {
            let known = definition.keys.iter().map(|key| key.name.as_str());
            problems.add(&format!("{prefix}{option}"), unknown(option, known));
        }
    }
}
