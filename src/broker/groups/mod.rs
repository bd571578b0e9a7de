//! The group coordinator: groups and their offsets, event-sourced over `__consumer_offsets`.
//!
//! `classic` and `consumer` hold the two protocols as pure state machines. `shard` appends what it decides and hands out its answers,
//! `coordinator` is the async face of both; answers leave when the records before them are durable. `records`,
//! `consumer_protocol` and `placement` are Java's formats. Wire structs of requests are unknown here.

mod classic;
mod cleanup;
mod commits;
mod config;
mod consumer;
mod consumer_members;
pub mod consumer_protocol;
mod consumer_steps;
mod coordinator;
mod describe;
mod error;
mod group;
mod loader;
mod members;
mod offsets;
mod placement;
mod records;
mod shard;
#[cfg(test)]
mod tests;
mod wire_format;

pub use classic::{
    effects::{JoinRefused, JoinRequest, Joined, JoinedMember, LeavingMember, SyncRequest, Synced},
    member::Protocol,
};
pub use commits::{CommitRequest, FetchedOffset, GroupPartition, OffsetToCommit};
pub use config::{GroupConfigs, GroupsConfig, LookUp};
pub use consumer::{
    describe::{DescribedConsumerGroup, DescribedConsumerMember, DescribedTopic},
    heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatAnswer},
    outcome::Refusal,
    settings::{Assignor, ConsumerSettings, MigrationPolicy},
};
pub use coordinator::{Groups, OFFSETS_TOPIC};
pub use describe::{CLASSIC, CONSUMER, DescribedGroup, DescribedMember, ListedGroup};
pub use error::GroupError;
pub use loader::LoadError;
