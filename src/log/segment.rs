//! One segment: a `.log` file with its indexes, and the bookkeeping that decides index entries and rolls.
//!
//! The rules are those of Kafka's `LogSegment`: an index entry goes in front of the first batch that finds more than
//! `index.interval.bytes` written since the last one. The segment knows neither locks nor acknowledgement.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_env::{File, Files};
use jackfield_protocol::records::BatchHeader;

use crate::{
    LogConfig,
    batches::{Check, WalkError, walk},
    index::{Indexes, OffsetEntry, TimeEntry},
    lazy_file::LazyFile,
    verified::Verified,
};

/// Offsets that no readable batch has, and the bytes where it should be: damage that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) start: u64,
    /// Where the next good batch starts, or the end of the file. Where it is `start`, offsets are missing without a trace:
    /// lost, or compacted away.
    pub(crate) end: u64,
    /// First offset that is lost.
    pub(crate) first_offset: i64,
    /// Offset of the next good batch.
    pub(crate) next_offset: i64,
    pub(crate) cause: String,
}

/// A segment of a log.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) file: Arc<dyn File>,
    /// Bytes of whole batches.
    pub(crate) size: u64,
    pub(crate) indexes: Indexes,
    pub(crate) max_timestamp: i64,
    pub(crate) offset_of_max_timestamp: i64,
    /// Largest timestamp of the first batch, which decides rolls by age.
    pub(crate) first_timestamp: Option<i64>,
    pub(crate) created_ms: i64,
    /// Damaged ranges, in order; almost always none.
    pub(crate) holes: Vec<Hole>,
    pub(crate) verified: Verified,
    /// Recovery can go on from this position, at most.
    pub(crate) marked: u64,
    bytes_since_index: u64,
    /// The index files are those of `indexes`.
    indexes_on_disk: bool,
}

/// Path of a segment's file.
pub(crate) fn path(dir: &Path, base_offset: i64, suffix: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{suffix}"))
}

/// Base offset of a segment or snapshot file name with this suffix.
pub(crate) fn base_offset_of(name: &str, suffix: &str) -> Option<i64> {
    let stem = name.strip_suffix(suffix)?.strip_suffix('.')?;
    (stem.len() == 20).then(|| stem.parse().ok()).flatten()
}

impl Segment {
    /// Opens or creates the `.log` file; `size` is the file's length. Indexes are empty.
    pub(crate) fn open(files: &dyn Files, dir: &Path, base_offset: i64, now_ms: i64) -> io::Result<Self> {
        let file = files.open(&path(dir, base_offset, "log"), true)?;
        let size = file.len()?;
        Ok(Self::new(file, base_offset, size, now_ms))
    }

    /// A segment whose `.log` file is there and `size` bytes long; it is opened when it is first used.
    pub(crate) fn lazily(
        files: &Arc<dyn Files>,
        dir: &Path,
        base_offset: i64,
        size: u64,
        now_ms: i64,
    ) -> Self {
        let file = LazyFile::new(files, path(dir, base_offset, "log"));
        Self::new(file, base_offset, size, now_ms)
    }

    fn new(file: Arc<dyn File>, base_offset: i64, size: u64, created_ms: i64) -> Self {
        Self {
            base_offset,
            file,
            size,
            indexes: Indexes::default(),
            max_timestamp: -1,
            offset_of_max_timestamp: -1,
            first_timestamp: None,
            created_ms,
            holes: Vec::new(),
            verified: Verified::none(size),
            marked: 0,
            bytes_since_index: 0,
            indexes_on_disk: false,
        }
    }

    /// A segment of whose file nothing is known.
    pub(crate) fn over(file: Arc<dyn File>, base_offset: i64, created_ms: i64) -> Self {
        Self::new(file, base_offset, 0, created_ms)
    }

    /// Lets go of the open file unless somebody reads it; it is opened again when it is used.
    pub(crate) fn close_unused(&mut self, files: &Arc<dyn Files>) {
        if Arc::strong_count(&self.file) == 1 {
            self.file = LazyFile::new(files, self.file.path().clone());
        }
    }

    /// Takes over what was found in the first `length` bytes, which end at offset `end`.
    pub(crate) fn take_over(&mut self, mut found: Self, length: u64, end: i64) {
        if self.size > length {
            found.indexes.extend(&self.indexes, length, end);
        }
        if self.offset_of_max_timestamp < end {
            self.max_timestamp = found.max_timestamp;
            self.offset_of_max_timestamp = found.offset_of_max_timestamp;
        }
        self.indexes = found.indexes;
        self.first_timestamp = found.first_timestamp.or(self.first_timestamp);
        self.holes = found.holes;
        self.verified = found.verified;
        self.indexes_on_disk = false;
    }

