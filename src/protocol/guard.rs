//! Walks a request before it is decoded: lengths and counts must fit the frame.
//!
//! The generated decoders reserve memory for a declared element count before they see the elements. This walk knows the
//! layout of every request that is decoded by them, and refuses counts the frame cannot hold.

use crate::{
    reader::{Malformed, Reader},
    versions::{Api, Support},
};

/// A field's wire type.
#[derive(Debug)]
enum Kind {
    /// A value of fixed width in bytes.
    Fixed(usize),
    /// A string, null or not.
    Text,
    /// Bytes, null or not.
    Blob,
    /// An array of single values.
    Values(&'static Kind),
    /// An array of structs.
    Structs(&'static [Field]),
    /// A struct or null.
    Nullable(&'static [Field]),
}

/// A field and the versions it exists in.
#[derive(Debug)]
struct Field(Kind, i16, i16);

const ALL: i16 = i16::MAX;

const fn since(kind: Kind, version: i16) -> Field {
    Field(kind, version, ALL)
}

const fn always(kind: Kind) -> Field {
    Field(kind, 0, ALL)
}

use Kind::{Blob, Fixed, Nullable, Structs, Text, Values};

const INTS: Kind = Values(&Fixed(4));
const TOPIC_PARTITIONS: &[Field] = &[always(Text), always(INTS)];

const METADATA: &[Field] = &[
    always(Structs(&[since(Fixed(16), 10), always(Text)])),
    since(Fixed(1), 4),
    Field(Fixed(1), 8, 10),
    since(Fixed(1), 8),
];
const LIST_OFFSETS: &[Field] = &[
    always(Fixed(4)),
    since(Fixed(1), 2),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(Fixed(4)), since(Fixed(4), 4), always(Fixed(8))])),
    ])),
    since(Fixed(4), 10),
];
const OFFSET_COMMIT: &[Field] = &[
    always(Text),
    since(Fixed(4), 1),
    since(Text, 1),
    since(Text, 7),
    Field(Fixed(8), 2, 4),
    always(Structs(&[
        always(Text),
        always(Structs(&[
            always(Fixed(4)),
            always(Fixed(8)),
            since(Fixed(4), 6),
            always(Text),
        ])),
    ])),
];
const OFFSET_FETCH: &[Field] = &[
    Field(Text, 0, 7),
    Field(Structs(TOPIC_PARTITIONS), 0, 7),
    since(
        Structs(&[
            always(Text),
            since(Text, 9),
            since(Fixed(4), 9),
            always(Structs(TOPIC_PARTITIONS)),
        ]),
        8,
    ),
    since(Fixed(1), 7),
];
const FIND_COORDINATOR: &[Field] = &[Field(Text, 0, 3), since(Fixed(1), 1), since(Values(&Text), 4)];
const JOIN_GROUP: &[Field] = &[
    always(Text),
    always(Fixed(4)),
    since(Fixed(4), 1),
    always(Text),
    since(Text, 5),
    always(Text),
    always(Structs(&[always(Text), always(Blob)])),
    since(Text, 8),
];
const HEARTBEAT: &[Field] = &[always(Text), always(Fixed(4)), always(Text), since(Text, 3)];
const LEAVE_GROUP: &[Field] = &[
    always(Text),
    Field(Text, 0, 2),
    since(Structs(&[always(Text), always(Text), since(Text, 5)]), 3),
];
const SYNC_GROUP: &[Field] = &[
    always(Text),
    always(Fixed(4)),
    always(Text),
    since(Text, 3),
    since(Text, 5),
    since(Text, 5),
    always(Structs(&[always(Text), always(Blob)])),
];
const DESCRIBE_GROUPS: &[Field] = &[always(Values(&Text)), since(Fixed(1), 3)];
const LIST_GROUPS: &[Field] = &[since(Values(&Text), 4), since(Values(&Text), 5)];
const DELETE_GROUPS: &[Field] = &[always(Values(&Text))];
const OFFSET_DELETE: &[Field] = &[always(Text), always(Structs(TOPIC_PARTITIONS))];
const API_VERSIONS: &[Field] = &[since(Text, 3), since(Text, 3)];
const CREATE_TOPICS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(Fixed(4)),
        always(Fixed(2)),
        always(Structs(&[always(Fixed(4)), always(INTS)])),
        always(Structs(&[always(Text), always(Text)])),
    ])),
    always(Fixed(4)),
    since(Fixed(1), 1),
];
const DELETE_TOPICS: &[Field] = &[
    since(Structs(&[always(Text), always(Fixed(16))]), 6),
    Field(Values(&Text), 0, 5),
    always(Fixed(4)),
];
const DELETE_RECORDS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(Structs(&[always(Fixed(4)), always(Fixed(8))])),
    ])),
    always(Fixed(4)),
];
const INIT_PRODUCER_ID: &[Field] = &[
    always(Text),
    always(Fixed(4)),
    since(Fixed(8), 3),
    since(Fixed(2), 3),
];
const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(Fixed(4), 3),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(Fixed(4)), always(Fixed(4)), always(Fixed(4))])),
    ])),
];
const ALTER_REPLICA_LOG_DIRS: &[Field] = &[always(Structs(&[
    always(Text),
    always(Structs(TOPIC_PARTITIONS)),
]))];
/// A binding, or a filter of bindings: resource with the type of its pattern, principal, host, operation, permission.
const ACL: &[Field] = &[
    always(Fixed(1)),
    always(Text),
    since(Fixed(1), 1),
    always(Text),
    always(Text),
    always(Fixed(1)),
    always(Fixed(1)),
];
const ACLS: &[Field] = &[always(Structs(ACL))];
const DESCRIBE_LOG_DIRS: &[Field] = &[always(Structs(TOPIC_PARTITIONS))];
const DESCRIBE_PRODUCERS: &[Field] = &[always(Structs(TOPIC_PARTITIONS))];
const DESCRIBE_CONFIGS: &[Field] = &[
    always(Structs(&[always(Fixed(1)), always(Text), always(Values(&Text))])),
    since(Fixed(1), 1),
    since(Fixed(1), 3),
];
const CREATE_PARTITIONS: &[Field] = &[
    always(Structs(&[
        always(Text),
        always(Fixed(4)),
        always(Structs(&[always(INTS)])),
    ])),
    always(Fixed(4)),
    always(Fixed(1)),
];
const ALTER_CONFIGS: &[Field] = &[
    always(Structs(&[
        always(Fixed(1)),
        always(Text),
        always(Structs(&[always(Text), always(Text)])),
    ])),
    always(Fixed(1)),
];
const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    always(Structs(&[
        always(Fixed(1)),
        always(Text),
        always(Structs(&[always(Text), always(Fixed(1)), always(Text)])),
    ])),
    always(Fixed(1)),
];
const ELECT_LEADERS: &[Field] = &[
    since(Fixed(1), 1),
    always(Structs(TOPIC_PARTITIONS)),
    always(Fixed(4)),
];
const ALTER_PARTITION_REASSIGNMENTS: &[Field] = &[
    always(Fixed(4)),
    since(Fixed(1), 1),
    always(Structs(&[
        always(Text),
        always(Structs(&[always(Fixed(4)), always(INTS)])),
    ])),
];
const LIST_PARTITION_REASSIGNMENTS: &[Field] = &[always(Fixed(4)), always(Structs(TOPIC_PARTITIONS))];
const DESCRIBE_QUORUM: &[Field] = &[always(Structs(&[
    always(Text),
    always(Structs(&[always(Fixed(4))])),
]))];
const UPDATE_FEATURES: &[Field] = &[
    always(Fixed(4)),
    always(Structs(&[
        always(Text),
        always(Fixed(2)),
        // Whether a downgrade is allowed, later which kind of change.
        always(Fixed(1)),
    ])),
    since(Fixed(1), 1),
];
const DESCRIBE_CLUSTER: &[Field] = &[always(Fixed(1)), since(Fixed(1), 1), since(Fixed(1), 2)];

