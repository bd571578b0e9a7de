//! Where the value of a config comes from, and could come from: KIP-226's order of precedence.

use crate::{
    config::{definition::Scope, foreign, tables, values::Values},
    dynamic_configs::Levels,
    topic_config,
};

/// Kafka's numbers.
pub(crate) mod source {
    pub(crate) const TOPIC: i8 = 1;
    pub(crate) const DYNAMIC_BROKER: i8 = 2;
    pub(crate) const DYNAMIC_DEFAULT_BROKER: i8 = 3;
    pub(crate) const STATIC_BROKER: i8 = 4;
    pub(crate) const DEFAULT: i8 = 5;
    pub(crate) const BROKER_LOGGER: i8 = 6;
    pub(crate) const CLIENT_METRICS: i8 = 7;
    pub(crate) const GROUP: i8 = 8;
}

/// A value under the name it is set by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) source: i8,
}

/// The values that an option of the broker has on each level, the one in force first. As in Kafka, what stands before the
/// first under its own name is left out.
pub(crate) fn synonyms(started_with: &Values, levels: &Levels, name: &str) -> Vec<Synonym> {
    let mut names = topic_config::same_as(name);
    names.extend(foreign::of_listener(name));
    let default = |name: &str| {
        let option = tables::broker().find(name)?;
        // What the file cannot set has no default there either.
        option.default.filter(|_| option.scope != Scope::DynamicOnly)
    };
    let of_level = |source: i8, value: &dyn Fn(&str) -> Option<String>| {
        let found = names.iter().filter_map(|name| {
            Some(Synonym {
                name: (*name).to_owned(),
                value: Some(value(name)?),
                source,
            })
        });
        found.collect::<Vec<_>>()
    };
    let all = [
        of_level(source::DYNAMIC_BROKER, &|name| levels.own.get(name).cloned()),
        of_level(source::DYNAMIC_DEFAULT_BROKER, &|name| {
            levels.cluster.get(name).cloned()
        }),
        of_level(source::STATIC_BROKER, &|name| {
            started_with.given(name).map(str::to_owned)
        }),
        of_level(source::DEFAULT, &|name| default(name).map(str::to_owned)),
    ];
    all.into_iter()
        .flatten()
        .skip_while(|synonym| synonym.name != name)
        .collect()
}
