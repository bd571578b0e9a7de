//! Builds an encoded batch front to back: records as they are pushed, tables at the end.

use std::collections::BTreeMap;

use crate::{
    BODY_BYTES, BatchError, HEADER_BYTES, Header, KIND_BYTES, KIND_JSON, KIND_NULL, KIND_TYPED, KIND_UTF8,
    MAGIC, MAJOR, MAX_BATCH_BYTES, NO_SOURCE_OFFSET, NO_SOURCE_PARTITION, Record, SCHEMA_KIND_JSON,
    SchemaIndex, SourcePartitionIndex, TopicIndex, Value,
};

/// Largest buffer that is allocated ahead for the next batch.
const MAX_AHEAD_BYTES: usize = 1 << 20;

/// Builds one encoded batch; reusable after [`BatchBuilder::finish`].
#[derive(Debug, Default)]
pub struct BatchBuilder {
    /// Header and records so far; empty before the first push.
    bytes: Vec<u8>,
    records: u32,
    topics: Table,
    partitions: Table,
    schemas: Table,
    /// Size of the previous batch: what to allocate for the next one.
    expected_bytes: usize,
}

/// Interned texts in the order of their first use.
#[derive(Debug, Default)]
struct Table {
    index: BTreeMap<Box<str>, u16>,
    /// The texts with their length prefixes.
    encoded: Vec<u8>,
    /// Most callers ask for the same text again and again.
    last: Option<(Box<str>, u16)>,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Interns a topic name.
    pub fn topic(&mut self, name: &str) -> Result<TopicIndex, BatchError> {
        let Ok(len) = u16::try_from(name.len()) else {
            return Err(error(format!(
                "topic name of {} bytes, at most 65535 fit",
                name.len()
            )));
        };
        self.topics.intern("topics", name, &len.to_le_bytes())
    }

    /// Interns a source partition, a JSON object.
    pub fn source_partition(&mut self, json: &str) -> Result<SourcePartitionIndex, BatchError> {
        let len = length("source partition", json.len())?;
        self.partitions
            .intern("source partitions", json, &len.to_le_bytes())
    }

    /// Interns a schema in JsonConverter's schema notation.
    pub fn schema(&mut self, json: &str) -> Result<SchemaIndex, BatchError> {
        let [a, b, c, d] = length("schema", json.len())?.to_le_bytes();
        self.schemas
            .intern("schemas", json, &[SCHEMA_KIND_JSON, a, b, c, d])
    }

