//! Feature levels (KIP-584): what ApiVersions tells clients, and `kafka-features` asks and changes.
//!
//! Each feature is served at the one level that a new Apache Kafka 4.3 has; there is no way back to lower ones. What is
//! not here has level 0, which Kafka does not list either.

use kafka_protocol::{
    messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey},
    protocol::StrBytes,
};

/// A feature and its level. Clients below version 4 of ApiVersions cannot read a range that begins at 0 (KAFKA-17492).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) level: i16,
}

/// What is served.
pub(crate) const FEATURES: [Feature; 2] = [
    // Consumer groups of the new protocol (KIP-848).
    Feature {
        name: "group.version",
        level: 1,
    },
    // 4.3-IV0.
    Feature {
        name: "metadata.version",
        level: 30,
    },
];

/// Features of Kafka 4.3 that are at level 0.
pub(crate) const ABSENT: [&str; 5] = [
    "eligible.leader.replicas.version",
    "kraft.version",
    "share.version",
    "streams.version",
    "transaction.version",
];

/// Levels never change while a version of this program serves, so their epoch does not either.
pub(crate) const EPOCH: i64 = 0;

/// The levels a client may ask for.
pub(crate) fn supported() -> Vec<SupportedFeatureKey> {
    let feature = |feature: &Feature| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version(feature.level)
            .with_max_version(feature.level)
    };
    FEATURES.iter().map(feature).collect()
}

/// The levels in force.
pub(crate) fn finalized() -> Vec<FinalizedFeatureKey> {
    let feature = |feature: &Feature| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version_level(feature.level)
            .with_max_version_level(feature.level)
    };
    FEATURES.iter().map(feature).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_above_0_and_names_are_told_once() {
        assert!(FEATURES.iter().all(|feature| feature.level > 0));
        let mut names: Vec<_> = FEATURES
            .iter()
            .map(|feature| feature.name)
            .chain(ABSENT)
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
