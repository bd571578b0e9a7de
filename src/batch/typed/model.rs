//! Schemas and data as values in memory.

use std::fmt;

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

impl Schema {
    /// A schema of this type that is not optional and has nothing else.
    pub fn new(kind: Type) -> Self {
        Self {
            kind,
            optional: false,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
            default: None,
            fields: Vec::new(),
            keys: None,
            values: None,
        }
    }

    /// An ARRAY.
    pub fn array(items: Self) -> Self {
        Self {
            values: Some(Box::new(items)),
            ..Self::new(Type::Array)
        }
    }

    /// A MAP.
    pub fn map(keys: Self, values: Self) -> Self {
        Self {
            keys: Some(Box::new(keys)),
            values: Some(Box::new(values)),
            ..Self::new(Type::Map)
        }
    }

    /// A STRUCT.
    pub fn structure(fields: Vec<Field>) -> Self {
        Self {
            fields,
            ..Self::new(Type::Struct)
        }
    }

    /// The same schema, null allowed.
    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    /// Items of an ARRAY, values of a MAP.
    pub(super) fn values(&self) -> Result<&Self, Failure> {
        self.values
            .as_deref()
            .ok_or_else(|| Failure::new(format!("{} schema without its items", self.kind)))
    }

    /// Keys of a MAP.
    pub(super) fn keys(&self) -> Result<&Self, Failure> {
        self.keys
            .as_deref()
            .ok_or_else(|| Failure::new("map schema without its keys".to_owned()))
    }

    /// Whether every value of this schema is encoded in no bytes.
    pub(super) fn takes_no_bytes(&self) -> bool {
        !self.optional
            && self.kind == Type::Struct
            && self.fields.iter().all(|field| field.schema.takes_no_bytes())
    }
}

impl Datum {
    /// Name of its type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Int8(_) => "int8",
            Self::Int16(_) => "int16",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Float32(_) => "float",
            Self::Float64(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Struct(_) => "struct",
        }
    }
}

impl Type {
    /// JsonConverter's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float",
            Self::Float64 => "double",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
            Self::Struct => "struct",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for TypedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for TypedError {}

/// An error on its way out: the path is put together from the inside.
#[derive(Debug)]
pub(super) struct Failure {
    path: Vec<String>,
    message: String,
}

impl Failure {
    #[cold]
    pub(super) fn new(message: String) -> Self {
        Self {
            path: Vec::new(),
            message,
        }
    }

    #[cold]
    pub(super) fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        self.path.push(step());
        self
    }
}

impl From<Failure> for TypedError {
    fn from(failure: Failure) -> Self {
        if failure.path.is_empty() {
            return Self {
                message: failure.message,
            };
        }
        let path: String = failure.path.into_iter().rev().collect();
        Self {
            message: format!("{}: {}", path.trim_start_matches('.'), failure.message),
        }
    }
}
