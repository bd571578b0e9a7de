//! What is fuzzed, one function per decoder: any bytes must be refused or read, never panic, never allocate what only a length
//! promises. The fuzz targets and an ordinary property test (`tests/decoders.rs`) call the same functions.

mod partition;
mod requests;

use bytes::{Bytes, BytesMut};
use jackfield_batch::{
    Batch, BatchBuilder, Header, Record, Value,
    typed::{self, Field, Schema, Type},
};
use jackfield_protocol::records::{self, BatchHeader};
use jackfield_protocol::{
    frame::RequestHeader,
    guard,
    versions::{Api, SUPPORTED, Support},
};
use kafka_protocol::{
    messages,
    protocol::{Decodable, Encodable},
};

pub use partition::{checkpoint_reader, index_reader, segment_recovery, snapshot_reader};
pub use requests::requests;

/// Decompressed bytes allowed per batch.
const MOST_DECOMPRESSED: usize = 1 << 20;

/// The flat batch of the plugin boundary, from any bytes and from a good batch with bytes replaced.
pub fn batch_reader(data: &[u8]) {
    read_batch(data);
    read_batch(&patched(good_batch(), data));
}

/// Three records with tables of every kind, to be damaged.
fn good_batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let topic = builder.topic("topic").expect("a short name");
    let partition = builder
        .source_partition(r#"{"file":"a"}"#)
        .expect("a small object");
    let schema = builder.schema(r#"{"type":"int32"}"#).expect("a small schema");
    let values = [
        Value::Utf8("text"),
        Value::Typed { schema, data: &[2] },
        Value::Null,
    ];
    for (sequence, value) in (0..).zip(values) {
        let record = Record {
            topic,
            source_partition: Some(partition),
            partition: (sequence == 1).then_some(3),
            timestamp: (sequence != 2).then_some(1_700_000_000_000),
            offset: -1,
            sequence,
            key: Value::Bytes(b"key"),
            value,
            source_offset: Some(r#"{"position":7}"#),
        };
        let headers = [Header {
            key: "h",
            value: Value::Json("{}"),
        }];
        builder
            .push(&record, &headers[..usize::from(sequence == 1)])
            .expect("a good record");
    }
    builder.finish()
}

/// Replaces bytes of `good`: each three bytes of `data` are a position and a value; a rest of one byte cuts the end.
fn patched(mut good: Vec<u8>, data: &[u8]) -> Vec<u8> {
    for patch in data.chunks(3) {
        if good.is_empty() {
            break;
        }
        if let [high, low, value] = *patch {
            let at = usize::from(u16::from_be_bytes([high, low])) % good.len();
            good[at] = value;
        } else {
            let cut = usize::from(patch[0]) % good.len();
            good.truncate(good.len() - cut);
        }
    }
    good
}

/// What parses can be read to its end.
fn read_batch(data: &[u8]) {
    let Ok(batch) = Batch::parse(data) else { return };
    let tables = batch
        .topics()
        .chain(batch.source_partitions())
        .chain(batch.schemas());
    // Everything that is read lies in the batch, once.
    let mut bytes: usize = tables.map(str::len).sum();
    let mut seen = 0;
    for entry in batch.records() {
        seen += 1;
        let record = entry.record;
        assert!(batch.topics().any(|topic| topic == batch.topic(record.topic)));
        if let Some(partition) = record.source_partition {
            let partition = batch.source_partition(partition);
            assert!(batch.source_partitions().any(|known| known == partition));
        }
        assert!(record.partition.is_none_or(|partition| partition >= 0));
        bytes += read_value(&batch, record.key) + read_value(&batch, record.value);
        bytes += record
            .source_offset
            .map_or(0, |offset| offset.chars().map(char::len_utf8).sum());
        let mut headers = 0;
        for header in entry.headers() {
            headers += 1;
            bytes += header.key.chars().map(char::len_utf8).sum::<usize>();
            bytes += read_value(&batch, header.value);
        }
        assert_eq!(headers, entry.header_count());
    }
    assert_eq!(seen, batch.len());
    assert!(bytes <= data.len(), "{bytes} bytes were read from {}", data.len());
}

/// Reads a value to its end, with its schema; the bytes that are its own.
fn read_value(batch: &Batch<&[u8]>, value: Value<'_>) -> usize {
    match value {
        Value::Null => 0,
        Value::Bytes(data) => data.len(),
        Value::Utf8(text) | Value::Json(text) => text.chars().map(char::len_utf8).sum(),
        Value::Typed { schema, data } => {
            let schema = batch.schema(schema);
            assert!(batch.schemas().any(|known| known == schema));
            data.len()
        }
    }
}

/// Typed values: validation and decoding agree, and what was decoded encodes to something that decodes to the same.
pub fn typed_decode(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let schemas = typed_schemas();
    let schema = &schemas[usize::from(*choice) % schemas.len()];
    let decoded = typed::decode(schema, data);
    assert_eq!(
        decoded.is_ok(),
        typed::validate(schema, data).is_ok(),
        "validate and decode agree on {data:?}"
    );
    let Ok(datum) = decoded else { return };
    let mut encoded = Vec::new();
    typed::encode(schema, &datum, &mut encoded).expect("what was decoded can be encoded");
    let again = typed::decode(schema, &encoded).expect("what was encoded can be decoded");
    // Not a number is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{datum:?}"));
}

fn typed_schemas() -> Vec<Schema> {
    let field = |name: &str, schema: Schema| Field {
        name: name.to_owned(),
        schema,
    };
    let structure = Schema::structure(vec![
        field("id", Schema::new(Type::Int32)),
        field("name", Schema::new(Type::String).optional()),
        field("tags", Schema::array(Schema::new(Type::Int64))),
        field(
            "attributes",
            Schema::map(Schema::new(Type::String), Schema::new(Type::Float64).optional()),
        ),
    ]);
    let mut schemas: Vec<Schema> = [
        Type::Int8,
        Type::Int16,
        Type::Int32,
        Type::Int64,
        Type::Float32,
        Type::Float64,
        Type::Boolean,
        Type::String,
        Type::Bytes,
    ]
    .into_iter()
    .map(Schema::new)
    .collect();
    schemas.push(Schema::array(structure.clone()).optional());
    schemas.push(structure);
    schemas
}

/// `plugin.toml` and the policy file, from any text.
pub fn manifest_reader(data: &[u8]) {
    jackfield_plugin::fuzzing::manifest_reader(data);
}

/// What native libraries say about themselves, with numbers and pointers changed.
pub fn native_entry(data: &[u8]) {
    jackfield_plugin::fuzzing::native_entry(data);
}

/// A record batch: header, verification and every record, compressed or not.
pub fn record_batch(data: &[u8]) {
    let Ok(header) = BatchHeader::parse(data) else {
        return;
    };
    assert!(header.size_bytes() >= records::BATCH_HEADER_BYTES);
    let verified = records::verify(data).is_ok();
    let bytes = Bytes::copy_from_slice(&data[..header.size_bytes().min(data.len())]);
    let mut read = 0;
    if let Ok(all) = records::records(&bytes, MOST_DECOMPRESSED) {
        for record in all {
            let Ok(record) = record else { break };
            let size = record.key.map_or(0, |key| key.len()) + record.value.map_or(0, |value| value.len());
            read += size;
            assert!(
                read <= MOST_DECOMPRESSED.max(data.len()),
                "records larger than what holds them"
            );
        }
    }
    let batches = records::split_batches(Bytes::copy_from_slice(data))
        .map(|batch| batch.len())
        .sum::<usize>();
    assert!(batches <= data.len());
    if verified {
        assert!(header.size_bytes() <= data.len());
    }
}

/// A request: its header, the walk that guards the generated decoders, and those decoders behind it.
pub fn frame(data: &[u8]) {
    if let Ok(header) = RequestHeader::parse(data) {
        assert!(header.len <= data.len());
    }
    let [row, version, rest @ ..] = data else { return };
    let support = &SUPPORTED[usize::from(*row) % SUPPORTED.len()];
    let version = support.min + i16::from(*version) % (support.max - support.min + 1);
    guarded_decode(support, version, rest);
    if let Some(good) = encoded_request(support, version) {
        assert!(
            guard::check(support, version, &good).is_ok(),
            "{:?} {version}: {good:?}",
            support.api
        );
        guarded_decode(support, version, &patched(good, rest));
    }
}

/// Decodes a body as a message; whether all of it was taken.
fn decodes<M: Decodable>(body: &[u8], version: i16) -> bool {
    let mut bytes = Bytes::copy_from_slice(body);
    M::decode(&mut bytes, version).is_ok() && bytes.is_empty()
}

fn encodes<M: Encodable + Default>(version: i16) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    M::default().encode(&mut out, version).ok().map(|()| out.to_vec())
}

/// Names the generated type of every request that goes through the guard.
macro_rules! for_each_request {
    ($api:expr, $function:ident ( $($argument:expr),* ), $other:expr) => {
        match $api {
            Api::ListOffsets => $function::<messages::ListOffsetsRequest>($($argument),*),
            Api::Metadata => $function::<messages::MetadataRequest>($($argument),*),
            Api::OffsetCommit => $function::<messages::OffsetCommitRequest>($($argument),*),
            Api::OffsetFetch => $function::<messages::OffsetFetchRequest>($($argument),*),
            Api::FindCoordinator => $function::<messages::FindCoordinatorRequest>($($argument),*),
            Api::JoinGroup => $function::<messages::JoinGroupRequest>($($argument),*),
            Api::Heartbeat => $function::<messages::HeartbeatRequest>($($argument),*),
            Api::LeaveGroup => $function::<messages::LeaveGroupRequest>($($argument),*),
            Api::SyncGroup => $function::<messages::SyncGroupRequest>($($argument),*),
            Api::ApiVersions => $function::<messages::ApiVersionsRequest>($($argument),*),
            Api::CreateTopics => $function::<messages::CreateTopicsRequest>($($argument),*),
            Api::DeleteTopics => $function::<messages::DeleteTopicsRequest>($($argument),*),
            Api::DeleteRecords => $function::<messages::DeleteRecordsRequest>($($argument),*),
            Api::InitProducerId => $function::<messages::InitProducerIdRequest>($($argument),*),
            Api::DescribeConfigs => $function::<messages::DescribeConfigsRequest>($($argument),*),
            Api::OffsetForLeaderEpoch => $function::<messages::OffsetForLeaderEpochRequest>($($argument),*),
            Api::AlterReplicaLogDirs => $function::<messages::AlterReplicaLogDirsRequest>($($argument),*),
            Api::DescribeAcls => $function::<messages::DescribeAclsRequest>($($argument),*),
            Api::CreateAcls => $function::<messages::CreateAclsRequest>($($argument),*),
            Api::DeleteAcls => $function::<messages::DeleteAclsRequest>($($argument),*),
            Api::DescribeLogDirs => $function::<messages::DescribeLogDirsRequest>($($argument),*),
            Api::ListConfigResources => $function::<messages::ListConfigResourcesRequest>($($argument),*),
            Api::DescribeTopicPartitions => $function::<messages::DescribeTopicPartitionsRequest>($($argument),*),
            Api::ElectLeaders => $function::<messages::ElectLeadersRequest>($($argument),*),
            Api::AlterPartitionReassignments => {
                $function::<messages::AlterPartitionReassignmentsRequest>($($argument),*)
            }
            Api::CreatePartitions => $function::<messages::CreatePartitionsRequest>($($argument),*),
            Api::AlterConfigs => $function::<messages::AlterConfigsRequest>($($argument),*),
            Api::IncrementalAlterConfigs => {
                $function::<messages::IncrementalAlterConfigsRequest>($($argument),*)
            }
            Api::DescribeProducers => $function::<messages::DescribeProducersRequest>($($argument),*),
            Api::DescribeGroups => $function::<messages::DescribeGroupsRequest>($($argument),*),
            Api::ListGroups => $function::<messages::ListGroupsRequest>($($argument),*),
            Api::DeleteGroups => $function::<messages::DeleteGroupsRequest>($($argument),*),
            Api::ConsumerGroupHeartbeat => $function::<messages::ConsumerGroupHeartbeatRequest>($($argument),*),
            Api::ConsumerGroupDescribe => $function::<messages::ConsumerGroupDescribeRequest>($($argument),*),
            Api::OffsetDelete => $function::<messages::OffsetDeleteRequest>($($argument),*),
            Api::ListPartitionReassignments => {
                $function::<messages::ListPartitionReassignmentsRequest>($($argument),*)
            }
            Api::DescribeQuorum => $function::<messages::DescribeQuorumRequest>($($argument),*),
            Api::UpdateFeatures => $function::<messages::UpdateFeaturesRequest>($($argument),*),
            Api::DescribeCluster => $function::<messages::DescribeClusterRequest>($($argument),*),
            _ => $other,
        }
    };
}

/// What is wrong with a whole request, as a client sent it: it passes the guard, and nothing of it is left when its decoder is
/// done.
pub fn wrong_with_request(frame: &[u8]) -> Option<String> {
    let header = match RequestHeader::parse(frame) {
        Ok(header) => header,
        Err(error) => return Some(error.to_string()),
    };
    let support = header.support?;
    let body = &frame[header.len..];
    if let Err(error) = guard::check(support, header.version, body) {
        return Some(error.to_string());
    }
    // The newest version of ListOffsets is one that the generated code does not know, with the fields of the one before.
    let version = if support.api == Api::ListOffsets {
        header.version.min(10)
    } else {
        header.version
    };
    let is_read = for_each_request!(support.api, decodes(body, version), true);
    (!is_read).then(|| format!("{:?} {} is not read to its end", support.api, header.version))
}

fn encoded_request(support: &Support, version: i16) -> Option<Vec<u8>> {
    for_each_request!(support.api, encodes(version), None)
}

/// Decodes a body that the guard let through: must not panic, and must not reserve what the body cannot hold (the fuzzer
/// limits memory).
fn guarded_decode(support: &Support, version: i16, body: &[u8]) {
    if guard::check(support, version, body).is_ok() {
        for_each_request!(support.api, decodes(body, version), false);
    }
}
