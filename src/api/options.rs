//! Options as a struct: one definition for what is checked, documented and read.

use std::{fmt, time::Duration};

use crate::{Config, ConfigDef, ConfigType, ConnectError, Validator};

/// The options of a connector as a struct, derived:
///
/// ```
/// use jackfield_api::{Options, Password};
///
/// #[derive(Options)]
/// struct Settings {
///     /// The topic to write to.
///     #[option(importance = high, non_empty)]
///     topic: String,
///     /// How often to ask, in milliseconds.
///     #[option(default = 1000, range = 1..)]
///     interval_ms: u64,
///     /// What is asked for.
///     #[option(default = "all", one_of = ["all", "new"])]
///     mode: String,
///     /// Sent with each request.
///     #[option(name = "http.token", importance = low)]
///     token: Option<Password>,
/// }
///
/// let definition = Settings::config_def();
/// assert_eq!(definition.keys[1].name, "interval.ms");
/// assert!(definition.keys[0].required && !definition.keys[3].required);
///
/// let given = [("topic".to_owned(), "t".to_owned())].into();
/// let settings = Settings::resolve(given)?;
/// assert_eq!((settings.interval_ms, settings.mode.as_str()), (1000, "all"));
/// # Ok::<(), jackfield_api::ConnectError>(())
/// ```
///
/// An option's name is its field's with `.` for `_`, its documentation the field's comment, its type follows from the field's
/// ([`OptionValue`]). A field without default is required unless it is an [`Option`]. In `#[option(…)]`:
///
/// | | |
/// |---|---|
/// | `name = "a.b"` | another name |
/// | `default = 5` | the default, as it is written in a config |
/// | `importance = high` | or `medium`, `low`; `medium` when nothing is said |
/// | `group = "…"`, `display = "…"` | where and under which name tools show it |
/// | `non_empty`, `one_of = ["a", "b"]`, `range = 1..=9` | what is checked besides the type, one of these |
pub trait Options: Sized {
    /// The definition of all options.
    fn config_def() -> ConfigDef;

    /// Reads a config that was checked by the definition.
    ///
    /// # Errors
    /// A config error that names the option: a value does not fit into its field.
    fn read(config: &Config) -> Result<Self, ConnectError>;

    /// Checks and reads a config.
    ///
    /// # Errors
    /// A config error that names every problem.
    fn resolve(config: crate::TaskConfig) -> Result<Self, ConnectError> {
        Self::read(&Config::resolve(&Self::config_def(), config)?)
    }
}

/// The type of a field that holds an option.
pub trait OptionValue: Sized {
    /// Kafka's type of the option.
    const TYPE: ConfigType;
    /// Whether it has to be given when it has no default.
    const REQUIRED: bool = true;

    /// What is checked besides the type, when the option does not say.
    fn validator() -> Option<Validator> {
        None
    }

    /// Reads the option of this name.
    ///
    /// # Errors
    /// A config error that names the option.
    fn read(config: &Config, name: &str) -> Result<Self, ConnectError>;
}

/// A secret: a PASSWORD option. It is never shown, not by `{:?}` either.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl OptionValue for String {
    const TYPE: ConfigType = ConfigType::String;

    fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
        config.string(name).map(str::to_owned)
    }
}

impl OptionValue for bool {
    const TYPE: ConfigType = ConfigType::Boolean;

    fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
        config.boolean(name)
    }
}

impl OptionValue for Vec<String> {
    const TYPE: ConfigType = ConfigType::List;

    fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
        Ok(config.list(name)?.into_iter().map(str::to_owned).collect())
    }
}

impl OptionValue for Password {
    const TYPE: ConfigType = ConfigType::Password;

    fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
        config.string(name).map(|secret| Self(secret.to_owned()))
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    const TYPE: ConfigType = T::TYPE;
    const REQUIRED: bool = false;

    fn validator() -> Option<Validator> {
        T::validator()
    }

    fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
        config.optional(name).map(|_| T::read(config, name)).transpose()
    }
}

/// Milliseconds: a LONG option.
impl OptionValue for Duration {
    const TYPE: ConfigType = ConfigType::Long;

