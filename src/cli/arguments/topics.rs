//! `jackfield topics`.

use clap::{Args, Subcommand};

use super::client::{ClientOptions, Confirmation, OutputOptions};
use crate::position::Position;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield topics list --long
  jackfield topics create orders --partitions 3 --config retention.ms=86400000
  jackfield topics describe orders
  jackfield topics alter orders --partitions 6 --config retention.ms=3600000
  jackfield topics delete-records orders --before 2026-01-31T12:00:00Z
  jackfield topics delete orders

A topic with cleanup.policy=compact takes only records with keys; Jackfield's
broker compacts nothing yet, so that every record stays.

With --json, `list` and `describe` print an array with an object per topic; the
others print an array with an object per topic or partition that has `result`,
or `error` with `code` and `message`.")]
pub(crate) struct TopicsArguments {
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) action: TopicsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsAction {
    /// Names of all topics, one per line
    #[command(visible_alias = "ls")]
    List {
        /// Also the broker's own topics, such as __consumer_offsets
        #[arg(long)]
        internal: bool,
        /// A table with partitions and replicas
        #[arg(long, short)]
        long: bool,
    },
    /// Create topics
    Create {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// Number of partitions [default: the broker's num.partitions]
        #[arg(long, short, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Replicas of each partition [default: the broker's default.replication.factor]
        #[arg(long, short, value_name = "COUNT", allow_negative_numbers = true)]
        #[arg(value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A topic configuration such as retention.ms=86400000; may be repeated
        #[arg(long, short, value_name = "KEY=VALUE")]
        config: Vec<String>,
        /// A topic that exists is fine
        #[arg(long)]
        if_not_exists: bool,
        /// Only let the broker check whether they could be created
        #[arg(long)]
        dry_run: bool,
    },
    /// Partitions with their first and next offset, and the configuration that differs from the defaults
    Describe {
        /// All topics but the broker's own when none is named
        #[arg(value_name = "TOPIC")]
        topics: Vec<String>,
    },
    /// Add partitions, change or remove configuration
    Alter {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// New number of partitions; it can only grow
        #[arg(long, short, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Set a topic configuration; may be repeated
        #[arg(long, short, value_name = "KEY=VALUE")]
        config: Vec<String>,
        /// Return a topic configuration to its default; may be repeated
        #[arg(long, value_name = "KEY")]
        delete_config: Vec<String>,
    },
    /// Delete topics with everything in them
    #[command(visible_alias = "rm")]
    Delete {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// A topic that does not exist is fine
        #[arg(long)]
        if_exists: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Delete the records in front of a position
    DeleteRecords {
        #[arg(value_name = "TOPIC")]
        topic: String,
        /// Only in these partitions
        #[arg(long, short, value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
        partition: Vec<i32>,
        /// The first record that stays: an offset, `latest` (nothing stays), -N, or a time
        #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
        before: Position,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}
