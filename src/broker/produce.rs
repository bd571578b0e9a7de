//! Produce, versions 3 to 11: appended when it is read, answered when it is durable. Record bytes are slices of the frame.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use jackfield_log::{AppendError, AppendOrigin, Appended, PartitionLog, RecordError};
use jackfield_protocol::{
    reader::Reader,
    records::{BatchHeader, Compression},
};
use kafka_protocol::error::ResponseError;

use crate::{
    broker::Core,
    connection::{Part, Response},
    dispatch::Refused,
    error_codes,
    wire::Writer,
};

/// Versions below carry message sets of magic 0 and 1, which nothing sends any more.
const FIRST_VERSION: i16 = 3;
/// First version whose clients know zstd.
const ZSTD_VERSION: i16 = 7;
/// First version with per-record errors and an error message.
const RECORD_ERRORS_VERSION: i16 = 8;
const LOG_START_OFFSET_VERSION: i16 = 5;
/// Clients that give (nearly) no time mean replication, as in Kafka; syncing to disk is always waited for this long.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);

/// Result for one partition.
enum Outcome {
    Appended(Appended),
    Refused {
        code: i16,
        message: Option<String>,
        records: Vec<RecordError>,
    },
}

struct Partition {
    index: i32,
    log: Option<Arc<PartitionLog>>,
    outcome: Outcome,
}

/// A request whose records are in their logs.
pub(crate) struct Produced {
    version: i16,
    flexible: bool,
    acks: i16,
    timeout: Duration,
    topics: Vec<(String, Vec<Partition>)>,
}

/// Where the records of a partition lie in the frame.
struct Records {
    topic: usize,
    partition: i32,
    range: Option<Range<usize>>,
}

fn refused(error: ResponseError, message: impl Into<Option<String>>) -> Outcome {
    Outcome::Refused {
        code: error.code(),
        message: message.into(),
        records: Vec::new(),
    }
}

/// Parses the request and appends its records, in order.
///
/// # Errors
/// [`Refused`] when the request is malformed; partitions that cannot be written carry their own error.
pub(crate) fn append(core: &Core, version: i16, flexible: bool, body: BytesMut) -> Result<Produced, Refused> {
    if version < FIRST_VERSION {
        return Err(Refused::Unsupported { key: 0, version });
    }
    let mut reader = Reader::new(&body, flexible);
    let transactional = reader.nullable_string()?.is_some();
    let acks = reader.i16()?;
    let timeout = Duration::from_millis(u64::try_from(reader.i32()?).unwrap_or(0));
    let mut names = Vec::new();
    let mut records = Vec::new();
    for topic in 0..reader.array()? {
        names.push(reader.string()?.to_owned());
        for _ in 0..reader.array()? {
            let partition = reader.i32()?;
            let range = reader.nullable_bytes()?;
            reader.tagged_fields()?;
            records.push(Records {
                topic,
                partition,
                range,
            });
        }
        reader.tagged_fields()?;
    }
    reader.tagged_fields()?;
    let mut topics: Vec<(String, Vec<Partition>)> =
        names.into_iter().map(|name| (name, Vec::new())).collect();
    let mut body = body;
    let mut cut = 0;
    for Records {
        topic,
        partition,
        range,
    } in records
    {
        let data = range.map(|range| {
            let _before = body.split_to(range.start - cut);
            let data = body.split_to(range.len());
            cut = range.end;
            data
        });
        let (name, partitions) = &mut topics[topic];
        let log = core.topics.partition(name, partition);
        let outcome = match (&log, data) {
            _ if !matches!(acks, -1..=1) => refused(ResponseError::InvalidRequiredAcks, None),
            _ if transactional => refused(
                ResponseError::InvalidTxnState,
                "transactions are not supported by this broker".to_owned(),
            ),
            (None, _) => refused(ResponseError::UnknownTopicOrPartition, None),
            (Some(_), None) => refused(ResponseError::InvalidRecord, "no records".to_owned()),
            (Some(_), _) if core.topics.get(name).is_some_and(|topic| topic.internal) => refused(
                ResponseError::InvalidTopicException,
                "the topic is the broker's own".to_owned(),
            ),
            (Some(log), Some(data)) => append_one(log, data, version),
        };
        partitions.push(Partition {
            index: partition,
            log,
            outcome,
        });
    }
    Ok(Produced {
        version,
        flexible,
        acks,
        timeout,
        topics,
    })
}

