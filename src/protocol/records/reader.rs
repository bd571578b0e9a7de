//! Reads the records of a batch: owned slices for convenience, borrowed views for hot paths.

use bytes::Bytes;

use super::{BATCH_HEADER_BYTES, BatchError, BatchHeader, Compression, varint};

/// One record of a batch; slices share the (decompressed) batch's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the protocol guide's names")]
pub struct Record {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// One record of a batch, borrowed.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the protocol guide's names")]
pub struct RecordView<'a> {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub header_count: usize,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Headers in order: key and value bytes.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let data = self.headers;
        let mut position = 0;
        (0..self.header_count).map_while(move |_| {
            let key = read_bytes(data, &mut position)??;
            let value = read_bytes(data, &mut position)?;
            Some((key, value))
        })
    }
}

/// Reads a length-prefixed byte string: outer `None` = malformed, inner `None` = null.
fn read_bytes<'a>(data: &'a [u8], position: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = varint::read(data, position)?;
    if length == -1 {
        return Some(None);
    }
    let end = position.checked_add(usize::try_from(length).ok()?)?;
    let bytes = data.get(*position..end)?;
    *position = end;
    Some(Some(bytes))
}

/// Reads the record at `position` of the uncompressed records section.
fn read_record<'a>(header: &BatchHeader, data: &'a [u8], position: &mut usize) -> Option<RecordView<'a>> {
    let length = usize::try_from(varint::read(data, position)?).ok()?;
    let end = position.checked_add(length)?;
    let body = data.get(..end)?;
    *position += 1; // attributes, unused
    let timestamp_delta = varint::read(body, position)?;
    let offset_delta = varint::read(body, position)?;
    let key = read_bytes(body, position)?;
    let value = read_bytes(body, position)?;
    let header_count = usize::try_from(varint::read(body, position)?).ok()?;
    let headers = body.get(*position..end)?;
    if header_count > headers.len() {
        return None;
    }
    let mut check = 0;
    for _ in 0..header_count {
        read_bytes(headers, &mut check)??;
        read_bytes(headers, &mut check)?;
    }
    if check != headers.len() {
        return None;
    }
    *position = end;
    let timestamp = if header.is_log_append_time() {
        header.max_timestamp
    } else {
        header.base_timestamp.wrapping_add(timestamp_delta)
    };
    let offset = header.base_offset.checked_add(offset_delta)?;
    Some(RecordView {
        offset,
        timestamp,
        key,
        value,
        header_count,
        headers,
    })
}

fn malformed(index: i32, header: &BatchHeader) -> BatchError {
    BatchError::Invalid(format!(
        "record {index} of {} in the batch at offset {} is malformed",
        header.record_count, header.base_offset
    ))
}

/// Header and uncompressed records section of exactly one batch.
fn open(data: &[u8]) -> Result<(BatchHeader, &[u8]), BatchError> {
    let header = BatchHeader::parse(data)?;
    let size = header.size_bytes();
    if data.len() < size {
        return Err(BatchError::Truncated {
            have: data.len(),
            need: size,
        });
    }
    Ok((header, &data[BATCH_HEADER_BYTES..size]))
}

/// Calls `visit` for each record of the one batch in `data`, without an allocation per record. A compressed
/// batch is decompressed first, at most `max_decompressed_bytes`.
///
/// # Errors
/// [`BatchError`] when the batch is malformed (records before the fault were visited), or the visitor's own.
pub fn for_each<E: From<BatchError>>(
    data: &[u8],
    max_decompressed_bytes: usize,
    mut visit: impl FnMut(RecordView<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let (header, section) = open(data)?;
    let decompressed;
    let section = match header.compression()? {
        Compression::None => section,
        codec => {
            decompressed = codec.decompress(section, max_decompressed_bytes)?;
            &decompressed[..]
        }
    };
    let mut position = 0;
    for index in 0..header.record_count {
        let record = read_record(&header, section, &mut position).ok_or_else(|| malformed(index, &header))?;
        visit(record)?;
    }
    if position != section.len() {
        let trailing = section.len() - position;
        return Err(BatchError::Invalid(format!("{trailing} bytes behind the last record")).into());
    }
    Ok(())
}

/// Iterates the records of one batch (`data` = exactly one batch), decompressing when needed; at most
/// `max_decompressed_bytes` are produced. Control batches yield their control records.
///
/// # Errors
/// [`BatchError`] when header or compression are malformed; a malformed record is an error of the iterator.
pub fn records(data: &Bytes, max_decompressed_bytes: usize) -> Result<Records, BatchError> {
    let (header, section) = open(data)?;
    let section = match header.compression()? {
        Compression::None => data.slice_ref(section),
        codec => Bytes::from(codec.decompress(section, max_decompressed_bytes)?),
    };
    Ok(Records {
        header,
        section,
        position: 0,
        index: 0,
    })
}

/// See [`records`].
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    section: Bytes,
    position: usize,
    index: i32,
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.header.record_count {
            return None;
        }
        let Some(view) = read_record(&self.header, &self.section, &mut self.position) else {
            let error = malformed(self.index, &self.header);
            self.index = i32::MAX;
            return Some(Err(error));
        };
        self.index += 1;
        let slice = |part: &[u8]| self.section.slice_ref(part);
        Some(Ok(Record {
            offset: view.offset,
            timestamp: view.timestamp,
            key: view.key.map(slice),
            value: view.value.map(slice),
            headers: view
                .headers()
                .map(|(key, value)| (slice(key), value.map(slice)))
                .collect(),
        }))
    }
}

