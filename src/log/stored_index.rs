//! An index file: searched where it lies, appended to at its end, opened only while one of these is done.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use jackfield_env::{File, Files};

use jackfield_protocol::records::BATCH_HEADER_BYTES;

use crate::{batches, segment};

/// Entries that are read at once when the place is nearly found.
const BLOCK_ENTRIES: u64 = 512;

/// An entry of one of the two indexes.
pub(crate) trait Entry: Copy {
    /// Its bytes in the file.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;
    /// Suffix of the file.
    const SUFFIX: &'static str;
    fn encode(&self, base_offset: i64) -> Self::Bytes;
    fn decode(bytes: Self::Bytes, base_offset: i64) -> Option<Self>;
    /// Whether it may come directly behind `earlier`.
    fn follows(&self, earlier: &Self) -> bool;
    /// Whether it may be in the index of this segment.
    fn fits(&self, base_offset: i64, log_bytes: u64) -> bool;
}

/// See the file's header.
#[derive(Debug)]
pub(crate) struct StoredIndex<E> {
    files: Arc<dyn Files>,
    path: PathBuf,
    base_offset: i64,
    /// The file is there, and holds nothing but this index.
    is_exact: bool,
    /// Number of entries.
    len: u64,
    last: Option<E>,
    /// Whether all entries were found in order; not looked at yet when empty.
    in_order: OnceLock<bool>,
}

impl<E: Entry> StoredIndex<E> {
    const ENTRY_BYTES: usize = size_of::<E::Bytes>();

    /// One that is made by the first [`StoredIndex::append`]; what is in the file then goes.
    pub(crate) fn new(files: &Arc<dyn Files>, dir: &Path, base_offset: i64) -> Self {
        Self {
            files: Arc::clone(files),
            path: segment::path(dir, base_offset, E::SUFFIX),
            base_offset,
            is_exact: false,
            len: 0,
            last: None,
            in_order: OnceLock::new(),
        }
    }

    /// A file that is there; `None` when it cannot be read or its ends do not fit the segment.
    pub(crate) fn load(files: &Arc<dyn Files>, dir: &Path, base_offset: i64, log_bytes: u64) -> Option<Self> {
        let mut loaded = Self::new(files, dir, base_offset);
        loaded.is_exact = true;
        let file = files.open(&loaded.path, false).ok()?;
        let bytes = file.len().ok()?;
        let entry_bytes = Self::ENTRY_BYTES as u64;
        if !bytes.is_multiple_of(entry_bytes) {
            return None;
        }
        loaded.len = bytes / entry_bytes;
        if loaded.len > log_bytes / BATCH_HEADER_BYTES as u64 + 1 {
            // More than there can be batches.
            return None;
        }
        for index in [0, loaded.len.saturating_sub(1)] {
            if index < loaded.len {
                let entry = loaded.read(&*file, index, 1).ok()?.pop()?;
                if !entry.fits(base_offset, log_bytes) {
                    return None;
                }
                loaded.last = Some(entry);
            }
        }
        Some(loaded)
    }

