//! `conformance.toml`: what the kit runs a package's classes with.
//!
//! ```toml
//! [[source]]                          # or [[sink]], [[transform]]; a class may have several
//! class = "com.example.Lines"         # as in plugin.toml, or one of its aliases
//! name = "two files"                  # optional, shown with each result
//! files = { "in.txt" = "a\nb\nc\n" }  # optional: written below {dir} before each check
//! http = { "/items" = "[1,2,3]" }     # optional: what {http} answers to a GET of these paths, queries included
//! records = 3                         # of a source: at least so many records come (default 3)
//! values = "text"                     # of a sink or transform: what it is given, "text" (default), "json" or "bytes"
//! stateful = true                     # of a transform: what it gives depends on what it was given before
//!
//! [source.config]                     # the connector's config
//! file = "{dir}/in.txt"
//! topic = "lines"
//! ```
//!
//! `{dir}` is a directory of the check's own, `{http}` the URL of a server of the kit, different for each check. A sink that
//! writes below `{dir}`, or sends to `{http}`, is held to what it delivers; of others only the calls are checked.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jackfield_plugin::{Kind, PluginInfo};
use serde::Deserialize;

use crate::KitError;

/// The file, read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conformance {
    #[serde(default)]
    source: Vec<Scenario>,
    #[serde(default)]
    sink: Vec<Scenario>,
    #[serde(default)]
    transform: Vec<Scenario>,
}

/// One class with one config.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) class: String,
    pub(crate) name: Option<String>,
    #[serde(default)]
    config: BTreeMap<String, Setting>,
    #[serde(default)]
    files: BTreeMap<PathBuf, String>,
    #[serde(default)]
    pub(crate) http: BTreeMap<String, String>,
    #[serde(default = "default_records")]
    pub(crate) records: usize,
    #[serde(default)]
    pub(crate) values: Values,
    #[serde(default)]
    pub(crate) stateful: bool,
}

/// A config value, which may be written without quotes.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Setting {
    Text(String),
    Number(i64),
    Fraction(f64),
    Flag(bool),
}

/// What the values of records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Values {
    #[default]
    Text,
    Json,
    Bytes,
}

fn default_records() -> usize {
    3
}

impl Conformance {
    pub(crate) fn read(file: &Path) -> Result<Self, KitError> {
        let wrong = |cause: String| KitError::Conformance {
            file: file.to_owned(),
            cause,
        };
        let text = fs::read_to_string(file).map_err(|cause| wrong(cause.to_string()))?;
        let read: Self = toml::from_str(&text).map_err(|cause| wrong(cause.to_string().trim().to_owned()))?;
        let all = read.source.iter().chain(&read.sink).chain(&read.transform);
        for scenario in all {
            let outside = |path: &&PathBuf| {
                path.is_absolute() || path.components().any(|part| part.as_os_str() == "..")
            };
            if let Some(path) = scenario.files.keys().find(outside) {
                let path = path.display();
                return Err(wrong(format!(
                    "files: {path} does not lie below {{dir}}, write a relative path"
                )));
            }
        }
        Ok(read)
    }

    /// The scenarios of a class.
    pub(crate) fn of<'a>(&'a self, info: &'a PluginInfo) -> impl Iterator<Item = &'a Scenario> {
        let scenarios = match info.kind {
            Kind::Source => &self.source,
            Kind::Sink => &self.sink,
            Kind::Transform => &self.transform,
        };
        scenarios.iter().filter(|scenario| info.is_named(&scenario.class))
    }

    /// Scenarios of classes that are not there.
    pub(crate) fn unknown<'a>(&'a self, infos: &'a [PluginInfo]) -> Option<&'a str> {
        let all = self.source.iter().chain(&self.sink).chain(&self.transform);
        let mut unknown = all.filter(|scenario| !infos.iter().any(|info| info.is_named(&scenario.class)));
        unknown.next().map(|scenario| scenario.class.as_str())
    }
}

impl Scenario {
    /// The config with its placeholders filled in.
    pub(crate) fn config(&self, directory: &Path, http: &str) -> BTreeMap<String, String> {
        let fill = |text: &str| {
            text.replace("{dir}", &directory.to_string_lossy())
                .replace("{http}", http)
        };
        let entries = self.config.iter();
        entries
            .map(|(key, value)| (key.clone(), fill(&value.text())))
            .collect()
    }

    /// Whether the config names this placeholder.
    pub(crate) fn uses(&self, placeholder: &str) -> bool {
        self.config
            .values()
            .any(|value| value.text().contains(placeholder))
    }

    /// Writes the files below the directory.
    pub(crate) fn write_files(&self, directory: &Path) -> std::io::Result<()> {
        for (path, content) in &self.files {
            let path = directory.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, content)?;
        }
        Ok(())
    }
}

impl Setting {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}
