//! The broker over real sockets: requests in every version, order, limits, hostile peers.

mod admin;
mod configs;
mod consumer_groups;
mod deletions;
mod durability;
mod fetch_sessions;
mod groups;
mod harness;
mod hostile;
mod kept_configs;
mod missing;
mod produce_fetch;
mod quorum;
mod reads;
mod restarts;
mod topic_changes;
mod topics;
mod versions;
