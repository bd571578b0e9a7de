//! `jackfield groups`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::client::{ClientOptions, Confirmation, OutputOptions};
use crate::times;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield groups list
  jackfield groups describe billing
  jackfield groups reset billing --topic orders --to-earliest
        shows what would change; --execute changes it
  jackfield groups reset billing --all-topics --by-duration 1h --execute
  jackfield groups reset billing --topic orders:0,2 --shift-by -10 --execute
  jackfield groups delete-offsets billing --topic orders
  jackfield groups delete billing

Offsets are reset, and groups deleted, only while no member is active. With
--json, `list`, `describe` and `reset` print arrays of objects; `describe` has
`members`, `offsets` and `total_lag`.")]
pub(crate) struct GroupsArguments {
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) action: GroupsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupsAction {
    /// All groups with their type and state
    #[command(visible_alias = "ls")]
    List {
        /// Only groups in these states, such as Stable or Empty
        #[arg(long, value_delimiter = ',')]
        state: Vec<String>,
    },
    /// State, members, and committed offsets with the lag of each partition
    Describe {
        /// All groups when none is named
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Delete groups with their offsets
    #[command(visible_alias = "rm")]
    Delete {
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Move the committed offsets of a group; shows what would change unless --execute is given
    #[command(visible_alias = "seek")]
    Reset(ResetArguments),
    /// Forget committed offsets
    DeleteOffsets {
        #[arg(value_name = "GROUP")]
        group: String,
        /// Topic, or topic:partition,...; may be repeated
        #[arg(long, short, required = true, value_name = "TOPIC[:PARTITION,...]")]
        topic: Vec<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Topic, or topic:partition,...; may be repeated
    #[arg(long, short, value_name = "TOPIC[:PARTITION,...]")]
    #[arg(required_unless_present = "all_topics", conflicts_with = "all_topics")]
    pub(crate) topic: Vec<String>,
    /// Every topic the group has offsets of
    #[arg(long)]
    pub(crate) all_topics: bool,
    #[command(flatten)]
    pub(crate) target: ResetTarget,
    /// Carry it out
    #[arg(long)]
    pub(crate) execute: bool,
    /// Only show what would change (the default)
    #[arg(long, conflicts_with = "execute")]
    pub(crate) dry_run: bool,
}

/// Where to; exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ResetTarget {
    /// To the oldest record
    #[arg(long)]
    pub(crate) to_earliest: bool,
    /// To the end
    #[arg(long)]
    pub(crate) to_latest: bool,
    /// To where the group is now, moved into the log where it lies outside
    #[arg(long)]
    pub(crate) to_current: bool,
    /// To an offset
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) to_offset: Option<i64>,
    /// To the first record at or after a time (2026-01-31T12:00:00Z, or without Z in local time)
    #[arg(long, value_name = "TIME", value_parser = times::timestamp)]
    pub(crate) to_datetime: Option<i64>,
    /// To the first record of the last while (90m, 1h30m, 7d, PT1H)
    #[arg(long, value_name = "DURATION", value_parser = times::duration)]
    pub(crate) by_duration: Option<Duration>,
    /// Forward by this many records, or back when negative
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) shift_by: Option<i64>,
}
