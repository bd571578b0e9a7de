//! The options of the sink, and what both connectors check.

use jackfield_api::{Config, ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, ConnectError, Importance};

const FILE: &str = "file";

/// The sink's absolute file name goes into the metadata of commits, where Kafka allows 4,096 bytes.
const MAX_SINK_FILE_BYTES: usize = 1_800;

/// The options of the sink.
pub(crate) fn sink_def() -> ConfigDef {
    ConfigDef {
        keys: vec![ConfigKey::new(
            FILE,
            ConfigType::String,
            Importance::High,
            "Destination filename. If not specified, the standard output will be used",
        )],
    }
}

/// The sink's file; `None` = standard output.
pub(crate) fn sink_file(config: &Config) -> Option<&str> {
    config.optional(FILE).filter(|file| !file.is_empty())
}

/// Problems the definition cannot see.
pub(crate) fn validate_sink(config: &Config) -> Vec<ConfigValueIssue> {
    let mut issues: Vec<_> = needs_file(config, "standard output").into_iter().collect();
    issues.extend(sink_file(config).and_then(sink_file_issue));
    issues
}

/// A sink file, as configured or absolute, whose name is too long.
pub(crate) fn sink_file_issue(file: &str) -> Option<ConfigValueIssue> {
    (file.len() > MAX_SINK_FILE_BYTES).then(|| ConfigValueIssue {
        name: FILE.to_owned(),
        message: format!(
            "file name of {} bytes, at most {MAX_SINK_FILE_BYTES} fit",
            file.len()
        ),
    })
}

/// A component has no standard streams.
pub(crate) fn needs_file(config: &Config, stream: &str) -> Option<ConfigValueIssue> {
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
