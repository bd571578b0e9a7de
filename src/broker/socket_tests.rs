//! The broker over real sockets: requests in every version, order, limits, hostile peers.

mod admin;
mod configs;
mod deletions;
mod durability;
mod groups;
mod harness;
mod hostile;
mod missing;
mod produce_fetch;
mod reads;
mod restarts;
mod topic_changes;
mod topics;
mod versions;
