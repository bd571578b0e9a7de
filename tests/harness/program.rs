//! The program under test: where it is, and a standalone worker or a broker running in a directory of its own.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;

use super::{
    process::Process,
    scratch::{Scratch, free_port},
    wait,
};

/// The release program that `make build` leaves; `JACKFIELD_BIN` names another.
#[allow(clippy::disallowed_methods, reason = "the program under test is found through the environment, in one place")]
pub(crate) fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var_os("JACKFIELD_BIN").map_or_else(
        || {
            std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| root.join("target"), PathBuf::from)
                .join("release/jackfield")
        },
        PathBuf::from,
    );
    assert!(path.exists(), "{} is missing; `make build` makes it", path.display());
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
        let mut lines =
            vec![format!("listeners=PLAINTEXT://127.0.0.1:{port}"), format!("log.dirs={}", data.display())];
        lines.extend(properties.iter().map(ToString::to_string));
        let config = scratch.write("server.properties", lines.join("\n"));
        let mut process = Process::start(
            "jackfield broker",
            Command::new(binary).current_dir(scratch.path()).args(["broker", "--config"]).arg(config),
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
