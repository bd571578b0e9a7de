//! What may be appended, what becomes of it, and what is remembered of producers.

use bytes::BytesMut;
use jackfield_protocol::records::{self, Compression, RecordBatchBuilder};

use super::rig::{Rig, START_MS, batch, batch_at, config, from_producer};
use crate::{AppendError, AppendOrigin};

/// Changes header bytes and makes the CRC fit again.
fn patched(mut data: BytesMut, at: usize, bytes: &[u8]) -> BytesMut {
    data[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&data[21..]);
    data[17..21].copy_from_slice(&crc.to_be_bytes());
    data
}

#[test]
fn batches_are_stored_verbatim_but_for_offset_and_epoch() {
    let rig = Rig::new();
    let mut stored = Vec::new();
    for (base, values) in [(0, &["a", "b"][..]), (2, &["c"]), (3, &["d", "e", "f"])] {
        let mut expected = batch(values);
        let appended = rig.append(expected.clone());
        assert_eq!((appended.base_offset, appended.log_append_time), (base, -1));
        records::stamp(&mut expected, base, 0);
        stored.extend_from_slice(&expected);
    }
    assert_eq!(
        std::fs::read(rig.file("00000000000000000000.log")).unwrap(),
        stored
    );
    assert_eq!(rig.log().log_end_offset(), 6);
    assert_eq!(rig.log().size_bytes(), stored.len() as u64);
}

#[test]
fn several_batches_at_once_get_consecutive_offsets() {
    let rig = Rig::new();
    let mut data = batch(&["a", "b"]);
    data.extend_from_slice(&batch(&["c"]));
    let appended = rig.append(data);
    assert_eq!((appended.base_offset, appended.last_offset), (0, 2));
    let expected = [(0, "a"), (1, "b"), (2, "c")].map(|(offset, value)| (offset, value.to_owned()));
    assert_eq!(rig.consume(0), expected);
}

#[test]
fn what_clients_may_not_write() {
    let mut config = config();
    config.max_message_bytes = 2_000;
    config.message_timestamp_after_max_ms = 1_000;
    config.message_timestamp_before_max_ms = 5_000;
    let rig = Rig::with(config);
    let good = batch(&["a", "b"]);
    let mut wrong_crc = good.clone();
    let last = wrong_crc.len() - 1;
    wrong_crc[last] ^= 1;
    let mut cut = good.clone();
    cut.truncate(last);
    let mut twice = from_producer(1, 0, 0, &["a"]);
    twice.extend_from_slice(&from_producer(1, 0, 1, &["b"]));
    let large = "x".repeat(2_000);
    let kind = |error: AppendError| {
        format!("{error:?}")
            .split([' ', '(', '{'])
            .next()
            .unwrap()
            .to_owned()
    };
    for (what, data, expected) in [
        ("nothing", BytesMut::new(), "InvalidRecord"),
        ("wrong crc", wrong_crc, "Corrupt"),
        ("a cut batch", cut, "Corrupt"),
        ("magic 1", patched(good.clone(), 16, &[1]), "Corrupt"),
        ("count", patched(good.clone(), 57, &[0, 0, 0, 3]), "InvalidRecord"),
        (
            "a negative count",
            patched(good.clone(), 57, &[0xff; 4]),
            "InvalidRecord",
        ),
        (
            "a control batch",
            patched(good.clone(), 21, &[0, 0x20]),
            "InvalidRecord",
        ),
        (
            "LogAppendTime",
            patched(good.clone(), 21, &[0, 0x08]),
            "InvalidTimestamp",
        ),
        (
            "codec 7",
            patched(good.clone(), 21, &[0, 7]),
            "UnsupportedCompression",
        ),
        ("no sequence", from_producer(1, 0, -1, &["a"]), "InvalidRecord"),
        ("two batches of a producer", twice, "InvalidRecord"),
        ("a large batch", batch(&[&large]), "TooLarge"),
        ("the future", batch_at(START_MS + 1_001, &["a"]), "Records"),
        ("the past", batch_at(START_MS - 5_001, &["a"]), "Records"),
    ] {
        assert_eq!(kind(rig.refuse(data)), expected, "{what}");
    }
    assert_eq!(rig.log().log_end_offset(), 0, "nothing of it was appended");
    rig.append(batch_at(START_MS + 1_000, &["a"]));
    rig.append(batch_at(START_MS - 5_000, &["a"]));
    rig.append(batch_at(-1, &["no timestamp is no old timestamp"]));
}

#[test]
fn compacted_topics_require_keys() {
    let mut config = config();
    config.compact = true;
    let rig = Rig::with(config);
    for codec in [Compression::None, Compression::Zstd] {
        let mut builder = RecordBatchBuilder::new(codec);
        builder.push(START_MS, Some(b"k"), Some(b"v"), &[]);
        rig.append(builder.finish());
        builder.push(START_MS, Some(b"k"), Some(b"v"), &[]);
        builder.push(START_MS, None, Some(b"v"), &[]);
        let refused = rig.refuse(builder.finish()).to_string();
        assert!(refused.contains("record 1: no key"), "{refused}");
    }
}

