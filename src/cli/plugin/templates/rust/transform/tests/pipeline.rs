//! The transform in a real worker: lines go through it into a topic, and come out changed.

use std::{fs, path::Path, process::Command};

/// The program that runs it: `JACKFIELD` names it, else it is on the PATH.
fn jackfield() -> Command {
    Command::new(std::env::var("JACKFIELD").unwrap_or_else(|_| "jackfield".to_owned()))
}

#[test]
fn records_come_out_changed() {
    let input = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("in-{}.txt", std::process::id()));
    fs::write(&input, "one\ntwo\n").unwrap();
    let output = jackfield()
        .args(["plugin", "run", env!("CARGO_MANIFEST_DIR"), "--once", "--input"])
        .arg(&input)
        .output()
        .expect("jackfield is on the PATH, or JACKFIELD names it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ONE\nTWO\n", "{said}");
    fs::remove_file(&input).unwrap();
}