    /// Forgets everything but the file; what is in it is accounted again.
    pub(crate) fn reset(&mut self) {
        self.size = 0;
        self.indexes = Indexes::default();
        self.max_timestamp = -1;
        self.offset_of_max_timestamp = -1;
        self.first_timestamp = None;
        self.holes.clear();
        self.marked = 0;
        self.bytes_since_index = 0;
        self.indexes_on_disk = false;
    }

    /// Jumps over damaged bytes.
    pub(crate) fn skip(&mut self, hole: Hole) {
        self.size = hole.end;
        self.holes.push(hole);
        self.indexes_on_disk = false;
    }

    /// Notes that offsets are missing at the segment's end.
    pub(crate) fn lose(&mut self, first_offset: i64, next_offset: i64) {
        self.holes.push(Hole {
            start: self.size,
            end: self.size,
            first_offset,
            next_offset,
            cause: "batches are missing".to_owned(),
        });
    }

    /// Whether there are bytes that no batch can be read from.
    pub(crate) fn is_damaged(&self) -> bool {
        self.holes.iter().any(|hole| hole.start < hole.end)
    }

    /// The next index entry comes as late as in a segment that was just opened (Kafka counts from there, too).
    pub(crate) fn restart_index_interval(&mut self) {
        self.bytes_since_index = 0;
    }

    /// The ranges from `from` on that hold whole batches.
    pub(crate) fn good_ranges(&self, from: u64) -> Vec<(u64, u64)> {
        let mut ranges = Vec::with_capacity(self.holes.len() + 1);
        let mut start = from;
        for hole in self.holes.iter().filter(|hole| hole.end > from) {
            ranges.push((start, hole.start.max(start)));
            start = hole.end;
        }
        ranges.push((start, self.size.max(start)));
        ranges
    }

    /// Age by its newest record; by the time it was opened when no record has a timestamp.
    pub(crate) fn age_ms(&self, now_ms: i64) -> i64 {
        let newest = if self.max_timestamp >= 0 {
            self.max_timestamp
        } else {
            self.created_ms
        };
        now_ms.saturating_sub(newest)
    }

    /// Whether `batch` would not fit: by size, age of the first batch, index size or relative offsets.
    pub(crate) fn must_roll(
        &self,
        config: &LogConfig,
        bytes: usize,
        max_timestamp: i64,
        last_offset: i64,
        now_ms: i64,
    ) -> bool {
        let age = match self.first_timestamp {
            Some(first) if first >= 0 => max_timestamp.saturating_sub(first),
            _ => now_ms.saturating_sub(self.created_ms),
        };
        let index_entries = config.segment_index_bytes / 8;
        let time_entries = config.segment_index_bytes / 12;
        let (offsets, times) = self.indexes.lens();
        self.size > 0
            && (self.size + bytes as u64 > config.segment_bytes
                || age > config.segment_ms - self.jitter_ms(config)
                || offsets >= index_entries
                || times + 1 >= time_entries
                || last_offset - self.base_offset > i64::from(i32::MAX))
    }

    /// By how much this segment is rolled earlier, so that the segments of many partitions are not rolled together.
    fn jitter_ms(&self, config: &LogConfig) -> i64 {
        let most = config.segment_jitter_ms.min(config.segment_ms);
        if most <= 0 {
            return 0;
        }
        i64::from(crc32c::crc32c(self.file.path().as_os_str().as_encoded_bytes())) % most
    }

