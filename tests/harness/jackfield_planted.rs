//! The program with planted bugs compiled in: `src/main.rs` under another name, built with the feature `planted-bugs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jackfield_cli::run(std::env::args_os(), std::env::vars_os()).into()
}
