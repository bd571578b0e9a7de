//! Keys and values of `__consumer_offsets` in Kafka's byte format.
//!
//! Written versions are those of Apache Kafka 4.3: offset commit key 1, value 4 (the first flexible one, with the
//! topic id as tag 0); group metadata key 2, value 3. All older versions are read. Those of consumer groups are in
//! `consumer::records`.
use bytes::Bytes;

use super::{
    consumer::records::{ConsumerKey, ConsumerRecord},
    wire_format::{Reader, Writer},
};

const OFFSET_COMMIT_KEY_LEGACY: i16 = 0;
const OFFSET_COMMIT_KEY: i16 = 1;
const GROUP_METADATA_KEY: i16 = 2;
const OFFSET_COMMIT_VALUE_VERSION: i16 = 4;
/// Version that carries an expire timestamp, of clients that sent a retention time.
const OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
const GROUP_METADATA_VALUE_VERSION: i16 = 3;
const TOPIC_ID_TAG: u32 = 0;

/// Why a record of the topic cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// Ends too early or holds something impossible.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Written by a newer Kafka.
    #[error("unsupported version {0}")]
    UnsupportedVersion(i16),
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordKey {
    /// A committed offset.
    Offset {
        group: String,
        topic: String,
        partition: i32,
    },
    /// A group with its members.
    Group { group: String },
    /// Something of a consumer group.
    Consumer { group: String, key: ConsumerKey },
    /// A kind this coordinator does not keep (share and streams groups).
    Other(i16),
}

/// Value of an offset record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetValue {
    pub(crate) offset: i64,
    /// -1 = unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    pub(crate) commit_timestamp: i64,
    /// Set when the client asked for a retention time of its own.
    pub(crate) expire_timestamp: Option<i64>,
    /// Zero = unknown.
    pub(crate) topic_id: [u8; 16],
}

/// Value of a group record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupValue {
    pub(crate) protocol_type: String,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    /// -1 = unknown.
    pub(crate) current_state_timestamp: i64,
    pub(crate) members: Vec<MemberValue>,
}

/// A member inside a group record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberValue {
    pub(crate) member_id: String,
    pub(crate) group_instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupRecord {
    /// An offset; `None` = tombstone.
    Offset {
        group: String,
        topic: String,
        partition: i32,
        value: Option<OffsetValue>,
    },
    /// A group; `None` = tombstone.
    Group {
        group: String,
        value: Option<GroupValue>,
    },
    /// A record of a consumer group.
    Consumer { group: String, record: ConsumerRecord },
}

impl GroupRecord {
    /// Records of a consumer group.
    pub(crate) fn of_consumer_group(group: &str, records: Vec<ConsumerRecord>) -> Vec<Self> {
        let of = |record| Self::Consumer {
            group: group.to_owned(),
            record,
        };
        records.into_iter().map(of).collect()
    }

    /// Key and value as they are written.
    pub(crate) fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::Offset {
                group,
                topic,
                partition,
                value,
            } => {
                let mut key = Writer::default();
                key.i16(OFFSET_COMMIT_KEY);
                key.string(group);
                key.string(topic);
                key.i32(*partition);
                (key.finish(), value.as_ref().map(OffsetValue::encode))
            }
            Self::Group { group, value } => {
                let mut key = Writer::default();
                key.i16(GROUP_METADATA_KEY);
                key.string(group);
                (key.finish(), value.as_ref().map(GroupValue::encode))
            }
            Self::Consumer { group, record } => record.encode(group),
        }
    }
}

impl RecordKey {
    /// Reads a key.
    pub(crate) fn decode(data: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(data);
        match reader.i16()? {
            OFFSET_COMMIT_KEY_LEGACY | OFFSET_COMMIT_KEY => Ok(Self::Offset {
                group: reader.string()?,
                topic: reader.string()?,
                partition: reader.i32()?,
            }),
            GROUP_METADATA_KEY => Ok(Self::Group {
                group: reader.string()?,
            }),
            other => Ok(match ConsumerKey::decode(other, &mut reader)? {
                Some((group, key)) => Self::Consumer { group, key },
                None => Self::Other(other),
            }),
        }
    }
}

