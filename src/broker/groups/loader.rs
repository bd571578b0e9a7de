//! Brings groups and offsets back from `__consumer_offsets` when the broker opens.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_log::{PartitionLog, ReadError};
use jackfield_protocol::records::{BatchHeader, Record, records, split_batches};

use super::{
    classic::{effects::Now, group::ClassicGroup},
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
    #[error(transparent)]
    Batch(#[from] jackfield_protocol::records::BatchError),
}

/// Replays one partition. Blocking.
pub(crate) fn load(shard: &mut Shard, log: &Arc<PartitionLog>, now: Now) -> Result<(), LoadError> {
    replay(shard, log, now).map_err(|source| LoadError {
        partition: log.partition(),
        source,
    })?;
    let ids: Vec<String> = shard.groups.keys().cloned().collect();
    for id in &ids {
        shard.reschedule(id);
    }
    if !ids.is_empty() {
        tracing::info!(partition = log.partition(), groups = ids.len(), "groups loaded");
    }
    shard.log = Some(Arc::clone(log));
    Ok(())
}

fn replay(shard: &mut Shard, log: &PartitionLog, now: Now) -> Result<(), ReadFailed> {
    let mut offset = log.log_start_offset();
    while offset < log.high_watermark() {
        let Some(slice) = log.read(offset, READ_BYTES, true)?.slice else {
            break;
        };
        let start = offset;
        for batch in split_batches(slice.read()?) {
            let header = BatchHeader::parse(&batch)?;
            if !header.is_control() {
                replay_batch(shard, &batch, log.partition(), now)?;
            }
            offset = header.last_offset() + 1;
        }
        if offset == start {
            break;
        }
    }
    Ok(())
}

fn replay_batch(shard: &mut Shard, batch: &Bytes, partition: i32, now: Now) -> Result<(), ReadFailed> {
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
                    Some(entry) => entry.group = restored,
                    None => {
                        shard.groups.insert(group, Entry::new(restored));
                    }
                }
            }
            None => shard.remove(&group, now),
        },
        RecordKey::Other(kind) => tracing::debug!(kind, "record of another group protocol skipped"),
    }
    Ok(())
}
