//! A checked reader of Kafka's primitive types. Nothing is allocated from a declared length, and the elements of all
//! arrays of a message are limited: two bytes may decode to a hundred.

use std::ops::Range;

/// Most elements of all arrays of a message together. A cluster has far fewer partitions.
pub const ELEMENTS_MAX: usize = 1_000_000;

/// Most bytes of a string. The classic encoding has no room for more, and neither has what is stored of it; the compact
/// one has, and Kafka refuses it there as well.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// A message is shorter than it says, or says something impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what} at byte {position}")]
pub struct Malformed {
    /// What was being read.
    pub what: &'static str,
    /// Position in the frame.
    pub position: usize,
}

/// Reads a frame from front to back. `flexible` selects the compact encodings of KIP-482.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    data: &'a [u8],
    position: usize,
    flexible: bool,
    /// Array elements that may still be declared.
    elements_left: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `data`.
    pub fn new(data: &'a [u8], flexible: bool) -> Self {
        Self {
            data,
            position: 0,
            flexible,
            elements_left: ELEMENTS_MAX,
        }
    }

    /// Current position.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Switches between the classic and the compact encodings.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.data.len() - self.position
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            position: self.position,
        }
    }

    /// Moves over `count` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when they are not there; so for all methods below.
    pub fn skip(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self
            .position
            .checked_add(count)
            .filter(|end| *end <= self.data.len());
        let end = end.ok_or_else(|| self.malformed(what))?;
        let bytes = &self.data[self.position..end];
        self.position = end;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut out = [0; N];
        out.copy_from_slice(self.skip(N, what)?);
        Ok(out)
    }

    /// INT8.
    pub fn i8(&mut self) -> Result<i8, Malformed> {
        Ok(i8::from_be_bytes(self.fixed("INT8")?))
    }

    /// INT16.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.fixed("INT16")?))
    }

    /// INT32.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.fixed("INT32")?))
    }

    /// INT64.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.fixed("INT64")?))
    }

    /// UUID.
    pub fn uuid(&mut self) -> Result<[u8; 16], Malformed> {
        self.fixed("UUID")
    }

    /// UNSIGNED_VARINT.
    pub fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed("UNSIGNED_VARINT")?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("UNSIGNED_VARINT"))
    }

    /// A length in front of bytes or an array; `None` = null.
    fn length(&mut self, short: bool, what: &'static str) -> Result<Option<usize>, Malformed> {
        let length = if self.flexible {
            i64::from(self.unsigned_varint()?) - 1
        } else if short {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| self.malformed(what)),
        }
    }

    /// NULLABLE_STRING.
    ///
    /// # Errors
    /// [`Malformed`] also for more than [`STRING_BYTES_MAX`].
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.length(true, "STRING")? else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(self.malformed("STRING (more than 32767 bytes)"));
        }
        let bytes = self.skip(length, "STRING")?;
        std::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| self.malformed("UTF-8 of STRING"))
    }

    /// STRING.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        self.nullable_string()?.ok_or_else(|| self.malformed("STRING"))
    }

    /// NULLABLE_BYTES or RECORDS: where they lie in the frame.
    pub fn nullable_bytes(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        let Some(length) = self.length(false, "BYTES")? else {
            return Ok(None);
        };
        let start = self.position;
        self.skip(length, "BYTES")?;
        Ok(Some(start..self.position))
    }

    /// Element count of an ARRAY, at most as many as bytes are left; `None` = null. All counts together are at most
    /// [`ELEMENTS_MAX`].
    pub fn nullable_array(&mut self) -> Result<Option<usize>, Malformed> {
        let count = self.length(false, "ARRAY")?;
        let declared = count.unwrap_or(0);
        if declared > self.remaining() {
            return Err(self.malformed("ARRAY"));
        }
        let left = self.elements_left.checked_sub(declared);
        self.elements_left = left.ok_or_else(|| self.malformed("ARRAY (more than 1000000 elements)"))?;
        Ok(count)
    }

    /// Element count of an ARRAY that may not be null.
    ///
    /// # Errors
    /// [`Malformed`] also for null.
    pub fn array(&mut self) -> Result<usize, Malformed> {
        self.nullable_array()?.ok_or_else(|| self.malformed("ARRAY"))
    }

    /// Element count of an ARRAY; null counts as empty.
    pub fn array_len(&mut self) -> Result<usize, Malformed> {
        Ok(self.nullable_array()?.unwrap_or(0))
    }

    /// Tagged fields of a flexible message, skipped; nothing in a classic one.
    pub fn tagged_fields(&mut self) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            self.skip(usize::try_from(size).unwrap_or(usize::MAX), "tagged field")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compact_string_is_no_longer_than_a_classic_one_can_be() {
        // 32,767 and 32,768 bytes as varints, each one more.
        for (length, is_taken) in [([0x80, 0x80, 0x02], true), ([0x81, 0x80, 0x02], false)] {
            let mut message = length.to_vec();
            message.resize(3 + STRING_BYTES_MAX + 1, b'x');
            let read = Reader::new(&message, true).nullable_string();
            assert_eq!(read.is_ok(), is_taken, "{length:?}");
        }
    }
}
