//! The payload of an envelope, read under its schema.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jackfield_batch::typed::{Datum, Schema, Type};
use num_bigint::BigInt;

use super::{
    super::{ConversionError, type_name},
    Rules,
    logical::{Logical, logical},
    reader::{Kind, Reader},
};

/// Reads a value; `None` is a struct field that is not there.
pub(super) fn read(
    schema: &Schema,
    reader: Option<&mut Reader<'_>>,
    rules: Rules,
) -> Result<Datum, ConversionError> {
    let Some(reader) = reader else {
        return null(schema, rules);
    };
    let kind = reader.peek().map_err(invalid)?;
    if kind == Kind::Null {
        reader.skip().map_err(invalid)?;
        return null(schema, rules);
    }
    if let Some(Logical::Decimal { scale }) = logical(schema)
        && kind == Kind::Number
    {
        let text = reader.number().map_err(invalid)?;
        return unscaled(text, scale).map(Datum::Bytes);
    }
    match (schema.kind, kind) {
        (Type::Boolean, Kind::True | Kind::False) => {
            Ok(Datum::Boolean(reader.literal().map_err(invalid)? == "true"))
        }
        (Type::Int8, Kind::Number) => integer(schema, reader).map(Datum::Int8),
        (Type::Int16, Kind::Number) => integer(schema, reader).map(Datum::Int16),
        (Type::Int32, Kind::Number) => integer(schema, reader).map(Datum::Int32),
        (Type::Int64, Kind::Number) => integer(schema, reader).map(Datum::Int64),
        (Type::Float32, Kind::Number | Kind::String) => float(schema, kind, reader).map(Datum::Float32),
        (Type::Float64, Kind::Number | Kind::String) => float(schema, kind, reader).map(Datum::Float64),
        (Type::String, Kind::String) => Ok(Datum::String(
            reader.string().map_err(invalid)?.text().into_owned(),
        )),
        (Type::Bytes, Kind::String) => {
            let text = reader.string().map_err(invalid)?.text();
            let bytes = STANDARD.decode(text.as_bytes());
            bytes
                .map(Datum::Bytes)
                .map_err(|error| ConversionError(format!("Invalid bytes field: {error}")))
        }
        (Type::Array, Kind::Array) => array(schema, reader, rules),
        (Type::Map, _) => map(schema, kind, reader, rules),
        (Type::Struct, Kind::Object) => structure(schema, reader, rules),
        (Type::Struct, _) => Err(ConversionError(format!(
            "Structs should be encoded as JSON objects, but found {}",
            kind.name()
        ))),
        (other, _) => Err(ConversionError(format!(
            "Invalid type for {}: found {}",
            type_name(other),
            kind.name()
        ))),
    }
}

fn null(schema: &Schema, rules: Rules) -> Result<Datum, ConversionError> {
    match &schema.default {
        Some(default) if rules.replace_null_with_default => Ok(default.clone()),
        _ if schema.optional => Ok(Datum::Null),
        _ => Err(ConversionError(format!(
            "Invalid null value for required {} field",
            type_name(schema.kind)
        ))),
    }
}

fn integer<T: std::str::FromStr>(schema: &Schema, reader: &mut Reader<'_>) -> Result<T, ConversionError> {
    let text = reader.number().map_err(invalid)?;
    text.parse()
        .map_err(|_| ConversionError(format!("Invalid value for {}: {text}", type_name(schema.kind))))
}

