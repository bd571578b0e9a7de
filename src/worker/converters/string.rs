//! `StringConverter`: the text of a value, as Java's `toString` gives it.
//!
//! Bytes have no text in Java either (`[B@1de5f259`); here they are an error instead of such noise.

use std::{collections::BTreeMap, io::Write as _};

use jackfield_batch::typed::{Datum, Schema, decode};

use super::{
    ConversionError, ResolvedValue, java,
    json::{
        logical::{Logical, logical},
        reader::{Kind, Reader},
    },
};

/// Checks `converter.encoding`: UTF-8 is the only one.
pub(super) fn check_options(options: &BTreeMap<String, String>) -> Result<(), ConversionError> {
    match options.get("converter.encoding") {
        Some(encoding) if !matches!(encoding.to_ascii_uppercase().as_str(), "UTF-8" | "UTF8") => {
            Err(ConversionError(format!(
                "converter.encoding '{encoding}' is not supported: StringConverter writes UTF-8"
            )))
        }
        _ => Ok(()),
    }
}

/// Appends the value's text.
pub(super) fn from_connect(
    value: ResolvedValue<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<()>, ConversionError> {
    match value {
        ResolvedValue::Null => return Ok(None),
        ResolvedValue::Utf8(text) => out.extend_from_slice(text.as_bytes()),
        ResolvedValue::Bytes(_) => return Err(no_text()),
        ResolvedValue::Json(text) => {
            let mut reader = Reader::new(text.as_bytes()).map_err(ConversionError)?;
            if reader.peek().map_err(ConversionError)? == Kind::Null {
                return Ok(None);
            }
            json_text(&mut reader, out)?;
            reader.end().map_err(ConversionError)?;
        }
        ResolvedValue::Typed { schema, data } => {
            let datum = decode(&schema.schema, data).map_err(|error| ConversionError(error.message))?;
            if datum == Datum::Null {
                return Ok(None);
            }
            datum_text(&schema.schema, &datum, out)?;
        }
    }
    Ok(Some(()))
}

/// `toString` of the Java object behind schemaless JSON.
fn json_text(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    match reader.peek().map_err(ConversionError)? {
        Kind::String => {
            let text = reader.string().map_err(ConversionError)?;
            out.extend_from_slice(text.text().as_bytes());
        }
        Kind::Number => {
            let text = reader.number().map_err(ConversionError)?;
            super::json::canonical::number(text, out);
        }
        Kind::True | Kind::False | Kind::Null => {
            let text = reader.literal().map_err(ConversionError)?;
            out.extend_from_slice(text.as_bytes());
        }
        Kind::Array => {
            out.push(b'[');
            reader.begin_array().map_err(ConversionError)?;
            let mut index = 0;
            while reader.next_item(index == 0).map_err(ConversionError)? {
                separate(index, b", ", out);
                json_text(reader, out)?;
                index += 1;
            }
            out.push(b']');
        }
        Kind::Object => {
            out.push(b'{');
            reader.begin_object().map_err(ConversionError)?;
            let mut index = 0;
            while let Some(key) = reader.next_key(index == 0).map_err(ConversionError)? {
                separate(index, b", ", out);
                index += 1;
                out.extend_from_slice(key.text().as_bytes());
                out.push(b'=');
                json_text(reader, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// `toString` of the Java object behind a datum.
fn datum_text(schema: &Schema, datum: &Datum, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    // Writing to a Vec cannot fail, so the results of write! are dropped.
    match (logical(schema), datum) {
        (Some(Logical::Decimal { scale }), Datum::Bytes(unscaled)) => java::decimal(unscaled, scale, out),
        (Some(Logical::Date), Datum::Int32(days)) => java::date(i64::from(*days) * 86_400_000, out),
        (Some(Logical::Time), Datum::Int32(millis)) => java::date(i64::from(*millis), out),
        (Some(Logical::Timestamp), Datum::Int64(millis)) => java::date(*millis, out),
        (_, Datum::Null) => out.extend_from_slice(b"null"),
        (_, Datum::Boolean(value)) => drop(write!(out, "{value}")),
        (_, Datum::Int8(value)) => drop(write!(out, "{value}")),
        (_, Datum::Int16(value)) => drop(write!(out, "{value}")),
        (_, Datum::Int32(value)) => drop(write!(out, "{value}")),
        (_, Datum::Int64(value)) => drop(write!(out, "{value}")),
        (_, Datum::Float32(value)) => java::float(*value, out),
        (_, Datum::Float64(value)) => java::double(*value, out),
        (_, Datum::String(value)) => out.extend_from_slice(value.as_bytes()),
        (_, Datum::Bytes(_)) => return Err(no_text()),
        (_, Datum::Array(items)) => {
            let values = part(schema.values.as_deref(), "values")?;
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(index, b", ", out);
                datum_text(values, item, out)?;
            }
            out.push(b']');
        }
        (_, Datum::Map(entries)) => {
            let keys = part(schema.keys.as_deref(), "keys")?;
            let values = part(schema.values.as_deref(), "values")?;
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(index, b", ", out);
                datum_text(keys, key, out)?;
                out.push(b'=');
                datum_text(values, value, out)?;
            }
            out.push(b'}');
        }
        (_, Datum::Struct(values)) => {
            out.extend_from_slice(b"Struct{");
            let set = schema
                .fields
                .iter()
                .zip(values)
                .filter(|(_, value)| **value != Datum::Null);
            for (index, (field, value)) in set.enumerate() {
                separate(index, b",", out);
                out.extend_from_slice(field.name.as_bytes());
                out.push(b'=');
                datum_text(&field.schema, value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn separate(index: usize, separator: &[u8], out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(separator);
    }
}

fn part<'a>(schema: Option<&'a Schema>, what: &str) -> Result<&'a Schema, ConversionError> {
    schema.ok_or_else(|| ConversionError(format!("the schema does not say what its {what} are")))
}

fn no_text() -> ConversionError {
    ConversionError(
        "StringConverter cannot write BYTES as text; use ByteArrayConverter or JsonConverter".to_owned(),
    )
}
