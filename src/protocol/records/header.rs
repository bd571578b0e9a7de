//! The 61-byte header of a record batch: parsing, verification, and the two stamps a broker makes.

use super::Compression;

/// Length of the batch header in bytes.
pub const BATCH_HEADER_BYTES: usize = 61;

/// The CRC covers everything from the attributes on.
pub const CRC_FROM: usize = 21;

/// The header of one batch, parsed; offsets and lengths are those of the protocol guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the protocol guide's names")]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after this field (total size = `batch_length` + 12).
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
    #[error("unknown compression codec {0}")]
    Codec(i16),
    #[error("{0}")]
    Invalid(String),
}

fn bytes_at<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&data[at..at + N]);
    out
}

impl BatchHeader {
    /// Parses the header at the start of `data`. Checks magic and that the length is at least a header's, not
    /// the CRC and not that the whole batch is there.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] below 61 bytes, [`BatchError::Magic`] for other formats than v2,
    /// [`BatchError::Invalid`] for an impossible length.
    pub fn parse(data: &[u8]) -> Result<Self, BatchError> {
        if data.len() < BATCH_HEADER_BYTES {
            return Err(BatchError::Truncated {
                have: data.len(),
                need: BATCH_HEADER_BYTES,
            });
        }
        let magic = i8::from_be_bytes(bytes_at(data, 16));
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let batch_length = i32::from_be_bytes(bytes_at(data, 8));
        if usize::try_from(batch_length).map_or(true, |length| length + 12 < BATCH_HEADER_BYTES) {
            return Err(BatchError::Invalid(format!(
                "batch length {batch_length} is less than a header"
            )));
        }
        Ok(Self {
            base_offset: i64::from_be_bytes(bytes_at(data, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(bytes_at(data, 12)),
            magic,
            crc: u32::from_be_bytes(bytes_at(data, 17)),
            attributes: i16::from_be_bytes(bytes_at(data, 21)),
            last_offset_delta: i32::from_be_bytes(bytes_at(data, 23)),
            base_timestamp: i64::from_be_bytes(bytes_at(data, 27)),
            max_timestamp: i64::from_be_bytes(bytes_at(data, 35)),
            producer_id: i64::from_be_bytes(bytes_at(data, 43)),
            producer_epoch: i16::from_be_bytes(bytes_at(data, 51)),
            base_sequence: i32::from_be_bytes(bytes_at(data, 53)),
            record_count: i32::from_be_bytes(bytes_at(data, 57)),
        })
    }

    /// Total size of the batch in bytes.
    pub fn size_bytes(&self) -> usize {
        usize::try_from(self.batch_length).map_or(0, |length| length + 12)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Sequence of the last record, wrapping behind `i32::MAX` to 0; -1 without a producer id.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(last % (i64::from(i32::MAX) + 1)).unwrap_or(0)
    }

    /// Codec of the records.
    ///
    /// # Errors
    /// [`BatchError::Codec`] for a codec Kafka does not define.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_attributes(self.attributes)
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
///
/// # Errors
/// [`BatchError`]: which of the three failed.
pub fn verify(data: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(data)?;
    let size = header.size_bytes();
    if data.len() < size {
        return Err(BatchError::Truncated {
            have: data.len(),
            need: size,
        });
    }
    let computed = crc32c::crc32c(&data[CRC_FROM..size]);
    if computed != header.crc {
        return Err(BatchError::Crc {
            stored: header.crc,
            computed,
        });
    }
    Ok(header)
}

/// Stamps base offset and partition leader epoch into the batch at the start of `data`; both lie outside the CRC.
pub fn stamp(data: &mut [u8], base_offset: i64, partition_leader_epoch: i32) {
    data[0..8].copy_from_slice(&base_offset.to_be_bytes());
    data[12..16].copy_from_slice(&partition_leader_epoch.to_be_bytes());
}

/// Sets LogAppendTime and the maximum timestamp of the batch that fills `data`, and recomputes the CRC.
pub fn stamp_log_append_time(data: &mut [u8], timestamp: i64) {
    data[22] |= 0x08;
    data[35..43].copy_from_slice(&timestamp.to_be_bytes());
    write_crc(data);
}

/// Computes the CRC of the batch that fills `data` and writes it.
pub(super) fn write_crc(data: &mut [u8]) {
    let crc = crc32c::crc32c(&data[CRC_FROM..]);
    data[17..21].copy_from_slice(&crc.to_be_bytes());
}
