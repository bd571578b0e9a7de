//! Commit log of one partition in Kafka's on-disk format: segments, indexes, producer state, recovery, retention.
//!
//! A record batch is stored verbatim; only its base offset and leader epoch are stamped. An append is acknowledged when
//! a commit round has made it durable ([`PartitionLog::committed`]); only acknowledged records can be read. This crate
//! knows files and batches; it knows no network, no topic configuration keys and no groups.

mod append;
mod batches;
mod checkpoint;
mod commit;
mod config;
mod copies;
mod creation;
mod delete_records;
mod describe;
mod epochs;
mod errors;
mod examine;
mod identity;
mod index;
mod known;
mod lazy_file;
mod leftovers;
mod maintenance;
mod manager;
mod marks;
mod opening;
mod partition_log;
mod place;
#[cfg(feature = "planted-bugs")]
mod planted;
mod producer_state;
mod read;
mod recovery;
mod salvage;
mod segment;
mod snapshots;
mod state;
mod stored_index;
#[cfg(test)]
mod tests;
mod timestamps;
mod trust;
mod verified;
mod verify;
mod verify_partition;

pub use append::{AppendOrigin, Appended};
pub use config::{Durability, LogConfig, LogManagerConfig, TopicId};
pub use describe::LogDir;
pub use errors::{AppendError, CreateError, OpenError, RECORD_ERRORS_MAX, ReadError, RecordError};
pub use manager::{Changing, LogManager};
pub use partition_log::PartitionLog;
pub use producer_state::ActiveProducer;
pub use read::{Fetched, FileSlice};
pub use timestamps::TimestampOffset;
pub use verify::{FileKind, Finding, Totals, Verification, VerifyError, verify};
