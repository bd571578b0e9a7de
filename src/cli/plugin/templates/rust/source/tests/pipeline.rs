//! The connector in a real worker: its records come out of a topic.

use std::process::Command;

/// The program that runs it: `JACKFIELD` names it, else it is on the PATH.
fn jackfield() -> Command {
    Command::new(std::env::var("JACKFIELD").unwrap_or_else(|_| "jackfield".to_owned()))
}

#[test]
fn records_come_out_of_the_topic() {
    let output = jackfield()
        .args(["plugin", "run", env!("CARGO_MANIFEST_DIR"), "interval.ms=10", "--count", "3"])
        .output()
        .expect("jackfield is on the PATH, or JACKFIELD names it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let records = String::from_utf8_lossy(&output.stdout);
    assert_eq!(records, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n", "{said}");
}
