//! Record batch v2 (magic 2): a view that reads headers without decoding, and a builder.
//!
//! SEAM: signatures below are the contract other crates code against.

use bytes::{Bytes, BytesMut};

/// Length of the batch header in bytes.
pub const BATCH_HEADER_BYTES: usize = 61;

/// Compression codec of a batch (attribute bits 0-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// The header of one batch, parsed; offsets and lengths are those of the protocol guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the protocol guide's names")]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after this field (total size = batch_length + 12).
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// Why bytes are not a valid batch.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "each message says it")]
pub enum BatchError {
    #[error("batch is cut: {have} of {need} bytes")]
    Truncated { have: usize, need: usize },
    #[error("unsupported magic {0}")]
    Magic(i8),
    #[error("crc mismatch: stored {stored:#010x}, computed {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("{0}")]
    Invalid(String),
}

impl BatchHeader {
    /// Parses the 61-byte header at the start of `data`; checks magic and that lengths are sane, not the CRC
    /// and not that the whole batch is there.
    pub fn parse(_data: &[u8]) -> Result<Self, BatchError> {
        todo!()
    }
    /// Total size of the batch in bytes.
    pub fn size_bytes(&self) -> usize {
        todo!()
    }
    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }
    /// Sequence of the last record, wrapping at `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        todo!()
    }
    /// Codec.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        todo!()
    }
    /// LogAppendTime instead of CreateTime (bit 3).
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }
    /// Part of a transaction (bit 4).
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }
    /// A control batch (bit 5).
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
    /// Whether an idempotent producer wrote it.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }
}

/// Checks length, magic and CRC-32C of the whole batch at the start of `data`.
pub fn verify(_data: &[u8]) -> Result<BatchHeader, BatchError> {
    todo!()
}

/// Stamps base offset and partition leader epoch into the batch at the start of `data` (outside the CRC).
pub fn stamp(_data: &mut [u8], _base_offset: i64, _partition_leader_epoch: i32) {
    todo!()
}

/// Sets LogAppendTime and the maximum timestamp and recomputes the CRC.
pub fn stamp_log_append_time(_data: &mut [u8], _timestamp: i64) {
    todo!()
}

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

/// Iterates the records of one batch (`data` = exactly one batch), decompressing when needed; at most
/// `max_decompressed_bytes` are produced. Control batches yield their control records.
pub fn records(_data: &Bytes, _max_decompressed_bytes: usize) -> Result<Records, BatchError> {
    todo!()
}

/// See [`records`].
#[derive(Debug)]
pub struct Records {}
impl Iterator for Records {
    type Item = Result<Record, BatchError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

/// Splits a run of whole batches into single batches without copying; a cut last batch ends the iteration.
pub fn split_batches(_data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::empty()
}

/// Builds one batch, record by record, straight into its wire form. Offsets are relative to 0 and the
/// producer fields are unset (-1) unless given.
#[derive(Debug, Default)]
pub struct RecordBatchBuilder {}

impl RecordBatchBuilder {
    /// An empty builder.
    pub fn new(_compression: Compression) -> Self {
        todo!()
    }
    /// Appends a record. `timestamp` in ms since the epoch.
    pub fn push(
        &mut self,
        _timestamp: i64,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
        _headers: &[(&[u8], Option<&[u8]>)],
    ) {
        todo!()
    }
    /// Records so far.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Uncompressed size so far, header included.
    pub fn size_bytes(&self) -> usize {
        todo!()
    }
    /// Sets producer id, epoch and base sequence.
    pub fn producer(&mut self, _producer_id: i64, _producer_epoch: i16, _base_sequence: i32) {
        todo!()
    }
    /// Compresses, fills the header with its CRC and returns the batch; the builder is empty afterwards.
    pub fn finish(&mut self) -> BytesMut {
        todo!()
    }
}

/// Kafka's murmur2 (seed 0x9747b28c), as Java's default partitioner uses it: `to_positive(murmur2(key)) % partitions`.
pub fn partition_for_key(_key: &[u8], _partitions: i32) -> i32 {
    todo!()
}
