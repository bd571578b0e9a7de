//! The options of the source.

use std::time::Duration;

use jackfield_api::{
    Config, ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, ConnectError, Importance, Validator,
};

const FILE: &str = "file";
const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";
const LINE_IDLE_TIMEOUT_MS: &str = "line.idle.timeout.ms";
const LINE_MAX_BYTES: &str = "line.max.bytes";

/// Config of a source task.
#[derive(Debug, Clone)]
pub(crate) struct SourceConfig {
    /// As configured; `None` = standard input.
    pub(crate) file: Option<String>,
    pub(crate) topic: String,
    pub(crate) batch_size: usize,
    /// `None` = a line without terminator is never delivered.
    pub(crate) line_idle_timeout: Option<Duration>,
    pub(crate) line_max_bytes: usize,
}

/// The options of the source.
pub(crate) fn source_def() -> ConfigDef {
    ConfigDef {
        keys: vec![
            ConfigKey::new(
                FILE,
                ConfigType::String,
                Importance::High,
                "Source filename. If not specified, the standard input will be used",
            ),
            ConfigKey::new(TOPIC, ConfigType::String, Importance::High, "The topic to publish data to")
                .required()
                .validator(Validator::NonEmpty),
            ConfigKey::new(
                BATCH_SIZE,
                ConfigType::Int,
                Importance::Low,
                "The maximum number of records the source task can read from the file each time it is polled",
            )
            .default("2000")
            .validator(Validator::Range { min: Some(1), max: None }),
            ConfigKey::new(
                LINE_IDLE_TIMEOUT_MS,
                ConfigType::Long,
                Importance::Low,
                "A last line without newline is delivered when nothing was added to the file for this long. 0 = never",
            )
            .default("5000")
            .validator(Validator::Range { min: Some(0), max: None }),
            ConfigKey::new(
                LINE_MAX_BYTES,
                ConfigType::Int,
                Importance::Low,
                "A longer line is an error (see errors.tolerance) and is skipped instead of filling the memory",
            )
            .default("67108864")
            .validator(Validator::Range { min: Some(1), max: Some(1 << 29) }),
        ],
    }
}

impl SourceConfig {
    pub(crate) fn read(config: &Config) -> Result<Self, ConnectError> {
        let idle_ms: u64 = config.number(LINE_IDLE_TIMEOUT_MS)?;
        Ok(Self {
            file: config.optional(FILE).map(str::to_owned),
            topic: config.string(TOPIC)?.to_owned(),
            batch_size: config.number(BATCH_SIZE)?,
            line_idle_timeout: (idle_ms > 0).then(|| Duration::from_millis(idle_ms)),
            line_max_bytes: config.number(LINE_MAX_BYTES)?,
        })
    }
}

/// Problems the definition cannot see.
pub(crate) fn validate_source(config: &Config) -> Vec<ConfigValueIssue> {
    needs_file(config, "standard input").into_iter().collect()
}

/// A component has no standard streams.
fn needs_file(config: &Config, stream: &str) -> Option<ConfigValueIssue> {
    let missing = config.optional(FILE).is_none_or(str::is_empty);
    (cfg!(target_family = "wasm") && missing).then(|| ConfigValueIssue {
        name: FILE.to_owned(),
        message: format!(
            "without a file the connector uses {stream}, which a WASM plugin does not have: set file, or plugin.form=native"
        ),
    })
}

/// The first problem as an error, for the start of a task.
pub(crate) fn refuse(issues: Vec<ConfigValueIssue>) -> Result<(), ConnectError> {
    match issues.into_iter().next() {
        Some(issue) => Err(ConnectError::config(format!("{}: {}", issue.name, issue.message))),
        None => Ok(()),
    }
}
