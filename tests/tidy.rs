//! Rules of the source tree that no compiler holds: sizes, headers, names, and which crate may know which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, MetadataCommand};
use regex::Regex;

use crate::harness::process;

const MOST_LINES: usize = 500;

/// Which crate may depend on which. Connectors may depend on `api` and nothing else.
const EDGES: &[(&str, &[&str])] = &[
    ("env", &[]),
    ("tasks", &[]),
    ("batch", &[]),
    ("protocol", &[]),
    // A procedural macro is part of whoever uses it.
    ("derive", &[]),
    ("api", &["batch", "derive"]),
    ("log", &["protocol", "env"]),
    ("broker", &["log", "protocol", "tasks", "env"]),
    ("cluster", &["broker", "protocol", "tasks"]),
    ("plugin", &["api", "batch", "tasks", "env"]),
    ("kit", &["plugin", "api", "batch", "tasks"]),
    ("worker", &["cluster", "plugin", "api", "batch", "tasks", "env"]),
    ("rest", &["worker", "cluster"]),
    // The composition root also makes the world (env) and the root of all tasks; the tools of plugin authors show config
    // definitions (api) and feed what they run (batch).
    (
        "cli",
        &[
            "rest", "worker", "plugin", "cluster", "broker", "log", "tasks", "env", "api", "batch", "kit",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under version control, or about to be, with its text; files that are not text are left out.
fn tracked() -> Vec<(PathBuf, String)> {
    let listed = process::run(Command::new("git").current_dir(root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]));
    listed
        .lines()
        .filter_map(|name| Some((PathBuf::from(name), fs::read_to_string(root().join(name)).ok()?)))
        .collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    tracked()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn fail_if_any(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}:\n{}", problems.join("\n"));
}

/// Lines before the unit tests at the end of a file.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod "));
    tests.unwrap_or(lines.len())
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let only_tests = ["tests.rs", "_test.rs"]
            .iter()
            .any(|end| path.to_string_lossy().ends_with(end));
        let lines = lines_without_tests(&text);
        if lines > MOST_LINES && !only_tests {
            problems.push(format!("{}: {lines} lines without its tests", path.display()));
        }
        if !text.starts_with("//!") {
            problems.push(format!("{}: does not open with a //! header", path.display()));
        }
    }
    fail_if_any(
        "files of at most 500 lines that open with what they are",
        &problems,
    );
}

#[test]
fn names_say_what_is_in() {
    let vague = [
        "common", "util", "utils", "core", "types", "helpers", "misc", "prelude",
    ];
    let problems: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| {
            let mut names = path.iter().map(|part| part.to_string_lossy());
            names.any(|part| vague.contains(&part.trim_end_matches(".rs")))
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    fail_if_any(
        "no file, folder or crate with a name that says nothing",
        &problems,
    );
}

#[test]
fn dependencies_go_one_way() {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap();
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for package in &metadata.packages {
        let Some(name) = package.name.strip_prefix("jackfield-") else {
            continue;
        };
        seen.insert(name.to_owned());
        let allowed: &[&str] = if name.starts_with("connector-") {
            &["api"]
        } else {
            allowed
                .get(name)
                .unwrap_or_else(|| panic!("{name} is missing in the table of edges"))
        };
        for dependency in &package.dependencies {
            let Some(other) = dependency.name.strip_prefix("jackfield-") else {
                continue;
            };
            if dependency.kind != DependencyKind::Development && !allowed.contains(&other) {
                problems.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    for (name, _) in EDGES {
        assert!(
            seen.contains(*name),
            "the table names {name}, the workspace has no such crate"
        );
    }
    fail_if_any("edges between crates", &problems);
}

#[test]
fn texts_speak_of_the_project_only() {
    let forbidden = [
        (r"(?i)\bissue\s+#?\d+\b", "a number of an issue"),
        (
            r"(?m)(^|[\s`'\x22(=])(/work/|/root/|/home/\w)",
            "a path of one machine",
        ),
        (
            r"\b(?:TO|FIX)DO\b|\bFIXME\b|\bXXX\b|\btodo!\(|\bunimplemented!\(",
            "something unfinished",
        ),
    ];
    let mut problems = Vec::new();
    for (path, text) in tracked() {
        if path.ends_with("tests/tidy.rs")
            || path.ends_with("Cargo.lock")
            || path.starts_with("tests/golden/files")
        {
            continue;
        }
        for (pattern, what) in forbidden {
            if let Some(found) = Regex::new(pattern).unwrap().find(&text) {
                let line = text[..found.start()].lines().count().max(1);
                problems.push(format!(
                    "{}:{line}: {what}: {}",
                    path.display(),
                    found.as_str().trim()
                ));
            }
        }
    }
    fail_if_any("texts", &problems);
}

#[test]
fn unsafe_code_stays_where_it_must_be() {
    // `unsafe` lives in the native loader, the SDK's export macros and nowhere else.
    let word = Regex::new(r"\bunsafe\s*(\{|fn|impl|extern)").unwrap();
    let problems: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| {
            word.is_match(text)
                && !path.starts_with("src/plugin")
                && !path.starts_with("src/api")
                && !path.starts_with("tests")
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    fail_if_any("unsafe code outside the native loader and the SDK", &problems);
}
