//! A checked config: every access has a type, defaults are applied, errors name the option.

use std::collections::BTreeMap;

use crate::{ConfigDef, ConnectError};

/// A config that passed its definition.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    original: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
}

impl Config {
    /// Checks `config` against its definition. The error lists every problem.
    pub fn resolve(definition: &ConfigDef, config: BTreeMap<String, String>) -> Result<Self, ConnectError> {
        let issues = definition.check(&config);
        if !issues.is_empty() {
            let messages: Vec<_> = issues.into_iter().map(|issue| issue.message).collect();
            return Err(ConnectError::config(messages.join("; ")));
        }
        let defaults = definition
            .keys
            .iter()
            .filter(|key| !config.contains_key(&key.name))
            .filter_map(|key| Some((key.name.clone(), key.default.clone()?)))
            .collect();
        Ok(Self {
            original: config,
            defaults,
        })
    }

    /// The config as it was given, without defaults.
    pub fn original(&self) -> &BTreeMap<String, String> {
        &self.original
    }

    /// The value or its default, trimmed as Kafka does; `None` = null.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.original
            .get(name)
            .or_else(|| self.defaults.get(name))
            .map(|value| value.trim())
    }

    /// A value that must be there.
    pub fn string(&self, name: &str) -> Result<&str, ConnectError> {
        self.optional(name).ok_or_else(|| {
            ConnectError::config(format!(
                "Missing required configuration \"{name}\" which has no default value."
            ))
        })
    }

    /// A number of the wanted Rust type, e.g. `i32` for INT, `u64` for a LONG that cannot be negative.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, ConnectError> {
        let value = self.string(name)?;
        value.parse().map_err(|_| {
            ConnectError::config(format!(
                "Invalid value {value} for configuration {name}: not a number of type {}",
                std::any::type_name::<T>()
            ))
        })
    }

    /// A BOOLEAN.
    pub fn boolean(&self, name: &str) -> Result<bool, ConnectError> {
        let value = self.string(name)?;
        match value {
            _ if value.eq_ignore_ascii_case("true") => Ok(true),
            _ if value.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(ConnectError::config(format!(
                "Invalid value {value} for configuration {name}: Expected value to be either true or false"
            ))),
        }
    }

    /// A LIST: parts between commas, without the space around them.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, ConnectError> {
        let value = self.string(name)?;
        if value.is_empty() {
            return Ok(Vec::new());
        }
        Ok(value.split(',').map(str::trim).collect())
    }
}

impl std::fmt::Debug for Config {
    /// Names only: values may be secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.original.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfigKey, ConfigType, ErrorKind, Importance};

    fn config(entries: &[(&str, &str)]) -> Result<Config, ConnectError> {
        let key = |name, kind| ConfigKey::new(name, kind, Importance::Low, "doc");
        let definition = ConfigDef {
            keys: vec![
                key("a", ConfigType::String).required(),
                key("n", ConfigType::Int).default("7"),
                key("b", ConfigType::Boolean).default("True"),
                key("l", ConfigType::List).default("x, y ,z"),
            ],
        };
        let entries = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Config::resolve(&definition, entries)
    }

    #[test]
    fn values_and_defaults_have_types() {
        let found = config(&[("a", " text "), ("n", " 8 "), ("unknown", "kept")]).unwrap();
        assert_eq!(found.string("a").unwrap(), "text");
        assert_eq!(found.number::<i32>("n").unwrap(), 8);
        assert!(found.boolean("b").unwrap());
        assert_eq!(found.list("l").unwrap(), ["x", "y", "z"]);
        assert_eq!(found.optional("missing"), None);
        assert_eq!(found.original().len(), 3, "defaults are not part of the original");
        assert!(
            found
                .number::<u8>("a")
                .unwrap_err()
                .message
                .contains("Invalid value text for configuration a")
        );
    }

    #[test]
    fn every_problem_is_listed() {
        let error = config(&[("n", "x")]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(
            error.message.contains("\"a\"") && error.message.contains("Not a number of type INT"),
            "{error}"
        );
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", config(&[("a", "secret")]).unwrap()), r#"{"a"}"#);
    }
}
