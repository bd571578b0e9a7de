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
            Operation::Delete => {
                let above = parent(name, |name| loggers.get(name).map(|logger| logger.level));
                levels.extend(above.map(|level| (name, level)));
            }
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
                levels.push((name, level));
            }
        }
    }
    if !validate_only {
        for (name, level) in levels {
            tracing::warn!(
                logger = name,
                level = level.name(),
                "changed the level of a logger"
            );
            core.env.log_levels.set(name, level, core.env.clock.now_ms());
        }
    }
    Ok(())
}

/// The level of the nearest logger above one.
fn parent(name: &str, level: impl Fn(&str) -> Option<LogLevel>) -> Option<LogLevel> {
    let mut above = name;
    while let Some((shorter, _)) = above.rsplit_once([':', '.']) {
        above = shorter.trim_end_matches(':');
        if let Some(level) = level(above) {
            return Some(level);
        }
    }
    level(ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_without_a_level_has_that_of_the_next_above() {
        let known = |name: &str| match name {
            "root" => Some(LogLevel::Warn),
            "jackfield_log" => Some(LogLevel::Info),
            _ => None,
        };
        assert_eq!(
            parent("jackfield_log::commit::round", known),
            Some(LogLevel::Info)
        );
        assert_eq!(parent("jackfield_broker::fetch", known), Some(LogLevel::Warn));
    }
}
