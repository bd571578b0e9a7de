//! Options that all commands share that talk to a broker or to a Connect worker.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::times;

/// How a command finds its broker.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClientOptions {
    /// The brokers to ask first [environment: JACKFIELD_BOOTSTRAP_SERVERS; default: 127.0.0.1:9092]
    #[arg(
        long,
        short = 'b',
        global = true,
        value_name = "HOST:PORT,...",
        alias = "broker"
    )]
    #[arg(help_heading = "Connection")]
    pub(crate) bootstrap_server: Option<String>,
    /// A file of Kafka client properties [environment: JACKFIELD_COMMAND_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) command_config: Option<PathBuf>,
    /// One client property, such as client.id=me; may be repeated, and wins over the file
    #[arg(long = "property", short = 'X', global = true, value_name = "KEY=VALUE")]
    #[arg(help_heading = "Connection")]
    pub(crate) properties: Vec<String>,
    /// How long a broker may take to answer [default: 10s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = times::duration)]
    #[arg(help_heading = "Connection")]
    pub(crate) timeout: Option<Duration>,
}

/// How a command finds its Connect worker.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WorkerOptions {
    /// The worker's REST API [environment: JACKFIELD_CONNECT_URL; default: http://127.0.0.1:8083]
    #[arg(
        long,
        short = 'u',
        global = true,
        value_name = "URL",
        help_heading = "Connection"
    )]
    pub(crate) url: Option<String>,
    /// How long the worker may take to answer [default: 90s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = times::duration)]
    #[arg(help_heading = "Connection")]
    pub(crate) timeout: Option<Duration>,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct OutputOptions {
    /// Print a JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Whether a command asks before it destroys something.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Confirmation {
    /// Do not ask; without a terminal nobody is asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}
