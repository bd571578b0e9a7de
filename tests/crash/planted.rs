//! The same run against the program with a bug planted in it (cargo feature `planted-bugs`, a binary of its own): the checker
//! must find each.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::{outcome::Outcome, run};
use crate::harness::{history::Anomaly, process, scratch::Scratch};

/// Builds `jackfield-planted`; the released program has none of this code. `JF_PLANTED` names one that is built already.
#[allow(
    clippy::disallowed_methods,
    reason = "the program under test is found through the environment"
)]
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(built) = std::env::var_os("JF_PLANTED") {
            return PathBuf::from(built);
        }
        let target = crate::harness::program::target_directory();
        process::run(
            Command::new(env!("CARGO"))
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .args([
                    "build",
                    "--offline",
                    "--release",
                    "--features",
                    "planted-bugs",
                    "--bin",
                    "jackfield-planted",
                ])
                .arg("--target-dir")
                .arg(&target),
        );
        target.join("release/jackfield-planted")
    })
}

/// The program with one bug switched on.
fn planted(scratch: &Scratch, bug: &str) -> PathBuf {
    let script = format!("#!/bin/sh\nJF_PLANT={bug} exec {} \"$@\"\n", program().display());
    let path = scratch.write("jackfield", script);
    process::run(Command::new("chmod").arg("+x").arg(&path));
    path
}

/// Runs until the bug shows or the tries are used up; one run of few kills may be lucky.
fn find(bug: &str, run: impl Fn(&str, &Path, usize) -> Outcome, shows: impl Fn(&Outcome) -> bool) {
    let scratch = Scratch::new(bug);
    let program = planted(&scratch, bug);
    let outcomes: Vec<_> = (0..3)
        .map(|_| run(&format!("crash-{bug}"), &program, 3))
        .take_while(|outcome| !shows(outcome))
        .collect();
    assert!(outcomes.len() < 3, "{bug} was not found in {outcomes:?}");
}

#[test]
fn acknowledging_before_the_write_is_caught() {
    find("ack-before-write", run::run_broker, |outcome| {
        outcome
            .anomalies
            .iter()
            .any(|anomaly| matches!(anomaly, Anomaly::Lost(_)))
    });
}

#[test]
fn committing_offsets_before_the_flush_is_caught() {
    find("offset-before-flush", run::run, |outcome| {
        outcome
            .pipeline
            .iter()
            .any(|problem| problem.contains("the sink file has"))
    });
}

#[test]
fn forgetting_producer_state_is_caught() {
    find("forget-producer-state", run::run_broker, |outcome| {
        outcome
            .anomalies
            .iter()
            .any(|anomaly| matches!(anomaly, Anomaly::Duplicate(_)))
    });
}
