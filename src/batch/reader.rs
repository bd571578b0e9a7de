//! Reads an encoded batch: one pass checks everything, after that reading cannot fail.

use std::ops::Range;

use crate::{
    BODY_BYTES, BatchError, HEADER_BYTES, Header, KIND_BYTES, KIND_JSON, KIND_NULL, KIND_TYPED, KIND_UTF8,
    MAGIC, MAJOR, MAX_BATCH_BYTES, MIN_RECORD_BYTES, NO_SOURCE_OFFSET, NO_SOURCE_PARTITION, Record,
    SCHEMA_KIND_JSON, SchemaIndex, SourcePartitionIndex, TopicIndex, Value,
};

/// A validated batch over borrowed or owned bytes. `parse` checks everything once; reading cannot fail.
#[derive(Debug, Clone)]
pub struct Batch<B> {
    bytes: B,
    records: usize,
    /// Where the records end and the tables start.
    tables: usize,
    topics: Vec<Range<usize>>,
    partitions: Vec<Range<usize>>,
    schemas: Vec<Range<usize>>,
}

/// A record inside a validated batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// The record.
    pub record: Record<'a>,
    headers: &'a [u8],
    header_count: u16,
}

/// The records of a batch in order.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl<B: AsRef<[u8]>> Batch<B> {
    /// Validates lengths, UTF-8, table indices and limits in one pass. (Typed values are checked by the host
    /// against their schema, see [`crate::typed`].)
    pub fn parse(bytes: B) -> Result<Self, BatchError> {
        let all = bytes.as_ref();
        if all.len() > MAX_BATCH_BYTES {
            return Err(error(
                0,
                format!("batch of {} bytes, at most {MAX_BATCH_BYTES} are read", all.len()),
            ));
        }
        let Preamble {
            topics,
            partitions,
            schemas,
            records,
            tables,
        } = Preamble::read(all)?;
        let mut table = Cursor::at(all, tables);
        let topics = table.table(topics, |cursor| Ok(cursor.u16()? as usize))?;
        let partitions = table.table(partitions, |cursor| Ok(cursor.u32()? as usize))?;
        let schemas = table.table(schemas, |cursor| match cursor.array()? {
            [SCHEMA_KIND_JSON] => Ok(cursor.u32()? as usize),
            [kind] => Err(error(cursor.position - 1, format!("unknown schema kind {kind}"))),
        })?;
        if table.position != all.len() {
            return Err(error(
                table.position,
                format!("{} bytes after the tables", all.len() - table.position),
            ));
        }
        let limits = Limits {
            topics: topics.len(),
            partitions: partitions.len(),
            schemas: schemas.len(),
        };
        let mut cursor = Cursor::at(&all[..tables], HEADER_BYTES);
        for _ in 0..records {
            cursor.check_record(&limits)?;
        }
        if cursor.position != tables {
            return Err(error(
                cursor.position,
                format!("{} bytes after the records", tables - cursor.position),
            ));
        }
        Ok(Self {
            bytes,
            records,
            tables,
            topics,
            partitions,
            schemas,
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Topic table. Panics when the index did not come from this batch, as the other tables do.
    pub fn topic(&self, index: TopicIndex) -> &str {
        self.text(&self.topics[usize::from(index)])
    }

    /// Source partition table.
    pub fn source_partition(&self, index: SourcePartitionIndex) -> &str {
        self.text(&self.partitions[usize::from(index)])
    }

    /// Schema table.
    pub fn schema(&self, index: SchemaIndex) -> &str {
        self.text(&self.schemas[usize::from(index)])
    }

    /// All topics of the table.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|range| self.text(range))
    }

    /// All source partitions of the table.
    pub fn source_partitions(&self) -> impl Iterator<Item = &str> {
        self.partitions.iter().map(|range| self.text(range))
    }

    /// All schemas of the table.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        self.schemas.iter().map(|range| self.text(range))
    }

    /// Records in order.
    pub fn records(&self) -> Records<'_> {
        let bytes = &self.bytes.as_ref()[..self.tables];
        Records {
            cursor: Cursor::at(bytes, HEADER_BYTES),
            left: self.records,
        }
    }

    /// The encoded batch.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Gives the bytes back.
    pub fn into_inner(self) -> B {
        self.bytes
    }

    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes.as_ref()[range.clone()]).expect("parse checked the tables")
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.cursor.record().expect("parse checked the records"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Records<'_> {}

impl<'a> RecordRef<'a> {
    /// Its headers in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut cursor = Cursor::at(self.headers, 0);
        (0..self.header_count).map(move |_| cursor.header().expect("parse checked the headers"))
    }

    /// Number of headers.
    pub fn header_count(&self) -> usize {
        usize::from(self.header_count)
    }
}

/// The fixed fields at the start.
struct Preamble {
    topics: u16,
    partitions: u16,
    schemas: u16,
    records: usize,
    tables: usize,
}

impl Preamble {
    fn read(all: &[u8]) -> Result<Self, BatchError> {
        let mut header = Cursor::at(all, 0);
        if all.len() < HEADER_BYTES || header.take(3)? != MAGIC {
            return Err(error(
                0,
                "not a record batch: it does not start with \"JFB\"".to_owned(),
            ));
        }
        let [major] = header.array()?;
        if major != MAJOR {
            return Err(error(
                3,
                format!("record batch format {major}, this side reads {MAJOR}"),
            ));
        }
        let flags = header.u16()?;
        if flags != 0 {
            return Err(error(4, format!("unknown batch flags {flags:#06x}")));
        }
        let (topics, partitions, schemas) = (header.u16()?, header.u16()?, header.u16()?);
        let (records, tables) = (header.u32()? as usize, header.u32()? as usize);
        if tables < HEADER_BYTES || tables > all.len() {
            return Err(error(
                16,
                format!("tables at byte {tables} of a batch of {} bytes", all.len()),
            ));
        }
        if records > (tables - HEADER_BYTES) / MIN_RECORD_BYTES {
            let space = tables - HEADER_BYTES;
            return Err(error(
                12,
                format!("{records} records do not fit in {space} bytes"),
            ));
        }
        Ok(Self {
            topics,
            partitions,
            schemas,
            records,
            tables,
        })
    }
}

