//! Durations of one kind, sorted: median, percentiles, ends.

use std::time::Duration;

/// See the file's header.
#[derive(Debug, Clone)]
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Zero when nothing was measured.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of samples is far below 2^52, and a percentile is positive"
    )]
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * percent / 100.0).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50.0)
    }

    /// Median, 99th percentile, lowest and highest, in milliseconds.
    pub(crate) fn line(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        format!(
            "median {:>8.2} ms  p99 {:>8.2} ms  ({:.2}–{:.2})",
            ms(self.median()),
            ms(self.percentile(99.0)),
            ms(self.percentile(0.0)),
            ms(self.percentile(100.0))
        )
    }
}
