//! `transforms` of a connector's config: aliases, and the class and options of each.

use std::collections::BTreeMap;

use jackfield_api::ConfigDef;
use jackfield_plugin::Form;

use super::Problems;
use crate::{
    ConfigMap,
    definition::{list, unknown},
};

/// A transform as it is named, before its class is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedTransform {
    /// The user's name for it.
    pub(crate) alias: String,
    /// `transforms.<alias>.type`.
    pub(crate) class: String,
    /// `transforms.<alias>.plugin.form`.
    pub(crate) form: Option<Form>,
    /// Everything else of `transforms.<alias>.`.
    pub(crate) options: BTreeMap<String, String>,
}

/// Options of a transform that are the worker's.
const TYPE: &str = "type";
const FORM: &str = "plugin.form";
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
        match options.remove(TYPE) {
            Some(class) if !class.is_empty() => named.push(NamedTransform {
                alias: alias.to_owned(),
                class,
                form,
                options,
            }),
            _ => {
                let key = format!("{prefix}{TYPE}");
                let message = format!("Missing required configuration \"{key}\" which has no default value.");
                problems.add(&key, message);
            }
        }
    }
    let names = || named.iter().map(|known| known.alias.as_str());
    for key in config.keys() {
        let Some(rest) = key.strip_prefix("transforms.") else {
            continue;
        };
        let alias = rest.split('.').next().unwrap_or_default();
        if !list(aliases).any(|known| known == alias) {
            let mut message = unknown(key, std::iter::empty());
            message.push_str(&format!(
                ": transforms names {}",
                names().collect::<Vec<_>>().join(", ")
            ));
            problems.add(key, message);
        }
    }
    named
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
