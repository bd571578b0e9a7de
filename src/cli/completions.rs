//! `jackfield completions`: scripts that complete commands in a shell.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::arguments::{Arguments, CompletionsArguments};

/// Prints the script.
pub(crate) fn run(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    // Into memory first: the generator panics when its output goes away.
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "jackfield",
        &mut script,
    );
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
