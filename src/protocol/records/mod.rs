//! Record batch v2 (magic 2): a view that reads headers without decoding, readers, and a builder.
//!
//! Format: the record batch section of Kafka's protocol guide (KIP-98). Nothing here knows requests or files.

mod builder;
mod compression;
mod header;
mod partitioner;
mod reader;
#[cfg(test)]
mod reference_tests;
mod varint;

pub use builder::RecordBatchBuilder;
pub use compression::Compression;
pub use header::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, CRC_FROM, stamp, stamp_log_append_time, verify,
};
pub use partitioner::partition_for_key;
pub use reader::{Record, RecordView, Records, for_each, records, split_batches};
