//! Reads an encoded batch: one pass checks everything, after that reading cannot fail.

use std::ops::Range;

use crate::{
    BatchError, HEADER_BYTES, Header, MAGIC, MAJOR, MAX_BATCH_BYTES, MIN_RECORD_BYTES, Record,
    SCHEMA_KIND_JSON, SchemaIndex, SourcePartitionIndex, TopicIndex, Value,
    cursor::{Cursor, Fault, What},
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
    pub(crate) headers: &'a [u8],
    pub(crate) header_count: u16,
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
        let mut cursor = Cursor::over(all, tables, all.len());
        let topics = table(&mut cursor, topics, |cursor| Ok(cursor.u16()? as usize))?;
        let partitions = table(&mut cursor, partitions, |cursor| Ok(cursor.u32()? as usize))?;
        let schemas = table(&mut cursor, schemas, |cursor| match *cursor.array()? {
            [SCHEMA_KIND_JSON] => Ok(cursor.u32()? as usize),
            [kind] => Err(Fault {
                position: cursor.position() - 1,
                what: What::SchemaKind(kind),
            }),
        })?;
        if cursor.left() > 0 {
            return Err(error(
                cursor.position(),
                format!("{} bytes after the tables", cursor.left()),
            ));
        }
        let limits = Limits {
            topics: topics.len(),
            partitions: partitions.len(),
            schemas: schemas.len(),
        };
        let mut cursor = Cursor::over(all, HEADER_BYTES, tables);
        for _ in 0..records {
            limits.check(&mut cursor)?;
        }
        if cursor.left() > 0 {
            return Err(error(
                cursor.position(),
                format!("{} bytes after the records", cursor.left()),
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
        Records {
            cursor: Cursor::over(self.bytes.as_ref(), HEADER_BYTES, self.tables),
            left: self.records,
        }
    }

    /// The encoded batch.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// What holds the encoded batch.
    pub fn get_ref(&self) -> &B {
        &self.bytes
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
        let mut cursor = Cursor::over(self.headers, 0, self.headers.len());
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
        let mut header = Cursor::over(all, 0, all.len());
        if all.len() < HEADER_BYTES || header.take(3)? != MAGIC {
            return Err(error(
                0,
                "not a record batch: it does not start with \"JFB\"".to_owned(),
            ));
        }
        let [major] = *header.array()?;
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

/// Reads one of the tables.
fn table(
    cursor: &mut Cursor<'_>,
    count: u16,
    length: impl Fn(&mut Cursor<'_>) -> Result<usize, Fault>,
) -> Result<Vec<Range<usize>>, Fault> {
    // At least a u16 per entry must be there, so a declared count allocates nothing by itself.
    let mut entries = Vec::with_capacity(usize::from(count).min(cursor.left() / 2));
    for _ in 0..count {
        let len = length(cursor)?;
        let start = cursor.position();
        cursor.text(len)?;
        entries.push(start..cursor.position());
    }
    Ok(entries)
}

impl Limits {
    /// Checks the record at the cursor and goes behind it.
    fn check(&self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let start = cursor.position();
        let found = cursor.record()?;
        let record = &found.record;
        index(start, "topic", record.topic, self.topics)?;
        if let Some(partition) = record.source_partition {
            index(start, "source partition", partition, self.partitions)?;
        }
        if let Some(partition) = record.partition
            && partition < 0
        {
            return Err(Fault {
                position: start,
                what: What::NegativePartition(partition),
            });
        }
        self.value(start, &record.key)?;
        self.value(start, &record.value)?;
        let end = cursor.position();
        let mut headers = Cursor::over(found.headers, 0, found.headers.len());
        for _ in 0..found.header_count {
            let inside = |fault: Fault| Fault {
                position: end - found.headers.len() + fault.position,
                ..fault
            };
            self.value(start, &headers.header().map_err(inside)?.value)?;
        }
        Ok(())
    }

    #[inline]
    fn value(&self, position: usize, value: &Value<'_>) -> Result<(), Fault> {
        match value {
            Value::Typed { schema, .. } => index(position, "schema", *schema, self.schemas),
            _ => Ok(()),
        }
    }
}

#[inline]
fn index(position: usize, table: &'static str, index: u16, len: usize) -> Result<(), Fault> {
    if usize::from(index) < len {
        return Ok(());
    }
    Err(Fault {
        position,
        what: What::Index { table, index, len },
    })
}

#[cold]
fn error(position: usize, message: String) -> BatchError {
    BatchError { message, position }
}