impl OffsetValue {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        if let Some(expire_timestamp) = self.expire_timestamp {
            out.i16(OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY);
            out.i64(self.offset);
            out.string(&self.metadata);
            out.i64(self.commit_timestamp);
            out.i64(expire_timestamp);
            return out.finish();
        }
        out.i16(OFFSET_COMMIT_VALUE_VERSION);
        out.i64(self.offset);
        out.i32(self.leader_epoch);
        out.compact_string(&self.metadata);
        out.i64(self.commit_timestamp);
        if self.topic_id == [0; 16] {
            out.varint(0);
        } else {
            out.varint(1);
            out.varint(TOPIC_ID_TAG);
            out.varint(16);
            out.raw(&self.topic_id);
        }
        out.finish()
    }

    /// Reads a value of any version.
    pub(crate) fn decode(data: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(data);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(RecordError::UnsupportedVersion(version));
        }
        let offset = reader.i64()?;
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = if version >= 4 {
            reader.compact_string()?
        } else {
            reader.string()?
        };
        let commit_timestamp = reader.i64()?;
        let expire_timestamp = if version == 1 {
            Some(reader.i64()?).filter(|time| *time != -1)
        } else {
            None
        };
        let mut topic_id = [0; 16];
        if version >= 4 {
            reader.tagged_fields(|tag, field| {
                if tag == TOPIC_ID_TAG {
                    topic_id = field.try_into().map_err(|_| RecordError::Malformed("topic id"))?;
                }
                Ok(())
            })?;
        }
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            commit_timestamp,
            expire_timestamp,
            topic_id,
        })
    }
}

impl GroupValue {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.i16(GROUP_METADATA_VALUE_VERSION);
        out.string(&self.protocol_type);
        out.i32(self.generation);
        out.nullable_string(self.protocol.as_deref());
        out.nullable_string(self.leader.as_deref());
        out.i64(self.current_state_timestamp);
        out.count(self.members.len());
        for member in &self.members {
            out.string(&member.member_id);
            out.nullable_string(member.group_instance_id.as_deref());
            out.string(&member.client_id);
            out.string(&member.client_host);
            out.i32(member.rebalance_timeout_ms);
            out.i32(member.session_timeout_ms);
            out.bytes(&member.subscription);
            out.bytes(&member.assignment);
        }
        out.finish()
    }

    /// Reads a value of any version.
    pub(crate) fn decode(data: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(data);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(RecordError::UnsupportedVersion(version));
        }
        reader.flexible = version >= 4;
        let protocol_type = reader.text()?;
        let generation = reader.i32()?;
        let protocol = reader.nullable_text()?;
        let leader = reader.nullable_text()?;
        let current_state_timestamp = if version >= 2 { reader.i64()? } else { -1 };
        let count = reader.array_len()?;
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(MemberValue::decode(&mut reader, version)?);
        }
        Ok(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            current_state_timestamp,
            members,
        })
    }
}

