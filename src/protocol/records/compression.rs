//! The codecs of a record batch. Decompression is capped: a small batch cannot expand without bound.

use std::io::{Read, Write};

use super::BatchError;

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

/// Magic of the framing that Java's snappy library writes (Xerial), followed by two versions.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

impl Compression {
    /// Codec of the attribute bits.
    ///
    /// # Errors
    /// [`BatchError::Codec`] for a codec Kafka does not define.
    pub fn from_attributes(attributes: i16) -> Result<Self, BatchError> {
        match attributes & 0x07 {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(BatchError::Codec(other)),
        }
    }

    /// Attribute bits of the codec.
    pub fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec named as in `compression.type`; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" | "uncompressed" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses the records section of a batch, at most `max` bytes.
    pub(super) fn decompress(self, data: &[u8], max: usize) -> Result<Vec<u8>, BatchError> {
        match self {
            Self::None => Ok(data.to_vec()),
            Self::Gzip => read_capped(flate2::read::GzDecoder::new(data), max, "gzip"),
            Self::Snappy => decompress_snappy(data, max),
            Self::Lz4 => read_capped(lz4_flex::frame::FrameDecoder::new(data), max, "lz4"),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(data)
                    .map_err(|error| BatchError::Invalid(format!("zstd: {error}")))?;
                read_capped(decoder, max, "zstd")
            }
        }
    }

    /// Compresses the records section of a batch.
    pub(super) fn compress(self, data: &[u8]) -> Vec<u8> {
        let written = match self {
            Self::None => Ok(data.to_vec()),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(data).and_then(|()| encoder.finish())
            }
            Self::Snappy => Ok(compress_snappy(data)),
            Self::Lz4 => {
                let mut info = lz4_flex::frame::FrameInfo::new();
                info.block_size = lz4_flex::frame::BlockSize::Max64KB;
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(data).and_then(|()| {
                    encoder
                        .finish()
                        .map_err(|error| std::io::Error::other(error.to_string()))
                })
            }
            Self::Zstd => zstd::stream::encode_all(data, 0),
        };
        written.expect("compressing into memory cannot fail")
    }
}

fn read_capped(reader: impl Read, max: usize, codec: &str) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    let read = reader
        .take(max as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| BatchError::Invalid(format!("{codec}: {error}")))?;
    if read > max {
        return Err(too_large(codec, max));
    }
    Ok(out)
}

fn too_large(codec: &str, max: usize) -> BatchError {
    BatchError::Invalid(format!("{codec}: batch expands to more than {max} bytes"))
}

fn decompress_snappy(data: &[u8], max: usize) -> Result<Vec<u8>, BatchError> {
    if !data.starts_with(&XERIAL_MAGIC) {
        return snappy_block(data, max);
    }
    let cut = || BatchError::Invalid("snappy: cut block".to_owned());
    let mut rest = data.get(16..).ok_or_else(cut)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut())?;
        let block = tail.get(..length).ok_or_else(cut)?;
        out.extend_from_slice(&snappy_block(block, max - out.len())?);
        rest = &tail[length..];
    }
    Ok(out)
}

fn snappy_block(block: &[u8], max: usize) -> Result<Vec<u8>, BatchError> {
    let invalid = |error: snap::Error| BatchError::Invalid(format!("snappy: {error}"));
    if snap::raw::decompress_len(block).map_err(invalid)? > max {
        return Err(too_large("snappy", max));
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(invalid)
}

fn compress_snappy(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 2 + 64);
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1_u32.to_be_bytes());
    out.extend_from_slice(&1_u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in data.chunks(XERIAL_BLOCK_BYTES) {
        let compressed = encoder
            .compress_vec(block)
            .expect("a 32 KiB block is always compressible");
        out.extend_from_slice(&u32::try_from(compressed.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    out
}
