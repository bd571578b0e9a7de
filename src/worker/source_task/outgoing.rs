//! From a polled batch to record batches and source offsets. This is the hot path: a record is converted into reused
//! buffers and copied once into the batch of its partition.

use std::{collections::HashMap, ops::Range, sync::Arc};

use jackfield_batch::{Header, Record, RecordRef, Value};
use jackfield_cluster::{PartitionRecords, SourceOffset};
use jackfield_plugin::PolledBatch;

use super::topics::Topics;
use crate::{
    config::ConverterSpec,
    converters::{Converter, KnownSchema, ResolvedValue, SchemaCache},
    errors::{RecordFailure, Stage, Tolerance},
    stores::offsets::OffsetKey,
    task::{TaskContext, TaskFailure},
};

/// Records to append, and their size.
pub(super) type Appendable = (Vec<PartitionRecords>, usize);

/// What conversion needs from batch to batch.
#[derive(Debug)]
pub(super) struct Outgoing {
    key: Converter,
    value: Converter,
    header: Converter,
    schemas: SchemaCache,
    topics: Topics,
    offset_keys: HashMap<String, OffsetKey>,
    /// Topic index of the batch → index in `topics`.
    batch_topics: Vec<usize>,
    /// Schema index of the batch → schema.
    batch_schemas: Vec<Arc<KnownSchema>>,
    key_bytes: Vec<u8>,
    value_bytes: Vec<u8>,
    header_bytes: Vec<u8>,
}

/// A header's key, and where its value lies in `header_bytes`; `None` = null.
type WrittenHeader<'a> = (&'a str, Option<Range<usize>>);

/// Most source partitions whose keys are kept.
const MAX_OFFSET_KEYS: usize = 10_000;

impl Outgoing {
    pub(super) fn new(context: &TaskContext) -> Result<Self, TaskFailure> {
        let config = &context.config;
        Ok(Self {
            key: build(context, &config.key_converter)?,
            value: build(context, &config.value_converter)?,
            header: build(context, &config.header_converter)?,
            schemas: SchemaCache::default(),
            topics: Topics::new(config.compression),
            offset_keys: HashMap::new(),
            batch_topics: Vec::new(),
            batch_schemas: Vec::new(),
            key_bytes: Vec::new(),
            value_bytes: Vec::new(),
            header_bytes: Vec::new(),
        })
    }

    /// Looks up the batch's topics; those that do not exist are created.
    pub(super) async fn prepare_topics(
        &mut self,
        context: &TaskContext,
        batch: &PolledBatch,
    ) -> Result<(), TaskFailure> {
        self.batch_topics.clear();
        for topic in batch.topics() {
            let index = self.topics.index(context, topic).await?;
            // With each batch: the list may have been reset.
            context.uses_topic(topic).await;
            self.batch_topics.push(index);
        }
        self.batch_schemas.clear();
        for schema in batch.schemas() {
            let known = self.schemas.get(schema);
            let known = known.map_err(|error| context.failure(false, Stage::Poll.name(), &error.0, &[]))?;
            self.batch_schemas.push(known);
        }
        Ok(())
    }

    /// Converts a batch whose topics are prepared.
    pub(super) fn convert(
        &mut self,
        context: &TaskContext,
        batch: &PolledBatch,
        tolerance: &mut Tolerance,
    ) -> Result<Appendable, TaskFailure> {
        let now = context.shared.env.clock.now_ms();
        let mut finished = Vec::new();
        for item in batch.records() {
            let record = &item.record;
            if let Err(mut failure) = self.push(&item, now, &mut finished) {
                failure.coordinates = coordinates(batch, record);
                tolerance.decide(context, failure)?;
            }
        }
        self.topics.finish(&mut finished);
        let bytes = finished.iter().map(|records| records.batch.len()).sum();
        Ok((finished, bytes))
    }

    fn push(
        &mut self,
        item: &RecordRef<'_>,
        now: i64,
        finished: &mut Vec<PartitionRecords>,
    ) -> Result<(), RecordFailure> {
        let record = &item.record;
        let topic = self.batch_topics[usize::from(record.topic)];
        self.key_bytes.clear();
        let key = resolve(record.key, &self.batch_schemas);
        let has_key = self.key.from_connect(key, &mut self.key_bytes);
        let has_key = has_key.map_err(|error| RecordFailure::conversion(Stage::KeyConverter, error))?;
        self.value_bytes.clear();
        let value = resolve(record.value, &self.batch_schemas);
        let has_value = self.value.from_connect(value, &mut self.value_bytes);
        let has_value = has_value.map_err(|error| RecordFailure::conversion(Stage::ValueConverter, error))?;
        self.header_bytes.clear();
        let headers = match item.header_count() {
            0 => Vec::new(),
            _ => self.convert_headers(item)?,
        };
        let headers: Vec<(&[u8], Option<&[u8]>)> = headers
            .iter()
            .map(|(key, range)| {
                (
                    key.as_bytes(),
                    range.clone().map(|range| &self.header_bytes[range]),
                )
            })
            .collect();
        let key = has_key.map(|()| &self.key_bytes[..]);
        let value = has_value.map(|()| &self.value_bytes[..]);
        let partition = self
            .topics
            .partition(topic, record.partition, key)
            .map_err(|cause| RecordFailure {
                stage: Stage::Produce,
                cause,
                coordinates: Vec::new(),
            })?;
        let bytes = self.key_bytes.len() + self.value_bytes.len() + self.header_bytes.len() + 32;
        self.topics.builder(topic, partition, bytes, finished).push(
            record.timestamp.unwrap_or(now),
            key,
            value,
            &headers,
        );
        Ok(())
    }

