//! Sparse offset and time indexes of a segment.
//!
//! The newest entries live in memory; they are appended to the files when there are many, and when the segment is rolled or
//! the log is closed. What is in the files is searched there, so that memory does not grow with the log. After an unclean
//! stop the indexes are rebuilt from the log. Formats: 8 bytes (relative offset i32, position i32) and 12 bytes
//! (timestamp i64, relative offset i32) per entry, as Kafka's `OffsetIndex` and `TimeIndex`.

use std::{io, path::Path, sync::Arc};

use jackfield_env::{File, Files};
use jackfield_protocol::records::BatchHeader;

use crate::stored_index::{Entry, StoredIndex};

/// Entries in memory beyond which they go to the files: those of half a megabyte of log, or more.
const SPILL_ENTRIES: usize = 128;

/// One entry of the offset index: the batch whose last offset is `offset` starts at `position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: i64,
    pub(crate) position: u64,
}

/// One entry of the time index: `offset` is the last one of the batch with the largest timestamp so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

impl TimeEntry {
    /// Whether it is what the time index says of this batch.
    pub(crate) fn is_of(&self, header: &BatchHeader) -> bool {
        (header.base_offset..=header.last_offset()).contains(&self.offset)
            && header.max_timestamp == self.timestamp
    }
}

fn relative(offset: i64, base_offset: i64) -> [u8; 4] {
    i32::try_from(offset - base_offset)
        .unwrap_or(i32::MAX)
        .to_be_bytes()
}

impl Entry for OffsetEntry {
    type Bytes = [u8; 8];
    const SUFFIX: &'static str = "index";

    fn encode(&self, base_offset: i64) -> [u8; 8] {
        let mut out = [0; 8];
        out[..4].copy_from_slice(&relative(self.offset, base_offset));
        out[4..].copy_from_slice(&i32::try_from(self.position).unwrap_or(i32::MAX).to_be_bytes());
        out
    }

    fn decode(bytes: [u8; 8], base_offset: i64) -> Option<Self> {
        let [a, b, c, d, position @ ..] = bytes;
        Some(Self {
            offset: base_offset + i64::from(i32::from_be_bytes([a, b, c, d])),
            position: u64::try_from(i32::from_be_bytes(position)).ok()?,
        })
    }

    fn follows(&self, earlier: &Self) -> bool {
        earlier.offset < self.offset && earlier.position < self.position
    }

    fn fits(&self, base_offset: i64, log_bytes: u64) -> bool {
        self.offset >= base_offset && self.position < log_bytes
    }
}

impl Entry for TimeEntry {
    type Bytes = [u8; 12];
    const SUFFIX: &'static str = "timeindex";

    fn encode(&self, base_offset: i64) -> [u8; 12] {
        let mut out = [0; 12];
        out[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..].copy_from_slice(&relative(self.offset, base_offset));
        out
    }

    fn decode(bytes: [u8; 12], base_offset: i64) -> Option<Self> {
        let (timestamp, relative) = bytes.split_first_chunk::<8>()?;
        let relative = i32::from_be_bytes(relative.try_into().ok()?);
        Some(Self {
            timestamp: i64::from_be_bytes(*timestamp),
            offset: base_offset + i64::from(relative),
        })
    }

    fn follows(&self, earlier: &Self) -> bool {
        earlier.timestamp < self.timestamp && earlier.offset <= self.offset
    }

    fn fits(&self, base_offset: i64, _: u64) -> bool {
        self.offset >= base_offset
    }
}

/// One index: what is in its file, and behind that what is in memory.
#[derive(Debug)]
struct Index<E> {
    stored: Option<StoredIndex<E>>,
    newest: Vec<E>,
}

impl<E> Default for Index<E> {
    fn default() -> Self {
        Self {
            stored: None,
            newest: Vec::new(),
        }
    }
}

impl<E: Entry> Index<E> {
    /// The last entry that is `before`; entries that are precede those that are not.
    fn last_before(&self, before: impl Fn(&E) -> bool) -> Option<E> {
        let count = self.newest.partition_point(&before);
        if let Some(index) = count.checked_sub(1) {
            return Some(self.newest[index]);
        }
        self.stored.as_ref()?.last_before(before)
    }

    fn last(&self) -> Option<E> {
        let stored = || self.stored.as_ref().and_then(StoredIndex::last);
        self.newest.last().copied().or_else(stored)
    }

    fn len(&self) -> u64 {
        self.stored.as_ref().map_or(0, StoredIndex::len) + self.newest.len() as u64
    }

