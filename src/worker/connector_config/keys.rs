//! The keys that every connector has besides its own, in the order in which lists show them.

use jackfield_api::{
    ConfigType,
    Importance::{High, Low, Medium},
};
use jackfield_plugin::Kind;

use crate::definition::{
    Key,
    Kind::{Boolean, Int, List, Long, Name, NonEmpty, OneOf, Text, Version},
    Width, no_effect, unsupported, works,
};

const COMMON: &str = "Common";
const ERRORS: &str = "Error Handling";
const EXACTLY_ONCE: &str = "Exactly Once Support";

const RETRY: &str = "no built-in converter fails in a way that a retry could mend";
const NO_DLQ: &str = "there is no dead letter queue yet";

/// Keys of connectors of a kind.
pub(super) fn of(kind: Kind) -> impl Iterator<Item = &'static Key> + Clone {
    let own = match kind {
        Kind::Source => SOURCE,
        Kind::Sink => SINK,
        Kind::Transform => &[],
    };
    OF_ALL.iter().chain(own)
}

/// Keys of all connectors.
const OF_ALL: &[Key] = &[
    works("name", Name, None, "Name of the connector, unique in the worker")
        .shown(
            ConfigType::String,
            High,
            (COMMON, 1),
            Width::Medium,
            "Connector name",
        )
        .required(),
    works(
        "connector.class",
        NonEmpty,
        None,
        "Class or alias of the connector, such as FileStreamSource",
    )
    .shown(
        ConfigType::String,
        High,
        (COMMON, 2),
        Width::Long,
        "Connector class",
    )
    .required(),
    works(
        "connector.plugin.version",
        Version,
        None,
        "Version of the connector, or a range of which the newest is taken, such as [1.0,2.0); by default the newest",
    )
    .shown(
        ConfigType::String,
        Medium,
        (COMMON, 3),
        Width::Medium,
        "Connector version",
    ),
    works(
        "tasks.max",
        Int(1),
        Some("1"),
        "Most tasks that the connector may have",
    )
    .shown(ConfigType::Int, High, (COMMON, 4), Width::Short, "Tasks max"),
    works(
        "tasks.max.enforce",
        Boolean,
        Some("true"),
        "Whether more tasks than tasks.max are an error",
    )
    .shown(
        ConfigType::Boolean,
        Low,
        (COMMON, 5),
        Width::Short,
        "Enforce tasks max",
    ),
    works(
        "key.converter",
        NonEmpty,
        None,
        "Converter of record keys; by default the worker's",
    )
    .shown(
        ConfigType::Class,
        Low,
        (COMMON, 6),
        Width::Short,
        "Key converter class",
    ),
    unsupported(
        "key.converter.plugin.version",
        Text,
        None,
        "Version of the key converter",
    )
    .shown(
        ConfigType::String,
        Low,
        (COMMON, 7),
        Width::Short,
        "Key converter version",
    ),
    works(
        "value.converter",
        NonEmpty,
        None,
        "Converter of record values; by default the worker's",
    )
    .shown(
        ConfigType::Class,
        Low,
        (COMMON, 8),
        Width::Short,
        "Value converter class",
    ),
    unsupported(
        "value.converter.plugin.version",
        Text,
        None,
        "Version of the value converter",
    )
    .shown(
        ConfigType::String,
        Low,
        (COMMON, 9),
        Width::Short,
        "Value converter version",
    ),
    works(
        "header.converter",
        NonEmpty,
        None,
        "Converter of header values; by default the worker's",
    )
    .shown(
        ConfigType::Class,
        Low,
        (COMMON, 10),
        Width::Short,
        "Header converter class",
    ),
    unsupported(
        "header.converter.plugin.version",
        Text,
        None,
        "Version of the header converter",
    )
    .shown(
        ConfigType::String,
        Low,
        (COMMON, 11),
        Width::Short,
        "Header converter version",
    ),
    works(
        "transforms",
        List,
        Some(""),
        "Transformations of records, by names of one's own",
    )
    .shown(
        ConfigType::List,
        Low,
        ("Transforms", 12),
        Width::Long,
        "Transforms",
    ),
    unsupported(
        "predicates",
        List,
        Some(""),
        "Predicates of transformations, by names of one's own",
    )
    .shown(
        ConfigType::List,
        Low,
        ("Predicates", 13),
        Width::Long,
        "Predicates",
    ),
    no_effect(
        "config.action.reload",
        OneOf(&["none", "restart"]),
        "there are no config providers yet",
    )
    .default("restart")
    .shown(
        ConfigType::String,
        Low,
        (COMMON, 14),
        Width::Medium,
        "Reload Action",
    ),
    works(
        "plugin.form",
        OneOf(&["native", "wasm"]),
        None,
        "Form of the plugin to load",
    )
    .shown(ConfigType::String, Low, (COMMON, 15), Width::Short, "Plugin form"),
    works(
        "config.unknown.keys",
        OneOf(&["error", "ignore"]),
        Some("error"),
        "Whether a key that nobody knows is an error",
    )
    .shown(
        ConfigType::String,
        Low,
        (COMMON, 16),
        Width::Short,
        "Unknown keys",
    ),
    no_effect("errors.retry.timeout", Long(-1), RETRY)
        .default("0")
        .shown(
            ConfigType::Long,
            Medium,
            (ERRORS, 1),
            Width::Medium,
            "Retry Timeout for Errors",
        ),
    no_effect("errors.retry.delay.max.ms", Long(0), RETRY)
        .default("60000")
        .shown(
            ConfigType::Long,
            Medium,
            (ERRORS, 2),
            Width::Medium,
            "Maximum Delay Between Retries for Errors",
        ),
    works(
        "errors.tolerance",
        OneOf(&["none", "all"]),
        Some("none"),
        "Whether a record that cannot be converted fails the task or is skipped",
    )
    .shown(
        ConfigType::String,
        Medium,
        (ERRORS, 3),
        Width::Short,
        "Error Tolerance",
    ),
    works(
        "errors.log.enable",
        Boolean,
        Some("false"),
        "Whether skipped records are logged",
    )
    .shown(
        ConfigType::Boolean,
        Medium,
        (ERRORS, 4),
        Width::Short,
        "Log Errors",
    ),
    works(
        "errors.log.include.messages",
        Boolean,
        Some("false"),
        "Whether the log names the skipped record's coordinates",
    )
    .shown(
        ConfigType::Boolean,
        Medium,
        (ERRORS, 5),
        Width::Short,
        "Log Error Details",
    ),
];

