//! The log on stderr.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// Our own state changes, other people's warnings.
const DEFAULT: &str = "warn,jackfield=info,librdkafka=off,rdkafka=off";

/// Starts logging. `filter` is a level (`debug`) or a list of `target=level` (`jackfield_broker=debug,warn`).
pub(crate) fn start(filter: Option<&str>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives(filter))
        .with_context(|| format!("log level '{}' is not understood", filter.unwrap_or_default()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        assert_eq!(directives(Some("debug")), "warn,jackfield=debug");
        assert_eq!(directives(Some("error")), "error");
        assert_eq!(directives(Some("jackfield_log=trace")), "jackfield_log=trace");
        assert_eq!(directives(None), DEFAULT);
    }
}
