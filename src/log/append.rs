//! Appending: validation outside the lock, sequence checks, stamping, one write.
//!
//! Validation follows Kafka's `LogValidator` for batches of magic 2.

use bytes::BytesMut;
use jackfield_protocol::records::{self, BatchError, BatchHeader};

use crate::{
    AppendError, LogConfig, RECORD_ERRORS_MAX, RecordError, partition_log::PartitionLog,
    producer_state::Check, segment, snapshots, state::State,
};

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client: all validation applies.
    Client,
    /// A coordinator of this broker (internal topics, control batches allowed).
    Coordinator,
}

/// Result of an append. It is acknowledged when the high watermark has passed `last_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// First offset (of the original append when it was a duplicate).
    pub base_offset: i64,
    /// Last offset.
    pub last_offset: i64,
    /// Log append time, -1 under CreateTime.
    pub log_append_time: i64,
    /// Log start offset at that time.
    pub log_start_offset: i64,
}

/// A record without a timestamp has this one.
const NO_TIMESTAMP: i64 = -1;

/// Decompressing for validation stops here; no topic takes larger batches.
const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Codec(codec) => Self::UnsupportedCompression(codec),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

/// Checks every batch of `data` and returns their headers.
fn validate(
    data: &[u8],
    origin: AppendOrigin,
    config: &LogConfig,
    now_ms: i64,
) -> Result<Vec<BatchHeader>, AppendError> {
    if origin == AppendOrigin::Client && data.len() as u64 > config.segment_bytes {
        // Larger than any segment may become (`segment.bytes`).
        return Err(AppendError::TooLarge {
            size: data.len(),
            max: usize::try_from(config.segment_bytes).unwrap_or(usize::MAX),
        });
    }
    let mut headers = Vec::with_capacity(1);
    let mut position = 0;
    while position < data.len() {
        let header = records::verify(&data[position..])?;
        let size = header.size_bytes();
        check_header(&header, origin, config)?;
        if origin == AppendOrigin::Client {
            check_records(&data[position..position + size], &header, config, now_ms)?;
        }
        headers.push(header);
        position += size;
    }
    match &headers[..] {
        [] => invalid("no record batch".to_owned()),
        [_] => Ok(headers),
        // Kafka takes one batch per partition and request; sequences are checked batch by batch.
        several if several.iter().any(BatchHeader::has_producer_id) => invalid(format!(
            "{} batches at once from an idempotent producer",
            several.len()
        )),
        _ => Ok(headers),
    }
}

fn invalid<T>(message: String) -> Result<T, AppendError> {
    Err(AppendError::InvalidRecord(message))
}

fn check_header(header: &BatchHeader, origin: AppendOrigin, config: &LogConfig) -> Result<(), AppendError> {
    header.compression()?;
    if header.record_count <= 0 || header.last_offset_delta != header.record_count - 1 {
        return invalid(format!(
            "record count {} does not fit last offset delta {}",
            header.record_count, header.last_offset_delta
        ));
    }
    if header.has_producer_id() && !header.is_control() && header.base_sequence < 0 {
        return invalid(format!(
            "base sequence {} with a producer id",
            header.base_sequence
        ));
    }
    if origin == AppendOrigin::Coordinator {
        return Ok(());
    }
    if header.is_control() {
        return invalid("clients may not write control batches".to_owned());
    }
    if header.size_bytes() > config.max_message_bytes {
        return Err(AppendError::TooLarge {
            size: header.size_bytes(),
            max: config.max_message_bytes,
        });
    }
    if header.is_log_append_time() {
        // Producers may not set the timestamp type.
        return Err(AppendError::InvalidTimestamp(header.max_timestamp));
    }
    Ok(())
}

