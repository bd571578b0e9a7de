//! The text of a value as the sink writes it.

use std::collections::BTreeMap;

use jackfield_api::{
    batch::{
        Batch, Value,
        typed::{self, Datum, Schema},
    },
    java_text, schema_json,
};

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Schemas kept parsed.
const MAX_SCHEMAS: usize = 64;

/// Schemas seen so far, by their text.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    parsed: BTreeMap<String, Schema>,
}

impl Schemas {
    /// Appends the text of a value; after an error `out` is as before.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        batch: &Batch<&[u8]>,
        value: &Value<'_>,
    ) -> Result<(), String> {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
            Value::Utf8(text) => out.extend_from_slice(text.as_bytes()),
            Value::Json(json) if json.trim_start().starts_with('"') => {
                let text: String =
                    serde_json::from_str(json).map_err(|cause| format!("value is not JSON: {cause}"))?;
                out.extend_from_slice(text.as_bytes());
            }
            Value::Json(json) => out.extend_from_slice(json.as_bytes()),
            Value::Typed { schema, data } => {
                let schema = self.parse(batch.schema(*schema))?;
                let datum = typed::decode(schema, data).map_err(|cause| cause.to_string())?;
                write_datum(out, schema, &datum);
            }
        }
        Ok(())
    }

    fn parse(&mut self, json: &str) -> Result<&Schema, String> {
        if !self.parsed.contains_key(json) {
            if self.parsed.len() >= MAX_SCHEMAS {
                self.parsed.clear();
            }
            self.parsed.insert(json.to_owned(), schema_json::parse(json)?);
        }
        Ok(&self.parsed[json])
    }
}

/// As `toString` of Connect's and Java's classes.
fn write_datum(out: &mut Vec<u8>, schema: &Schema, datum: &Datum) {
    match datum {
        Datum::Null => out.extend_from_slice(b"null"),
        Datum::Boolean(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Datum::Int8(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Int16(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Int32(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Int64(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Float32(number) => out.extend_from_slice(java_text::float(*number).as_bytes()),
        Datum::Float64(number) => out.extend_from_slice(java_text::double(*number).as_bytes()),
        Datum::String(text) => out.extend_from_slice(text.as_bytes()),
        Datum::Bytes(bytes) if schema.name.as_deref() == Some(DECIMAL) => {
            out.extend_from_slice(decimal(bytes, scale(schema)).as_bytes());
        }
        Datum::Bytes(bytes) => out.extend_from_slice(bytes),
        Datum::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index, b", ");
                write_part(out, schema.values.as_deref(), item);
            }
            out.push(b']');
        }
        Datum::Map(entries) => {
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(out, index, b", ");
                write_part(out, schema.keys.as_deref(), key);
                out.push(b'=');
                write_part(out, schema.values.as_deref(), value);
            }
            out.push(b'}');
        }
        Datum::Struct(values) => {
            out.extend_from_slice(b"Struct{");
            let present = schema
                .fields
                .iter()
                .zip(values)
                .filter(|(_, value)| **value != Datum::Null);
            for (index, (field, value)) in present.enumerate() {
                separate(out, index, b",");
                out.extend_from_slice(field.name.as_bytes());
                out.push(b'=');
                write_datum(out, &field.schema, value);
            }
            out.push(b'}');
        }
    }
}

fn write_part(out: &mut Vec<u8>, schema: Option<&Schema>, datum: &Datum) {
    if let Some(schema) = schema {
        write_datum(out, schema, datum);
    }
}

fn separate(out: &mut Vec<u8>, index: usize, separator: &[u8]) {
    if index > 0 {
        out.extend_from_slice(separator);
    }
}

fn scale(schema: &Schema) -> usize {
    let scale = schema.parameters.iter().find(|(key, _)| key == "scale");
    scale.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// A big-endian two's complement number with so many digits behind the point.
fn decimal(bytes: &[u8], scale: usize) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, overflow);
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u16;
        for byte in &mut magnitude {
            let value = remainder << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 10).expect("a remainder under 10 keeps the quotient under 256");
            remainder = value % 10;
        }
        digits.push(char::from(b"0123456789"[usize::from(remainder)]));
    }
    while digits.len() <= scale.min(1 << 16) {
        digits.push('0');
    }
    if scale > 0 && scale < digits.len() {
        digits.insert(scale, '.');
    }
    if negative {
        digits.push('-');
    }
    digits.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use jackfield_api::batch::{BatchBuilder, Record, typed::encode};

    use super::*;

    /// The text of a value built with `schema`.
    fn written(schema: &str, value: impl Fn(u16) -> Vec<u8>) -> String {
        let mut builder = BatchBuilder::new();
        let index = builder.schema(schema).unwrap();
        let data = value(index);
        written_value(
            builder,
            &Value::Typed {
                schema: index,
                data: &data,
            },
        )
        .unwrap()
    }

    fn written_value(mut builder: BatchBuilder, value: &Value<'_>) -> Result<String, String> {
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
        Schemas::default().write(&mut out, &batch, &found.record.value)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn plain_values_are_written_as_they_are() {
        for (value, text) in [
            (Value::Null, "null"),
            (Value::Utf8("é\t"), "é\t"),
            (Value::Bytes(b"raw"), "raw"),
            (Value::Json(r#"{"a": 1}"#), r#"{"a": 1}"#),
            (Value::Json("12"), "12"),
            (Value::Json(r#""a\n\"b\"""#), "a\n\"b\""),
        ] {
            assert_eq!(written_value(BatchBuilder::new(), &value).unwrap(), text);
        }
        assert!(written_value(BatchBuilder::new(), &Value::Json("\"open")).is_err());
    }

    #[test]
    fn typed_values_are_written_like_to_string() {
        let schema = r#"{"type":"struct","fields":[{"type":"string","optional":true,"field":"name"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"list"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"double","optional":false},"optional":false,"field":"map"},{"type":"boolean","optional":true,"field":"none"}],"optional":false}"#;
        let datum = Datum::Struct(vec![
            Datum::String("x".into()),
            Datum::Array(vec![Datum::Int32(1), Datum::Int32(-2)]),
            Datum::Map(vec![
                (Datum::String("k".into()), Datum::Float64(1.0)),
                (Datum::String("l".into()), Datum::Float64(1e10)),
            ]),
            Datum::Null,
        ]);
        let text = written(schema, |_| {
            let mut data = Vec::new();
            encode(&schema_json::parse(schema).unwrap(), &datum, &mut data).unwrap();
            data
        });
        assert_eq!(text, "Struct{name=x,list=[1, -2],map={k=1.0, l=1.0E10}}");
    }

    #[test]
    fn decimals_have_their_point() {
        for (bytes, scale, text) in [
            (&[0x01, 0x02][..], 2, "2.58"),
            (&[0xff], 2, "-0.01"),
            (&[0x80], 0, "-128"),
            (&[0x00], 1, "0.0"),
            (&[], 0, "0"),
            (
                &[0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0x00, 0x00],
                18,
                "1.000000000000000000",
            ),
        ] {
            assert_eq!(decimal(bytes, scale), text);
        }
    }
}
