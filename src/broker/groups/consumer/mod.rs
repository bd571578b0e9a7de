//! The consumer group protocol (KIP-848) as a pure state machine: no clock, no I/O, no locks.
//!
//! A step looks at the group and answers with an [`outcome::Outcome`]: the records to append and what to answer when they
//! are. Only [`group::ConsumerGroup::apply`] changes the group, with the same records, live and when it is loaded: what a
//! restart finds is what was there. The behaviour is that of Apache Kafka's `ConsumerGroup`.

mod assign;
pub(crate) mod classic_member;
mod commit;
pub(crate) mod describe;
pub(crate) mod group;
pub(crate) mod heartbeat;
pub(crate) mod leave;
pub(crate) mod member;
mod metadata_hash;
pub(crate) mod migrate;
pub(crate) mod outcome;
mod reconcile;
pub(crate) mod records;
pub(crate) mod regex;
pub(crate) mod settings;
mod subscriptions;
mod target;
#[cfg(test)]
mod tests;
mod timers;
pub(crate) mod topics;
