//! The shipped connectors, in both forms, pass the conformance kit.

use std::path::Path;

use jackfield_kit::{Check, Options, Outcome};

use super::package::installed;

/// Why checks may be left out.
const SKIPPED: &[&str] = &[
    "the config does not name {http}",
    "all options are texts",
    "no option is required",
];

#[test]
fn the_shipped_connectors_conform() {
    let options = Options {
        package: installed("jackfield-file"),
        conformance: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/file/conformance.toml")),
        form: None,
        class: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let checks = runtime
        .block_on(jackfield_kit::check(&options, &mut |_| {}))
        .unwrap();
    let wrong = |check: &&Check| match &check.outcome {
        Outcome::Passed => false,
        Outcome::Failed(_) => true,
        Outcome::Skipped(why) => !SKIPPED.contains(&why.as_str()),
    };
    let wrong: Vec<_> = checks.iter().filter(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let passed = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Passed)
        .count();
    assert!(passed >= 80, "{passed} checks of {}", checks.len());
}
