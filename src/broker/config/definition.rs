//! What one configuration option is: its name, type, default and meaning. Broker and topic options are tables of these;
//! parsing, validation and DescribeConfigs derive from them.

use std::collections::BTreeMap;

/// One option.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Kafka's key.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written in a file; `None` = not set.
    pub(crate) default: Option<&'static str>,
    pub(crate) doc: &'static str,
}

/// Type and allowed values of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Java's `int`, within bounds.
    Int(i64, i64),
    /// Java's `long`, within bounds.
    Long(i64, i64),
    /// Java's `double`, within bounds (whole numbers, to keep this comparable).
    Double(i64, i64),
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Comma-separated words of these; any words when empty.
    List(&'static [&'static str]),
}

impl Kind {
    /// What is wrong with a value, worded to follow "must be".
    pub(crate) fn check(self, value: &str) -> Result<(), String> {
        let number = |low: i64, high: i64| match value.parse::<i64>() {
            Ok(number) if (low..=high).contains(&number) => Ok(()),
            _ if high >= i64::from(i32::MAX) => Err(format!("a whole number of at least {low}")),
            _ => Err(format!("a whole number from {low} to {high}")),
        };
        match self {
            Self::Text => Ok(()),
            Self::Boolean => match value {
                "true" | "false" => Ok(()),
                _ => Err("true or false".to_owned()),
            },
            Self::Int(low, high) | Self::Long(low, high) => number(low, high),
            Self::Double(low, high) => match value.parse::<f64>() {
                #[allow(clippy::cast_precision_loss, reason = "bounds of ratios are small")]
                Ok(number) if (low as f64..=high as f64).contains(&number) => Ok(()),
                _ => Err(format!("a number from {low} to {high}")),
            },
            Self::OneOf(words) if words.contains(&value) => Ok(()),
            Self::OneOf(words) => Err(format!("one of {}", words.join(", "))),
            Self::List(words) => {
                let known = |word: &str| words.is_empty() || words.contains(&word);
                if split_list(value).all(known) {
                    Ok(())
                } else {
                    Err(format!("a list of {}", words.join(", ")))
                }
            }
        }
    }
}

/// The words of a comma-separated list.
pub(crate) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// Checked values over a table of definitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// Takes the values that `table` defines out of `given`; problems go to `problems`, and such a value is left unset.
    pub(crate) fn check(
        table: &'static [Definition],
        given: &BTreeMap<String, String>,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut values = BTreeMap::new();
        for definition in table {
            let Some(value) = given.get(definition.name) else {
                continue;
            };
            let value = value.trim();
            match definition.kind.check(value) {
                Ok(()) => {
                    values.insert(definition.name, value.to_owned());
                }
                Err(must_be) => {
                    problems.push(format!("{} must be {must_be}, not '{value}'", definition.name))
                }
            }
        }
        Self(values)
    }

    /// A value that was given.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number that was given.
    pub(crate) fn given_number(&self, name: &str) -> Option<i64> {
        self.given(name)?.parse().ok()
    }
}

/// Looks an option up.
pub(crate) fn find(table: &'static [Definition], name: &str) -> Option<&'static Definition> {
    table.iter().find(|definition| definition.name == name)
}

/// The known name closest to an unknown one, when it is close enough to be meant.
pub(crate) fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.max_by(|a, b| {
        let closeness = |name: &str| strsim::jaro_winkler(unknown, name);
        closeness(a).total_cmp(&closeness(b))
    })?;
    let distance = strsim::damerau_levenshtein(unknown, best);
    (distance <= 2.max(unknown.len() / 4)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        for (kind, value, problem) in [
            (Kind::Boolean, "true", ""),
            (Kind::Boolean, "yes", "true or false"),
            (
                Kind::Int(1, i64::from(i32::MAX)),
                "0",
                "a whole number of at least 1",
            ),
            (Kind::Int(0, 10), "11", "a whole number from 0 to 10"),
            (Kind::Long(-1, i64::MAX), "x", "a whole number of at least -1"),
            (Kind::Long(-1, i64::MAX), "-1", ""),
            (Kind::Double(0, 1), "0.5", ""),
            (Kind::Double(0, 1), "1.5", "a number from 0 to 1"),
            (Kind::OneOf(&["fsync", "os"]), "os", ""),
            (Kind::OneOf(&["fsync", "os"]), "none", "one of fsync, os"),
            (Kind::List(&["compact", "delete"]), "compact, delete", ""),
            (
                Kind::List(&["compact", "delete"]),
                "keep",
                "a list of compact, delete",
            ),
        ] {
            let checked = kind.check(value).err().unwrap_or_default();
            assert_eq!(checked, problem, "{kind:?} {value}");
        }
    }

    #[test]
    fn close_names_are_suggested() {
        let known = ["num.partitions", "log.dirs", "log.retention.ms"];
        let suggest = |name| suggestion(name, known.into_iter());
        assert_eq!(suggest("num.partition"), Some("num.partitions"));
        assert_eq!(suggest("log.dri"), Some("log.dirs"));
        assert_eq!(suggest("log.retention.msec"), Some("log.retention.ms"));
        assert_eq!(suggest("colour"), None);
    }
}
