//! The log on stderr, and its levels while the program runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
};

use jackfield_env::{LogLevel, LogLevels, LoggerLevel};
use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::exit::Usage;

/// Our own state changes, other people's warnings.
const DEFAULT: &str = "warn,jackfield=info,librdkafka=off,rdkafka=off";
/// The logger that all others belong to.
const ROOT: &str = "root";
/// Our crates, which have loggers whether or not a level was set for them.
const CRATES: [&str; 7] = [
    "jackfield_broker",
    "jackfield_cli",
    "jackfield_cluster",
    "jackfield_log",
    "jackfield_plugin",
    "jackfield_rest",
    "jackfield_worker",
];

/// Starts logging. `filter` is a level (`debug`) or a list of `target=level` (`jackfield_broker=debug,warn`). What comes
/// back changes the levels.
pub(crate) fn start(filter: Option<&str>) -> anyhow::Result<Arc<dyn LogLevels>> {
    let directives = directives(filter);
    check(&directives)?;
    let parsed = EnvFilter::try_new(&directives)
        .map_err(|error| Usage(format!("log level '{}': {error}", filter.unwrap_or_default())))?;
    let (filter, handle) = reload::Layer::new(parsed);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))?;
    Ok(Arc::new(Filter {
        handle,
        levels: Mutex::new(Levels::parse(&directives)),
    }))
}

/// A word alone is a level; the library would take any other for a target, of which everything is to be logged.
fn check(directives: &str) -> Result<(), Usage> {
    let words = directives.split(',').map(str::trim);
    let mut alone = words.filter(|word| !word.is_empty() && !word.contains(['=', '[']));
    match alone.find(|word| LogLevel::parse(word).is_none()) {
        None => Ok(()),
        Some(wrong) => Err(Usage(format!(
            "log level '{wrong}' is not understood; write off, error, warn, info, debug or trace, or TARGET=LEVEL"
        ))),
    }
}

/// A bare level is about our own crates; libraries stay at their warnings.
fn directives(filter: Option<&str>) -> String {
    match filter.map(str::trim) {
        None | Some("") => DEFAULT.to_owned(),
        Some(level @ ("off" | "error" | "warn")) => level.to_owned(),
        Some(level @ ("info" | "debug" | "trace")) => format!("warn,jackfield={level}"),
        Some(filter) => filter.to_owned(),
    }
}

/// The filter of the running log.
#[derive(Debug)]
struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
    levels: Mutex<Levels>,
}

impl LogLevels for Filter {
    fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.all()
    }

    fn set(&self, logger: &str, level: LogLevel, now_ms: i64) -> Vec<String> {
        self.change(|levels| levels.set(logger, level, now_ms))
    }

    fn set_own(&self, logger: &str, level: Option<LogLevel>, now_ms: i64) {
        self.change(|levels| levels.set_own(logger, level, now_ms));
    }
}

impl Filter {
    fn change(&self, change: impl FnOnce(&mut Levels) -> Vec<String>) -> Vec<String> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = levels.clone();
        let names = change(&mut changed);
        // A name that is no target can be no filter, so nothing is said to have changed.
        let Ok(filter) = EnvFilter::try_new(changed.directives()) else {
            return Vec::new();
        };
        if self.handle.reload(filter).is_err() {
            return Vec::new();
        }
        *levels = changed;
        names
    }
}

/// Levels by logger; a logger without one has that of the longest name that its own begins with.
#[derive(Debug, Clone, Default)]
struct Levels {
    given: BTreeMap<String, LogLevel>,
    /// Directives about spans and fields, as they were given.
    others: Vec<String>,
    modified: BTreeMap<String, i64>,
}

