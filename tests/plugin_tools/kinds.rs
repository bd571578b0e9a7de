//! `plugin new`, `build`, `check` for every kind in every language, and the tests that each project has: a record comes out
//! of a topic, or of the destination.

use std::fs;

use serde_json::{Value, json};

use super::Author;
use crate::harness::process;

/// A new project must build, pass its checks, and pass its own tests.
fn check(kind: &str, lang: &str, form: &str) {
    let author = Author::new(&format!("{kind}-{lang}"));
    author.run(&format!("plugin new acme-{kind} --kind {kind} --lang {lang}"));
    let built = author.json(&format!("plugin build acme-{kind} --json"));
    assert_eq!(built["name"], json!(format!("acme-{kind}")));
    assert_eq!(built["artifacts"][0]["form"], form, "{built}");
    let package = built["package"].as_str().unwrap();
    assert!(
        package.ends_with(&format!("package/acme-{kind}-0.1.0")),
        "{built}"
    );
    assert!(fs::exists(format!("{package}/plugin.toml")).unwrap());
    let again = author.json(&format!("plugin build acme-{kind} --json"));
    assert_eq!(again["changed"], false, "nothing changed");

    let checked = author.json(&format!("plugin check acme-{kind} --json"));
    assert_eq!(checked["failed"], 0, "{checked:#}");
    assert!(checked["passed"].as_u64().unwrap() >= 2, "{checked:#}");
    let of_package = author.json(&format!("plugin check {package} --json"));
    assert!(of_package["passed"].as_u64().unwrap() >= 2, "{of_package:#}");

    let mut own = match lang {
        "rust" => {
            let mut cargo = author.command("cargo");
            cargo.args(["test", "--release"]);
            cargo
        }
        _ => {
            let mut make = author.command("make");
            make.arg("test");
            make
        }
    };
    process::run(own.current_dir(author.join(&format!("acme-{kind}"))));
    comes_out(&author, kind);
}

/// A record of the finished plugin comes out, in a pipeline of its own.
fn comes_out(author: &Author, kind: &str) {
    author.scratch.write("in.txt", "one\ntwo\n");
    match kind {
        "source" => {
            let records = author.run("plugin run acme-source interval.ms=5 --count 2 --json");
            let records: Vec<Value> = records
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(records.len(), 2);
            assert_eq!(records[1]["topic"], "acme-source");
            let number = |record: &Value| {
                let value: Value = serde_json::from_str(record["value"].as_str().unwrap()).unwrap();
                value["n"].as_u64().unwrap()
            };
            assert_eq!(number(&records[1]), number(&records[0]) + 1);
        }
        "sink" => {
            author.run("plugin run acme-sink file=out.txt --input in.txt --once");
            assert_eq!(fs::read_to_string(author.join("out.txt")).unwrap(), "one\ntwo\n");
        }
        _ => {
            let records = author.run("plugin run acme-transform --input in.txt --count 2 -f %t:%s\\n");
            assert_eq!(records, "acme-transform:ONE\nacme-transform:TWO\n");
        }
    }
}

#[test]
fn a_source_in_rust() {
    check("source", "rust", "wasm");
}

#[test]
fn a_sink_in_rust() {
    check("sink", "rust", "wasm");
}

#[test]
fn a_transform_in_rust() {
    check("transform", "rust", "wasm");
}

#[test]
fn a_source_in_c() {
    check("source", "c", "native");
}

#[test]
fn a_sink_in_c() {
    check("sink", "c", "native");
}

#[test]
fn a_transform_in_c() {
    check("transform", "c", "native");
}
