//! Tools nobody here wrote, run against the program as they are.

mod kafka_tools;
mod kcat;
