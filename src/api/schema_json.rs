//! Connect schemas in JsonConverter's notation, field order and number texts included.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::{
    batch::typed::{Datum, Field, MAX_DEPTH, Schema, Type},
    java_text,
};

/// Parses `{"type":"struct","fields":[…],"optional":false,"name":…}`.
pub fn parse(json: &str) -> Result<Schema, String> {
    let value: Value = serde_json::from_str(json).map_err(|cause| format!("schema is not JSON: {cause}"))?;
    schema(&value, 0)
}

/// Writes the schema exactly as Kafka's JsonConverter does.
pub fn to_json(schema: &Schema) -> String {
    let mut out = String::with_capacity(64);
    write_schema(&mut out, schema, None);
    out
}

/// The schema of an already parsed JSON object.
pub fn from_value(value: &Value) -> Result<Schema, String> {
    schema(value, 0)
}

fn schema(value: &Value, depth: usize) -> Result<Schema, String> {
    let Value::Object(object) = value else {
        return Err(format!("schema is not a JSON object: {value}"));
    };
    if depth > MAX_DEPTH {
        return Err(format!("schema is nested deeper than {MAX_DEPTH}"));
    }
    let kind = match object.get("type") {
        Some(Value::String(name)) => kind(name)?,
        _ => return Err("Schema must contain 'type' field".to_owned()),
    };
    let mut found = Schema::new(kind);
    match kind {
        Type::Array => {
            let items = object.get("items").filter(|items| !items.is_null());
            let items = items.ok_or("Array schema did not specify the element type")?;
            found.values = Some(Box::new(schema(items, depth + 1)?));
        }
        Type::Map => {
            let part = |name, what| {
                let part = object.get(name).filter(|part| !part.is_null());
                part.ok_or(format!("Map schema did not specify the {what} type"))
            };
            found.keys = Some(Box::new(schema(part("keys", "key")?, depth + 1)?));
            found.values = Some(Box::new(schema(part("values", "value")?, depth + 1)?));
        }
        Type::Struct => {
            let Some(Value::Array(fields)) = object.get("fields") else {
                return Err("Struct schema's \"fields\" argument is not an array.".to_owned());
            };
            found.fields = fields
                .iter()
                .map(|value| field(value, depth + 1))
                .collect::<Result<_, _>>()?;
        }
        _ => {}
    }
    found.optional = object.get("optional") == Some(&Value::Bool(true));
    attributes(object, &mut found)?;
    if let Some(default) = object.get("default").filter(|default| !default.is_null()) {
        found.default = Some(datum(&found, default)?);
    }
    Ok(found)
}

fn kind(name: &str) -> Result<Type, String> {
    Ok(match name {
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float" => Type::Float32,
        "double" => Type::Float64,
        "boolean" => Type::Boolean,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "array" => Type::Array,
        "map" => Type::Map,
        "struct" => Type::Struct,
        other => return Err(format!("Unknown schema type: {other}")),
    })
}

fn field(value: &Value, depth: usize) -> Result<Field, String> {
    let name = match value.get("field") {
        Some(Value::String(name)) => name.clone(),
        _ => return Err("Struct schema's field name not specified properly".to_owned()),
    };
    Ok(Field {
        schema: schema(value, depth).map_err(|cause| format!("field {name}: {cause}"))?,
        name,
    })
}

fn attributes(object: &Map<String, Value>, found: &mut Schema) -> Result<(), String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    found.name = text("name");
    found.doc = text("doc");
    found.version = match object.get("version").and_then(Value::as_i64) {
        Some(version) => {
            Some(i32::try_from(version).map_err(|_| format!("schema version {version} is too large"))?)
        }
        None => None,
    };
    if let Some(Value::Object(parameters)) = object.get("parameters") {
        for (key, value) in parameters {
            let Value::String(value) = value else {
                return Err("Schema parameters must have string values.".to_owned());
            };
            found.parameters.push((key.clone(), value.clone()));
        }
    }
    Ok(())
}

