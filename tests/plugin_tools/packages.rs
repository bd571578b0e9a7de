//! A package as others get it: looked at, packed, unpacked into `plugin.path`, and run. And a task that fails while its author
//! looks.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use super::Author;
use crate::harness::{process, program::Standalone, wait};

/// The archive is unpacked where a worker looks for plugins, and the worker runs what is in it.
fn a_worker_runs(author: &Author, archive: &Path) {
    let plugins = author.join("plugins");
    fs::create_dir_all(&plugins).unwrap();
    process::run(
        Command::new("tar")
            .arg("-xzf")
            .arg(archive)
            .arg("-C")
            .arg(&plugins),
    );
    let mut worker = Standalone::new(&author.scratch);
    worker.property("plugin.path", &plugins.display().to_string());
    let policy = author.scratch.write(
        "policy.toml",
        "[[grant]]\npackage = \"acme-counts\"\nclock = true\n",
    );
    worker.property("plugin.policy", &policy.display().to_string());
    let connector = worker.connector(
        "counts",
        &[
            ("connector.class", "AcmeCounts"),
            ("topic", "numbers"),
            ("interval.ms", "5"),
            (
                "value.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
        ],
    );
    worker.start(&[&connector]);
    wait::until("three records", || {
        let mut wire = worker.wire();
        wire.topics().contains_key("numbers").then_some(())?;
        let records = wire.read_all("numbers", 0);
        (records.len() >= 3).then(|| assert_eq!(records[2].text(), "{\"n\":3}"))
    });
    worker.stop(Signal::TERM);
}

fn inspected(author: &Author, what: &str) -> Value {
    let found = author.json(&format!("plugin inspect {what} --json"));
    assert_eq!(found["name"], "acme-counts");
    assert_eq!(found["error"], Value::Null, "{found:#}");
    assert_eq!(
        found["classes"][0]["config"][1]["name"], "interval.ms",
        "{found:#}"
    );
    found
}

#[test]
fn a_package_travels() {
    let author = Author::new("package");
    author.run("plugin new acme-counts --kind source");
    let packed = author.json("plugin package acme-counts --json -o one.tar.gz");
    author.run("plugin package acme-counts -o two.tar.gz");
    let bytes = |name: &str| fs::read(author.join(name)).unwrap();
    assert!(
        bytes("one.tar.gz") == bytes("two.tar.gz"),
        "the same files make the same archive"
    );
    assert_eq!(packed["bytes"], bytes("one.tar.gz").len());

    let of_archive = inspected(&author, "one.tar.gz");
    assert_eq!(of_archive["artifacts"][0]["digest_matches"], true);
    assert_eq!(
        of_archive["artifacts"][0]["built_for"],
        of_archive["artifacts"][0]["program"]
    );
    assert_eq!(of_archive["capabilities"]["clock"], true);
    assert_eq!(of_archive, inspected(&author, "acme-counts"));
    let text = author.run("plugin inspect one.tar.gz");
    assert!(
        text.contains("interval.ms") && text.contains("Milliseconds between two records"),
        "{text}"
    );
    let checked = author.json("plugin check one.tar.gz --json");
    assert_eq!(checked["failed"], 0, "{checked:#}");
    a_worker_runs(&author, &author.join("one.tar.gz"));

    // Somebody changed the code on the way.
    let code = author.join("plugins/acme-counts-0.1.0/connector.wasm");
    let mut content = fs::read(&code).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&code, content).unwrap();
    let found = author.json("plugin inspect plugins/acme-counts-0.1.0 --json");
    assert_eq!(found["artifacts"][0]["digest_matches"], false, "{found:#}");
    assert!(
        found["error"].as_str().unwrap().contains("sha256 is"),
        "{found:#}"
    );
    let (code, said) = author.fail("plugin check plugins/acme-counts-0.1.0");
    assert!(code == 1 && said.contains("1 of 1 checks failed"), "{said}");

    broken(&author);
}

/// Code that does not compile, and a task that fails.
fn broken(author: &Author) {
    let lib = "acme-counts/src/lib.rs";
    author.edit(
        lib,
        "let now = Instant::now();",
        "return Err(ConnectError::fatal(\"out of numbers\"));",
    );
    author.edit(
        lib,
        "fn poll(&mut self",
        "#[allow(unreachable_code, unused)]\n    fn poll(&mut self",
    );
    author.edit(lib, "self.due <= now", "self.due <= Instant::now()");
    author.edit(lib, "duration_since(now)", "duration_since(Instant::now())");
    let (code, said) = author.fail("plugin run acme-counts --once");
    assert!(
        code == 1 && said.contains("task 0 of acme-counts failed"),
        "{said}"
    );
    assert!(said.contains("out of numbers"), "{said}");
    author.edit(lib, "\"out of numbers\"", "no_such_name");
    let (code, said) = author.fail("plugin build acme-counts");
    assert!(
        code == 1 && said.contains("cannot find value `no_such_name`"),
        "{said}"
    );
    assert!(
        said.contains("the build failed: cargo build ended with"),
        "{said}"
    );
}
