//! The keys of Kafka's own clients: what is said of one that has no effect on the tasks' clients.

/// Keys of every client.
const COMMON: &[&str] = &[
    "bootstrap.servers",
    "client.dns.lookup",
    "client.id",
    "config.providers",
    "connections.max.idle.ms",
    "default.api.timeout.ms",
    "enable.metrics.push",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "security.protocol",
    "security.providers",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
];

const PRODUCER: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "delivery.timeout.ms",
    "enable.idempotence",
    "interceptor.classes",
    "key.serializer",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "metadata.max.idle.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "partitioner.class",
    "partitioner.ignore.keys",
    "transaction.timeout.ms",
    "transaction.two.phase.commit.enable",
    "transactional.id",
    "value.serializer",
];

const CONSUMER: &[&str] = &[
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "check.crcs",
    "client.rack",
    "enable.auto.commit",
    "exclude.internal.topics",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "interceptor.classes",
    "isolation.level",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "share.acknowledgement.mode",
    "value.deserializer",
];

const ADMIN: &[&str] = &["bootstrap.controllers"];

/// Families of keys that every client has.
const FAMILIES: &[&str] = &["ssl.", "sasl.", "metrics.context.", "config.providers."];

/// Keys of Kafka's `producer`, `consumer` or `admin` client.
pub(crate) fn of_client(client: &str) -> impl Iterator<Item = &'static str> + use<> {
    let own = match client {
        "producer" => PRODUCER,
        "consumer" => CONSUMER,
        _ => ADMIN,
    };
    COMMON.iter().chain(own).copied()
}

/// Whether it is a key of that client in Kafka.
pub(crate) fn is_known(client: &str, key: &str) -> bool {
    FAMILIES.iter().any(|family| key.starts_with(family)) || of_client(client).any(|known| known == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_their_clients() {
        assert!(is_known("producer", "linger.ms"));
        assert!(!is_known("consumer", "linger.ms"));
        assert!(is_known("consumer", "sasl.jaas.config"));
        assert!(is_known("admin", "retries"));
        assert!(!is_known("admin", "retires"));
    }
}
