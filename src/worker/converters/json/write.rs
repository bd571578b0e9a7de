//! Typed values and schemas as JsonConverter writes them.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jackfield_batch::typed::{Datum, Schema, Type};
use num_bigint::BigInt;

use super::{
    super::{ConversionError, java},
    DecimalFormat, Rules, canonical,
    logical::{Logical, logical},
};

/// Appends `datum` under `schema`.
pub(crate) fn value(
    schema: &Schema,
    datum: &Datum,
    rules: Rules,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    if *datum == Datum::Null {
        return null(schema, rules, out);
    }
    if let (Some(Logical::Decimal { scale }), Datum::Bytes(unscaled)) = (logical(schema), datum) {
        decimal(unscaled, scale, rules, out);
        return Ok(());
    }
    // Writing to a Vec cannot fail, so the results of write! are dropped.
    match datum {
        Datum::Null => {}
        Datum::Boolean(value) => drop(write!(out, "{value}")),
        Datum::Int8(value) => drop(write!(out, "{value}")),
        Datum::Int16(value) => drop(write!(out, "{value}")),
        Datum::Int32(value) => drop(write!(out, "{value}")),
        Datum::Int64(value) => drop(write!(out, "{value}")),
        Datum::Float32(value) => quoted_unless(value.is_finite(), out, |out| java::float(*value, out)),
        Datum::Float64(value) => quoted_unless(value.is_finite(), out, |out| java::double(*value, out)),
        Datum::String(value) => canonical::string(value, out),
        Datum::Bytes(bytes) => quoted_unless(false, out, |out| base64(bytes, out)),
        Datum::Array(items) => array(schema, items, rules, out)?,
        Datum::Map(entries) => map(schema, entries, rules, out)?,
        Datum::Struct(values) => {
            out.push(b'{');
            for (index, (field, datum)) in schema.fields.iter().zip(values).enumerate() {
                separate(index, out);
                canonical::string(&field.name, out);
                out.push(b':');
                value(&field.schema, datum, rules, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Appends the schema; `field` is its name inside a struct.
pub(crate) fn schema(
    schema: &Schema,
    field: Option<&str>,
    rules: Rules,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    // Writing to a Vec cannot fail, so the results of write! are dropped.
    let _ = write!(out, r#"{{"type":"{}""#, json_type(schema.kind));
    match schema.kind {
        Type::Array => member("items", part(schema.values.as_deref(), "items")?, rules, out)?,
        Type::Map => {
            member("keys", part(schema.keys.as_deref(), "keys")?, rules, out)?;
            member("values", part(schema.values.as_deref(), "values")?, rules, out)?;
        }
        Type::Struct => {
            out.extend_from_slice(br#","fields":["#);
            for (index, field) in schema.fields.iter().enumerate() {
                separate(index, out);
                self::schema(&field.schema, Some(&field.name), rules, out)?;
            }
            out.push(b']');
        }
        _ => {}
    }
    let _ = write!(out, r#","optional":{}"#, schema.optional);
    if let Some(name) = &schema.name {
        out.extend_from_slice(br#","name":"#);
        canonical::string(name, out);
    }
    if let Some(version) = schema.version {
        let _ = write!(out, r#","version":{version}"#);
    }
    if let Some(doc) = &schema.doc {
        out.extend_from_slice(br#","doc":"#);
        canonical::string(doc, out);
    }
    if !schema.parameters.is_empty() {
        out.extend_from_slice(br#","parameters":{"#);
        for (index, (key, value)) in schema.parameters.iter().enumerate() {
            separate(index, out);
            canonical::string(key, out);
            out.push(b':');
            canonical::string(value, out);
        }
        out.push(b'}');
    }
    if let Some(default) = &schema.default {
        out.extend_from_slice(br#","default":"#);
        value(schema, default, rules, out)?;
    }
    if let Some(field) = field {
        out.extend_from_slice(br#","field":"#);
        canonical::string(field, out);
    }
    out.push(b'}');
    Ok(())
}

/// Appends the base64 form of `bytes`, without quotes.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The buffer has exactly the length that base64 needs.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

fn null(schema: &Schema, rules: Rules, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    match &schema.default {
        Some(default) if rules.replace_null_with_default && *default != Datum::Null => {
            value(schema, default, rules, out)
        }
        _ if schema.optional => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        _ => Err(ConversionError(
            "Conversion error: null value for field that is required and has no default value".to_owned(),
        )),
    }
}

fn decimal(unscaled: &[u8], scale: i32, rules: Rules, out: &mut Vec<u8>) {
    match rules.decimal_format {
        DecimalFormat::Numeric => java::decimal(unscaled, scale, out),
        DecimalFormat::Base64 => {
            // Java's BigInteger writes as few bytes as there can be.
            let shortest = BigInt::from_signed_bytes_be(unscaled).to_signed_bytes_be();
            quoted_unless(false, out, |out| base64(&shortest, out));
        }
    }
}

fn array(schema: &Schema, items: &[Datum], rules: Rules, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    let values = part(schema.values.as_deref(), "items")?;
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        separate(index, out);
        value(values, item, rules, out)?;
    }
    out.push(b']');
    Ok(())
}

/// A map with string keys is an object, any other an array of pairs.
fn map(
    schema: &Schema,
    entries: &[(Datum, Datum)],
    rules: Rules,
    out: &mut Vec<u8>,
) -> Result<(), ConversionError> {
    let keys = part(schema.keys.as_deref(), "keys")?;
    let values = part(schema.values.as_deref(), "values")?;
    if keys.kind == Type::String {
        out.push(b'{');
        for (index, (key, entry)) in entries.iter().enumerate() {
            separate(index, out);
            match key {
                Datum::String(key) => canonical::string(key, out),
                _ => out.extend_from_slice(b"\"null\""),
            }
            out.push(b':');
            value(values, entry, rules, out)?;
        }
        out.push(b'}');
        return Ok(());
    }
    out.push(b'[');
    for (index, (key, entry)) in entries.iter().enumerate() {
        separate(index, out);
        out.push(b'[');
        value(keys, key, rules, out)?;
        out.push(b',');
        value(values, entry, rules, out)?;
        out.push(b']');
    }
    out.push(b']');
    Ok(())
}

fn member(name: &str, inner: &Schema, rules: Rules, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    // Writing to a Vec cannot fail.
    let _ = write!(out, r#","{name}":"#);
    schema(inner, None, rules, out)
}

fn part<'a>(schema: Option<&'a Schema>, what: &str) -> Result<&'a Schema, ConversionError> {
    schema.ok_or_else(|| ConversionError(format!("the schema does not say what its {what} are")))
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn quoted_unless(plain: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if plain {
        return write(out);
    }
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// JsonConverter's name of a type.
fn json_type(kind: Type) -> &'static str {
    match kind {
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::Boolean => "boolean",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array => "array",
        Type::Map => "map",
        Type::Struct => "struct",
    }
}
