//! The program with a bug planted in it (cargo feature `planted-bugs`, a binary of its own): a checker that does not find
//! it is worth nothing.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::{process, program, scratch::Scratch};

/// Builds `jackfield-planted`; the released program has none of this code. `JF_PLANTED` names one that is built already.
#[allow(
    clippy::disallowed_methods,
    reason = "the program under test is found through the environment"
)]
fn build() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(built) = std::env::var_os("JF_PLANTED") {
            return PathBuf::from(built);
        }
        let target = program::target_directory();
        process::run(
            Command::new(env!("CARGO"))
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .args([
                    "build",
                    "--offline",
                    "--release",
                    // With the features of the libraries that everything else is built with.
                    "--workspace",
                    "--features",
                    "jackfield/planted-bugs",
                    "--bin",
                    "jackfield-planted",
                ])
                .arg("--target-dir")
                .arg(&target),
        );
        target.join("release/jackfield-planted")
    })
}

/// The program with one bug switched on; it lies in `scratch`.
pub(crate) fn program(scratch: &Scratch, bug: &str) -> PathBuf {
    let script = format!("#!/bin/sh\nJF_PLANT={bug} exec {} \"$@\"\n", build().display());
    let path = scratch.write("jackfield", script);
    process::run(Command::new("chmod").arg("+x").arg(&path));
    path
}
