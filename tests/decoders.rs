//! Every decoder over random bytes, and over good input with random damage: the fuzz targets, as an ordinary test.

use proptest::prelude::*;

use crate::harness::batches::{self, Codec, record};

#[path = "../fuzz/targets.rs"]
#[allow(
    unreachable_pub,
    reason = "public for the fuzz targets, which are another package"
)]
mod targets;

/// Good input for the decoders, to be damaged.
fn good_batch(codec: u8) -> Vec<u8> {
    let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][usize::from(codec) % 5];
    let records: Vec<_> = (0..5)
        .map(|number| record(1_000 + number, format!("value {number}")))
        .collect();
    batches::batch(codec, None, &records)
}

fn damaged(
    mut data: Vec<u8>,
    damage: &[(prop::sample::Index, u8)],
    cut: prop::sample::Index,
    seal: bool,
) -> Vec<u8> {
    for (at, value) in damage {
        let at = at.index(data.len());
        data[at] = *value;
    }
    if seal {
        batches::seal(&mut data);
    }
    if cut.index(4) == 0 {
        data.truncate(cut.index(data.len()));
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_read(data in prop::collection::vec(any::<u8>(), 0..300)) {
        targets::batch_reader(&data);
        targets::typed_decode(&data);
        targets::record_batch(&data);
        targets::frame(&data);
    }

    #[test]
    fn damaged_record_batches_are_refused_or_read(
        codec in any::<u8>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        seal in any::<bool>(),
    ) {
        targets::record_batch(&damaged(good_batch(codec), &damage, cut, seal));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_partitions_are_recovered(flags in any::<u8>(), damage in prop::collection::vec(any::<u8>(), 0..12)) {
        targets::index_recovery(&[vec![flags], damage].concat());
    }
}
