//! A client of Kafka Connect's REST API that nobody here wrote, and the description that the API gives of itself.

use std::path::Path;

use crate::harness::{process, program::Standalone, python, scratch::Scratch, shown::shown};

#[test]
fn a_client_of_kafka_connects_drives_a_connector_through_its_life() {
    let scratch = Scratch::new("connect-client");
    scratch.write("test.txt", "one\ntwo\n");
    let mut worker = Standalone::new(&scratch);
    worker.start(&[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/connect_client.py");
    let url = format!("http://127.0.0.1:{}", worker.rest.port);
    let printed = process::run(python::python().arg(script).arg(&url));
    let paths: Vec<String> = serde_json::from_str(printed.trim()).unwrap();
    assert!(paths.len() >= 20, "{paths:?}");
    // Every path that is described is one that is served, and there is no other: routes are made of descriptions.
    for path in &paths {
        let asked = path.replace(['{', '}'], "");
        let answer = worker.rest.send("OPTIONS", &asked, None).unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    shown(
        "kafka-connect-py",
        python::version("kafka-connect-py"),
        "drives a connector through its whole life",
    );
}
