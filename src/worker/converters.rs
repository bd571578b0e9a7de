//! Converters: between Connect values, as plugins see them, and the bytes of a topic.
//!
//! Kafka's own three (`JsonConverter`, `StringConverter`, `ByteArrayConverter`) and its header converter, under
//! their Java class names and short names. They write what Kafka's write, byte for byte, into a buffer of the
//! caller's: converting a record allocates nothing on the usual paths. A converter belongs to one task, so its
//! caches need no lock. Nothing here knows tasks, topics' contents or the cluster.

mod byte_array;
mod header;
mod java;
mod json;
mod options;
mod schemas;
mod string;

#[cfg(test)]
mod golden_test;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

pub(crate) use self::options::options;
pub use self::schemas::{KnownSchema, SchemaCache};
pub(crate) use json::canonical::{object as canonical_object, string as json_string};

/// Why a value could not be converted; skipped or fatal as `errors.tolerance` says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConversionError(pub String);

/// A value of a plugin's batch with its schema looked up.
#[derive(Debug, Clone, Copy)]
pub enum ResolvedValue<'a> {
    /// Null without a schema.
    Null,
    /// Raw bytes under the schema BYTES, not optional.
    Bytes(&'a [u8]),
    /// Text under the schema STRING, not optional.
    Utf8(&'a str),
    /// Schemaless data as JSON text.
    Json(&'a str),
    /// Typed data.
    Typed {
        /// Its schema.
        schema: &'a Arc<KnownSchema>,
        /// Avro binary encoding.
        data: &'a [u8],
    },
}

/// A value read from a topic, for a sink's batch.
#[derive(Debug, Clone)]
pub enum ConnectedValue<'a> {
    /// Null without a schema.
    Null,
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Text.
    Utf8(Cow<'a, str>),
    /// Schemaless JSON text.
    Json(&'a str),
    /// Typed data; its bytes are in the scratch buffer given to [`Converter::to_connect`].
    Typed(Arc<KnownSchema>),
}

/// One of the built-in converters, configured.
#[derive(Debug)]
pub enum Converter {
    /// `org.apache.kafka.connect.json.JsonConverter`.
    Json(json::JsonConverter),
    /// `org.apache.kafka.connect.storage.StringConverter`.
    String,
    /// `org.apache.kafka.connect.converters.ByteArrayConverter`.
    ByteArray,
    /// `org.apache.kafka.connect.storage.SimpleHeaderConverter` (headers only).
    SimpleHeader,
}

/// Full class name and short names of each converter.
const CLASSES: [(&str, [&str; 2]); 4] = [
    (
        "org.apache.kafka.connect.json.JsonConverter",
        ["JsonConverter", "Json"],
    ),
    (
        "org.apache.kafka.connect.storage.StringConverter",
        ["StringConverter", "String"],
    ),
    (
        "org.apache.kafka.connect.converters.ByteArrayConverter",
        ["ByteArrayConverter", "ByteArray"],
    ),
    (
        "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        ["SimpleHeaderConverter", "Simple"],
    ),
];

/// Options of all converters, without their prefix.
pub(crate) const OPTIONS: [&str; 7] = [
    "schemas.enable",
    "schemas.cache.size",
    "decimal.format",
    "replace.null.with.default",
    "schema.content",
    "converter.encoding",
    "converter.type",
];

/// Full class names, as `GET /connector-plugins` lists them, and whether it is a header converter only.
pub(crate) fn classes() -> impl Iterator<Item = (&'static str, bool)> {
    CLASSES
        .iter()
        .map(|(full, _)| (*full, full.ends_with("SimpleHeaderConverter")))
}

impl Converter {
    /// Builds the converter `class` (full or short name) from its options (prefix stripped).
    ///
    /// # Errors
    /// What is wrong with the class or with an option.
    pub fn build(class: &str, options: &BTreeMap<String, String>) -> Result<Self, ConversionError> {
        match position(class) {
            Some(0) => Ok(Self::Json(json::JsonConverter::configure(options)?)),
            Some(1) => {
                string::check_options(options)?;
                Ok(Self::String)
            }
            Some(2) => Ok(Self::ByteArray),
            Some(3) => Ok(Self::SimpleHeader),
            _ => Err(ConversionError(unknown_class(class))),
        }
    }

    /// The converter's simple class name, for error messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json(_) => "JsonConverter",
            Self::String => "StringConverter",
            Self::ByteArray => "ByteArrayConverter",
            Self::SimpleHeader => "SimpleHeaderConverter",
        }
    }

    /// Appends the bytes for `value` to `out`; `None` (and nothing appended) stands for a null.
    ///
    /// # Errors
    /// The value cannot be written by this converter.
    #[allow(clippy::wrong_self_convention, reason = "Connect's name; caches change")]
    pub fn from_connect(
        &mut self,
        value: ResolvedValue<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<()>, ConversionError> {
        match self {
            Self::Json(converter) => converter.from_connect(value, out),
            Self::String => string::from_connect(value, out),
            Self::ByteArray => byte_array::from_connect(value, out),
            Self::SimpleHeader => header::from_connect(value, out),
        }
    }

    /// The value that `bytes` stand for. `scratch` is cleared and used for what cannot be borrowed.
    ///
    /// # Errors
    /// The bytes are not what this converter writes.
    #[allow(clippy::wrong_self_convention, reason = "Connect's name; caches change")]
    pub fn to_connect<'a>(
        &mut self,
        bytes: Option<&'a [u8]>,
        scratch: &mut Vec<u8>,
    ) -> Result<ConnectedValue<'a>, ConversionError> {
        scratch.clear();
        let Some(bytes) = bytes else {
            return Ok(ConnectedValue::Null);
        };
        match self {
            Self::Json(converter) => converter.to_connect(bytes, scratch),
            Self::String => Ok(ConnectedValue::Utf8(String::from_utf8_lossy(bytes))),
            Self::ByteArray => Ok(ConnectedValue::Bytes(bytes)),
            Self::SimpleHeader => Ok(header::to_connect(bytes)),
        }
    }
}

/// Place of a class, by full or short name, among all.
fn position(class: &str) -> Option<usize> {
    CLASSES
        .iter()
        .position(|(full, short)| *full == class || short.contains(&class))
}

/// Full name of a class given by any of its names.
pub(crate) fn full_name(class: &str) -> Option<&'static str> {
    position(class).map(|position| CLASSES[position].0)
}

/// Kafka's message for a class it cannot find, with what is there.
fn unknown_class(class: &str) -> String {
    let names = CLASSES
        .iter()
        .flat_map(|(full, short)| [*full, short[0], short[1]]);
    let near = names
        .map(|name| (strsim::jaro_winkler(name, class), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = near.map_or_else(
        || {
            let all: Vec<&str> = CLASSES.iter().take(3).map(|(_, short)| short[0]).collect();
            format!("; available: {}", all.join(", "))
        },
        |(_, name)| format!("; did you mean {name}?"),
    );
    format!("Class {class} could not be found{hint}")
}

/// Connect's name of a schema type.
pub(crate) fn type_name(kind: jackfield_batch::typed::Type) -> &'static str {
    use jackfield_batch::typed::Type;
    match kind {
        Type::Int8 => "INT8",
        Type::Int16 => "INT16",
        Type::Int32 => "INT32",
        Type::Int64 => "INT64",
        Type::Float32 => "FLOAT32",
        Type::Float64 => "FLOAT64",
        Type::Boolean => "BOOLEAN",
        Type::String => "STRING",
        Type::Bytes => "BYTES",
        Type::Array => "ARRAY",
        Type::Map => "MAP",
        Type::Struct => "STRUCT",
    }
}
