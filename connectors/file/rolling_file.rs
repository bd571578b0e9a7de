//! One file of the sink's rolling mode while it grows.

use jackfield_api::ConnectError;

use crate::{
    compression::{Compression, Encoder},
    output::Output,
    sink_config::RollLimits,
    sink_rolling::Settings,
};

/// Encoded bytes are written when there are so many.
const WRITE_BYTES: usize = 64 << 10;

/// See the file's header.
pub(crate) struct RollingFile {
    /// Offset of its first record.
    first: i64,
    output: Output,
    encoder: Encoder,
    /// Whether what is written can be read before the encoder has ended a member.
    compressed: bool,
    records: u64,
    /// When the first record came, in milliseconds since the epoch.
    since: u64,
}

impl RollingFile {
    /// A new, empty file.
    pub(crate) fn begin(first: i64, output: Output, settings: &Settings) -> Self {
        Self::resume(first, output, 0, (settings.clock)(), settings)
    }

    /// A file that ends at a committed position.
    pub(crate) fn resume(first: i64, output: Output, records: u64, since: u64, settings: &Settings) -> Self {
        Self {
            first,
            output,
            encoder: Encoder::new(settings.compression),
            compressed: settings.compression != Compression::None,
            records,
            since,
        }
    }

    /// Offset of the first record.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// Records in it.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// When the first record came, in milliseconds since the epoch.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// Bytes in the file.
    pub(crate) fn position(&self) -> u64 {
        self.output.length()
    }

    /// Takes a record or, with an error, nothing of it.
    pub(crate) fn take(&mut self, text: &[u8]) -> Result<(), ConnectError> {
        // What could not be written before is kept, and no more is taken on top of it.
        if self.encoder.output_bytes() >= WRITE_BYTES {
            self.write_all()?;
        }
        let encoded = self.encoder.write(text);
        encoded.map_err(|cause| ConnectError::fatal(format!("cannot compress: {cause}")))?;
        self.records += 1;
        Ok(())
    }

    /// Writes what others can read already.
    pub(crate) fn write_out(&mut self) -> Result<(), ConnectError> {
        if self.compressed && self.encoder.output_bytes() < WRITE_BYTES {
            return Ok(());
        }
        self.write_all()
    }

    /// Makes everything durable and readable.
    pub(crate) fn make_safe(&mut self) -> Result<(), ConnectError> {
        let ended = self.encoder.end();
        ended.map_err(|cause| ConnectError::fatal(format!("cannot compress: {cause}")))?;
        self.write_all()?;
        self.output.sync()
    }

    /// Whether the file has reached the size or the number of records where it ends.
    pub(crate) fn is_full(&self, limits: &RollLimits) -> bool {
        let bytes = self.output.length() + self.encoder.output_bytes() as u64;
        limits.bytes.is_some_and(|limit| bytes >= limit)
            || limits.records.is_some_and(|limit| self.records >= limit)
    }

    /// Whether the file has reached the age where it ends.
    pub(crate) fn is_old(&self, limits: &RollLimits, now: u64) -> bool {
        let age = now.saturating_sub(self.since);
        limits
            .interval
            .is_some_and(|limit| u128::from(age) >= limit.as_millis())
    }

    fn write_all(&mut self) -> Result<(), ConnectError> {
        let encoded = self.encoder.output();
        self.output.append(encoded)?;
        encoded.clear();
        Ok(())
    }
}

impl std::fmt::Debug for RollingFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "RollingFile({:?}, {} records from offset {})",
            self.output, self.records, self.first
        )
    }
}
