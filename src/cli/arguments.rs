//! The command line: every command, flag and help text. No behaviour.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
  2. the environment: JACKFIELD_OFFSET_FLUSH_INTERVAL_MS is offset.flush.interval.ms
     (upper case, `.` written as `_`, and `_` as `__`)
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
    #[arg(long, global = true, value_name = "LEVEL")]
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
    /// List, create, describe and delete topics
    Topics(TopicsArguments),
    /// Send lines of standard input to a topic
    Produce(ProduceArguments),
    /// Print the records of a topic
    Consume(ConsumeArguments),
    /// Show the connectors that plugin.path offers
    Plugins(PluginsArguments),
    /// Look after the files of topics
    Log(LogArguments),
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
        curl -X POST -H 'Content-Type: application/json' http://127.0.0.1:8083/connectors \\
          -d '{\"name\":\"lines\",\"config\":{\"connector.class\":\"FileStreamSource\",
               \"file\":\"test.txt\",\"topic\":\"lines\"}}'
  jackfield standalone worker.properties my-source.properties my-sink.json
  jackfield standalone worker.properties --set broker.listeners=PLAINTEXT://127.0.0.1:19092

Keys of the worker file, beside Kafka Connect's own:
  data.dir        directory of everything that is kept [default: jackfield-data]
  broker.<key>    a key of Kafka's server.properties for the embedded broker
                  [broker.listeners: PLAINTEXT://127.0.0.1:9092, broker.log.dirs: <data.dir>/broker]
  listeners       REST API [default: http://127.0.0.1:8083]
  plugin.path     directories of plugins
                  [default: plugins in the working directory and beside the program]

",
    layers!(),
    "

Exit codes: 0 after SIGTERM or Ctrl-C, 3 when a given connector cannot be started, 2 for a wrong
command line, 1 for anything else. A second Ctrl-C ends the program at once.",
);

const BROKER_HELP: &str = concat!(
    "\
Examples:
  jackfield broker --config config/server.properties
  jackfield broker --set listeners=PLAINTEXT://127.0.0.1:19092 --set log.dirs=/tmp/topics

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

/// How a client finds its broker.
#[derive(Debug, Args)]
pub(crate) struct ClientOptions {
    /// The broker to ask [environment: JACKFIELD_BOOTSTRAP_SERVERS; default: 127.0.0.1:9092]
    #[arg(long, short = 'b', global = true, value_name = "HOST:PORT", alias = "broker")]
    pub(crate) bootstrap_server: Option<String>,
    /// A property of librdkafka, such as socket.timeout.ms=5000; may be repeated
    #[arg(long = "property", short = 'X', global = true, value_name = "KEY=VALUE")]
    pub(crate) properties: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jackfield topics list
  jackfield topics create orders --partitions 3 --config retention.ms=86400000
  jackfield topics describe orders
  jackfield topics delete orders")]
pub(crate) struct TopicsArguments {
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(subcommand)]
    pub(crate) action: TopicsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsAction {
    /// Names of all topics, one per line
    List {
        /// Also the topics whose names start with two underscores
        #[arg(long)]
        internal: bool,
    },
    /// Create topics
    Create {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// Number of partitions [default: the broker's num.partitions]
        #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// A topic configuration such as cleanup.policy=compact; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        config: Vec<String>,
        /// A topic that exists is fine
        #[arg(long)]
        if_not_exists: bool,
    },
    /// Partitions of topics with their first and next offset
    Describe {
        /// All topics when none is named
        #[arg(value_name = "TOPIC")]
        topics: Vec<String>,
    },
    /// Delete topics with everything in them
    Delete {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// A topic that does not exist is fine
        #[arg(long)]
        if_exists: bool,
    },
}

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

#[derive(Debug, Args)]
#[command(after_help = "\
Every line of standard input becomes a record; end with Ctrl-D. The topic is created when it does
not exist, if the broker allows it. The exit code is 0 only when every record was acknowledged.

Examples:
  echo hello | jackfield produce greetings
  jackfield produce orders --key-separator : <<< 'order-1:{\"amount\":3}'
  jackfield produce big --compression zstd < lines.txt")]
pub(crate) struct ProduceArguments {
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    /// What stands between key and value of a line; without it a line is a value without key
    #[arg(long, short = 'K', value_name = "TEXT")]
    pub(crate) key_separator: Option<String>,
    /// Send everything to this partition
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Option<i32>,
    /// A header for every record; may be repeated
    #[arg(long, short = 'H', value_name = "NAME=VALUE")]
    pub(crate) header: Vec<String>,
    /// Compression
    #[arg(long, short = 'z', value_enum, default_value_t = Compression::None)]
    pub(crate) compression: Compression,
    /// No report on standard error
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the value of each record on a line of its own, and goes on until Ctrl-C.

Examples:
  jackfield consume connect-test --from-beginning
  jackfield consume orders --from-beginning --exit-at-end --key --timestamp
  jackfield consume orders --group billing -n 100
        reads where the group stopped, and commits what was printed")]
pub(crate) struct ConsumeArguments {
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    /// Start with the oldest record instead of the next one (with --group: only where nothing was committed)
    #[arg(long)]
    pub(crate) from_beginning: bool,
    /// Read as a member of this consumer group
    #[arg(long, short, value_name = "GROUP", conflicts_with_all = ["partition", "offset"])]
    pub(crate) group: Option<String>,
    /// Read this partition only
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Option<i32>,
    /// Start at this offset of the partition
    #[arg(long, short, requires = "partition", conflicts_with = "from_beginning")]
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) offset: Option<i64>,
    /// End after this many records
    #[arg(long = "count", short = 'n', value_name = "COUNT")]
    pub(crate) count: Option<u64>,
    /// End when everything there is has been printed
    #[arg(long, short)]
    pub(crate) exit_at_end: bool,
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
    #[arg(long, value_name = "TEXT", default_value = "\t")]
    pub(crate) separator: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Packages that cannot be used are listed with the reason, on standard error.

Examples:
  jackfield plugins
  jackfield plugins --plugin-path /opt/plugins,/home/me/plugins")]
pub(crate) struct PluginsArguments {
    /// Directories of plugins [default: plugins in the working directory and beside the program]
    #[arg(long, value_name = "DIR,...", value_delimiter = ',')]
    pub(crate) plugin_path: Vec<PathBuf>,
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

Exit codes: 0 when everything is clean, 1 when damage was found, 2 when a directory cannot be read.

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
            "jackfield plugins --plugin-path /opt/plugins,/home/me/plugins",
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
            "jackfield consume t --offset 1",
            "jackfield log verify",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
