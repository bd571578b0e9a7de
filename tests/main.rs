//! Black-box tests of the whole program: one linked binary that drives `target/release/jackfield` through its sockets,
//! REST and files, next to the tools of others (kcat, Apache Kafka's own).
//!
//! Nothing here reaches into the program's crates for behaviour. Readiness is a state that is waited for, never a sleep;
//! ports are free ones; every process is stopped by its owner, and its log is printed when a test fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code fails by panicking and reports by printing"
)]

mod commands;
mod compatibility;
mod configs;
mod crash;
mod decoders;
mod fault_disk;
mod file;
mod golden;
mod harness;
mod interop;
mod plugin_tools;
mod plugins;
mod power;
mod protocol_hostile;
mod readme;
mod rest;
mod tidy;
mod workload;
