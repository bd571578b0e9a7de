//! The record batch that crosses plugin boundaries: format, builder, validated reader, typed values.
//!
//! SEAM: signatures below are the contract other crates code against; the owner fills and refines them.

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
    /// Raw bytes (schema-less BYTES).
    Bytes(&'a [u8]),
    /// UTF-8 text (STRING).
    Utf8(&'a str),
    /// Schemaless data as JSON text.
    Json(&'a str),
    /// Typed data under a Connect schema of the table: Avro binary encoding, a null of an optional schema included.
    Typed {
        /// Schema in the batch's table.
        schema: SchemaIndex,
        /// Avro binary encoding.
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
    /// Milliseconds since the epoch; `None` = unset.
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

/// Builds one encoded batch; reusable after [`BatchBuilder::finish`].
#[derive(Debug, Default)]
pub struct BatchBuilder {}

/// Why a batch could not be built or read: what is wrong and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchError {
    /// What is wrong, lower case, with the value.
    pub message: String,
    /// Byte position in the batch (0 while building).
    pub position: usize,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        todo!()
    }
    /// Interns a topic name.
    pub fn topic(&mut self, _name: &str) -> Result<TopicIndex, BatchError> {
        todo!()
    }
    /// Interns a source partition, a JSON object.
    pub fn source_partition(&mut self, _json: &str) -> Result<SourcePartitionIndex, BatchError> {
        todo!()
    }
    /// Interns a schema in JsonConverter's schema notation.
    pub fn schema(&mut self, _json: &str) -> Result<SchemaIndex, BatchError> {
        todo!()
    }
    /// Appends a record.
    pub fn push(&mut self, _record: &Record<'_>, _headers: &[Header<'_>]) -> Result<(), BatchError> {
        todo!()
    }
    /// Records so far.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether no record was pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Encoded size so far in bytes.
    pub fn size_bytes(&self) -> usize {
        todo!()
    }
    /// The encoded batch; the builder is empty afterwards and keeps its buffers.
    pub fn finish(&mut self) -> Vec<u8> {
        todo!()
    }
}

/// A validated batch over borrowed or owned bytes. `parse` checks everything once; reading cannot fail.
#[derive(Debug)]
pub struct Batch<B> {
    _bytes: B,
}

impl<B: AsRef<[u8]>> Batch<B> {
    /// Validates lengths, UTF-8, table indices and limits in one pass. (Typed values are checked by the host
    /// against their schema, see [`typed`].)
    pub fn parse(_bytes: B) -> Result<Self, BatchError> {
        todo!()
    }
    /// Number of records.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Topic table.
    pub fn topic(&self, _index: TopicIndex) -> &str {
        todo!()
    }
    /// Source partition table.
    pub fn source_partition(&self, _index: SourcePartitionIndex) -> &str {
        todo!()
    }
    /// Schema table.
    pub fn schema(&self, _index: SchemaIndex) -> &str {
        todo!()
    }
    /// All topics of the table.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
    /// All schemas of the table.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
    /// Records in order.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        std::iter::empty()
    }
}

/// A record inside a validated batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// The record.
    pub record: Record<'a>,
    _headers: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// Its headers in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        std::iter::empty()
    }
    /// Number of headers.
    pub fn header_count(&self) -> usize {
        todo!()
    }
}

/// Connect's data model and its typed encoding (Avro binary under a Connect schema). No JSON here:
/// the schema notation is parsed by `jackfield_api::schema_json`.
pub mod typed {
    /// Connect's schema types (`org.apache.kafka.connect.data.Schema.Type`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[allow(missing_docs, reason = "the names are Connect's own")]
    pub enum Type {
        Int8,
        Int16,
        Int32,
        Int64,
        Float32,
        Float64,
        Boolean,
        String,
        Bytes,
        Array,
        Map,
        Struct,
    }

    /// A Connect schema.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Schema {
        /// Type.
        pub kind: Type,
        /// Whether null is allowed.
        pub optional: bool,
        /// Name, e.g. `org.apache.kafka.connect.data.Timestamp`.
        pub name: Option<String>,
        /// Version.
        pub version: Option<i32>,
        /// Documentation.
        pub doc: Option<String>,
        /// Parameters in order, e.g. `scale`.
        pub parameters: Vec<(String, String)>,
        /// Default value.
        pub default: Option<Datum>,
        /// Fields of a STRUCT.
        pub fields: Vec<Field>,
        /// Keys of a MAP.
        pub keys: Option<Box<Schema>>,
        /// Values of a MAP, items of an ARRAY.
        pub values: Option<Box<Schema>>,
    }

    /// A field of a STRUCT.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Field {
        /// Name.
        pub name: String,
        /// Schema.
        pub schema: Schema,
    }

    /// A value under a schema. Logical types travel as their base type (Decimal = BYTES, Date/Time = INT32, Timestamp = INT64).
    #[derive(Debug, Clone, PartialEq)]
    #[allow(missing_docs, reason = "one variant per Connect type")]
    pub enum Datum {
        Null,
        Boolean(bool),
        Int8(i8),
        Int16(i16),
        Int32(i32),
        Int64(i64),
        Float32(f32),
        Float64(f64),
        String(String),
        Bytes(Vec<u8>),
        Array(Vec<Datum>),
        Map(Vec<(Datum, Datum)>),
        Struct(Vec<Datum>),
    }

    /// Why data does not fit its schema: path of the field and what is wrong.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TypedError {
        /// Message with path.
        pub message: String,
    }

    /// Encodes `datum` under `schema`.
    pub fn encode(_schema: &Schema, _datum: &Datum, _out: &mut Vec<u8>) -> Result<(), TypedError> {
        todo!()
    }
    /// Decodes the whole of `data`.
    pub fn decode(_schema: &Schema, _data: &[u8]) -> Result<Datum, TypedError> {
        todo!()
    }
    /// Checks `data` against `schema` in one pass without allocating.
    pub fn validate(_schema: &Schema, _data: &[u8]) -> Result<(), TypedError> {
        todo!()
    }
}
