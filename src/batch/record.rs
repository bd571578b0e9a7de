//! What a batch holds, as it is pushed and read: records, values, headers.

/// Index of a topic in the batch's topic table.
pub type TopicIndex = u16;
/// Index of a source partition (a JSON object) in the batch's table.
pub type SourcePartitionIndex = u16;
/// Index of a schema (JsonConverter's schema notation) in the batch's table.
pub type SchemaIndex = u16;

/// A key, a value or a header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Null without a schema.
    Null,
    /// Raw bytes: Connect's BYTES schema, not optional.
    Bytes(&'a [u8]),
    /// UTF-8 text: Connect's STRING schema, not optional (`{"type":"string","optional":false}`).
    Utf8(&'a str),
    /// Schemaless data as JSON text.
    Json(&'a str),
    /// Typed data under a Connect schema of the table: Avro binary encoding, a null of an optional schema included.
    Typed {
        /// Schema in the batch's table.
        schema: SchemaIndex,
        /// Avro binary encoding, see [`crate::typed`].
        data: &'a [u8],
    },
}

/// One record as it is pushed and read. Headers travel beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Topic table index.
    pub topic: TopicIndex,
    /// Source partition table index; `None` on sink records and records without an offset.
    pub source_partition: Option<SourcePartitionIndex>,
    /// Kafka partition; `None` lets the worker choose.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; `None` = unset, the worker stamps the current time.
    pub timestamp: Option<i64>,
    /// Kafka offset on sink records, -1 on source records.
    pub offset: i64,
    /// Index in the polled batch, kept through transforms so that errors can name the record.
    pub sequence: u32,
    /// Key.
    pub key: Value<'a>,
    /// Value.
    pub value: Value<'a>,
    /// Source offset after this record, a JSON object.
    pub source_offset: Option<&'a str>,
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Header<'a> {
    /// Header key.
    pub key: &'a str,
    /// Header value.
    pub value: Value<'a>,
}

/// Why a batch could not be built or read: what is wrong and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchError {
    /// What is wrong, lower case, with the value.
    pub message: String,
    /// Byte position in the batch (0 while building).
    pub position: usize,
}

impl std::fmt::Display for BatchError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} (byte {} of the batch)",
            self.message, self.position
        )
    }
}

impl std::error::Error for BatchError {}
