//! The committed files: compared with, or replaced when `UPDATE_GOLDEN` is set.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Whether this run asks the real Kafka and replaces the files.
#[allow(
    clippy::disallowed_methods,
    reason = "a switch of the test run, read in one place"
)]
pub(crate) fn updating() -> bool {
    std::env::var("UPDATE_GOLDEN").is_ok()
}

fn directory(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/files")
        .join(case)
}

/// Holds `found` (by file name) against the committed files of `case`.
pub(crate) fn check(case: &str, found: &BTreeMap<String, Vec<u8>>) {
    let directory = directory(case);
    if updating() {
        fs::remove_dir_all(&directory).ok();
        fs::create_dir_all(&directory).unwrap();
        for (name, content) in found {
            fs::write(directory.join(name), content).unwrap();
        }
        return;
    }
    let mut expected = BTreeMap::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        expected.insert(
            entry.file_name().into_string().unwrap(),
            fs::read(entry.path()).unwrap(),
        );
    }
    let mut problems = Vec::new();
    for name in expected.keys().filter(|name| !found.contains_key(*name)) {
        problems.push(format!("{name}: missing"));
    }
    for (name, content) in found {
        match expected.get(name) {
            None => problems.push(format!("{name}: Kafka writes no such file")),
            Some(golden) => problems.extend(difference(name, golden, content)),
        }
    }
    assert!(
        problems.is_empty(),
        "{case} differs from what Kafka writes:\n{}",
        problems.join("\n")
    );
}

/// Where two files part, in a form that can be read.
fn difference(name: &str, golden: &[u8], found: &[u8]) -> Option<String> {
    if golden == found {
        return None;
    }
    if let (Ok(golden), Ok(found)) = (str::from_utf8(golden), str::from_utf8(found)) {
        let missing = golden
            .lines()
            .filter(|line| !found.lines().any(|other| other == *line));
        let extra = found
            .lines()
            .filter(|line| !golden.lines().any(|other| other == *line));
        let mut lines: Vec<_> = missing.map(|line| format!("  kafka {line}")).collect();
        lines.extend(extra.map(|line| format!("  ours  {line}")));
        if lines.is_empty() {
            lines.push(format!(
                "  same lines, other order or number:\nkafka\n{golden}\nours\n{found}"
            ));
        }
        return Some(format!("{name}:\n{}", lines.join("\n")));
    }
    let at = golden.iter().zip(found).take_while(|(a, b)| a == b).count();
    let show = |data: &[u8]| hex(&data[at.saturating_sub(16).min(data.len())..data.len().min(at + 48)]);
    Some(format!(
        "{name}: {} bytes, Kafka's has {}; first difference at byte {at} (from 16 bytes before)\n  kafka {}\n  ours  {}",
        found.len(),
        golden.len(),
        show(golden),
        show(found)
    ))
}

/// Bytes as hexadecimal text.
pub(crate) fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A comparison that cannot fail would be worthless.
#[test]
fn differences_are_seen() {
    assert_eq!(difference("a", b"same", b"same"), None);
    assert!(
        difference("a", b"one\ntwo\n", b"one\n")
            .unwrap()
            .contains("kafka two")
    );
    assert!(difference("a", b"one\n", b"one\none\n").is_some());
    assert!(
        difference("a", &[0xff, 1], &[0xff, 2])
            .unwrap()
            .contains("at byte 1")
    );
}