    /// The entries at the front of a file that are `wanted`; `None` when it cannot be read or they are not in order. What is
    /// behind them goes by the first [`StoredIndex::append`].
    pub(crate) fn load_while(
        files: &Arc<dyn Files>,
        dir: &Path,
        base_offset: i64,
        wanted: impl Fn(&E) -> bool,
    ) -> Option<Self> {
        let mut loaded = Self::new(files, dir, base_offset);
        let file = files.open(&loaded.path, false).ok()?;
        let count = file.len().ok()? / Self::ENTRY_BYTES as u64;
        while loaded.len < count {
            let block = BLOCK_ENTRIES.min(count - loaded.len);
            for entry in loaded.read(&*file, loaded.len, block).ok()? {
                if !wanted(&entry) {
                    // What is behind may be anything.
                    return Some(loaded);
                }
                if loaded.last.is_some_and(|earlier| !entry.follows(&earlier)) {
                    return None;
                }
                loaded.len += 1;
                loaded.last = Some(entry);
            }
        }
        Some(loaded)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn last(&self) -> Option<E> {
        self.last
    }

    /// Writes entries behind those that are there; returns the file, to be made durable.
    pub(crate) fn append(&mut self, entries: &[E]) -> io::Result<Arc<dyn File>> {
        let file = self.files.open(&self.path, !self.is_exact)?;
        if !self.is_exact {
            file.set_len(self.len * Self::ENTRY_BYTES as u64)?;
            self.is_exact = true;
        }
        let Some(last) = entries.last() else {
            return Ok(file);
        };
        let mut content = Vec::with_capacity(entries.len() * Self::ENTRY_BYTES);
        for entry in entries {
            content.extend_from_slice(entry.encode(self.base_offset).as_ref());
        }
        file.write_all_at(&content, self.len * Self::ENTRY_BYTES as u64)?;
        self.len += entries.len() as u64;
        self.last = Some(*last);
        Ok(file)
    }

    /// The last entry that is `before`; entries that are precede those that are not. None when the file cannot be read, or
    /// is not in order: a search goes through the segment then.
    pub(crate) fn last_before(&self, before: impl Fn(&E) -> bool) -> Option<E> {
        // Reading on at the end needs no search.
        if let Some(last) = self.last.filter(&before) {
            return Some(last);
        }
        if !self.is_in_order() {
            return None;
        }
        self.search(before).unwrap_or_else(|error| {
            self.report(&error);
            None
        })
    }

    fn search(&self, before: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        let file = self.files.open(&self.path, false)?;
        // All entries below `low` are before; none from `high` on is.
        let (mut low, mut high) = (0, self.len);
        while high - low > BLOCK_ENTRIES {
            let middle = low + (high - low) / 2;
            let is_before = self.read(&*file, middle, 1)?.first().is_some_and(&before);
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let from = low.saturating_sub(1);
        let block = self.read(&*file, from, high - from)?;
        let count = block.partition_point(before);
        Ok(count.checked_sub(1).map(|index| block[index]))
    }

    /// All entries; none when the file cannot be read.
    pub(crate) fn all(&self) -> Vec<E> {
        let read = || self.read(&*self.files.open(&self.path, false)?, 0, self.len);
        if self.len == 0 || !self.is_in_order() {
            Vec::new()
        } else {
            read().unwrap_or_default()
        }
    }

    /// Whether all entries are in order. Looks through the file once.
    pub(crate) fn is_in_order(&self) -> bool {
        self.len == 0
            || *self.in_order.get_or_init(|| {
                let checked = self.check_order();
                if let Err(error) = &checked {
                    self.report(error);
                }
                checked.is_ok()
            })
    }

    fn check_order(&self) -> io::Result<()> {
        let file = self.files.open(&self.path, false)?;
        let mut earlier: Option<E> = None;
        let mut from = 0;
        while from < self.len {
            let block = self.read(&*file, from, BLOCK_ENTRIES.min(self.len - from))?;
            for (index, entry) in block.iter().enumerate() {
                if earlier.is_some_and(|earlier| !entry.follows(&earlier)) {
                    let at = (from + index as u64) * Self::ENTRY_BYTES as u64;
                    return Err(damaged(format!("the entry at byte {at} is out of order")));
                }
                earlier = Some(*entry);
            }
            from += block.len() as u64;
        }
        Ok(())
    }

    fn report(&self, error: &io::Error) {
        tracing::error!(file = %self.path.display(), %error, "index is not used: its segment is searched from the start; stop the broker and remove the file, the next start makes it anew");
    }

    fn read(&self, file: &dyn File, from: u64, count: u64) -> io::Result<Vec<E>> {
        let len = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(Self::ENTRY_BYTES);
        let mut content = Vec::new();
        batches::fill(file, &mut content, from * Self::ENTRY_BYTES as u64, len)?;
        if content.len() < len {
            return Err(damaged("is shorter than it was".to_owned()));
        }
        content
            .chunks_exact(Self::ENTRY_BYTES)
            .map(|bytes| {
                let bytes = E::Bytes::try_from(bytes).ok()?;
                E::decode(bytes, self.base_offset)
            })
            .collect::<Option<_>>()
            .ok_or_else(|| damaged("has a negative position".to_owned()))
    }
}

fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
