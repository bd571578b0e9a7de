//! From fetched record batches to batches for the sink. This is the hot path: records are read where they lie and
//! copied once.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use jackfield_batch::{Batch, BatchBuilder, BatchError, Header, Record, SchemaIndex, Value};
use jackfield_cluster::{
    BatchHeader, Compression, FetchedRecords, RecordBatchError, RecordView, TopicPartition, for_each,
    records, split_batches,
};

use crate::{
    config::ConverterSpec,
    converters::{ConnectedValue, ConversionError, Converter, KnownSchema},
    errors::{RecordFailure, Stage, Tolerance},
    task::{TaskContext, TaskFailure},
};

/// A batch for the sink holds at most this much, or one record.
const MAX_BYTES: usize = 1 << 20;
/// Records of one batch for the sink, unless `max.poll.records` says otherwise.
const MAX_RECORDS: usize = 10_000;
/// Schemas of one batch whose index is remembered.
const MAX_REMEMBERED_SCHEMAS: usize = 16;
/// Most bytes that a compressed record batch may become.
const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

/// A batch for the sink.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    /// An encoded `jackfield_batch`.
    pub(super) batch: Bytes,
    /// The partition its records are from.
    pub(super) partition: TopicPartition,
    /// Where the partition stands when the batch was put; empty batches carry a position past skipped records.
    pub(super) next_offset: i64,
    /// Records in it.
    pub(super) records: usize,
}

/// What was fetched of one partition, while it is converted.
pub(super) struct Reading {
    partition: TopicPartition,
    /// Records below were delivered before.
    from_offset: i64,
    /// Records below are converted.
    next: i64,
    /// Records below are in a delivery.
    delivered: i64,
    batches: Box<dyn Iterator<Item = Bytes> + Send>,
    /// The batch that is being read, when it is compressed.
    open: Option<OpenBatch>,
    /// Deliveries that are complete.
    ready: VecDeque<Delivery>,
}

/// A decompressed batch. It may be far larger than what was fetched, so its records are converted as they are needed.
struct OpenBatch {
    records: Box<dyn Iterator<Item = Result<jackfield_cluster::Record, RecordBatchError>> + Send>,
    /// Offset after the batch.
    end: i64,
}

/// A record where it lies.
struct Fetched<'a> {
    offset: i64,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> From<RecordView<'a>> for Fetched<'a> {
    fn from(record: RecordView<'a>) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers().collect(),
        }
    }
}

impl<'a> From<&'a jackfield_cluster::Record> for Fetched<'a> {
    fn from(record: &'a jackfield_cluster::Record) -> Self {
        let headers = record.headers.iter();
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: headers.map(|(key, value)| (&key[..], value.as_deref())).collect(),
        }
    }
}

/// What conversion needs from batch to batch.
#[derive(Debug)]
pub(super) struct Incoming {
    key: Converter,
    value: Converter,
    header: Converter,
    builder: BatchBuilder,
    /// Schemas that the builder knows already; its own look-up compares whole texts.
    schemas: Vec<(Arc<KnownSchema>, SchemaIndex)>,
    key_scratch: Vec<u8>,
    value_scratch: Vec<u8>,
    max_records: usize,
}

/// Why a fetched batch could not be read.
enum ReadError {
    Malformed(String),
    Task(TaskFailure),
}

