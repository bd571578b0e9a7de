//! How the sink writes a value.

use jackfield_api::{
    ConnectError,
    batch::{Batch, Value, typed::Datum},
};

#[cfg(test)]
use jackfield_api::batch::{BatchBuilder, Record};

use crate::{
    json,
    text::{self, Schemas},
};

/// A format of the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Raw,
}

impl Format {
    /// As in the config.
    pub(crate) const NAMES: &[&str] = &["text", "json", "raw"];

    pub(crate) fn parse(name: &str) -> Result<Self, ConnectError> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "raw" => Ok(Self::Raw),
            other => Err(ConnectError::config(format!(
                "format {other} is not text, json or raw"
            ))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Raw => "raw",
        }
    }

    /// What file names end with.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Text => ".txt",
            Self::Json => ".jsonl",
            Self::Raw => ".bin",
        }
    }
}

/// Writes values in a format.
#[derive(Debug)]
pub(crate) struct Formatter {
    format: Format,
    raw_separator: String,
    schemas: Schemas,
}

impl Formatter {
    pub(crate) fn new(format: Format, raw_separator: String) -> Self {
        Self {
            format,
            raw_separator,
            schemas: Schemas::default(),
        }
    }

    /// Appends all that stands for one record; after an error `out` is as before.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        batch: &Batch<&[u8]>,
        value: &Value<'_>,
    ) -> Result<(), String> {
        let before = out.len();
        let written = match self.format {
            Format::Text => text::write(&mut self.schemas, out, batch, value).map(|()| out.push(b'\n')),
            Format::Json => json::write(&mut self.schemas, out, batch, value).map(|()| out.push(b'\n')),
            Format::Raw => self.raw(out, batch, value),
        };
        written.inspect_err(|_| out.truncate(before))
    }

    /// Bytes and strings; of a null nothing is left.
    fn raw(&mut self, out: &mut Vec<u8>, batch: &Batch<&[u8]>, value: &Value<'_>) -> Result<(), String> {
        const OTHER: &str = "format=raw writes bytes and strings only, not structured values: use format=json, or \
                             value.converter=ByteArrayConverter";
        match value {
            Value::Null => return Ok(()),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
            Value::Utf8(text) => out.extend_from_slice(text.as_bytes()),
            Value::Json(_) => return Err(OTHER.to_owned()),
            Value::Typed { schema, data } => match self.schemas.decode(batch, *schema, data)? {
                (_, Datum::Null) => return Ok(()),
                (schema, Datum::Bytes(bytes)) if schema.name.is_none() => out.extend_from_slice(&bytes),
                (_, Datum::String(text)) => out.extend_from_slice(text.as_bytes()),
                _ => return Err(OTHER.to_owned()),
            },
        }
        out.extend_from_slice(self.raw_separator.as_bytes());
        Ok(())
    }
}

/// What a format's `write` makes of one value, which is put into a batch first.
#[cfg(test)]
pub(crate) fn written(
    mut builder: BatchBuilder,
    value: &Value<'_>,
    write: impl Fn(&mut Schemas, &mut Vec<u8>, &Batch<&[u8]>, &Value<'_>) -> Result<(), String>,
) -> Result<String, String> {
    let record = Record {
        topic: builder.topic("t").unwrap(),
        source_partition: None,
        partition: None,
        timestamp: None,
        offset: 0,
        sequence: 0,
        key: Value::Null,
        value: *value,
        source_offset: None,
    };
    builder.push(&record, &[]).unwrap();
    let bytes = builder.finish();
    let batch = Batch::parse(&bytes[..]).unwrap();
    let mut out = Vec::new();
    let found = batch.records().next().unwrap();
    write(&mut Schemas::default(), &mut out, &batch, &found.record.value)?;
    Ok(String::from_utf8(out).unwrap())
}
