//! JSON text as Jackson writes it: escapes, numbers, no white space.

use std::io::Write as _;

use super::{
    super::{ConversionError, java},
    reader::{Kind, Reader, special},
};

/// Appends a quoted string. Characters beyond the basic plane are written as surrogate escapes, as Jackson does.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut start = 0;
    while start < bytes.len() {
        let plain = plain_length(&bytes[start..]);
        out.extend_from_slice(&bytes[start..start + plain]);
        start += plain;
        let Some(&byte) = bytes.get(start) else { break };
        if byte < 0x80 {
            escape(byte, out);
            start += 1;
        } else {
            // A four byte sequence: the text is UTF-8, so a character begins here.
            let mut units = [0; 2];
            let Some(character) = text[start..].chars().next() else {
                break;
            };
            for unit in character.encode_utf16(&mut units) {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\\u{unit:04X}");
            }
            start += character.len_utf8();
        }
    }
    out.push(b'"');
}

/// Appends schemaless JSON text in canonical form.
pub(crate) fn value(text: &str, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    let mut reader = Reader::new(text.as_bytes()).map_err(invalid)?;
    copy(&mut reader, out).map_err(invalid)?;
    reader.end().map_err(invalid)
}

/// Appends a JSON object in canonical form.
pub(crate) fn object(text: &str, out: &mut Vec<u8>) -> Result<(), ConversionError> {
    let mut reader = Reader::new(text.as_bytes()).map_err(invalid)?;
    match reader.peek().map_err(invalid)? {
        Kind::Object => {}
        other => {
            return Err(ConversionError(format!(
                "expected a JSON object, found {}",
                other.name()
            )));
        }
    }
    copy(&mut reader, out).map_err(invalid)?;
    reader.end().map_err(invalid)
}

/// Appends a number as Java prints the Long or Double it becomes; what fits neither stays as it is.
pub(crate) fn number(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        match text.parse::<i64>() {
            // Writing to a Vec cannot fail.
            Ok(number) => drop(write!(out, "{number}")),
            Err(_) => out.extend_from_slice(text.as_bytes()),
        }
        return;
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => java::double(number, out),
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

fn copy(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    match reader.peek()? {
        Kind::String => {
            let text = reader.string()?;
            string(&text.text(), out);
        }
        Kind::Number => number(reader.number()?, out),
        Kind::True | Kind::False | Kind::Null => out.extend_from_slice(reader.literal()?.as_bytes()),
        Kind::Array => {
            reader.begin_array()?;
            out.push(b'[');
            let mut first = true;
            while reader.next_item(first)? {
                if !first {
                    out.push(b',');
                }
                first = false;
                copy(reader, out)?;
            }
            out.push(b']');
        }
        Kind::Object => {
            reader.begin_object()?;
            out.push(b'{');
            let mut first = true;
            while let Some(key) = reader.next_key(first)? {
                if !first {
                    out.push(b',');
                }
                first = false;
                string(&key.text(), out);
                out.push(b':');
                copy(reader, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn invalid(cause: String) -> ConversionError {
    ConversionError(format!("invalid JSON: {cause}"))
}

/// Bytes at the start that are written as they are.
fn plain_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        // The four high bits of a byte, anded into its highest: set for the lead bytes 0xf0 and above.
        let four_bytes = word & (word << 1) & (word << 2) & (word << 3) & 0x8080_8080_8080_8080;
        let mark = special(word) | four_bytes;
        if mark != 0 {
            return at + mark.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest
        .iter()
        .position(|byte| needs_escape(*byte))
        .unwrap_or(rest.len())
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0xf0
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
