//! The batch helper for C against the Rust reader and builder: both directions, damaged batches, every allocation failing.
//!
//! The C programs are built with the address and undefined behaviour sanitizers, and get every batch in memory of exactly its
//! size: a byte read outside, a leak or an overflow ends them with an error.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    batch::{Batch, BatchBuilder, Draft, DraftValue, Value},
    header_tests::{compile, run},
};

const SANITIZED: &[&str] = &[
    "-g",
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];
const SCHEMA: &str = r#"{"type":"int32","optional":false}"#;

/// Builds a program of `testing/`.
fn program(directory: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("testing").join(name)).unwrap();
    let binary = directory.join(name).with_extension("");
    compile(&text, "c11", &[SANITIZED, arguments].concat(), &binary);
    binary
}

/// What the C reader and builder make of each batch; `None` = it was refused.
fn echoed(batches: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let directory = tempfile::tempdir().unwrap();
    let binary = program(directory.path(), "echo_batches.c", &[]);
    let mut child = Command::new(binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let frames: Vec<u8> = batches
        .iter()
        .flat_map(|batch| {
            u32::try_from(batch.len())
                .unwrap()
                .to_le_bytes()
                .into_iter()
                .chain(batch.iter().copied())
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(&frames));
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the C program ended with {}",
        output.status
    );
    writer.join().unwrap().unwrap();
    let mut rest = output.stdout.as_slice();
    let mut found = Vec::new();
    while let Some((len, more)) = rest.split_first_chunk() {
        let len = u32::from_le_bytes(*len);
        let (batch, more) = match len {
            u32::MAX => (None, more),
            len => {
                let (batch, more) = more.split_at(len as usize);
                (Some(batch.to_vec()), more)
            }
        };
        found.push(batch);
        rest = more;
    }
    assert_eq!(found.len(), batches.len());
    found
}

/// What Rust makes of a batch.
fn again(batch: &[u8]) -> Option<Vec<u8>> {
    let batch = Batch::parse(batch).ok()?;
    let mut builder = BatchBuilder::new();
    for found in batch.records() {
        Draft::of(&batch, &found).push(&mut builder).unwrap();
    }
    Some(builder.finish())
}

/// Records with everything a record can have.
fn sample() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder
        .record("a")
        .key("k")
        .value(DraftValue::Json(r#"{"a":[1]}"#))
        .header("text", "é")
        .header(
            "typed",
            DraftValue::Typed {
                schema: SCHEMA,
                data: &[2],
            },
        )
        .header("", DraftValue::Null)
        .partition(3)
        .timestamp(17)
        .source(r#"{"file":"f"}"#, r#"{"position":1}"#)
        .push()
        .unwrap();
    builder.record("b").value(&b"\xff\x00"[..]).push().unwrap();
    builder.record("b").key(&b""[..]).push().unwrap();
    let schema = r#"{"type":"string","optional":true}"#;
    let value = DraftValue::Typed { schema, data: &[0] };
    builder
        .record("a")
        .value(value)
        .source("{}", "{}")
        .push()
        .unwrap();
    builder.finish()
}

#[test]
fn what_rust_builds_c_reads_and_builds_again() {
    let mut huge = BatchBuilder::new();
    huge.record("t").value(&vec![7_u8; 20 << 20][..]).push().unwrap();
    huge.record("t").value("after").push().unwrap();
    let mut many = BatchBuilder::new();
    for index in 0..5_000 {
        let (topic, value) = (format!("t{}", index % 700), index.to_string());
        many.record(&topic).key(&value).value(&value).push().unwrap();
    }
    let mut headers = BatchBuilder::new();
    let mut draft = Draft::new("t");
    for _ in 0..1_000 {
        draft = draft.header("h", "v");
    }
    draft.push(&mut headers).unwrap();
    let batches = [
        sample(),
        BatchBuilder::new().finish(),
        huge.finish(),
        many.finish(),
        headers.finish(),
    ];
    for (batch, again) in batches.iter().zip(echoed(&batches)) {
        assert!(
            again.as_ref() == Some(batch),
            "a batch of {} bytes changed",
            batch.len()
        );
    }
}

#[test]
fn damaged_batches_are_refused_as_rust_refuses_them_and_nothing_is_read_outside() {
    let good = sample();
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    for position in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut batch = good.clone();
            batch[position] ^= change;
            damaged.push(batch);
        }
        // Wherever a length, a count or an index is, it is wrong once in each of these ways.
        for (width, values) in [
            (2, [0, 1, 0x7fff, 0xffff]),
            (4, [0, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe]),
        ] {
            for value in values.map(u32::to_le_bytes) {
                let mut batch = good.clone();
                if let Some(place) = batch.get_mut(position..position + width) {
                    place.copy_from_slice(&value[..width]);
                    damaged.push(batch);
                }
            }
        }
        let mut batch = good.clone();
        batch.insert(position, 0);
        damaged.push(batch);
    }
    let refused = damaged.iter().filter(|batch| again(batch).is_none()).count();
    assert!(
        refused > damaged.len() / 2,
        "{refused} of {} are refused",
        damaged.len()
    );
    for (batch, found) in damaged.iter().zip(echoed(&damaged)) {
        assert_eq!(found, again(batch), "{batch:?}");
    }
}

#[test]
fn what_c_builds_rust_reads_and_failed_allocations_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let wrap = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc";
    let binary = program(directory.path(), "build_batches.c", &[wrap]);
    let output = Command::new(binary).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let batch = Batch::parse(output.stdout.as_slice()).unwrap();
    assert_eq!(batch.len(), 103);
    assert_eq!(batch.topics().count(), 52);
    assert_eq!(batch.schemas().collect::<Vec<_>>(), [SCHEMA]);
    let records: Vec<_> = batch.records().collect();
    let first = records[0].record;
    let typed = Value::Typed {
        schema: 0,
        data: &[0x2a],
    };
    assert_eq!(
        (batch.topic(first.topic), first.partition, first.sequence),
        ("first", Some(3), 0)
    );
    assert_eq!((first.timestamp, first.offset), (Some(1_700_000_000_123), -1));
    assert_eq!(
        (first.key, first.value),
        (Value::Utf8("key"), Value::Json(r#"{"a":[1,2]}"#))
    );
    assert_eq!(
        first.source_partition.map(|index| batch.source_partition(index)),
        Some(r#"{"file":"f"}"#)
    );
    assert_eq!(first.source_offset, Some(r#"{"position":17}"#));
    let headers: Vec<_> = records[0]
        .headers()
        .map(|header| (header.key, header.value))
        .collect();
    let bytes = Value::Bytes(&[0, 0xff, 7]);
    assert_eq!(
        headers,
        [
            ("text", Value::Utf8("é")),
            ("typed", typed),
            ("", Value::Null),
            ("text", bytes)
        ]
    );
    let second = records[1].record;
    assert_eq!((second.key, second.value), (Value::Bytes(&[]), typed));
    assert_eq!(
        (second.sequence, second.offset, second.timestamp),
        (77, i64::MAX, None)
    );
    assert_eq!(
        (second.partition, second.source_partition, second.source_offset),
        (None, None, None)
    );
    let third = records[2].record;
    assert_eq!((third.key, third.value, third.sequence), (bytes, Value::Null, 2));
    assert_eq!(batch.topic(records[102].record.topic), "topic-49");
    assert_eq!(records[102].record.value, Value::Utf8(""));
}

#[test]
fn a_program_in_cpp_uses_both_headers() {
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("implementation.o");
    let implementation = "#define JF_BATCH_IMPLEMENTATION\n#include \"jackfield_batch.h\"\n";
    compile(implementation, "c11", &["-c"], &object);
    let program = r#"#include "jackfield_batch.h"
        int main() {
            jf_error error = {};
            jf_builder builder = {};
            jf_record record = jf_record_of("t");
            record.value = jf_value_string("v");
            int failed = jf_builder_push(&builder, &record, &error);
            jf_builder_free(&builder);
            return failed;
        }"#;
    let source = directory.path().join("program.o");
    compile(program, "c++17", &["-c"], &source);
    let binary = directory.path().join("program");
    run(Command::new("c++")
        .args([&source, &object])
        .arg("-o")
        .arg(&binary));
    run(&mut Command::new(binary));
}