/// A default value in JsonConverter's notation.
fn datum(schema: &Schema, value: &Value) -> Result<Datum, String> {
    let wrong = || format!("default {value} does not fit a schema of type {}", schema.kind);
    if value.is_null() {
        return if schema.optional {
            Ok(Datum::Null)
        } else {
            Err(wrong())
        };
    }
    let items = || schema.values.as_deref().ok_or_else(wrong);
    let int = || value.as_i64().ok_or_else(wrong);
    Ok(match schema.kind {
        Type::Int8 => Datum::Int8(int()?.try_into().map_err(|_| wrong())?),
        Type::Int16 => Datum::Int16(int()?.try_into().map_err(|_| wrong())?),
        Type::Int32 => Datum::Int32(int()?.try_into().map_err(|_| wrong())?),
        Type::Int64 => Datum::Int64(int()?),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "FLOAT32 is what the schema asks for"
        )]
        Type::Float32 => Datum::Float32(number(value).ok_or_else(wrong)? as f32),
        Type::Float64 => Datum::Float64(number(value).ok_or_else(wrong)?),
        Type::Boolean => Datum::Boolean(value.as_bool().ok_or_else(wrong)?),
        Type::String => Datum::String(value.as_str().ok_or_else(wrong)?.to_owned()),
        Type::Bytes => Datum::Bytes(
            STANDARD
                .decode(value.as_str().ok_or_else(wrong)?)
                .map_err(|_| wrong())?,
        ),
        Type::Array => {
            let items = items()?;
            let list = value.as_array().ok_or_else(wrong)?;
            Datum::Array(
                list.iter()
                    .map(|item| datum(items, item))
                    .collect::<Result<_, _>>()?,
            )
        }
        Type::Map => {
            let (keys, values) = (schema.keys.as_deref().ok_or_else(wrong)?, items()?);
            let entries: Result<Vec<_>, String> = match value {
                Value::Object(object) if is_text(keys) => {
                    let entry = |(key, value): (&String, &Value)| {
                        Ok((Datum::String(key.clone()), datum(values, value)?))
                    };
                    object.iter().map(entry).collect()
                }
                Value::Array(pairs) => pairs
                    .iter()
                    .map(|pair| match pair.as_array().map(Vec::as_slice) {
                        Some([key, value]) => Ok((datum(keys, key)?, datum(values, value)?)),
                        _ => Err(wrong()),
                    })
                    .collect(),
                _ => Err(wrong()),
            };
            Datum::Map(entries?)
        }
        Type::Struct => {
            let object = value.as_object().ok_or_else(wrong)?;
            let field = |field: &Field| {
                datum(&field.schema, object.get(&field.name).unwrap_or(&Value::Null))
                    .map_err(|cause| format!("field {}: {cause}", field.name))
            };
            Datum::Struct(schema.fields.iter().map(field).collect::<Result<_, _>>()?)
        }
    })
}

fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => value.as_f64(),
    }
}

/// Whether JsonConverter writes a map with these keys as an object.
fn is_text(keys: &Schema) -> bool {
    keys.kind == Type::String && !keys.optional
}

fn write_schema(out: &mut String, schema: &Schema, field: Option<&str>) {
    out.push_str("{\"type\":\"");
    out.push_str(schema.kind.name());
    out.push('"');
    match schema.kind {
        Type::Array => write_part(out, "items", schema.values.as_deref()),
        Type::Map => {
            write_part(out, "keys", schema.keys.as_deref());
            write_part(out, "values", schema.values.as_deref());
        }
        Type::Struct => {
            out.push_str(",\"fields\":[");
            for (index, field) in schema.fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_schema(out, &field.schema, Some(&field.name));
            }
            out.push(']');
        }
        _ => {}
    }
    out.push_str(if schema.optional {
        ",\"optional\":true"
    } else {
        ",\"optional\":false"
    });
    write_text(out, "name", schema.name.as_deref());
    if let Some(version) = schema.version {
        out.push_str(&format!(",\"version\":{version}"));
    }
    write_text(out, "doc", schema.doc.as_deref());
    if !schema.parameters.is_empty() {
        out.push_str(",\"parameters\":{");
        for (index, (key, value)) in schema.parameters.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_string(out, key);
            out.push(':');
            write_string(out, value);
        }
        out.push('}');
    }
    if let Some(default) = &schema.default {
        out.push_str(",\"default\":");
        write_datum(out, schema, default);
    }
    write_text(out, "field", field);
    out.push('}');
}

fn write_part(out: &mut String, name: &str, part: Option<&Schema>) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    match part {
        Some(schema) => write_schema(out, schema, None),
        None => out.push_str("null"),
    }
}

fn write_text(out: &mut String, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        write_string(out, text);
    }
}

