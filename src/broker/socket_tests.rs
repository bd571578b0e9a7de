//! The broker over real sockets: requests in every version, order, limits, hostile peers.

mod admin;
mod durability;
mod groups;
mod harness;
mod hostile;
mod produce_fetch;
mod reads;
mod restarts;
mod topics;
mod versions;