impl From<RecordBatchError> for ReadError {
    fn from(error: RecordBatchError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Incoming {
    pub(super) fn new(context: &TaskContext) -> Result<Self, TaskFailure> {
        let config = &context.config;
        let max_records = config
            .max_poll_records
            .and_then(|count| usize::try_from(count).ok());
        Ok(Self {
            key: build(context, &config.key_converter)?,
            value: build(context, &config.value_converter)?,
            header: build(context, &config.header_converter)?,
            builder: BatchBuilder::new(),
            schemas: Vec::new(),
            key_scratch: Vec::new(),
            value_scratch: Vec::new(),
            max_records: max_records.unwrap_or(MAX_RECORDS),
        })
    }

    /// Begins with what was fetched of one partition; what was begun before is given up.
    pub(super) fn begin(&mut self, fetched: FetchedRecords) -> Reading {
        if !self.builder.is_empty() {
            drop(self.take_batch());
        }
        Reading {
            partition: fetched.partition,
            from_offset: fetched.from_offset,
            next: fetched.from_offset,
            delivered: fetched.from_offset,
            batches: Box::new(split_batches(fetched.batches)),
            open: None,
            ready: VecDeque::new(),
        }
    }

    /// Converts as much as the next batch for the sink needs. `None` = everything that was fetched is delivered.
    pub(super) fn next(
        &mut self,
        context: &TaskContext,
        reading: &mut Reading,
        tolerance: &mut Tolerance,
    ) -> Result<Option<Delivery>, TaskFailure> {
        loop {
            if let Some(delivery) = reading.ready.pop_front() {
                return Ok(Some(delivery));
            }
            if let Some(open) = reading.open.take() {
                self.read_on(context, reading, open, tolerance)?;
            } else if let Some(batch) = reading.batches.next() {
                self.read(context, reading, &batch, tolerance)?;
            } else if !self.builder.is_empty() || reading.next > reading.delivered {
                self.finish(reading);
            } else {
                return Ok(None);
            }
        }
    }

    /// Converts a batch as it is, or opens it when it is compressed.
    fn read(
        &mut self,
        context: &TaskContext,
        reading: &mut Reading,
        batch: &Bytes,
        tolerance: &mut Tolerance,
    ) -> Result<(), TaskFailure> {
        let unreadable = |reading: &Reading, error: &RecordBatchError| {
            malformed(context, &reading.partition, reading.next, &error.to_string())
        };
        let header = BatchHeader::parse(batch).map_err(|error| unreadable(reading, &error))?;
        let end = header.last_offset() + 1;
        let codec = header
            .compression()
            .map_err(|error| unreadable(reading, &error))?;
        if header.is_control() {
            reading.next = reading.next.max(end);
        } else if codec == Compression::None {
            let visited = for_each(batch, MAX_DECOMPRESSED_BYTES, |record| {
                self.take(context, reading, &record.into(), tolerance)
                    .map_err(ReadError::Task)
            });
            visited.map_err(|error| match error {
                ReadError::Malformed(cause) => malformed(context, &reading.partition, reading.next, &cause),
                ReadError::Task(failure) => failure,
            })?;
            reading.next = reading.next.max(end);
        } else {
            let records =
                records(batch, MAX_DECOMPRESSED_BYTES).map_err(|error| unreadable(reading, &error))?;
            let records = Box::new(records);
            reading.open = Some(OpenBatch { records, end });
        }
        Ok(())
    }

    /// Converts records of a decompressed batch until a delivery is complete or the batch ends.
    fn read_on(
        &mut self,
        context: &TaskContext,
        reading: &mut Reading,
        mut open: OpenBatch,
        tolerance: &mut Tolerance,
    ) -> Result<(), TaskFailure> {
        while reading.ready.is_empty() {
            let Some(record) = open.records.next() else {
                reading.next = reading.next.max(open.end);
                return Ok(());
            };
            let record = record
                .map_err(|error| malformed(context, &reading.partition, reading.next, &error.to_string()))?;
            self.take(context, reading, &(&record).into(), tolerance)?;
        }
        reading.open = Some(open);
        Ok(())
    }

    /// Converts one record.
    fn take(
        &mut self,
        context: &TaskContext,
        reading: &mut Reading,
        record: &Fetched<'_>,
        tolerance: &mut Tolerance,
    ) -> Result<(), TaskFailure> {
        if record.offset < reading.from_offset {
            return Ok(());
        }
        if let Err(mut failure) = self.push(&reading.partition, record) {
            failure.coordinates = vec![
                ("topic", reading.partition.topic.to_string()),
                ("partition", reading.partition.partition.to_string()),
                ("offset", record.offset.to_string()),
                ("timestamp", record.timestamp.to_string()),
            ];
            tolerance.decide(context, failure)?;
        }
        reading.next = record.offset + 1;
        if self.builder.len() >= self.max_records || self.builder.size_bytes() >= MAX_BYTES {
            self.finish(reading);
        }
        Ok(())
    }

    /// Completes a delivery.
    fn finish(&mut self, reading: &mut Reading) {
        let records = self.builder.len();
        let batch = if records == 0 {
            Bytes::new()
        } else {
            self.take_batch()
        };
        reading.delivered = reading.next;
        reading.ready.push_back(Delivery {
            batch,
            partition: reading.partition.clone(),
            next_offset: reading.next,
            records,
        });
    }

    fn take_batch(&mut self) -> Bytes {
        self.schemas.clear();
        self.builder.finish().into()
    }

    fn push(&mut self, partition: &TopicPartition, record: &Fetched<'_>) -> Result<(), RecordFailure> {
        let key = self.key.to_connect(record.key, &mut self.key_scratch);
        let key = key.map_err(|error| RecordFailure::conversion(Stage::KeyConverter, error))?;
        let value = self.value.to_connect(record.value, &mut self.value_scratch);
        let value = value.map_err(|error| RecordFailure::conversion(Stage::ValueConverter, error))?;
        let converted = convert_headers(&mut self.header, record)?;
        let (builder, schemas) = (&mut self.builder, &mut self.schemas);
        let mut add = || -> Result<(), BatchError> {
            let topic = builder.topic(&partition.topic)?;
            let key = typed(&key, &self.key_scratch, builder, schemas)?;
            let value = typed(&value, &self.value_scratch, builder, schemas)?;
            let mut headers = Vec::with_capacity(converted.len());
            for (key, value, scratch) in &converted {
                headers.push(Header {
                    key,
                    value: typed(value, scratch, builder, schemas)?,
                });
            }
            let sequence = u32::try_from(builder.len()).unwrap_or(u32::MAX);
            let record = Record {
                topic,
                source_partition: None,
                partition: Some(partition.partition),
                timestamp: Some(record.timestamp),
                offset: record.offset,
                sequence,
                key,
                value,
                source_offset: None,
            };
            builder.push(&record, &headers)
        };
        add().map_err(|error| RecordFailure {
            stage: Stage::Put,
            cause: error.message,
            coordinates: Vec::new(),
        })
    }
}

/// A header with the scratch that its typed value lies in.
type Converted<'a> = (&'a str, ConnectedValue<'a>, Vec<u8>);

fn convert_headers<'a>(
    converter: &mut Converter,
    record: &Fetched<'a>,
) -> Result<Vec<Converted<'a>>, RecordFailure> {
    let mut headers = Vec::with_capacity(record.headers.len());
    for (key, value) in record.headers.iter().copied() {
        let failed = |error| RecordFailure::conversion(Stage::HeaderConverter, error);
        let key = std::str::from_utf8(key)
            .map_err(|_| failed(ConversionError("a header's key is not UTF-8".to_owned())))?;
        let mut scratch = Vec::new();
        let value = converter.to_connect(value, &mut scratch).map_err(failed)?;
        headers.push((key, value, scratch));
    }
    Ok(headers)
}

