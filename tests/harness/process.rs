//! A process under test: output captured, stopped or killed by its owner, its log printed when the test fails.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::wait;

/// See the file's header.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with stdout and stderr appended to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).unwrap();
        let error = out.try_clone().unwrap();
        let child = outside(command)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Everything it printed.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Sends `signal` and waits for the end: status and how long it took.
    pub(crate) fn stop(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal(signal);
        // Kafka Connect alone gives its REST server a minute.
        let what = format!("{} to end after {signal:?}", self.name);
        let status = wait::within(&what, 2 * wait::PATIENCE, || self.child.try_wait().unwrap());
        (status, started.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let log = self.log();
            let from = log
                .char_indices()
                .rev()
                .nth(8_000)
                .map_or(0, |(position, _)| position);
            println!(
                "--- log of {} ---\n{}\n--- end of log ---",
                self.name,
                &log[from..]
            );
        }
    }
}

/// Cargo runs tests with its build directories on the library path, where another librdkafka than kcat's lies.
pub(crate) fn outside(command: &mut Command) -> &mut Command {
    command.env_remove("LD_LIBRARY_PATH")
}

/// Runs a command to its end and returns its stdout; panics with both outputs when it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let output = outside(command)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}
