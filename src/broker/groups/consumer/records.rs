//! Records of consumer groups in `__consumer_offsets`, keys 3 to 8 and 16, in the bytes of Apache Kafka 4.3.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jackfield_log::TopicId;

use super::{
    super::{
        classic::member::Protocol,
        records::RecordError,
        wire_format::{Reader, Writer},
    },
    member::{Assignment, ClassicMetadata, CurrentAssignment, HeldPartitions, MemberMetadata, MemberState},
};

const GROUP_EPOCH_KEY: i16 = 3;
const PARTITION_METADATA_KEY: i16 = 4;
const MEMBER_METADATA_KEY: i16 = 5;
const TARGET_EPOCH_KEY: i16 = 6;
const TARGET_MEMBER_KEY: i16 = 7;
const CURRENT_MEMBER_KEY: i16 = 8;
const REGEX_KEY: i16 = 16;

/// All values have the one version there is.
const VALUE_VERSION: i16 = 0;
/// Each struct has at most one tagged field, and all have this number.
const TAG: u32 = 0;

/// What a regular expression matched when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedRegex {
    pub(crate) topics: BTreeSet<String>,
    /// Which state of the topics was looked at.
    pub(crate) version: i64,
    /// When, in wall-clock time.
    pub(crate) timestamp_ms: i64,
}

/// A record of a consumer group; a value of `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerRecord {
    /// The group's epoch and the hash over the topics it is subscribed to.
    Epoch(Option<(i32, i64)>),
    /// Written by Kafka before 4.1; only its tombstone is written here.
    PartitionMetadata { is_tombstone: bool },
    /// What a member says of itself.
    Member(String, Option<MemberMetadata>),
    /// The epoch of the target assignment, and when it was computed (0 = unknown).
    TargetEpoch(Option<(i32, i64)>),
    /// What a member is to have.
    Target(String, Option<Assignment>),
    /// What a member has.
    Current(String, Option<CurrentAssignment>),
    /// What a regular expression matches.
    Regex(String, Option<ResolvedRegex>),
}

/// What a record of a consumer group is about, besides the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerKey {
    kind: i16,
    /// Member id or regular expression; empty where there is none.
    name: String,
}

impl ConsumerKey {
    /// Reads what follows the key's number: the group, and what else the key holds. `None` for other keys.
    pub(crate) fn decode(kind: i16, reader: &mut Reader<'_>) -> Result<Option<(String, Self)>, RecordError> {
        let named = match kind {
            GROUP_EPOCH_KEY | PARTITION_METADATA_KEY | TARGET_EPOCH_KEY => false,
            MEMBER_METADATA_KEY | TARGET_MEMBER_KEY | CURRENT_MEMBER_KEY | REGEX_KEY => true,
            _ => return Ok(None),
        };
        let group = reader.string()?;
        let name = if named { reader.string()? } else { String::new() };
        Ok(Some((group, Self { kind, name })))
    }
}

impl ConsumerRecord {
    fn key(&self) -> (i16, Option<&str>) {
        match self {
            Self::Epoch(_) => (GROUP_EPOCH_KEY, None),
            Self::PartitionMetadata { .. } => (PARTITION_METADATA_KEY, None),
            Self::Member(member, _) => (MEMBER_METADATA_KEY, Some(member)),
            Self::TargetEpoch(_) => (TARGET_EPOCH_KEY, None),
            Self::Target(member, _) => (TARGET_MEMBER_KEY, Some(member)),
            Self::Current(member, _) => (CURRENT_MEMBER_KEY, Some(member)),
            Self::Regex(regex, _) => (REGEX_KEY, Some(regex)),
        }
    }

