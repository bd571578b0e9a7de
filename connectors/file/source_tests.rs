//! Tests of the source on real files, with a clock of their own.

mod fixture;
mod globs;
mod histories;
mod lines;
mod parked;
mod policies;
mod properties;
mod rotation;
mod stdin;
mod stopped;
mod truncation;
