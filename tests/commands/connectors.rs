//! `connectors`.

use std::fs;

use serde_json::{Value, json};

use super::{Commands, cells};
use crate::harness::{
    program::Standalone,
    scratch::{Scratch, free_port},
    wait,
};

#[test]
fn connectors_are_managed() {
    let scratch = Scratch::new("commands-connectors");
    let mut worker = Standalone::new(&scratch);
    worker.start(&[]);
    let commands = Commands::of_worker(worker.rest.port, &scratch);
    on(&commands);
    beyond(&commands);
}

/// Waits until a connector and its task are in a state.
fn wait_for(commands: &Commands, state: &str) {
    wait::until(&format!("the connector to be {state}"), || {
        let all = commands.json("connectors list --json");
        let status = &all["lines"]["status"];
        let tasks = status["tasks"].as_array()?;
        let all = status["connector"]["state"] == state && tasks.iter().all(|task| task["state"] == state);
        (all && (state == "STOPPED" || !tasks.is_empty())).then_some(())
    });
}

/// What every worker offers.
pub(super) fn on(commands: &Commands) {
    fs::write(commands.directory.join("test.txt"), "hello\n").unwrap();
    let properties = "name=lines\nconnector.class=FileStreamSource\nfile=test.txt\ntopic=lines\n";
    fs::write(commands.directory.join("lines.properties"), properties).unwrap();
    let sink = json!({"name": "copy", "config": {
        "connector.class": "FileStreamSink", "topics": "lines", "file": "copy.txt",
    }});
    fs::write(commands.directory.join("copy.json"), sink.to_string()).unwrap();

    assert_eq!(
        commands.ok("connectors create lines.properties"),
        "created lines\n"
    );
    commands.check_error(
        "connectors create lines.properties",
        "connector 'lines': Connector lines already exists",
    );
    assert_eq!(
        commands.ok("connectors apply lines.properties copy.json"),
        "configured lines\ncreated copy\n"
    );
    wait_for(commands, "RUNNING");
    let listed = commands.ok("connectors list");
    // Kafka's worker leaves out connectors that have no state yet.
    let rows = cells(&listed);
    let row = rows.iter().find(|row| row[0] == "lines").unwrap();
    assert_eq!(row[..4], ["lines", "source", "RUNNING", "1/1"], "{listed}");
    let described = commands.ok("connectors describe lines");
    assert!(
        described.starts_with("lines: RUNNING, source on 127.0.0.1:"),
        "{described}"
    );
    assert!(described.contains("  file=test.txt\n"), "{described}");
    let described = commands.json("connectors describe lines --json");
    assert_eq!(described["info"]["config"]["topic"], "lines");
    assert_eq!(described["status"]["connector"]["state"], "RUNNING");
    assert_eq!(
        cells(&commands.ok("connectors tasks lines"))[0][..2],
        ["0", "RUNNING"]
    );
    commands.check_error(
        "connectors describe line",
        "connector 'line': does not exist; did you mean 'lines'?",
    );

    changed(commands);
    refused(commands);
}

fn changed(commands: &Commands) {
    assert_eq!(
        commands.ok("connectors patch lines batch.size=7 file=test.txt"),
        "configured lines\n"
    );
    let config = |key: &str| commands.json("connectors describe lines --json")["info"]["config"][key].clone();
    assert_eq!(config("batch.size"), "7");
    commands.ok("connectors patch lines batch.size=");
    assert_eq!(config("batch.size"), Value::Null);

    assert_eq!(commands.ok("connectors pause lines"), "paused lines\n");
    wait_for(commands, "PAUSED");
    assert_eq!(commands.ok("connectors resume lines"), "resumed lines\n");
    wait_for(commands, "RUNNING");
    assert_eq!(
        commands.ok("connectors restart lines --include-tasks --only-failed"),
        "restarted lines\n"
    );
    assert_eq!(
        commands.ok("connectors restart lines --task 0"),
        "restarted lines\n"
    );
    wait_for(commands, "RUNNING");
    assert_eq!(
        commands.json("connectors stop lines --json"),
        json!([{"connector": "lines", "result": "stopped"}])
    );
    wait_for(commands, "STOPPED");
}