/// Sizes of the tables.
struct Limits {
    topics: usize,
    partitions: usize,
    schemas: usize,
}

#[derive(Debug, Clone)]
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], BatchError> {
        match self.bytes.get(self.position..).and_then(|rest| rest.get(..count)) {
            Some(taken) => {
                self.position += count;
                Ok(taken)
            }
            None => Err(self.short(count)),
        }
    }

    #[cold]
    fn short(&self, count: usize) -> BatchError {
        let left = self.bytes.len().saturating_sub(self.position);
        error(self.position, format!("{count} bytes wanted, {left} left"))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], BatchError> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take returns the count asked for"))
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, BatchError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    fn u32(&mut self) -> Result<u32, BatchError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    fn text(&mut self, len: usize) -> Result<&'a str, BatchError> {
        let start = self.position;
        std::str::from_utf8(self.take(len)?)
            .map_err(|cause| error(start + cause.valid_up_to(), "text is not UTF-8".to_owned()))
    }

    #[inline]
    fn sized(&mut self) -> Result<&'a [u8], BatchError> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn table(
        &mut self,
        count: u16,
        length: impl Fn(&mut Self) -> Result<usize, BatchError>,
    ) -> Result<Vec<Range<usize>>, BatchError> {
        // At least a u16 per entry must be there, so a declared count allocates nothing by itself.
        let mut entries = Vec::with_capacity(usize::from(count).min((self.bytes.len() - self.position) / 2));
        for _ in 0..count {
            let len = length(self)?;
            let start = self.position;
            self.text(len)?;
            entries.push(start..self.position);
        }
        Ok(entries)
    }

    #[inline]
    fn value(&mut self) -> Result<Value<'a>, BatchError> {
        match self.array()? {
            [KIND_NULL] => Ok(Value::Null),
            [KIND_BYTES] => Ok(Value::Bytes(self.sized()?)),
            [KIND_UTF8] => {
                let len = self.u32()? as usize;
                Ok(Value::Utf8(self.text(len)?))
            }
            [KIND_JSON] => {
                let len = self.u32()? as usize;
                Ok(Value::Json(self.text(len)?))
            }
            [KIND_TYPED] => Ok(Value::Typed {
                schema: self.u16()?,
                data: self.sized()?,
            }),
            [kind] => Err(error(self.position - 1, format!("unknown value kind {kind}"))),
        }
    }

    fn header(&mut self) -> Result<Header<'a>, BatchError> {
        let len = usize::from(self.u16()?);
        Ok(Header {
            key: self.text(len)?,
            value: self.value()?,
        })
    }

    /// The record at the cursor. Table indices are not checked here.
    #[inline]
    fn record(&mut self) -> Result<RecordRef<'a>, BatchError> {
        let length = self.u32()? as usize;
        let end = self.position;
        let body = self.take(length)?;
        // Positions of errors stay those of the batch.
        let mut inside = Cursor::at(&self.bytes[..end + body.len()], end);
        let mut fixed = Cursor::at(inside.take(BODY_BYTES)?, 0);
        let topic = fixed.u16()?;
        let source_partition = fixed.u16()?;
        let partition = i32::from_le_bytes(fixed.array()?);
        let timestamp = i64::from_le_bytes(fixed.array()?);
        let offset = i64::from_le_bytes(fixed.array()?);
        let sequence = fixed.u32()?;
        let header_count = fixed.u16()?;
        let key = inside.value()?;
        let value = inside.value()?;
        let source_offset = match inside.u32()? {
            NO_SOURCE_OFFSET => None,
            len => Some(inside.text(len as usize)?),
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
            headers: &inside.bytes[inside.position..],
            header_count,
        })
    }

    fn check_record(&mut self, limits: &Limits) -> Result<(), BatchError> {
        let start = self.position;
        let found = self.record()?;
        let record = &found.record;
        limits.index(start, "topic", record.topic, limits.topics)?;
        if let Some(index) = record.source_partition {
            limits.index(start, "source partition", index, limits.partitions)?;
        }
        if let Some(partition) = record.partition
            && partition < 0
        {
            return Err(error(start, format!("negative partition {partition}")));
        }
        limits.value(start, &record.key)?;
        limits.value(start, &record.value)?;
        let headers_start = self.position - found.headers.len();
        let mut headers = Cursor::at(&self.bytes[..self.position], headers_start);
        for _ in 0..found.header_count {
            let header = headers.header()?;
            limits.value(start, &header.value)?;
        }
        Ok(())
    }
}

impl Limits {
    #[inline]
    fn index(&self, position: usize, what: &str, index: u16, len: usize) -> Result<(), BatchError> {
        if usize::from(index) < len {
            return Ok(());
        }
        Err(error(
            position,
            format!("{what} index {index} in a table of {len}"),
        ))
    }

    #[inline]
    fn value(&self, position: usize, value: &Value<'_>) -> Result<(), BatchError> {
        match value {
            Value::Typed { schema, .. } => self.index(position, "schema", *schema, self.schemas),
            _ => Ok(()),
        }
    }
}

#[cold]
fn error(position: usize, message: String) -> BatchError {
    BatchError { message, position }
}
