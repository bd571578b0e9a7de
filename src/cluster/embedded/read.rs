//! Reading a topic from its start to its end of now.

use jackfield_broker::PartitionLog;
use jackfield_protocol::records::{BatchHeader, Record, records, split_batches};

use crate::{ClusterError, TopicPartition};

/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;
/// Most bytes a batch may decompress to.
pub(crate) const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// All records of one partition below its current end. Blocking reads.
pub(crate) fn partition_to_end(
    log: &PartitionLog,
    partition: &TopicPartition,
    out: &mut Vec<(i32, Record)>,
) -> Result<(), ClusterError> {
    if log.is_offline() {
        // It is not known what is in it.
        return log
            .read(0, 0, true)
            .map(drop)
            .map_err(|error| ClusterError::read(&error, partition));
    }
    let end = log.high_watermark();
    let mut offset = log.log_start_offset();
    while offset < end {
        let fetched = log
            .read(offset, READ_BYTES, true)
            .map_err(|error| ClusterError::read(&error, partition))?;
        let Some(slice) = fetched.slice else { return Ok(()) };
        let data = slice
            .read()
            .map_err(|error| ClusterError::damaged(&error, partition))?;
        let start = offset;
        for batch in split_batches(data) {
            let header =
                BatchHeader::parse(&batch).map_err(|error| ClusterError::batch(&error, partition))?;
            if !header.is_control() {
                let decoded = records(&batch, BATCH_BYTES_MAX);
                for record in decoded.map_err(|error| ClusterError::batch(&error, partition))? {
                    let record = record.map_err(|error| ClusterError::batch(&error, partition))?;
                    if record.offset >= start && record.offset < end {
                        out.push((partition.partition, record));
                    }
                }
            }
            offset = header.last_offset() + 1;
        }
        if offset == start {
            return Ok(());
        }
    }
    Ok(())
}
