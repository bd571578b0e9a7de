//! Writes Kafka's primitive types, for the responses that are encoded by hand.

use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::StrBytes;

/// Longest message of an error: what a client sent may be in it, and classic strings are short.
const MESSAGE_MAX_BYTES: usize = 4_096;

/// The message of an error.
pub(crate) fn message(mut text: String) -> StrBytes {
    if text.len() > MESSAGE_MAX_BYTES {
        text.truncate(text.floor_char_boundary(MESSAGE_MAX_BYTES));
        text.push('…');
    }
    StrBytes::from_string(text)
}

/// A response body being written. `flexible` selects the compact encodings of KIP-482.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) buffer: BytesMut,
    flexible: bool,
}

impl Writer {
    pub(crate) fn new(flexible: bool) -> Self {
        Self {
            buffer: BytesMut::with_capacity(256),
            flexible,
        }
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8((value & 0x7f) as u8);
    }

    fn compact_length(&mut self, length: usize) {
        self.unsigned_varint(u32::try_from(length + 1).unwrap_or(u32::MAX));
    }

    /// Element count of an ARRAY.
    pub(crate) fn array(&mut self, count: usize) {
        if self.flexible {
            self.compact_length(count);
        } else {
            self.buffer.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
        }
    }

    /// STRING.
    pub(crate) fn string(&mut self, text: &str) {
        self.nullable_string(Some(text));
    }

    /// NULLABLE_STRING.
    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        match (text, self.flexible) {
            (None, true) => self.buffer.put_u8(0),
            (None, false) => self.buffer.put_i16(-1),
            (Some(text), true) => self.compact_length(text.len()),
            (Some(text), false) => self.buffer.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX)),
        }
        self.buffer.put_slice(text.unwrap_or_default().as_bytes());
    }

    /// Length of RECORDS, whose bytes follow.
    pub(crate) fn records_length(&mut self, length: usize) {
        self.array(length);
    }

    /// Tagged fields by their tags, each encoded.
    pub(crate) fn tagged(&mut self, fields: &[(u32, Vec<u8>)]) {
        if !self.flexible {
            return;
        }
        self.unsigned_varint(u32::try_from(fields.len()).unwrap_or(u32::MAX));
        for (tag, field) in fields {
            self.unsigned_varint(*tag);
            self.unsigned_varint(u32::try_from(field.len()).unwrap_or(u32::MAX));
            self.buffer.put_slice(field);
        }
    }

    /// No tagged fields.
    pub(crate) fn tagged_fields(&mut self) {
        if self.flexible {
            self.buffer.put_u8(0);
        }
    }
}
