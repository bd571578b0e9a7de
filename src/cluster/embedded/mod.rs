//! The port over the broker core in the same process: functions instead of requests, no socket, nothing encoded.
//!
//! Appends go straight into the partitions' logs and fetches read them; sink tasks are real members of their group.

mod append;
mod cluster;
mod errors;
mod fetcher;
mod group_consumer;
mod membership;
mod read;
mod source_producer;
mod subscription;
#[cfg(test)]
mod tests;

pub use cluster::EmbeddedCluster;