/// A number, or the words that JSON has no numbers for.
fn float<T: std::str::FromStr>(
    schema: &Schema,
    kind: Kind,
    reader: &mut Reader<'_>,
) -> Result<T, ConversionError> {
    let text = match kind {
        Kind::Number => reader.number().map_err(invalid)?.into(),
        _ => reader.string().map_err(invalid)?.text(),
    };
    let word = matches!(&*text, "NaN" | "Infinity" | "-Infinity");
    let wrong = || ConversionError(format!("Invalid value for {}: {text}", type_name(schema.kind)));
    if kind == Kind::String && !word {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn array(schema: &Schema, reader: &mut Reader<'_>, rules: Rules) -> Result<Datum, ConversionError> {
    let values = part(schema.values.as_deref(), "items")?;
    let mut items = Vec::new();
    reader.begin_array().map_err(invalid)?;
    while reader.next_item(items.is_empty()).map_err(invalid)? {
        items.push(read(values, Some(reader), rules)?);
    }
    Ok(Datum::Array(items))
}

fn map(schema: &Schema, kind: Kind, reader: &mut Reader<'_>, rules: Rules) -> Result<Datum, ConversionError> {
    let keys = part(schema.keys.as_deref(), "keys")?;
    let values = part(schema.values.as_deref(), "values")?;
    let mut entries: Vec<(Datum, Datum)> = Vec::new();
    if keys.kind == Type::String {
        if kind != Kind::Object {
            return Err(ConversionError(format!(
                "Maps with string fields should be encoded as JSON objects, but found {}",
                kind.name()
            )));
        }
        reader.begin_object().map_err(invalid)?;
        while let Some(key) = reader.next_key(entries.is_empty()).map_err(invalid)? {
            let key = Datum::String(key.text().into_owned());
            entries.push((key, read(values, Some(reader), rules)?));
        }
        return Ok(Datum::Map(entries));
    }
    if kind != Kind::Array {
        return Err(ConversionError(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {}",
            kind.name()
        )));
    }
    reader.begin_array().map_err(invalid)?;
    while reader.next_item(entries.is_empty()).map_err(invalid)? {
        let found = reader.peek().map_err(invalid)?;
        if found != Kind::Array {
            return Err(ConversionError(format!(
                "Found invalid map entry instead of array tuple: {}",
                found.name()
            )));
        }
        reader.begin_array().map_err(invalid)?;
        let mut pair = [Datum::Null, Datum::Null];
        for (index, (slot, schema)) in pair.iter_mut().zip([keys, values]).enumerate() {
            if !reader.next_item(index == 0).map_err(invalid)? {
                return Err(ConversionError(format!(
                    "Found invalid map entry, expected length 2 but found :{index}"
                )));
            }
            *slot = read(schema, Some(reader), rules)?;
        }
        if reader.next_item(false).map_err(invalid)? {
            return Err(ConversionError(
                "Found invalid map entry, expected length 2 but found more".to_owned(),
            ));
        }
        let [key, value] = pair;
        entries.push((key, value));
    }
    Ok(Datum::Map(entries))
}

/// Fields in any order; unknown ones are passed over, as Kafka does.
fn structure(schema: &Schema, reader: &mut Reader<'_>, rules: Rules) -> Result<Datum, ConversionError> {
    let mut values: Vec<Option<Datum>> = vec![None; schema.fields.len()];
    reader.begin_object().map_err(invalid)?;
    let mut first = true;
    while let Some(key) = reader.next_key(first).map_err(invalid)? {
        first = false;
        let name = key.text();
        match schema.fields.iter().position(|field| field.name == *name) {
            Some(index) => {
                let value = read(&schema.fields[index].schema, Some(reader), rules);
                let value = value.map_err(|error| ConversionError(format!("field \"{name}\": {error}")))?;
                values[index] = Some(value);
            }
            None => reader.skip().map_err(invalid)?,
        }
    }
    let filled = schema
        .fields
        .iter()
        .zip(values)
        .map(|(field, value)| match value {
            Some(value) => Ok(value),
            None => read(&field.schema, None, rules)
                .map_err(|error| ConversionError(format!("field \"{}\": {error}", field.name))),
        });
    filled.collect::<Result<_, _>>().map(Datum::Struct)
}

/// The unscaled bytes of a decimal number at the schema's scale.
fn unscaled(text: &str, scale: i32) -> Result<Vec<u8>, ConversionError> {
    const MAX_SHIFT: i64 = 10_000;
    let wrong = |why: &str| {
        ConversionError(format!(
            "Invalid number {text} for Decimal with scale {scale}: {why}"
        ))
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| wrong("the exponent is too large"))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: BigInt = format!("{whole}{fraction}")
        .parse()
        .map_err(|_| wrong("not a number"))?;
    let fraction = i64::try_from(fraction.len()).map_err(|_| wrong("too long"))?;
    let shift = i64::from(scale).saturating_add(exponent).saturating_sub(fraction);
    if shift.abs() > MAX_SHIFT {
        return Err(wrong("the exponent is too large"));
    }
    let power = BigInt::from(10).pow(u32::try_from(shift.unsigned_abs()).map_err(|_| wrong("too large"))?);
    if shift >= 0 {
        return Ok((digits * power).to_signed_bytes_be());
    }
    if &digits % &power != BigInt::from(0) {
        return Err(wrong("it has more decimals"));
    }
    Ok((digits / power).to_signed_bytes_be())
}

fn part<'a>(schema: Option<&'a Schema>, what: &str) -> Result<&'a Schema, ConversionError> {
    schema.ok_or_else(|| ConversionError(format!("the schema does not say what its {what} are")))
}

fn invalid(cause: String) -> ConversionError {
    ConversionError(format!(
        "Converting byte[] to Kafka Connect data failed due to serialization error: {cause}"
    ))
}
