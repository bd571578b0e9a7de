//! `jackfield produce`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::client::ClientOptions;
use crate::{codec::Codec, times};

/// Compression of what is produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "Kafka's names")]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Whose acknowledgement is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// All replicas in sync
    All,
    /// The leader alone
    #[value(name = "1")]
    Leader,
    /// Nobody: records may be lost without a word
    #[value(name = "0")]
    Nobody,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Every line of standard input, or of the files, becomes a record; end with
Ctrl-D. The topic is created when it does not exist, if the broker allows it.
The exit code is 0 only when every record was acknowledged. Ctrl-C and SIGTERM
end it in order: what was read is sent, and the report says how many were
acknowledged. Nothing is sent twice (enable.idempotence); obtaining the id for
that takes half a second, which -X enable.idempotence=false saves.

Examples:
  echo hello | jackfield produce greetings
  jackfield produce orders --key-separator : <<< 'order-1:{\"amount\":3}'
  jackfield produce big --compression zstd lines.txt more-lines.txt
  jackfield produce orders --key order-1 --tombstone < /dev/null
        a record without a value: it stands for the removal of the key
  jackfield consume orders --from-beginning --exit-at-end --json \\
      | jackfield produce copy --json

--json takes objects as `jackfield consume --json` prints them, one after the
other: key, value, headers and timestamp are used, the partition with
--keep-partitions only. A `value` that is an object, an array or a number is
sent as JSON text.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ProduceArguments {
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// Read these files instead of standard input; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(flatten)]
    pub(crate) input: InputOptions,
    /// Send everything to this partition
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Option<i32>,
    /// A header for every record; may be repeated
    #[arg(long, short = 'H', value_name = "NAME=VALUE")]
    pub(crate) header: Vec<String>,
    /// The timestamp of every record: a time, or milliseconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::timestamp)]
    pub(crate) timestamp: Option<i64>,
    /// Compression
    #[arg(long, short = 'z', value_enum, default_value_t = Compression::None)]
    pub(crate) compression: Compression,
    /// Whose acknowledgement is waited for
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub(crate) acks: Acks,
    /// No report on standard error
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// How the input becomes records.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct InputOptions {
    /// What stands between key and value of a line; without it a line is a value without key
    #[arg(
        long,
        short = 'K',
        value_name = "TEXT",
        conflicts_with = "key",
        allow_hyphen_values = true
    )]
    pub(crate) key_separator: Option<String>,
    /// The key of every record
    #[arg(long, short, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// What ends a record, instead of the end of the line
    #[arg(long, short = 'D', value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) delimiter: Option<String>,
    /// A record without value where the value is empty; with --key and no input, one such record
    #[arg(long, short = 'Z')]
    pub(crate) tombstone: bool,
    /// JSON objects as `jackfield consume --json` prints them
    #[arg(long, short = 'J', conflicts_with_all = ["key_separator", "key", "delimiter", "tombstone", "length_prefixed"])]
    pub(crate) json: bool,
    /// With --json: into the partitions that the objects name
    #[arg(long, requires = "json", conflicts_with = "partition")]
    pub(crate) keep_partitions: bool,
    /// Values behind their length in 4 bytes, big endian (-1: no value), as `consume -f %R%s` prints them
    #[arg(long, conflicts_with_all = ["key_separator", "delimiter"])]
    pub(crate) length_prefixed: bool,
    /// What keys are
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Codec::String, conflicts_with = "json")]
    pub(crate) key_format: Codec,
    /// What values are
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Codec::String, conflicts_with = "json")]
    pub(crate) value_format: Codec,
}