/// Checks single records where the topic's settings ask for it.
fn check_records(
    batch: &[u8],
    header: &BatchHeader,
    config: &LogConfig,
    now_ms: i64,
) -> Result<(), AppendError> {
    let latest = now_ms.saturating_add(config.message_timestamp_after_max_ms);
    let is_late = !config.log_append_time && header.max_timestamp > latest;
    let bounded = !config.log_append_time && config.message_timestamp_before_max_ms != i64::MAX;
    if !config.compact && !bounded && !is_late {
        return Ok(());
    }
    let earliest = now_ms.saturating_sub(config.message_timestamp_before_max_ms);
    let mut errors = Vec::new();
    records::for_each(batch, MAX_DECOMPRESSED_BYTES, |record| {
        let is_timestamp = (bounded || is_late)
            && record.timestamp != NO_TIMESTAMP
            && !(earliest..=latest).contains(&record.timestamp);
        let message = if config.compact && record.key.is_none() {
            "no key, which a compacted topic requires".to_owned()
        } else if is_timestamp {
            format!(
                "timestamp {} is not within [{earliest}, {latest}]",
                record.timestamp
            )
        } else {
            return Ok::<_, AppendError>(());
        };
        errors.push(RecordError {
            index: i32::try_from(record.offset - header.base_offset).unwrap_or(i32::MAX),
            message,
            is_timestamp,
        });
        // A small compressed batch may hold millions.
        if errors.len() == RECORD_ERRORS_MAX {
            return Err(AppendError::Records(std::mem::take(&mut errors)));
        }
        Ok(())
    })?;
    if !errors.is_empty() {
        return Err(AppendError::Records(errors));
    }
    if is_late {
        // No record says so, the header lies.
        return Err(AppendError::InvalidTimestamp(header.max_timestamp));
    }
    Ok(())
}

impl PartitionLog {
    /// Validates and appends one or more whole batches, stamping offsets and leader epoch in place. Returns when
    /// the bytes are written; they are acknowledged when [`PartitionLog::high_watermark`] passes them
    /// ([`PartitionLog::committed`] waits for that). The file write is short and blocking.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was appended.
    pub fn append(&self, mut batches: BytesMut, origin: AppendOrigin) -> Result<Appended, AppendError> {
        let now_ms = self.env.clock.now_ms();
        let config = self.config();
        let mut headers = validate(&batches, origin, &config, now_ms)?;
        let mut state = self.lock();
        self.check_online(&state)?;
        if let Some(duplicate) = self.check_producers(&mut state, &headers, &config)? {
            return Ok(duplicate);
        }
        let log_append_time = if config.log_append_time { now_ms } else { -1 };
        let base_offset = state.log_end_offset;
        let epoch = state.epochs.last().map_or(0, |(epoch, _)| *epoch);
        stamp_all(&mut batches, &mut headers, base_offset, epoch, log_append_time);
        let last_offset = headers.last().map_or(base_offset, BatchHeader::last_offset);
        let max_timestamp = headers
            .iter()
            .map(|header| header.max_timestamp)
            .max()
            .unwrap_or(-1);
        if state
            .active()
            .must_roll(&config, batches.len(), max_timestamp, last_offset, now_ms)
        {
            self.roll(&mut state)
                .map_err(|error| self.storage_error("rolling the segment", &error))?;
        }
        self.write(&mut state, &batches)?;
        for header in &headers {
            state.active().account(header, config.index_interval_bytes);
            state.producers.record(header, now_ms);
        }
        state.spill_indexes(&self.env.files);
        state.log_end_offset = last_offset + 1;
        self.submit_or_advance(state);
        Ok(Appended {
            base_offset,
            last_offset,
            log_append_time,
            log_start_offset: self.log_start_offset(),
        })
    }

    /// Sequence checks of idempotent producers; the original append when the batch is a duplicate.
    fn check_producers(
        &self,
        state: &mut State,
        headers: &[BatchHeader],
        config: &LogConfig,
    ) -> Result<Option<Appended>, AppendError> {
        let [header] = headers else { return Ok(None) };
        if !header.has_producer_id() || header.is_control() {
            return Ok(None);
        }
        let verdict = match state.producers.check(header) {
            Err(AppendError::DuplicateSequence(_) | AppendError::OutOfOrderSequence { .. }) => {
                snapshots::recall(state, self.env.clock.now_ms());
                state.producers.check(header)
            }
            other => other,
        };
        match verdict? {
            Check::Append => Ok(None),
            Check::Duplicate {
                base_offset,
                last_offset,
                timestamp,
            } => Ok(Some(Appended {
                base_offset,
                last_offset,
                log_append_time: if config.log_append_time { timestamp } else { -1 },
                log_start_offset: self.log_start_offset(),
            })),
        }
    }

