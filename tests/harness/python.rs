//! Python programs of others: an environment with what `tests/interop/requirements.txt` names, made once in the tests' cache
//! directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use sha2::{Digest as _, Sha256};

use super::{kafka, process};

const REQUIREMENTS: &str = include_str!("../interop/requirements.txt");

/// The environment's interpreter, which finds its packages.
pub(crate) fn python() -> Command {
    Command::new(environment().join("bin/python"))
}

/// The version of a package.
pub(crate) fn version(package: &str) -> &'static str {
    REQUIREMENTS
        .lines()
        .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
        .expect("a package that the tests use")
}

fn environment() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let digest = Sha256::digest(REQUIREMENTS);
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let directory = kafka::cache().join(format!("python-{name}"));
        // Written last: an environment holds its own path, so it cannot be made elsewhere and moved.
        let complete = directory.join("complete");
        if !complete.exists() {
            fs::remove_dir_all(&directory).ok();
            println!("making a Python environment in {}", directory.display());
            process::run(Command::new("python3").args(["-m", "venv"]).arg(&directory));
            let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/requirements.txt");
            process::run(
                Command::new(directory.join("bin/python"))
                    .args([
                        "-m",
                        "pip",
                        "install",
                        "--quiet",
                        "--disable-pip-version-check",
                        "-r",
                    ])
                    .arg(requirements),
            );
            fs::write(&complete, "").unwrap();
        }
        directory
    })
}
