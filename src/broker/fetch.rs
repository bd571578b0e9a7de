//! Fetch, versions 4 to 17: long poll. Record bytes go from their files to the socket.

use std::{sync::Arc, time::Duration};

use bytes::BufMut;
use jackfield_log::{Fetched, PartitionLog, TopicId};
use jackfield_protocol::reader::{Malformed, Reader};
use kafka_protocol::error::ResponseError;
use tokio::{sync::Notify, time::Instant};

use crate::{
    blocking,
    broker::Core,
    connection::{Part, Response},
    dispatch::Refused,
    error_codes, leader_epoch,
    wire::Writer,
};

const SESSION_VERSION: i16 = 7;
const LEADER_EPOCH_VERSION: i16 = 9;
const RACK_VERSION: i16 = 11;
const LAST_EPOCH_VERSION: i16 = 12;
const TOPIC_ID_VERSION: i16 = 13;
const REPLICA_STATE_VERSION: i16 = 15;

struct Partition {
    index: i32,
    leader_epoch: i32,
    offset: i64,
    max_bytes: usize,
    log: Option<Arc<PartitionLog>>,
}

struct Topic {
    name: String,
    id: TopicId,
    known: bool,
    partitions: Vec<Partition>,
}

struct Request {
    max_wait: Duration,
    min_bytes: usize,
    max_bytes: usize,
    topics: Vec<Topic>,
}

/// What one partition answers.
struct Answer {
    code: i16,
    fetched: Option<Fetched>,
}

