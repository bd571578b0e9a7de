//! The connector in a real worker: what is in a topic comes out in its file.

use std::{fs, path::Path, process::Command};

/// The program that runs it: `JACKFIELD` names it, else it is on the PATH.
fn jackfield() -> Command {
    Command::new(std::env::var("JACKFIELD").unwrap_or_else(|_| "jackfield".to_owned()))
}

#[test]
fn records_come_out_in_the_file() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pipeline-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (input, file) = (directory.join("in.txt"), directory.join("out.txt"));
    fs::write(&input, "one\ntwo\nthree\n").unwrap();
    let output = jackfield()
        .args(["plugin", "run", env!("CARGO_MANIFEST_DIR")])
        .arg(format!("file={}", file.display()))
        .arg("--input")
        .arg(&input)
        .args(["--count", "3"])
        .output()
        .expect("jackfield is on the PATH, or JACKFIELD names it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\nthree\n", "{said}");
    fs::remove_dir_all(&directory).unwrap();
}
