//! Golden bytes: what Apache Kafka 4.3 and its Connect write for a fixed input is committed in `files/`, and the program
//! must write the same. Times, ids and what depends on them (a CRC over an id) are masked on both sides.
//!
//! `generate.sh` (`UPDATE_GOLDEN=1`) runs the very same input against the real thing and replaces the files.

mod connect;
mod expected;
mod groups;
mod log_files;
mod mask;
