//! From fetched record batches to batches for the sink. This is the hot path: records are read where they lie and
//! copied once.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_batch::{Batch, BatchBuilder, BatchError, Header, Record, Value};
use jackfield_cluster::{FetchedRecords, RecordView, TopicPartition, for_each, split_batches};

use crate::{
    config::ConverterSpec,
    converters::{ConnectedValue, ConversionError, Converter},
    errors::{RecordFailure, Stage, Tolerance},
    task::{TaskContext, TaskFailure},
};

/// A batch for the sink holds at most this much, or one record.
const MAX_BYTES: usize = 1 << 20;
/// Records of one batch for the sink, unless `max.poll.records` says otherwise.
const MAX_RECORDS: usize = 10_000;
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

/// What conversion needs from batch to batch.
#[derive(Debug)]
pub(super) struct Incoming {
    key: Converter,
    value: Converter,
    header: Converter,
    builder: BatchBuilder,
    key_scratch: Vec<u8>,
    value_scratch: Vec<u8>,
    max_records: usize,
}

/// Why a fetched batch could not be read.
enum ReadError {
    Malformed(String),
    Task(TaskFailure),
}

impl From<jackfield_cluster::RecordBatchError> for ReadError {
    fn from(error: jackfield_cluster::RecordBatchError) -> Self {
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
            key_scratch: Vec::new(),
            value_scratch: Vec::new(),
            max_records: max_records.unwrap_or(MAX_RECORDS),
        })
    }

    /// Converts what was fetched of one partition.
    pub(super) fn convert(
        &mut self,
        context: &TaskContext,
        fetched: FetchedRecords,
        tolerance: &mut Tolerance,
    ) -> Result<Vec<Delivery>, TaskFailure> {
        let FetchedRecords {
            partition,
            from_offset,
            batches,
        } = fetched;
        let mut deliveries = Vec::new();
        let mut next = from_offset;
        for batch in split_batches(batches) {
            let header = jackfield_cluster::BatchHeader::parse(&batch);
            let header = header.map_err(|error| malformed(context, &partition, next, &error.to_string()))?;
            if !header.is_control() {
                let visited = for_each(&batch, MAX_DECOMPRESSED_BYTES, |record| {
                    if record.offset < from_offset {
                        return Ok(());
                    }
                    if let Err(mut failure) = self.push(&partition, &record) {
                        failure.coordinates = vec![
                            ("topic", partition.topic.to_string()),
                            ("partition", partition.partition.to_string()),
                            ("offset", record.offset.to_string()),
                            ("timestamp", record.timestamp.to_string()),
                        ];
                        tolerance.decide(context, failure).map_err(ReadError::Task)?;
                    }
                    next = record.offset + 1;
                    if self.builder.len() >= self.max_records || self.builder.size_bytes() >= MAX_BYTES {
                        deliveries.push(self.finish(&partition, next));
                    }
                    Ok(())
                });
                visited.map_err(|error| match error {
                    ReadError::Malformed(cause) => malformed(context, &partition, next, &cause),
                    ReadError::Task(failure) => failure,
                })?;
            }
            next = next.max(header.last_offset() + 1);
        }
        let delivered = deliveries
            .last()
            .map_or(from_offset, |delivery| delivery.next_offset);
        if !self.builder.is_empty() || next > delivered {
            deliveries.push(self.finish(&partition, next));
        }
        Ok(deliveries)
    }

    fn finish(&mut self, partition: &TopicPartition, next_offset: i64) -> Delivery {
        let records = self.builder.len();
        let batch = if records == 0 {
            Bytes::new()
        } else {
            self.builder.finish().into()
        };
        Delivery {
            batch,
            partition: partition.clone(),
            next_offset,
            records,
        }
    }

    fn push(&mut self, partition: &TopicPartition, record: &RecordView<'_>) -> Result<(), RecordFailure> {
        let key = self.key.to_connect(record.key, &mut self.key_scratch);
        let key = key.map_err(|error| RecordFailure::conversion(Stage::KeyConverter, error))?;
        let value = self.value.to_connect(record.value, &mut self.value_scratch);
        let value = value.map_err(|error| RecordFailure::conversion(Stage::ValueConverter, error))?;
        let converted = match record.header_count {
            0 => Vec::new(),
            _ => convert_headers(&mut self.header, record)?,
        };
        let builder = &mut self.builder;
        let mut add = || -> Result<(), BatchError> {
            let topic = builder.topic(&partition.topic)?;
            let key = typed(&key, &self.key_scratch, builder)?;
            let value = typed(&value, &self.value_scratch, builder)?;
            let mut headers = Vec::with_capacity(converted.len());
            for (key, value, scratch) in &converted {
                headers.push(Header {
                    key,
                    value: typed(value, scratch, builder)?,
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
    record: &RecordView<'a>,
) -> Result<Vec<Converted<'a>>, RecordFailure> {
    let mut headers = Vec::with_capacity(record.header_count);
    for (key, value) in record.headers() {
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
) -> Result<Value<'a>, BatchError> {
    Ok(match value {
        ConnectedValue::Null => Value::Null,
        ConnectedValue::Bytes(bytes) => Value::Bytes(bytes),
        ConnectedValue::Utf8(text) => Value::Utf8(text),
        ConnectedValue::Json(text) => Value::Json(text),
        ConnectedValue::Typed(known) => Value::Typed {
            schema: builder.schema(&known.text)?,
            data: scratch,
        },
    })
}

/// Offset of the record with this sequence, for messages.
pub(super) fn offset_of(delivery: &Delivery, sequence: u32) -> Option<i64> {
    let batch = Batch::parse(&delivery.batch[..]).ok()?;
    let found = batch.records().find(|item| item.record.sequence == sequence);
    found.map(|item| item.record.offset)
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
