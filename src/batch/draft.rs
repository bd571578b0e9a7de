//! A record as a connector writes it: texts instead of table indices, and only what it wants to say.

use crate::{Batch, BatchBuilder, BatchError, Header, Record, RecordRef, Value};

/// A key, a value or a header value, with its schema as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftValue<'a> {
    /// Null without a schema.
    Null,
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// UTF-8 text.
    Utf8(&'a str),
    /// Schemaless data as JSON text.
    Json(&'a str),
    /// Typed data under a Connect schema, see [`Value::Typed`].
    Typed {
        /// Schema in JsonConverter's notation.
        schema: &'a str,
        /// Avro binary encoding, see [`crate::typed`].
        data: &'a [u8],
    },
}

/// A record to be pushed; made by [`BatchBuilder::record`], or by [`Draft::of`] from a record that was read.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a record is in the batch when it was pushed"]
pub struct Draft<'a> {
    topic: &'a str,
    key: DraftValue<'a>,
    value: DraftValue<'a>,
    headers: Vec<(&'a str, DraftValue<'a>)>,
    partition: Option<i32>,
    timestamp: Option<i64>,
    offset: i64,
    /// `None` = the next of the batch.
    sequence: Option<u32>,
    source_partition: Option<&'a str>,
    source_offset: Option<&'a str>,
}

impl<'a> Draft<'a> {
    /// A record for a topic, null in key and value.
    pub fn new(topic: &'a str) -> Self {
        Self {
            topic,
            key: DraftValue::Null,
            value: DraftValue::Null,
            headers: Vec::new(),
            partition: None,
            timestamp: None,
            offset: -1,
            sequence: None,
            source_partition: None,
            source_offset: None,
        }
    }

    /// A record as it was read, to be changed and pushed by a transform. It keeps its sequence, by which the host accounts
    /// for offsets.
    pub fn of<B: AsRef<[u8]>>(batch: &'a Batch<B>, found: &RecordRef<'a>) -> Self {
        let Record {
            topic,
            source_partition,
            partition,
            timestamp,
            offset,
            sequence,
            key,
            value,
            source_offset,
        } = found.record;
        Self {
            topic: batch.topic(topic),
            key: DraftValue::of(batch, key),
            value: DraftValue::of(batch, value),
            headers: found
                .headers()
                .map(|header| (header.key, DraftValue::of(batch, header.value)))
                .collect(),
            partition,
            timestamp,
            offset,
            sequence: Some(sequence),
            source_partition: source_partition.map(|index| batch.source_partition(index)),
            source_offset,
        }
    }

    /// Another topic.
    pub fn topic(self, topic: &'a str) -> Self {
        Self { topic, ..self }
    }

    /// The key.
    pub fn key(self, key: impl Into<DraftValue<'a>>) -> Self {
        Self {
            key: key.into(),
            ..self
        }
    }

    /// The value.
    pub fn value(self, value: impl Into<DraftValue<'a>>) -> Self {
        Self {
            value: value.into(),
            ..self
        }
    }

    /// One more header.
    pub fn header(mut self, key: &'a str, value: impl Into<DraftValue<'a>>) -> Self {
        self.headers.push((key, value.into()));
        self
    }

    /// No headers.
    pub fn without_headers(mut self) -> Self {
        self.headers.clear();
        self
    }

    /// The Kafka partition; without it the worker chooses by the key.
    pub fn partition(self, partition: i32) -> Self {
        Self {
            partition: Some(partition),
            ..self
        }
    }

    /// The Kafka offset, which records for sinks have.
    pub fn offset(self, offset: i64) -> Self {
        Self { offset, ..self }
    }

    /// Milliseconds since the epoch; without it the worker takes the present time.
    pub fn timestamp(self, timestamp_ms: i64) -> Self {
        Self {
            timestamp: Some(timestamp_ms),
            ..self
        }
    }

    /// Where in the source's system it comes from: source partition and the offset after this record, JSON objects both.
    pub fn source(self, partition: &'a str, offset: &'a str) -> Self {
        Self {
            source_partition: Some(partition),
            source_offset: Some(offset),
            ..self
        }
    }

    /// Adds the record to a batch. After an error the batch is as before, but for what it interned.
    ///
    /// # Errors
    /// A text, the record or the batch is too large.
    pub fn push(self, batch: &mut BatchBuilder) -> Result<(), BatchError> {
        let record = Record {
            topic: batch.topic(self.topic)?,
            source_partition: match self.source_partition {
                Some(partition) => Some(batch.source_partition(partition)?),
                None => None,
            },
            partition: self.partition,
            timestamp: self.timestamp,
            offset: self.offset,
            sequence: match self.sequence {
                Some(sequence) => sequence,
                None => u32::try_from(batch.len()).unwrap_or(u32::MAX),
            },
            key: self.key.interned(batch)?,
            value: self.value.interned(batch)?,
            source_offset: self.source_offset,
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (key, value) in self.headers {
            let value = value.interned(batch)?;
            headers.push(Header { key, value });
        }
        batch.push(&record, &headers)
    }
}

impl<'a> DraftValue<'a> {
    fn of<B: AsRef<[u8]>>(batch: &'a Batch<B>, value: Value<'a>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bytes(data) => Self::Bytes(data),
            Value::Utf8(text) => Self::Utf8(text),
            Value::Json(text) => Self::Json(text),
            Value::Typed { schema, data } => Self::Typed {
                schema: batch.schema(schema),
                data,
            },
        }
    }

