//! Packages that come while the worker runs, and several versions of a class side by side.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::package::{Package, SOURCE, worker};
use crate::harness::{program::Standalone, scratch::Scratch, wait};

fn config(version: &str) -> Value {
    let mut config = json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": "in.txt",
        "topic": "lines",
        "plugin.form": "wasm",
    });
    if !version.is_empty() {
        config["connector.plugin.version"] = json!(version);
    }
    config
}

fn package(version: &str) -> Package<'_> {
    Package {
        class: SOURCE,
        version,
    }
}

/// The versions of the class that can be run, as they are listed.
fn listed(worker: &Standalone) -> Vec<String> {
    let rows = worker.rest.get("/connector-plugins").body;
    let rows = rows.as_array().unwrap().iter();
    rows.filter(|row| row["class"] == SOURCE)
        .map(|row| row["version"].as_str().unwrap().to_owned())
        .collect()
}

fn wait_for_version(worker: &Standalone, name: &str, version: &str) {
    wait::until(&format!("{name} to run version {version}"), || {
        let status = worker.rest.get(&format!("/connectors/{name}/status")).body;
        let runs = |state: &Value| state["version"] == version && state["state"] == "RUNNING";
        let task = status["tasks"].get(0)?;
        (runs(&status["connector"]) && runs(task)).then_some(())
    });
}

#[test]
fn a_package_is_used_without_a_restart_and_a_newer_one_as_well() {
    let scratch = Scratch::new("packages-come");
    let (mut worker, plugins) = worker(&scratch);
    scratch.write("in.txt", "one\n");
    worker.start(&[]);
    assert_eq!(listed(&worker), Vec::<String>::new());
    let refused = worker.rest.put("/connectors/lines/config", &config(""));
    assert_eq!(refused.status, 400, "{refused:?}");
    package("0.1.1").write(&plugins.join("first"));
    wait::until("the package to be listed", || {
        (listed(&worker) == ["0.1.1"]).then_some(())
    });
    assert_eq!(
        worker.rest.put("/connectors/lines/config", &config("")).status,
        201
    );
    assert_eq!(
        worker
            .rest
            .put("/connectors/pinned/config", &config("0.1.1"))
            .status,
        201
    );
    wait_for_version(&worker, "lines", "0.1.1");
    wait_for_version(&worker, "pinned", "0.1.1");
    package("0.1.2").write(&plugins.join("second"));
    wait_for_version(&worker, "lines", "0.1.2");
    assert_eq!(listed(&worker), ["0.1.2", "0.1.1"]);
    wait_for_version(&worker, "pinned", "0.1.1");
    // What a restart finds is what was there.
    worker.stop(Signal::TERM);
    worker.start(&[]);
    wait_for_version(&worker, "lines", "0.1.2");
    wait_for_version(&worker, "pinned", "0.1.1");
    worker.stop(Signal::TERM);
}

#[test]
fn a_connector_starts_when_its_package_comes_back() {
    let scratch = Scratch::new("packages-come-back");
    let (mut worker, plugins) = worker(&scratch);
    scratch.write("in.txt", "one\n");
    package("0.1.1").write(&plugins.join("package"));
    worker.start(&[]);
    assert_eq!(
        worker.rest.put("/connectors/lines/config", &config("")).status,
        201
    );
    wait_for_version(&worker, "lines", "0.1.1");
    worker.stop(Signal::TERM);
    fs::rename(plugins.join("package"), scratch.join("away")).unwrap();
    worker.start(&[]);
    wait::until("the connector to fail", || {
        let status = worker.rest.get("/connectors/lines/status").body;
        (status["connector"]["state"] == "FAILED").then_some(())
    });
    fs::rename(scratch.join("away"), plugins.join("package")).unwrap();
    wait_for_version(&worker, "lines", "0.1.1");
    worker.stop(Signal::TERM);
}

#[test]
fn the_config_chooses_the_version_and_errors_name_those_there_are() {
    let scratch = Scratch::new("packages-versions");
    let (mut worker, plugins) = worker(&scratch);
    scratch.write("in.txt", "one\n");
    for version in ["0.1.1", "0.1.2", "0.2.0"] {
        package(version).write(&plugins.join(version));
    }
    worker.start(&[]);
    assert_eq!(listed(&worker), ["0.2.0", "0.1.2", "0.1.1"]);
    for (name, asked_for, version) in [
        ("newest", "", "0.2.0"),
        ("latest", "latest", "0.2.0"),
        ("exact", "0.1.1", "0.1.1"),
        ("range", "[0.1,0.2)", "0.1.2"),
    ] {
        let path = format!("/connectors/{name}/config");
        assert_eq!(worker.rest.put(&path, &config(asked_for)).status, 201, "{name}");
        wait_for_version(&worker, name, version);
    }
    let validate = |asked_for: &str| {
        let path = "/connector-plugins/FileStreamSource/config/validate";
        let mut config = config(asked_for);
        config["name"] = json!("x");
        let answer = worker.rest.put(path, &config);
        assert_eq!(answer.status, 200, "{answer:?}");
        let configs = answer.body["configs"].as_array().unwrap().clone();
        let key = configs
            .into_iter()
            .find(|config| config["value"]["name"] == "connector.plugin.version")
            .unwrap();
        (answer.body["error_count"].clone(), key["value"].clone())
    };
    let (errors, value) = validate("0.1.1");
    assert_eq!((errors, &value["value"]), (json!(0), &json!("0.1.1")));
    assert_eq!(value["recommended_values"], json!(["0.2.0", "0.1.2", "0.1.1"]));
    let said = format!(
        "Plugin {SOURCE} not found that matches the version range [9.0,9.0], available versions: [0.1.1, 0.1.2, 0.2.0]"
    );
    let (errors, value) = validate("9.0");
    // Kafka says it of the class, too.
    assert_eq!((errors, &value["errors"]), (json!(2), &json!([said])));
    let (_, value) = validate("[1.0");
    let unbounded = "Invalid value [1.0 for configuration connector.plugin.version: Unbounded range: [1.0";
    assert_eq!(value["errors"], json!([unbounded]));
    let refused = worker.rest.put("/connectors/no/config", &config("9.0"));
    assert_eq!(refused.status, 400);
    assert!(
        refused.body["message"].as_str().unwrap().contains(&said),
        "{refused:?}"
    );
    let keys = |query: &str| {
        worker
            .rest
            .get(&format!("/connector-plugins/FileStreamSource/config{query}"))
    };
    let default = |answer: &Value| {
        let keys = answer.as_array().unwrap().iter();
        let mut keys = keys.filter(|key| key["name"] == "connector.plugin.version");
        keys.next().unwrap()["default_value"].clone()
    };
    assert_eq!(default(&keys("").body), "0.2.0");
    assert_eq!(default(&keys("?version=%5B0.1,0.2)").body), "0.1.2");
    assert_eq!(keys("?version=9.0").status, 400);
    worker.stop(Signal::TERM);
}
