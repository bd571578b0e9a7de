//! Tests of builder and reader together.

use expect_test::expect;
use proptest::prelude::*;

use crate::{Batch, BatchBuilder, Header, MAX_BATCH_BYTES, Record, Value};

fn record<'a>(key: Value<'a>, value: Value<'a>) -> Record<'a> {
    Record {
        topic: 0,
        source_partition: None,
        partition: None,
        timestamp: None,
        offset: -1,
        sequence: 0,
        key,
        value,
        source_offset: None,
    }
}

/// One record with everything.
fn full() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let topic = builder.topic("t1").unwrap();
    let partition = builder.source_partition(r#"{"f":"a"}"#).unwrap();
    let schema = builder.schema(r#"{"type":"int8"}"#).unwrap();
    let full = Record {
        topic,
        source_partition: Some(partition),
        partition: Some(3),
        timestamp: Some(-5),
        offset: 77,
        sequence: 9,
        key: Value::Bytes(&[0, 255]),
        value: Value::Typed { schema, data: &[2] },
        source_offset: Some(r#"{"p":1}"#),
    };
    let headers = [
        Header {
            key: "h",
            value: Value::Utf8("é"),
        },
        Header {
            key: "",
            value: Value::Null,
        },
    ];
    builder.push(&full, &headers).unwrap();
    assert_eq!(builder.len(), 1);
    let size = builder.size_bytes();
    let bytes = builder.finish();
    assert_eq!(bytes.len(), size);
    bytes
}

#[test]
fn golden_bytes() {
    let hex: Vec<String> = full()
        .chunks(16)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    expect![[r#"
        4a464201000001000100010001000000
        5f000000470000000000000003000000
        fbffffffffffffff4d00000000000000
        0900000002000000010200000000ff04
        00000100000002070000007b2270223a
        317d0100680202000000c3a900000002
        007431090000007b2266223a2261227d
        010f0000007b2274797065223a22696e
        7438227d"#]]
    .assert_eq(&hex.join("\n"));
}

#[test]
fn everything_comes_back() {
    let bytes = full();
    let batch = Batch::parse(&bytes[..]).unwrap();
    assert_eq!(batch.len(), 1);
    assert_eq!(batch.topics().collect::<Vec<_>>(), ["t1"]);
    assert_eq!(batch.source_partitions().collect::<Vec<_>>(), [r#"{"f":"a"}"#]);
    assert_eq!(batch.schemas().collect::<Vec<_>>(), [r#"{"type":"int8"}"#]);
    let found = batch.records().next().unwrap();
    assert_eq!(batch.topic(found.record.topic), "t1");
    assert_eq!(
        batch.source_partition(found.record.source_partition.unwrap()),
        r#"{"f":"a"}"#
    );
    assert_eq!(found.record.partition, Some(3));
    assert_eq!(found.record.timestamp, Some(-5));
    assert_eq!((found.record.offset, found.record.sequence), (77, 9));
    assert_eq!(found.record.key, Value::Bytes(&[0, 255]));
    assert_eq!(
        found.record.value,
        Value::Typed {
            schema: 0,
            data: &[2]
        }
    );
    assert_eq!(found.record.source_offset, Some(r#"{"p":1}"#));
    assert_eq!(found.header_count(), 2);
    let headers: Vec<_> = found.headers().collect();
    assert_eq!(
        headers[0],
        Header {
            key: "h",
            value: Value::Utf8("é")
        }
    );
    assert_eq!(
        headers[1],
        Header {
            key: "",
            value: Value::Null
        }
    );
}

#[test]
fn an_empty_batch_is_a_batch() {
    let bytes = BatchBuilder::new().finish();
    let batch = Batch::parse(bytes).unwrap();
    assert!(batch.is_empty());
    assert_eq!(batch.records().count(), 0);
}

#[test]
fn the_builder_is_reusable_and_interns_again() {
    let mut builder = BatchBuilder::new();
    for round in 0..3 {
        assert_eq!(builder.topic(&format!("topic-{round}")).unwrap(), 0);
        assert_eq!(builder.topic("second").unwrap(), 1);
        assert_eq!(builder.topic("second").unwrap(), 1);
        builder
            .push(&record(Value::Null, Value::Json("[1]")), &[])
            .unwrap();
        let batch = Batch::parse(builder.finish()).unwrap();
        assert_eq!(
            batch.topics().collect::<Vec<_>>(),
            [format!("topic-{round}").as_str(), "second"]
        );
        assert!(builder.is_empty());
    }
    builder.topic("lost").unwrap();
    builder.clear();
    assert_eq!(builder.topic("found").unwrap(), 0);
}

#[track_caller]
fn not_pushed(record: &Record<'_>, headers: &[Header<'_>], message: &str) {
    let mut builder = BatchBuilder::new();
    builder.topic("t").unwrap();
    let error = builder.push(record, headers).unwrap_err();
    assert!(error.message.contains(message), "{error}");
    assert!(builder.is_empty());
    assert!(
        Batch::parse(builder.finish()).unwrap().is_empty(),
        "the builder is as before"
    );
}

#[test]
fn the_builder_refuses_what_a_reader_would() {
    let good = record(Value::Null, Value::Null);
    not_pushed(
        &Record { topic: 1, ..good },
        &[],
        "topic index 1 was not interned",
    );
    not_pushed(
        &Record {
            source_partition: Some(0),
            ..good
        },
        &[],
        "source partition index 0 was not interned",
    );
    not_pushed(
        &Record {
            partition: Some(-2),
            ..good
        },
        &[],
        "negative partition -2",
    );
    not_pushed(
        &Record {
            timestamp: Some(i64::MIN),
            ..good
        },
        &[],
        "stands for unset",
    );
    let typed = Value::Typed { schema: 4, data: &[] };
    not_pushed(
        &Record { key: typed, ..good },
        &[],
        "schema index 4 was not interned",
    );
    not_pushed(
        &good,
        &[Header {
            key: "k",
            value: typed,
        }],
        "schema index 4 was not interned",
    );
    let long = "k".repeat(70_000);
    not_pushed(
        &good,
        &[Header {
            key: &long,
            value: Value::Null,
        }],
        "header key of 70000 bytes",
    );
    let mut builder = BatchBuilder::new();
    assert!(
        builder
            .topic(&long)
            .unwrap_err()
            .message
            .contains("topic name of 70000 bytes")
    );
}

#[test]
fn a_table_has_room_for_65535_entries() {
    let mut builder = BatchBuilder::new();
    for index in 0..65_535_u32 {
        assert_eq!(u32::from(builder.topic(&index.to_string()).unwrap()), index);
    }
    assert!(
        builder
            .topic("one more")
            .unwrap_err()
            .message
            .contains("too many topics")
    );
    let batch = Batch::parse(builder.finish()).unwrap();
    assert_eq!(batch.topic(65_534), "65534");
}

/// Damages a good batch and expects a message.
#[track_caller]
fn damaged(damage: impl FnOnce(&mut Vec<u8>), message: &str) {
    let mut bytes = full();
    damage(&mut bytes);
    let error = Batch::parse(bytes).unwrap_err();
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn damage_is_named() {
    damaged(|bytes| bytes[0] = b'K', "does not start with \"JFB\"");
    damaged(|bytes| bytes.truncate(19), "does not start with \"JFB\"");
    damaged(|bytes| bytes[3] = 2, "record batch format 2, this side reads 1");
    damaged(|bytes| bytes[4] = 1, "unknown batch flags 0x0001");
    damaged(|bytes| bytes[12] = 200, "200 records do not fit");
    damaged(|bytes| bytes[16] = 19, "tables at byte 19");
    damaged(|bytes| bytes[18] = 1, "tables at byte 65631");
    damaged(|bytes| bytes[12] = 0, "bytes after the records");
    damaged(|bytes| bytes.push(0), "1 bytes after the tables");
    damaged(|bytes| bytes[24] = 1, "topic index 1 in a table of 1");
    damaged(|bytes| bytes[26] = 7, "source partition index 7 in a table of 1");
    damaged(|bytes| bytes[28..32].fill(0xfe), "negative partition");
    damaged(|bytes| bytes[64] = 9, "schema index 9 in a table of 1");
    damaged(|bytes| bytes[56] = 9, "unknown value kind 9");
    damaged(|bytes| bytes[57] = 250, "250 bytes wanted");
    damaged(|bytes| bytes[90] = 0xff, "text is not UTF-8");
    damaged(|bytes| bytes[8] = 0, "unknown schema kind");
}

#[test]
fn appended_fields_of_a_body_are_skipped() {
    let mut bytes = full();
    let tables = usize::from(bytes[16]);
    bytes.splice(tables..tables, [1, 2, 3]);
    bytes[16] += 3;
    bytes[20] += 3;
    let batch = Batch::parse(bytes).unwrap();
    assert_eq!(batch.records().next().unwrap().headers().count(), 2);
}

#[test]
fn every_shorter_batch_is_refused() {
    let bytes = full();
    for length in 0..bytes.len() {
        assert!(Batch::parse(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn declared_counts_allocate_nothing() {
    // 65,535 of everything and no bytes behind it.
    let mut bytes = b"JFB\x01\0\0\xff\xff\xff\xff\xff\xff".to_vec();
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&20_u32.to_le_bytes());
    assert!(Batch::parse(bytes).is_err());
    const { assert!(MAX_BATCH_BYTES <= u32::MAX as usize) };
}

#[derive(Debug, Clone)]
enum AnyValue {
    Null,
    Bytes(Vec<u8>),
    Utf8(String),
    Json(String),
    Typed(u16, Vec<u8>),
}

impl AnyValue {
    fn get(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Utf8(text) => Value::Utf8(text),
            Self::Json(text) => Value::Json(text),
            Self::Typed(schema, data) => Value::Typed {
                schema: *schema,
                data,
            },
        }
    }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    prop_oneof![
        Just(AnyValue::Null),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(AnyValue::Bytes),
        ".{0,20}".prop_map(AnyValue::Utf8),
        ".{0,20}".prop_map(AnyValue::Json),
        (0..2_u16, proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(schema, data)| AnyValue::Typed(schema, data)),
    ]
}

type AnyRecord = (
    (u16, Option<u16>, Option<i32>, Option<i64>, i64, u32),
    (AnyValue, AnyValue, Option<String>),
    Vec<(String, AnyValue)>,
);

fn any_record() -> impl Strategy<Value = AnyRecord> {
    let fixed = (
        0..3_u16,
        proptest::option::of(0..2_u16),
        proptest::option::of(0..i32::MAX),
        proptest::option::of(-1_i64..i64::MAX),
        any::<i64>(),
        any::<u32>(),
    );
    let values = (any_value(), any_value(), proptest::option::of(".{0,20}"));
    (
        fixed,
        values,
        proptest::collection::vec((".{0,9}", any_value()), 0..4),
    )
}

proptest! {
    #[test]
    fn what_is_pushed_is_read(records in proptest::collection::vec(any_record(), 0..20)) {
        let mut builder = BatchBuilder::new();
        for name in ["a", "b", "c"] {
            builder.topic(name).unwrap();
        }
        for text in ["{}", "{\"x\":1}"] {
            builder.source_partition(text).unwrap();
            builder.schema(text).unwrap();
        }
        let mut expected = Vec::new();
        for (fixed, values, headers) in &records {
            let (topic, source_partition, partition, timestamp, offset, sequence) = *fixed;
            let record = Record {
                topic,
                source_partition,
                partition,
                timestamp,
                offset,
                sequence,
                key: values.0.get(),
                value: values.1.get(),
                source_offset: values.2.as_deref(),
            };
            let headers: Vec<_> =
                headers.iter().map(|(key, value)| Header { key, value: value.get() }).collect();
            builder.push(&record, &headers).unwrap();
            expected.push((record, headers));
        }
        let size = builder.size_bytes();
        let bytes = builder.finish();
        prop_assert_eq!(bytes.len(), size);
        let batch = Batch::parse(bytes).unwrap();
        prop_assert_eq!(batch.records().len(), records.len());
        for (found, (record, headers)) in batch.records().zip(expected) {
            prop_assert_eq!(found.record, record);
            prop_assert_eq!(found.headers().collect::<Vec<_>>(), headers);
        }
    }

    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = full();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_all(&bytes);
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = b"JFB\x01\0\0".to_vec();
        bytes.extend(noise);
        read_all(&bytes);
    }
}

fn read_all(bytes: &[u8]) {
    if let Ok(batch) = Batch::parse(bytes) {
        for found in batch.records() {
            batch.topic(found.record.topic);
            assert_eq!(found.headers().count(), found.header_count());
        }
    }
}
