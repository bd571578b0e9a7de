//! The program: hands the command line and the environment to the commands, and their result to the operating system.

use std::process::ExitCode;

/// The data path makes many short-lived buffers on many threads, and gives memory back when it is idle.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    jackfield_cli::run(std::env::args_os(), std::env::vars_os()).into()
}
