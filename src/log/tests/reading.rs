//! Reads, by offset and by time, against a model that knows every record.

use proptest::prelude::*;

use super::rig::{Rig, START_MS, batch, batch_at, config, decode};
use crate::ReadError;

#[test]
fn ranges() {
    let rig = Rig::new();
    for value in ["a", "b", "c"] {
        rig.append(batch(&[value, value]));
    }
    let log = rig.log();
    assert!(log.read(6, 100, true).unwrap().slice.is_none(), "the end waits");
    for offset in [-1, 7] {
        assert!(matches!(
            log.read(offset, 100, true),
            Err(ReadError::OutOfRange { start: 0, end: 6, .. })
        ));
    }
    // In the middle of a batch: the whole batch.
    let slice = log.read(3, 1, true).unwrap().slice.unwrap();
    assert_eq!(
        decode(&slice.read().unwrap()),
        [(2, "b".to_owned()), (3, "b".to_owned())]
    );
    assert!(log.read(3, 1, false).unwrap().slice.is_none());
    let fetched = log.read(0, 1 << 20, true).unwrap();
    assert_eq!(
        (
            fetched.high_watermark,
            fetched.last_stable_offset,
            fetched.log_start_offset
        ),
        (6, 6, 0)
    );
}

#[test]
fn an_empty_log_has_no_times() {
    let rig = Rig::new();
    assert_eq!(rig.log().offset_for_timestamp(0).unwrap(), None);
    assert_eq!(rig.log().offset_of_max_timestamp().unwrap(), None);
}

#[test]
fn the_largest_timestamp_is_an_acknowledged_one() {
    let rig = Rig::new();
    rig.append(batch_at(START_MS + 5, &["a"]));
    rig.append(batch_at(START_MS + 9, &["b"]));
    rig.append(batch_at(START_MS + 9, &["c"]));
    rig.faults.hold_sync(true);
    rig.log()
        .append(batch_at(START_MS + 20, &["d"]), crate::AppendOrigin::Client)
        .unwrap();
    let largest = rig.log().offset_of_max_timestamp().unwrap().unwrap();
    assert_eq!((largest.offset, largest.timestamp), (1, START_MS + 9));
    rig.faults.hold_sync(false);
}

/// Sizes and timestamps of the records of one append, and how it is compressed.
type Input = (Vec<(usize, i64)>, u8);

fn build(
    records: &[(usize, i64)],
    codec: u8,
    numbers: &mut i64,
) -> (bytes::BytesMut, Vec<(i64, i64, String)>) {
    use jackfield_protocol::records::{Compression, RecordBatchBuilder};
    let codec = [Compression::None, Compression::Lz4, Compression::Zstd][usize::from(codec) % 3];
    let mut builder = RecordBatchBuilder::new(codec);
    let mut model = Vec::new();
    for (size, time) in records {
        let value = format!("{numbers} {}", "v".repeat(*size));
        builder.push(START_MS + time, None, Some(value.as_bytes()), &[]);
        model.push((*numbers, START_MS + time, value));
        *numbers += 1;
    }
    (builder.finish(), model)
}

fn check(rig: &Rig, model: &[(i64, i64, String)], reads: &[(prop::sample::Index, usize)], times: &[i64]) {
    let log = rig.log();
    for (at, max_bytes) in reads {
        let mut offset = at.index(model.len());
        // A reader that goes on from there, so that hints are used.
        for _ in 0..4 {
            let Some((first, _, _)) = model.get(offset) else {
                break;
            };
            let slice = log
                .read(*first, *max_bytes, true)
                .unwrap()
                .slice
                .expect("there is more");
            let data = slice.read().unwrap();
            let seen = decode(&data);
            let from = usize::try_from(seen[0].0).unwrap();
            assert!(
                from <= offset && seen.last().unwrap().0 >= *first,
                "the batch that holds {first}"
            );
            for ((at, value), (expected_at, _, expected)) in seen.iter().zip(&model[from..]) {
                assert_eq!((at, value), (expected_at, expected));
            }
            let batches = jackfield_protocol::records::split_batches(data.clone()).count();
            assert!(
                data.len() <= *max_bytes || batches == 1,
                "{} bytes of {max_bytes}",
                data.len()
            );
            offset = from + seen.len();
        }
    }
    for time in times {
        let wanted = START_MS + time;
        let expected = model
            .iter()
            .find(|(_, at, _)| *at >= wanted)
            .map(|(offset, at, _)| (*offset, *at));
        let found = log
            .offset_for_timestamp(wanted)
            .unwrap()
            .map(|found| (found.offset, found.timestamp));
        assert_eq!(found, expected, "first at or after {time}");
    }
    let largest = model.iter().map(|(_, at, _)| *at).max().unwrap();
    let first = model
        .iter()
        .find(|(_, at, _)| *at == largest)
        .map(|(offset, ..)| *offset);
    assert_eq!(
        log.offset_of_max_timestamp().unwrap().map(|found| found.offset),
        first
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_appended_is_read(
        inputs in prop::collection::vec((prop::collection::vec((0_usize..300, 0_i64..1_000), 1..6), any::<u8>()), 1..40),
        reads in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..3_000), 1..20),
        times in prop::collection::vec(-5_i64..1_005, 1..10),
        segment_bytes in 2_000_u64..8_000,
        index_interval_bytes in 0_u64..1_000,
    ) {
        let inputs: Vec<Input> = inputs;
        let mut config = config();
        config.segment_bytes = segment_bytes;
        config.index_interval_bytes = index_interval_bytes;
        let mut rig = Rig::with(config);
        let mut numbers = 0;
        let mut model = Vec::new();
        for (records, codec) in &inputs {
            let (batch, records) = build(records, *codec, &mut numbers);
            prop_assert_eq!(rig.append(batch).base_offset, records[0].0);
            model.extend(records);
        }
        check(&rig, &model, &reads, &times);
        rig.restart();
        check(&rig, &model, &reads, &times);
        rig.crash();
        check(&rig, &model, &reads, &times);
        prop_assert_eq!(rig.log().log_end_offset(), numbers);
    }
}
