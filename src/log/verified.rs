//! Which bytes of a segment may be served without a look at them: those this process wrote or verified.

use std::ops::Range;

/// Ranges remembered per segment. Readers that go forward merge theirs; who jumps about in more places verifies again.
const MOST_RANGES: usize = 64;

/// Bytes of a segment that were verified, from one batch boundary to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// In order; they neither touch nor overlap.
    ranges: Vec<Range<u64>>,
    /// Everything from here on was written by this process, or verified.
    tail: u64,
}

impl Verified {
    /// Of a file with `len` bytes that somebody else wrote.
    pub(crate) fn none(len: u64) -> Self {
        Self {
            ranges: Vec::new(),
            tail: len,
        }
    }

    /// Everything from `position` on, now and in future.
    pub(crate) fn from(position: u64) -> Self {
        Self {
            ranges: Vec::new(),
            tail: position,
        }
    }

    /// Whether all bytes are verified, whatever is appended.
    pub(crate) fn is_all(&self) -> bool {
        self.tail == 0
    }

    /// Whether these bytes are.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        let end = range.end.min(self.tail);
        let held = |known: &Range<u64>| known.start <= range.start && end <= known.end;
        range.start >= end || self.ranges.iter().any(held)
    }

    /// These bytes are verified now.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        let mut merged = range;
        self.ranges.retain(|known| {
            let apart = known.end < merged.start || merged.end < known.start;
            if !apart {
                merged = known.start.min(merged.start)..known.end.max(merged.end);
            }
            apart
        });
        if merged.end >= self.tail {
            self.tail = self.tail.min(merged.start);
            return;
        }
        if self.ranges.len() == MOST_RANGES {
            self.ranges.remove(0);
        }
        let at = self.ranges.partition_point(|known| known.start < merged.start);
        self.ranges.insert(at, merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut verified = Verified::none(100);
        assert!(verified.covers(&(100..150)) && verified.covers(&(5..5)));
        assert!(!verified.covers(&(90..110)) && !verified.is_all());
        verified.add(10..20);
        verified.add(30..40);
        assert!(verified.covers(&(10..20)) && !verified.covers(&(10..40)));
        verified.add(20..30);
        assert!(verified.covers(&(12..38)) && !verified.covers(&(9..12)));
        verified.add(60..120);
        assert!(verified.covers(&(60..1_000)) && !verified.covers(&(59..61)));
        verified.add(0..10);
        verified.add(40..60);
        assert!(verified.is_all() && verified.covers(&(0..u64::MAX)));
    }

    #[test]
    fn what_is_forgotten_is_verified_again() {
        let mut verified = Verified::none(10_000);
        for n in 0..=MOST_RANGES as u64 {
            verified.add(n * 10..n * 10 + 5);
        }
        assert!(!verified.covers(&(0..5)));
        let last = MOST_RANGES as u64 * 10;
        assert!(verified.covers(&(10..15)) && verified.covers(&(last..last + 5)));
    }
}
