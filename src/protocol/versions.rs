//! Which requests this broker serves, in which versions. What is not here is not advertised and closes its connection.

/// Kafka's API keys, as far as they are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum Api {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    JoinGroup,
    Heartbeat,
    LeaveGroup,
    SyncGroup,
    DescribeGroups,
    ListGroups,
    ApiVersions,
    CreateTopics,
    DeleteTopics,
    DeleteRecords,
    InitProducerId,
    OffsetForLeaderEpoch,
    DescribeAcls,
    CreateAcls,
    DeleteAcls,
    DescribeConfigs,
    AlterConfigs,
    AlterReplicaLogDirs,
    DescribeLogDirs,
    CreatePartitions,
    DeleteGroups,
    ElectLeaders,
    IncrementalAlterConfigs,
    AlterPartitionReassignments,
    ListPartitionReassignments,
    OffsetDelete,
    DescribeQuorum,
    UpdateFeatures,
    DescribeCluster,
    DescribeProducers,
    ConsumerGroupHeartbeat,
    ConsumerGroupDescribe,
    ListConfigResources,
    DescribeTopicPartitions,
}

/// Versions of one API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// API.
    pub api: Api,
    /// Its key on the wire.
    pub key: i16,
    /// Lowest version advertised.
    pub min: i16,
    /// Highest version advertised.
    pub max: i16,
    /// First version with compact encodings and tagged fields (KIP-482).
    pub flexible: i16,
}

/// No version is flexible.
const NEVER: i16 = i16::MAX;

const fn support(api: Api, key: i16, min: i16, max: i16, flexible: i16) -> Support {
    Support {
        api,
        key,
        min,
        max,
        flexible,
    }
}

/// The version table, by API key. Produce is advertised from 0, as Kafka does, so that old librdkafka keeps compressing
/// (KAFKA-18659); versions 0 to 2 are answered with UNSUPPORTED_VERSION.
pub const SUPPORTED: [Support; 41] = [
    support(Api::Produce, 0, 0, 11, 9),
    support(Api::Fetch, 1, 4, 18, 12),
    support(Api::ListOffsets, 2, 1, 11, 6),
    support(Api::Metadata, 3, 0, 13, 9),
    support(Api::OffsetCommit, 8, 2, 9, 8),
    support(Api::OffsetFetch, 9, 1, 9, 6),
    support(Api::FindCoordinator, 10, 0, 6, 3),
    support(Api::JoinGroup, 11, 0, 9, 6),
    support(Api::Heartbeat, 12, 0, 4, 4),
    support(Api::LeaveGroup, 13, 0, 5, 4),
    support(Api::SyncGroup, 14, 0, 5, 4),
    support(Api::DescribeGroups, 15, 0, 6, 5),
    support(Api::ListGroups, 16, 0, 5, 3),
    support(Api::ApiVersions, 18, 0, 4, 3),
    support(Api::CreateTopics, 19, 2, 7, 5),
    support(Api::DeleteTopics, 20, 1, 6, 4),
    support(Api::DeleteRecords, 21, 0, 2, 2),
    support(Api::InitProducerId, 22, 0, 5, 2),
    support(Api::OffsetForLeaderEpoch, 23, 2, 4, 4),
    support(Api::DescribeAcls, 29, 1, 3, 2),
    support(Api::CreateAcls, 30, 1, 3, 2),
    support(Api::DeleteAcls, 31, 1, 3, 2),
    support(Api::DescribeConfigs, 32, 1, 4, 4),
    support(Api::AlterConfigs, 33, 0, 2, 2),
    support(Api::AlterReplicaLogDirs, 34, 1, 2, 2),
    support(Api::DescribeLogDirs, 35, 1, 4, 2),
    support(Api::CreatePartitions, 37, 0, 3, 2),
    support(Api::DeleteGroups, 42, 0, 2, 2),
    support(Api::ElectLeaders, 43, 0, 2, 2),
    support(Api::IncrementalAlterConfigs, 44, 0, 1, 1),
    support(Api::AlterPartitionReassignments, 45, 0, 1, 0),
    support(Api::ListPartitionReassignments, 46, 0, 0, 0),
    support(Api::OffsetDelete, 47, 0, 0, NEVER),
    support(Api::DescribeQuorum, 55, 0, 2, 0),
    support(Api::UpdateFeatures, 57, 0, 2, 0),
    support(Api::DescribeCluster, 60, 0, 2, 0),
    support(Api::DescribeProducers, 61, 0, 0, 0),
    support(Api::ConsumerGroupHeartbeat, 68, 0, 1, 0),
    support(Api::ConsumerGroupDescribe, 69, 0, 1, 0),
    support(Api::ListConfigResources, 74, 0, 1, 0),
    support(Api::DescribeTopicPartitions, 75, 0, 0, 0),
];

/// The row of an API key; `None` when it is not served.
pub fn by_key(key: i16) -> Option<&'static Support> {
    SUPPORTED.iter().find(|row| row.key == key)
}

impl Support {
    /// Whether requests of `version` use compact encodings.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }

    /// Whether `version` is served.
    pub fn contains(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}
