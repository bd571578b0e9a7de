//! Kafka's wire protocol: frames, version table, guarded decoding, record batch v2. Sans-IO.
//!
//! Most messages are decoded by the `kafka-protocol` crate after [`guard::check`]; Produce and Fetch are parsed by hand
//! with [`reader::Reader`], so that record bytes are neither copied nor decoded. This crate knows no sockets, no files
//! and no topics.

pub mod frame;
pub mod guard;
pub mod reader;
pub mod records;
pub mod versions;
