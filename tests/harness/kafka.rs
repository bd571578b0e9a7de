//! Apache Kafka from its own jars: the command-line tools, and a real broker and Connect worker to compare with.
//!
//! The jars come from Maven Central through `tests/interop/pom.xml`, once, into a cache directory.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock},
};

use super::{
    process::{self, Process},
    rest::Rest,
    scratch::{Scratch, free_port},
    wait,
};

/// Version of Apache Kafka that the tests use.
pub(crate) const VERSION: &str = "4.3.1";

/// Where what the tests fetch is kept from run to run.
#[allow(
    clippy::disallowed_methods,
    reason = "the tests' cache directory is found through the environment"
)]
pub(crate) fn cache() -> PathBuf {
    let cache = std::env::var("XDG_CACHE_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")))
        .expect("HOME is set");
    PathBuf::from(cache).join("jackfield-tests")
}

/// A directory of the cache; `fill` makes it on first use.
pub(crate) fn cached(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock();
    let directory = cache().join(name);
    if !directory.exists() {
        let part = cache().join(format!("{name}.{}.part", std::process::id()));
        fs::create_dir_all(&part).unwrap();
        fill(&part);
        // Another process may have been faster; its result is as good.
        fs::rename(&part, &directory)
            .or_else(|_| fs::remove_dir_all(&part))
            .unwrap();
    }
    directory
}

/// Maven with the tests' `pom.xml`.
fn maven() -> Command {
    let mut command = Command::new("mvn");
    command
        .args(["-q", "-B", "-f"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/pom.xml"))
        .arg(format!("-Dkafka.version={VERSION}"));
    command
}

/// Directory with Kafka's jars; fetched on first use.
pub(crate) fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        cached(&format!("kafka-{VERSION}"), |part| {
            println!("fetching Apache Kafka {VERSION} from Maven Central");
            process::run(
                maven()
                    .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                    .arg(format!("-DoutputDirectory={}", part.display())),
            );
        })
    })
}

/// The jar of a single client of another version; fetched on first use.
pub(crate) fn client_jar(version: &str) -> PathBuf {
    let name = format!("kafka-clients-{version}");
    cached(&name, |part| {
        process::run(
            maven()
                .arg("dependency:copy")
                .arg(format!("-Dartifact=org.apache.kafka:kafka-clients:{version}"))
                .arg(format!("-DoutputDirectory={}", part.display())),
        );
    })
    .join(format!("{name}.jar"))
}

/// `java` with Kafka's class path and options for a short life on a small machine.
pub(crate) fn java(main_class: &str) -> Command {
    java_with(&class_path(), main_class)
}

/// As [`java`], with the class path given.
pub(crate) fn java_with(class_path: &str, main_class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args([
            "-Xmx256M",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
        ])
        .arg(log4j())
        .args(["-cp", class_path])
        .arg(main_class);
    command
}

/// All of Kafka's jars.
pub(crate) fn class_path() -> String {
    format!("{}/*", jars().display())
}

/// The option that names how Java programs log.
pub(crate) fn log4j() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/log4j2.properties");
    format!("-Dlog4j2.configurationFile={}", file.display())
}

/// `kafka-topics.sh`.
pub(crate) fn topics() -> Command {
    java("org.apache.kafka.tools.TopicCommand")
}

/// `kafka-console-producer.sh`.
pub(crate) fn console_producer() -> Command {
    java("org.apache.kafka.tools.ConsoleProducer")
}

/// `kafka-console-consumer.sh`.
pub(crate) fn console_consumer() -> Command {
    java("org.apache.kafka.tools.consumer.ConsoleConsumer")
}

/// `kafka-dump-log.sh`.
pub(crate) fn dump_log() -> Command {
    java("org.apache.kafka.tools.DumpLogSegments")
}

/// A real Apache Kafka broker (KRaft, one node).
#[derive(Debug)]
pub(crate) struct RealKafka {
    pub(crate) port: u16,
    pub(crate) process: Process,
    pub(crate) data: PathBuf,
}

impl RealKafka {
    /// Formats a fresh directory and starts the broker on it, with `properties` added to `server.properties`.
    pub(crate) fn start(scratch: &Scratch, properties: &[&str]) -> Self {
        let port = free_port();
        let config = Self::format(scratch, port, properties);
        let mut process = Process::start(
            "kafka",
            java("kafka.Kafka").arg(&config),
            &scratch.join("kafka.log"),
        );
        wait::until("kafka to accept connections", || {
            assert!(process.is_running(), "kafka ended early");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            port,
            process,
            data: scratch.join("kafka-data"),
        }
    }

    /// Writes `server.properties` for a broker on `port`, formats its directory and returns the file.
    pub(crate) fn format(scratch: &Scratch, port: u16, properties: &[&str]) -> PathBuf {
        let controller = free_port();
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            format!("log.dirs={}", scratch.join("kafka-data").display()),
            "offsets.topic.replication.factor=1".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
        ];
        lines.extend(properties.iter().map(ToString::to_string));
        let config = scratch.write("kafka.properties", lines.join("\n"));
        process::run(
            java("kafka.tools.StorageTool")
                .args(["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"])
                .arg(&config),
        );
        config
    }
}

/// A real Connect worker (distributed mode, the only one that keeps its state in topics).
#[derive(Debug)]
pub(crate) struct RealConnect {
    pub(crate) rest: Rest,
    pub(crate) process: Process,
}

impl RealConnect {
    /// Starts a worker of the cluster at `kafka_port` in `scratch`, with JSON converters as in Kafka's sample files and
    /// `properties` of its own behind them.
    pub(crate) fn start(scratch: &Scratch, kafka_port: u16, properties: &[impl AsRef<str>]) -> Self {
        let port = free_port();
        let mut lines = format!(
            "bootstrap.servers=127.0.0.1:{kafka_port}\nlisteners=http://127.0.0.1:{port}\ngroup.id=golden-workers\n\
             key.converter=org.apache.kafka.connect.json.JsonConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\n\
             config.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
             offset.storage.topic=connect-offsets\noffset.storage.replication.factor=1\n\
             status.storage.topic=connect-status\nstatus.storage.replication.factor=1\n\
             connect.protocol=compatible\noffset.flush.interval.ms=500\n"
        );
        for property in properties {
            lines.push_str(property.as_ref());
            lines.push('\n');
        }
        let config = scratch.write("connect.properties", lines);
        let mut process = Process::start(
            "connect",
            java("org.apache.kafka.connect.cli.ConnectDistributed")
                .arg(config)
                .current_dir(scratch.path()),
            &scratch.join("connect.log"),
        );
        let rest = Rest::new(port);
        rest.wait_until_up(|| assert!(process.is_running(), "connect ended early"));
        Self { rest, process }
    }
}
