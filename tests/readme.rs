//! The commands of README.md, run as they stand there: only ports and the place of `config/` are replaced.

use std::{fs, net::TcpStream, path::Path, process::Command};

use rustix::process::Signal;

use crate::harness::{
    process::{self, Process},
    program::binary,
    rest::Rest,
    scratch::{Scratch, free_port},
    wait,
};

/// A shell in a directory of its own, with the program on the path.
struct Shell<'a> {
    scratch: &'a Scratch,
    kafka_port: u16,
    rest_port: u16,
}

impl Shell<'_> {
    fn command(&self, script: &str, environment: &[(&str, String)]) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = binary().canonicalize().unwrap();
        let script = script
            .replace("CONFIG", root.join("config").to_str().unwrap())
            .replace("127.0.0.1:8083", &format!("127.0.0.1:{}", self.rest_port));
        let mut command = Command::new("bash");
        command
            .current_dir(self.scratch.path())
            .arg("-euo")
            .arg("pipefail")
            .arg("-c")
            .arg(format!(
                "PATH={}:$PATH\ncurl() {{ command curl -sSf \"$@\"; }}\n{script}",
                program.parent().unwrap().display()
            ))
            .env(
                "JACKFIELD_CONNECT_URL",
                format!("http://127.0.0.1:{}", self.rest_port),
            )
            .env(
                "JACKFIELD_BOOTSTRAP_SERVERS",
                format!("127.0.0.1:{}", self.kafka_port),
            )
            .envs(environment.iter().map(|(key, value)| (key, value)));
        command
    }

    fn run(&self, script: &str) -> String {
        process::run(&mut self.command(script, &[]))
    }

    /// Starts a server whose command is the last of `script`.
    fn serve(&self, script: &str, environment: &[(&str, String)]) -> Process {
        // The shell becomes the server, so that signals reach it.
        let (before, server) = script.split_at(script.rfind("jackfield ").unwrap());
        let script = format!("{before}exec {server}");
        let mut process = Process::start(
            server,
            &mut self.command(&script, environment),
            &self.scratch.join("server.log"),
        );
        wait::until("the server of the README", || {
            assert!(process.is_running(), "the server ended early");
            TcpStream::connect(("127.0.0.1", self.kafka_port)).ok()
        });
        process
    }
}

/// The blocks of shell commands, in order.
fn blocks() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut blocks = Vec::new();
    let mut rest = readme.as_str();
    while let Some((_, after)) = rest.split_once("```sh\n") {
        let (block, after) = after.split_once("```").unwrap();
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let blocks = blocks();
    let [make, start, look, manage, broker] = blocks.as_slice() else {
        panic!(
            "the README has {} blocks of commands, this test knows five",
            blocks.len()
        )
    };
    assert_eq!(
        make.lines()
            .map(|line| line.split_whitespace().nth(1).unwrap())
            .collect::<Vec<_>>(),
        ["run", "test"]
    );

    let scratch = Scratch::new("readme-worker");
    let shell = Shell {
        scratch: &scratch,
        kafka_port: free_port(),
        rest_port: free_port(),
    };
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let mut worker = shell.serve(
        start,
        &[
            (
                "JACKFIELD_BROKER_LISTENERS",
                format!("PLAINTEXT://127.0.0.1:{}", shell.kafka_port),
            ),
            (
                "JACKFIELD_LISTENERS",
                format!("http://127.0.0.1:{}", shell.rest_port),
            ),
            ("JACKFIELD_PLUGIN_PATH", plugins.display().to_string()),
        ],
    );
    Rest::new(shell.rest_port).wait_until_up(|| ());
    wait::until("both lines in the sink file", || {
        (fs::read_to_string(scratch.join("test.sink.txt")).ok()? == "hello\nworld\n").then_some(())
    });
    let seen = shell.run(look);
    assert_eq!(seen.matches(r#""payload":"hello""#).count(), 1, "{seen}");
    assert!(seen.ends_with("hello\nworld\n"), "{seen}");
    let managed = shell.run(manage);
    assert!(
        managed.contains("local-file-sink") && managed.contains("RUNNING"),
        "{managed}"
    );
    assert_eq!(worker.stop(Signal::INT).0.code(), Some(0));

    let scratch = Scratch::new("readme-broker");
    let shell = Shell {
        scratch: &scratch,
        kafka_port: free_port(),
        rest_port: 0,
    };
    let (serve, commands) = broker.split_once('\n').unwrap();
    let listeners = format!("PLAINTEXT://127.0.0.1:{}", shell.kafka_port);
    let mut server = shell.serve(serve, &[("JACKFIELD_LISTENERS", listeners)]);
    let seen = shell.run(commands);
    assert!(
        seen.contains(" 1: apples\n") && seen.contains(" 2: pears\n"),
        "{seen}"
    );
    assert!(
        seen.contains("billing: Empty, classic group, no members, lag 0"),
        "{seen}"
    );
    assert!(seen.ends_with("deleted orders\ndeleted copy\n"), "{seen}");
    assert_eq!(server.stop(Signal::TERM).0.code(), Some(0));
}
