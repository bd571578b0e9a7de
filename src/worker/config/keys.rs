//! Every key of Kafka Connect's standalone and distributed worker, and our own.

use crate::definition::{
    Key,
    Kind::{Boolean, Int, List, Long, NonEmpty, OneOf, Text},
    no_effect, unsupported, works,
};

const ONE_WORKER: &str = "this worker runs alone; it joins no group of workers";
const CLIENT: &str = "the worker talks to the embedded broker in process, without a network client";
const TLS: &str = "REST and broker are served on plain loopback listeners";
const METRICS: &str = "JMX metrics are a feature of the JVM";

/// Default of `task.shutdown.graceful.timeout.ms`: less than Kafka's 5000, so that the whole program ends within two
/// seconds.
const DEFAULT_GRACEFUL_TIMEOUT_MS: &str = "1000";

/// All keys, sorted by what they belong to.
pub(super) const KEYS: &[Key] = &[
    works(
        "bootstrap.servers",
        List,
        None,
        "Kafka cluster; unset or the embedded broker's own address = the embedded broker",
    ),
    works(
        "key.converter",
        NonEmpty,
        Some("org.apache.kafka.connect.json.JsonConverter"),
        "Converter of record keys",
    ),
    works(
        "value.converter",
        NonEmpty,
        Some("org.apache.kafka.connect.json.JsonConverter"),
        "Converter of record values",
    ),
    works(
        "header.converter",
        NonEmpty,
        Some("org.apache.kafka.connect.storage.SimpleHeaderConverter"),
        "Converter of header values",
    ),
    works(
        "task.shutdown.graceful.timeout.ms",
        Long(0),
        Some(DEFAULT_GRACEFUL_TIMEOUT_MS),
        "Time that all tasks together have to stop",
    ),
    works(
        "offset.flush.interval.ms",
        Long(1),
        Some("60000"),
        "How often sinks flush and commit their offsets",
    ),
    works(
        "offset.flush.timeout.ms",
        Long(1),
        Some("5000"),
        "How long storing offsets may take when a task stops",
    ),
    works("plugin.path", List, Some(""), "Directories with plugin packages"),
    works(
        "plugin.wasm.directories",
        List,
        Some(""),
        "Directories that WASM plugins may read and write",
    ),
    works(
        "plugin.policy",
        Text,
        None,
        "File with what WASM plugins may reach: hosts, directories, environment variables, the time",
    ),
    works(
        "plugin.native.allow",
        List,
        Some(""),
        "Packages that may run native code beside the shipped ones; * = all",
    ),
    works(
        "plugin.call.timeout.ms",
        Long(1),
        None,
        "Longest call of a plugin; unset = 30 s, 60 s of a sink, 5 s of a transform and for stop, which never have more",
    ),
    works(
        "plugin.wasm.compute.timeout.ms",
        Long(10),
        None,
        "Time that one call of a WASM plugin may compute; unset = 5 s, 1 s of a transform, which never has more",
    ),
    works(
        "plugin.wasm.memory.bytes",
        Long(1_048_576),
        None,
        "Memory of a task of a WASM plugin; unset = 256 MiB, 64 MiB of a transform, which never has more",
    ),
    works(
        "plugin.reload.enable",
        Boolean,
        Some("true"),
        "Whether a running connector goes on with the new code when its package is replaced or a newer version comes",
    ),
    works(
        "topic.tracking.enable",
        Boolean,
        Some("true"),
        "Whether the topics that connectors use are noted in the status topic",
    ),
    works(
        "topic.tracking.allow.reset",
        Boolean,
        Some("true"),
        "Whether the noted topics may be forgotten through the REST API",
    ),
    works(
        "topic.creation.enable",
        Boolean,
        Some("true"),
        "Whether topic.creation.* of source connectors is obeyed",
    ),
    works(
        "listeners",
        List,
        Some("http://127.0.0.1:8083"),
        "Addresses of the REST API",
    ),
    works("rest.advertised.host.name", Text, None, "Host shown as worker_id"),
    works("rest.advertised.port", Int(0), None, "Port shown as worker_id"),
    works(
        "config.storage.topic",
        NonEmpty,
        Some("connect-configs"),
        "Topic that keeps connector configs",
    ),
    works(
        "offset.storage.topic",
        NonEmpty,
        Some("connect-offsets"),
        "Topic that keeps source offsets",
    ),
    works(
        "offset.storage.partitions",
        Int(-1),
        Some("25"),
        "Partitions of the offsets topic when it is created",
    ),
    works(
        "status.storage.topic",
        NonEmpty,
        Some("connect-status"),
        "Topic that keeps states",
    ),
    works(
        "status.storage.partitions",
        Int(-1),
        Some("5"),
        "Partitions of the status topic when it is created",
    ),
    works(
        "config.unknown.keys",
        OneOf(&["error", "ignore"]),
        Some("error"),
        "Whether a key that nobody knows is an error",
    ),
    unsupported("config.providers", List, Some(""), "Config providers"),
    unsupported("rest.extension.classes", List, Some(""), "REST extensions"),
    unsupported(
        "exactly.once.source.support",
        OneOf(&["disabled", "preparing", "enabled"]),
        Some("disabled"),
        "Exactly-once source connectors",
    ),
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
    no_effect(
        "offset.storage.file.filename",
        Text,
        "source offsets are kept in the topic of offset.storage.topic",
    ),
    no_effect(
        "plugin.discovery",
        OneOf(&["only_scan", "hybrid_warn", "hybrid_fail", "service_load"]),
        "plugins are found by their manifests",
    ),
    no_effect(
        "connector.client.config.override.policy",
        Text,
        "the worker has no network clients to override",
    ),
    no_effect(
        "connector.client.config.override.allowlist",
        List,
        "the worker has no network clients to override",
    ),
    no_effect("metrics.sample.window.ms", Long(0), METRICS),
    no_effect("metrics.num.samples", Int(1), METRICS),
    no_effect("metrics.recording.level", Text, METRICS),
    no_effect("metric.reporters", List, METRICS),
    no_effect("auto.include.jmx.reporter", Boolean, METRICS),
    works(
        "admin.listeners",
        List,
        None,
        "Addresses of /admin alone, which the REST API then leaves to them; empty = none; unset = those of the REST API",
    ),
    no_effect("rest.advertised.listener", Text, ONE_WORKER),
    works(
        "access.control.allow.origin",
        List,
        Some(""),
        "Origins of web pages whose requests the REST API answers; * = all",
    ),
    works(
        "access.control.allow.methods",
        List,
        Some("GET,POST,HEAD"),
        "Methods that web pages of access.control.allow.origin may use",
    ),
    works(
        "response.http.headers.config",
        Text,
        Some(""),
        "Headers of all REST answers, as rules like: add X-Frame-Options: DENY",
    ),
    no_effect(
        "internal.key.converter",
        Text,
        "internal topics are always schemaless JSON",
    ),
    no_effect(
        "internal.value.converter",
        Text,
        "internal topics are always schemaless JSON",
    ),
    no_effect(
        "internal.topics.automatic.creation.enable",
        Boolean,
        "internal topics are created when they are missing",
    ),
    no_effect("group.id", Text, ONE_WORKER),
    no_effect(
        "config.storage.replication.factor",
        Int(-1),
        "the embedded broker is one node",
    ),
    no_effect(
        "offset.storage.replication.factor",
        Int(-1),
        "the embedded broker is one node",
    ),
    no_effect(
        "status.storage.replication.factor",
        Int(-1),
        "the embedded broker is one node",
    ),
    no_effect("connect.protocol", Text, ONE_WORKER),
    no_effect("session.timeout.ms", Int(0), ONE_WORKER),
    no_effect("heartbeat.interval.ms", Int(0), ONE_WORKER),
    no_effect("rebalance.timeout.ms", Int(0), ONE_WORKER),
    no_effect("scheduled.rebalance.max.delay.ms", Int(0), ONE_WORKER),
    no_effect("worker.sync.timeout.ms", Int(0), ONE_WORKER),
    no_effect("worker.unsync.backoff.ms", Int(0), ONE_WORKER),
    no_effect("inter.worker.key.generation.algorithm", Text, ONE_WORKER),
    no_effect("inter.worker.key.size", Int(0), ONE_WORKER),
    no_effect("inter.worker.key.ttl.ms", Int(0), ONE_WORKER),
    no_effect("inter.worker.signature.algorithm", Text, ONE_WORKER),
    no_effect("inter.worker.verification.algorithms", List, ONE_WORKER),
    no_effect("client.id", Text, CLIENT),
    no_effect("client.dns.lookup", Text, CLIENT),
    no_effect("metadata.max.age.ms", Long(0), CLIENT),
    no_effect("metadata.recovery.strategy", Text, CLIENT),
    no_effect("metadata.recovery.rebootstrap.trigger.ms", Long(0), CLIENT),
    no_effect("metadata.cluster.check.enable", Boolean, CLIENT),
    no_effect("bootstrap.resolve.timeout.ms", Long(0), CLIENT),
    no_effect("send.buffer.bytes", Int(-1), CLIENT),
    no_effect("receive.buffer.bytes", Int(-1), CLIENT),
    no_effect("request.timeout.ms", Int(0), CLIENT),
    no_effect("retry.backoff.ms", Long(0), CLIENT),
    no_effect("retry.backoff.max.ms", Long(0), CLIENT),
    no_effect("reconnect.backoff.ms", Long(0), CLIENT),
    no_effect("reconnect.backoff.max.ms", Long(0), CLIENT),
    no_effect("connections.max.idle.ms", Long(-1), CLIENT),
    no_effect("socket.connection.setup.timeout.ms", Long(0), CLIENT),
    no_effect("socket.connection.setup.timeout.max.ms", Long(0), CLIENT),
    no_effect("default.api.timeout.ms", Int(0), CLIENT),
    no_effect("retries", Int(0), CLIENT),
    no_effect("security.protocol", Text, CLIENT),
    no_effect("security.providers", Text, CLIENT),
];