    /// Writes at the end of the active segment. A failed write leaves nothing behind.
    fn write(&self, state: &mut State, batches: &[u8]) -> Result<(), AppendError> {
        let active = state.active();
        let (file, size) = (std::sync::Arc::clone(&active.file), active.size);
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is("ack-before-write") && self.topic() == "kept" {
            crate::planted::write_later(std::sync::Arc::clone(&file), batches.to_vec(), size);
            state.touch(file);
            return Ok(());
        }
        if let Err(error) = file.write_all_at(batches, size) {
            // What was written of it lies behind the end; recovery would cut it too.
            if let Err(cut) = file.set_len(size) {
                tracing::warn!(file = %file.path().display(), error = %cut, "torn write could not be cut");
            }
            return Err(self.storage_error("write", &error));
        }
        state.touch(file);
        Ok(())
    }

    /// Starts a new segment at the log end offset.
    pub(crate) fn roll(&self, state: &mut State) -> std::io::Result<()> {
        let files = &*self.env.files;
        let (dir, base_offset) = (state.dir.clone(), state.log_end_offset);
        state.cut_rest()?;
        for file in state.active().write_indexes(&self.env.files, &dir)? {
            state.touch(file);
        }
        let snapshot = files.open(&segment::path(&dir, base_offset, "snapshot"), true)?;
        snapshot.set_len(0)?;
        snapshot.write_all_at(&state.producers.encode(), 0)?;
        state.touch(snapshot);
        // Nothing may fail behind the new file: a segment that is on disk but not in use would hide what is appended to
        // the one before.
        let directory = files.open_dir(&dir)?;
        let fresh =
            segment::Segment::open(files, &dir, base_offset, self.env.clock.now_ms()).or_else(|error| {
                files
                    .remove_file(&segment::path(&dir, base_offset, "log"))
                    .and(Err(error))
            })?;
        state.touch(directory);
        state.segments.push(fresh);
        state.rolled = true;
        Ok(())
    }

    /// Maps a failed file operation: what is short may be there again, so the producer retries; everything else takes the
    /// directory offline.
    pub(crate) fn storage_error(&self, what: &str, error: &std::io::Error) -> AppendError {
        let message = format!("{what} in {}-{} failed: {error}", self.topic(), self.partition());
        if is_shortage(error) {
            tracing::warn!(topic = self.topic(), partition = self.partition(), error = %error, "no room to append");
        } else {
            self.fail(message.clone());
        }
        AppendError::Storage(message)
    }
}

/// Whether space, quota, memory or file descriptors have run out: nothing is broken.
pub(crate) fn is_shortage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded) || is_shortage_of_process(error)
}

/// Whether memory or file descriptors have run out, wherever the file is.
pub(crate) fn is_shortage_of_process(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let out_of = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| out_of.contains(&errno))
}

/// Gives consecutive offsets to all batches, and the append time when the topic wants it.
fn stamp_all(
    data: &mut [u8],
    headers: &mut [BatchHeader],
    base_offset: i64,
    epoch: i32,
    log_append_time: i64,
) {
    let mut rest = data;
    let mut next = base_offset;
    for header in headers {
        let (batch, tail) = rest.split_at_mut(header.size_bytes());
        if log_append_time >= 0 {
            records::stamp_log_append_time(batch, log_append_time);
            header.max_timestamp = log_append_time;
            header.attributes |= 0x08;
        }
        records::stamp(batch, next, epoch);
        header.base_offset = next;
        header.partition_leader_epoch = epoch;
        next = header.last_offset() + 1;
        rest = tail;
    }
}
