//! Walking over the batches in a file.

use std::io;

use jackfield_env::File;
use jackfield_protocol::records::{self, BATCH_HEADER_BYTES, BatchError, BatchHeader, CRC_FROM};

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
    /// The file could not be read, which says nothing about what is in it.
    pub(crate) unread: Option<io::Error>,
}

impl WalkError {
    /// The bytes at `position` are not the expected batch.
    pub(crate) fn at(position: u64, message: String) -> Self {
        Self {
            position,
            message,
            unread: None,
        }
    }

    /// The file could not be read there.
    pub(crate) fn unread(position: u64, error: io::Error) -> Self {
        Self {
            position,
            message: error.to_string(),
            unread: Some(error),
        }
    }

    /// Keeps apart what is bad in a file from a file that could not be read.
    pub(crate) fn of_content(self) -> io::Result<Self> {
        let Self {
            position,
            message,
            unread,
        } = self;
        unread.map_or_else(|| Ok(Self::at(position, message)), Err)
    }
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
        let fail = |message: String| WalkError::at(position, message);
        let unread = |error: io::Error| WalkError::unread(position, error);
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
        if !wanted(BATCH_HEADER_BYTES, &mut buffer, &mut buffer_at).map_err(unread)? {
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
            if size <= VERIFY_BYTES {
                wanted(size, &mut buffer, &mut buffer_at).map_err(unread)?;
                let start = usize::try_from(position - buffer_at).unwrap_or(usize::MAX);
                records::verify(&buffer[start..]).map_err(|error| fail(error.to_string()))?;
            } else {
                verify_long(file, position, &header)?;
            }
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

/// Verifies a batch in pieces: it may be long only because its length is damaged.
fn verify_long(file: &dyn File, position: u64, header: &BatchHeader) -> Result<(), WalkError> {
    let fail = |error: BatchError| WalkError::at(position, error.to_string());
    let need = header.size_bytes();
    let mut buffer = Vec::new();
    let mut computed = 0;
    let mut have = CRC_FROM;
    while have < need {
        let len = (need - have).min(VERIFY_BYTES);
        fill(file, &mut buffer, position + have as u64, len)
            .map_err(|error| WalkError::unread(position, error))?;
        have += buffer.len();
        if buffer.len() < len {
            return Err(fail(BatchError::Truncated { have, need }));
        }
        computed = crc32c::crc32c_append(computed, &buffer);
    }
    if computed != header.crc {
        let stored = header.crc;
        return Err(fail(BatchError::Crc { stored, computed }));
    }
    Ok(())
}

/// Fills `buffer` with up to `len` bytes from `position`.
pub(crate) fn fill(file: &dyn File, buffer: &mut Vec<u8>, position: u64, len: usize) -> io::Result<()> {
    buffer.resize(len, 0);
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        path::PathBuf,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use jackfield_protocol::records::{Compression, RecordBatchBuilder};

    use super::*;

    /// A file that goes on with zeros, and remembers the longest read.
    #[derive(Debug)]
    struct Sparse {
        content: Vec<u8>,
        len: u64,
        longest_read: AtomicUsize,
        path: PathBuf,
    }

    impl Sparse {
        fn new(content: Vec<u8>, len: u64) -> Self {
            Self {
                content,
                len,
                longest_read: AtomicUsize::new(0),
                path: PathBuf::new(),
            }
        }

        fn walk(&self) -> Result<(), WalkError> {
            walk(self, 0, self.len, Check::Crc, |_, _| true)
        }
    }

    impl File for Sparse {
        fn path(&self) -> &PathBuf {
            &self.path
        }
        fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize> {
            self.longest_read.fetch_max(out.len(), Ordering::Relaxed);
            let left = usize::try_from(self.len.saturating_sub(position)).unwrap();
            let read = left.min(out.len());
            out[..read].fill(0);
            let start = usize::try_from(position).unwrap().min(self.content.len());
            let known = &self.content[start..];
            let filled = known.len().min(read);
            out[..filled].copy_from_slice(&known[..filled]);
            Ok(read)
        }
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync_data(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.len)
        }
        fn as_std(&self) -> Option<&std::fs::File> {
            None
        }
    }

    fn batch(value_bytes: usize) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(Compression::None);
        builder.push(0, None, Some(&vec![7; value_bytes]), &[]);
        builder.finish().to_vec()
    }

    /// A length is only a number until the checksum says so: no memory is taken for it.
    #[test]
    fn batches_are_verified_in_bounded_memory() {
        let mut damaged = batch(10);
        // The length becomes half a gigabyte.
        damaged[8] |= 0x20;
        let file = Sparse::new(damaged, 600 << 20);
        let error = file.walk().unwrap_err();
        assert!(error.message.contains("crc mismatch"), "{}", error.message);
        assert_eq!(error.position, 0);
        assert!(file.longest_read.into_inner() <= VERIFY_BYTES);
        for bytes in [VERIFY_BYTES - 100, VERIFY_BYTES, 3 * VERIFY_BYTES + 5] {
            let mut good = batch(bytes);
            let len = good.len() as u64;
            let mut file = Sparse::new([good.clone(), good.clone()].concat(), 2 * len);
            file.walk().unwrap();
            assert!(*file.longest_read.get_mut() <= VERIFY_BYTES);
            let last = good.len() - 1;
            good[last] ^= 1;
            assert_eq!(Sparse::new(good, len).walk().unwrap_err().position, 0);
        }
    }
}