const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    always(Text),
    always(Text),
    always(Fixed(4)),
    always(Text),
    always(Text),
    always(Fixed(4)),
    always(Values(&Text)),
    since(Text, 1),
    always(Text),
    always(Structs(&[always(Fixed(16)), always(INTS)])),
];
const CONSUMER_GROUP_DESCRIBE: &[Field] = &[always(Values(&Text)), always(Fixed(1))];

const LIST_CONFIG_RESOURCES: &[Field] = &[since(Values(&Fixed(1)), 1)];
const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    always(Structs(&[always(Text)])),
    always(Fixed(4)),
    always(Nullable(&[always(Text), always(Fixed(4))])),
];

/// Layout of a request; `None` for those that are parsed by hand.
fn layout(api: Api) -> Option<&'static [Field]> {
    Some(match api {
        Api::Produce | Api::Fetch => return None,
        Api::ListOffsets => LIST_OFFSETS,
        Api::Metadata => METADATA,
        Api::OffsetCommit => OFFSET_COMMIT,
        Api::OffsetFetch => OFFSET_FETCH,
        Api::FindCoordinator => FIND_COORDINATOR,
        Api::JoinGroup => JOIN_GROUP,
        Api::Heartbeat => HEARTBEAT,
        Api::LeaveGroup => LEAVE_GROUP,
        Api::SyncGroup => SYNC_GROUP,
        Api::DescribeGroups => DESCRIBE_GROUPS,
        Api::ListGroups => LIST_GROUPS,
        Api::DeleteGroups => DELETE_GROUPS,
        Api::OffsetDelete => OFFSET_DELETE,
        Api::ApiVersions => API_VERSIONS,
        Api::CreateTopics => CREATE_TOPICS,
        Api::DeleteTopics => DELETE_TOPICS,
        Api::DeleteRecords => DELETE_RECORDS,
        Api::InitProducerId => INIT_PRODUCER_ID,
        Api::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        Api::DescribeConfigs => DESCRIBE_CONFIGS,
        Api::AlterReplicaLogDirs => ALTER_REPLICA_LOG_DIRS,
        Api::DescribeAcls => ACL,
        Api::CreateAcls | Api::DeleteAcls => ACLS,
        Api::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        Api::DescribeProducers => DESCRIBE_PRODUCERS,
        Api::ConsumerGroupHeartbeat => CONSUMER_GROUP_HEARTBEAT,
        Api::ConsumerGroupDescribe => CONSUMER_GROUP_DESCRIBE,
        Api::ListConfigResources => LIST_CONFIG_RESOURCES,
        Api::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
        Api::CreatePartitions => CREATE_PARTITIONS,
        Api::AlterConfigs => ALTER_CONFIGS,
        Api::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        Api::ElectLeaders => ELECT_LEADERS,
        Api::AlterPartitionReassignments => ALTER_PARTITION_REASSIGNMENTS,
        Api::ListPartitionReassignments => LIST_PARTITION_REASSIGNMENTS,
        Api::DescribeQuorum => DESCRIBE_QUORUM,
        Api::UpdateFeatures => UPDATE_FEATURES,
        Api::DescribeCluster => DESCRIBE_CLUSTER,
    })
}

