//! `jackfield consume`.

use clap::{Args, builder::NonEmptyStringValueParser};

use super::client::ClientOptions;
use crate::{codec::Codec, position::Position};

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the value of each record on a line of its own, and goes on until Ctrl-C.

Positions (--from, --to), for each partition:
  earliest, latest   the oldest record, and behind the newest
  1234               an offset
  -100, +100         100 records before the end, behind the start
  -1h, -7d           an hour, seven days ago
  2026-01-31T12:00Z  a time; without Z or +01:00 it is local time
  @1769860800000     milliseconds since 1970

Formats (-f), as kcat has them:
  %s %S  value, its length (-1: none)    %t %p %o  topic, partition, offset
  %k %K  key, its length (-1: none)      %T %D     timestamp: milliseconds, date
  %h     headers as name=value,...       %R        length of the value, 4 bytes
  \\n \\t \\r \\0 \\xHH                       %%        a percent sign

With --json each line is an object with `topic`, `partition`, `offset`,
`timestamp` (milliseconds), `headers` (objects with `key` and `value`), `key`
and `value`. Keys and values that are not UTF-8 are base64, and `key_encoding`
or `value_encoding` say so; `jackfield produce --json` takes it all back.

Examples:
  jackfield consume connect-test --from-beginning
  jackfield consume orders payments --from -1h --exit-at-end --key --timestamp
  jackfield consume orders -p 0,2 --from -10 -f '%p@%o %k: %s\\n'
  jackfield consume orders --from-beginning --exit-at-end --json > backup.jsonl
  jackfield consume orders --group billing -n 100
        reads where the group stopped, and commits what was printed

Exit codes: 0 also after Ctrl-C and SIGTERM, 2 for a wrong command line, 1 for
anything else.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ConsumeArguments {
    /// Topics; with an end (--to, --exit-at-end) they are read one after the other
    #[arg(value_name = "TOPIC", required = true)]
    pub(crate) topics: Vec<String>,
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    /// Start with the oldest record (with --group: only where nothing was committed)
    #[arg(long, conflicts_with = "from")]
    pub(crate) from_beginning: bool,
    /// Where to start [default: latest]
    #[arg(long, short = 'o', value_name = "POSITION", visible_alias = "offset")]
    #[arg(allow_hyphen_values = true, conflicts_with = "group")]
    pub(crate) from: Option<Position>,
    /// End in front of this position
    #[arg(
        long,
        value_name = "POSITION",
        allow_hyphen_values = true,
        conflicts_with = "group"
    )]
    pub(crate) to: Option<Position>,
    /// Read as a member of this consumer group
    #[arg(long, short, value_name = "GROUP", conflicts_with = "partition", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) group: Option<String>,
    /// Read these partitions only
    #[arg(long, short, value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Vec<i32>,
    /// End after this many records
    #[arg(long = "count", short = 'n', value_name = "COUNT")]
    pub(crate) count: Option<u64>,
    /// End when everything there is has been printed
    #[arg(long, short)]
    pub(crate) exit_at_end: bool,
    /// Also the records of transactions that are open or were aborted
    #[arg(long)]
    pub(crate) read_uncommitted: bool,
    #[command(flatten)]
    pub(crate) print: PrintOptions,
    /// No progress on standard error
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// How a record is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct PrintOptions {
    /// Print each record in this format
    #[arg(long, short, value_name = "FORMAT", conflicts_with_all = ["raw", "json", "key", "timestamp", "position", "headers"])]
    pub(crate) format: Option<String>,
    /// Print each record as a JSON object on a line of its own
    #[arg(long, short = 'J', conflicts_with_all = ["raw", "key", "timestamp", "position", "headers"])]
    pub(crate) json: bool,
    /// Print the bytes of the values and nothing else, not even line ends
    #[arg(long, conflicts_with_all = ["key", "timestamp", "position", "headers"])]
    pub(crate) raw: bool,
    /// How keys are printed
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Codec::String)]
    pub(crate) key_format: Codec,
    /// How values are printed
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Codec::String)]
    pub(crate) value_format: Codec,
    /// Print the key before the value
    #[arg(long, short)]
    pub(crate) key: bool,
    /// Print the timestamp (milliseconds since 1970) before the value
    #[arg(long, short)]
    pub(crate) timestamp: bool,
    /// Print partition and offset before the value
    #[arg(long)]
    pub(crate) position: bool,
    /// Print headers before the value
    #[arg(long)]
    pub(crate) headers: bool,
    /// What stands between the printed parts of a record
    #[arg(long, value_name = "TEXT", default_value = "\t", hide_default_value = true)]
    pub(crate) separator: String,
}
