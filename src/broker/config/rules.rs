//! What values of several broker options must be together, in Kafka's words.

use super::values::Values;
use crate::topic_config;

/// Connections of single hosts.
pub(crate) const OVERRIDES: &str = "max.connections.per.ip.overrides";

/// Options that may at most double or halve while the broker runs.
const THREADS: [&str; 6] = [
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
];

/// Each rule that the values break.
pub(crate) fn broken(values: &Values) -> Vec<String> {
    let mut problems = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            problems.push(what.to_owned());
        }
    };
    let number = |name| values.number(name);
    let retention_ms = topic_config::time(values, "retention.ms");
    require(
        retention_ms >= 1 || retention_ms == -1,
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    );
    require(
        topic_config::time(values, "segment.ms") >= 1,
        "log.roll.ms must be greater than or equal to 1",
    );
    require(
        topic_config::time(values, "segment.jitter.ms") >= 0,
        "log.roll.jitter.ms must be greater than or equal to 0",
    );
    require(
        number("log.cleaner.dedupe.buffer.size") / number("log.cleaner.threads").max(1) > 1024 * 1024,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    );
    let wait = number("replica.fetch.wait.max.ms");
    require(
        wait <= number("replica.socket.timeout.ms"),
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms",
    );
    require(
        wait <= number("replica.lag.time.max.ms"),
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms",
    );
    let queued = number("queued.max.request.bytes");
    require(
        queued <= 0 || queued >= number("socket.request.max.bytes"),
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    );
    require(
        number("max.connections.per.ip") != 0 || !values.text("max.connections.per.ip.overrides").is_empty(),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
    );
    let idle = number("connections.max.idle.ms");
    require(
        idle < 0 || number("connection.failed.authentication.delay.ms") < idle,
        "connection.failed.authentication.delay.ms should always be less than connections.max.idle.ms",
    );
    require(
        number("group.min.session.timeout.ms") <= number("group.max.session.timeout.ms"),
        "group.min.session.timeout.ms is above group.max.session.timeout.ms",
    );
    let id = |name| values.given(name)?.parse::<i64>().ok().filter(|id| *id >= 0);
    if let (Some(node), Some(broker)) = (id("node.id"), id("broker.id")) {
        require(
            node == broker,
            "node.id and broker.id must be set to the same value",
        );
    }
    problems.extend(broken_of_groups(values));
    problems.extend(overrides(values).err());
    problems
}

/// The bounds of what members of the newer groups are told.
fn broken_of_groups(values: &Values) -> Vec<String> {
    let mut problems = Vec::new();
    for kind in ["consumer", "share", "streams"] {
        let key = |name: &str| format!("group.{kind}.{name}");
        let number = |name: &str| values.number(&key(name));
        for option in [
            "heartbeat.interval.ms",
            "session.timeout.ms",
            "assignment.interval.ms",
        ] {
            let (least, most) = (format!("min.{option}"), format!("max.{option}"));
            for (one, other) in [(&*most, &*least), (option, &*least), (&*most, option)] {
                if number(one) < number(other) {
                    let (one, other) = (key(one), key(other));
                    problems.push(format!("{one} must be greater than or equal to {other}"));
                }
            }
        }
        let (heartbeat, session) = ("heartbeat.interval.ms", "session.timeout.ms");
        if number(heartbeat) >= number(session) {
            let (heartbeat, session) = (key(heartbeat), key(session));
            problems.push(format!("{heartbeat} must be less than {session}"));
        }
    }
    problems
}

/// The directories of the logs.
pub(crate) fn log_dirs(values: &Values) -> impl Iterator<Item = &str> {
    let key = if values.given("log.dirs").is_some() {
        "log.dirs"
    } else {
        "log.dir"
    };
    values.list(key)
}

/// What is wrong with `cordoned.log.dirs`.
pub(crate) fn broken_of_cordoned(values: &Values) -> Option<String> {
    if values.list("cordoned.log.dirs").any(|name| name == "*") {
        let alone = values.list("cordoned.log.dirs").count() == 1;
        let problem = "When cordoned.log.dirs is set to *, it must not contain other values";
        return (!alone).then(|| problem.to_owned());
    }
    let unknown: Vec<_> = values
        .list("cordoned.log.dirs")
        .filter(|name| !log_dirs(values).any(|directory| directory == *name))
        .collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : {}",
            unknown.join(", ")
        )
    })
}

/// `max.connections.per.ip.overrides`: hosts with their most connections.
///
/// # Errors
/// Says which entry is not understood.
pub(crate) fn overrides(values: &Values) -> Result<Vec<(&str, usize)>, String> {
    let overridden = |entry| {
        let wrong =
            |what: &str| format!("Error parsing configuration property '{OVERRIDES}': '{entry}' {what}");
        let (host, count) = str::rsplit_once(entry, ':').ok_or_else(|| wrong("is not host:count"))?;
        let count = count.trim().parse().map_err(|_| wrong("has no count"))?;
        Ok((host.trim(), count))
    };
    values.list(OVERRIDES).map(overridden).collect()
}

/// What cannot change so while the broker runs.
pub(crate) fn too_far(now: &Values, then: &Values) -> Option<String> {
    THREADS.iter().find_map(|name| {
        let (now, then) = (now.number(name), then.number(name));
        let said = format!("Dynamic thread count update validation failed for {name}={then}, value should");
        if then > now * 2 {
            Some(format!(
                "{said} not be greater than double the current value {now}"
            ))
        } else if then < now / 2 {
            Some(format!("{said} be at least half the current value {now}"))
        } else {
            None
        }
    })
}
