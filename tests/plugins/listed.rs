//! What cannot be used is listed with its reason, hides no other, and is in nobody's way.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::package::{Package, SINK, SOURCE, worker};
use crate::harness::{process, program::binary, rest::Rest, scratch::Scratch, wait};

/// Bad packages of every kind, and what is said of them.
const BAD: [(&str, &str); 7] = [
    ("cut-off", "sha256 is"),
    ("digest", "sha256 is"),
    (
        "contract",
        "built for jackfield:plugin@9.9.9, this program supports",
    ),
    ("abi", "built for plugin ABI 9.9, this program supports"),
    ("unknown-key", "unknown field `colour`"),
    ("no-code", "no WASM component"),
    ("no-manifest", "no plugin.toml"),
];

fn write_bad(plugins: &Path) {
    let package = Package {
        class: SOURCE,
        version: "9.9.9",
    };
    for (name, _) in BAD {
        let directory = plugins.join(name);
        package.write(&directory);
        let manifest = directory.join("plugin.toml");
        let mut text = fs::read_to_string(&manifest).unwrap();
        // One class and version may be there once.
        text = text.replace(SOURCE, &format!("example.{name}"));
        let code = directory.join("connector.wasm");
        let native = text.find("\n[artifact.native]").unwrap();
        let capabilities = text.find("\n[capabilities]").unwrap();
        let wasm = text.find("\n[artifact.wasm]").unwrap();
        let only_wasm = format!("{}{}", &text[..native], &text[wasm..capabilities]);
        let text = match name {
            "cut-off" => {
                let content = fs::read(&code).unwrap();
                fs::write(&code, &content[..content.len() / 2]).unwrap();
                only_wasm
            }
            "digest" => {
                let mut content = fs::read(&code).unwrap();
                *content.last_mut().unwrap() ^= 1;
                fs::write(&code, content).unwrap();
                only_wasm
            }
            "contract" => {
                let (before, after) = only_wasm.split_once("jackfield:plugin@").unwrap();
                format!(
                    "{before}jackfield:plugin@9.9.9{}",
                    &after[after.find('"').unwrap()..]
                )
            }
            "abi" => {
                let text = format!("{}{}", &text[..native], &text[native..wasm]);
                let (before, after) = text.split_once("abi = \"").unwrap();
                format!("{before}abi = \"9.9{}", &after[after.find('"').unwrap()..])
            }
            "unknown-key" => format!("{only_wasm}colour = \"red\"\n"),
            "no-code" => {
                fs::write(&code, "#!/bin/sh\n").unwrap();
                only_wasm
            }
            _ => {
                fs::remove_file(&manifest).unwrap();
                continue;
            }
        };
        fs::write(&manifest, text).unwrap();
    }
}

fn rows(rest: &Rest, connectors_only: bool) -> Vec<Value> {
    let answer = rest.get(&format!("/connector-plugins?connectorsOnly={connectors_only}"));
    answer.body.as_array().unwrap().clone()
}

fn check_rows(rest: &Rest) {
    let good = rows(rest, true);
    for class in [SOURCE, SINK] {
        assert!(
            good.iter().any(|row| row["class"] == class),
            "{class} in {good:?}"
        );
    }
    for row in good {
        let fields: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(
            fields,
            ["class", "type", "version"],
            "Kafka's fields and no others"
        );
    }
    wait::until("all bad packages to be listed", || {
        let all = rows(rest, false);
        BAD.iter()
            .all(|(name, reason)| {
                all.iter().any(|row| {
                    let says =
                        |field: &str, what: &str| row[field].as_str().is_some_and(|text| text.contains(what));
                    says("location", &format!("/{name}")) && says("error", reason)
                })
            })
            .then_some(())
    });
    // Once they are known not to work they are nothing that can be run.
    assert_eq!(rows(rest, true).len(), 2);
}

#[test]
fn bad_packages_are_listed_with_their_reasons() {
    let scratch = Scratch::new("bad-packages");
    let (mut worker, plugins) = worker(&scratch);
    for (directory, class) in [("source", SOURCE), ("sink", SINK)] {
        let version = "0.1.1";
        Package { class, version }.write(&plugins.join(directory));
    }
    write_bad(&plugins);
    worker.start(&[]);
    check_rows(&worker.rest);
    // The same without a worker.
    let output = process::outside(&mut Command::new(binary()))
        .args(["plugins", "--json", "--plugin-path"])
        .arg(&plugins)
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["plugins"].as_array().unwrap().len(), 2, "{document}");
    let unusable = document["unusable"].as_array().unwrap();
    assert_eq!(unusable.len(), BAD.len(), "{document}");
    for (name, reason) in BAD {
        let found = unusable.iter().find(|package| {
            let package = package["package"].as_str().unwrap();
            package.ends_with(name)
        });
        let error = found.unwrap()["error"].as_str().unwrap();
        assert!(error.contains(reason), "{name}: {error}");
    }
    let output = process::outside(&mut Command::new(binary()))
        .args(["plugins", "--plugin-path"])
        .arg(&plugins)
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stderr).unwrap();
    assert_eq!(shown.matches("cannot be used: ").count(), BAD.len(), "{shown}");
    worker.stop(rustix::process::Signal::TERM);
}
