//! `jackfield configs`.

use clap::{Args, Subcommand, ValueEnum};

use super::client::{ClientOptions, Confirmation, OutputOptions};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield configs list
  jackfield configs describe topic orders
  jackfield configs describe topic orders retention.ms
        also says what the key means and where its value comes from
  jackfield configs describe broker 1 --all
  jackfield configs set topic orders retention.ms=3600000 segment.ms=600000
  jackfield configs delete topic orders retention.ms

Broker `default` stands for the defaults of all brokers. With --json, `list`
and `describe` print an array of objects with `type`, `name`, `key`, `value`,
`source`, `read_only` and `sensitive`.")]
pub(crate) struct ConfigsArguments {
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) action: ConfigsAction,
}

/// What has configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "Kafka's names")]
pub(crate) enum ConfigType {
    #[value(alias = "topics")]
    Topic,
    #[value(alias = "brokers")]
    Broker,
    #[value(alias = "groups")]
    Group,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigsAction {
    /// What was configured for topics and brokers: everything that is not a default
    #[command(visible_alias = "ls")]
    List {
        /// Only of topics, brokers or groups
        #[arg(value_name = "TYPE")]
        kind: Option<ConfigType>,
    },
    /// The configuration of one topic, broker or group
    Describe {
        #[arg(value_name = "TYPE")]
        kind: ConfigType,
        #[arg(value_name = "NAME")]
        name: String,
        /// Only these keys, with what they mean
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// Also what has its default value
        #[arg(long, short)]
        all: bool,
    },
    /// Set values
    Set {
        #[arg(value_name = "TYPE")]
        kind: ConfigType,
        #[arg(value_name = "NAME")]
        name: String,
        #[arg(value_name = "KEY=VALUE", required = true)]
        pairs: Vec<String>,
        /// Only let the broker check them
        #[arg(long)]
        dry_run: bool,
    },
    /// Return keys to their defaults
    #[command(visible_alias = "unset")]
    Delete {
        #[arg(value_name = "TYPE")]
        kind: ConfigType,
        #[arg(value_name = "NAME")]
        name: String,
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}
