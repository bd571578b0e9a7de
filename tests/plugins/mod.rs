//! Packages that come, are replaced and go while the worker runs.

mod conformance;
mod examples;
mod listed;
mod package;
mod reload;
mod versions;
