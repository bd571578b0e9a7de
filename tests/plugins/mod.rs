//! Packages that come, are replaced and go while the worker runs, and packages that mean harm.

mod conformance;
mod examples;
mod hostile;
mod listed;
mod package;
mod reload;
mod versions;