    /// Whether the record removes something.
    pub(crate) fn is_tombstone(&self) -> bool {
        match self {
            Self::Epoch(value) | Self::TargetEpoch(value) => value.is_none(),
            Self::PartitionMetadata { is_tombstone } => *is_tombstone,
            Self::Member(_, value) => value.is_none(),
            Self::Target(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::Regex(_, value) => value.is_none(),
        }
    }

    /// Key and value as they are written.
    pub(crate) fn encode(&self, group: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let (kind, name) = self.key();
        let mut key = Writer::default();
        key.i16(kind);
        key.string(group);
        if let Some(name) = name {
            key.string(name);
        }
        let value = match self {
            Self::Epoch(value) => value.map(|(epoch, hash)| encode_epoch(epoch, hash)),
            Self::PartitionMetadata { .. } => None,
            Self::Member(_, value) => value.as_ref().map(encode_member),
            Self::TargetEpoch(value) => value.map(|(epoch, timestamp)| encode_epoch(epoch, timestamp)),
            Self::Target(_, value) => value.as_ref().map(encode_target),
            Self::Current(_, value) => value.as_ref().map(encode_current),
            Self::Regex(_, value) => value.as_ref().map(encode_regex),
        };
        (key.finish(), value)
    }

    /// Reads the value of a key.
    pub(crate) fn decode(key: ConsumerKey, value: Option<&[u8]>) -> Result<Self, RecordError> {
        let ConsumerKey { kind, name } = key;
        let Some(value) = value else {
            return Ok(Self::tombstone(kind, name));
        };
        let mut reader = Reader::new(value);
        let version = reader.i16()?;
        if kind == PARTITION_METADATA_KEY {
            return Ok(Self::PartitionMetadata { is_tombstone: false });
        }
        if version != VALUE_VERSION {
            return Err(RecordError::UnsupportedVersion(version));
        }
        reader.flexible = true;
        Ok(match kind {
            GROUP_EPOCH_KEY => Self::Epoch(Some(decode_epoch(&mut reader)?)),
            TARGET_EPOCH_KEY => Self::TargetEpoch(Some(decode_epoch(&mut reader)?)),
            MEMBER_METADATA_KEY => Self::Member(name, Some(decode_member(&mut reader)?)),
            TARGET_MEMBER_KEY => Self::Target(name, Some(decode_target(&mut reader)?)),
            CURRENT_MEMBER_KEY => Self::Current(name, Some(decode_current(&mut reader)?)),
            _ => Self::Regex(name, Some(decode_regex(&mut reader)?)),
        })
    }

    fn tombstone(kind: i16, name: String) -> Self {
        match kind {
            GROUP_EPOCH_KEY => Self::Epoch(None),
            PARTITION_METADATA_KEY => Self::PartitionMetadata { is_tombstone: true },
            MEMBER_METADATA_KEY => Self::Member(name, None),
            TARGET_EPOCH_KEY => Self::TargetEpoch(None),
            TARGET_MEMBER_KEY => Self::Target(name, None),
            CURRENT_MEMBER_KEY => Self::Current(name, None),
            _ => Self::Regex(name, None),
        }
    }
}

fn value() -> Writer {
    let mut out = Writer::default();
    out.i16(VALUE_VERSION);
    out
}

/// Both epochs have the same layout: the epoch, and a number that is left out when it is zero.
fn encode_epoch(epoch: i32, number: i64) -> Vec<u8> {
    let mut out = value();
    out.i32(epoch);
    if number == 0 {
        out.no_tags();
    } else {
        out.only_tag(TAG, &number.to_be_bytes());
    }
    out.finish()
}

fn decode_epoch(reader: &mut Reader<'_>) -> Result<(i32, i64), RecordError> {
    let epoch = reader.i32()?;
    let mut number = 0;
    reader.tagged_fields(|tag, field| {
        if tag == TAG {
            number = Reader::new(field).i64()?;
        }
        Ok(())
    })?;
    Ok((epoch, number))
}

fn encode_member(member: &MemberMetadata) -> Vec<u8> {
    let mut out = value();
    out.compact_nullable_string(member.instance_id.as_deref());
    out.compact_nullable_string(member.rack_id.as_deref());
    out.compact_string(&member.client_id);
    out.compact_string(&member.client_host);
    write_names(&mut out, &member.subscribed_topics);
    out.compact_string(&member.subscribed_regex);
    out.i32(member.rebalance_timeout_ms);
    out.compact_nullable_string(member.server_assignor.as_deref());
    let mut classic = Writer::default();
    match &member.classic {
        // As Kafka does: the field is there, and says that there is nothing.
        None => classic.varint(0),
        Some(metadata) => {
            classic.varint(1);
            classic.i32(metadata.session_timeout_ms);
            classic.compact_count(metadata.protocols.len());
            for protocol in &metadata.protocols {
                classic.compact_string(&protocol.name);
                classic.compact_bytes(&protocol.metadata);
                classic.no_tags();
            }
            classic.no_tags();
        }
    }
    out.only_tag(TAG, &classic.finish());
    out.finish()
}

fn decode_member(reader: &mut Reader<'_>) -> Result<MemberMetadata, RecordError> {
    let mut member = MemberMetadata {
        instance_id: reader.nullable_text()?,
        rack_id: reader.nullable_text()?,
        client_id: reader.text()?,
        client_host: reader.text()?,
        subscribed_topics: read_names(reader)?,
        subscribed_regex: reader.nullable_text()?.unwrap_or_default(),
        rebalance_timeout_ms: reader.i32()?,
        server_assignor: reader.nullable_text()?,
        classic: None,
    };
    reader.tagged_fields(|tag, field| {
        if tag == TAG {
            member.classic = decode_classic(field)?;
        }
        Ok(())
    })?;
    Ok(member)
}

fn decode_classic(field: &[u8]) -> Result<Option<ClassicMetadata>, RecordError> {
    let mut reader = Reader::new(field);
    reader.flexible = true;
    if reader.varint()? == 0 {
        return Ok(None);
    }
    let session_timeout_ms = reader.i32()?;
    let mut protocols = Vec::new();
    for _ in 0..reader.array_len()? {
        let name = reader.text()?;
        let metadata = Bytes::copy_from_slice(reader.byte_field()?);
        reader.tagged_fields(|_, _| Ok(()))?;
        protocols.push(Protocol { name, metadata });
    }
    Ok(Some(ClassicMetadata {
        session_timeout_ms,
        protocols,
    }))
}

fn encode_target(target: &Assignment) -> Vec<u8> {
    let mut out = value();
    out.compact_count(target.len());
    for (topic, partitions) in target {
        out.raw(&topic.0);
        out.compact_count(partitions.len());
        for partition in partitions {
            out.i32(*partition);
        }
        out.no_tags();
    }
    out.no_tags();
    out.finish()
}

fn decode_target(reader: &mut Reader<'_>) -> Result<Assignment, RecordError> {
    let mut target = Assignment::new();
    for _ in 0..reader.array_len()? {
        let topic = TopicId(reader.array()?);
        let partitions = target.entry(topic).or_default();
        for _ in 0..reader.array_len()? {
            partitions.insert(reader.i32()?);
        }
        reader.tagged_fields(|_, _| Ok(()))?;
    }
    Ok(target)
}

fn encode_current(current: &CurrentAssignment) -> Vec<u8> {
    let mut out = value();
    out.i32(current.epoch);
    out.i32(current.previous_epoch);
    out.raw(&current.state.value().to_be_bytes());
    write_held(&mut out, &current.assigned);
    write_held(&mut out, &current.pending_revocation);
    out.no_tags();
    out.finish()
}

fn write_held(out: &mut Writer, held: &HeldPartitions) {
    out.compact_count(held.len());
    for (topic, partitions) in held {
        out.raw(&topic.0);
        out.compact_count(partitions.len());
        let mut epochs = Writer::default();
        epochs.compact_count(partitions.len());
        for (partition, epoch) in partitions {
            out.i32(*partition);
            epochs.i32(*epoch);
        }
        out.only_tag(TAG, &epochs.finish());
    }
}

fn decode_current(reader: &mut Reader<'_>) -> Result<CurrentAssignment, RecordError> {
    let epoch = reader.i32()?;
    Ok(CurrentAssignment {
        epoch,
        previous_epoch: reader.i32()?,
        state: MemberState::of(reader.i8()?),
        assigned: read_held(reader, epoch)?,
        pending_revocation: read_held(reader, epoch)?,
    })
}

fn read_held(reader: &mut Reader<'_>, epoch: i32) -> Result<HeldPartitions, RecordError> {
    let mut held = HeldPartitions::new();
    for _ in 0..reader.array_len()? {
        let topic = TopicId(reader.array()?);
        let mut partitions = Vec::new();
        for _ in 0..reader.array_len()? {
            partitions.push(reader.i32()?);
        }
        let mut epochs = Vec::new();
        reader.tagged_fields(|tag, field| {
            if tag == TAG {
                let mut field = Reader::new(field);
                field.flexible = true;
                for _ in 0..field.array_len()? {
                    epochs.push(field.i32()?);
                }
            }
            Ok(())
        })?;
        if epochs.len() != partitions.len() {
            // Written before Kafka kept an epoch of each; that of a member that left is none.
            epochs = vec![epoch.max(0); partitions.len()];
        }
        held.insert(
            topic,
            partitions.into_iter().zip(epochs).collect::<BTreeMap<_, _>>(),
        );
    }
    Ok(held)
}

fn encode_regex(resolved: &ResolvedRegex) -> Vec<u8> {
    let mut out = value();
    write_names(&mut out, &resolved.topics);
    out.i64(resolved.version);
    out.i64(resolved.timestamp_ms);
    out.no_tags();
    out.finish()
}

fn decode_regex(reader: &mut Reader<'_>) -> Result<ResolvedRegex, RecordError> {
    Ok(ResolvedRegex {
        topics: read_names(reader)?,
        version: reader.i64()?,
        timestamp_ms: reader.i64()?,
    })
}

fn write_names(out: &mut Writer, names: &BTreeSet<String>) {
    out.compact_count(names.len());
    for name in names {
        out.compact_string(name);
    }
}

fn read_names(reader: &mut Reader<'_>) -> Result<BTreeSet<String>, RecordError> {
    let mut names = BTreeSet::new();
    for _ in 0..reader.array_len()? {
        names.insert(reader.text()?);
    }
    Ok(names)
}
