//! `ByteArrayConverter`: bytes pass through, everything else is an error.

use jackfield_batch::typed::{Datum, Type, decode};

use super::{ConversionError, ResolvedValue, type_name};

/// Appends the bytes of a BYTES value.
pub(super) fn from_connect(
    value: ResolvedValue<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<()>, ConversionError> {
    match value {
        ResolvedValue::Null => Ok(None),
        ResolvedValue::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            Ok(Some(()))
        }
        ResolvedValue::Typed { schema, data } if schema.schema.kind == Type::Bytes => {
            match decode(&schema.schema, data).map_err(|error| ConversionError(error.message))? {
                Datum::Bytes(bytes) => {
                    out.extend_from_slice(&bytes);
                    Ok(Some(()))
                }
                _ => Ok(None),
            }
        }
        ResolvedValue::Typed { schema, .. } => Err(wrong_type(type_name(schema.schema.kind))),
        ResolvedValue::Utf8(_) => Err(wrong_type("STRING")),
        ResolvedValue::Json(_) => Err(ConversionError(
            "ByteArrayConverter is not compatible with schemaless JSON data; use JsonConverter".to_owned(),
        )),
    }
}

fn wrong_type(name: &str) -> ConversionError {
    ConversionError(format!("Invalid schema type for ByteArrayConverter: {name}"))
}
