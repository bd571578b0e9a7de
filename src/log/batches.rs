//! Walking over the batches in a file.

use std::io;

use jackfield_env::File;
use jackfield_protocol::records::{self, BATCH_HEADER_BYTES, BatchHeader};

/// How much is read at once while verifying a segment.
const VERIFY_BYTES: usize = 256 * 1024;
/// How much is read at once while looking at headers: small batches share a read, large ones are jumped over.
const HEADER_BYTES: usize = 8 * 1024;

/// Base offsets beyond this one cannot be: sums with a delta must not overflow.
pub(crate) const LAST_POSSIBLE_OFFSET: i64 = i64::MAX - (1 << 32);

/// How closely a walk looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Headers only.
    Header,
    /// The CRC of every batch.
    Crc,
}

/// Where and why a walk over batches stopped early.
#[derive(Debug)]
pub(crate) struct WalkError {
    /// Position of the batch that could not be read: everything before it is good.
    pub(crate) position: u64,
    /// Why.
    pub(crate) message: String,
}

/// Calls `visit(position, header)` for each batch in bytes `from..end` of a segment file until it returns `false`.
pub(crate) fn walk(
    file: &dyn File,
    from: u64,
    end: u64,
    check: Check,
    mut visit: impl FnMut(u64, &BatchHeader) -> bool,
) -> Result<(), WalkError> {
    let chunk = if check == Check::Crc {
        VERIFY_BYTES
    } else {
        HEADER_BYTES
    };
    let mut position = from;
    let mut buffer = Vec::new();
    let mut buffer_at = from;
    while position < end {
        let fail = |message: String| WalkError { position, message };
        let wanted = |need: usize, buffer: &mut Vec<u8>, buffer_at: &mut u64| -> io::Result<bool> {
            let inside = position - *buffer_at;
            if (buffer.len() as u64).saturating_sub(inside) >= need as u64 {
                return Ok(true);
            }
            *buffer_at = position;
            let len = usize::try_from(end - position)
                .unwrap_or(usize::MAX)
                .min(chunk.max(need));
            fill(file, buffer, position, len)?;
            Ok(buffer.len() >= need)
        };
        let have = wanted(BATCH_HEADER_BYTES, &mut buffer, &mut buffer_at)
            .map_err(|error| fail(error.to_string()))?;
        if !have {
            return Err(fail(format!(
                "{} bytes left, less than a batch header",
                end - position
            )));
        }
        let start = usize::try_from(position - buffer_at).unwrap_or(usize::MAX);
        let header = BatchHeader::parse(&buffer[start..]).map_err(|error| fail(error.to_string()))?;
        if !(0..=LAST_POSSIBLE_OFFSET).contains(&header.base_offset) || header.last_offset_delta < 0 {
            return Err(fail(format!(
                "impossible offsets: base {}, last offset delta {}",
                header.base_offset, header.last_offset_delta
            )));
        }
        let size = header.size_bytes();
        if size as u64 > end - position {
            return Err(fail(format!(
                "batch of {size} bytes is cut at {}",
                end - position
            )));
        }
        if check == Check::Crc {
            wanted(size, &mut buffer, &mut buffer_at).map_err(|error| fail(error.to_string()))?;
            let start = usize::try_from(position - buffer_at).unwrap_or(usize::MAX);
            records::verify(&buffer[start..]).map_err(|error| fail(error.to_string()))?;
        }
        if !visit(position, &header) {
            return Ok(());
        }
        position += size as u64;
        let inside = usize::try_from(position - buffer_at).unwrap_or(usize::MAX);
        if inside > buffer.len() {
            buffer.clear();
            buffer_at = position;
        }
    }
    Ok(())
}

/// Fills `buffer` with up to `len` bytes from `position`.
pub(crate) fn fill(file: &dyn File, buffer: &mut Vec<u8>, position: u64, len: usize) -> io::Result<()> {
    buffer.resize(len, 0);
    let mut filled = 0;
    while filled < len {
        let read = file.read_at(&mut buffer[filled..], position + filled as u64)?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    buffer.truncate(filled);
    Ok(())
}