fn refused(commands: &Commands) {
    fs::write(
        commands.directory.join("bad.properties"),
        "name=bad\nconnector.class=FileStreamSink\n",
    )
    .unwrap();
    let error = commands.fails("connectors apply bad.properties");
    assert!(
        error.starts_with("jackfield: connector 'bad': Connector configuration is invalid"),
        "{error}"
    );
    assert!(!error.contains("You can also find"), "{error}");
    fs::write(
        commands.directory.join("nameless.properties"),
        "connector.class=FileStreamSink\n",
    )
    .unwrap();
    commands.check_error(
        "connectors apply nameless.properties",
        "nameless.properties: has no 'name'",
    );
    let plugins = commands.ok("connectors plugins");
    assert!(plugins.contains("FileStreamSinkConnector"), "{plugins}");
    assert_eq!(commands.ok("connectors delete copy --yes"), "deleted copy\n");
    commands.check_error("connectors delete copy", "connector 'copy': does not exist");
}

/// What workers of older versions do not offer; the source is stopped, and has read one line.
pub(super) fn beyond(commands: &Commands) {
    let offsets = commands.ok("connectors offsets get lines");
    let [partition, offset] = &cells(&offsets)[0][..] else {
        panic!("{offsets}")
    };
    // Jackfield's own connector remembers which file it was, too.
    assert_eq!(*partition, r#"{"filename":"test.txt"}"#);
    assert!(offset.starts_with(r#"{"position":6"#), "{offset}");
    let mut document = commands.json("connectors offsets get lines --json");
    document["offsets"][0]["offset"]["position"] = json!(0);
    fs::write(commands.directory.join("offsets.json"), document.to_string()).unwrap();
    let said = commands.ok("connectors offsets alter lines offsets.json");
    assert!(
        said.contains("have been altered successfully") || said.contains("may have been"),
        "{said}"
    );
    assert_eq!(
        commands.json("connectors offsets get lines --json")["offsets"][0]["offset"]["position"],
        0
    );
    commands.ok("connectors offsets reset lines --yes");
    assert_eq!(
        commands.json("connectors offsets get lines --json"),
        json!({"offsets": []})
    );
    commands.check_error(
        "connectors offsets alter lines lines.properties",
        "lines.properties is no JSON",
    );

    assert_eq!(commands.ok("connectors topics lines"), "lines\n");
    assert_eq!(
        commands.ok("connectors topics lines --reset"),
        "forgot the topics of lines\n"
    );
    wait::until("the topics to be forgotten", || {
        commands.ok("connectors topics lines").is_empty().then_some(())
    });
    let error = commands.output("connectors validate bad.properties lines.properties", b"");
    let shown = String::from_utf8(error.stdout).unwrap();
    assert_eq!(error.status.code(), Some(1), "{shown}");
    assert!(
        shown.starts_with("bad:\nKEY") && shown.ends_with("lines: fine\n"),
        "{shown}"
    );
    let unknown = "name=unknown\nconnector.class=Nope\n";
    fs::write(commands.directory.join("unknown.properties"), unknown).unwrap();
    let error = commands.output("connectors validate unknown.properties lines.properties", b"");
    let shown = String::from_utf8(error.stdout).unwrap();
    assert_eq!(error.status.code(), Some(1), "{shown}");
    assert!(
        shown.starts_with("unknown: ") && shown.ends_with("lines: fine\n"),
        "{shown}"
    );
    assert!(commands.ok("connectors plugins --all").contains("converter"));
    commands.ok("connectors logs set org.apache.kafka.connect.runtime debug");
    let level = commands.ok("connectors logs get org.apache.kafka.connect.runtime");
    assert_eq!(cells(&level)[0], ["org.apache.kafka.connect.runtime", "DEBUG"]);
    assert_eq!(
        commands.ok("connectors logs set org.apache.kafka.connect.runtime debug"),
        "org.apache.kafka.connect.runtime was at DEBUG already\n"
    );
    assert!(commands.json("connectors logs get --json").is_object());
}

#[test]
fn a_worker_that_is_not_there_is_named() {
    let scratch = Scratch::new("commands-no-worker");
    let port = free_port();
    let commands = Commands::of_worker(port, &scratch);
    assert_eq!(
        commands.fails("connectors list"),
        format!(
            "jackfield: no answer from a Connect worker at http://127.0.0.1:{port} (connection refused); is \
             `jackfield standalone` running? --url names another address\n"
        )
    );
}
