//! Kafka wire protocol: frames, version table, guarded decoding, record batch v2 view and builder. Sans-IO.
//!
//! SEAM: signatures below are the contract other crates code against; the owner fills and refines them.

pub mod records;
