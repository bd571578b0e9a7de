//! Kafka's command-line tools in one JVM, one after the other (`tests/interop/Tools.java`).

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use super::{kafka, process};

/// See the file's header.
#[derive(Debug)]
pub(crate) struct Tools {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Tools {
    pub(crate) fn start() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/Tools.java");
        let mut command = kafka::java(&source.display().to_string());
        let mut child = process::outside(&mut command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            commands,
            answers: BufReader::new(answers),
        }
    }

    /// Runs a tool's main method, with a file as its stdin: exit status, and what it printed on stdout and then on stderr.
    pub(crate) fn run(&mut self, class: &str, input: Option<&Path>, arguments: &[&str]) -> (i32, String) {
        let input = input.map_or_else(String::new, |input| input.display().to_string());
        let command: Vec<&str> = [class, &input]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        assert!(
            command.iter().all(|field| !field.contains(['\n', '\u{1f}'])),
            "{command:?}"
        );
        writeln!(self.commands, "{}", command.join("\u{1f}")).unwrap();
        self.commands.flush().unwrap();
        let mut head = String::new();
        self.answers.read_line(&mut head).unwrap();
        let (status, length) = head
            .trim_end()
            .split_once(' ')
            .unwrap_or_else(|| panic!("the JVM ended at {command:?}: {head}"));
        let mut printed = vec![0; length.parse().unwrap()];
        self.answers.read_exact(&mut printed).unwrap();
        (
            status.parse().unwrap(),
            String::from_utf8_lossy(&printed).into_owned(),
        )
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
