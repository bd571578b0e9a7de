//! `SimpleHeaderConverter`, the default for headers: the text of a value.
//!
//! Reading gives text back and infers no type (Kafka's guesses numbers and booleans); bytes that are no UTF-8 stay
//! bytes.

use std::borrow::Cow;

use super::{ConnectedValue, ConversionError, ResolvedValue, json, string};

/// Appends the text of a header value.
pub(super) fn from_connect(
    value: ResolvedValue<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<()>, ConversionError> {
    match value {
        ResolvedValue::Bytes(bytes) => {
            json::write::base64(bytes, out);
            Ok(Some(()))
        }
        ResolvedValue::Json(text) => {
            json::canonical::value(text, out)?;
            Ok(Some(()))
        }
        other => string::from_connect(other, out),
    }
}

/// The text of a header.
pub(super) fn to_connect(bytes: &[u8]) -> ConnectedValue<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => ConnectedValue::Utf8(Cow::Borrowed(text)),
        Err(_) => ConnectedValue::Bytes(bytes),
    }
}
