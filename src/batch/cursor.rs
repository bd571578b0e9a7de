//! Walks over encoded bytes. Every step is checked; what is wrong stays small until somebody wants to read it,
//! because this is the hot path of every record.

use crate::{
    BODY_BYTES, BatchError, Header, KIND_BYTES, KIND_JSON, KIND_NULL, KIND_TYPED, KIND_UTF8,
    NO_SOURCE_OFFSET, NO_SOURCE_PARTITION, Record, RecordRef, Value,
};

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) position: usize,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Short {
        wanted: usize,
        left: usize,
    },
    NotUtf8,
    ValueKind(u8),
    SchemaKind(u8),
    Index {
        table: &'static str,
        index: u16,
        len: usize,
    },
    NegativePartition(i32),
}

/// Bytes not yet read, and where they end in the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes[start..end]`.
    #[inline]
    pub(crate) fn over(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Self {
            rest: &bytes[start..end],
            end,
        }
    }

    /// Position in the batch.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Bytes not yet read.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    #[cold]
    fn short(&self, wanted: usize) -> Fault {
        Fault {
            position: self.position(),
            what: What::Short {
                wanted,
                left: self.rest.len(),
            },
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.short(count));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Fault> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.short(N));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(*self.array()?))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    #[inline]
    pub(crate) fn text(&mut self, len: usize) -> Result<&'a str, Fault> {
        let start = self.position();
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(text),
            Err(cause) => Err(Fault {
                position: start + cause.valid_up_to(),
                what: What::NotUtf8,
            }),
        }
    }

    #[inline]
    fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    #[inline]
    fn sized_text(&mut self) -> Result<&'a str, Fault> {
        let len = self.u32()? as usize;
        self.text(len)
    }

    #[inline]
    fn value(&mut self) -> Result<Value<'a>, Fault> {
        match *self.array()? {
            [KIND_NULL] => Ok(Value::Null),
            [KIND_UTF8] => Ok(Value::Utf8(self.sized_text()?)),
            [KIND_BYTES] => Ok(Value::Bytes(self.sized()?)),
            [KIND_JSON] => Ok(Value::Json(self.sized_text()?)),
            [KIND_TYPED] => Ok(Value::Typed {
                schema: self.u16()?,
                data: self.sized()?,
            }),
            [kind] => Err(Fault {
                position: self.position() - 1,
                what: What::ValueKind(kind),
            }),
        }
    }

    pub(crate) fn header(&mut self) -> Result<Header<'a>, Fault> {
        let len = usize::from(self.u16()?);
        Ok(Header {
            key: self.text(len)?,
            value: self.value()?,
        })
    }

    /// The record at the cursor. Table indices are not checked here.
    #[inline]
    pub(crate) fn record(&mut self) -> Result<RecordRef<'a>, Fault> {
        let rest = self.sized()?;
        let mut body = Cursor {
            rest,
            end: self.position(),
        };
        let mut fixed = Cursor {
            rest: body.array::<BODY_BYTES>()?,
            end: 0,
        };
        let topic = fixed.u16()?;
        let source_partition = fixed.u16()?;
        let partition = i32::from_le_bytes(*fixed.array()?);
        let timestamp = i64::from_le_bytes(*fixed.array()?);
        let offset = i64::from_le_bytes(*fixed.array()?);
        let sequence = fixed.u32()?;
        let header_count = fixed.u16()?;
        let key = body.value()?;
        let value = body.value()?;
        let source_offset = match body.u32()? {
            NO_SOURCE_OFFSET => None,
            len => Some(body.text(len as usize)?),
        };
        Ok(RecordRef {
            record: Record {
                topic,
                source_partition: (source_partition != NO_SOURCE_PARTITION).then_some(source_partition),
                partition: (partition != -1).then_some(partition),
                timestamp: (timestamp != i64::MIN).then_some(timestamp),
                offset,
                sequence,
                key,
                value,
                source_offset,
            },
            headers: body.rest,
            header_count,
        })
    }
}

impl From<Fault> for BatchError {
    #[cold]
    fn from(fault: Fault) -> Self {
        let message = match fault.what {
            What::Short { wanted, left } => format!("{wanted} bytes wanted, {left} left"),
            What::NotUtf8 => "text is not UTF-8".to_owned(),
            What::ValueKind(kind) => format!("unknown value kind {kind}"),
            What::SchemaKind(kind) => format!("unknown schema kind {kind}"),
            What::Index { table, index, len } => format!("{table} index {index} in a table of {len}"),
            What::NegativePartition(partition) => format!("negative partition {partition}"),
        };
        Self {
            message,
            position: fault.position,
        }
    }
}
