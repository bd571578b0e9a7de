//! What lists of keys and forms show of a connector's config: Connect's `ConfigKeyInfo` and `ConfigInfos`.

use std::collections::BTreeMap;

use jackfield_api::{ConfigDef, ConfigKey, ConfigType, Validator};
use jackfield_plugin::Kind;

use super::{OVERRIDES, PLUGIN_VERSION, Problems, keys};
use crate::{
    GivenConfig,
    config::{CONVERTERS, WorkerConfig},
    config_infos::{ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo},
    converters,
    definition::{Key, Shown, list},
};

/// The worker's version, which is that of the converters.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The config that is shown, and what it is checked against.
pub(crate) struct Looked<'a> {
    pub(crate) given: &'a GivenConfig,
    pub(crate) kind: Kind,
    /// Version of the connector, and all that there are.
    pub(crate) versions: &'a [String],
    pub(crate) own: &'a ConfigDef,
    pub(crate) worker: &'a WorkerConfig,
}

/// The keys of a connector class, its own first.
pub(crate) fn key_infos(kind: Kind, own: &ConfigDef, version: &str) -> Vec<ConfigKeyInfo> {
    let framework = keys::of(kind).filter(|key| own.key(key.name).is_none());
    let framework = framework.filter_map(|key| {
        let mut info = key_info(key, "")?;
        if key.name == PLUGIN_VERSION {
            info.default_value = Some(version.to_owned());
        }
        Some(info)
    });
    own.keys.iter().map(own_info).chain(framework).collect()
}

/// The options of a converter; `None` for an unknown class.
pub(crate) fn option_infos(class: &str) -> Option<Vec<ConfigKeyInfo>> {
    let options = converters::options(class)?;
    Some(options.iter().filter_map(|key| key_info(key, "")).collect())
}

/// Keys, values and what is wrong with them, in Kafka's order: what nobody defines, every connector's keys, the
/// connector's own, overrides, options of converters.
pub(crate) fn infos(looked: &Looked<'_>, problems: &Problems) -> ConfigInfos {
    let mut errors: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for problem in problems.iter() {
        errors
            .entry(&problem.key)
            .or_default()
            .push(problem.message.clone());
    }
    let mut groups: Vec<&str> = Vec::new();
    let mut configs = Vec::new();
    for key in keys::of(looked.kind) {
        let Some(shown) = key.shown else { continue };
        groups.extend(shown.group);
        match looked.own.key(key.name) {
            Some(own) => configs.push(looked.own_key(own, &mut errors)),
            None => configs.push(looked.framework_key(key, shown, &mut errors)),
        }
    }
    let own = looked.own.keys.iter();
    for key in own.filter(|key| keys::of(looked.kind).all(|known| known.name != key.name)) {
        configs.push(looked.own_key(key, &mut errors));
    }
    let is_override = |name: &str| OVERRIDES.iter().any(|(prefix, _)| name.starts_with(prefix));
    for (name, value) in looked.given.iter().filter(|(name, _)| is_override(name)) {
        configs.push(undefined(name, value.clone(), &mut errors));
    }
    for which in CONVERTERS.iter().rev() {
        looked.converter(which, &mut groups, &mut configs, &mut errors);
    }
    let given = looked.given.keys().map(String::as_str);
    let mut left: Vec<&str> = given.filter(|name| errors.contains_key(name)).collect();
    left.extend(errors.keys().filter(|name| !looked.given.contains_key(**name)));
    let left: Vec<_> = left
        .into_iter()
        .map(|name| undefined(name, None, &mut errors))
        .collect();
    configs.splice(0..0, left);
    let mut seen = Vec::new();
    groups.retain(|group| {
        let new = !seen.contains(group);
        seen.push(*group);
        new
    });
    let class = looked.text("connector.class").unwrap_or_default().to_owned();
    ConfigInfos::new(class, groups.into_iter().map(str::to_owned).collect(), configs)
}

type Errors<'a> = BTreeMap<&'a str, Vec<String>>;

