//! A value as JSON on one line, as Connect's JsonConverter writes it without schemas: bytes and decimals in base64, dates and
//! times as numbers, a map with keys that are no strings as an array of pairs.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use jackfield_api::{
    batch::{
        Batch, Value,
        typed::{Datum, Schema, Type},
    },
    java_text,
};

use crate::text::Schemas;

/// Appends the JSON of a value.
pub(crate) fn write(
    schemas: &mut Schemas,
    out: &mut Vec<u8>,
    batch: &Batch<&[u8]>,
    value: &Value<'_>,
) -> Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bytes(bytes) => base64(bytes, out),
        Value::Utf8(text) => string(text, out)?,
        Value::Json(json) => {
            // Parsed, because its white space may hold newlines.
            let value: serde_json::Value =
                serde_json::from_str(json).map_err(|cause| format!("value is not JSON: {cause}"))?;
            serde_json::to_writer(out, &value).map_err(|cause| cause.to_string())?;
        }
        Value::Typed { schema, data } => {
            let (schema, datum) = schemas.decode(batch, *schema, data)?;
            write_datum(out, schema, &datum)?;
        }
    }
    Ok(())
}

fn write_datum(out: &mut Vec<u8>, schema: &Schema, datum: &Datum) -> Result<(), String> {
    match datum {
        Datum::Null => out.extend_from_slice(b"null"),
        Datum::Boolean(flag) => out.extend_from_slice(flag.to_string().as_bytes()),
        Datum::Int8(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Int16(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Int32(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Int64(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Float32(number) => float(number.is_finite(), &java_text::float(*number), out),
        Datum::Float64(number) => float(number.is_finite(), &java_text::double(*number), out),
        Datum::String(text) => string(text, out)?,
        Datum::Bytes(bytes) => base64(bytes, out),
        Datum::Array(items) => {
            let values = part(schema.values.as_deref(), "items")?;
            list(out, items, |out, item| write_datum(out, values, item))?;
        }
        Datum::Map(entries) => map(out, schema, entries)?,
        Datum::Struct(values) => {
            out.push(b'{');
            for (index, (field, value)) in schema.fields.iter().zip(values).enumerate() {
                separate(index, out);
                string(&field.name, out)?;
                out.push(b':');
                write_datum(out, &field.schema, value)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn map(out: &mut Vec<u8>, schema: &Schema, entries: &[(Datum, Datum)]) -> Result<(), String> {
    let keys = part(schema.keys.as_deref(), "keys")?;
    let values = part(schema.values.as_deref(), "values")?;
    if keys.kind != Type::String {
        return list(out, entries, |out, (key, value)| {
            out.push(b'[');
            write_datum(out, keys, key)?;
            out.push(b',');
            write_datum(out, values, value)?;
            out.push(b']');
            Ok(())
        });
    }
    out.push(b'{');
    for (index, (key, value)) in entries.iter().enumerate() {
        separate(index, out);
        match key {
            Datum::String(key) => string(key, out)?,
            _ => string("null", out)?,
        }
        out.push(b':');
        write_datum(out, values, value)?;
    }
    out.push(b'}');
    Ok(())
}

fn list<T>(
    out: &mut Vec<u8>,
    items: &[T],
    mut write: impl FnMut(&mut Vec<u8>, &T) -> Result<(), String>,
) -> Result<(), String> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        separate(index, out);
        write(out, item)?;
    }
    out.push(b']');
    Ok(())
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn string(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(out, text).map_err(|cause| cause.to_string())
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let text = Base64Display::new(bytes, &STANDARD).to_string();
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// JSON has no numbers that are not finite.
fn float(finite: bool, text: &str, out: &mut Vec<u8>) {
    let quote: &[u8] = if finite { b"" } else { b"\"" };
    for part in [quote, text.as_bytes(), quote] {
        out.extend_from_slice(part);
    }
}

fn part<'a>(schema: Option<&'a Schema>, what: &str) -> Result<&'a Schema, String> {
    schema.ok_or_else(|| format!("the schema does not say what its {what} are"))
}