impl Levels {
    fn parse(directives: &str) -> Self {
        let mut levels = Self::default();
        for directive in directives
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let (target, level) = directive.split_once('=').unwrap_or((ROOT, directive));
            match LogLevel::parse(level) {
                Some(level) if !target.contains('[') => drop(levels.given.insert(target.to_owned(), level)),
                _ => levels.others.push(directive.to_owned()),
            }
        }
        levels
    }

    fn directives(&self) -> String {
        let directive = |(target, level): (&String, &LogLevel)| {
            let level = match level {
                LogLevel::Off => "off",
                LogLevel::Fatal | LogLevel::Error => "error",
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Debug => "debug",
                LogLevel::Trace | LogLevel::All => "trace",
            };
            if target == ROOT {
                level.to_owned()
            } else {
                format!("{target}={level}")
            }
        };
        let mut directives: Vec<_> = self.given.iter().map(directive).collect();
        directives.extend(self.others.iter().cloned());
        directives.join(",")
    }

    fn effective(&self, logger: &str) -> LogLevel {
        let above = self
            .given
            .iter()
            .filter(|(name, _)| logger.starts_with(name.as_str()));
        let nearest = above.max_by_key(|(name, _)| name.len());
        let found = nearest
            .map(|(_, level)| *level)
            .or_else(|| self.given.get(ROOT).copied());
        found.unwrap_or(LogLevel::Off)
    }

    fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let names = self.given.keys().map(String::as_str).chain(CRATES).chain([ROOT]);
        let level = |name: &str| LoggerLevel {
            level: self.effective(name),
            last_modified: self.modified.get(name).copied(),
        };
        names.map(|name| (name.to_owned(), level(name))).collect()
    }

    fn set(&mut self, logger: &str, level: LogLevel, now_ms: i64) -> Vec<String> {
        let before = self.all();
        let is_below = |name: &str| logger == ROOT || name.starts_with(logger);
        self.given.retain(|name, _| !is_below(name));
        if logger == ROOT {
            self.others.clear();
        }
        self.given.insert(logger.to_owned(), level);
        self.changed_since(&before, logger, now_ms)
    }

    fn set_own(&mut self, logger: &str, level: Option<LogLevel>, now_ms: i64) -> Vec<String> {
        let before = self.all();
        match level {
            Some(level) => self.given.insert(logger.to_owned(), level),
            None => self.given.remove(logger),
        };
        self.changed_since(&before, logger, now_ms)
    }

    /// The loggers whose levels are others than before, which is put down.
    fn changed_since(
        &mut self,
        before: &BTreeMap<String, LoggerLevel>,
        logger: &str,
        now_ms: i64,
    ) -> Vec<String> {
        let names = before.keys().map(String::as_str).chain([logger]);
        let is_other = |name: &&str| {
            let before = before.get(*name);
            before.is_none_or(|before| before.level != self.effective(name))
        };
        let names: BTreeSet<_> = names.filter(is_other).map(str::to_owned).collect();
        for name in &names {
            self.modified.insert(name.clone(), now_ms);
        }
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        assert_eq!(directives(Some("debug")), "warn,jackfield=debug");
        assert_eq!(directives(Some("error")), "error");
        assert_eq!(directives(Some("jackfield_log=trace")), "jackfield_log=trace");
        assert_eq!(directives(None), DEFAULT);
        for good in [DEFAULT, "debug", "warn,jackfield=off", "[span]=debug", "a=b"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let error = check("warn,jackfield_log").unwrap_err().to_string();
        assert!(
            error.starts_with("log level 'jackfield_log' is not understood; write off"),
            "{error}"
        );
    }

    #[test]
    fn a_level_holds_for_all_below_its_logger() {
        let mut levels = Levels::parse("warn,jackfield=info,jackfield_log::read=trace,[span]=debug");
        assert_eq!(levels.effective("jackfield_log::read::x"), LogLevel::Trace);
        assert_eq!(levels.effective("jackfield_broker"), LogLevel::Info);
        assert_eq!(levels.effective("other"), LogLevel::Warn);
        let changed = levels.set("jackfield_log", LogLevel::Debug, 7);
        assert_eq!(changed, ["jackfield_log", "jackfield_log::read"]);
        assert_eq!(levels.all()["jackfield_log"].last_modified, Some(7));
        assert_eq!(levels.all()["jackfield_worker"].last_modified, None);
        assert_eq!(
            levels.set("jackfield_log", LogLevel::Debug, 8),
            Vec::<String>::new()
        );
        assert_eq!(levels.set("other.logger", LogLevel::Warn, 8), ["other.logger"]);
        let filter = levels.directives();
        assert_eq!(
            filter,
            "jackfield=info,jackfield_log=debug,other.logger=warn,warn,[span]=debug"
        );
        EnvFilter::try_new(&filter).unwrap();
        let mut own = levels.clone();
        assert_eq!(own.set_own("root", Some(LogLevel::Error), 9), ["root"]);
        assert_eq!(
            own.directives(),
            "jackfield=info,jackfield_log=debug,other.logger=warn,error,[span]=debug",
            "the others keep theirs"
        );
        assert_eq!(own.set_own("jackfield_log", None, 9), ["jackfield_log"]);
        assert_eq!(own.effective("jackfield_log"), LogLevel::Info);
        assert_eq!(own.set_own("jackfield_log", None, 9), Vec::<String>::new());
        let changed = levels.set("root", LogLevel::Error, 9);
        assert!(changed.contains(&"root".to_owned()) && changed.contains(&"jackfield_log".to_owned()));
        assert_eq!(levels.directives(), "error");
    }
}
