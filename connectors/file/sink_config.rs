//! The options of the sink.

use std::time::Duration;

use jackfield_api::{
    Config, ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, ConnectError, Importance, Validator,
};

use crate::{
    compression::Compression,
    format::Format,
    name_template::{MAX_NAME_BYTES, NameTemplate},
};

const FILE: &str = "file";
const FILE_DIRECTORY: &str = "file.directory";
const FILE_NAME_TEMPLATE: &str = "file.name.template";
const FILE_ROLL_BYTES: &str = "file.roll.bytes";
const FILE_ROLL_INTERVAL_MS: &str = "file.roll.interval.ms";
const FILE_ROLL_RECORDS: &str = "file.roll.records";
const FORMAT: &str = "format";
const FORMAT_RAW_SEPARATOR: &str = "format.raw.separator";
const COMPRESSION_TYPE: &str = "compression.type";

/// Config of a sink task.
#[derive(Debug)]
pub(crate) struct SinkConfig {
    pub(crate) destination: Destination,
    pub(crate) format: Format,
    pub(crate) raw_separator: String,
}

/// Where the records go.
#[derive(Debug)]
pub(crate) enum Destination {
    /// One file that grows, as configured; `None` = standard output.
    File(Option<String>),
    /// Files that are finished one after another.
    Rolling(RollingConfig),
}

/// The rolling mode.
#[derive(Debug)]
pub(crate) struct RollingConfig {
    /// As configured.
    pub(crate) directory: String,
    pub(crate) template: String,
    pub(crate) limits: RollLimits,
    pub(crate) compression: Compression,
}

/// When a file is finished; `None` = not for this reason.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RollLimits {
    pub(crate) bytes: Option<u64>,
    pub(crate) interval: Option<Duration>,
    pub(crate) records: Option<u64>,
}

/// The options of the sink.
pub(crate) fn sink_def() -> ConfigDef {
    let mut keys = vec![ConfigKey::new(
        FILE,
        ConfigType::String,
        Importance::High,
        "Destination filename. If neither this nor file.directory is specified, the standard output will be used",
    )];
    keys.extend(rolling_keys());
    keys.extend([
        ConfigKey::new(
            FORMAT,
            ConfigType::String,
            Importance::High,
            "How a value is written. text = as text, with a newline; json = as a line of JSON, bytes in base64; raw = bytes \
             and strings as they are",
        )
        .default("text")
        .validator(one_of(Format::NAMES)),
        ConfigKey::new(
            FORMAT_RAW_SEPARATOR,
            ConfigType::String,
            Importance::Low,
            "What format=raw writes behind every value",
        )
        .default(""),
    ]);
    ConfigDef { keys }
}

fn rolling_keys() -> [ConfigKey; 6] {
    let at_least_0 = || Validator::Range {
        min: Some(0),
        max: None,
    };
    [
        ConfigKey::new(
            FILE_DIRECTORY,
            ConfigType::String,
            Importance::High,
            "Instead of file: an existing directory in which each partition of a topic becomes a sequence of files. A file \
             appears under its name when it is finished, and never changes after that",
        ),
        ConfigKey::new(
            FILE_NAME_TEMPLATE,
            ConfigType::String,
            Importance::Medium,
            "Names of the files in file.directory, with {topic}, {partition} and {offset} (that of the first record, in 20 \
             digits). By default {topic}/{partition}/{offset} with the extension of format and compression.type",
        ),
        ConfigKey::new(
            FILE_ROLL_BYTES,
            ConfigType::Long,
            Importance::Medium,
            "A file of this size is finished. 0 = no limit",
        )
        .default("134217728")
        .validator(at_least_0()),
        ConfigKey::new(
            FILE_ROLL_INTERVAL_MS,
            ConfigType::Long,
            Importance::Medium,
            "A file is finished so long after its first record, at the offset commit that follows. 0 = no limit",
        )
        .default("600000")
        .validator(at_least_0()),
        ConfigKey::new(
            FILE_ROLL_RECORDS,
            ConfigType::Long,
            Importance::Low,
            "A file with so many records is finished. 0 = no limit",
        )
        .default("0")
        .validator(at_least_0()),
        ConfigKey::new(
            COMPRESSION_TYPE,
            ConfigType::String,
            Importance::Medium,
            "Compression of the files in file.directory: none, gzip, or zstd (native plugin only)",
        )
        .default("none")
        .validator(one_of(Compression::NAMES)),
    ]
}

fn one_of(names: &[&str]) -> Validator {
    Validator::OneOf(names.iter().map(|name| (*name).to_owned()).collect())
}

