//! Layered configuration: a file, then `JACKFIELD_*` of the environment, then `--set key=value`. A later layer wins, and
//! every value remembers where it came from, so that an error can say so.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use anyhow::{Context as _, bail};
use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};
use jackfield_plugin::Variables;

use crate::{
    exit::{CannotRead, Usage},
    properties,
};

/// Prefix of every variable that is ours.
const PREFIX: &str = "JACKFIELD_";
/// How the origin of a value from the environment starts.
const VARIABLE: &str = "environment variable";
/// The one variable that is no configuration key: the log filter.
const LOG: &str = "JACKFIELD_LOG";
/// Keys that tell commands where to ask; servers have no such keys, and may be started in the same shell.
const FOR_COMMANDS: [&str; 2] = ["command.config", "connect.url"];

/// The `JACKFIELD_*` variables, read once at the start of the program.
///
/// `JACKFIELD_OFFSET_FLUSH_INTERVAL_MS` is the key `offset.flush.interval.ms`: lower case, `_` is `.`, and `__` is `_`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// All of them, for plugins that are granted some.
    everything: Variables,
    /// NO_COLOR is set, or the terminal is one that cannot do it.
    no_colours: bool,
}

impl Environment {
    /// Keeps what is ours, and what may be granted to plugins. Variables that are not text are neither.
    pub(crate) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |value: OsString| value.into_string().ok();
        let mut variables: BTreeMap<_, _> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect();
        let is = |name: &str, wanted: &dyn Fn(&str) -> bool| {
            variables.get(name).is_some_and(|value| wanted(value))
        };
        let no_colours = is("NO_COLOR", &|value| !value.is_empty()) || is("TERM", &|value| value == "dumb");
        let everything = Variables::new(variables.clone());
        variables.retain(|name, _| name.starts_with(PREFIX));
        Self {
            variables,
            everything,
            no_colours,
        }
    }

    /// Every variable of the process.
    pub(crate) fn everything(&self) -> Variables {
        self.everything.clone()
    }

    /// Whether a terminal may be sent colours (no-color.org).
    pub(crate) fn allows_colours(&self) -> bool {
        !self.no_colours
    }

    /// `JACKFIELD_LOG`.
    pub(crate) fn log_filter(&self) -> Option<&str> {
        self.variables.get(LOG).map(String::as_str)
    }

    /// The value of one key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(name, _)| key_of(name).as_deref() == Some(key))
            .map(|(_, value)| value.as_str())
    }
}

/// The configuration key that a variable names; `None` for [`LOG`] and foreign variables.
fn key_of(variable: &str) -> Option<String> {
    if variable == LOG {
        return None;
    }
    let name = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let words: Vec<_> = name.split("__").map(|part| part.replace('_', ".")).collect();
    Some(words.join("_"))
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let values = self.variables.iter().filter_map(|(name, value)| {
            let origin = format!("{VARIABLE} {name}");
            let key = key_of(name).filter(|key| !FOR_COMMANDS.contains(&key.as_str()))?;
            Some((key, Value::new(Some(&origin), value.as_str())))
        });
        Ok(values.collect())
    }
}

/// Flat `key=value` pairs of one origin.
#[derive(Debug, Clone)]
struct Pairs {
    origin: String,
    pairs: BTreeMap<String, String>,
}

impl Source for Pairs {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value =
            |(key, value): (&String, &String)| (key.clone(), Value::new(Some(&self.origin), value.as_str()));
        Ok(self.pairs.iter().map(value).collect())
    }
}

/// The merged layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configuration {
    values: BTreeMap<String, String>,
    origins: BTreeMap<String, String>,
}

impl Configuration {
    /// Merges a file (when there is one), the environment and `--set` flags.
    pub(crate) fn read(
        file: Option<&Path>,
        environment: &Environment,
        flags: &[String],
    ) -> anyhow::Result<Self> {
        let mut configuration = Self::default();
        if let Some(path) = file {
            configuration
                .add(file_layer(path)?.as_ref())
                .with_context(|| format!("cannot use {}", path.display()))?;
        }
        configuration.add(environment)?;
        configuration.add(&flag_layer(flags)?)?;
        Ok(configuration)
    }

    fn add(&mut self, layer: &dyn Source) -> anyhow::Result<()> {
        for (key, value) in layer.collect()? {
            self.flatten(key, value)?;
        }
        Ok(())
    }

