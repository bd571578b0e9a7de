//! The records of `plugin.rs` as a component that hands over typed lists; built for `wasm32-wasip2` only.
#![cfg(target_family = "wasm")]
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../benches/boundary/typed.wit",
    world: "typed-list",
});

use exports::bench::typed::entries::{Entry, Guest, Header, Ten, Value};

struct Lists;

fn value(shape: &str) -> Value {
    match shape {
        "struct" => Value::Ten(Ten {
            a: 1_234,
            b: 1_234_567_890_123,
            c: 2.5,
            d: true,
            e: "a name of someone".to_owned(),
            f: "a street and a number".to_owned(),
            g: -7,
            h: 1_700_000_000_000,
            i: "open".to_owned(),
            j: Some("a remark".to_owned()),
        }),
        "1024" => Value::Bytes(vec![b'x'; 1024]),
        _ => Value::Bytes(vec![b'x'; 100]),
    }
}

fn bytes(value: &Value) -> u64 {
    match value {
        Value::Bytes(data) => data.len() as u64,
        Value::Text(text) => text.len() as u64,
        Value::Ten(ten) => {
            29 + (ten.e.len() + ten.f.len() + ten.i.len() + ten.j.as_ref().map_or(0, String::len)) as u64
        }
    }
}

impl Guest for Lists {
    fn poll(shape: String, count: u32) -> Vec<Entry> {
        let header = |key: &str, value: &str| Header {
            key: key.to_owned(),
            value: Value::Text(value.to_owned()),
        };
        let entry = |sequence| Entry {
            topic: "topic".to_owned(),
            source_partition: Some(r#"{"table":"orders"}"#.to_owned()),
            partition: None,
            timestamp: Some(1_700_000_000_000),
            offset: -1,
            sequence,
            key: Some(Value::Text("key-1234".to_owned())),
            value: Some(value(&shape)),
            source_offset: Some(r#"{"position":1234567}"#.to_owned()),
            headers: vec![header("origin", "orders"), header("trace", "0123456789abcdef")],
        };
        (0..count).map(entry).collect()
    }

    fn put(batch: Vec<Entry>) -> u64 {
        let of = |entry: &Entry| {
            let headers = entry
                .headers
                .iter()
                .map(|header| header.key.len() as u64 + bytes(&header.value));
            entry.key.as_ref().map_or(0, bytes) + entry.value.as_ref().map_or(0, bytes) + headers.sum::<u64>()
        };
        batch.iter().map(of).sum()
    }
}

export!(Lists);
