//! Kafka's primitive types as the coordinator's records use them. Nothing is allocated from a declared length.

use jackfield_protocol::reader::STRING_BYTES_MAX;

use super::records::RecordError;

/// Appends primitives.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }
    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }
    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }
    pub(crate) fn raw(&mut self, data: &[u8]) {
        self.out.extend_from_slice(data);
    }
    /// Array or bytes length.
    pub(crate) fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).expect("requests are bounded by the frame size"));
    }
    pub(crate) fn bytes(&mut self, data: &[u8]) {
        self.count(data.len());
        self.raw(data);
    }
    pub(crate) fn string(&mut self, text: &str) {
        self.i16(
            i16::try_from(text.len())
                .expect("strings come from requests and records, which have no longer ones"),
        );
        self.raw(text.as_bytes());
    }
    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }
    pub(crate) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push((value & 0x7f) as u8);
    }
    pub(crate) fn compact_string(&mut self, text: &str) {
        self.compact_bytes(text.as_bytes());
    }
    pub(crate) fn compact_nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.compact_string(text),
            None => self.varint(0),
        }
    }
    /// Array or bytes length in the compact form.
    pub(crate) fn compact_count(&mut self, count: usize) {
        self.varint(u32::try_from(count + 1).expect("requests are bounded by the frame size"));
    }
    pub(crate) fn compact_bytes(&mut self, data: &[u8]) {
        self.compact_count(data.len());
        self.raw(data);
    }
    /// The only tagged field of a struct.
    pub(crate) fn only_tag(&mut self, tag: u32, field: &[u8]) {
        self.varint(1);
        self.varint(tag);
        self.varint(u32::try_from(field.len()).expect("requests are bounded by the frame size"));
        self.raw(field);
    }
    pub(crate) fn no_tags(&mut self) {
        self.varint(0);
    }
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Reads primitives; `flexible` chooses the compact forms for [`Reader::text`] and its siblings.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    pub(crate) flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            flexible: false,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(RecordError::Malformed("ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, RecordError> {
        self.array().map(i8::from_be_bytes)
    }
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }
    pub(crate) fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }
    pub(crate) fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| RecordError::Malformed("varint"));
            }
        }
        Err(RecordError::Malformed("varint"))
    }

    /// Strings of the compact form may be no longer than others either: a name there is a key elsewhere.
    fn utf8(data: &[u8]) -> Result<String, RecordError> {
        if data.len() > STRING_BYTES_MAX {
            return Err(RecordError::Malformed("string of more than 32767 bytes"));
        }
        std::str::from_utf8(data)
            .map(str::to_owned)
            .map_err(|_| RecordError::Malformed("not utf-8"))
    }

    fn compact_len(&mut self) -> Result<Option<usize>, RecordError> {
        Ok((self.varint()? as usize).checked_sub(1))
    }

    pub(crate) fn string(&mut self) -> Result<String, RecordError> {
        let len = usize::try_from(self.i16()?).map_err(|_| RecordError::Malformed("null string"))?;
        Self::utf8(self.take(len)?)
    }

    pub(crate) fn compact_string(&mut self) -> Result<String, RecordError> {
        let len = self.compact_len()?.ok_or(RecordError::Malformed("null string"))?;
        Self::utf8(self.take(len)?)
    }

    /// A string in the current form.
    pub(crate) fn text(&mut self) -> Result<String, RecordError> {
        if self.flexible {
            self.compact_string()
        } else {
            self.string()
        }
    }

    /// A nullable string in the current form.
    pub(crate) fn nullable_text(&mut self) -> Result<Option<String>, RecordError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            usize::try_from(self.i16()?).ok()
        };
        len.map(|len| self.take(len).and_then(Self::utf8)).transpose()
    }

    /// Nullable bytes in the current form.
    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            usize::try_from(self.i32()?).ok()
        };
        len.map(|len| self.take(len)).transpose()
    }

    /// Bytes in the current form; null counts as empty.
    pub(crate) fn byte_field(&mut self) -> Result<&'a [u8], RecordError> {
        Ok(self.nullable_bytes()?.unwrap_or_default())
    }

    /// Array length in the current form. The caller pushes what it reads, so a lie ends at the end of the data.
    pub(crate) fn array_len(&mut self) -> Result<usize, RecordError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            usize::try_from(self.i32()?).ok()
        };
        Ok(len.unwrap_or(0))
    }

    /// All tagged fields at this place.
    pub(crate) fn tagged_fields(
        &mut self,
        mut each: impl FnMut(u32, &'a [u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let len = self.varint()? as usize;
            each(tag, self.take(len)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_as_long_in_both_forms() {
        let read = |length: usize| {
            let mut out = Writer::default();
            out.compact_string(&"x".repeat(length));
            Reader::new(&out.finish()).compact_string().map(|text| text.len())
        };
        assert_eq!(read(STRING_BYTES_MAX), Ok(STRING_BYTES_MAX));
        assert!(read(STRING_BYTES_MAX + 1).is_err());
        let mut out = Writer::default();
        out.string(&"x".repeat(STRING_BYTES_MAX));
        let text = Reader::new(&out.finish()).string();
        assert_eq!(text.map(|text| text.len()), Ok(STRING_BYTES_MAX));
    }
}
