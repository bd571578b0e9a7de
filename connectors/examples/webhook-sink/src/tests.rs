//! The sink beside an endpoint in memory.

use std::sync::{Arc, Mutex};

use jackfield_api::{
    ErrorKind, HttpResponse, LocalHost,
    batch::{BatchBuilder, Draft, DraftValue},
};

use super::*;

/// An endpoint that answers with these statuses, the last one again and again, and keeps what it accepted.
fn endpoint(host: &LocalHost, statuses: &[u16]) -> Arc<Mutex<Vec<HttpRequest>>> {
    let (accepted, mut statuses) = (Arc::new(Mutex::new(Vec::new())), statuses.to_vec());
    let kept = Arc::clone(&accepted);
    host.answer(move |request| {
        let status = if statuses.len() > 1 {
            statuses.remove(0)
        } else {
            statuses[0]
        };
        if status < 300 {
            kept.lock().unwrap().push(request.clone());
        }
        Ok(HttpResponse {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        })
    });
    accepted
}

fn start(host: &Arc<LocalHost>, more: &[(&str, &str)]) -> WebhookSink {
    let entries = [("http.url", "http://hook/in")];
    let entries = entries
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::resolve(&WebhookSink::config_def(), entries.collect()).unwrap();
    WebhookSink::start(&config, host.sink_context()).unwrap()
}

fn batch(values: &[DraftValue<'_>]) -> Vec<u8> {
    let mut batch = BatchBuilder::new();
    for (offset, value) in (0..).zip(values) {
        let record = Draft::new("t")
            .partition(1)
            .offset(offset)
            .timestamp(5)
            .key("k")
            .value(*value);
        record.header("h", "x").push(&mut batch).unwrap();
    }
    batch.finish()
}

fn put(sink: &mut WebhookSink, values: &[DraftValue<'_>]) -> Result<Vec<RecordError>, ConnectError> {
    let bytes = batch(values);
    sink.put(&Batch::parse(bytes.as_slice()).unwrap())
}

#[test]
fn records_are_json() {
    let host = LocalHost::new();
    let accepted = endpoint(&host, &[200]);
    let more = [
        ("http.headers", "X-A: 1, X-B:2"),
        ("http.authorization", "Bearer secret"),
        ("http.method", "PUT"),
    ];
    let mut sink = start(&host, &more);
    let values = [
        DraftValue::Utf8("text"),
        DraftValue::Json(r#"{"a":1.50}"#),
        DraftValue::Bytes(&[255]),
        DraftValue::Null,
    ];
    assert!(put(&mut sink, &values).unwrap().is_empty());
    let accepted = accepted.lock().unwrap();
    let bodies: Vec<Json> = accepted
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let expected: Json = serde_json::from_str(
        r#"{"topic":"t","partition":1,"offset":0,"timestamp":5,"key":"k","value":"text","headers":{"h":"x"}}"#,
    )
    .unwrap();
    assert_eq!(bodies[0], expected);
    let values: Vec<_> = bodies[1..].iter().map(|body| body["value"].to_string()).collect();
    assert_eq!(values, [r#"{"a":1.50}"#, r#""/w==""#, "null"]);
    let header = |name: &str| {
        accepted[1]
            .headers
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(
        (header("Idempotency-Key"), header("X-B"), header("Authorization")),
        ("t-1-1".into(), "2".into(), "Bearer secret".into())
    );
    assert_eq!(accepted[0].method, "PUT");
}

#[test]
fn what_was_accepted_is_not_sent_again() {
    let host = LocalHost::new();
    let accepted = endpoint(&host, &[200, 503, 200]);
    let mut sink = start(&host, &[]);
    let values = [
        DraftValue::Utf8("a"),
        DraftValue::Utf8("b"),
        DraftValue::Utf8("c"),
    ];
    assert_eq!(put(&mut sink, &values).unwrap_err().kind, ErrorKind::Retriable);
    assert!(put(&mut sink, &values).unwrap().is_empty());
    assert_eq!(accepted.lock().unwrap().len(), 3);
    let partition = TopicPartition {
        topic: "t".to_owned(),
        partition: 1,
    };
    sink.close(&[partition]).unwrap();
    put(&mut sink, &values).unwrap();
    assert_eq!(
        accepted.lock().unwrap().len(),
        6,
        "after a rebalance they may come again"
    );
}

#[test]
fn refused_records_are_rejected() {
    let host = LocalHost::new();
    let accepted = endpoint(&host, &[400, 200]);
    let mut sink = start(&host, &[("batch.max.records", "2")]);
    let typed = DraftValue::Typed {
        schema: r#"{"type":"string","optional":false}"#,
        data: b"\x02a",
    };
    let values = [
        DraftValue::Utf8("a"),
        DraftValue::Utf8("b"),
        typed,
        DraftValue::Utf8("d"),
    ];
    let rejected = put(&mut sink, &values).unwrap();
    let mut sequences: Vec<_> = rejected.iter().map(|error| error.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, [0, 1, 2]);
    let accepted = accepted.lock().unwrap();
    let bodies: Vec<Json> = serde_json::from_slice(&accepted[0].body).unwrap();
    assert_eq!(bodies[0]["value"], "d");
}