impl SinkConfig {
    pub(crate) fn read(config: &Config) -> Result<Self, ConnectError> {
        if let Some(issue) = validate_sink(config)?.into_iter().next() {
            return Err(ConnectError::config(format!("{}: {}", issue.name, issue.message)));
        }
        let format = Format::parse(config.string(FORMAT)?)?;
        let destination = match given(config, FILE_DIRECTORY) {
            Some(directory) => Destination::Rolling(RollingConfig {
                directory: directory.to_owned(),
                template: template(config)?,
                limits: limits(config)?,
                compression: Compression::parse(config.string(COMPRESSION_TYPE)?)?,
            }),
            None => Destination::File(given(config, FILE).map(str::to_owned)),
        };
        Ok(Self {
            destination,
            format,
            raw_separator: config
                .optional(FORMAT_RAW_SEPARATOR)
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

/// Whether each partition has files of its own, so that several tasks may share the work.
pub(crate) fn is_rolling(config: &Config) -> bool {
    given(config, FILE_DIRECTORY).is_some()
}

fn given<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    config.optional(key).filter(|value| !value.is_empty())
}

fn template(config: &Config) -> Result<String, ConnectError> {
    if let Some(template) = given(config, FILE_NAME_TEMPLATE) {
        return Ok(template.to_owned());
    }
    let format = Format::parse(config.string(FORMAT)?)?;
    let compression = Compression::parse(config.string(COMPRESSION_TYPE)?)?;
    let extension = format!("{}{}", format.extension(), compression.extension());
    Ok(format!("{{topic}}/{{partition}}/{{offset}}{extension}"))
}

fn limits(config: &Config) -> Result<RollLimits, ConnectError> {
    let limit = |key| Ok::<_, ConnectError>(Some(config.number::<u64>(key)?).filter(|limit| *limit > 0));
    Ok(RollLimits {
        bytes: limit(FILE_ROLL_BYTES)?,
        interval: limit(FILE_ROLL_INTERVAL_MS)?.map(Duration::from_millis),
        records: limit(FILE_ROLL_RECORDS)?,
    })
}

/// Problems the definition cannot see.
pub(crate) fn validate_sink(config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
    let mut issues = Vec::new();
    let mut refuse = |name: &str, message: String| {
        issues.push(ConfigValueIssue {
            name: name.to_owned(),
            message,
        });
    };
    let (file, directory) = (given(config, FILE), given(config, FILE_DIRECTORY));
    let compression = Compression::parse(config.string(COMPRESSION_TYPE)?)?;
    match (file, directory) {
        (Some(_), Some(_)) => refuse(FILE_DIRECTORY, "file is given too: one of them is the destination".into()),
        (None, None) if cfg!(target_family = "wasm") => refuse(
            FILE,
            "without a file the connector uses standard output, which a WASM plugin does not have: set file or \
             file.directory, or plugin.form=native"
                .into(),
        ),
        (Some(file), None) => {
            if let Some(message) = file_name_issue(file) {
                refuse(FILE, message);
            }
        }
        _ => {}
    }
    match directory {
        Some(directory) => {
            if let Err(message) = NameTemplate::parse(directory, &template(config)?) {
                refuse(FILE_NAME_TEMPLATE, message);
            }
            let limits = limits(config)?;
            if limits.bytes.is_none() && limits.interval.is_none() && limits.records.is_none() {
                let message = "no file would ever be finished: limit bytes, time or records";
                refuse(FILE_ROLL_BYTES, message.into());
            }
        }
        None => {
            if given(config, FILE_NAME_TEMPLATE).is_some() {
                refuse(
                    FILE_NAME_TEMPLATE,
                    "names files of file.directory, which is not given".into(),
                );
            }
            if compression != Compression::None {
                refuse(
                    COMPRESSION_TYPE,
                    "only files of file.directory can be compressed".into(),
                );
            }
        }
    }
    if compression == Compression::Zstd && cfg!(target_family = "wasm") {
        refuse(
            COMPRESSION_TYPE,
            "a WASM plugin cannot write zstd: use gzip, or plugin.form=native".into(),
        );
    }
    Ok(issues)
}

/// A sink file, as configured or absolute, whose name is too long: it goes into the metadata of commits, where Kafka allows
/// 4,096 bytes.
pub(crate) fn file_name_issue(file: &str) -> Option<String> {
    (file.len() > MAX_NAME_BYTES)
        .then(|| format!("file name of {} bytes, at most {MAX_NAME_BYTES} fit", file.len()))
}
