//! The commands that are clients, as somebody types them: beside Jackfield, and beside Apache Kafka and Connect.

mod connectors;
mod groups;
mod peers;
mod records;
mod topics;

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::harness::{process, program::binary, scratch::Scratch};

/// Commands that find one broker, and perhaps a worker, through the environment.
#[derive(Debug)]
struct Commands {
    bootstrap_server: String,
    url: String,
    directory: PathBuf,
}

impl Commands {
    fn of_broker(port: u16, scratch: &Scratch) -> Self {
        Self {
            bootstrap_server: format!("127.0.0.1:{port}"),
            url: String::new(),
            directory: scratch.path().to_owned(),
        }
    }

    fn of_worker(port: u16, scratch: &Scratch) -> Self {
        Self {
            bootstrap_server: String::new(),
            url: format!("127.0.0.1:{port}"),
            directory: scratch.path().to_owned(),
        }
    }

    /// The words of a command line; nothing in it is quoted.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        process::outside(&mut command)
            .args(line.split(' '))
            .current_dir(&self.directory)
            .env("JACKFIELD_BOOTSTRAP_SERVERS", &self.bootstrap_server)
            .env("JACKFIELD_CONNECT_URL", &self.url);
        command
    }

    fn output(&self, line: &str, input: &[u8]) -> Output {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that ends early does not read everything.
        child.stdin.take().unwrap().write_all(input).ok();
        child.wait_with_output().unwrap()
    }

    /// What a command prints, and what it reports on standard error.
    fn both(&self, line: &str, input: &[u8]) -> (Vec<u8>, String) {
        let output = self.output(line, input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{line}: {}\n{errors}", output.status);
        (output.stdout, errors)
    }

    /// What a command prints that succeeds.
    fn ok(&self, line: &str) -> String {
        String::from_utf8(self.both(line, b"").0).unwrap()
    }

    /// As [`Commands::ok`], for a JSON document.
    fn json(&self, line: &str) -> Value {
        let text = self.ok(line);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}\n{text}"))
    }

    /// The error of a command that fails.
    fn fails(&self, line: &str) -> String {
        let output = self.output(line, b"");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {errors}");
        errors
    }

    /// A command fails with these words.
    fn check_error(&self, line: &str, expected: &str) {
        let error = self.fails(line);
        assert!(error.contains(expected), "{line}: {error}");
    }

    /// A command line that is wrong, or names what cannot be read, is answered with these words.
    fn check_usage(&self, line: &str, expected: &str) {
        let output = self.output(line, b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{line}: {error}");
        assert_eq!(output.status.code(), Some(2), "{line}: {error}");
    }

    fn produce(&self, line: &str, input: &str) {
        self.both(line, input.as_bytes());
    }
}

/// The cells of a table's rows, without its header.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect()
}