/// Families of keys without effect: prefix and why.
pub(super) const FAMILIES: &[(&str, &str)] = &[
    ("ssl.", TLS),
    ("sasl.", CLIENT),
    ("listeners.https.", TLS),
    ("admin.listeners.https.", TLS),
    ("metrics.context.", METRICS),
    (
        "internal.key.converter.",
        "internal topics are always schemaless JSON",
    ),
    (
        "internal.value.converter.",
        "internal topics are always schemaless JSON",
    ),
];

/// Options of task clients that work, or would change what happens; the other keys of Kafka's clients have no effect.
pub(crate) const CLIENT_OPTIONS: &[Key] = &[
    works(
        "producer.compression.type",
        OneOf(&["none", "gzip", "snappy", "lz4", "zstd"]),
        Some("none"),
        "Compression of what source connectors append",
    ),
    works(
        "consumer.max.poll.records",
        Int(1),
        None,
        "Most records in one batch for a sink",
    ),
    works(
        "consumer.fetch.max.bytes",
        Int(1),
        None,
        "Most bytes fetched at once for a sink",
    ),
    unsupported(
        "consumer.auto.offset.reset",
        Text,
        Some("earliest"),
        "Where a sink begins that has committed nothing yet",
    ),
    works(
        "consumer.session.timeout.ms",
        Int(1),
        Some("45000"),
        "Session timeout of a sink's consumer group",
    ),
];
