//! The command line: every command, flag and help text. No behaviour.

mod client;
mod configs;
mod connectors;
mod consume;
mod groups;
mod offsets;
mod plugin;
mod produce;
mod topics;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::{
    client::{ClientOptions, OutputOptions, WorkerOptions},
    configs::{ConfigType, ConfigsAction, ConfigsArguments},
    connectors::{ConnectorOffsetsAction, ConnectorsAction, ConnectorsArguments, LogsAction},
    consume::{ConsumeArguments, PrintOptions},
    groups::{GroupsAction, GroupsArguments, ResetArguments, ResetTarget},
    offsets::OffsetsArguments,
    plugin::{
        BuildArguments, BuildOptions, CheckArguments, FormArgument, InspectArguments, KindArgument,
        LanguageArgument, NewArguments, PackageArguments, PluginAction, PluginArguments, RunArguments,
    },
    produce::{Acks, Compression, InputOptions, ProduceArguments},
    topics::{TopicsAction, TopicsArguments},
};

const EXAMPLES: &str = "\
Start here:
  jackfield standalone config/connect-standalone.properties \\
      config/connect-file-source.properties config/connect-file-sink.properties
        runs a worker with its own broker and two connectors: lines of test.txt
        go to topic connect-test and from there to test.sink.txt
  jackfield topics list
  jackfield consume connect-test --from-beginning
  echo hello | jackfield produce my-topic

Any Kafka client works too: kcat -b 127.0.0.1:9092 -L";

macro_rules! layers {
    () => {
        "\
Configuration comes in layers, the later ones win:
  1. the file (Java properties, or TOML when its name ends in .toml)
  2. the environment: JACKFIELD_OFFSET_FLUSH_INTERVAL_MS is
     offset.flush.interval.ms (upper case, `.` written as `_`, and `_` as `__`)
  3. --set key=value"
    };
}

/// A Connect worker with its own Kafka broker, in one program.
///
/// Connectors are plugins; topics are real Kafka topics that any Kafka client can read and write.
#[derive(Debug, Parser)]
#[command(name = "jackfield", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, infer_subcommands = true)]
pub(crate) struct Arguments {
    /// What to log: error, warn, info, debug, trace, or a list such as jackfield_broker=debug,warn
    /// [environment: JACKFIELD_LOG; default: info]
    #[arg(long, global = true, value_name = "LEVEL", display_order = 1000)]
    pub(crate) log_level: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a worker and its embedded broker in one process
    Standalone(StandaloneArguments),
    /// Run the broker alone, with Kafka's server.properties
    Broker(BrokerArguments),
    /// List, create, describe, alter and delete topics
    Topics(TopicsArguments),
    /// Send lines of standard input, or files, to a topic
    Produce(ProduceArguments),
    /// Print the records of topics
    Consume(ConsumeArguments),
    /// Consumer groups: members, lag, and their offsets moved
    Groups(GroupsArguments),
    /// Configuration of topics, brokers and groups
    Configs(ConfigsArguments),
    /// Where the partitions of topics start and end, and where a time lies in them
    Offsets(OffsetsArguments),
    /// Connectors of a Connect worker: state, configuration, restarts, offsets
    Connectors(ConnectorsArguments),
    /// Write, build, check, run and package connectors and transforms of your own
    Plugin(PluginArguments),
    /// Show the connectors that plugin.path offers
    Plugins(PluginsArguments),
    /// Look after the files of topics
    Log(LogArguments),
    /// Print a script that completes commands in a shell
    Completions(CompletionsArguments),
}

