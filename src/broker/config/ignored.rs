//! Kafka's broker keys that have no effect here, and why. A key that is in neither table is unknown.

/// Every broker key of Apache Kafka 4.3 (`KafkaConfig.configDef`), one a line.
pub(crate) const KAFKA_KEYS: &str = include_str!("kafka_keys.txt");

/// Prefixes under which Kafka takes keys of plugins or of single listeners.
const KAFKA_PREFIXES: [&str; 5] = [
    "listener.name.",
    "config.providers.",
    "rlmm.config.",
    "rsm.config.",
    "confluent.",
];

/// Keys whose effect would be protection: giving them must not look as if it worked.
const REFUSED: [(&str, &str); 1] = [(
    "authorizer.class.name",
    "this broker does not check permissions yet; remove the key, and let only trusted clients connect",
)];

/// Why keys with this beginning have no effect. The first match wins.
#[rustfmt::skip]
const REASONS: [(&str, &str); 24] = [
    ("sasl.", "clients are not authenticated"),
    ("ssl.", "connections are not encrypted"),
    ("controller.", "there is no controller quorum: this broker is one node"),
    ("process.roles", "there is no controller quorum: this broker is one node"),
    ("metadata.", "there is no controller quorum: what topics there are is kept in the first log directory"),
    ("broker.heartbeat", "there is no controller quorum: this broker is one node"),
    ("broker.session", "there is no controller quorum: this broker is one node"),
    ("inter.broker", "there are no other brokers"),
    ("security.inter.broker", "there are no other brokers"),
    ("replica.", "there are no other brokers to replicate with"),
    ("num.replica", "there are no other brokers to replicate with"),
    ("min.insync", "there are no other brokers: an acknowledged record is synced to this one's disk"),
    ("offsets.topic.replication", "there are no other brokers: one replica is kept"),
    ("unclean.leader", "there are no other brokers"),
    ("leader.imbalance", "there are no other brokers"),
    ("auto.leader", "there are no other brokers"),
    ("log.cleaner.", "topics are not compacted yet"),
    ("log.flush.", "records are synced as the key durability says"),
    ("transaction", "transactions are not supported yet"),
    ("group.share.", "share groups are not supported"),
    ("share.", "share groups are not supported"),
    ("group.streams.", "streams groups are not supported"),
    ("remote.", "tiered storage is not supported"),
    ("compression.", "batches are stored as their producers compressed them"),
];

/// What a key that is not in the table of options is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Kafka's, without effect here.
    Ignored(&'static str),
    /// Kafka's, and pretending would be dangerous.
    Refused(&'static str),
    /// Nobody's.
    Unknown,
}

/// Classifies a key that has no effect here.
pub(crate) fn classify(key: &str) -> Foreign {
    if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == key) {
        return Foreign::Refused(why);
    }
    let known = KAFKA_KEYS.lines().any(|name| name == key)
        || KAFKA_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    if !known {
        return Foreign::Unknown;
    }
    let reason = REASONS.iter().find(|(prefix, _)| key.starts_with(prefix));
    Foreign::Ignored(reason.map_or("nothing here is tuned by it", |(_, why)| why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(
            classify("num.network.threads"),
            Foreign::Ignored("nothing here is tuned by it")
        );
        assert_eq!(
            classify("sasl.enabled.mechanisms"),
            Foreign::Ignored("clients are not authenticated")
        );
        assert_eq!(
            classify("listener.name.internal.ssl.client.auth"),
            Foreign::Ignored("nothing here is tuned by it")
        );
        assert!(matches!(classify("authorizer.class.name"), Foreign::Refused(_)));
        assert_eq!(classify("num.network.thread"), Foreign::Unknown);
    }

    #[test]
    fn every_reason_has_a_key() {
        for (prefix, _) in REASONS {
            assert!(KAFKA_KEYS.lines().any(|key| key.starts_with(prefix)), "{prefix}");
        }
    }
}