#[test]
fn log_append_time_replaces_timestamps() {
    let mut config = config();
    config.log_append_time = true;
    let rig = Rig::with(config);
    let first = rig.append(from_producer(5, 0, 0, &["a", "b"]));
    assert_eq!(first.log_append_time, START_MS);
    rig.clock.advance_ms(10);
    assert_eq!(
        rig.append(from_producer(5, 0, 0, &["a", "b"])),
        first,
        "a duplicate has its first time"
    );
    assert_eq!(rig.append(batch_at(1, &["c"])).log_append_time, START_MS + 10);
    let found = rig.log().offset_for_timestamp(START_MS + 1).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (2, START_MS + 10));
    assert_eq!(rig.consume(0).len(), 3, "the crc was made to fit");
}

#[test]
fn a_repeated_batch_is_appended_once() {
    let rig = Rig::new();
    let mut originals = Vec::new();
    for sequence in 0..7 {
        originals.push(rig.append(from_producer(9, 0, sequence, &["x"])));
    }
    for (sequence, original) in (2..7).zip(&originals[2..]) {
        assert_eq!(rig.append(from_producer(9, 0, sequence, &["x"])), *original);
    }
    assert!(matches!(
        rig.refuse(from_producer(9, 0, 1, &["x"])),
        AppendError::DuplicateSequence(1)
    ));
    assert!(matches!(
        rig.refuse(from_producer(9, 0, 8, &["x"])),
        AppendError::OutOfOrderSequence {
            expected: 7,
            got: 8,
            ..
        }
    ));
    rig.append(from_producer(9, 1, 0, &["y"]));
    assert!(matches!(
        rig.refuse(from_producer(9, 0, 7, &["x"])),
        AppendError::InvalidProducerEpoch { current: 1, got: 0 }
    ));
    assert_eq!(rig.log().log_end_offset(), 8);
}

/// All five batches a client may have had in flight are known after any kind of restart, wherever a segment ended.
#[test]
fn producers_are_remembered_over_restarts() {
    for crash in [false, true] {
        for segment_bytes in [1 << 20, 250, 100] {
            let mut config = config();
            config.segment_bytes = segment_bytes;
            let mut rig = Rig::with(config);
            let mut originals = Vec::new();
            for sequence in 0..8 {
                originals.push(rig.append(from_producer(9, 3, sequence, &["x"])));
                rig.append(batch(&["of somebody else"]));
            }
            if crash {
                rig.crash();
            } else {
                rig.restart();
            }
            for (sequence, original) in (3..8).zip(&originals[3..]) {
                assert_eq!(rig.append(from_producer(9, 3, sequence, &["x"])), *original);
            }
            assert!(
                rig.log()
                    .append(from_producer(9, 2, 8, &["x"]), AppendOrigin::Client)
                    .is_err()
            );
            assert!(
                rig.log()
                    .append(from_producer(9, 3, 9, &["x"]), AppendOrigin::Client)
                    .is_err()
            );
            assert_eq!(rig.append(from_producer(9, 3, 8, &["x"])).base_offset, 16);
        }
    }
}

#[test]
fn a_failed_write_leaves_nothing() {
    let mut rig = Rig::new();
    rig.append(batch(&["a"]));
    for left in [0, 1, 30, 70] {
        rig.faults.tear_after(left);
        assert!(matches!(rig.refuse(batch(&["lost"])), AppendError::Storage(_)));
    }
    rig.faults.tear_after(-1);
    assert_eq!(rig.append(batch(&["b"])).base_offset, 1, "a full disk is no end");
    rig.crash();
    assert_eq!(rig.consume(0), [(0, "a".to_owned()), (1, "b".to_owned())]);
}

#[test]
fn segments_roll() {
    type Change = fn(&mut crate::LogConfig);
    let cases: [(&str, Change, i64); 4] = [
        ("size", |config| config.segment_bytes = 200, 0),
        (
            "shortened age",
            |config| {
                config.segment_ms = 1_000_000;
                config.segment_jitter_ms = 1_000_000;
            },
            999_999,
        ),
        ("age", |config| config.segment_ms = 99, 100),
        (
            "full index",
            |config| {
                config.index_interval_bytes = 0;
                config.segment_index_bytes = 24;
            },
            0,
        ),
    ];
    for (what, change, step_ms) in cases {
        let mut config = config();
        change(&mut config);
        let mut rig = Rig::with(config);
        for n in 0..9 {
            rig.append(batch_at(START_MS + n * step_ms, &["some value"]));
        }
        let segments = rig.files().iter().filter(|name| name.ends_with(".log")).count();
        assert!(segments > 2, "{what}: {segments}");
        if what == "shortened age" {
            assert_eq!(segments, 9, "without the jitter two batches go into each");
        }
        assert_eq!(rig.consume(0).len(), 9, "{what}");
        rig.restart();
        assert_eq!(rig.consume(0).len(), 9, "{what}, again");
    }
}