    /// All entries; those in the file only when it can be read.
    fn all(&self) -> Vec<E> {
        let stored = self.stored.as_ref().map(StoredIndex::all);
        let mut entries = stored.unwrap_or_default();
        entries.extend_from_slice(&self.newest);
        entries
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self, files: &Arc<dyn Files>, dir: &Path, base_offset: i64) -> io::Result<Arc<dyn File>> {
        let stored = self
            .stored
            .get_or_insert_with(|| StoredIndex::new(files, dir, base_offset));
        let file = stored.append(&self.newest)?;
        self.newest = Vec::new();
        Ok(file)
    }
}

/// Both indexes of one segment.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    offsets: Index<OffsetEntry>,
    times: Index<TimeEntry>,
}

impl Indexes {
    /// The last indexed batch that starts at or before the batch holding `offset`.
    pub(crate) fn entry_before(&self, offset: i64) -> Option<OffsetEntry> {
        // An entry names the last offset of its batch: a batch with a smaller last offset lies before `offset`.
        self.offsets.last_before(|entry| entry.offset <= offset)
    }

    /// The last indexed batch that starts at or before byte `position`.
    pub(crate) fn entry_at(&self, position: u64) -> Option<OffsetEntry> {
        self.offsets.last_before(|entry| entry.position <= position)
    }

    /// Position of [`Indexes::entry_before`]; 0 without one.
    pub(crate) fn position_before(&self, offset: i64) -> u64 {
        self.entry_before(offset).map_or(0, |entry| entry.position)
    }

    /// Position of [`Indexes::entry_at`]; 0 without one.
    pub(crate) fn batch_start_before(&self, position: u64) -> u64 {
        self.entry_at(position).map_or(0, |entry| entry.position)
    }

    /// The last entry before the first record with a timestamp of at least `timestamp`.
    pub(crate) fn time_before(&self, timestamp: i64) -> Option<TimeEntry> {
        self.times.last_before(|entry| entry.timestamp < timestamp)
    }

    /// The last entry of the offset index.
    pub(crate) fn last_offset(&self) -> Option<OffsetEntry> {
        self.offsets.last()
    }

    /// The last entry of the time index.
    pub(crate) fn last_time(&self) -> Option<TimeEntry> {
        self.times.last()
    }

    /// Entries of the offset index and of the time index.
    pub(crate) fn lens(&self) -> (u64, u64) {
        (self.offsets.len(), self.times.len())
    }

    /// Appends to the offset index.
    pub(crate) fn append_offset(&mut self, entry: OffsetEntry) {
        self.offsets.newest.push(entry);
    }

    /// Appends to the time index when the timestamp is larger than the last one (`TimeIndex.maybeAppend`).
    pub(crate) fn maybe_append_time(&mut self, timestamp: i64, offset: i64) {
        let last = self.times.last().map_or(-1, |entry| entry.timestamp);
        if timestamp > last {
            self.times.newest.push(TimeEntry { timestamp, offset });
        }
    }

    /// Takes over from an older index of the same segment what it has of batches from byte `position`, offset `offset` on.
    pub(crate) fn extend(&mut self, older: &Self, position: u64, offset: i64) {
        let offsets = older.offsets.all();
        let newer = offsets.into_iter().filter(|entry| entry.position >= position);
        self.offsets.newest.extend(newer);
        for time in older.times.all().iter().filter(|time| time.offset >= offset) {
            self.maybe_append_time(time.timestamp, time.offset);
        }
    }

    /// Whether there are enough entries in memory to be moved to the files.
    pub(crate) fn should_spill(&self) -> bool {
        self.offsets.newest.len() >= SPILL_ENTRIES
    }

    /// Moves the entries in memory to the files; returns these, to be made durable.
    pub(crate) fn spill(
        &mut self,
        files: &Arc<dyn Files>,
        dir: &Path,
        base_offset: i64,
    ) -> io::Result<Vec<Arc<dyn File>>> {
        Ok(vec![
            self.offsets.spill(files, dir, base_offset)?,
            self.times.spill(files, dir, base_offset)?,
        ])
    }

    /// Those in the files of a segment of `log_bytes`; `None` when these are missing or do not fit it (they are rebuilt
    /// then). Only their ends are looked at; whether what is between is in order is checked at the first search in it.
    pub(crate) fn load(files: &Arc<dyn Files>, dir: &Path, base_offset: i64, log_bytes: u64) -> Option<Self> {
        let offsets = StoredIndex::<OffsetEntry>::load(files, dir, base_offset, log_bytes)?;
        let times = StoredIndex::<TimeEntry>::load(files, dir, base_offset, log_bytes)?;
        if log_bytes > 0 && times.len() == 0 {
            return None;
        }
        Some(Self {
            offsets: Index {
                stored: Some(offsets),
                newest: Vec::new(),
            },
            times: Index {
                stored: Some(times),
                newest: Vec::new(),
            },
        })
    }