impl Looked<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name)?.as_deref()
    }

    fn framework_key(&self, key: &Key, shown: Shown, errors: &mut Errors<'_>) -> ConfigInfo {
        let name = key.name;
        let mut definition = key_info(key, "");
        let mut value = self
            .text(name)
            .or(key.default)
            .and_then(|value| parsed(shown.kind, value));
        let mut recommended = Vec::new();
        if let Some(which) = CONVERTERS.iter().find(|which| **which == name) {
            let class = value.unwrap_or_else(|| self.worker.converter(which).class);
            value = Some(converters::full_name(&class).map_or(class, str::to_owned));
            let classes = converters::classes().filter(|(_, header)| !header || *which == "header.converter");
            recommended = classes.map(|(class, _)| class.to_owned()).collect();
            recommended.sort();
            if let Some(definition) = &mut definition {
                definition.default_value = Some(self.worker.converter(which).class);
            }
        } else if let Some(what) = name.strip_suffix(".plugin.version") {
            recommended = match what {
                "connector" => self.versions.to_vec(),
                _ => vec![VERSION.to_owned()],
            };
            value = value.or_else(|| recommended.first().cloned());
            if let Some(definition) = &mut definition {
                definition.default_value = recommended.first().cloned();
            }
        }
        ConfigInfo {
            definition,
            value: ConfigValueInfo::new(name.to_owned(), value, recommended, take(errors, name)),
        }
    }

    fn own_key(&self, key: &ConfigKey, errors: &mut Errors<'_>) -> ConfigInfo {
        let value = self
            .text(&key.name)
            .or(key.default.as_deref())
            .and_then(|value| parsed(key.kind, value));
        let recommended = match &key.validator {
            Some(Validator::OneOf(names)) => names.clone(),
            _ => Vec::new(),
        };
        ConfigInfo {
            definition: Some(own_info(key)),
            value: ConfigValueInfo::new(key.name.clone(), value, recommended, take(errors, &key.name)),
        }
    }

    /// The options of a converter that the connector names itself.
    fn converter(
        &self,
        which: &str,
        groups: &mut Vec<&str>,
        configs: &mut Vec<ConfigInfo>,
        errors: &mut Errors<'_>,
    ) {
        let Some(options) = self
            .text(which)
            .and_then(|class| converters::options(class.trim()))
        else {
            return;
        };
        let prefix = format!("{which}.");
        for key in options {
            let (Some(shown), Some(definition)) = (key.shown, key_info(key, &prefix)) else {
                continue;
            };
            groups.extend(shown.group);
            let used_for = (key.name == "converter.type").then(|| which.trim_end_matches(".converter"));
            let value = self.text(&definition.name).or(used_for).or(key.default);
            let value = value.and_then(|value| parsed(shown.kind, value));
            let errors = take(errors, &definition.name);
            configs.push(ConfigInfo {
                value: ConfigValueInfo::new(definition.name.clone(), value, Vec::new(), errors),
                definition: Some(definition),
            });
        }
    }
}

fn undefined(name: &str, value: Option<String>, errors: &mut Errors<'_>) -> ConfigInfo {
    ConfigInfo {
        definition: None,
        value: ConfigValueInfo::new(name.to_owned(), value, Vec::new(), take(errors, name)),
    }
}

fn take(errors: &mut Errors<'_>, name: &str) -> Vec<String> {
    errors.remove(name).unwrap_or_default()
}

/// The value as Kafka shows it once it has read it; `None` for one of another type.
fn parsed(kind: ConfigType, value: &str) -> Option<String> {
    let value = value.trim();
    let number = |is_one: bool| is_one.then(|| value.to_owned());
    match kind {
        ConfigType::Boolean => crate::definition::boolean(value).map(|flag| flag.to_string()),
        ConfigType::Short => number(value.parse::<i16>().is_ok()),
        ConfigType::Int => number(value.parse::<i32>().is_ok()),
        ConfigType::Long => number(value.parse::<i64>().is_ok()),
        ConfigType::Double => number(value.parse::<f64>().is_ok()),
        ConfigType::List => Some(list(value).collect::<Vec<_>>().join(",")),
        ConfigType::Password => Some("[hidden]".to_owned()),
        ConfigType::String | ConfigType::Class => Some(value.to_owned()),
    }
}

fn key_info(key: &Key, prefix: &str) -> Option<ConfigKeyInfo> {
    let shown = key.shown?;
    Some(ConfigKeyInfo {
        name: format!("{prefix}{}", key.name),
        kind: shown.kind,
        required: shown.required,
        default_value: key.default.map(str::to_owned),
        importance: shown.importance,
        documentation: key.doc.to_owned(),
        group: shown.group.map(str::to_owned),
        order_in_group: shown.order,
        width: shown.width,
        display_name: shown.title.to_owned(),
        dependents: Vec::new(),
    })
}

fn own_info(key: &ConfigKey) -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: key.name.clone(),
        kind: key.kind,
        required: key.required,
        default_value: key.default.clone(),
        importance: key.importance,
        documentation: key.documentation.clone(),
        group: key.group.clone(),
        order_in_group: -1,
        width: crate::definition::Width::None,
        display_name: key.display_name.clone(),
        dependents: Vec::new(),
    }
}