    /// Accounts for a batch that lies at the end of the segment.
    pub(crate) fn account(&mut self, header: &BatchHeader, index_interval_bytes: u64) {
        self.indexes_on_disk = false;
        let last_offset = header.last_offset();
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.offset_of_max_timestamp = last_offset;
        }
        self.first_timestamp.get_or_insert(header.max_timestamp);
        if self.bytes_since_index > index_interval_bytes {
            self.indexes.append_offset(OffsetEntry {
                offset: last_offset,
                position: self.size,
            });
            self.indexes
                .maybe_append_time(self.max_timestamp, self.offset_of_max_timestamp);
            self.bytes_since_index = 0;
        }
        self.size += header.size_bytes() as u64;
        self.bytes_since_index += header.size_bytes() as u64;
    }

    /// Writes both index files with the closing time index entry; returns the files, to be made durable: none
    /// when they are there since the log was opened. A damaged segment gets none, so that the damage is found, and reported, at every start.
    pub(crate) fn write_indexes(
        &mut self,
        files: &Arc<dyn Files>,
        dir: &Path,
    ) -> io::Result<Vec<Arc<dyn File>>> {
        if self.is_damaged() {
            for suffix in ["index", "timeindex"] {
                files.remove_file(&path(dir, self.base_offset, suffix))?;
            }
            return Ok(Vec::new());
        }
        if self.indexes_on_disk {
            return Ok(Vec::new());
        }
        self.indexes
            .maybe_append_time(self.max_timestamp, self.offset_of_max_timestamp);
        let written = self.indexes.spill(files, dir, self.base_offset)?;
        self.indexes_on_disk = true;
        Ok(written)
    }

    /// Moves index entries to their files when there are many in memory. A damaged segment has no index files.
    pub(crate) fn spill_indexes(&mut self, files: &Arc<dyn Files>, dir: &Path) {
        if self.indexes.should_spill()
            && !self.is_damaged()
            && let Err(error) = self.indexes.spill(files, dir, self.base_offset)
        {
            tracing::debug!(file = %self.file.path().display(), %error, "index entries stay in memory");
        }
    }

    /// Loads the index files of a cleanly closed segment; `false` when they are missing or do not fit.
    pub(crate) fn load_indexes(&mut self, files: &Arc<dyn Files>, dir: &Path) -> bool {
        let Some(indexes) = Indexes::load(files, dir, self.base_offset, self.size) else {
            return false;
        };
        self.indexes = indexes;
        if let Some(last) = self.indexes.last_time() {
            self.max_timestamp = last.timestamp;
            self.offset_of_max_timestamp = last.offset;
        }
        self.indexes_on_disk = true;
        true
    }

    /// Reads the first batch's timestamp after [`Segment::load_indexes`], and continues the bookkeeping of the tail:
    /// returns the offset behind the last batch.
    ///
    /// # Errors
    /// Batches and indexes do not fit each other.
    pub(crate) fn load_tail(&mut self) -> Result<i64, WalkError> {
        let last = self.indexes.last_offset();
        let mut next = self.base_offset;
        let mut newest = self.indexes.last_time();
        self.walk_from(last, |_, header| {
            next = header.last_offset() + 1;
            newest.take_if(|time| time.is_of(header));
            true
        })?;
        if self.size > 0 {
            walk(&*self.file, 0, self.size, Check::Header, |_, header| {
                self.first_timestamp = Some(header.max_timestamp);
                false
            })?;
        }
        if let Some(time) = newest {
            self.check_newest(&self.indexes, time)?;
        }
        self.restart_index_interval();
        self.marked = self.size;
        Ok(next)
    }

    /// Whether there is a batch with the newest timestamp of the time index, which decides what is too old to be kept.
    fn check_newest(&self, indexes: &Indexes, time: TimeEntry) -> Result<(), WalkError> {
        let mut found = false;
        let before = indexes.entry_before(time.offset - 1);
        self.walk_from(before, |_, header| {
            found = time.is_of(header);
            header.last_offset() < time.offset
        })?;
        if found {
            return Ok(());
        }
        Err(WalkError::at(
            0,
            format!(
                "no batch has timestamp {} at offset {}",
                time.timestamp, time.offset
            ),
        ))
    }

    /// Goes back to what the index files say of the batches before offset `mark`, which are on disk. Returns the base offset
    /// of the batch at the segment's end then; `None`, and nothing has changed, when segment and indexes do not agree.
    pub(crate) fn resume(&mut self, files: &Arc<dyn Files>, dir: &Path, mark: i64) -> Option<i64> {
        let indexes = Indexes::load_before(files, dir, self.base_offset, mark)?;
        let (entry, time) = (indexes.last_offset()?, indexes.last_time()?);
        let header_at = |position| {
            let mut found = None;
            let walked = walk(&*self.file, position, self.size, Check::Header, |_, header| {
                found = Some(*header);
                false
            });
            walked.ok().and(found)
        };
        let first = header_at(0)?;
        let indexed = header_at(entry.position).filter(|header| header.last_offset() == entry.offset)?;
        self.check_newest(&indexes, time).ok()?;
        self.reset();
        self.indexes = indexes;
        self.size = entry.position;
        self.marked = entry.position;
        self.max_timestamp = time.timestamp;
        self.offset_of_max_timestamp = time.offset;
        self.first_timestamp = Some(first.max_timestamp);
        Some(indexed.base_offset)
    }

    /// Walks over headers from an index entry on, which must be right.
    fn walk_from(
        &self,
        entry: Option<OffsetEntry>,
        mut visit: impl FnMut(u64, &BatchHeader) -> bool,
    ) -> Result<(), WalkError> {
        let mut anchor = entry;
        let mut next = self.base_offset;
        let mut misfit = None;
        let from = entry.map_or(0, |entry| entry.position);
        walk(&*self.file, from, self.size, Check::Header, |position, header| {
            let right = anchor
                .take()
                .is_none_or(|entry| entry.offset == header.last_offset());
            if !right || header.base_offset < next {
                misfit = Some(WalkError::at(
                    position,
                    format!("base offset {} does not fit", header.base_offset),
                ));
                return false;
            }
            next = header.last_offset() + 1;
            visit(position, header)
        })?;
        misfit.map_or(Ok(()), Err)
    }
}
