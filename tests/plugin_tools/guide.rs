//! The commands of docs/writing-connectors.md, as they stand there: only ports are replaced.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;

use super::Author;
use crate::harness::{
    process::{self, Process},
    program::binary,
    rest::Rest,
    scratch::free_port,
};

const PROJECT: &str = "acme-counts";

/// The blocks of shell commands, in order.
fn blocks() -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/writing-connectors.md");
    let guide = fs::read_to_string(guide).unwrap();
    let blocks = guide.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// A newcomer's shell, with the program on the path.
struct Shell {
    author: Author,
    kafka_port: u16,
    rest_port: u16,
}

impl Shell {
    fn command(&self, script: &str) -> Command {
        let program = binary().canonicalize().unwrap();
        let path = program.parent().unwrap().display();
        let mut command = self.author.command("bash");
        command
            .args(["-euo", "pipefail", "-c"])
            .arg(format!("PATH={path}:$PATH\n{script}"))
            .env(
                "JACKFIELD_LISTENERS",
                format!("http://127.0.0.1:{}", self.rest_port),
            )
            .env(
                "JACKFIELD_BROKER_LISTENERS",
                format!("PLAINTEXT://127.0.0.1:{}", self.kafka_port),
            )
            .env(
                "JACKFIELD_CONNECT_URL",
                format!("http://127.0.0.1:{}", self.rest_port),
            )
            .env(
                "JACKFIELD_BOOTSTRAP_SERVERS",
                format!("127.0.0.1:{}", self.kafka_port),
            );
        command
    }

    /// In the project, as after the first block.
    fn run(&self, script: &str) -> String {
        process::run(self.command(script).current_dir(self.author.join(PROJECT)))
    }
}

#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    let blocks = blocks();
    let [new, run, check, look, install, consume] = blocks.as_slice() else {
        panic!(
            "the guide has {} blocks of commands, this test knows six",
            blocks.len()
        )
    };
    let shell = Shell {
        author: Author::new("guide"),
        kafka_port: free_port(),
        rest_port: free_port(),
    };
    process::run(&mut shell.command(new));
    assert_eq!(shell.run(run), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    let checked = shell.run(check);
    assert!(
        checked.contains("passed") && !checked.contains("FAILED"),
        "{checked}"
    );
    assert!(
        checked.contains("test records_come_out_of_the_topic ... ok"),
        "{checked}"
    );
    let looked = shell.run(look);
    assert!(looked.contains("AcmeCounts: a source"), "{looked}");
    assert!(
        looked.contains("install  tar -xzf acme-counts-0.1.0.tar.gz"),
        "{looked}"
    );

    // The shell becomes the worker, so that signals reach it.
    let (before, worker) = install.split_at(install.rfind("jackfield ").unwrap());
    let mut command = shell.command(&format!("{before}exec {worker}"));
    command.current_dir(shell.author.join(PROJECT));
    let log = shell.author.join("worker.log");
    let mut worker = Process::start("the worker of the guide", &mut command, &log);
    Rest::new(shell.rest_port).wait_until_up(|| assert!(worker.is_running(), "the worker ended early"));
    let wait = "until jackfield topics list | grep -q numbers; do sleep 0.1; done\n";
    let seen = shell.run(&format!("timeout 60 bash -c '{}'\n{consume}", wait.trim()));
    assert!(seen.contains("RUNNING"), "{seen}");
    assert!(seen.ends_with("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n"), "{seen}");
    assert_eq!(worker.stop(Signal::INT).0.code(), Some(0));
}
