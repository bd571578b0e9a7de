//! What the process logs, as people change it while it runs. Who writes the log knows how.

use std::collections::BTreeMap;

/// Kafka's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum LogLevel {
    Off,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    All,
}

impl LogLevel {
    /// Every level with its name.
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Off, "OFF"),
        (Self::Fatal, "FATAL"),
        (Self::Error, "ERROR"),
        (Self::Warn, "WARN"),
        (Self::Info, "INFO"),
        (Self::Debug, "DEBUG"),
        (Self::Trace, "TRACE"),
        (Self::All, "ALL"),
    ];

    /// The level of a name in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let found = Self::NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(level, _)| *level)
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(level, _)| *level == self);
        found.map_or("OFF", |(_, name)| name)
    }
}

/// Level of a logger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggerLevel {
    /// What it logs, and everything more severe.
    pub level: LogLevel,
    /// When it was changed, in milliseconds; `None` = as the process was started.
    pub last_modified: Option<i64>,
}

/// The loggers of the process: modules of the program by their paths, and `root`, which they all belong to.
pub trait LogLevels: Send + Sync + std::fmt::Debug {
    /// Those that are known.
    fn all(&self) -> BTreeMap<String, LoggerLevel>;
    /// Sets the level of a logger and of all below it. Returns the names of those whose level is another now.
    fn set(&self, logger: &str, level: LogLevel, now_ms: i64) -> Vec<String>;
    /// Sets the level of one logger, or takes it away. Those below it that have no level of their own have it as well.
    fn set_own(&self, logger: &str, level: Option<LogLevel>, now_ms: i64);
}

/// A log that nobody can change.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLogLevels;

impl LogLevels for NoLogLevels {
    fn all(&self) -> BTreeMap<String, LoggerLevel> {
        BTreeMap::new()
    }

    fn set(&self, _logger: &str, _level: LogLevel, _now_ms: i64) -> Vec<String> {
        Vec::new()
    }

    fn set_own(&self, _logger: &str, _level: Option<LogLevel>, _now_ms: i64) {}
}