    /// Keys of the headers and where their values lie in `header_bytes`.
    fn convert_headers<'a>(&mut self, item: &RecordRef<'a>) -> Result<Vec<WrittenHeader<'a>>, RecordFailure> {
        let mut headers = Vec::with_capacity(item.header_count());
        for Header { key, value } in item.headers() {
            let start = self.header_bytes.len();
            let value = resolve(value, &self.batch_schemas);
            let written = self.header.from_connect(value, &mut self.header_bytes);
            let written =
                written.map_err(|error| RecordFailure::conversion(Stage::HeaderConverter, error))?;
            headers.push((key, written.map(|()| start..self.header_bytes.len())));
        }
        Ok(headers)
    }

    /// The last offset of each source partition of a batch as it was polled, those of skipped and filtered records among them.
    pub(super) fn offsets(
        &mut self,
        context: &TaskContext,
        batch: &PolledBatch,
    ) -> Result<Vec<SourceOffset>, TaskFailure> {
        let mut last: Vec<Option<&str>> = Vec::new();
        for item in batch.records() {
            if let (Some(partition), Some(offset)) = (item.record.source_partition, item.record.source_offset)
            {
                let partition = usize::from(partition);
                if last.len() <= partition {
                    last.resize(partition + 1, None);
                }
                last[partition] = Some(offset);
            }
        }
        let mut offsets = Vec::with_capacity(last.len());
        for (index, offset) in (0..).zip(&last) {
            let Some(offset) = offset else { continue };
            let partition = batch.source_partition(index);
            let stored = self
                .offset_key(context, partition)
                .and_then(|key| key.record(offset));
            let stored = stored.map_err(|error| {
                let details = [
                    ("source partition", partition.to_owned()),
                    ("source offset", (*offset).to_owned()),
                ];
                context.failure(
                    false,
                    Stage::Poll.name(),
                    &format!("source offset: {error}"),
                    &details,
                )
            })?;
            offsets.push(stored);
        }
        Ok(offsets)
    }

    fn offset_key(
        &mut self,
        context: &TaskContext,
        partition: &str,
    ) -> Result<OffsetKey, crate::converters::ConversionError> {
        if let Some(key) = self.offset_keys.get(partition) {
            return Ok(key.clone());
        }
        let key = context.shared.offsets.key(&context.connector, partition)?;
        if self.offset_keys.len() >= MAX_OFFSET_KEYS {
            self.offset_keys.clear();
        }
        self.offset_keys.insert(partition.to_owned(), key.clone());
        Ok(key)
    }
}

/// The record of a batch with this sequence, for messages.
pub(super) fn coordinates_of(batch: &PolledBatch, sequence: u32) -> Vec<(&'static str, String)> {
    let found = batch.records().find(|item| item.record.sequence == sequence);
    found.map_or_else(Vec::new, |item| coordinates(batch, &item.record))
}

fn coordinates(batch: &PolledBatch, record: &Record<'_>) -> Vec<(&'static str, String)> {
    let mut coordinates = vec![
        ("topic", batch.topic(record.topic).to_owned()),
        ("record in batch", record.sequence.to_string()),
    ];
    if let Some(partition) = record.source_partition {
        coordinates.push(("source partition", batch.source_partition(partition).to_owned()));
    }
    if let Some(offset) = record.source_offset {
        coordinates.push(("source offset", offset.to_owned()));
    }
    coordinates
}

fn build(context: &TaskContext, spec: &ConverterSpec) -> Result<Converter, TaskFailure> {
    Converter::build(&spec.class, &spec.options)
        .map_err(|error| context.failure(false, "configuring converters", &error.0, &[]))
}

fn resolve<'a>(value: Value<'a>, schemas: &'a [Arc<KnownSchema>]) -> ResolvedValue<'a> {
    match value {
        Value::Null => ResolvedValue::Null,
        Value::Bytes(bytes) => ResolvedValue::Bytes(bytes),
        Value::Utf8(text) => ResolvedValue::Utf8(text),
        Value::Json(text) => ResolvedValue::Json(text),
        // Indices were checked when the batch was parsed.
        Value::Typed { schema, data } => ResolvedValue::Typed {
            schema: &schemas[usize::from(schema)],
            data,
        },
    }
}
