//! Python with packages from PyPI, in a virtual environment of the tests' cache directory.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use super::{kafka, process};

pub(crate) const CONFLUENT_KAFKA: &str = "2.12.1";

/// The environment's `python`; made on first use.
pub(crate) fn python() -> &'static PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let wanted = format!("confluent-kafka=={CONFLUENT_KAFKA}");
        let home = kafka::cache_directory().join("python");
        let done = home.join("packages.txt");
        if fs::read_to_string(&done).is_ok_and(|found| found == wanted) {
            return home.join("bin/python");
        }
        println!("fetching {wanted} from PyPI");
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        process::run(
            Command::new(home.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .arg(&wanted),
        );
        fs::write(done, wanted).unwrap();
        home.join("bin/python")
    })
}
