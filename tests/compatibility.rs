//! `docs/compatibility.md`: written from what the tests of this run showed, and from the lists of what is left out.

use std::{fmt::Write, fs, path::Path};

use crate::{harness::shown, interop};

const DOCUMENT: &str = "docs/compatibility.md";

const HEAD: &str = "\
# Compatibility

Clients and tools that nobody here wrote, as `make test` runs them against Jackfield: as they are, in the versions given.
This page is generated from the results of those tests (`make compatibility`).
";

fn rendered() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n| Client or tool | Version | What it does | Test |\n| --- | --- | --- | --- |\n");
    for row in shown::rows() {
        writeln!(
            text,
            "| {} | {} | {} | `{}` |",
            row.client, row.version, row.what, row.test
        )
        .unwrap();
    }
    for (title, head, gaps) in interop::gaps() {
        write!(text, "\n## {title}\n\n{head}\n\n| What | Why |\n| --- | --- |\n").unwrap();
        for (what, why) in gaps {
            writeln!(text, "| {what} | {why} |").unwrap();
        }
    }
    text
}

/// Run after the others: by `make test` to compare, by `make compatibility` to write.
#[test]
#[ignore = "wants the results of the other tests; make test runs it last"]
#[allow(clippy::disallowed_methods, reason = "a switch of the test run")]
fn the_document_is_what_the_tests_showed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = rendered();
    if std::env::var("UPDATE_DOCUMENT").is_ok() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let missing: Vec<_> = committed.lines().filter(|line| !text.contains(line)).collect();
    let new: Vec<_> = text.lines().filter(|line| !committed.contains(line)).collect();
    assert!(
        committed == text,
        "{DOCUMENT} is not what the tests showed (`make compatibility` writes it anew)\n\
         not shown: {missing:#?}\nnot written: {new:#?}"
    );
}
