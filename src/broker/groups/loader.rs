//! Brings groups and offsets back from `__consumer_offsets` when the broker opens. What is damaged is skipped: without
//! the rest nobody could read anything.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use jackfield_log::{PartitionLog, ReadError};
use jackfield_protocol::records::{BATCH_HEADER_BYTES, BatchError, BatchHeader, Record, records, verify};

use super::{
    classic::{effects::Now, group::ClassicGroup},
    consumer::{records::ConsumerRecord, settings::ConsumerSettings},
    group::Group,
    records::{GroupValue, OffsetValue, RecordError, RecordKey},
    shard::{Entry, Shard},
};

/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;
/// Most bytes a batch may decompress to.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The offsets topic cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot load __consumer_offsets-{partition}")]
pub struct LoadError {
    partition: i32,
    #[source]
    source: ReadFailed,
}

#[derive(Debug, thiserror::Error)]
enum ReadFailed {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// What lies at an offset.
enum Found {
    /// A run of batches.
    Batches(Bytes),
    /// Something that cannot be read.
    Damage(String),
    /// Nothing more.
    End,
}

/// Replays one partition. Blocking.
pub(crate) fn load(
    shard: &mut Shard,
    log: &Arc<PartitionLog>,
    settings_of: &dyn Fn(&str) -> ConsumerSettings,
    now: Now,
) -> Result<(), LoadError> {
    replay(shard, log, now).map_err(|source| LoadError {
        partition: log.partition(),
        source,
    })?;
    let ids: Vec<String> = shard.groups.keys().cloned().collect();
    for id in &ids {
        shard.start_sessions(id, &settings_of(id), now);
        shard.reschedule(id);
    }
    if !ids.is_empty() {
        tracing::info!(partition = log.partition(), groups = ids.len(), "groups loaded");
    }
    shard.log = Some(Arc::clone(log));
    for id in &ids {
        shard.shrink_classic_group(id, now);
    }
    Ok(())
}

fn replay(shard: &mut Shard, log: &PartitionLog, now: Now) -> Result<(), ReadFailed> {
    let mut offset = log.log_start_offset();
    while offset < log.high_watermark() {
        let next = match read(log, offset)? {
            Found::End => break,
            Found::Batches(data) => replay_batches(shard, data, log, offset, now),
            Found::Damage(error) => {
                report(log, offset, &error);
                offset
            }
        };
        offset = if next > offset {
            next
        } else {
            behind_damage(log, offset)
        };
    }
    Ok(())
}

fn report(log: &PartitionLog, offset: i64, error: &str) {
    tracing::error!(
        partition = log.partition(),
        offset,
        error,
        "__consumer_offsets is damaged: groups and offsets stored here are lost"
    );
}

fn read(log: &PartitionLog, offset: i64) -> Result<Found, ReadFailed> {
    let mut damage = String::new();
    // Damage further on does not hide the first batch.
    for max_bytes in [READ_BYTES, 1] {
        match log.read(offset, max_bytes, true) {
            Ok(fetched) => {
                let data = fetched.slice.map(|slice| slice.read()).transpose()?;
                return Ok(data.map_or(Found::End, Found::Batches));
            }
            Err(ReadError::Damaged(error)) => damage = error,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Found::Damage(damage))
}

/// First offset behind `damaged` at which a batch is found, looked for in growing and then in halved steps.
fn behind_damage(log: &PartitionLog, damaged: i64) -> i64 {
    let end = log.high_watermark();
    let is_readable = |offset| offset >= end || log.read(offset, 1, true).is_ok();
    let (mut bad, mut step) = (damaged, 1);
    let mut good = loop {
        let next = damaged.saturating_add(step).min(end);
        if is_readable(next) {
            break next;
        }
        bad = next;
        step *= 2;
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if is_readable(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

/// Replays a run of batches that begins at `offset`; returns the offset behind the last that was found.
fn replay_batches(shard: &mut Shard, mut data: Bytes, log: &PartitionLog, offset: i64, now: Now) -> i64 {
    let end = log.high_watermark();
    let mut next = offset;
    while !data.is_empty() {
        let Some(header) = whole_batch(&data) else {
            report(log, next, "no batch begins here");
            let Some(at) = next_good_batch(&data) else { break };
            data.advance(at);
            continue;
        };
        let batch = data.split_to(header.size_bytes());
        if let Err(error) = replay_batch(shard, &batch, log.partition(), now) {
            report(log, next, &error.to_string());
        }
        let behind = header.last_offset().saturating_add(1);
        if behind <= end {
            next = next.max(behind);
        }
    }
    next
}

fn whole_batch(data: &[u8]) -> Option<BatchHeader> {
    let header = BatchHeader::parse(data).ok()?;
    (BATCH_HEADER_BYTES..=data.len())
        .contains(&header.size_bytes())
        .then_some(header)
}

/// Where the next batch with a right CRC begins.
fn next_good_batch(data: &[u8]) -> Option<usize> {
    (1..data.len()).find(|at| {
        let rest = &data[*at..];
        whole_batch(rest).is_some_and(|header| verify(&rest[..header.size_bytes()]).is_ok())
    })
}

fn replay_batch(shard: &mut Shard, batch: &Bytes, partition: i32, now: Now) -> Result<(), BatchError> {
    if verify(batch)?.is_control() {
        return Ok(());
    }
    for record in records(batch, BATCH_BYTES_MAX)? {
        let record = record?;
        if let Err(error) = replay_record(shard, &record, now) {
            tracing::warn!(partition, offset = record.offset, %error, "a group record is not understood and skipped");
        }
    }
    Ok(())
}

fn replay_record(shard: &mut Shard, record: &Record, now: Now) -> Result<(), RecordError> {
    let key = RecordKey::decode(record.key.as_deref().ok_or(RecordError::Malformed("no key"))?)?;
    match key {
        RecordKey::Offset {
            group,
            topic,
            partition,
        } => {
            let value = record.value.as_deref().map(OffsetValue::decode).transpose()?;
            shard.restore_offset(group, &topic, partition, value, now);
        }
        RecordKey::Group { group } => match record.value.as_deref().map(GroupValue::decode).transpose()? {
            Some(value) => {
                let restored = ClassicGroup::restored(&group, value, now);
                match shard.groups.get_mut(&group) {
                    Some(entry) => entry.group = Group::Classic(restored),
                    None => {
                        shard.groups.insert(group, Entry::new(Group::Classic(restored)));
                    }
                }
            }
            None => shard.restore_end(&group, now),
        },
        RecordKey::Consumer { group, key } => {
            let record = ConsumerRecord::decode(key, record.value.as_deref())?;
            shard.restore_consumer(group, record, now);
        }
        RecordKey::Other(kind) => tracing::debug!(kind, "record of another group protocol skipped"),
    }
    Ok(())
}
