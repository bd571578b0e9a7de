//! One definition per configuration key: name, type, default, what it does. Parsing, messages and help derive from it.
//!
//! Messages are those of Kafka's `ConfigDef`.

use jackfield_api::{ConfigType, Importance};
use jackfield_plugin::VersionRange;

/// Type and validator of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A 32-bit number, at least this.
    Int(i64),
    /// A 64-bit number, at least this.
    Long(i64),
    /// Any text.
    Text,
    /// Text that must not be empty.
    NonEmpty,
    /// A connector's name: not empty, no control characters.
    Name,
    /// Comma-separated.
    List,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A version, or a range of them as Maven writes it.
    Version,
}

/// What giving the key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It works as documented.
    Works,
    /// Kafka's key without effect here: accepted with one line of notice that says why.
    None(&'static str),
    /// Not there yet: any value but the default is an error, because ignoring it would change what happens.
    Unsupported,
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Kafka's spelling.
    pub(crate) name: &'static str,
    /// Type.
    pub(crate) kind: Kind,
    /// Default; `None` = unset.
    pub(crate) default: Option<&'static str>,
    /// What giving it does.
    pub(crate) effect: Effect,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// How lists of keys and forms show it; `None` = they do not.
    pub(crate) shown: Option<Shown>,
}

/// How a key is shown, as Kafka's lists have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Kafka's type.
    pub(crate) kind: ConfigType,
    /// How much it matters.
    pub(crate) importance: Importance,
    /// Heading that it stands under.
    pub(crate) group: Option<&'static str>,
    /// Place under the heading; -1 = any.
    pub(crate) order: i32,
    /// Width of the field.
    pub(crate) width: Width,
    /// Label of the field.
    pub(crate) title: &'static str,
    /// It has no default and must be given.
    pub(crate) required: bool,
}

/// Width of a field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// A key that works.
pub(crate) const fn works(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        effect: Effect::Works,
        doc,
        shown: None,
    }
}

/// A key of Kafka's without effect.
pub(crate) const fn no_effect(name: &'static str, kind: Kind, why: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        effect: Effect::None(why),
        doc: why,
        shown: None,
    }
}

/// A key whose only accepted value is its default (or nothing).
pub(crate) const fn unsupported(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        effect: Effect::Unsupported,
        doc,
        shown: None,
    }
}

impl Key {
    /// The same key, shown under a heading.
    pub(crate) const fn shown(
        self,
        kind: ConfigType,
        importance: Importance,
        (group, order): (&'static str, i32),
        width: Width,
        title: &'static str,
    ) -> Self {
        let shown = Shown {
            kind,
            importance,
            group: if group.is_empty() { None } else { Some(group) },
            order,
            width,
            title,
            required: false,
        };
        Self {
            shown: Some(shown),
            ..self
        }
    }

    /// The same key, to be given always.
    pub(crate) const fn required(self) -> Self {
        match self.shown {
            Some(shown) => Self {
                shown: Some(Shown {
                    required: true,
                    ..shown
                }),
                ..self
            },
            None => self,
        }
    }

    /// The same key with a default.
    pub(crate) const fn default(self, value: &'static str) -> Self {
        Self {
            default: Some(value),
            ..self
        }
    }

    /// What is wrong with a value, in Kafka's words.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let wrong = |why: &str| {
            Err(format!(
                "Invalid value {value} for configuration {}: {why}",
                self.name
            ))
        };
        let trimmed = value.trim();
        let number = |least: i64, most: i64, kind: &str| match trimmed.parse::<i64>() {
            Ok(number) if number > most => wrong(&format!("Not a number of type {kind}")),
            Ok(number) if number < least => wrong(&format!("Value must be at least {least}")),
            Ok(_) => Ok(()),
            Err(_) => wrong(&format!("Not a number of type {kind}")),
        };
        match self.kind {
            Kind::Boolean if boolean(trimmed).is_none() => wrong("Expected value to be either true or false"),
            Kind::Int(least) => number(least, i64::from(i32::MAX), "INT"),
            Kind::Long(least) => number(least, i64::MAX, "LONG"),
            Kind::NonEmpty if trimmed.is_empty() => wrong("String must be non-empty"),
            Kind::Name if trimmed.is_empty() => wrong("String may not be empty"),
            Kind::Name if value.chars().any(char::is_control) => {
                let codes: Vec<String> = value
                    .chars()
                    .filter(|c| c.is_control())
                    .map(|c| u32::from(c).to_string())
                    .collect();
                let codes = codes.join(", ");
                wrong(&format!(
                    "String may not contain control sequences but had the following ASCII chars: {codes}"
                ))
            }
            Kind::OneOf(words) if !words.iter().any(|word| word.eq_ignore_ascii_case(trimmed)) => {
                wrong(&format!("String must be one of: {}", words.join(", ")))
            }
            Kind::Version => match trimmed.parse::<VersionRange>() {
                Ok(_) => Ok(()),
                Err(error) => wrong(&error.to_string()),
            },
            _ => Ok(()),
        }?;
        if self.effect == Effect::Unsupported && !trimmed.is_empty() && Some(trimmed) != self.default {
            return Err(format!(
                "{}={trimmed} is not supported yet{}",
                self.name,
                self.default.filter(|default| !default.is_empty()).map_or_else(
                    || "; remove it".to_owned(),
                    |default| format!("; remove it or use {default}")
                )
            ));
        }
        Ok(())
    }
}

/// `true` and `false` in any case.
pub(crate) fn boolean(value: &str) -> Option<bool> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The items of a comma-separated list.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The message for a key that nobody knows, with the nearest known one.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(score, _)| *score >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, candidate)) => format!("Unknown configuration '{name}': did you mean '{candidate}'?"),
        None => format!(
            "Unknown configuration '{name}': remove it, or set config.unknown.keys=ignore to pass over unknown keys"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kafkas() {
        let tasks = works("tasks.max", Kind::Int(1), Some("1"), "");
        assert_eq!(
            tasks.check("0").unwrap_err(),
            "Invalid value 0 for configuration tasks.max: Value must be at least 1"
        );
        assert_eq!(
            tasks.check("many").unwrap_err(),
            "Invalid value many for configuration tasks.max: Not a number of type INT"
        );
        let tolerance = works(
            "errors.tolerance",
            Kind::OneOf(&["none", "all"]),
            Some("none"),
            "",
        );
        assert_eq!(
            tolerance.check("some").unwrap_err(),
            "Invalid value some for configuration errors.tolerance: String must be one of: none, all"
        );
        assert_eq!(tolerance.check(" ALL "), Ok(()));
    }

    #[test]
    fn what_is_not_there_yet_is_an_error_unless_it_asks_for_nothing() {
        let boundary = unsupported("transaction.boundary", Kind::Text, Some("poll"), "");
        assert_eq!(boundary.check("poll"), Ok(()));
        assert_eq!(boundary.check(""), Ok(()));
        assert!(
            boundary
                .check("connector")
                .unwrap_err()
                .contains("not supported yet")
        );
    }

    #[test]
    fn unknown_keys_get_a_suggestion() {
        let known = ["offset.flush.interval.ms", "plugin.path"];
        let message = unknown("offset.flush.intervall.ms", known.into_iter());
        assert_eq!(
            message,
            "Unknown configuration 'offset.flush.intervall.ms': did you mean 'offset.flush.interval.ms'?"
        );
        assert!(unknown("colour", known.into_iter()).contains("config.unknown.keys=ignore"));
    }
}
