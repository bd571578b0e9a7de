//! The port over the broker core in the same process: functions instead of requests, no socket, nothing encoded.
//!
//! Appends go straight into the partitions' logs and fetches read them; sink tasks are real members of their group.

mod append;
mod cluster;
mod errors;
mod fetcher;
mod group_consumer;
mod group_offsets;
mod membership;
mod read;
mod source_producer;
mod subscription;
#[cfg(test)]
mod tests;

pub use cluster::EmbeddedCluster;
pub(crate) use errors::is_group_in_use;
