//! `JsonConverter`: Connect data as JSON, with the schema envelope or without.
//!
//! The bytes are those of Kafka's JsonConverter: field order, string escapes, number forms. Text records take a
//! fast path in both directions; everything else goes through a decoded [`Datum`]. Reading is stricter than Kafka's
//! in one point: a payload of the wrong type is an error, where Kafka turns `"abc"` under int32 into 0.

pub(super) mod canonical;
pub(super) mod logical;
mod payload;
pub(super) mod reader;
pub(super) mod write;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jackfield_batch::typed::{Datum, decode, encode};

use super::{ConnectedValue, ConversionError, KnownSchema, ResolvedValue, SchemaCache};
use reader::{Kind, Reader};

/// `decimal.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum DecimalFormat {
    /// The unscaled value's bytes in base64.
    #[default]
    Base64,
    /// A JSON number.
    Numeric,
}

/// How values are written and read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) decimal_format: DecimalFormat,
    pub(super) replace_null_with_default: bool,
}

/// The converter with its caches.
#[derive(Debug)]
pub struct JsonConverter {
    schemas_enable: bool,
    rules: Rules,
    /// Envelopes up to the payload, by schema id; only the last few schemas are in use at a time.
    prefixes: Vec<(u64, Box<[u8]>)>,
    /// Schemas of topics, by their text.
    schemas: SchemaCache,
    /// The schema of the last record read, with its text as it stood in the record.
    last: Option<Arc<KnownSchema>>,
}

const STRING_PREFIX: &[u8] = br#"{"schema":{"type":"string","optional":false},"payload":"#;
const BYTES_PREFIX: &[u8] = br#"{"schema":{"type":"bytes","optional":false},"payload":"#;
const NULL_PREFIX: &[u8] = br#"{"schema":null,"payload":"#;
/// Envelope prefixes kept; a source with more schemas than that writes each again.
const MAX_PREFIXES: usize = 64;

impl JsonConverter {
    /// Reads the converter's options.
    pub(super) fn configure(options: &BTreeMap<String, String>) -> Result<Self, ConversionError> {
        let boolean = |key: &str| match options.get(key).map(|value| value.trim()) {
            None => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(ConversionError(format!(
                "Invalid value {value} for configuration {key}: Expected value to be either true or false"
            ))),
        };
        let decimal_format = match options
            .get("decimal.format")
            .map(|value| value.to_ascii_uppercase())
        {
            None => DecimalFormat::Base64,
            Some(value) if value == "BASE64" => DecimalFormat::Base64,
            Some(value) if value == "NUMERIC" => DecimalFormat::Numeric,
            Some(value) => {
                return Err(ConversionError(format!(
                    "Invalid value {value} for configuration decimal.format: String must be one of: BASE64, NUMERIC"
                )));
            }
        };
        if options.contains_key("schema.content") {
            return Err(ConversionError("schema.content is not supported yet".to_owned()));
        }
        let cache = options.get("schemas.cache.size").map_or("1000", String::as_str);
        let cache: usize = cache.trim().parse().map_err(|_| {
            ConversionError(format!(
                "Invalid value {cache} for configuration schemas.cache.size: Not a number of type INT"
            ))
        })?;
        Ok(Self {
            schemas_enable: boolean("schemas.enable")?,
            rules: Rules {
                decimal_format,
                replace_null_with_default: boolean("replace.null.with.default")?,
            },
            prefixes: Vec::new(),
            schemas: SchemaCache::new(cache.max(1)),
            last: None,
        })
    }