impl MemberValue {
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, RecordError> {
        let member_id = reader.text()?;
        let group_instance_id = if version >= 3 {
            reader.nullable_text()?
        } else {
            None
        };
        let client_id = reader.text()?;
        let client_host = reader.text()?;
        let rebalance_timeout_ms = if version >= 1 { Some(reader.i32()?) } else { None };
        let session_timeout_ms = reader.i32()?;
        let subscription = reader.byte_field()?;
        let assignment = reader.byte_field()?;
        if reader.flexible {
            reader.tagged_fields(|_, _| Ok(()))?;
        }
        Ok(Self {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            // As Kafka does: what was written before the field existed waits as long as the session.
            rebalance_timeout_ms: rebalance_timeout_ms
                .filter(|timeout| *timeout != -1)
                .unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: Bytes::copy_from_slice(subscription),
            assignment: Bytes::copy_from_slice(assignment),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(data: &[u8]) -> String {
        data.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn offset(metadata: &str, topic_id: [u8; 16], expire_timestamp: Option<i64>) -> GroupRecord {
        GroupRecord::Offset {
            group: "simple".into(),
            topic: "golden-groups".into(),
            partition: 1,
            value: Some(OffsetValue {
                offset: 6,
                leader_epoch: if expire_timestamp.is_some() { -1 } else { 0 },
                metadata: metadata.into(),
                commit_timestamp: 0x0102_0304_0506_0708,
                expire_timestamp,
                topic_id,
            }),
        }
    }

    fn group_value() -> GroupValue {
        GroupValue {
            protocol_type: "consumer".into(),
            generation: 1,
            protocol: Some("range".into()),
            leader: Some("m1".into()),
            current_state_timestamp: 7,
            members: vec![MemberValue {
                member_id: "m1".into(),
                group_instance_id: None,
                client_id: "tests".into(),
                client_host: "/127.0.0.1".into(),
                rebalance_timeout_ms: 45_000,
                session_timeout_ms: 30_000,
                subscription: Bytes::from_static(b"sub"),
                assignment: Bytes::from_static(b"ass"),
            }],
        }
    }

    #[test]
    fn offset_commits_are_kafkas_bytes() {
        // Taken from what Apache Kafka 4.3.1 writes.
        let (key, value) = offset("", [0x6d; 16], None).encode();
        assert_eq!(
            hex(&key),
            "0001000673696d706c65000d676f6c64656e2d67726f75707300000001"
        );
        let value = value.expect("a value");
        assert_eq!(
            hex(&value),
            "00040000000000000006000000000101020304050607080100106d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d"
        );
        let (_, with_metadata) = offset("position 12", [0x6d; 16], None).encode();
        assert!(hex(&with_metadata.expect("a value")).contains("0c706f736974696f6e203132"));
    }

    #[test]
    fn group_metadata_is_kafkas_bytes() {
        let empty = GroupValue {
            protocol_type: String::new(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: 0x0102_0304_0506_0708,
            members: Vec::new(),
        };
        let (key, value) = GroupRecord::Group {
            group: "classic".into(),
            value: Some(empty),
        }
        .encode();
        assert_eq!(hex(&key), "00020007636c6173736963");
        assert_eq!(
            hex(&value.expect("a value")),
            "0003000000000000ffffffff010203040506070800000000"
        );
        let (_, value) = GroupRecord::Group {
            group: "g".into(),
            value: Some(group_value()),
        }
        .encode();
        assert_eq!(
            hex(&value.expect("a value")),
            "00030008636f6e73756d657200000001000572616e676500026d31000000000000000700000001\
             00026d31ffff00057465737473000a2f3132372e302e302e310000afc8000075300000000373756200000003617373"
        );
    }

    #[test]
    fn older_versions_and_other_keys_are_read() {
        // Version 0 of both values: no leader epoch, no state timestamp, no rebalance timeout.
        let mut value = Writer::default();
        value.i16(0);
        value.i64(9);
        value.string("m");
        value.i64(5);
        let decoded = OffsetValue::decode(&value.finish()).expect("version 0");
        assert_eq!(
            (decoded.offset, decoded.leader_epoch, decoded.metadata.as_str()),
            (9, -1, "m")
        );
        let mut value = Writer::default();
        value.i16(0);
        value.string("consumer");
        value.i32(3);
        value.nullable_string(None);
        value.nullable_string(None);
        value.count(1);
        for text in ["m", "c", "/h"] {
            value.string(text);
        }
        value.i32(10_000);
        value.bytes(b"");
        value.bytes(b"");
        let decoded = GroupValue::decode(&value.finish()).expect("version 0");
        assert_eq!(decoded.members[0].rebalance_timeout_ms, 10_000);
        assert_eq!(RecordKey::decode(&[0, 9, 1]), Ok(RecordKey::Other(9)));
        assert_eq!(
            OffsetValue::decode(&[0, 9]),
            Err(RecordError::UnsupportedVersion(9))
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for record in [
            offset("x", [1; 16], None),
            offset("y", [0; 16], None),
            offset("z", [0; 16], Some(99)),
        ] {
            let (key, value) = record.encode();
            let GroupRecord::Offset {
                group,
                topic,
                partition,
                value: expected,
            } = record
            else {
                unreachable!()
            };
            assert_eq!(
                RecordKey::decode(&key),
                Ok(RecordKey::Offset {
                    group,
                    topic,
                    partition
                })
            );
            assert_eq!(OffsetValue::decode(&value.expect("a value")).ok(), expected);
        }
        let (_, value) = GroupRecord::Group {
            group: "g".into(),
            value: Some(group_value()),
        }
        .encode();
        assert_eq!(GroupValue::decode(&value.expect("a value")), Ok(group_value()));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_errors_not_panics(data in proptest::collection::vec(any::<u8>(), 0..200), version in 0u8..6) {
            let mut data = data;
            if data.len() >= 2 {
                data[0] = 0;
                data[1] = version;
            }
            let _ = RecordKey::decode(&data);
            let _ = OffsetValue::decode(&data);
            let _ = GroupValue::decode(&data);
        }
    }
}