/// Checks the body of a request against its layout.
///
/// # Errors
/// [`Malformed`] when a length or count does not fit, or there are too many elements. Bytes behind the last field are ignored, as Kafka does: librdkafka
/// sends one behind a Metadata request for all topics.
pub fn check(support: &Support, version: i16, body: &[u8]) -> Result<(), Malformed> {
    let Some(layout) = layout(support.api) else {
        return Ok(());
    };
    let mut reader = Reader::new(body, support.is_flexible(version));
    walk_struct(&mut reader, layout, version)
}

fn walk_struct(reader: &mut Reader<'_>, fields: &[Field], version: i16) -> Result<(), Malformed> {
    for Field(kind, first, last) in fields {
        if (*first..=*last).contains(&version) {
            walk(reader, kind, version)?;
        }
    }
    reader.tagged_fields()
}

fn walk(reader: &mut Reader<'_>, kind: &Kind, version: i16) -> Result<(), Malformed> {
    match kind {
        Fixed(width) => reader.skip(*width, "fixed field").map(|_| ()),
        Text => reader.nullable_string().map(|_| ()),
        Blob => reader.nullable_bytes().map(|_| ()),
        Values(element) => (0..reader.array_len()?).try_for_each(|_| walk(reader, element, version)),
        Nullable(fields) => match reader.i8()? {
            ..0 => Ok(()),
            _ => walk_struct(reader, fields, version),
        },
        Structs(fields) => (0..reader.array_len()?).try_for_each(|_| walk_struct(reader, fields, version)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::{messages::ApiKey, protocol::Encodable};

    use super::*;
    use crate::{reader::ELEMENTS_MAX, versions::SUPPORTED};

    /// The layouts agree with the generated codec in every version served.
    #[test]
    fn default_requests_pass() {
        for support in &SUPPORTED {
            for version in support.min..=support.max {
                if layout(support.api).is_none() {
                    continue;
                }
                let key = ApiKey::try_from(support.key).unwrap();
                let mut body = BytesMut::new();
                // Encoded through the codec's own default request.
                if encode_default(key, &mut body, version).is_err() {
                    continue;
                }
                check(support, version, &body).unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
            }
        }
    }

    fn encode_default(key: ApiKey, out: &mut BytesMut, version: i16) -> Result<(), String> {
        use kafka_protocol::messages as m;
        macro_rules! default_of {
            ($($api:ident => $request:ident),+ $(,)?) => {
                match key { $(ApiKey::$api => m::$request::default().encode(out, version).map_err(|e| e.to_string()),)+
                    _ => Err("not decoded by the codec".to_owned()) }
            };
        }
        default_of!(
            ListOffsets => ListOffsetsRequest, Metadata => MetadataRequest, OffsetCommit => OffsetCommitRequest,
            OffsetFetch => OffsetFetchRequest, FindCoordinator => FindCoordinatorRequest, JoinGroup => JoinGroupRequest,
            Heartbeat => HeartbeatRequest, LeaveGroup => LeaveGroupRequest, SyncGroup => SyncGroupRequest,
            CreatePartitions => CreatePartitionsRequest, AlterConfigs => AlterConfigsRequest,
            IncrementalAlterConfigs => IncrementalAlterConfigsRequest, DeleteRecords => DeleteRecordsRequest, ElectLeaders => ElectLeadersRequest,
            AlterPartitionReassignments => AlterPartitionReassignmentsRequest, OffsetForLeaderEpoch => OffsetForLeaderEpochRequest, DescribeLogDirs => DescribeLogDirsRequest,
            DescribeProducers => DescribeProducersRequest, DescribeTopicPartitions => DescribeTopicPartitionsRequest, DescribeGroups => DescribeGroupsRequest, ListGroups => ListGroupsRequest, DeleteGroups => DeleteGroupsRequest,
            OffsetDelete => OffsetDeleteRequest, ApiVersions => ApiVersionsRequest, CreateTopics => CreateTopicsRequest, DeleteTopics => DeleteTopicsRequest,
            InitProducerId => InitProducerIdRequest, DescribeConfigs => DescribeConfigsRequest,
            ConsumerGroupHeartbeat => ConsumerGroupHeartbeatRequest, ConsumerGroupDescribe => ConsumerGroupDescribeRequest,
            ListPartitionReassignments => ListPartitionReassignmentsRequest, ListConfigResources => ListConfigResourcesRequest, DescribeCluster => DescribeClusterRequest,
            AlterReplicaLogDirs => AlterReplicaLogDirsRequest, DescribeQuorum => DescribeQuorumRequest, DescribeAcls => DescribeAclsRequest, CreateAcls => CreateAclsRequest, DeleteAcls => DeleteAclsRequest, UpdateFeatures => UpdateFeaturesRequest,
        )
    }

    #[test]
    fn a_count_beyond_the_frame_is_refused() {
        let metadata = SUPPORTED.iter().find(|row| row.api == Api::Metadata).unwrap();
        assert!(check(metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x07]).is_err());
        assert!(check(metadata, 1, &[0x7f, 0xff, 0xff, 0xff]).is_err());
    }

    /// Two bytes each in the frame, a hundred when decoded.
    #[test]
    fn the_elements_of_a_request_are_limited() {
        let metadata = SUPPORTED.iter().find(|row| row.api == Api::Metadata).unwrap();
        let names = |count: usize| {
            let mut body = i32::try_from(count).unwrap().to_be_bytes().to_vec();
            body.resize(4 + 2 * count, 0);
            body
        };
        assert_eq!(check(metadata, 1, &names(ELEMENTS_MAX)), Ok(()));
        let refused = check(metadata, 1, &names(ELEMENTS_MAX + 1)).unwrap_err();
        assert!(refused.to_string().contains("1000000"), "{refused}");
        // Partitions of several topics count together.
        let fetch = SUPPORTED.iter().find(|row| row.api == Api::OffsetFetch).unwrap();
        let mut body = vec![0, 0, 0, 0, 0, 3];
        for _ in 0..3 {
            body.extend([0, 0]);
            body.extend(400_000_i32.to_be_bytes());
            body.resize(body.len() + 4 * 400_000, 0);
        }
        assert!(check(fetch, 1, &body).is_err());
    }

    #[test]
    fn a_byte_behind_the_request_is_ignored() {
        let metadata = SUPPORTED.iter().find(|row| row.api == Api::Metadata).unwrap();
        // All topics, no auto-creation, no authorized operations, no tagged fields, and what librdkafka adds.
        assert_eq!(check(metadata, 12, &[0, 0, 0, 0, 0]), Ok(()));
        assert!(check(metadata, 12, &[0, 0, 0]).is_err());
    }
}