    /// Nested tables become dotted keys, arrays Kafka's comma lists.
    fn flatten(&mut self, key: String, value: Value) -> anyhow::Result<()> {
        let origin = value.origin().unwrap_or_default().to_owned();
        let text = match value.kind {
            ValueKind::Table(table) => {
                for (inner, value) in table {
                    self.flatten(format!("{key}.{inner}"), value)?;
                }
                return Ok(());
            }
            ValueKind::Array(items) => {
                let items: Result<Vec<_>, _> = items.into_iter().map(Value::into_string).collect();
                items
                    .with_context(|| format!("the list '{key}' must hold plain values"))?
                    .join(",")
            }
            ValueKind::Nil => bail!("'{key}' has no value"),
            kind => Value::new(None, kind).into_string()?,
        };
        self.origins.insert(key.clone(), origin);
        self.values.insert(key, text);
        Ok(())
    }

    /// One value.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Sets a value that no layer gave.
    pub(crate) fn set_default(&mut self, key: &str, value: impl FnOnce() -> String) {
        if !self.values.contains_key(key) {
            self.values.insert(key.to_owned(), value());
        }
    }

    /// Takes a value out.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }

    /// Drops a value that a variable of the environment gave: it was meant for another command.
    pub(crate) fn pass_over_variable(&mut self, key: &str) {
        if self
            .origin(key)
            .is_some_and(|origin| origin.starts_with(VARIABLE))
        {
            self.values.remove(key);
        }
    }

    /// Takes all keys with a prefix out, and the prefix off.
    pub(crate) fn take_prefixed(&mut self, prefix: &str) -> Self {
        let is_inside = |key: &String, _: &mut String| key.starts_with(prefix);
        let strip = |(key, value): (String, String)| (key[prefix.len()..].to_owned(), value);
        Self {
            values: self.values.extract_if(.., is_inside).map(strip).collect(),
            origins: self.origins.extract_if(.., is_inside).map(strip).collect(),
        }
    }

    /// All values, flat.
    pub(crate) fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Where a value came from; `None` when no layer gave it.
    pub(crate) fn origin(&self, key: &str) -> Option<&str> {
        self.origins.get(key).map(String::as_str)
    }

    /// Adds to every line of an error message where the values it names came from.
    pub(crate) fn explain(&self, message: &str) -> String {
        let explained: Vec<_> = message.lines().map(|line| self.explain_line(line)).collect();
        explained.join("\n")
    }

    fn explain_line(&self, line: &str) -> String {
        let is_part_of_key = |character: char| character.is_alphanumeric() || "._-".contains(character);
        let words: BTreeSet<_> = line
            .split(|character| !is_part_of_key(character))
            .map(|word| word.trim_matches('.'))
            .collect();
        let named = words.iter().filter_map(|word| Some((*word, self.origin(word)?)));
        let origins: Vec<_> = named.map(|(key, origin)| format!("{key}: {origin}")).collect();
        if origins.is_empty() {
            line.to_owned()
        } else {
            format!("{line} ({})", origins.join(", "))
        }
    }
}

fn file_layer(path: &Path) -> anyhow::Result<Box<dyn Source>> {
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    {
        let text =
            std::fs::read_to_string(path).map_err(|error| CannotRead::named(path.display(), &error))?;
        // Parsed from text, so that the origin can be the path as the user wrote it.
        let table = File::from_str(&text, FileFormat::Toml)
            .collect()
            .with_context(|| format!("{} is not valid TOML", path.display()))?;
        let mut toml = Configuration::default();
        for (key, value) in table {
            toml.flatten(key, value)?;
        }
        return Ok(Box::new(Pairs {
            origin: path.display().to_string(),
            pairs: toml.values,
        }));
    }
    Ok(Box::new(Pairs {
        origin: path.display().to_string(),
        pairs: properties::read(path)?,
    }))
}

