//! `topic.creation.*`: how a source's topics are created when they do not exist.

use std::collections::BTreeMap;

use regex::Regex;

use super::Problems;
use crate::{ConfigMap, definition::list};

/// Topic settings in the order in which they are tried; the last is the default group.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicCreation {
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    settings: TopicSettings,
}

/// How to create one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// `None` = broker default.
    pub(crate) partitions: Option<i32>,
    /// Topic configs.
    pub(crate) configs: BTreeMap<String, String>,
}

const DEFAULT: &str = "default";

impl TopicCreation {
    /// Reads the groups; problems are added to `problems`.
    pub(crate) fn parse(config: &ConfigMap, problems: &mut Problems) -> Self {
        let names: Vec<&str> = list(config.get("topic.creation.groups").map_or("", String::as_str)).collect();
        for key in config
            .keys()
            .filter_map(|key| key.strip_prefix("topic.creation."))
        {
            let group = key.split('.').next().unwrap_or_default();
            if key != "groups" && group != DEFAULT && !names.contains(&group) {
                problems.add(
                    &format!("topic.creation.{key}"),
                    format!(
                        "topic.creation.{key} belongs to group '{group}', which topic.creation.groups does not name"
                    ),
                );
            }
        }
        let mut default = group(config, DEFAULT, &TopicSettings::default(), problems);
        default.include = vec![anything()];
        default.exclude.clear();
        let mut groups: Vec<Group> = names
            .iter()
            .map(|name| group(config, name, &default.settings, problems))
            .collect();
        groups.push(default);
        Self { groups }
    }

    /// Settings of a topic: the first group that includes it and does not exclude it.
    pub(crate) fn settings(&self, topic: &str) -> TopicSettings {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(topic));
        self.groups
            .iter()
            .find(|group| matches(&group.include) && !matches(&group.exclude))
            .map(|group| group.settings.clone())
            .unwrap_or_default()
    }
}

fn group(config: &ConfigMap, name: &str, inherited: &TopicSettings, problems: &mut Problems) -> Group {
    let prefix = format!("topic.creation.{name}.");
    let mut group = Group {
        include: Vec::new(),
        exclude: Vec::new(),
        settings: TopicSettings {
            partitions: inherited.partitions,
            configs: BTreeMap::new(),
        },
    };
    for (key, value) in config {
        let Some(option) = key.strip_prefix(&prefix) else {
            continue;
        };
        match option {
            "include" => group.include = patterns(key, value, problems),
            "exclude" => group.exclude = patterns(key, value, problems),
            "partitions" => match value.trim().parse::<i32>() {
                Ok(-1) => group.settings.partitions = None,
                Ok(count) if count > 0 => group.settings.partitions = Some(count),
                _ => problems.add(key, format!(
                    "Invalid value {value} for configuration {key}: Must be a positive number, or -1 for the broker's default"
                )),
            },
            "replication.factor" => {}
            config => {
                group.settings.configs.insert(config.to_owned(), value.clone());
            }
        }
    }
    group
}

fn patterns(key: &str, value: &str, problems: &mut Problems) -> Vec<Regex> {
    let mut compiled = Vec::new();
    for pattern in list(value) {
        match full_match(pattern) {
            Ok(pattern) => compiled.push(pattern),
            Err(error) => problems.add(
                key,
                format!("Invalid value {value} for configuration {key}: {error}"),
            ),
        }
    }
    compiled
}

/// A pattern that must match the whole text, as Java's `matches` does.
pub(crate) fn full_match(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("Invalid regex: {error}"))
}

fn anything() -> Regex {
    Regex::new("").expect("the empty pattern is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_group_wins_and_exclusion_counts() {
        let config = ConfigMap::from_iter(
            [
                ("topic.creation.default.partitions", "3"),
                ("topic.creation.default.replication.factor", "1"),
                ("topic.creation.groups", "compacted, small"),
                ("topic.creation.compacted.include", "state-.*,table"),
                ("topic.creation.compacted.exclude", "state-raw"),
                ("topic.creation.compacted.cleanup.policy", "compact"),
                ("topic.creation.small.include", "state.*"),
                ("topic.creation.small.partitions", "1"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let mut problems = Problems::default();
        let creation = TopicCreation::parse(&config, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let compacted = creation.settings("state-a");
        assert_eq!(compacted.partitions, Some(3));
        assert_eq!(compacted.configs["cleanup.policy"], "compact");
        assert_eq!(creation.settings("state-raw").partitions, Some(1));
        assert_eq!(creation.settings("other").partitions, Some(3));
        assert_eq!(creation.settings("my-table").configs.len(), 0);
    }

    #[test]
    fn mistakes_are_named() {
        let config = ConfigMap::from_iter(
            [
                ("topic.creation.default.partitions", "none"),
                ("topic.creation.grp.include", "a"),
                ("topic.creation.groups", "g"),
                ("topic.creation.g.include", "("),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let mut problems = Problems::default();
        TopicCreation::parse(&config, &mut problems);
        assert_eq!(problems.0.len(), 3, "{problems:?}");
    }
}
