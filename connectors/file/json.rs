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

#[cfg(test)]
mod tests {
    use jackfield_api::{
        batch::{BatchBuilder, typed::encode},
        schema_json,
    };

    use super::*;
    use crate::format::written;

    fn line(builder: BatchBuilder, value: &Value<'_>) -> Result<String, String> {
        written(builder, value, write)
    }

    #[test]
    fn values_without_a_schema_are_one_line() {
        for (value, expected) in [
            (Value::Null, "null"),
            (Value::Utf8("é\t\n\"\u{1f600}"), "\"é\\t\\n\\\"\u{1f600}\""),
            (Value::Bytes(&[0, 255, 16]), r#""AP8Q""#),
            (
                Value::Json("{ \"b\" : [1,\n 2.50],\r\n\"a\": 12345678901234567890123 }"),
                r#"{"b":[1,2.50],"a":12345678901234567890123}"#,
            ),
        ] {
            assert_eq!(line(BatchBuilder::new(), &value).unwrap(), expected);
        }
        assert!(line(BatchBuilder::new(), &Value::Json("{\"open")).is_err());
    }

    #[test]
    fn typed_values_are_written_as_json_converter_does() {
        let field =
            |kind: &str, name: &str| format!(r#"{{"type":"{kind}","optional":true,"field":"{name}"}}"#);
        let schema = format!(
            r#"{{"type":"struct","fields":[{},{},{},{},{},{},{}],"optional":false}}"#,
            field("string", "text"),
            field("bytes", "bytes"),
            field("double", "double"),
            field("float", "nan"),
            field("boolean", "none"),
            r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int64"},"field":"names"}"#,
            r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"array","items":{"type":"int8"}},"field":"numbers"}"#,
        );
        let parsed = schema_json::parse(&schema).unwrap();
        let datum = Datum::Struct(vec![
            Datum::String("a\n".into()),
            Datum::Bytes(vec![1, 2]),
            Datum::Float64(1e10),
            Datum::Float32(f32::NAN),
            Datum::Null,
            Datum::Map(vec![(Datum::String("k".into()), Datum::Int64(-1))]),
            Datum::Map(vec![(
                Datum::Int32(5),
                Datum::Array(vec![Datum::Int8(1), Datum::Int8(2)]),
            )]),
        ]);
        let mut data = Vec::new();
        encode(&parsed, &datum, &mut data).unwrap();
        let mut builder = BatchBuilder::new();
        let schema = builder.schema(&schema).unwrap();
        assert_eq!(
            line(builder, &Value::Typed { schema, data: &data }).unwrap(),
            r#"{"text":"a\n","bytes":"AQI=","double":1.0E10,"nan":"NaN","none":null,"names":{"k":-1},"numbers":[[5,[1,2]]]}"#
        );
    }
}