fn flag_layer(flags: &[String]) -> anyhow::Result<Pairs> {
    let mut pairs = BTreeMap::new();
    for flag in flags {
        let Some((key, value)) = flag.split_once('=') else {
            return Err(Usage(format!("--set {flag}: must be key=value")).into());
        };
        pairs.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(Pairs {
        origin: "--set on the command line".to_owned(),
        pairs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn file(name: &str, content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn variables_name_keys() {
        for (variable, key) in [
            (
                "JACKFIELD_OFFSET_FLUSH_INTERVAL_MS",
                Some("offset.flush.interval.ms"),
            ),
            ("JACKFIELD_BROKER_LISTENERS", Some("broker.listeners")),
            ("JACKFIELD_A__B_C", Some("a_b.c")),
            ("JACKFIELD_LOG", None),
            ("JACKFIELD_LOG_DIRS", Some("log.dirs")),
            ("HOME", None),
        ] {
            assert_eq!(key_of(variable).as_deref(), key, "{variable}");
        }
    }

    #[test]
    fn servers_know_nothing_of_what_is_for_commands() {
        let environment = environment(&[
            ("JACKFIELD_CONNECT_URL", "u"),
            ("JACKFIELD_COMMAND_CONFIG", "c"),
            ("NO_COLOR", "1"),
        ]);
        let merged = Configuration::read(None, &environment, &[]).unwrap();
        assert!(merged.values().is_empty());
        assert_eq!(environment.get("connect.url"), Some("u"));
        assert!(!environment.allows_colours() && Environment::default().allows_colours());
    }

    #[test]
    fn only_variables_are_passed_over() {
        let (_dir, path) = file("b.properties", "a=file\n");
        let environment = environment(&[("JACKFIELD_B", "env")]);
        let mut merged = Configuration::read(Some(&path), &environment, &[]).unwrap();
        for key in ["a", "b", "c"] {
            merged.pass_over_variable(key);
        }
        assert_eq!((merged.get("a"), merged.get("b")), (Some("file"), None));
    }

    #[test]
    fn later_layers_win_and_are_named() {
        let (_dir, path) = file("w.properties", "a=file\nb=file\nc=file\n");
        let environment = environment(&[("JACKFIELD_B", "env"), ("JACKFIELD_C", "env"), ("PATH", "/bin")]);
        let merged = Configuration::read(Some(&path), &environment, &["c=flag".to_owned()]).unwrap();
        assert_eq!(
            [merged.get("a"), merged.get("b"), merged.get("c")],
            [Some("file"), Some("env"), Some("flag")]
        );
        assert_eq!(merged.origin("a"), Some(path.display().to_string().as_str()));
        assert_eq!(
            merged.explain("bad value 'x' of 'b'\nand nothing else\nunknown key c, did you mean cc?"),
            "bad value 'x' of 'b' (b: environment variable JACKFIELD_B)\nand nothing else\n\
             unknown key c, did you mean cc? (c: --set on the command line)"
        );
    }

    #[test]
    fn toml_is_flattened() {
        let (_dir, path) = file(
            "w.toml",
            "\"key.converter\" = \"J\"\n\"key.converter.schemas.enable\" = false\nlisteners = [\"a\", \"b\"]\n\
             [broker]\nlisteners = \"P\"\nlog.segment.bytes = 1024\n",
        );
        let merged = Configuration::read(Some(&path), &Environment::default(), &[]).unwrap();
        let expected = [
            ("broker.listeners", "P"),
            ("broker.log.segment.bytes", "1024"),
            ("key.converter", "J"),
            ("key.converter.schemas.enable", "false"),
            ("listeners", "a,b"),
        ];
        let found: Vec<_> = merged
            .values()
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(
            merged.origin("broker.listeners"),
            Some(path.display().to_string().as_str())
        );
    }

    #[test]
    fn prefixes_are_taken_out_with_their_origins() {
        let environment = environment(&[("JACKFIELD_BROKER_LISTENERS", "P"), ("JACKFIELD_LISTENERS", "h")]);
        let mut all = Configuration::read(None, &environment, &[]).unwrap();
        let broker = all.take_prefixed("broker.");
        assert_eq!(broker.get("listeners"), Some("P"));
        assert_eq!(
            broker.origin("listeners"),
            Some("environment variable JACKFIELD_BROKER_LISTENERS")
        );
        assert_eq!(all.values().len(), 1);
    }

    #[test]
    fn bad_layers_are_errors() {
        let none = Environment::default();
        let error = |file: &Path, flags: &[String]| {
            format!("{:#}", Configuration::read(Some(file), &none, flags).unwrap_err())
        };
        assert!(error(Path::new("/nope.properties"), &[]).contains("cannot read /nope.properties"));
        let (_dir, path) = file("w.toml", "a = \n");
        assert!(error(&path, &[]).contains("is not valid TOML"));
        let (_dir, path) = file("w.properties", "a=\\u12\n");
        assert!(error(&path, &[]).contains("is not a valid properties file"));
        let (_dir, path) = file("w.properties", "a=1\n");
        assert!(error(&path, &["ab".to_owned()]).contains("--set ab: must be key=value"));
    }
}
