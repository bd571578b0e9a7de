//! `jackfield connectors`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::client::{Confirmation, OutputOptions, WorkerOptions};

#[derive(Debug, Args)]
#[command(after_help = "\
Works with Jackfield's worker and with Kafka Connect.

Examples:
  jackfield connectors list
  jackfield connectors apply my-source.properties my-sink.json
        creates connectors, or changes their configuration
  jackfield connectors describe local-file-source
  jackfield connectors patch local-file-source tasks.max=2 transforms=
        a key without a value is removed
  jackfield connectors restart local-file-source --include-tasks --only-failed
  jackfield connectors offsets get local-file-source
  jackfield connectors stop local-file-source
  jackfield connectors offsets reset local-file-source
  jackfield connectors delete local-file-source
  jackfield connectors plugins
  jackfield connectors logs set jackfield_worker DEBUG

With --json the worker's own answers are printed where it gives one; what only
succeeds or fails prints an array of objects with `connector` and `result`.")]
pub(crate) struct ConnectorsArguments {
    #[command(flatten)]
    pub(crate) worker: WorkerOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) action: ConnectorsAction,
}

/// A name that is needed again and again.
#[derive(Debug, Args)]
pub(crate) struct Named {
    #[arg(value_name = "CONNECTOR")]
    pub(crate) name: String,
}

/// One name or more.
#[derive(Debug, Args)]
pub(crate) struct NamedAll {
    #[arg(value_name = "CONNECTOR", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorsAction {
    /// All connectors with their state
    #[command(visible_alias = "ls")]
    List,
    /// State, tasks and configuration of a connector
    Describe(Named),
    /// Create connectors from files; one that exists is an error
    Create {
        /// Properties, or JSON as Kafka Connect takes it
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Create connectors from files, or change those that exist
    Apply {
        /// Properties, or JSON as Kafka Connect takes it
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Change some keys of a connector's configuration
    Patch {
        #[command(flatten)]
        named: Named,
        /// Values to set; a key without a value is removed
        #[arg(value_name = "KEY=[VALUE]", required = true)]
        pairs: Vec<String>,
    },
    /// Let connectors rest, with everything they hold
    Pause(NamedAll),
    /// Go on after pause and stop
    Resume(NamedAll),
    /// Stop connectors and give up what their tasks hold
    Stop(NamedAll),
    /// Restart connectors, or one task
    Restart {
        #[command(flatten)]
        named: NamedAll,
        /// Also their tasks
        #[arg(long)]
        include_tasks: bool,
        /// Only what has failed
        #[arg(long)]
        only_failed: bool,
        /// Only this task
        #[arg(long, value_name = "NUMBER", conflicts_with_all = ["include_tasks", "only_failed"])]
        task: Option<u32>,
    },
    /// Delete connectors
    #[command(visible_alias = "rm")]
    Delete {
        #[command(flatten)]
        named: NamedAll,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Tasks of a connector with their state
    Tasks(Named),
    /// Topics a connector has used
    Topics {
        #[command(flatten)]
        named: Named,
        /// Forget them
        #[arg(long)]
        reset: bool,
    },
    /// Where a connector stands: source or consumer offsets
    Offsets {
        #[command(subcommand)]
        action: ConnectorOffsetsAction,
    },
    /// The connectors that the worker can run
    Plugins {
        /// Also converters, transformations and predicates
        #[arg(long, short)]
        all: bool,
    },
    /// Check files of connectors without creating anything
    Validate {
        /// Properties, or JSON as Kafka Connect takes it
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// What the worker logs
    Logs {
        #[command(subcommand)]
        action: LogsAction,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorOffsetsAction {
    /// Print them
    Get(Named),
    /// Change them, while the connector is stopped
    Alter {
        #[command(flatten)]
        named: Named,
        /// What `offsets get --json` prints, changed; `-` is standard input
        #[arg(value_name = "FILE.json")]
        file: PathBuf,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Forget them, while the connector is stopped: it starts anew
    Reset {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogsAction {
    /// Loggers with their levels
    Get {
        /// All when none is named
        #[arg(value_name = "LOGGER")]
        logger: Option<String>,
    },
    /// Change the level of a logger and of those below it
    Set {
        #[arg(value_name = "LOGGER")]
        logger: String,
        #[arg(value_name = "LEVEL")]
        level: String,
        /// On all workers of the cluster
        #[arg(long)]
        cluster: bool,
    },
}
