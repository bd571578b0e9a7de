//! Sparse offset and time indexes of a segment.
//!
//! Both live in memory while their segment is open and are written as whole files when the segment is rolled or the log
//! is closed; after an unclean stop they are rebuilt from the log. Formats: 8 bytes (relative offset i32, position i32)
//! and 12 bytes (timestamp i64, relative offset i32) per entry, as Kafka's `OffsetIndex` and `TimeIndex`.

use jackfield_protocol::records::BatchHeader;

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

/// Both indexes of one segment.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    pub(crate) offsets: Vec<OffsetEntry>,
    pub(crate) times: Vec<TimeEntry>,
}

impl Indexes {
    /// The last indexed batch that starts at or before the batch holding `offset`.
    pub(crate) fn entry_before(&self, offset: i64) -> Option<OffsetEntry> {
        // An entry names the last offset of its batch: a batch with a smaller last offset lies before `offset`.
        let after = self.offsets.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).map(|index| self.offsets[index])
    }

    /// The last indexed batch that starts at or before byte `position`.
    pub(crate) fn entry_at(&self, position: u64) -> Option<OffsetEntry> {
        let after = self.offsets.partition_point(|entry| entry.position <= position);
        after.checked_sub(1).map(|index| self.offsets[index])
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
        let after = self.times.partition_point(|entry| entry.timestamp < timestamp);
        after.checked_sub(1).map(|index| self.times[index])
    }

    /// Appends to the time index when the timestamp is larger than the last one (`TimeIndex.maybeAppend`).
    pub(crate) fn maybe_append_time(&mut self, timestamp: i64, offset: i64) {
        let last = self.times.last().map_or(-1, |entry| entry.timestamp);
        if timestamp > last {
            self.times.push(TimeEntry { timestamp, offset });
        }
    }

    /// Contents of the two files.
    pub(crate) fn encode(&self, base_offset: i64) -> (Vec<u8>, Vec<u8>) {
        let relative = |offset: i64| {
            i32::try_from(offset - base_offset)
                .unwrap_or(i32::MAX)
                .to_be_bytes()
        };
        let mut offsets = Vec::with_capacity(self.offsets.len() * 8);
        for entry in &self.offsets {
            offsets.extend_from_slice(&relative(entry.offset));
            offsets.extend_from_slice(&i32::try_from(entry.position).unwrap_or(i32::MAX).to_be_bytes());
        }
        let mut times = Vec::with_capacity(self.times.len() * 12);
        for entry in &self.times {
            times.extend_from_slice(&entry.timestamp.to_be_bytes());
            times.extend_from_slice(&relative(entry.offset));
        }
        (offsets, times)
    }

    /// Reads both files of a segment of `log_bytes`; `None` when they do not fit it (they are rebuilt then).
    pub(crate) fn decode(offsets: &[u8], times: &[u8], base_offset: i64, log_bytes: u64) -> Option<Self> {
        if !offsets.len().is_multiple_of(8) || !times.len().is_multiple_of(12) {
            return None;
        }
        let mut indexes = Self::default();
        for entry in offsets.chunks_exact(8) {
            let (relative, position) = entry.split_first_chunk::<4>()?;
            let position = i32::from_be_bytes(position.try_into().ok()?);
            indexes.offsets.push(OffsetEntry {
                offset: base_offset + i64::from(i32::from_be_bytes(*relative)),
                position: u64::try_from(position).ok()?,
            });
        }
        for entry in times.chunks_exact(12) {
            let (timestamp, relative) = entry.split_first_chunk::<8>()?;
            let relative = i32::from_be_bytes(relative.try_into().ok()?);
            indexes.times.push(TimeEntry {
                timestamp: i64::from_be_bytes(*timestamp),
                offset: base_offset + i64::from(relative),
            });
        }
        let ordered = indexes
            .offsets
            .windows(2)
            .all(|w| w[0].offset < w[1].offset && w[0].position < w[1].position)
            && indexes
                .times
                .windows(2)
                .all(|w| w[0].timestamp < w[1].timestamp && w[0].offset <= w[1].offset)
            && indexes
                .offsets
                .last()
                .is_none_or(|entry| entry.position < log_bytes)
            && indexes
                .offsets
                .first()
                .is_none_or(|entry| entry.offset >= base_offset);
        ordered.then_some(indexes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups() {
        let mut indexes = Indexes::default();
        for (offset, position) in [(10, 100), (20, 200), (30, 300)] {
            indexes.offsets.push(OffsetEntry { offset, position });
            indexes.maybe_append_time(offset * 10, offset);
        }
        indexes.maybe_append_time(250, 40);
        for (offset, expected) in [(0, 0), (9, 0), (10, 100), (11, 100), (20, 200), (99, 300)] {
            assert_eq!(indexes.position_before(offset), expected, "{offset}");
        }
        assert_eq!(indexes.times.len(), 3);
        let before = |timestamp| indexes.time_before(timestamp).map(|entry| entry.offset);
        assert_eq!(before(100), None);
        assert_eq!(before(101), Some(10));
        assert_eq!(indexes.batch_start_before(250), 200);
        let (offsets, times) = indexes.encode(5);
        let back = Indexes::decode(&offsets, &times, 5, 1000).unwrap();
        assert_eq!((back.offsets, back.times), (indexes.offsets, indexes.times));
        assert!(
            Indexes::decode(&offsets, &times, 5, 300).is_none(),
            "beyond the log"
        );
        assert!(Indexes::decode(&offsets[1..], &times, 5, 1000).is_none(), "cut");
    }
}
