//! Generated from the WIT package `jackfield:plugin`: the host's half of the contract.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../api/wit",
    world: "connectors",
    imports: { "jackfield:plugin/http.fetch": async },
    exports: { default: async },
});

/// The WIT package this host speaks; 0.0.x versions must agree exactly.
pub const CONTRACT: &str = "jackfield:plugin@0.0.4";
