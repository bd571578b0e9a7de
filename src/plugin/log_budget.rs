//! How much a plugin may write to the worker's log, in lines and in bytes: a burst, and a rate after that. What is beyond is
//! left out and counted, and the log says how much it was.

use std::time::{Duration, Instant};

/// Lines at once, and per second after that.
const BURST_LINES: f64 = 1_000.0;
const LINES_PER_SECOND: f64 = 100.0;
/// Bytes at once, and per second after that.
const BURST_BYTES: f64 = 1024.0 * 1024.0;
const BYTES_PER_SECOND: f64 = 64.0 * 1024.0;
/// Between two lines about what was left out.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What one writer may write.
#[derive(Debug)]
pub(crate) struct LogBudget {
    lines: f64,
    bytes: f64,
    at: Instant,
    left_out: LeftOut,
    reported: Option<Instant>,
}

/// What was not written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is written, behind a line about what was left out before it when that is to be told now.
    Write(Option<LeftOut>),
    LeaveOut,
}

impl LogBudget {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            lines: BURST_LINES,
            bytes: BURST_BYTES,
            at: now,
            left_out: LeftOut::default(),
            reported: None,
        }
    }

    /// Takes a line of so many bytes from it.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Verdict {
        let earned = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.lines = (self.lines + earned * LINES_PER_SECOND).min(BURST_LINES);
        self.bytes = (self.bytes + earned * BYTES_PER_SECOND).min(BURST_BYTES);
        #[allow(clippy::cast_precision_loss, reason = "a line has far fewer bytes than 2^52")]
        let wanted = bytes as f64;
        if self.lines < 1.0 || self.bytes < wanted {
            self.left_out.lines += 1;
            self.left_out.bytes += bytes as u64;
            return Verdict::LeaveOut;
        }
        self.lines -= 1.0;
        self.bytes -= wanted;
        let told_lately = |at: Instant| now.saturating_duration_since(at) < REPORT_INTERVAL;
        if self.reported.is_some_and(told_lately) {
            return Verdict::Write(None);
        }
        let left_out = self.take_left_out();
        if left_out.is_some() {
            self.reported = Some(now);
        }
        Verdict::Write(left_out)
    }

    /// What was left out and not told yet.
    pub(crate) fn take_left_out(&mut self) -> Option<LeftOut> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out != LeftOut::default()).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_burst_are_counted_and_told_once_a_second() {
        let start = Instant::now();
        let mut budget = LogBudget::new(start);
        let written = (0..5_000)
            .filter(|_| budget.take(10, start) == Verdict::Write(None))
            .count();
        assert_eq!(written, 1_000);
        let (lines, bytes) = (4_000, 40_000);
        let later = start + Duration::from_millis(100);
        assert_eq!(
            budget.take(10, later),
            Verdict::Write(Some(LeftOut { lines, bytes }))
        );
        assert_eq!(budget.take(10, later), Verdict::Write(None));
        for _ in 0..20 {
            budget.take(10, later);
        }
        let (lines, bytes) = (12, 120);
        assert_eq!(budget.take_left_out(), Some(LeftOut { lines, bytes }));
        assert_eq!(budget.take_left_out(), None);
    }

    #[test]
    fn few_long_lines_use_it_up_too() {
        let start = Instant::now();
        let mut budget = LogBudget::new(start);
        let written = (0..500)
            .filter(|_| budget.take(8 * 1024, start) == Verdict::Write(None))
            .count();
        assert_eq!(written, 128);
        let later = start + Duration::from_secs(1);
        assert!(matches!(budget.take(8 * 1024, later), Verdict::Write(Some(_))));
    }
}