    fn validator() -> Option<Validator> {
        u64::validator()
    }

    fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
        config.number(name).map(Self::from_millis)
    }
}

macro_rules! numbers {
    ($($number:ty => $kind:ident, $validator:expr;)*) => {
        $(
            impl OptionValue for $number {
                const TYPE: ConfigType = ConfigType::$kind;

                fn validator() -> Option<Validator> {
                    $validator
                }

                fn read(config: &Config, name: &str) -> Result<Self, ConnectError> {
                    config.number(name)
                }
            }
        )*
    };
}

const NOT_NEGATIVE: Option<Validator> = Some(Validator::Range {
    min: Some(0),
    max: None,
});

numbers! {
    i16 => Short, None;
    i32 => Int, None;
    i64 => Long, None;
    f64 => Double, None;
    u16 => Int, Some(Validator::Range { min: Some(0), max: Some(i64::from(u16::MAX)) });
    u32 => Long, Some(Validator::Range { min: Some(0), max: Some(i64::from(u32::MAX)) });
    u64 => Long, NOT_NEGATIVE;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Importance, Options};

    #[derive(Debug, Options)]
    #[allow(dead_code, reason = "read, compared as a whole")]
    struct Settings {
        /// Where
        /// it goes.
        #[option(importance = high, non_empty, group = "Where", display = "Topic")]
        topic: String,
        /// How many.
        #[option(default = -3, range = -5..=5)]
        count: i32,
        /// How long.
        #[option(name = "wait.ms", default = 250)]
        wait: Duration,
        /// Which.
        #[option(default = "a, b")]
        names: Vec<String>,
        /// Whether.
        #[option(default = true, importance = low)]
        flag: bool,
        /// A secret.
        password: Option<Password>,
        /// A port.
        some_port: Option<u16>,
    }

    fn resolve(given: &[(&str, &str)]) -> Result<Settings, ConnectError> {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::resolve(given.collect())
    }

    #[test]
    fn the_definition_is_the_structs() {
        let definition = Settings::config_def();
        let names: Vec<_> = definition.keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "topic",
                "count",
                "wait.ms",
                "names",
                "flag",
                "password",
                "some.port"
            ]
        );
        let topic = &definition.keys[0];
        assert_eq!(topic.documentation, "Where it goes.");
        assert!(topic.required && topic.default.is_none());
        assert_eq!(
            (topic.importance, topic.validator.clone()),
            (Importance::High, Some(Validator::NonEmpty))
        );
        assert_eq!(
            (topic.group.as_deref(), topic.display_name.as_str()),
            (Some("Where"), "Topic")
        );
        let count = &definition.keys[1];
        assert_eq!(
            (count.kind, count.default.as_deref()),
            (ConfigType::Int, Some("-3"))
        );
        assert_eq!(
            count.validator,
            Some(Validator::Range {
                min: Some(-5),
                max: Some(5)
            })
        );
        let kinds: Vec<_> = definition.keys[2..].iter().map(|key| key.kind).collect();
        use ConfigType::{Boolean, Int, List, Long, Password};
        assert_eq!(kinds, [Long, List, Boolean, Password, Int]);
        assert!(definition.keys[1..].iter().all(|key| !key.required));
    }

    #[test]
    fn values_are_read_with_their_types() {
        let settings = resolve(&[("topic", "t"), ("password", "hunter2"), ("some.port", "9092")]).unwrap();
        assert_eq!(
            format!("{settings:?}"),
            "Settings { topic: \"t\", count: -3, wait: 250ms, names: [\"a\", \"b\"], flag: true, password: Some(***), \
             some_port: Some(9092) }"
        );
        assert_eq!(settings.password.unwrap().reveal(), "hunter2");
    }

    #[test]
    fn every_problem_is_named() {
        let error = resolve(&[("count", "7"), ("some.port", "70000"), ("wait.ms", "-1")]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        for name in ["topic", "count", "some.port", "wait.ms"] {
            assert!(error.message.contains(name), "{error}");
        }
    }
}
