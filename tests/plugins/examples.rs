//! The examples of connectors, built with the plugin tools as a user's are, pass the conformance kit and do their work.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    conformance,
    package::{Package, SOURCE, worker},
};
use crate::harness::{process, program, scratch::Scratch, wait};

/// Directory of an example.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("connectors/examples")
        .join(name)
}

/// Builds an example and gives the directory of its package.
fn built(name: &str, forms: &str) -> PathBuf {
    let directory = example(name);
    let mut build = Command::new(program::binary().canonicalize().unwrap());
    let build = process::outside(&mut build)
        .args(["plugin", "build", "--form", forms])
        .arg(&directory);
    let said = process::run(build.env("CARGO_NET_OFFLINE", "true"));
    let output = if forms == "native" && directory.join("Makefile").exists() {
        "build"
    } else {
        "target"
    };
    let package = directory.join(output).join(format!("package/{name}-0.1.0"));
    assert!(
        package.join("plugin.toml").exists(),
        "{} is missing: {said}",
        package.display()
    );
    package
}

/// As [`conformance::conforms`], with the example's own scenarios.
#[track_caller]
fn conforms(name: &str, package: &Path, skipped: &[&str]) {
    conformance::conforms(package, &example(name).join("conformance.toml"), skipped);
}

#[test]
fn the_http_poller_conforms() {
    conforms("http-poller", &built("http-poller", "wasm"), &[]);
}

#[test]
fn the_webhook_sink_conforms_in_both_forms() {
    conforms("webhook-sink", &built("webhook-sink", "wasm,native"), &[]);
}

#[test]
fn the_host_metrics_conform() {
    let package = built("host-metrics", "native");
    conforms("host-metrics", &package, &["the config does not name {http}"]);
}

/// Values of a topic, none before it is there.
fn records(worker: &program::Standalone, topic: &str) -> Vec<String> {
    let mut wire = worker.wire();
    if !wire.topics().contains_key(topic) {
        return Vec::new();
    }
    wire.read_all(topic, 0)
        .iter()
        .map(|record| record.text())
        .collect()
}

#[test]
fn the_line_splitter_conforms_and_is_replaced_while_it_runs() {
    let package = built("line-splitter", "wasm");
    conforms("line-splitter", &package, &["no option is required"]);
    let scratch = Scratch::new("example-splitter");
    let (mut worker, plugins) = worker(&scratch);
    Package {
        class: SOURCE,
        version: "0.1.1",
    }
    .write(&plugins.join("source"));
    process::run(
        Command::new("cp")
            .arg("-r")
            .args([&package, &plugins.join("splitter")]),
    );
    scratch.write("in.txt", "a;b\n");
    let connector = worker.connector(
        "source",
        &[
            ("connector.class", "FileStreamSource"),
            ("file", "in.txt"),
            ("topic", "parts"),
            (
                "value.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
            ("transforms", "split"),
            ("transforms.split.type", "jackfield.examples.LineSplitter"),
            ("transforms.split.separator", ";"),
        ],
    );
    worker.start(&[&connector]);
    wait::until("the parts of the first line", || {
        (records(&worker, "parts") == ["a", "b"]).then_some(())
    });
    // The same code under another description is another package.
    let manifest = fs::read_to_string(package.join("plugin.toml")).unwrap();
    let manifest = manifest.replace("Splits values", "Parts values");
    fs::write(scratch.join("new.toml"), manifest).unwrap();
    fs::rename(scratch.join("new.toml"), plugins.join("splitter/plugin.toml")).unwrap();
    wait::until("the new code", || {
        worker
            .log()
            .contains("goes on with new plugin code")
            .then_some(())
    });
    let mut input = fs::File::options()
        .append(true)
        .open(scratch.join("in.txt"))
        .unwrap();
    input.write_all(b"c;d;e\n").unwrap();
    wait::until("the parts of the second line", || {
        (records(&worker, "parts") == ["a", "b", "c", "d", "e"]).then_some(())
    });
}
