//! Apache Kafka as it is run: the heap and the collector settings of its own start scripts.

use std::{net::TcpStream, path::PathBuf, process::Command};

use crate::harness::{
    kafka::{self, RealKafka},
    process::Process,
    scratch::Scratch,
    wait,
};

/// The heap of `kafka-server-start.sh`.
pub(crate) const BROKER_HEAP: &str = "-Xms1g -Xmx1g";

/// A formatted directory with its config; the broker can be started on it again and again.
#[derive(Debug)]
pub(crate) struct Prepared {
    port: u16,
    config: PathBuf,
    log: PathBuf,
}

impl Prepared {
    /// Formats a directory in `scratch`.
    pub(crate) fn new(scratch: &Scratch, port: u16, properties: &[&str]) -> Self {
        Self {
            port,
            config: RealKafka::format(scratch, port, properties),
            log: scratch.join("kafka.log"),
        }
    }

    /// Starts the broker; it does not accept connections yet.
    pub(crate) fn launch(&self) -> Process {
        Process::start(
            "kafka",
            java(BROKER_HEAP, "kafka.Kafka").arg(&self.config),
            &self.log,
        )
    }

    /// Starts the broker and waits for it.
    pub(crate) fn start(&self) -> Process {
        let mut process = self.launch();
        wait::until("kafka to accept connections", || {
            assert!(process.is_running(), "kafka ended early");
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        process
    }
}

/// `java` with a heap and the collector settings of Kafka's own start scripts.
pub(crate) fn java(heap: &str, main_class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args(heap.split(' '))
        .args([
            "-server",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
        ])
        .args(["-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"])
        .arg(kafka::log4j())
        .args(["-cp", &kafka::class_path()])
        .arg(main_class);
    command
}
