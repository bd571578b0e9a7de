//! `plugin run` while its project changes: new code takes over where the old one was, broken code does not.

use std::{fs, path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::Author;
use crate::harness::wait;

#[test]
fn changes_are_built_and_take_over() {
    let author = Author::new("reload");
    author.run("plugin new acme-source --kind source");
    let (out, log) = (author.join("out.txt"), author.join("log.txt"));
    let mut child = author
        .jackfield("plugin run acme-source interval.ms=20")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let mut until = |what: &str, path: &Path, text: &str| {
        let build = 3 * wait::PATIENCE;
        wait::within(what, build, || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", read(&log));
            read(path).contains(text).then_some(())
        });
    };
    until("the first record", &out, "{\"n\":1}\n");
    let value = r##"format!(r#"{{"n":{next}}}"#);"##;
    let lib = "acme-source/src/lib.rs";
    author.edit(
        lib,
        &format!("let value = {value}"),
        "let value = format!(\"second {next}\");",
    );
    until("records of the new code", &out, "\nsecond ");
    author.edit(lib, "let value = ", "let value := ");
    until("the build to fail", &log, "the code that runs goes on");
    let before = read(&out).len();
    wait::until("the code to go on", || {
        (read(&out).len() > before + 100).then_some(())
    });
    author.edit(
        lib,
        "let value := format!(\"second",
        "let value = format!(\"third",
    );
    until("records of the corrected code", &out, "\nthird ");
    kill_process(
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        Signal::INT,
    )
    .unwrap();
    let status = wait::until("the command to end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", read(&log));
    // Each number once and in order, whichever code wrote it.
    let numbers: Vec<u64> = read(&out)
        .lines()
        .map(|line| {
            let digits: String = line.chars().filter(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        })
        .collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
}