/// A JSON string, escaped as Jackson does it.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn write_datum(out: &mut String, schema: &Schema, datum: &Datum) {
    match datum {
        Datum::Null => out.push_str("null"),
        Datum::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Datum::Int8(number) => out.push_str(&number.to_string()),
        Datum::Int16(number) => out.push_str(&number.to_string()),
        Datum::Int32(number) => out.push_str(&number.to_string()),
        Datum::Int64(number) => out.push_str(&number.to_string()),
        Datum::Float32(number) => write_number(out, number.is_finite(), &java_text::float(*number)),
        Datum::Float64(number) => write_number(out, number.is_finite(), &java_text::double(*number)),
        Datum::String(text) => write_string(out, text),
        Datum::Bytes(bytes) => write_string(out, &STANDARD.encode(bytes)),
        Datum::Array(items) => {
            let Some(schema) = schema.values.as_deref() else {
                return out.push_str("null");
            };
            write_list(out, items.iter(), |out, item| write_datum(out, schema, item));
        }
        Datum::Map(entries) => write_map(out, schema, entries),
        Datum::Struct(values) => {
            out.push('{');
            for (index, (field, value)) in schema.fields.iter().zip(values).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(out, &field.name);
                out.push(':');
                write_datum(out, &field.schema, value);
            }
            out.push('}');
        }
    }
}

fn write_map(out: &mut String, schema: &Schema, entries: &[(Datum, Datum)]) {
    let (Some(keys), Some(values)) = (schema.keys.as_deref(), schema.values.as_deref()) else {
        return out.push_str("null");
    };
    if !is_text(keys) {
        return write_list(out, entries.iter(), |out, (key, value)| {
            out.push('[');
            write_datum(out, keys, key);
            out.push(',');
            write_datum(out, values, value);
            out.push(']');
        });
    }
    out.push('{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_datum(out, keys, key);
        out.push(':');
        write_datum(out, values, value);
    }
    out.push('}');
}

fn write_list<T>(out: &mut String, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Jackson puts what JSON has no number for in quotes.
fn write_number(out: &mut String, finite: bool, text: &str) {
    if finite {
        out.push_str(text);
    } else {
        write_string(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kafka writes is read and written back unchanged.
    #[track_caller]
    fn check(json: &str) {
        let schema = parse(json).unwrap();
        assert_eq!(to_json(&schema), json);
    }

    #[test]
    fn kafkas_notation_survives() {
        check(r#"{"type":"string","optional":false}"#);
        check(
            r#"{"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1}"#,
        );
        check(
            r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"default":"AQI="}"#,
        );
        check(
            r#"{"type":"array","items":{"type":"int8","optional":true},"optional":false,"default":[1,null,-3]}"#,
        );
        check(
            r#"{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"float","optional":false},"optional":false,"doc":"a \"map\"\u0001","default":[[1,0.1],[2,1.0E10]]}"#,
        );
        check(
            r#"{"type":"struct","fields":[{"type":"string","optional":false,"default":"é","field":"a"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"boolean","optional":false},"optional":true,"default":{"k":true},"field":"m"},{"type":"double","optional":false,"default":"NaN","field":"d"}],"optional":false,"name":"record"}"#,
        );
    }

    #[test]
    fn a_schema_without_optional_is_required() {
        assert!(!parse(r#"{"type":"int32"}"#).unwrap().optional);
    }

    #[test]
    fn errors_name_the_cause() {
        for (json, message) in [
            ("[]", "schema is not a JSON object"),
            ("{", "schema is not JSON"),
            (r#"{"optional":true}"#, "Schema must contain 'type' field"),
            (r#"{"type":"int"}"#, "Unknown schema type: int"),
            (
                r#"{"type":"array"}"#,
                "Array schema did not specify the element type",
            ),
            (
                r#"{"type":"map","keys":{"type":"string"}}"#,
                "Map schema did not specify the value type",
            ),
            (r#"{"type":"struct"}"#, "\"fields\" argument is not an array"),
            (
                r#"{"type":"struct","fields":[{"type":"string"}]}"#,
                "field name not specified",
            ),
            (
                r#"{"type":"struct","fields":[{"field":"f","type":"x"}]}"#,
                "field f: Unknown schema type: x",
            ),
            (
                r#"{"type":"int8","default":300}"#,
                "default 300 does not fit a schema of type int8",
            ),
            (
                r#"{"type":"string","parameters":{"a":1}}"#,
                "parameters must have string values",
            ),
        ] {
            let found = parse(json).unwrap_err();
            assert!(found.contains(message), "{json}: {found}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let json = |depth: usize| {
            format!(
                "{}{}{}",
                r#"{"type":"array","items":"#.repeat(depth),
                r#"{"type":"int8"}"#,
                "}".repeat(depth)
            )
        };
        assert!(parse(&json(MAX_DEPTH)).is_ok());
        assert!(parse(&json(MAX_DEPTH + 1)).unwrap_err().contains("nested deeper"));
        assert!(parse(&json(10_000)).is_err());
    }
}