    fn interned(self, batch: &mut BatchBuilder) -> Result<Value<'a>, BatchError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bytes(data) => Value::Bytes(data),
            Self::Utf8(text) => Value::Utf8(text),
            Self::Json(text) => Value::Json(text),
            Self::Typed { schema, data } => Value::Typed {
                schema: batch.schema(schema)?,
                data,
            },
        })
    }
}

impl<'a> From<&'a str> for DraftValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Utf8(text)
    }
}

impl<'a> From<&'a String> for DraftValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::Utf8(text)
    }
}

impl<'a> From<&'a [u8]> for DraftValue<'a> {
    fn from(data: &'a [u8]) -> Self {
        Self::Bytes(data)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for DraftValue<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl BatchBuilder {
    /// A record for a topic, pushed into this batch with [`Pushing::push`].
    pub fn record<'a, 'b>(&'b mut self, topic: &'a str) -> Pushing<'a, 'b> {
        Pushing {
            batch: self,
            draft: Draft::new(topic),
        }
    }
}

/// A [`Draft`] together with the batch it goes into.
#[derive(Debug)]
#[must_use = "a record is in the batch when it was pushed"]
pub struct Pushing<'a, 'b> {
    batch: &'b mut BatchBuilder,
    draft: Draft<'a>,
}

impl<'a> Pushing<'a, '_> {
    /// See [`Draft::key`].
    pub fn key(mut self, key: impl Into<DraftValue<'a>>) -> Self {
        self.draft = self.draft.key(key);
        self
    }

    /// See [`Draft::value`].
    pub fn value(mut self, value: impl Into<DraftValue<'a>>) -> Self {
        self.draft = self.draft.value(value);
        self
    }

    /// See [`Draft::header`].
    pub fn header(mut self, key: &'a str, value: impl Into<DraftValue<'a>>) -> Self {
        self.draft = self.draft.header(key, value);
        self
    }

    /// See [`Draft::partition`].
    pub fn partition(mut self, partition: i32) -> Self {
        self.draft = self.draft.partition(partition);
        self
    }

    /// See [`Draft::timestamp`].
    pub fn timestamp(mut self, timestamp_ms: i64) -> Self {
        self.draft = self.draft.timestamp(timestamp_ms);
        self
    }

    /// See [`Draft::source`].
    pub fn source(mut self, partition: &'a str, offset: &'a str) -> Self {
        self.draft = self.draft.source(partition, offset);
        self
    }

    /// See [`Draft::push`].
    ///
    /// # Errors
    /// As there.
    pub fn push(self) -> Result<(), BatchError> {
        self.draft.push(self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_again_after_a_transform() {
        let mut builder = BatchBuilder::new();
        let schema = r#"{"type":"int32","optional":false}"#;
        builder
            .record("a")
            .key("k")
            .value(DraftValue::Typed { schema, data: &[2] })
            .header("h", Some("v"))
            .header("none", None::<&str>)
            .partition(3)
            .timestamp(17)
            .source(r#"{"file":"f"}"#, r#"{"position":1}"#)
            .push()
            .unwrap();
        builder.record("b").value(&b"raw"[..]).push().unwrap();
        let first = Batch::parse(builder.finish()).unwrap();
        for found in first.records() {
            Draft::of(&first, &found).push(&mut builder).unwrap();
        }
        let second = Batch::parse(builder.finish()).unwrap();
        assert_eq!(first.as_bytes(), second.as_bytes());
        let sequences: Vec<_> = second.records().map(|found| found.record.sequence).collect();
        assert_eq!(sequences, [0, 1]);
        let found = second.records().next().unwrap();
        assert_eq!(second.topic(found.record.topic), "a");
        assert_eq!(found.record.key, Value::Utf8("k"));
        assert_eq!(
            found.record.value,
            Value::Typed {
                schema: 0,
                data: &[2]
            }
        );
        assert_eq!(found.headers().count(), 2);
        assert_eq!(
            (found.record.partition, found.record.timestamp),
            (Some(3), Some(17))
        );
        assert_eq!(found.record.source_offset, Some(r#"{"position":1}"#));
        assert_eq!(second.source_partition(0), r#"{"file":"f"}"#);
    }
}