    /// Appends a record. After an error the builder is as before.
    pub fn push(&mut self, record: &Record<'_>, headers: &[Header<'_>]) -> Result<(), BatchError> {
        self.check(record, headers)?;
        let Ok(header_count) = u16::try_from(headers.len()) else {
            return Err(error(format!(
                "record with {} headers, at most 65535 fit",
                headers.len()
            )));
        };
        let offset_len = record.source_offset.map_or(0, str::len);
        let body = BODY_BYTES
            + value_bytes(&record.key)
            + value_bytes(&record.value)
            + 4
            + offset_len
            + headers
                .iter()
                .map(|header| 2 + header.key.len() + value_bytes(&header.value))
                .sum::<usize>();
        if self.size_bytes() + 4 + body > MAX_BATCH_BYTES {
            return Err(error(format!(
                "record of {body} bytes does not fit: batch has {} of at most {MAX_BATCH_BYTES} bytes",
                self.size_bytes()
            )));
        }
        self.start(4 + body);
        let mut fixed = [0; 4 + BODY_BYTES];
        fixed[0..4].copy_from_slice(&length("record", body)?.to_le_bytes());
        fixed[4..6].copy_from_slice(&record.topic.to_le_bytes());
        fixed[6..8].copy_from_slice(
            &record
                .source_partition
                .unwrap_or(NO_SOURCE_PARTITION)
                .to_le_bytes(),
        );
        fixed[8..12].copy_from_slice(&record.partition.unwrap_or(-1).to_le_bytes());
        fixed[12..20].copy_from_slice(&record.timestamp.unwrap_or(i64::MIN).to_le_bytes());
        fixed[20..28].copy_from_slice(&record.offset.to_le_bytes());
        fixed[28..32].copy_from_slice(&record.sequence.to_le_bytes());
        fixed[32..34].copy_from_slice(&header_count.to_le_bytes());
        self.bytes.extend_from_slice(&fixed);
        self.value(&record.key)?;
        self.value(&record.value)?;
        match record.source_offset {
            None => self.bytes.extend_from_slice(&NO_SOURCE_OFFSET.to_le_bytes()),
            Some(json) => self.sized("source offset", json.as_bytes())?,
        }
        for header in headers {
            let len = u16::try_from(header.key.len()).expect("checked before anything was written");
            self.bytes.extend_from_slice(&len.to_le_bytes());
            self.bytes.extend_from_slice(header.key.as_bytes());
            self.value(&header.value)?;
        }
        self.records += 1;
        Ok(())
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.records as usize
    }

    /// Whether no record was pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded size so far in bytes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len().max(HEADER_BYTES)
            + self.topics.encoded.len()
            + self.partitions.encoded.len()
            + self.schemas.encoded.len()
    }

    /// The encoded batch; the builder is empty afterwards and keeps its buffers.
    pub fn finish(&mut self) -> Vec<u8> {
        self.start(0);
        let tables = u32::try_from(self.bytes.len()).expect("push keeps a batch under MAX_BATCH_BYTES");
        self.bytes[0..3].copy_from_slice(&MAGIC);
        self.bytes[3] = MAJOR;
        for (position, table) in [(6, &self.topics), (8, &self.partitions), (10, &self.schemas)] {
            let count = u16::try_from(table.index.len()).expect("intern keeps a table under 65535 entries");
            self.bytes[position..position + 2].copy_from_slice(&count.to_le_bytes());
        }
        self.bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        self.bytes[16..20].copy_from_slice(&tables.to_le_bytes());
        for table in [&mut self.topics, &mut self.partitions, &mut self.schemas] {
            self.bytes.extend_from_slice(&table.encoded);
            table.clear();
        }
        self.records = 0;
        self.expected_bytes = self.bytes.len();
        std::mem::take(&mut self.bytes)
    }

    /// Forgets everything pushed and interned.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records = 0;
        self.topics.clear();
        self.partitions.clear();
        self.schemas.clear();
    }

    /// Makes room for the header and `more` bytes.
    fn start(&mut self, more: usize) {
        if self.bytes.is_empty() {
            let ahead = self.expected_bytes.min(MAX_AHEAD_BYTES);
            self.bytes.reserve((HEADER_BYTES + more).max(ahead + ahead / 8));
            self.bytes.resize(HEADER_BYTES, 0);
        }
        self.bytes.reserve(more);
    }

    fn check(&self, record: &Record<'_>, headers: &[Header<'_>]) -> Result<(), BatchError> {
        if usize::from(record.topic) >= self.topics.index.len() {
            return Err(error(format!("topic index {} was not interned", record.topic)));
        }
        if let Some(index) = record.source_partition
            && usize::from(index) >= self.partitions.index.len()
        {
            return Err(error(format!("source partition index {index} was not interned")));
        }
        if let Some(partition) = record.partition
            && partition < 0
        {
            return Err(error(format!("negative partition {partition}")));
        }
        if record.timestamp == Some(i64::MIN) {
            return Err(error(format!("timestamp {} stands for unset", i64::MIN)));
        }
        if self.records == u32::MAX {
            return Err(error(format!("batch is full with {} records", self.records)));
        }
        for value in [&record.key, &record.value]
            .into_iter()
            .chain(headers.iter().map(|header| &header.value))
        {
            if let Value::Typed { schema, .. } = value
                && usize::from(*schema) >= self.schemas.index.len()
            {
                return Err(error(format!("schema index {schema} was not interned")));
            }
        }
        match headers
            .iter()
            .find(|header| header.key.len() > usize::from(u16::MAX))
        {
            Some(header) => Err(error(format!(
                "header key of {} bytes, at most 65535 fit",
                header.key.len()
            ))),
            None => Ok(()),
        }
    }

    fn value(&mut self, value: &Value<'_>) -> Result<(), BatchError> {
        match value {
            Value::Null => {
                self.bytes.push(KIND_NULL);
                Ok(())
            }
            Value::Bytes(data) => self.kind(KIND_BYTES).sized("value", data),
            Value::Utf8(text) => self.kind(KIND_UTF8).sized("value", text.as_bytes()),
            Value::Json(text) => self.kind(KIND_JSON).sized("value", text.as_bytes()),
            Value::Typed { schema, data } => {
                self.kind(KIND_TYPED)
                    .bytes
                    .extend_from_slice(&schema.to_le_bytes());
                self.sized("value", data)
            }
        }
    }

    fn kind(&mut self, kind: u8) -> &mut Self {
        self.bytes.push(kind);
        self
    }

    fn sized(&mut self, what: &str, data: &[u8]) -> Result<(), BatchError> {
        self.bytes
            .extend_from_slice(&length(what, data.len())?.to_le_bytes());
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Table {
    fn intern(&mut self, what: &str, text: &str, prefix: &[u8]) -> Result<u16, BatchError> {
        if let Some((last, index)) = &self.last
            && &**last == text
        {
            return Ok(*index);
        }
        let index = match self.index.get(text) {
            Some(index) => *index,
            None => {
                let index = u16::try_from(self.index.len()).unwrap_or(u16::MAX);
                if index == u16::MAX || self.encoded.len() + prefix.len() + text.len() > MAX_BATCH_BYTES / 4 {
                    return Err(error(format!(
                        "too many {what} in one batch: {}",
                        self.index.len()
                    )));
                }
                self.encoded.extend_from_slice(prefix);
                self.encoded.extend_from_slice(text.as_bytes());
                self.index.insert(text.into(), index);
                index
            }
        };
        self.last = Some((text.into(), index));
        Ok(index)
    }

    fn clear(&mut self) {
        self.index.clear();
        self.encoded.clear();
        self.last = None;
    }
}

fn value_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::Null => 1,
        Value::Bytes(data) => 5 + data.len(),
        Value::Utf8(text) | Value::Json(text) => 5 + text.len(),
        Value::Typed { data, .. } => 7 + data.len(),
    }
}

fn length(what: &str, len: usize) -> Result<u32, BatchError> {
    match u32::try_from(len) {
        Ok(len) if (len as usize) < MAX_BATCH_BYTES => Ok(len),
        _ => Err(error(format!(
            "{what} of {len} bytes, at most {MAX_BATCH_BYTES} fit"
        ))),
    }
}

fn error(message: String) -> BatchError {
    BatchError { message, position: 0 }
}
