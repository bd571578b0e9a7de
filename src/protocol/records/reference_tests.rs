//! The same bytes as others: batches that Apache Kafka wrote, and the `kafka-protocol` crate's encoder and decoder.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    indexmap::IndexMap,
    protocol::StrBytes,
    records::{
        Compression as TheirCompression, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
        RecordEncodeOptions, TimestampType,
    },
};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

use super::{Compression, Record, RecordBatchBuilder, records, split_batches, stamp, verify};

/// Segments written by Apache Kafka 4.3.1: all codecs, plain and idempotent producers, headers, nulls.
const SEGMENTS: [&[u8]; 4] = [
    include_bytes!("../../../tests/golden/files/log/00000000000000000000.log"),
    include_bytes!("../../../tests/golden/files/log/00000000000000000112.log"),
    include_bytes!("../../../tests/golden/files/log/00000000000000000229.log"),
    include_bytes!("../../../tests/golden/files/log/00000000000000000345.log"),
];

fn read(batch: &Bytes) -> Vec<Record> {
    records(batch, 1 << 24)
        .expect("a good batch")
        .map(|record| record.expect("a good record"))
        .collect()
}

#[test]
fn batches_of_kafka_are_read_and_written_byte_for_byte() {
    let mut rebuilt = 0;
    let mut codecs = Vec::new();
    let mut next_offset = 0;
    for segment in SEGMENTS {
        let batches: Vec<_> = split_batches(Bytes::from_static(segment)).collect();
        assert_eq!(batches.iter().map(Bytes::len).sum::<usize>(), segment.len());
        for batch in batches {
            let header = verify(&batch).expect("Kafka's own batch");
            assert_eq!(header.base_offset, next_offset);
            next_offset = header.last_offset() + 1;
            let read = read(&batch);
            assert_eq!(read.len(), usize::try_from(header.record_count).unwrap());
            let compression = header.compression().unwrap();
            if !codecs.contains(&compression) {
                codecs.push(compression);
            }
            if compression != Compression::None {
                continue;
            }
            let mut builder = RecordBatchBuilder::default();
            builder.producer(header.producer_id, header.producer_epoch, header.base_sequence);
            for record in &read {
                let headers: Vec<_> = record
                    .headers
                    .iter()
                    .map(|(k, v)| (&k[..], v.as_deref()))
                    .collect();
                builder.push(
                    record.timestamp,
                    record.key.as_deref(),
                    record.value.as_deref(),
                    &headers,
                );
            }
            let mut own = builder.finish();
            stamp(&mut own, header.base_offset, header.partition_leader_epoch);
            assert_eq!(own, batch, "batch at offset {}", header.base_offset);
            rebuilt += 1;
        }
    }
    assert_eq!(next_offset, 363);
    assert_eq!(codecs.len(), 5, "every codec is in the files: {codecs:?}");
    assert!(rebuilt > 0);
}

fn their_records() -> impl Strategy<Value = Vec<TheirRecord>> {
    let blob = || prop::option::of(prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from));
    let headers = prop::collection::vec(("[a-z]{0,8}", blob()), 0..4);
    let row = (1_600_000_000_000..1_900_000_000_000_i64, blob(), blob(), headers);
    prop::collection::vec(row, 1..40).prop_map(|rows| {
        let record = |(index, (timestamp, key, value, headers)): (usize, (_, _, _, Vec<(String, _)>))| {
            let index = i64::try_from(index).expect("a small index");
            let named = |(name, value)| (StrBytes::from_string(name), value);
            TheirRecord {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: 7,
                producer_epoch: 3,
                timestamp_type: TimestampType::Creation,
                offset: index,
                sequence: 11 + i32::try_from(index).expect("a small index"),
                timestamp,
                key,
                value,
                headers: headers.into_iter().map(named).collect::<IndexMap<_, _>>(),
            }
        };
        rows.into_iter().enumerate().map(record).collect()
    })
}

fn build(rows: &[TheirRecord]) -> BytesMut {
    let mut builder = RecordBatchBuilder::default();
    for row in rows {
        let headers: Vec<_> = row
            .headers
            .iter()
            .map(|(k, v)| (k.as_bytes(), v.as_deref()))
            .collect();
        builder.push(row.timestamp, row.key.as_deref(), row.value.as_deref(), &headers);
    }
    builder.producer(7, 3, 11);
    builder.finish()
}

proptest! {
    #[test]
    fn ours_is_read_by_them(rows in their_records()) {
        let mut batch = build(&rows).freeze();
        let set = RecordBatchDecoder::decode(&mut batch).expect("a good batch");
        prop_assert_eq!(set.records, rows);
    }

    #[test]
    fn theirs_is_read_by_us(rows in their_records()) {
        let mut theirs = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: TheirCompression::None };
        RecordBatchEncoder::encode(&mut theirs, &rows, &options).expect("encodes");
        let theirs = theirs.freeze();
        let header = verify(&theirs).expect("their batch verifies");
        prop_assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, 11));
        let read = read(&theirs);
        prop_assert_eq!(read.len(), rows.len());
        for (ours, row) in read.iter().zip(&rows) {
            prop_assert_eq!((ours.offset, ours.timestamp), (row.offset, row.timestamp));
            prop_assert_eq!((&ours.key, &ours.value), (&row.key, &row.value));
            let headers: Vec<_> = row.headers.iter().map(|(k, v)| (Bytes::from(k.clone()), v.clone())).collect();
            prop_assert_eq!(&ours.headers, &headers);
        }
    }
}
