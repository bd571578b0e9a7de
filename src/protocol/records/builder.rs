//! Builds one record batch, record by record, straight into its wire form.

use bytes::BytesMut;

use super::{BATCH_HEADER_BYTES, Compression, header::write_crc, varint};

/// Builds one batch. Offsets are relative to 0 and the producer fields are unset (-1) unless given.
#[derive(Debug)]
pub struct RecordBatchBuilder {
    compression: Compression,
    /// Room for the header, then the uncompressed records.
    buffer: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
}

impl Default for RecordBatchBuilder {
    fn default() -> Self {
        Self::new(Compression::None)
    }
}

impl RecordBatchBuilder {
    /// An empty builder.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            buffer: vec![0; BATCH_HEADER_BYTES],
            count: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
        }
    }

    /// Appends a record. `timestamp` in ms since the epoch.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        // Java's arithmetic wraps, and so does the reader's.
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);
        let header_count = signed(headers.len());
        let mut length = 1
            + varint::size(timestamp_delta)
            + varint::size(offset_delta)
            + bytes_size(key)
            + bytes_size(value)
            + varint::size(header_count);
        for (name, content) in headers {
            length += bytes_size(Some(name)) + bytes_size(*content);
        }
        let out = &mut self.buffer;
        out.reserve(length + 5);
        varint::write(out, signed(length));
        out.push(0);
        varint::write(out, timestamp_delta);
        varint::write(out, offset_delta);
        write_bytes(out, key);
        write_bytes(out, value);
        varint::write(out, header_count);
        for (name, content) in headers {
            write_bytes(out, Some(name));
            write_bytes(out, *content);
        }
        self.count += 1;
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Uncompressed size so far in bytes, header included.
    pub fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Sets producer id, epoch and base sequence of the batch.
    pub fn producer(&mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) {
        self.producer_id = producer_id;
        self.producer_epoch = producer_epoch;
        self.base_sequence = base_sequence;
    }

    /// Compresses, fills the header with its CRC and returns the batch; the builder is empty afterwards.
    pub fn finish(&mut self) -> BytesMut {
        let capacity = self.buffer.len();
        let fresh = Vec::with_capacity(capacity);
        let mut data = std::mem::replace(&mut self.buffer, fresh);
        self.buffer.resize(BATCH_HEADER_BYTES, 0);
        if self.compression != Compression::None {
            let compressed = self.compression.compress(&data[BATCH_HEADER_BYTES..]);
            data.truncate(BATCH_HEADER_BYTES);
            data.extend_from_slice(&compressed);
        }
        self.write_header(&mut data);
        self.count = 0;
        self.base_timestamp = -1;
        self.max_timestamp = -1;
        self.producer(-1, -1, -1);
        BytesMut::from(bytes::Bytes::from(data))
    }

    fn write_header(&self, data: &mut [u8]) {
        let batch_length = i32::try_from(data.len() - 12).unwrap_or(i32::MAX);
        data[0..8].copy_from_slice(&0_i64.to_be_bytes());
        data[8..12].copy_from_slice(&batch_length.to_be_bytes());
        data[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
        data[16] = 2;
        data[21..23].copy_from_slice(&self.compression.bits().to_be_bytes());
        data[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        data[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        data[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        data[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        data[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        data[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        data[57..61].copy_from_slice(&self.count.to_be_bytes());
        write_crc(data);
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn bytes_size(content: Option<&[u8]>) -> usize {
    content.map_or(1, |content| varint::size(signed(content.len())) + content.len())
}

fn write_bytes(out: &mut Vec<u8>, content: Option<&[u8]>) {
    match content {
        None => out.push(1),
        Some(content) => {
            varint::write(out, signed(content.len()));
            out.extend_from_slice(content);
        }
    }
}
