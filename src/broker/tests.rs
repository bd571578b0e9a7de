//! The broker over real sockets: requests in every version, order, limits, hostile peers.

mod harness;
mod produce_fetch;
