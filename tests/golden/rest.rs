//! Answers of the REST API: the same requests get the same status, location and body as from Kafka Connect.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use super::expected::{self, updating};
use crate::harness::{
    kafka::{RealConnect, RealKafka},
    program::Standalone,
    rest::Rest,
    scratch::Scratch,
};

/// How much of an answer must be Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    /// Everything.
    All,
    /// Status and shape; the message speaks of Java's classes.
    Status,
}
use Same::{All, Status};

const SOURCE: &str =
    r#"{"connector.class":"FileStreamSource","topic":"t","file":"test.txt","tasks.max":"1"}"#;

/// Requests in order: method, path, body (`SOURCE` stands for a good config, `TYPE|` for another content type), connector
/// and state to wait for afterwards.
#[rustfmt::skip]
const REQUESTS: &[(Same, &str, &str, &str, &str)] = &[
    (All, "GET", "/health", "", ""),
    (All, "GET", "/connectors", "", ""),
    (All, "GET", "/connectors?expand=status", "", ""),
    (All, "POST", "/connectors", r#"{"name":"a","config":SOURCE}"#, "a RUNNING"),
    (All, "POST", "/connectors", r#"{"name":"a","config":SOURCE}"#, ""),
    (All, "GET", "/connectors", "", ""),
    (All, "GET", "/connectors/", "", ""),
    (All, "GET", "/connectors?expand=status", "", ""),
    (All, "GET", "/connectors?expand=info&expand=status", "", ""),
    (All, "GET", "/connectors?expand=bogus", "", ""),
    (All, "GET", "/connectors/a", "", ""),
    (All, "GET", "/connectors/a/", "", ""),
    (All, "GET", "/connectors/a/config", "", ""),
    (All, "GET", "/connectors/a/status", "", ""),
    (All, "GET", "/connectors/a/tasks", "", ""),
    (All, "GET", "/connectors/a/tasks/0/status", "", ""),
    (All, "GET", "/connectors/a/tasks/7/status", "", ""),
    (All, "GET", "/connectors/a/tasks/x/status", "", ""),
    (All, "POST", "/connectors/a/tasks/9/restart", "", ""),
    (All, "POST", "/connectors/a/tasks/0/restart", "", "a RUNNING"),
    (All, "POST", "/connectors/a/restart", "", "a RUNNING"),
    (All, "POST", "/connectors/a/restart?includeTasks=true", "", "a RUNNING"),
    (All, "POST", "/connectors/a/restart?includeTasks=true&onlyFailed=true", "", "a RUNNING"),
    (All, "POST", "/connectors/a/restart?includeTasks=bogus", "", "a RUNNING"),
    (All, "PUT", "/connectors/a/pause", "", "a PAUSED"),
    (All, "GET", "/connectors/a/status", "", ""),
    (All, "PUT", "/connectors/a/resume", "", "a RUNNING"),
    (All, "PUT", "/connectors/a/stop", "", "a STOPPED"),
    (All, "GET", "/connectors/a", "", ""),
    (All, "GET", "/connectors/a/status", "", ""),
    (All, "GET", "/connectors/a/tasks", "", ""),
    (All, "GET", "/connectors/nope", "", ""),
    (All, "GET", "/connectors/nope/config", "", ""),
    (All, "GET", "/connectors/nope/status", "", ""),
    (All, "GET", "/connectors/nope/tasks", "", ""),
    (All, "GET", "/connectors/nope/tasks/0/status", "", ""),
    (Status, "POST", "/connectors/nope/tasks/0/restart", "", ""),
    (All, "POST", "/connectors/nope/restart?includeTasks=true", "", ""),
    (All, "PUT", "/connectors/nope/pause", "", ""),
    (All, "PUT", "/connectors/nope/resume", "", ""),
    (All, "DELETE", "/connectors/nope", "", ""),
    (Status, "POST", "/connectors", r#"{"name":"#, ""),
    (Status, "POST", "/connectors", "name=b", ""),
    (Status, "POST", "/connectors", "[]", ""),
    (Status, "POST", "/connectors", "{}", ""),
    (Status, "POST", "/connectors", r#"{"name":"z","config":null}"#, ""),
    (Status, "POST", "/connectors", r#"{"name":"z","config":{"x":{"a":1}}}"#, ""),
    (Status, "POST", "/connectors", r#"{"name":"z","config":SOURCE,"bogus":1}"#, ""),
    (Status, "POST", "/connectors", r#"{"name":"z","config":SOURCE,"initial_state":"BOGUS"}"#, ""),
    (All, "POST", "/connectors", r#"{"name":"z","config":{}}"#, ""),
    (All, "POST", "/connectors", r#"{"config":{}}"#, ""),
    (Status, "POST", "/connectors", r#"{"name":"z","config":{"connector.class":"Nope"}}"#, ""),
    (All, "POST", "/connectors", r#"{"name":"z","config":{"connector.class":"FileStreamSource"}}"#, ""),
    (All, "POST", "/connectors", r#"{"name":"","config":{"connector.class":"FileStreamSource","topic":"t"}}"#, ""),
    (All, "POST", "/connectors", r#"{"name":"z","config":{"connector.class":"FileStreamSource","topic":"t","name":"y"}}"#, ""),
    (Status, "POST", "/connectors", r#"{"name":"z","config":{"connector.class":"FileStreamSource","topic":"t","x":null}}"#, ""),
    (All, "POST", "/connectors", r#"{"name":" z ","initial_state":"stopped","config":{"connector.class":"FileStreamSource","topic":"t","tasks.max":1,"x":true,"config.unknown.keys":"ignore"}}"#, "z STOPPED"),
    (All, "GET", "/connectors/z/config", "", ""),
    (All, "GET", "/connectors/z/status", "", ""),
    (All, "DELETE", "/connectors/z", "", ""),
    (All, "PUT", "/connectors/p%20%C3%A9/config", SOURCE, "p%20%C3%A9 RUNNING"),
    (All, "PUT", "/connectors/p%20%C3%A9/config", r#"{"connector.class":"FileStreamSource","topic":"t2","file":"test.txt"}"#, "p%20%C3%A9 RUNNING"),
    (All, "GET", "/connectors/p%20%C3%A9", "", ""),
    (All, "PUT", "/connectors/p%20%C3%A9/config", r#"{"connector.class":"FileStreamSource","topic":"t2","name":"q"}"#, ""),
    (All, "PUT", "/connectors/p%20%C3%A9/config", r#"{"connector.class":"FileStreamSource"}"#, ""),
    (Status, "PUT", "/connectors/p%20%C3%A9/config", "xx", ""),
    (Status, "PUT", "/connectors/p%20%C3%A9/config", r#"["a"]"#, ""),
    (Status, "PUT", "/connectors/p%20%C3%A9/config", "null", ""),
    (All, "DELETE", "/connectors/p%20%C3%A9", "", ""),
    (All, "POST", "/connectors", "text/plain|{}", ""),
    (All, "PUT", "/connectors/a/config", "application/x-www-form-urlencoded|a=b", ""),
    (All, "PUT", "/connectors", "", ""),
    (All, "DELETE", "/connectors", "", ""),
    (All, "POST", "/connectors/a", "", ""),
    (All, "GET", "/connectors/a/pause", "", ""),
    (All, "GET", "/connectors/a/restart", "", ""),
    (All, "POST", "/", "", ""),
    (All, "POST", "/connector-plugins", "", ""),
    (All, "GET", "/nope", "", ""),
    (All, "GET", "/connectors/a/nope", "", ""),
    (All, "DELETE", "/connectors/a", "", ""),
    (All, "GET", "/connectors/a", "", ""),
];

#[test]
fn answers_are_kafka_connects() {
    let scratch = Scratch::new("golden-rest");
    scratch.write("test.txt", "one\n");
    let answers = if updating() {
        let kafka = RealKafka::start(&scratch, &[]);
        let connect = RealConnect::start(&scratch, &kafka);
        ask_all(&connect.rest)
    } else {
        let mut worker = Standalone::new(&scratch);
        worker.start(&[]);
        ask_all(&worker.rest)
    };
    expected::check(
        "rest",
        &BTreeMap::from([("answers.txt".to_owned(), answers.into_bytes())]),
    );
}

fn ask_all(rest: &Rest) -> String {
    let port = rest.port;
    let mut text = String::new();
    for (same, method, path, body, wait) in REQUESTS {
        let (kind, body) = body.split_once('|').unwrap_or(("application/json", body));
        let body = body.replace("SOURCE", SOURCE);
        let shown = format!("{method} {path} {kind} {body}");
        writeln!(text, "{}", shown.trim_end()).unwrap();
        let answer = ask(port, method, path, &body, kind);
        writeln!(text, "{}", normalized(&answer, port, *same)).unwrap();
        if let Some((connector, state)) = wait.split_once(' ') {
            rest.wait_for_state(connector, state);
        }
    }
    text
}

/// One request over a connection of its own; the answer with its head.
fn ask(port: u16, method: &str, path: &str, body: &str, kind: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    if !body.is_empty() {
        write!(request, "Content-Type: {kind}\r\n").unwrap();
    }
    write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Status, location and body on a line each; ports and versions masked, and configs sorted (Kafka's come from a HashMap).
fn normalized(answer: &str, port: u16, same: Same) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status line");
    let location = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("location"));
    let mut text = format!("  {status}");
    if let Some((_, location)) = location {
        write!(text, " {location}").unwrap();
    }
    if let Ok(mut body) = serde_json::from_str::<Value>(body) {
        mask(&mut body, same);
        write!(text, "\n  {body}").unwrap();
    } else if !body.is_empty() {
        write!(text, "\n  {body}").unwrap();
    }
    text.replace(&port.to_string(), "PORT")
}

fn mask(value: &mut Value, same: Same) {
    match value {
        Value::Object(object) => {
            if object.contains_key("connector.class") {
                object.sort_keys();
            }
            if object.contains_key("worker_id") {
                // Not Kafka's: how far a source task is behind, when it says so.
                object.remove("lag");
            }
            for (key, value) in object.iter_mut() {
                match key.as_str() {
                    "version" => *value = Value::from("V"),
                    "message" if same == Status => *value = Value::from("M"),
                    _ => mask(value, same),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, same)),
        _ => {}
    }
}