/// The batch's form of a value; typed data lies in `scratch`.
fn typed<'a>(
    value: &'a ConnectedValue<'_>,
    scratch: &'a [u8],
    builder: &mut BatchBuilder,
    schemas: &mut Vec<(Arc<KnownSchema>, SchemaIndex)>,
) -> Result<Value<'a>, BatchError> {
    Ok(match value {
        ConnectedValue::Null => Value::Null,
        ConnectedValue::Bytes(bytes) => Value::Bytes(bytes),
        ConnectedValue::Utf8(text) => Value::Utf8(text),
        ConnectedValue::Json(text) => Value::Json(text),
        ConnectedValue::Typed(known) => Value::Typed {
            schema: schema_index(known, builder, schemas)?,
            data: scratch,
        },
    })
}

/// The batch's index of a schema.
fn schema_index(
    known: &Arc<KnownSchema>,
    builder: &mut BatchBuilder,
    schemas: &mut Vec<(Arc<KnownSchema>, SchemaIndex)>,
) -> Result<SchemaIndex, BatchError> {
    let remembered = schemas.iter().find(|(schema, _)| Arc::ptr_eq(schema, known));
    if let Some((_, index)) = remembered {
        return Ok(*index);
    }
    let index = builder.schema(&known.text)?;
    if schemas.len() < MAX_REMEMBERED_SCHEMAS {
        schemas.push((Arc::clone(known), index));
    }
    Ok(index)
}

/// Where the record with this sequence is from, for messages.
pub(super) fn coordinates(delivery: &Delivery, sequence: u32) -> Vec<(&'static str, String)> {
    let offset = Batch::parse(&delivery.batch[..]).ok().and_then(|batch| {
        let found = batch.records().find(|item| item.record.sequence == sequence);
        found.map(|item| item.record.offset)
    });
    vec![
        ("topic", delivery.partition.topic.to_string()),
        ("partition", delivery.partition.partition.to_string()),
        (
            "offset",
            offset.map_or_else(|| "unknown".to_owned(), |offset| offset.to_string()),
        ),
    ]
}

fn malformed(context: &TaskContext, partition: &TopicPartition, offset: i64, cause: &str) -> TaskFailure {
    let details = [
        ("topic", partition.topic.to_string()),
        ("partition", partition.partition.to_string()),
        ("offset", offset.to_string()),
    ];
    context.failure(
        false,
        "KAFKA_CONSUME",
        &format!("record batch cannot be read: {cause}"),
        &details,
    )
}

fn build(context: &TaskContext, spec: &ConverterSpec) -> Result<Converter, TaskFailure> {
    Converter::build(&spec.class, &spec.options)
        .map_err(|error| context.failure(false, "configuring converters", &error.0, &[]))
}

/// The sink's name of a partition.
pub(super) fn pair(partition: &TopicPartition) -> (Arc<str>, i32) {
    (Arc::clone(&partition.topic), partition.partition)
}
