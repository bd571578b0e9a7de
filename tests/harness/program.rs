//! The program under test: where it is, and a standalone worker or a broker running in a directory of its own.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::Signal;

use super::{
    process::Process,
    rest::Rest,
    scratch::{Scratch, free_port},
    wait,
    wire::Wire,
};

/// Cargo's target directory.
#[allow(
    clippy::disallowed_methods,
    reason = "the build directory is found through the environment, in one place"
)]
pub(crate) fn target_directory() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |directory| root.join(directory))
}

/// The release program that `make build` leaves; `JF_PROGRAM` names another.
#[allow(
    clippy::disallowed_methods,
    reason = "the program under test is found through the environment, in one place"
)]
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("JF_PROGRAM")
        .map_or_else(|| target_directory().join("release/jackfield"), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing; `make build` makes it",
        path.display()
    );
    path
}

/// `jackfield broker` on a free port.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) port: u16,
    pub(crate) process: Process,
    pub(crate) data: PathBuf,
}

impl Broker {
    /// Starts a broker on `scratch/data` with `properties` added to its config.
    pub(crate) fn start(scratch: &Scratch, properties: &[&str]) -> Self {
        Self::start_binary(&binary(), scratch, free_port(), properties)
    }

    /// As [`Broker::start`], with program and port given.
    pub(crate) fn start_binary(binary: &Path, scratch: &Scratch, port: u16, properties: &[&str]) -> Self {
        let data = scratch.join("data");
        let mut lines = vec![
            format!("listeners=PLAINTEXT://127.0.0.1:{port}"),
            format!("log.dirs={}", data.display()),
        ];
        lines.extend(properties.iter().map(ToString::to_string));
        let config = scratch.write("server.properties", lines.join("\n"));
        let mut process = Process::start(
            "jackfield broker",
            Command::new(binary)
                .current_dir(scratch.path())
                .args(["broker", "--config"])
                .arg(config),
            &scratch.join("broker.log"),
        );
        wait::until("the broker to accept connections", || {
            assert!(process.is_running(), "the broker ended early");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { port, process, data }
    }

    /// Stops it; anything but exit code 0 fails the test.
    pub(crate) fn stop(&mut self) {
        let (status, _) = self.process.stop(Signal::TERM);
        assert_eq!(status.code(), Some(0), "exit code after SIGTERM");
    }
}

/// `jackfield standalone` on free ports, its data and files in a directory of its own. The same directory can be started again.
#[derive(Debug)]
pub(crate) struct Standalone {
    pub(crate) kafka_port: u16,
    pub(crate) rest: Rest,
    pub(crate) directory: PathBuf,
    properties: BTreeMap<String, String>,
    process: Option<Process>,
}

impl Standalone {
    /// A worker with Kafka's sample settings, not started yet.
    pub(crate) fn new(scratch: &Scratch) -> Self {
        let (kafka_port, rest_port) = (free_port(), free_port());
        let mut worker = Self {
            kafka_port,
            rest: Rest::new(rest_port),
            directory: scratch.path().to_owned(),
            properties: BTreeMap::new(),
            process: None,
        };
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        for (key, value) in [
            ("bootstrap.servers", format!("127.0.0.1:{kafka_port}")),
            ("broker.listeners", format!("PLAINTEXT://127.0.0.1:{kafka_port}")),
            ("listeners", format!("http://127.0.0.1:{rest_port}")),
            ("data.dir", scratch.join("data").display().to_string()),
            ("plugin.path", plugins.display().to_string()),
            ("plugin.wasm.directories", scratch.path().display().to_string()),
            (
                "key.converter",
                "org.apache.kafka.connect.json.JsonConverter".to_owned(),
            ),
            (
                "value.converter",
                "org.apache.kafka.connect.json.JsonConverter".to_owned(),
            ),
            ("offset.flush.interval.ms", "500".to_owned()),
        ] {
            worker.property(key, &value);
        }
        worker
    }

    /// Sets a worker property.
    pub(crate) fn property(&mut self, key: &str, value: &str) {
        self.properties.insert(key.to_owned(), value.to_owned());
    }

    /// Writes a connector's properties file and returns its name.
    pub(crate) fn connector(&self, name: &str, properties: &[(&str, &str)]) -> String {
        let file = format!("{name}.properties");
        let lines: Vec<_> = properties
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        fs::write(
            self.directory.join(&file),
            format!("name={name}\n{}", lines.concat()),
        )
        .unwrap();
        file
    }

    /// Starts the program with these connector files and waits until REST and Kafka's port answer.
    pub(crate) fn start(&mut self, connectors: &[&str]) {
        self.start_binary(&binary(), connectors);
    }

    /// As [`Standalone::start`], with the program given.
    pub(crate) fn start_binary(&mut self, binary: &Path, connectors: &[&str]) {
        let mut process = self.launch(binary, connectors);
        self.rest
            .wait_until_up(|| assert!(process.is_running(), "the worker ended early"));
        wait::until("the embedded broker to accept connections", || {
            TcpStream::connect(("127.0.0.1", self.kafka_port)).ok()
        });
        self.process = Some(process);
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn launch(&self, binary: &Path, connectors: &[&str]) -> Process {
        let lines: Vec<_> = self
            .properties
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        fs::write(self.directory.join("worker.properties"), lines.concat()).unwrap();
        Process::start(
            "jackfield standalone",
            Command::new(binary)
                .current_dir(&self.directory)
                .args(["standalone", "worker.properties"])
                .args(connectors),
            &self.directory.join("standalone.log"),
        )
    }

    /// The running process.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("started")
    }

    /// Everything it printed since the directory was new.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().expect("started").log()
    }

    /// Stops it and returns how long that took; anything but exit code 0 fails the test.
    pub(crate) fn stop(&mut self, signal: Signal) -> Duration {
        let (status, took) = self.process().stop(signal);
        assert_eq!(status.code(), Some(0), "exit code after {signal:?}");
        self.process = None;
        took
    }

    /// SIGKILL.
    pub(crate) fn kill_9(&mut self) {
        self.process().kill_9();
        self.process = None;
    }

    /// A raw connection to the embedded broker.
    pub(crate) fn wire(&self) -> Wire {
        Wire::connect(self.kafka_port)
    }
}
