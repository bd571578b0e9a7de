//! Levels of loggers as configs of a resource (KIP-412). They are of the process, and gone with it.

use jackfield_env::LogLevel;
use kafka_protocol::error::ResponseError;

use crate::{
    alter_configs::{Change, Operation},
    broker::Core,
    config_resources::own_id,
    dynamic_configs::Refusal,
};

/// The logger that all others belong to.
const ROOT: &str = "root";
/// As Kafka lists them; it does not take the two others that there are.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

/// Sets levels; all of them, or none.
///
/// # Errors
/// [`Refusal`] in Kafka's words.
pub(crate) fn alter(core: &Core, node: &str, validate_only: bool, changes: &[Change]) -> Result<(), Refusal> {
    own_id(core, node, "Node", |own| {
        format!("Unexpected node id. Expected {own}, but received {node}")
    })?;
    let loggers = core.env.log_levels.all();
    let mut levels = Vec::new();
    for (name, operation, value) in changes {
        let invalid = |problem: String| Err((ResponseError::InvalidRequest, problem));
        match operation {
            Operation::Append | Operation::Subtract => {
                let operation = operation.name();
                return invalid(format!(
                    "{operation} operation is not allowed for the BROKER_LOGGER resource"
                ));
            }
            _ if !loggers.contains_key(name) => {
                let problem = format!("Logger {name} does not exist!");
                return Err((ResponseError::InvalidConfig, problem));
            }
            Operation::Delete if name == ROOT => {
                return invalid(format!(
                    "Removing the log level of the {ROOT} logger is not allowed"
                ));
            }
            Operation::Delete => levels.push((name, None)),
            Operation::Set => {
                let wanted = value.as_deref().unwrap_or_default();
                let level = LEVELS
                    .contains(&wanted)
                    .then(|| LogLevel::parse(wanted))
                    .flatten();
                let Some(level) = level else {
                    let problem = format!(
                        "Cannot set the log level of {name} to {wanted} as it is not a supported log level. Valid log levels are {}",
                        LEVELS.join(", ")
                    );
                    return Err((ResponseError::InvalidConfig, problem));
                };
                levels.push((name, Some(level)));
            }
        }
    }
    if !validate_only {
        for (name, level) in levels {
            let now_ms = core.env.clock.now_ms();
            core.env.log_levels.set_own(name, level, now_ms);
            let level = level.map_or("that of the logger above", LogLevel::name);
            tracing::warn!(logger = name, level, "changed the level of a logger");
        }
    }
    Ok(())
}
