//! Connect's data model and its typed encoding: Avro's binary encoding of a Connect schema. No JSON here:
//! the schema notation is parsed by `jackfield_api::schema_json`.
//!
//! | Connect | Avro |
//! |---|---|
//! | INT8, INT16, INT32 | `int`: zigzag varint, at most five bytes, within the type's range |
//! | INT64 | `long`: zigzag varint, at most ten bytes |
//! | FLOAT32, FLOAT64 | `float`, `double`: 4 and 8 bytes, little endian |
//! | BOOLEAN | `boolean`: 0 or 1 |
//! | STRING, BYTES | `string`, `bytes`: length as `long`, then the bytes |
//! | ARRAY | `array`: blocks of a count and items, ended by a zero; a negative count is followed by the block's bytes |
//! | MAP with keys STRING, not optional | `map`: blocks of a count and key-value pairs |
//! | MAP with other keys | `array` of records `{key, value}` (the same bytes as a map would have) |
//! | STRUCT | `record`: the fields in order |
//! | optional | `union [null, T]`: index 0 = null, 1 = the value |
//!
//! Logical types (Decimal, Date, Time, Timestamp) travel as their base types. Values nest at most [`MAX_DEPTH`] deep.
//! Items that take no bytes at all (structs without fields) are limited to [`MAX_EMPTY_ITEMS`] per value, so that time
//! and memory of reading are bounded by the size of the input.

mod decode;
mod encode;
mod model;
#[cfg(test)]
mod tests;

pub use decode::{decode, validate};
pub use encode::encode;
pub use model::{Datum, Field, Schema, Type, TypedError};

/// Deepest nesting of arrays, maps and structs.
pub const MAX_DEPTH: usize = 64;
/// Most array items and map entries without any bytes, per value.
pub const MAX_EMPTY_ITEMS: u64 = 65_536;