/// Options that both servers have.
#[derive(Debug, Args)]
pub(crate) struct ServerOptions {
    /// Set one configuration key; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Allow listeners that other machines can reach. Nothing is encrypted and nobody is asked who they are
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Debug, Args)]
#[command(after_help = STANDALONE_HELP, after_long_help = STANDALONE_HELP)]
pub(crate) struct StandaloneArguments {
    /// The worker's configuration (Kafka Connect's connect-standalone.properties works as it is)
    #[arg(value_name = "WORKER.properties")]
    pub(crate) worker: PathBuf,
    /// Connectors to start: properties or JSON
    #[arg(value_name = "CONNECTOR.properties|.json")]
    pub(crate) connectors: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

const STANDALONE_HELP: &str = concat!(
    "\
Examples:
  jackfield standalone config/connect-standalone.properties
        worker and broker only; create connectors through REST:
        curl -X POST -H 'Content-Type: application/json' \\
          http://127.0.0.1:8083/connectors \\
          -d '{\"name\":\"lines\",\"config\":{\"connector.class\":\"FileStreamSource\",
               \"file\":\"test.txt\",\"topic\":\"lines\"}}'
  jackfield standalone worker.properties my-source.properties my-sink.json
  jackfield standalone worker.properties \\
      --set broker.listeners=PLAINTEXT://127.0.0.1:19092

Keys of the worker file, beside Kafka Connect's own:
  data.dir        directory of everything that is kept [default: jackfield-data]
  broker.<key>    a key of Kafka's server.properties for the embedded broker
                  [broker.listeners: PLAINTEXT://127.0.0.1:9092,
                  broker.log.dirs: <data.dir>/broker]
  listeners       REST API [default: http://127.0.0.1:8083]
  plugin.path     directories of plugins
                  [default: plugins in the working directory and beside the
                  program]

",
    layers!(),
    "

Exit codes: 0 after SIGTERM or Ctrl-C, 3 when a given connector cannot be
started, 2 for a wrong command line, 1 for anything else. A second Ctrl-C ends
the program at once.",
);

const BROKER_HELP: &str = concat!(
    "\
Examples:
  jackfield broker --config config/server.properties
  jackfield broker --set listeners=PLAINTEXT://127.0.0.1:19092 \\
      --set log.dirs=/tmp/topics

Without log.dirs, data is kept in jackfield-data/broker.

",
    layers!(),
);

#[derive(Debug, Args)]
#[command(after_help = BROKER_HELP, after_long_help = BROKER_HELP)]
pub(crate) struct BrokerArguments {
    /// Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Packages that cannot be used are listed with the reason, on standard error;
with --json they are in the document. Artifacts are compared with their digests,
and no plugin code runs.

Examples:
  jackfield plugins
  jackfield plugins --json
  jackfield plugins --plugin-path /opt/plugins,/home/me/plugins")]
pub(crate) struct PluginsArguments {
    /// Directories of plugins [default: plugins in the working directory and beside the program]
    #[arg(long, value_name = "DIR,...", value_delimiter = ',')]
    pub(crate) plugin_path: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield log verify jackfield-data/broker")]
pub(crate) struct LogArguments {
    #[command(subcommand)]
    pub(crate) action: LogAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogAction {
    /// Read everything and say whether it is what was written; nothing is changed
    Verify(LogVerifyArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
A running broker need not be stopped: what it is just writing is passed over.

Exit codes: 0 when everything is clean, 1 when damage was found, 2 when a
directory cannot be read.

Examples:
  jackfield log verify jackfield-data/broker
  jackfield log verify --json /var/lib/kafka/orders-0 /var/lib/kafka/orders-1")]
pub(crate) struct LogVerifyArguments {
    /// Log directories (log.dirs), or directories of partitions
    #[arg(value_name = "DIR", required = true)]
    pub(crate) dirs: Vec<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield completions bash \\
      > ~/.local/share/bash-completion/completions/jackfield
  jackfield completions zsh > ~/.zfunc/_jackfield
  jackfield completions fish > ~/.config/fish/completions/jackfield.fish
  jackfield completions powershell >> $PROFILE")]
pub(crate) struct CompletionsArguments {
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Arguments::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("Examples:") && help.contains("jackfield "),
                "{}",
                command.get_name()
            );
            // Lines broken by hand look torn where the terminal breaks them again.
            let wide = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", command.get_name());
        }
    }

    #[test]
    fn examples_parse() {
        for line in [
            "jackfield standalone worker.properties my-source.properties my-sink.json",
            "jackfield standalone w.properties --set broker.listeners=PLAINTEXT://127.0.0.1:19092 --insecure",
            "jackfield broker --config config/server.properties",
            "jackfield topics create orders --partitions 3 --config retention.ms=86400000",
            "jackfield topics -b localhost:1 list",
            "jackfield topics list -b localhost:1",
            "jackfield produce orders --key-separator : -z zstd",
            "jackfield consume orders --from-beginning --exit-at-end --key --timestamp",
            "jackfield consume orders --group billing -n 100",
            "jackfield consume a b -o -100 --to -1h -p 0,2",
            "jackfield topics delete-records orders --before -1h --yes",
            "jackfield offsets orders --at -1h --json",
            "jackfield groups reset billing --topic orders:0,2 --shift-by -10 --execute",
            "jackfield groups seek billing --all-topics --by-duration 1h",
            "jackfield configs set topic orders retention.ms=1",
            "jackfield connectors -u http://localhost:1 patch x a=b c=",
            "jackfield connectors restart x --only-failed --include-tasks",
            "jackfield connectors offsets get x --json",
            "jackfield completions zsh",
            "jackfield plugins --plugin-path /opt/plugins,/home/me/plugins",
            "jackfield plugins --json",
            "jackfield plugin new acme-counts --kind source --lang rust",
            "jackfield plugin new to-lines --kind sink --lang c --directory d",
            "jackfield plugin build acme-counts --form wasm,native --dev",
            "jackfield plugin run acme-counts interval.ms=10 --count 3 --json",
            "jackfield plugin run upper --input - --once",
            "jackfield plugin check --form native",
            "jackfield plugin inspect x.tar.gz --json",
            "jackfield plugin package d -o x.tar.gz",
            "jackfield log verify jackfield-data/broker",
            "jackfield log verify --json /var/lib/kafka/orders-0 /var/lib/kafka/orders-1",
            "jackfield --log-level debug plugins",
            "jackfield plugins --log-level debug",
        ] {
            Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            "jackfield",
            "jackfield nope",
            "jackfield standalone",
            "jackfield consume t --from soon",
            "jackfield consume t --from 1 --from-beginning",
            "jackfield consume t --json --key",
            "jackfield produce t --json -K :",
            "jackfield groups reset g --topic t",
            "jackfield groups reset g --topic t --to-earliest --to-latest",
            "jackfield groups reset g --topic t --all-topics --to-earliest",
            "jackfield configs set topic orders",
            "jackfield connectors restart x --task 1 --only-failed",
            "jackfield log verify",
            "jackfield plugin",
            "jackfield plugin new x",
            "jackfield plugin new x --kind converter",
            "jackfield plugin run --count 0",
            "jackfield plugin build --form java",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
