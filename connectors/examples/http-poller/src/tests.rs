//! The source beside an API in memory.

use std::sync::Arc;

use jackfield_api::{
    LocalHost,
    batch::{Batch, Value as Encoded},
};

use super::*;

const LIMITS: PollLimits = PollLimits {
    max_records: 500,
    max_bytes: 1 << 20,
};

fn config(more: &[(&str, &str)]) -> Result<Config, ConnectError> {
    let entries = [
        ("http.url", "http://api/e?after={cursor}"),
        ("topic", "events"),
        ("cursor.pointer", "/id"),
    ];
    let entries = entries
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::resolve(&HttpPollerSource::config_def(), entries.collect())
}

fn start(host: &Arc<LocalHost>, more: &[(&str, &str)]) -> HttpPollerSource {
    HttpPollerSource::start(&config(more).unwrap(), host.source_context()).unwrap()
}

/// An API whose answers are these, by their URL.
fn api(host: &LocalHost, pages: &'static [(&'static str, u16, &'static str)]) {
    host.answer(move |request| {
        let (_, status, body) = pages
            .iter()
            .find(|(url, ..)| *url == request.url)
            .unwrap_or(&("", 404, ""));
        Ok(HttpResponse {
            status: *status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        })
    });
}

/// Values with their offsets of one request.
fn poll(task: &mut HttpPollerSource) -> Result<Vec<(String, String)>, ConnectError> {
    let mut builder = BatchBuilder::new();
    if task.poll(LIMITS, &mut builder)? == Polled::Idle(None) {
        task.poll(LIMITS, &mut builder)?;
    }
    let batch = Batch::parse(builder.finish()).unwrap();
    let found = batch.records().map(|found| match found.record.value {
        Encoded::Json(text) => (text.to_owned(), found.record.source_offset.unwrap().to_owned()),
        other => panic!("{other:?}"),
    });
    Ok(found.collect())
}

#[test]
fn pages_follow_the_cursor() {
    let host = LocalHost::new();
    api(
        &host,
        &[
            ("http://api/e?after=", 200, r#"[{"id":"a b"},{"id":"c"}]"#),
            ("http://api/e?after=c", 200, r#"[{"id":"d","n":1.10}]"#),
            ("http://api/e?after=d", 200, "[]"),
        ],
    );
    let mut task = start(&host, &[]);
    let expected = [
        (r#"{"id":"a b"}"#, r#"{"cursor":"a b"}"#),
        (r#"{"id":"c"}"#, r#"{"cursor":"c"}"#),
    ];
    let expected = expected.map(|(value, offset)| (value.to_owned(), offset.to_owned()));
    assert_eq!(poll(&mut task).unwrap(), expected);
    assert_eq!(poll(&mut task).unwrap().len(), 1);
    assert!(poll(&mut task).unwrap().is_empty());
    host.store(r#"{"url":"http://api/e?after={cursor}"}"#, r#"{"cursor":"c"}"#)
        .unwrap();
    assert_eq!(poll(&mut start(&host, &[])).unwrap()[0].1, r#"{"cursor":"d"}"#);
}

#[test]
fn the_cursor_is_encoded() {
    let host = LocalHost::new();
    api(&host, &[("http://api/e?after=a%20b%26c", 200, "[]")]);
    assert!(
        poll(&mut start(&host, &[("cursor.initial", "a b&c")]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn answers_that_are_wrong_are_told_apart() {
    use jackfield_api::ErrorKind::{Config, Fatal, Retriable};
    for (status, body, more, kind, part) in [
        (503, "", "", Retriable, "503"),
        (429, "", "", Retriable, "429"),
        (404, "", "", Fatal, "404"),
        (200, "<html>", "", Fatal, "not JSON"),
        (200, "{}", "", Config, "finds no array"),
        (
            200,
            r#"{"items":[{"key":1}]}"#,
            "/items",
            Config,
            "finds nothing in the record",
        ),
    ] {
        let host = LocalHost::new();
        host.answer(move |_| {
            Ok(HttpResponse {
                status,
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            })
        });
        let error = poll(&mut start(&host, &[("records.pointer", more)])).unwrap_err();
        assert!(error.kind == kind && error.message.contains(part), "{error:?}");
    }
}

#[test]
fn problems_of_the_config_are_named() {
    let config = config(&[("http.url", "http://api/e"), ("key.pointer", "id")]).unwrap();
    let issues = HttpPollerSource::validate(&config).unwrap();
    let names: Vec<_> = issues.iter().map(|issue| issue.name.as_str()).collect();
    assert_eq!(names, ["http.url", "key.pointer"]);
}
