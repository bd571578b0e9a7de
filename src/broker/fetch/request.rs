//! A Fetch request, read by hand: nothing of a client that asks for thousands of partitions is kept twice.

use std::{sync::Arc, time::Duration};

use jackfield_log::TopicId;
use jackfield_protocol::reader::{Malformed, Reader};

use super::{
    LAST_EPOCH_VERSION, LEADER_EPOCH_VERSION, RACK_VERSION, REPLICA_STATE_VERSION, SESSION_VERSION,
    START_OFFSET_VERSION, TOPIC_ID_VERSION,
};

/// A topic as a client names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TopicKey {
    Name(Arc<str>),
    Id(TopicId),
}

/// A partition as a client names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) topic: TopicKey,
    pub(super) partition: i32,
}

/// What a client asks of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) leader_epoch: i32,
    pub(super) offset: i64,
    pub(super) last_fetched_epoch: i32,
    pub(super) max_bytes: usize,
}

/// See the file's header.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) max_wait: Duration,
    pub(super) min_bytes: usize,
    pub(super) max_bytes: usize,
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    pub(super) partitions: Vec<(Place, Wanted)>,
    pub(super) forgotten: Vec<Place>,
}

fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// Reads a request; at most `most_bytes` of records will be returned.
pub(super) fn parse(
    version: i16,
    flexible: bool,
    body: &[u8],
    most_bytes: usize,
) -> Result<Request, Malformed> {
    let mut reader = Reader::new(body, flexible);
    if version < REPLICA_STATE_VERSION {
        reader.i32()?; // replica id: only consumers fetch here
    }
    let max_wait = Duration::from_millis(u64::try_from(reader.i32()?).unwrap_or(0));
    let min_bytes = size(reader.i32()?);
    let max_bytes = size(reader.i32()?).min(most_bytes);
    reader.i8()?; // isolation level: without transactions everything acknowledged is stable
    let (session_id, session_epoch) = if version >= SESSION_VERSION {
        (reader.i32()?, reader.i32()?)
    } else {
        (super::NO_SESSION, super::FINAL_EPOCH)
    };
    let mut partitions = Vec::new();
    for _ in 0..reader.array()? {
        parse_topic(version, &mut reader, &mut partitions)?;
    }
    let mut forgotten = Vec::new();
    if version >= SESSION_VERSION {
        for _ in 0..reader.array()? {
            let topic = parse_key(version, &mut reader)?;
            for _ in 0..reader.array()? {
                forgotten.push(Place {
                    topic: topic.clone(),
                    partition: reader.i32()?,
                });
            }
            reader.tagged_fields()?;
        }
    }
    if version >= RACK_VERSION {
        reader.nullable_string()?;
    }
    reader.tagged_fields()?;
    Ok(Request {
        max_wait,
        // More than may be returned is not waited for.
        min_bytes: min_bytes.min(max_bytes),
        max_bytes,
        session_id,
        session_epoch,
        partitions,
        forgotten,
    })
}

fn parse_key(version: i16, reader: &mut Reader<'_>) -> Result<TopicKey, Malformed> {
    if version >= TOPIC_ID_VERSION {
        Ok(TopicKey::Id(TopicId(reader.uuid()?)))
    } else {
        Ok(TopicKey::Name(reader.string()?.into()))
    }
}

fn parse_topic(
    version: i16,
    reader: &mut Reader<'_>,
    partitions: &mut Vec<(Place, Wanted)>,
) -> Result<(), Malformed> {
    let topic = parse_key(version, reader)?;
    for _ in 0..reader.array()? {
        let place = Place {
            topic: topic.clone(),
            partition: reader.i32()?,
        };
        let epoch = |reader: &mut Reader<'_>, since: i16| {
            if version >= since { reader.i32() } else { Ok(-1) }
        };
        let leader_epoch = epoch(reader, LEADER_EPOCH_VERSION)?;
        let offset = reader.i64()?;
        let last_fetched_epoch = epoch(reader, LAST_EPOCH_VERSION)?;
        if version >= START_OFFSET_VERSION {
            reader.i64()?; // log start offset of followers
        }
        let max_bytes = size(reader.i32()?);
        reader.tagged_fields()?;
        let wanted = Wanted {
            leader_epoch,
            offset,
            last_fetched_epoch,
            max_bytes,
        };
        partitions.push((place, wanted));
    }
    reader.tagged_fields()
}