fn append_one(log: &PartitionLog, data: BytesMut, version: i16) -> Outcome {
    // What does not even parse is for the log to refuse.
    if let Ok(header) = BatchHeader::parse(&data) {
        if header.size_bytes() < data.len() {
            let message = "Produce requests with version 3 or later are only allowed to contain exactly one record batch";
            return refused(ResponseError::InvalidRecord, message.to_owned());
        }
        if version < ZSTD_VERSION && header.compression() == Ok(Compression::Zstd) {
            let message =
                "Produce requests with version 6 or earlier are not allowed to use ZStandard compression";
            return refused(ResponseError::UnsupportedCompressionType, message.to_owned());
        }
    }
    match log.append(data, AppendOrigin::Client) {
        Ok(appended) => Outcome::Appended(appended),
        Err(error) => refusal(log, error),
    }
}

fn refusal(log: &PartitionLog, error: AppendError) -> Outcome {
    if log.is_deleted() {
        return refused(ResponseError::UnknownTopicOrPartition, error.to_string());
    }
    Outcome::Refused {
        code: error_codes::of_append(&error),
        message: Some(error.to_string()),
        records: match error {
            AppendError::Records(records) => records,
            _ => Vec::new(),
        },
    }
}

impl Produced {
    /// Waits until what was appended is durable, and encodes the answer; empty for acks=0.
    ///
    /// # Errors
    /// [`Refused::Unanswerable`] when an acks=0 request failed.
    pub(crate) async fn response(mut self) -> Result<Response, Refused> {
        let partitions = || self.topics.iter().flat_map(|(_, partitions)| partitions);
        if self.acks == 0 {
            let failed = partitions().any(|partition| matches!(partition.outcome, Outcome::Refused { .. }));
            return if failed {
                Err(Refused::Unanswerable)
            } else {
                Ok(Vec::new())
            };
        }
        // One deadline for all: a wait that ends without durability leaves the append's fate open, as in Kafka.
        let deadline = tokio::time::Instant::now() + self.timeout.max(LEAST_TIMEOUT);
        for partition in self.topics.iter_mut().flat_map(|(_, partitions)| partitions) {
            let (Some(log), Outcome::Appended(appended)) = (&partition.log, &partition.outcome) else {
                continue;
            };
            match tokio::time::timeout_at(deadline, log.committed(appended.last_offset)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => partition.outcome = refusal(log, error),
                Err(_) => partition.outcome = refused(ResponseError::RequestTimedOut, None),
            }
        }
        Ok(vec![Part::Bytes(self.encode())])
    }

    fn encode(&self) -> Bytes {
        let mut out = Writer::new(self.flexible);
        out.array(self.topics.len());
        for (name, partitions) in &self.topics {
            out.string(name);
            out.array(partitions.len());
            for partition in partitions {
                self.encode_partition(&mut out, partition);
            }
            out.tagged_fields();
        }
        out.buffer.put_i32(0);
        out.tagged_fields();
        out.buffer.freeze()
    }

    fn encode_partition(&self, out: &mut Writer, partition: &Partition) {
        let (code, appended, message, records) = match &partition.outcome {
            Outcome::Appended(appended) => (0, Some(appended), None, &[][..]),
            Outcome::Refused {
                code,
                message,
                records,
            } => (*code, None, message.as_deref(), &records[..]),
        };
        out.buffer.put_i32(partition.index);
        out.buffer.put_i16(code);
        out.buffer
            .put_i64(appended.map_or(-1, |appended| appended.base_offset));
        out.buffer
            .put_i64(appended.map_or(-1, |appended| appended.log_append_time));
        if self.version >= LOG_START_OFFSET_VERSION {
            out.buffer
                .put_i64(appended.map_or(-1, |appended| appended.log_start_offset));
        }
        if self.version >= RECORD_ERRORS_VERSION {
            out.array(records.len());
            for record in records {
                out.buffer.put_i32(record.index);
                out.nullable_string(Some(&record.message));
                out.tagged_fields();
            }
            out.nullable_string(message);
        }
        out.tagged_fields();
    }
}
