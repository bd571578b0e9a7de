//! The keys that every connector has besides its own.

use crate::definition::{
    Key,
    Kind::{Boolean, Int, List, Long, Name, NonEmpty, OneOf, Text},
    no_effect, unsupported, works,
};

/// Keys of all connectors.
pub(super) const COMMON: &[Key] = &[
    works("name", Name, None, "Name of the connector"),
    works(
        "connector.class",
        NonEmpty,
        None,
        "Class or alias of the connector",
    ),
    works("tasks.max", Int(1), Some("1"), "Most tasks"),
    works(
        "tasks.max.enforce",
        Boolean,
        Some("true"),
        "Whether more tasks than tasks.max are an error",
    ),
    works(
        "plugin.form",
        OneOf(&["native", "wasm"]),
        None,
        "Form of the plugin to load",
    ),
    works("key.converter", NonEmpty, None, "Converter of record keys"),
    works("value.converter", NonEmpty, None, "Converter of record values"),
    works("header.converter", NonEmpty, None, "Converter of header values"),
    works(
        "errors.tolerance",
        OneOf(&["none", "all"]),
        Some("none"),
        "Whether a record that cannot be converted fails the task or is skipped",
    ),
    works(
        "errors.log.enable",
        Boolean,
        Some("false"),
        "Whether skipped records are logged",
    ),
    works(
        "errors.log.include.messages",
        Boolean,
        Some("false"),
        "Whether the log names the skipped record's coordinates",
    ),
    works(
        "config.unknown.keys",
        OneOf(&["error", "ignore"]),
        Some("error"),
        "Whether a key that nobody knows is an error",
    ),
    no_effect(
        "errors.retry.timeout",
        Long(-1),
        "no built-in converter fails in a way that a retry could mend",
    ),
    no_effect(
        "errors.retry.delay.max.ms",
        Long(0),
        "no built-in converter fails in a way that a retry could mend",
    ),
    no_effect(
        "config.action.reload",
        OneOf(&["none", "restart"]),
        "there are no config providers yet",
    ),
    unsupported("transforms", List, None, "Transformations"),
    unsupported("predicates", List, None, "Predicates of transformations"),
    unsupported("connector.plugin.version", Text, None, "Version of the connector"),
    unsupported(
        "key.converter.plugin.version",
        Text,
        None,
        "Version of the key converter",
    ),
    unsupported(
        "value.converter.plugin.version",
        Text,
        None,
        "Version of the value converter",
    ),
    unsupported(
        "header.converter.plugin.version",
        Text,
        None,
        "Version of the header converter",
    ),
];

/// Keys of source connectors.
pub(super) const SOURCE: &[Key] = &[
    works(
        "topic.creation.groups",
        List,
        Some(""),
        "Groups of topics with settings of their own",
    ),
    unsupported(
        "exactly.once.support",
        OneOf(&["requested", "required"]),
        Some("requested"),
        "Whether exactly-once is required",
    ),
    unsupported(
        "transaction.boundary",
        OneOf(&["poll", "interval", "connector"]),
        Some("poll"),
        "Where transactions end",
    ),
    unsupported(
        "transaction.boundary.interval.ms",
        Long(0),
        None,
        "Interval of transactions",
    ),
    unsupported(
        "offsets.storage.topic",
        Text,
        None,
        "An offsets topic of the connector's own",
    ),
];

/// Keys of sink connectors.
pub(super) const SINK: &[Key] = &[
    works("topics", List, None, "Topics to read"),
    works("topics.regex", Text, None, "Pattern of the topics to read"),
    works(
        "consumer.override.group.id",
        NonEmpty,
        None,
        "Consumer group of the tasks",
    ),
    unsupported(
        "errors.deadletterqueue.topic.name",
        Text,
        Some(""),
        "Dead letter queue",
    ),
    no_effect(
        "errors.deadletterqueue.topic.replication.factor",
        Int(-1),
        "there is no dead letter queue yet",
    ),
    no_effect(
        "errors.deadletterqueue.context.headers.enable",
        Boolean,
        "there is no dead letter queue yet",
    ),
];