/// Keys of source connectors.
const SOURCE: &[Key] = &[
    works(
        "topic.creation.groups",
        List,
        Some(""),
        "Groups of topics with settings of their own",
    )
    .shown(
        ConfigType::List,
        Low,
        ("Topic Creation", 1),
        Width::Long,
        "Topic Creation Groups",
    ),
    unsupported(
        "exactly.once.support",
        OneOf(&["requested", "required"]),
        Some("requested"),
        "Whether exactly-once is required",
    )
    .shown(
        ConfigType::String,
        Medium,
        (EXACTLY_ONCE, 2),
        Width::Short,
        "Exactly once support",
    ),
    unsupported(
        "transaction.boundary",
        OneOf(&["poll", "interval", "connector"]),
        Some("poll"),
        "Where transactions end",
    )
    .shown(
        ConfigType::String,
        Medium,
        (EXACTLY_ONCE, 3),
        Width::Short,
        "Transaction Boundary",
    ),
    unsupported(
        "transaction.boundary.interval.ms",
        Long(0),
        None,
        "Interval of transactions",
    )
    .shown(
        ConfigType::Long,
        Low,
        (EXACTLY_ONCE, 4),
        Width::Short,
        "Transaction boundary interval",
    ),
    unsupported(
        "offsets.storage.topic",
        Text,
        None,
        "An offsets topic of the connector's own",
    )
    .shown(
        ConfigType::String,
        Low,
        ("offsets.topic", 1),
        Width::Long,
        "Offsets topic",
    ),
];

/// Keys of sink connectors.
const SINK: &[Key] = &[
    works("topics", List, Some(""), "Topics to read").shown(
        ConfigType::List,
        High,
        (COMMON, 4),
        Width::Long,
        "Topics",
    ),
    works(
        "topics.regex",
        Text,
        Some(""),
        "Instead of topics: pattern of the names of the topics to read",
    )
    .shown(ConfigType::String, High, (COMMON, 4), Width::Long, "Topics regex"),
    unsupported(
        "errors.deadletterqueue.topic.name",
        Text,
        Some(""),
        "Dead letter queue",
    )
    .shown(
        ConfigType::String,
        Medium,
        (ERRORS, 6),
        Width::Medium,
        "Dead Letter Queue Topic Name",
    ),
    no_effect("errors.deadletterqueue.topic.replication.factor", Int(-1), NO_DLQ)
        .default("3")
        .shown(
            ConfigType::Short,
            Medium,
            (ERRORS, 7),
            Width::Medium,
            "Dead Letter Queue Topic Replication Factor",
        ),
    no_effect("errors.deadletterqueue.context.headers.enable", Boolean, NO_DLQ)
        .default("false")
        .shown(
            ConfigType::Boolean,
            Medium,
            (ERRORS, 8),
            Width::Medium,
            "Enable Error Context Headers",
        ),
    works(
        "consumer.override.group.id",
        NonEmpty,
        None,
        "Consumer group of the tasks",
    ),
];
