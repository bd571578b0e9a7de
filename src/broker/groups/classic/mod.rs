//! The classic group protocol as a pure state machine: no clock, no I/O, no locks.
//!
//! Inputs are requests and due timers with the time they happen at; outputs are [`effects::Effects`]: records to
//! append and answers to parked requests. The behaviour is that of Apache Kafka's `ClassicGroup`.

mod commit;
pub(crate) mod effects;
pub(crate) mod group;
mod join;
mod leave;
pub(crate) mod member;
mod migrate;
mod rebalance;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
