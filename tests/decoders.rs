//! Every decoder over random bytes, and over good input with random damage: the fuzz targets, as an ordinary test. All run
//! over their seeds, too, and over what becomes of these, for a quarter of a minute each.

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng},
};

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
        targets::manifest_reader(&data);
        targets::native_entry(&data);
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

/// How long each target runs.
const RUN: Duration = Duration::from_secs(15);
/// Inputs are not made longer than this.
const MOST_BYTES: usize = 20_000;
/// Changes made to one input.
const MOST_CHANGES: u32 = 8;

/// The inputs that are kept for a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One small change: a bit, a byte, a number, bytes that go, come twice or come from another input.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut TestRng) {
    let below = |random: &mut TestRng, limit: usize| random.next_u32() as usize % limit.max(1);
    if input.is_empty() {
        input.push(0);
    }
    let at = below(random, input.len());
    let len = below(random, 16).min(input.len() - at);
    match random.next_u32() % 8 {
        0 | 1 => input[at] ^= 1 << below(random, 8),
        2 => input[at] = random.next_u32().to_be_bytes()[0],
        3 => {
            let number = [0, 1, u64::MAX, 1 << 31, 1 << 63, u64::from(random.next_u32())][below(random, 6)];
            input[at..at + len.min(8)].copy_from_slice(&number.to_be_bytes()[8 - len.min(8)..]);
        }
        4 => drop(input.drain(at..at + len)),
        5 => {
            let again = input[at..at + len].to_vec();
            input.splice(at..at, again);
        }
        6 => input.truncate(at),
        _ => {
            let from = below(random, other.len());
            input.splice(at.., other[from..].iter().copied());
        }
    }
    input.truncate(MOST_BYTES);
}

/// Runs a target over its seeds, and then over changed ones; what was changed may be changed again.
fn run_target(name: &str, target: fn(&[u8])) {
    let mut inputs = seeds(name);
    let kept = inputs.len();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let started = Instant::now();
    let mut runs = 0;
    let mut run = |input: &[u8]| {
        runs += 1;
        let panicked = panic::catch_unwind(AssertUnwindSafe(|| target(input))).is_err();
        assert!(!panicked, "input of {name}: \"{}\"", input.escape_ascii());
    };
    for input in &inputs {
        run(input);
    }
    while started.elapsed() < RUN {
        let mut input = inputs[random.next_u32() as usize % inputs.len()].clone();
        let other = inputs[random.next_u32() as usize % inputs.len()].clone();
        for _ in 0..=random.next_u32() % MOST_CHANGES {
            change(&mut input, &other, &mut random);
        }
        run(&input);
        // A few of them take turns in the places behind the seeds.
        if inputs.len() < 2 * kept {
            inputs.push(input);
        } else {
            inputs[kept + random.next_u32() as usize % kept] = input;
        }
    }
    println!("{name}: {runs} runs");
}

/// The seeds are what Kafka's AdminClient, tools and consumers, librdkafka and the commands here sent.
#[test]
fn requests_of_real_clients_are_read() {
    let seeds = seeds("requests");
    assert!(seeds.len() > 100, "{}", seeds.len());
    let wrong: Vec<_> = seeds
        .iter()
        .filter_map(|seed| targets::wrong_with_request(&seed[2..]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn damaged_requests_do_no_harm() {
    run_target("requests", targets::requests);
}

#[test]
fn damaged_frames_are_refused_or_read() {
    run_target("frame", targets::frame);
}

#[test]
fn damaged_batches_are_refused_or_read() {
    run_target("record_batch", targets::record_batch);
}

#[test]
fn damaged_batches_of_plugins_are_refused_or_read() {
    run_target("batch_reader", targets::batch_reader);
}

#[test]
fn damaged_typed_values_are_refused_or_read() {
    run_target("typed_decode", targets::typed_decode);
}

#[test]
fn damaged_manifests_and_policies_are_refused_or_read() {
    run_target("manifest_reader", targets::manifest_reader);
}

#[test]
fn damaged_descriptors_of_libraries_are_refused_or_read() {
    run_target("native_entry", targets::native_entry);
}

#[test]
fn damaged_segments_are_recovered() {
    run_target("segment_recovery", targets::segment_recovery);
}

#[test]
fn damaged_indexes_hide_nothing() {
    run_target("index_reader", targets::index_reader);
}

#[test]
fn damaged_snapshots_hide_nothing() {
    run_target("snapshot_reader", targets::snapshot_reader);
}

#[test]
fn damaged_checkpoints_hide_nothing() {
    run_target("checkpoint_reader", targets::checkpoint_reader);
}
