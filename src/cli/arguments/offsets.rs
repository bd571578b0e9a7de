//! `jackfield offsets`.

use clap::Args;

use super::client::{ClientOptions, OutputOptions};
use crate::position::Position;

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the first and the next offset of each partition, or with --at the offset
of a position.

The offsets a consumer group has committed are in `jackfield groups describe`,
those of a connector in `jackfield connectors offsets get`.

Examples:
  jackfield offsets orders
  jackfield offsets orders --at 2026-01-31T12:00:00Z
  jackfield offsets orders payments --at -1h --json

With --json: an array of objects with `topic`, `partition`, `start`, `end` and
`records`; with --at, with `topic`, `partition` and `offset`.")]
pub(crate) struct OffsetsArguments {
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    /// Only these partitions
    #[arg(long, short, value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Vec<i32>,
    /// A position: earliest, latest, -N (N before the end), +N, a time, or -1h
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub(crate) at: Option<Position>,
}
