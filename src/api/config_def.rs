//! The definition of a connector's options: the single place that parsing, validation, help and documentation use.
//!
//! Types, checks and messages are those of Kafka's `ConfigDef`, because users meet them in REST answers.

use std::collections::BTreeMap;

/// Config types, Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

/// Importance, Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Checks a value beyond its type.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Validator {
    NonEmpty,
    OneOf(Vec<String>),
    Range { min: Option<i64>, max: Option<i64> },
}

/// One option: the single definition that parsing, validation, help and documentation derive from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the fields of Connect's ConfigKeyInfo")]
pub struct ConfigKey {
    pub name: String,
    pub kind: ConfigType,
    /// `None` and `required` = must be given; `None` and not required = null.
    pub default: Option<String>,
    pub required: bool,
    pub importance: Importance,
    pub documentation: String,
    pub display_name: String,
    pub group: Option<String>,
    pub validator: Option<Validator>,
}

/// The options of a connector.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct ConfigDef {
    /// In display order.
    pub keys: Vec<ConfigKey>,
}

/// A problem with one option.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConfigValueIssue {
    /// Option.
    pub name: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl ConfigDef {
    /// Checks types, required values and validators of the given config; unknown keys are not looked at.
    pub fn check(&self, config: &BTreeMap<String, String>) -> Vec<ConfigValueIssue> {
        let issue = |key: &ConfigKey, message| ConfigValueIssue {
            name: key.name.clone(),
            message,
        };
        let mut issues = Vec::new();
        for key in &self.keys {
            match config.get(&key.name).or(key.default.as_ref()) {
                Some(value) => {
                    if let Err(message) = key.check(value) {
                        issues.push(issue(key, message));
                    }
                }
                None if key.required => {
                    let message = format!(
                        "Missing required configuration \"{}\" which has no default value.",
                        key.name
                    );
                    issues.push(issue(key, message));
                }
                None => {}
            }
        }
        issues
    }

    /// The definition of one option.
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl ConfigKey {
    /// An option that may be left out and is null then.
    pub fn new(name: &str, kind: ConfigType, importance: Importance, documentation: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            default: None,
            required: false,
            importance,
            documentation: documentation.to_owned(),
            display_name: name.to_owned(),
            group: None,
            validator: None,
        }
    }

    /// The same option, to be given always.
    pub fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// The same option with a default.
    pub fn default(self, value: &str) -> Self {
        Self {
            default: Some(value.to_owned()),
            ..self
        }
    }

    /// The same option, checked further.
    pub fn validator(self, validator: Validator) -> Self {
        Self {
            validator: Some(validator),
            ..self
        }
    }

    /// Checks one value, with Kafka's messages.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let shown = if self.kind == ConfigType::Password {
            "[hidden]"
        } else {
            value
        };
        let invalid = |what: String| {
            Err(format!(
                "Invalid value {shown} for configuration {}: {what}",
                self.name
            ))
        };
        let trimmed = value.trim();
        let number = match self.kind {
            ConfigType::Boolean if !is_boolean(trimmed) => {
                return invalid("Expected value to be either true or false".to_owned());
            }
            ConfigType::Short => trimmed.parse::<i16>().map(f64::from).map_err(|_| "SHORT"),
            ConfigType::Int => trimmed.parse::<i32>().map(f64::from).map_err(|_| "INT"),
            #[allow(clippy::cast_precision_loss, reason = "Kafka compares ranges as doubles")]
            ConfigType::Long => trimmed
                .parse::<i64>()
                .map(|number| number as f64)
                .map_err(|_| "LONG"),
            ConfigType::Double => trimmed.parse::<f64>().map_err(|_| "DOUBLE"),
            ConfigType::Boolean
            | ConfigType::String
            | ConfigType::List
            | ConfigType::Class
            | ConfigType::Password => Ok(f64::NAN),
        };
        let number = match number {
            Ok(number) => number,
            Err(kind) => return invalid(format!("Not a number of type {kind}")),
        };
        match &self.validator {
            Some(Validator::NonEmpty) if trimmed.is_empty() => invalid("String must be non-empty".to_owned()),
            Some(Validator::OneOf(names)) if !names.iter().any(|name| name == trimmed) => {
                invalid(format!("String must be one of: {}", names.join(", ")))
            }
            #[allow(clippy::cast_precision_loss, reason = "Kafka compares ranges as doubles")]
            Some(Validator::Range { min: Some(min), .. }) if number < *min as f64 => {
                invalid(format!("Value must be at least {min}"))
            }
            #[allow(clippy::cast_precision_loss, reason = "Kafka compares ranges as doubles")]
            Some(Validator::Range { max: Some(max), .. }) if number > *max as f64 => {
                invalid(format!("Value must be no more than {max}"))
            }
            _ => Ok(()),
        }
    }
}

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> ConfigDef {
        let key = |name, kind| ConfigKey::new(name, kind, Importance::High, "doc");
        ConfigDef {
            keys: vec![
                key("topic", ConfigType::String)
                    .required()
                    .validator(Validator::NonEmpty),
                key("size", ConfigType::Int)
                    .default("5")
                    .validator(Validator::Range {
                        min: Some(1),
                        max: Some(9),
                    }),
                key("flag", ConfigType::Boolean),
                key("mode", ConfigType::String).validator(Validator::OneOf(vec!["a".into(), "b".into()])),
                key("secret", ConfigType::Password).validator(Validator::OneOf(vec!["x".into()])),
            ],
        }
    }

    #[track_caller]
    fn check(config: &[(&str, &str)], expected: &[&str]) {
        let config = config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let found: Vec<_> = definition()
            .check(&config)
            .into_iter()
            .map(|issue| issue.message)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn messages_are_kafkas() {
        check(&[("topic", "t")], &[]);
        check(
            &[],
            &["Missing required configuration \"topic\" which has no default value."],
        );
        check(
            &[("topic", " ")],
            &["Invalid value   for configuration topic: String must be non-empty"],
        );
        check(
            &[("topic", "t"), ("size", "many")],
            &["Invalid value many for configuration size: Not a number of type INT"],
        );
        check(
            &[("topic", "t"), ("size", "0")],
            &["Invalid value 0 for configuration size: Value must be at least 1"],
        );
        check(
            &[("topic", "t"), ("size", " 10 ")],
            &["Invalid value  10  for configuration size: Value must be no more than 9"],
        );
        check(
            &[("topic", "t"), ("flag", "yes")],
            &["Invalid value yes for configuration flag: Expected value to be either true or false"],
        );
        check(&[("topic", "t"), ("flag", "TRUE"), ("mode", "b")], &[]);
        check(
            &[("topic", "t"), ("mode", "c")],
            &["Invalid value c for configuration mode: String must be one of: a, b"],
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        check(
            &[("topic", "t"), ("secret", "hunter2")],
            &["Invalid value [hidden] for configuration secret: String must be one of: x"],
        );
    }

    #[test]
    fn the_definition_survives_json() {
        let json = serde_json::to_string(&definition()).unwrap();
        assert_eq!(serde_json::from_str::<ConfigDef>(&json).unwrap(), definition());
    }
}