/// Splits a run of whole batches into single batches without copying; a cut last batch ends the iteration.
pub fn split_batches(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let size = BatchHeader::parse(&data).ok()?.size_bytes();
        (size <= data.len()).then(|| data.split_to(size))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::records::{RecordBatchBuilder, stamp, stamp_log_append_time, verify};

    type Row = (
        i64,
        Option<Vec<u8>>,
        Option<Vec<u8>>,
        Vec<(Vec<u8>, Option<Vec<u8>>)>,
    );

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let blob = || prop::collection::vec(any::<u8>(), 0..40);
        let headers = prop::collection::vec((blob(), prop::option::of(blob())), 0..3);
        let row = (
            0..4_000_000_000_i64,
            prop::option::of(blob()),
            prop::option::of(blob()),
            headers,
        );
        prop::collection::vec(row, 1..30)
    }

    fn build(rows: &[Row], codec: Compression) -> Bytes {
        let mut builder = RecordBatchBuilder::new(codec);
        for (timestamp, key, value, headers) in rows {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
            builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        builder.finish().freeze()
    }

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    proptest! {
        #[test]
        fn every_codec_round_trips(rows in rows()) {
            for codec in CODECS {
                let batch = build(&rows, codec);
                let header = verify(&batch).expect("own batch verifies");
                prop_assert_eq!(header.record_count as usize, rows.len());
                let read: Vec<_> = records(&batch, 1 << 20).expect("opens").map(|r| r.expect("reads")).collect();
                for (index, (record, row)) in read.iter().zip(&rows).enumerate() {
                    prop_assert_eq!(record.offset, index as i64);
                    prop_assert_eq!(record.timestamp, row.0);
                    prop_assert_eq!(record.key.as_deref(), row.1.as_deref());
                    prop_assert_eq!(record.value.as_deref(), row.2.as_deref());
                    prop_assert_eq!(record.headers.len(), row.3.len());
                }
                let mut seen = 0;
                for_each::<BatchError>(&batch, 1 << 20, |_| { seen += 1; Ok(()) }).expect("visits");
                prop_assert_eq!(seen, rows.len());
            }
        }

        #[test]
        fn hostile_bytes_never_panic(mut rows in rows(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            rows.truncate(5);
            for codec in CODECS {
                let mut batch = build(&rows, codec).to_vec();
                let position = at.index(batch.len());
                batch[position] = byte;
                let batch = Bytes::from(batch);
                let _ = verify(&batch);
                if let Ok(read) = records(&batch, 1 << 16) {
                    prop_assert!(read.count() <= 1 << 16);
                }
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let rows = vec![(0, None, Some(vec![0; 4 << 20]), vec![])];
        for codec in &CODECS[1..] {
            let batch = build(&rows, *codec);
            assert!(records(&batch, 1 << 20).is_err(), "{codec:?}");
        }
    }

    #[test]
    fn stamps_keep_the_crc() {
        let batch = build(&[(5, None, Some(b"x".to_vec()), vec![])], Compression::None);
        let mut data = batch.to_vec();
        stamp(&mut data, 42, 7);
        let header = verify(&data).expect("offset and epoch are outside the crc");
        assert_eq!((header.base_offset, header.partition_leader_epoch), (42, 7));
        stamp_log_append_time(&mut data, 99);
        let header = verify(&data).expect("crc was recomputed");
        assert!(header.is_log_append_time());
        let record = records(&Bytes::from(data), 100)
            .expect("opens")
            .next()
            .expect("one")
            .expect("reads");
        assert_eq!((record.offset, record.timestamp), (42, 99));
    }

    #[test]
    fn a_cut_tail_ends_the_split() {
        let one = build(&[(5, None, Some(b"x".to_vec()), vec![])], Compression::None);
        let mut run = [&one[..], &one[..], &one[..]].concat();
        run.pop();
        assert_eq!(split_batches(Bytes::from(run)).count(), 2);
    }
}