fn size(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn parse(core: &Core, version: i16, flexible: bool, body: &[u8]) -> Result<Request, Malformed> {
    let mut reader = Reader::new(body, flexible);
    if version < REPLICA_STATE_VERSION {
        reader.i32()?; // replica id: only consumers fetch here
    }
    let max_wait = Duration::from_millis(u64::try_from(reader.i32()?).unwrap_or(0));
    let min_bytes = size(reader.i32()?);
    let max_bytes = size(reader.i32()?).min(core.config.limits.fetch_max_bytes);
    reader.i8()?; // isolation level: without transactions everything acknowledged is stable
    if version >= SESSION_VERSION {
        reader.skip(8, "fetch session")?; // a session is never granted, so none is continued
    }
    let mut topics = Vec::new();
    for _ in 0..reader.array()? {
        topics.push(parse_topic(core, version, &mut reader)?);
    }
    if version >= SESSION_VERSION {
        for _ in 0..reader.array()? {
            if version >= TOPIC_ID_VERSION {
                reader.uuid().map(|_| ())?
            } else {
                reader.string().map(|_| ())?
            }
            for _ in 0..reader.array()? {
                reader.i32()?;
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
        topics,
    })
}

fn parse_topic(core: &Core, version: i16, reader: &mut Reader<'_>) -> Result<Topic, Malformed> {
    let (name, id, topic) = if version >= TOPIC_ID_VERSION {
        let id = TopicId(reader.uuid()?);
        (String::new(), id, core.topics.get_by_id(id))
    } else {
        let name = reader.string()?.to_owned();
        let topic = core.topics.get(&name);
        (name, TopicId([0; 16]), topic)
    };
    let mut partitions = Vec::new();
    for _ in 0..reader.array()? {
        let index = reader.i32()?;
        let leader_epoch = if version >= LEADER_EPOCH_VERSION {
            reader.i32()?
        } else {
            -1
        };
        let offset = reader.i64()?;
        if version >= LAST_EPOCH_VERSION {
            reader.i32()?; // last fetched epoch: this leader's log never diverges
        }
        if version >= 5 {
            reader.i64()?; // log start offset of followers
        }
        let max_bytes = size(reader.i32()?);
        reader.tagged_fields()?;
        let log = topic
            .as_ref()
            .and_then(|topic| topic.partitions.get(usize::try_from(index).ok()?))
            .cloned();
        partitions.push(Partition {
            index,
            leader_epoch,
            offset,
            max_bytes,
            log,
        });
    }
    reader.tagged_fields()?;
    Ok(Topic {
        name,
        id,
        known: topic.is_some(),
        partitions,
    })
}

/// Handles the request; waits for `min_bytes` at most `max_wait`.
///
/// # Errors
/// [`Refused`] when the request is malformed.
pub(crate) async fn handle(
    core: &Arc<Core>,
    version: i16,
    flexible: bool,
    body: &[u8],
) -> Result<Response, Refused> {
    let request = parse(core, version, flexible, body)?;
    let mut deadline = Instant::now() + request.max_wait;
    let stopping = core.stopping();
    loop {
        let waiter = Arc::new(Notify::new());
        // Registered before reading, so that nothing that comes in between is missed.
        for log in request
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .filter_map(|p| p.log.as_ref())
        {
            log.notify_on_advance(&waiter);
        }
        let (answers, bytes, failed) = read_all(&request);
        if bytes >= request.min_bytes || failed || Instant::now() >= deadline {
            return Ok(encode(&request, answers, version, flexible));
        }
        tokio::select! {
            () = waiter.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
            // A broker that stops answers with what there is.
            () = stopping.cancelled() => deadline = Instant::now(),
        }
    }
}

/// Reads every partition within the limits: answers in request order, bytes found, whether any failed.
fn read_all(request: &Request) -> (Vec<Answer>, usize, bool) {
    let mut answers = Vec::new();
    let (mut bytes, mut failed) = (0, false);
    for topic in &request.topics {
        for partition in &topic.partitions {
            let answer = read_one(
                topic,
                partition,
                request.max_bytes.saturating_sub(bytes),
                bytes == 0,
            );
            bytes += answer
                .fetched
                .as_ref()
                .and_then(|fetched| fetched.slice.as_ref())
                .map_or(0, |slice| slice.len);
            failed |= answer.code != 0;
            answers.push(answer);
        }
    }
    (answers, bytes, failed)
}

fn read_one(topic: &Topic, partition: &Partition, budget: usize, first: bool) -> Answer {
    let refuse = |error: ResponseError| Answer {
        code: error.code(),
        fetched: None,
    };
    let by_id = topic.name.is_empty() && (!topic.known || partition.log.is_some());
    let unknown = if by_id {
        ResponseError::UnknownTopicId
    } else {
        ResponseError::UnknownTopicOrPartition
    };
    let Some(log) = &partition.log else {
        return refuse(unknown);
    };
    if log.is_offline() {
        return refuse(ResponseError::KafkaStorageError);
    }
    // The log's lock is taken only for a client that says something.
    if partition.leader_epoch >= 0
        && let Err(error) = leader_epoch::check(partition.leader_epoch, log.leader_epoch())
    {
        return refuse(error);
    }
    let limit = partition.max_bytes.min(budget);
    if limit == 0 && !first && (log.log_start_offset()..=log.log_end_offset()).contains(&partition.offset) {
        return Answer {
            code: 0,
            fetched: Some(without_records(log)),
        };
    }
    // KIP-74: the first batch of the first partition with data is returned whatever its size.
    let read = log.read_verified(partition.offset, limit, first);
    // What is read for the first time is verified, damage examined: other connections are not kept waiting by that.
    match read.unwrap_or_else(|| blocking::run(|| log.read(partition.offset, limit, first))) {
        Ok(fetched) => Answer {
            code: 0,
            fetched: Some(fetched),
        },
        // The topic was deleted meanwhile. Its log says so before the topic is gone from the registry.
        Err(_) if log.is_deleted() => refuse(unknown),
        Err(error) => Answer {
            code: error_codes::of_read(&error),
            fetched: None,
        },
    }
}

/// The answer where there is no room for records: nothing is looked for.
fn without_records(log: &PartitionLog) -> Fetched {
    let high_watermark = log.high_watermark();
    Fetched {
        slice: None,
        high_watermark,
        last_stable_offset: high_watermark,
        log_start_offset: log.log_start_offset(),
    }
}

fn encode(request: &Request, answers: Vec<Answer>, version: i16, flexible: bool) -> Response {
    let mut parts = Vec::new();
    let mut out = Writer::new(flexible);
    out.buffer.put_i32(0);
    if version >= SESSION_VERSION {
        out.buffer.put_i16(0);
        out.buffer.put_i32(0); // session 0: every fetch is a full one (KIP-227)
    }
    let mut answers = answers.into_iter();
    out.array(request.topics.len());
    for topic in &request.topics {
        if version >= TOPIC_ID_VERSION {
            out.buffer.put_slice(&topic.id.0);
        } else {
            out.string(&topic.name);
        }
        out.array(topic.partitions.len());
        for (partition, answer) in topic.partitions.iter().zip(answers.by_ref()) {
            encode_partition(&mut out, partition, &answer, version);
            if let Some(slice) = answer.fetched.and_then(|fetched| fetched.slice) {
                parts.push(Part::Bytes(out.buffer.split().freeze()));
                parts.push(Part::File(slice));
            }
            out.tagged_fields();
        }
        out.tagged_fields();
    }
    out.tagged_fields();
    parts.push(Part::Bytes(out.buffer.freeze()));
    parts
}

/// Everything of a partition up to its record bytes.
fn encode_partition(out: &mut Writer, partition: &Partition, answer: &Answer, version: i16) {
    let fetched = answer.fetched.as_ref();
    out.buffer.put_i32(partition.index);
    out.buffer.put_i16(answer.code);
    out.buffer
        .put_i64(fetched.map_or(-1, |fetched| fetched.high_watermark));
    out.buffer
        .put_i64(fetched.map_or(-1, |fetched| fetched.last_stable_offset));
    if version >= 5 {
        out.buffer
            .put_i64(fetched.map_or(-1, |fetched| fetched.log_start_offset));
    }
    out.array(0); // aborted transactions
    if version >= RACK_VERSION {
        out.buffer.put_i32(-1); // preferred read replica
    }
    out.records_length(
        fetched
            .and_then(|fetched| fetched.slice.as_ref())
            .map_or(0, |slice| slice.len),
    );
}
