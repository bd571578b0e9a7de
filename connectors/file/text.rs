//! The text of a value as the sink writes it.

use std::collections::BTreeMap;

use jackfield_api::{
    batch::{
        Batch, SchemaIndex, Value,
        typed::{self, Datum, Schema},
    },
    java_text, schema_json,
};

use crate::decimal;

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Schemas kept parsed.
const MAX_SCHEMAS: usize = 64;

/// Schemas seen so far, by their text.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    parsed: BTreeMap<String, Schema>,
}

/// Appends the text of a value; after an error `out` may end in the middle.
pub(crate) fn write(
    schemas: &mut Schemas,
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
            let (schema, datum) = schemas.decode(batch, *schema, data)?;
            write_datum(out, schema, &datum)?;
        }
    }
    Ok(())
}

impl Schemas {
    /// A typed value and its schema.
    pub(crate) fn decode(
        &mut self,
        batch: &Batch<&[u8]>,
        schema: SchemaIndex,
        data: &[u8],
    ) -> Result<(&Schema, Datum), String> {
        let schema = self.parse(batch.schema(schema))?;
        let datum = typed::decode(schema, data).map_err(|cause| cause.to_string())?;
        Ok((schema, datum))
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
fn write_datum(out: &mut Vec<u8>, schema: &Schema, datum: &Datum) -> Result<(), String> {
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
            decimal::write(out, bytes, scale(schema)?)?;
        }
        Datum::Bytes(bytes) => out.extend_from_slice(bytes),
        Datum::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index, b", ");
                write_part(out, schema.values.as_deref(), item)?;
            }
            out.push(b']');
        }
        Datum::Map(entries) => {
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separate(out, index, b", ");
                write_part(out, schema.keys.as_deref(), key)?;
                out.push(b'=');
                write_part(out, schema.values.as_deref(), value)?;
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
                write_datum(out, &field.schema, value)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_part(out: &mut Vec<u8>, schema: Option<&Schema>, datum: &Datum) -> Result<(), String> {
    schema.map_or(Ok(()), |schema| write_datum(out, schema, datum))
}

fn separate(out: &mut Vec<u8>, index: usize, separator: &[u8]) {
    if index > 0 {
        out.extend_from_slice(separator);
    }
}

fn scale(schema: &Schema) -> Result<i32, String> {
    let Some((_, scale)) = schema.parameters.iter().find(|(key, _)| key == "scale") else {
        return Err("decimal without scale in its schema".to_owned());
    };
    scale
        .parse()
        .map_err(|_| format!("decimal scale {scale} is not a number of 32 bits"))
}

#[cfg(test)]
mod tests {
    use jackfield_api::batch::{BatchBuilder, typed::encode};

    use super::*;
    use crate::format;

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

    fn written_value(builder: BatchBuilder, value: &Value<'_>) -> Result<String, String> {
        format::written(builder, value, write)
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
    fn a_decimal_is_written_with_its_scale_or_rejected() {
        for (scale, expected) in [
            (r#","parameters":{"scale":"2"}"#, Ok("[0.05, null]")),
            (r#","parameters":{"scale":"-2"}"#, Ok("[5E+2, null]")),
            (r#","parameters":{"scale":"x"}"#, Err("decimal scale x")),
            (
                r#","parameters":{"scale":"3000000000"}"#,
                Err("decimal scale 3000000000"),
            ),
            ("", Err("decimal without scale")),
        ] {
            let item = format!(
                r#"{{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1{scale}}}"#
            );
            let schema = format!(r#"{{"type":"array","items":{item},"optional":false}}"#);
            let datum = Datum::Array(vec![Datum::Bytes(vec![5]), Datum::Null]);
            let mut data = Vec::new();
            encode(&schema_json::parse(&schema).unwrap(), &datum, &mut data).unwrap();
            let mut builder = BatchBuilder::new();
            let schema = builder.schema(&schema).unwrap();
            let written = written_value(builder, &Value::Typed { schema, data: &data });
            match (written, expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (written, expected) => panic!("{written:?}, expected {expected:?}"),
            }
        }
    }
}
