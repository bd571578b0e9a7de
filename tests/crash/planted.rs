//! The same run against the program with a bug planted in it (cargo feature `planted-bugs`, a binary of its own): the checker
//! must find each.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::{outcome::Outcome, run};
use crate::harness::{history::Anomaly, process};

/// Builds `jackfield-planted`; the released program has none of this code.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
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

/// Runs with one bug switched on.
fn planted(bug: &str) -> Outcome {
    let wrapper = crate::harness::scratch::Scratch::new(bug);
    let script = format!("#!/bin/sh\nJF_PLANT={bug} exec {} \"$@\"\n", program().display());
    let path = wrapper.write("jackfield", script);
    process::run(Command::new("chmod").arg("+x").arg(&path));
    run::run(&format!("crash-{bug}"), &path, 6)
}

#[test]
fn acknowledging_before_the_write_is_caught() {
    let outcome = planted("ack-before-write");
    assert!(
        outcome
            .anomalies
            .iter()
            .any(|anomaly| matches!(anomaly, Anomaly::Lost(_))),
        "{outcome:?}"
    );
}

#[test]
fn committing_offsets_before_the_flush_is_caught() {
    let outcome = planted("offset-before-flush");
    assert!(
        outcome
            .pipeline
            .iter()
            .any(|problem| problem.contains("the sink file has")),
        "{outcome:?}"
    );
}

#[test]
fn forgetting_producer_state_is_caught() {
    let outcome = planted("forget-producer-state");
    assert!(
        outcome
            .anomalies
            .iter()
            .any(|anomaly| matches!(anomaly, Anomaly::Duplicate(_))),
        "{outcome:?}"
    );
}