    /// Those in the files that speak of batches before offset `mark`; `None` when they are missing or not in order. The rest
    /// of the files goes when something is appended.
    pub(crate) fn load_before(
        files: &Arc<dyn Files>,
        dir: &Path,
        base_offset: i64,
        mark: i64,
    ) -> Option<Self> {
        let offsets =
            StoredIndex::<OffsetEntry>::load_while(files, dir, base_offset, |entry| entry.offset < mark)?;
        let last = offsets.last()?.offset;
        let times =
            StoredIndex::<TimeEntry>::load_while(files, dir, base_offset, |entry| entry.offset <= last)?;
        let loaded = Self {
            offsets: Index {
                stored: Some(offsets),
                newest: Vec::new(),
            },
            times: Index {
                stored: Some(times),
                newest: Vec::new(),
            },
        };
        loaded.are_in_order().then_some(loaded)
    }

    /// Whether the files are in order from end to end.
    pub(crate) fn are_in_order(&self) -> bool {
        self.offsets.stored.as_ref().is_none_or(StoredIndex::is_in_order)
            && self.times.stored.as_ref().is_none_or(StoredIndex::is_in_order)
    }
}

#[cfg(test)]
mod tests {
    use jackfield_env::RealFiles;

    use super::*;

    const BASE: i64 = 5;

    /// Entries at offsets 10, 20, … and positions 100, 200, …, moved to the files behind every `spill_each`.
    fn filled(files: &Arc<dyn Files>, dir: &Path, count: i64, spill_each: i64) -> Indexes {
        let mut indexes = Indexes::default();
        for n in 1..=count {
            indexes.append_offset(OffsetEntry {
                offset: n * 10,
                position: u64::try_from(n).unwrap() * 100,
            });
            indexes.maybe_append_time(n * 100, n * 10);
            if n % spill_each == 0 {
                indexes.spill(files, dir, BASE).unwrap();
            }
        }
        indexes
    }

    #[test]
    fn lookups_are_the_same_in_memory_and_in_files() {
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        for spill_each in [i64::MAX, 1, 2, 7, 3_000] {
            let dir = tempfile::tempdir().unwrap();
            let indexes = filled(&files, dir.path(), 3_000, spill_each);
            for (offset, expected) in [
                (0, 0),
                (9, 0),
                (10, 100),
                (11, 100),
                (20, 200),
                (19_999, 199_900),
                (99_999, 300_000),
            ] {
                assert_eq!(
                    indexes.position_before(offset),
                    expected,
                    "{offset}, {spill_each}"
                );
            }
            assert_eq!(indexes.batch_start_before(99), 0);
            assert_eq!(indexes.batch_start_before(250), 200);
            let before = |timestamp| indexes.time_before(timestamp).map(|entry| entry.offset);
            assert_eq!(
                (before(100), before(101), before(i64::MAX)),
                (None, Some(10), Some(30_000))
            );
            assert_eq!(indexes.lens(), (3_000, 3_000));
            assert_eq!(indexes.last_offset().unwrap().offset, 30_000);
        }
    }

    #[test]
    fn a_smaller_timestamp_is_no_entry() {
        let mut indexes = Indexes::default();
        indexes.maybe_append_time(300, 30);
        indexes.maybe_append_time(250, 40);
        assert_eq!(indexes.lens(), (0, 1));
    }

    #[test]
    fn files_are_loaded_when_they_fit() {
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("{BASE:020}.index"));
        // An older, longer file must leave nothing behind.
        std::fs::write(&path, vec![7; 4_000]).unwrap();
        let written = filled(&files, dir.path(), 300, 100);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 300 * 8);
        let load = |log_bytes| Indexes::load(&files, dir.path(), BASE, log_bytes);
        let loaded = load(100_000).unwrap();
        assert!(loaded.are_in_order());
        assert_eq!(
            (loaded.lens(), loaded.last_time()),
            (written.lens(), written.last_time())
        );
        assert_eq!(loaded.position_before(1_234), 12_300);
        assert!(load(30_000).is_none(), "beyond the log");
        let mut content = std::fs::read(&path).unwrap();
        content.swap(8 * 150 + 3, 8 * 10 + 3);
        std::fs::write(&path, &content).unwrap();
        let disordered = load(100_000).unwrap();
        assert!(!disordered.are_in_order());
        assert_eq!(disordered.position_before(1_234), 0, "nothing in it is believed");
        std::fs::write(&path, &content[1..]).unwrap();
        assert!(load(100_000).is_none(), "cut");
        std::fs::remove_file(&path).unwrap();
        assert!(load(100_000).is_none(), "gone");
    }
}
