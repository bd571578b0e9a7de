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

/// Runs the kit on a package. Fails when it finds something, and when it leaves out more than this.
#[track_caller]
pub(super) fn conforms(package: &Path, conformance: &Path, skipped: &[&str]) -> Vec<Check> {
    let options = Options {
        package: package.to_owned(),
        conformance: Some(conformance.to_owned()),
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
        Outcome::Skipped(why) => !skipped.contains(&why.as_str()),
    };
    let wrong: Vec<_> = checks.iter().filter(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    checks
}

#[test]
fn the_shipped_connectors_conform() {
    let conformance = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/file/conformance.toml");
    let checks = conforms(&installed("jackfield-file"), &conformance, SKIPPED);
    let passed = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Passed)
        .count();
    assert!(passed >= 80, "{passed} checks of {}", checks.len());
}
