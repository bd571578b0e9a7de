//! Record batches (v2) written and read by hand: an independent second opinion on the format, and fixed input for
//! byte-for-byte comparisons.

use std::io::{Read, Write};

/// Bytes before the CRC-protected part.
const CRC_START: usize = 21;
const HEADER: usize = 61;

/// A codec by its number in the batch attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// A record to be written.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewRecord {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(&'static str, Option<Vec<u8>>)>,
}

/// Producer id, epoch and first sequence of an idempotent batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadRecord {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: usize,
}

impl ReadRecord {
    /// The value as text, for tests that produce text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.value.clone().expect("a value")).expect("UTF-8")
    }
}

/// A record with a value only.
pub(crate) fn record(timestamp: i64, value: impl Into<Vec<u8>>) -> NewRecord {
    NewRecord {
        timestamp,
        value: Some(value.into()),
        ..NewRecord::default()
    }
}

/// Writes one batch as a producer sends it.
pub(crate) fn batch(codec: Codec, producer: Option<Producer>, records: &[NewRecord]) -> Vec<u8> {
    let base_timestamp = records[0].timestamp;
    let max_timestamp = records.iter().map(|record| record.timestamp).max().unwrap();
    let mut body = Vec::new();
    for (delta, record) in records.iter().enumerate() {
        let mut bytes = vec![0];
        varint(&mut bytes, record.timestamp - base_timestamp);
        varint(&mut bytes, i64::try_from(delta).unwrap());
        nullable(&mut bytes, record.key.as_deref());
        nullable(&mut bytes, record.value.as_deref());
        varint(&mut bytes, i64::try_from(record.headers.len()).unwrap());
        for (key, value) in &record.headers {
            nullable(&mut bytes, Some(key.as_bytes()));
            nullable(&mut bytes, value.as_deref());
        }
        varint(&mut body, i64::try_from(bytes.len()).unwrap());
        body.extend(bytes);
    }
    let body = compress(codec, &body);
    let count = i32::try_from(records.len()).unwrap();
    let producer = producer.unwrap_or(Producer {
        id: -1,
        epoch: -1,
        sequence: -1,
    });
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend(0i64.to_be_bytes());
    out.extend(i32::try_from(HEADER - 12 + body.len()).unwrap().to_be_bytes());
    out.extend((-1i32).to_be_bytes());
    out.push(2);
    out.extend([0; 4]);
    out.extend((codec as i16).to_be_bytes());
    out.extend((count - 1).to_be_bytes());
    out.extend(base_timestamp.to_be_bytes());
    out.extend(max_timestamp.to_be_bytes());
    out.extend(producer.id.to_be_bytes());
    out.extend(producer.epoch.to_be_bytes());
    out.extend(producer.sequence.to_be_bytes());
    out.extend(count.to_be_bytes());
    out.extend(body);
    seal(&mut out);
    out
}

/// Recomputes the CRC of the batch at the start of `batch` (which is exactly one batch).
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
}

/// Total length of the batch at the start of `data`; `None` when its header or body is not complete.
pub(crate) fn batch_length(data: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(data.get(8..12)?.try_into().unwrap());
    let total = usize::try_from(length).ok()? + 12;
    (total >= HEADER && total <= data.len()).then_some(total)
}

/// Splits a run of batches; a cut last one is left out.
pub(crate) fn split(mut data: &[u8]) -> Vec<&[u8]> {
    let mut batches = Vec::new();
    while let Some(length) = batch_length(data) {
        batches.push(&data[..length]);
        data = &data[length..];
    }
    batches
}

/// Reads all records of a run of batches, checking each CRC; control batches are left out.
pub(crate) fn read(data: &[u8]) -> Result<Vec<ReadRecord>, String> {
    let mut records = Vec::new();
    for batch in split(data) {
        let number = |at: usize| i64::from_be_bytes(batch[at..at + 8].try_into().unwrap());
        let stored = u32::from_be_bytes(batch[17..21].try_into().unwrap());
        if stored != crc32c::crc32c(&batch[CRC_START..]) {
            return Err(format!("wrong crc of the batch at offset {}", number(0)));
        }
        if batch[22] & 0x20 != 0 {
            continue;
        }
        let body = decompress(batch[22] & 7, &batch[HEADER..]);
        let mut cursor = Cursor(&body);
        let count = i32::from_be_bytes(batch[57..61].try_into().unwrap());
        for _ in 0..count {
            records.push(cursor.record(number(0), number(27)));
        }
        if !cursor.0.is_empty() {
            return Err(format!(
                "bytes after the last record of the batch at offset {}",
                number(0)
            ));
        }
    }
    Ok(records)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn record(&mut self, base_offset: i64, base_timestamp: i64) -> ReadRecord {
        let length = usize::try_from(self.varint()).unwrap();
        let after = self.0.len() - length;
        self.take(1);
        let timestamp = base_timestamp + self.varint();
        let offset = base_offset + self.varint();
        let key = self.nullable();
        let value = self.nullable();
        let headers = usize::try_from(self.varint()).unwrap();
        for _ in 0..headers * 2 {
            self.nullable();
        }
        assert_eq!(self.0.len(), after, "length of the record at offset {offset}");
        ReadRecord {
            offset,
            timestamp,
            key,
            value,
            headers,
        }
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn nullable(&mut self) -> Option<Vec<u8>> {
        usize::try_from(self.varint())
            .ok()
            .map(|length| self.take(length).to_vec())
    }

    fn varint(&mut self) -> i64 {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

fn nullable(out: &mut Vec<u8>, data: Option<&[u8]>) {
    match data {
        None => varint(out, -1),
        Some(data) => {
            varint(out, i64::try_from(data.len()).unwrap());
            out.extend(data);
        }
    }
}

fn compress(codec: Codec, data: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => data.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Snappy => {
            // The framing of snappy-java, which Kafka's clients use.
            let block = snap::raw::Encoder::new().compress_vec(data).unwrap();
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            out.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            out.extend(block);
            out
        }
        Codec::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => zstd::encode_all(data, 3).unwrap(),
    }
}

fn decompress(codec: u8, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        0 => out.extend(data),
        1 => {
            flate2::read::MultiGzDecoder::new(data)
                .read_to_end(&mut out)
                .unwrap();
        }
        2 => {
            let mut rest = data.get(16..).expect("snappy-java's header");
            while !rest.is_empty() {
                let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
                out.extend(
                    snap::raw::Decoder::new()
                        .decompress_vec(&rest[4..4 + length])
                        .unwrap(),
                );
                rest = &rest[4 + length..];
            }
        }
        3 => {
            lz4_flex::frame::FrameDecoder::new(data)
                .read_to_end(&mut out)
                .unwrap();
        }
        4 => out = zstd::decode_all(data).unwrap(),
        other => panic!("unknown codec {other}"),
    }
    out
}

/// What is written is read back, with every codec.
#[test]
fn batches_round_trip() {
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut written = vec![record(1_000, "one"), record(900, vec![b'x'; 70_000])];
        written[1].key = Some(b"k".to_vec());
        written[1].headers = vec![("h", None)];
        let read = read(&batch(codec, None, &written)).unwrap();
        assert_eq!(read.len(), 2, "{codec:?}");
        assert_eq!(
            (read[0].offset, read[0].timestamp, read[0].text()),
            (0, 1_000, "one".to_owned())
        );
        assert_eq!((read[1].offset, read[1].timestamp, read[1].headers), (1, 900, 1));
        assert_eq!(read[1].value.as_ref().map(Vec::len), Some(70_000));
    }
}
