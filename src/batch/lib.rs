//! The record batch that crosses plugin boundaries: format, builder, validated reader, typed values.
//!
//! One flat batch per call goes from a source to the worker and from the worker to a sink: the same bytes in process,
//! through the C ABI and through a component's `list<u8>`. Connectors never see the layout, they use [`BatchBuilder`]
//! and [`Batch`]. This crate has no dependencies, does no I/O, knows no JSON and no Kafka protocol.
//!
//! # Format "JFB", version 1
//!
//! All numbers are little endian. Records come first and the tables last, so that a batch is written front to back
//! without a copy.
//!
//! ```text
//! batch     = "JFB" | u8 major = 1 | u16 flags = 0 | u16 topics | u16 partitions | u16 schemas
//!           | u32 records | u32 tables (position of the tables) | record* | table
//! table     = topic* | partition* | schema*              ends with the batch
//! topic     = u16 len | UTF-8
//! partition = u32 len | UTF-8, a JSON object             source partitions, as Connect's REST API shows them
//! schema    = u8 kind = 1 | u32 len | UTF-8              kind 1: JsonConverter's schema notation
//! record    = u32 length of body | body
//! body      = u16 topic | u16 source partition (0xffff none) | i32 partition (-1 unset)
//!           | i64 timestamp (minimum = unset) | i64 offset (-1 on source records) | u32 sequence
//!           | u16 headers | u16 reserved = 0 | value key | value value | source offset | header*
//! value     = u8 0 null
//!           | u8 1 bytes | u32 len | bytes
//!           | u8 2 text  | u32 len | UTF-8
//!           | u8 3 JSON  | u32 len | UTF-8
//!           | u8 4 typed | u16 schema | u32 len | Avro binary, see [`typed`]
//! source offset = u32 len (0xffffffff none) | UTF-8, a JSON object
//! header    = u16 len | UTF-8 key | value
//! ```
//!
//! Rules of a reader: an unknown major or a flag it does not know is refused. Bytes that follow the headers inside a
//! body are skipped, so that fields can be appended within a major. Every length, index and text is checked before
//! anything is read ([`Batch::parse`]); nothing is allocated from a declared count. JSON texts and typed data are
//! checked by whoever interprets them.

pub use builder::BatchBuilder;
pub use draft::{Draft, DraftValue, Pushing};
pub use reader::{Batch, RecordRef, Records};
pub use record::{BatchError, Header, Record, SchemaIndex, SourcePartitionIndex, TopicIndex, Value};

mod builder;
mod cursor;
mod draft;
mod reader;
mod record;
pub mod typed;

#[cfg(test)]
mod batch_tests;

/// Version of the format.
pub const MAJOR: u8 = 1;
/// Largest batch that is built or read.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

const MAGIC: [u8; 3] = *b"JFB";
const HEADER_BYTES: usize = 20;
/// Fixed part of a record's body.
const BODY_BYTES: usize = 32;
/// Smallest record: length, fixed part, null key, null value, no source offset.
const MIN_RECORD_BYTES: usize = 4 + BODY_BYTES + 1 + 1 + 4;
const NO_SOURCE_PARTITION: u16 = u16::MAX;
const NO_SOURCE_OFFSET: u32 = u32::MAX;
const SCHEMA_KIND_JSON: u8 = 1;

const KIND_NULL: u8 = 0;
const KIND_BYTES: u8 = 1;
const KIND_UTF8: u8 = 2;
const KIND_JSON: u8 = 3;
const KIND_TYPED: u8 = 4;
