//! The tools of plugin authors, as an author uses them: every kind of project that `jackfield plugin new` writes is built,
//! checked and run, and its own tests are.

mod guide;
mod kinds;
mod mistakes;
mod packages;
mod reload;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::harness::{process, program::binary, scratch::Scratch};

/// An author with a directory of projects. All of them build into one directory, so that crates are compiled once.
#[derive(Debug)]
struct Author {
    scratch: Scratch,
}

impl Author {
    fn new(name: &str) -> Self {
        Self {
            scratch: Scratch::new(&format!("author-{name}")),
        }
    }

    fn join(&self, path: &str) -> PathBuf {
        self.scratch.join(path)
    }

    /// A command in the author's directory, with the program where tests of projects look for it. Crates come from cargo's
    /// cache, where the build of this program has put them.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        process::outside(&mut command)
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .env("JACKFIELD", binary().canonicalize().unwrap())
            .env("CARGO_TARGET_DIR", target_directory())
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never");
        // What cargo tells the tests it runs is not about these projects.
        for variable in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "RUSTFLAGS", "MAKEFLAGS"] {
            command.env_remove(variable);
        }
        command
    }

    /// `jackfield` with the words of a line; nothing in it is quoted.
    fn jackfield(&self, line: &str) -> Command {
        let mut command = self.command(binary());
        command.args(line.split(' '));
        command
    }

    fn run(&self, line: &str) -> String {
        process::run(&mut self.jackfield(line))
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// A command that must fail: exit code and what it said.
    fn fail(&self, line: &str) -> (i32, String) {
        failure(self.jackfield(line).output().unwrap())
    }

    /// Changes a file of a project.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn failure(output: Output) -> (i32, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    (output.status.code().unwrap(), said)
}

/// Where projects are compiled. It is kept: only the first run compiles the crates of others.
fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-projects")
}
