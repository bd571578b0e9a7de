//! The group coordinator: classic groups and their offsets, event-sourced over `__consumer_offsets`.
//!
//! SEAM: owned by the group coordinator's author; shape inside is free.

/// The coordinator. All methods are async and answer when their records are durable.
#[derive(Debug)]
pub struct Groups {}