    /// Appends the JSON of `value`.
    #[allow(clippy::wrong_self_convention, reason = "Connect's name; caches change")]
    pub(super) fn from_connect(
        &mut self,
        value: ResolvedValue<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<()>, ConversionError> {
        let start = out.len();
        let written = self.write(value, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(&mut self, value: ResolvedValue<'_>, out: &mut Vec<u8>) -> Result<Option<()>, ConversionError> {
        let schemaless: &[u8] = if self.schemas_enable { NULL_PREFIX } else { b"" };
        match value {
            ResolvedValue::Null => return Ok(None),
            ResolvedValue::Utf8(text) => {
                if self.schemas_enable {
                    out.extend_from_slice(STRING_PREFIX);
                }
                canonical::string(text, out);
            }
            ResolvedValue::Bytes(bytes) => {
                if self.schemas_enable {
                    out.extend_from_slice(BYTES_PREFIX);
                }
                out.push(b'"');
                write::base64(bytes, out);
                out.push(b'"');
            }
            ResolvedValue::Json(text) => {
                if text.trim_ascii() == "null" {
                    return Ok(None);
                }
                out.extend_from_slice(schemaless);
                canonical::value(text, out)?;
            }
            ResolvedValue::Typed { schema, data } => {
                if self.schemas_enable {
                    self.write_prefix(schema, out)?;
                }
                let datum = decode(&schema.schema, data).map_err(|error| ConversionError(error.message))?;
                write::value(&schema.schema, &datum, self.rules, out)?;
            }
        }
        if self.schemas_enable {
            out.push(b'}');
        }
        Ok(Some(()))
    }

    fn write_prefix(&mut self, schema: &KnownSchema, out: &mut Vec<u8>) -> Result<(), ConversionError> {
        if let Some((_, prefix)) = self.prefixes.iter().find(|(id, _)| *id == schema.id) {
            out.extend_from_slice(prefix);
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(br#"{"schema":"#);
        write::schema(&schema.schema, None, self.rules, out)?;
        out.extend_from_slice(br#","payload":"#);
        if self.prefixes.len() >= MAX_PREFIXES {
            self.prefixes.clear();
        }
        self.prefixes.push((schema.id, out[start..].into()));
        Ok(())
    }

    /// Reads one JSON text.
    #[allow(clippy::wrong_self_convention, reason = "Connect's name; caches change")]
    pub(super) fn to_connect<'a>(
        &mut self,
        bytes: &'a [u8],
        scratch: &mut Vec<u8>,
    ) -> Result<ConnectedValue<'a>, ConversionError> {
        let mut reader = Reader::new(bytes).map_err(not_json)?;
        if !self.schemas_enable {
            if reader.is_blank() {
                return Ok(ConnectedValue::Null);
            }
            let value = schemaless(&mut reader)?;
            reader.end().map_err(not_json)?;
            return Ok(value);
        }
        self.envelope(&mut reader, scratch)
    }

    fn envelope<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<ConnectedValue<'a>, ConversionError> {
        if reader.is_blank() || reader.peek().map_err(not_json)? != Kind::Object {
            return Err(no_envelope());
        }
        reader.begin_object().map_err(not_json)?;
        let mut schema: Option<Option<Arc<KnownSchema>>> = None;
        let mut value: Option<ConnectedValue<'a>> = None;
        let mut payload: Option<Reader<'a>> = None;
        let mut first = true;
        while let Some(key) = reader.next_key(first).map_err(not_json)? {
            first = false;
            match key.plain() {
                Some("schema") => schema = Some(self.schema(reader)?),
                Some("payload") => {
                    let at = reader.clone();
                    match &schema {
                        Some(schema) => value = Some(self.payload(schema.as_ref(), reader, scratch)?),
                        None => reader.skip().map_err(not_json)?,
                    }
                    payload = Some(at);
                }
                _ => return Err(no_envelope()),
            }
        }
        reader.end().map_err(not_json)?;
        match (schema, value, payload) {
            (Some(_), Some(value), _) => Ok(value),
            (Some(schema), None, Some(mut payload)) => self.payload(schema.as_ref(), &mut payload, scratch),
            _ => Err(no_envelope()),
        }
    }

    /// The schema of an envelope; `None` is the schema `null`.
    fn schema(&mut self, reader: &mut Reader<'_>) -> Result<Option<Arc<KnownSchema>>, ConversionError> {
        if let Some(last) = &self.last
            && reader.skip_known(&last.text)
        {
            return Ok(Some(last.clone()));
        }
        if reader.peek().map_err(not_json)? == Kind::Null {
            reader.skip().map_err(not_json)?;
            return Ok(None);
        }
        let text = reader.raw().map_err(not_json)?;
        let known = self.schemas.get(text)?;
        self.last = Some(known.clone());
        Ok(Some(known))
    }

    fn payload<'a>(
        &self,
        schema: Option<&Arc<KnownSchema>>,
        reader: &mut Reader<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<ConnectedValue<'a>, ConversionError> {
        let Some(known) = schema else {
            return schemaless(reader);
        };
        if known.is_plain_string() && reader.peek().map_err(not_json)? == Kind::String {
            return Ok(ConnectedValue::Utf8(reader.string().map_err(not_json)?.text()));
        }
        let datum = payload::read(&known.schema, Some(reader), self.rules)?;
        if datum == Datum::Null && !known.schema.optional {
            return Ok(ConnectedValue::Null);
        }
        scratch.clear();
        encode(&known.schema, &datum, scratch).map_err(|error| ConversionError(error.message))?;
        Ok(ConnectedValue::Typed(known.clone()))
    }
}

/// Text and null stand for themselves; everything else stays JSON.
fn schemaless<'a>(reader: &mut Reader<'a>) -> Result<ConnectedValue<'a>, ConversionError> {
    match reader.peek().map_err(not_json)? {
        Kind::Null => {
            reader.skip().map_err(not_json)?;
            Ok(ConnectedValue::Null)
        }
        Kind::String => {
            let text: Cow<'a, str> = reader.string().map_err(not_json)?.text();
            Ok(ConnectedValue::Utf8(text))
        }
        _ => Ok(ConnectedValue::Json(reader.raw().map_err(not_json)?)),
    }
}

fn not_json(cause: String) -> ConversionError {
    ConversionError(format!(
        "Converting byte[] to Kafka Connect data failed due to serialization error: {cause}"
    ))
}

fn no_envelope() -> ConversionError {
    ConversionError(
        "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional \
         fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter \
         configuration."
            .to_owned(),
    )
}

#[cfg(test)]
mod tests;
