//! Any damage to any file: opening never panics, and what is read is what was written.

use std::fs;

use proptest::prelude::*;

use super::rig::{FIRST, Rig, batch, config, decode, from_producer};

fn filled() -> Rig {
    let mut config = config();
    config.segment_bytes = 700;
    config.index_interval_bytes = 100;
    let rig = Rig::with(config);
    for n in 0..20 {
        rig.append(from_producer(1, 0, n, &[&format!("value {n}")]));
        rig.append(batch(&["another"]));
    }
    rig
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_survived(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
        clean in any::<bool>(),
    ) {
        let mut rig = filled();
        if clean {
            rig.close();
        } else {
            rig.kill();
        }
        for (file, at, value, how) in damage {
            let files: Vec<_> = rig.files().into_iter().filter(|name| name != "partition.metadata").collect();
            let path = rig.file(&files[file.index(files.len())]);
            let mut content = fs::read(&path).unwrap();
            match how {
                0 if !content.is_empty() => content.truncate(at.index(content.len())),
                1 => content.extend([value; 70]),
                _ if !content.is_empty() => {
                    let at = at.index(content.len());
                    content[at] = value;
                }
                _ => {}
            }
            fs::write(&path, content).unwrap();
        }
        // A refusal is fine where the leader epochs cannot be read.
        if rig.try_open().is_ok() {
            let log = rig.log();
            let _ = log.offset_for_timestamp(super::rig::START_MS);
            let _ = log.offset_of_max_timestamp();
            for offset in (log.log_start_offset()..log.log_end_offset()).take(100) {
                let Ok(fetched) = log.read(offset, 200, true) else { continue };
                let Some(slice) = fetched.slice else { continue };
                let data = slice.read().unwrap();
                for (at, value) in decode(&data) {
                    let expected = if at % 2 == 0 { format!("value {}", at / 2) } else { "another".to_owned() };
                    prop_assert_eq!(value, expected, "offset {}, clean: {}", at, clean);
                }
            }
            let _ = log.append(batch(&["goes on"]), crate::AppendOrigin::Client);
        }
    }
}

/// A segment in which each second batch proves the one before it wrong is not gone through as often as it has batches.
#[test]
fn contradictions_without_end_are_given_up() {
    let mut rig = Rig::new();
    rig.append(batch(&["first"]));
    rig.close();
    let first = fs::read(rig.file(FIRST)).unwrap();
    let mut segment = first.clone();
    for n in 1..1_000_i64 {
        for base_offset in [n + 100_000, n] {
            let at = segment.len();
            segment.extend(&first);
            segment[at..at + 8].copy_from_slice(&base_offset.to_be_bytes());
        }
    }
    fs::write(rig.file(FIRST), &segment).unwrap();
    let before = rig.faults.reads();
    rig.open();
    let reads = rig.faults.reads() - before;
    assert!(reads < 60_000, "{reads} reads");
    let slice = rig.log().read(0, 1, true).unwrap().slice.unwrap();
    assert_eq!(slice.read().unwrap(), first);
    let end = rig.log().log_end_offset();
    assert_eq!(rig.append(batch(&["on"])).base_offset, end);
    rig.restart();
    assert_eq!(rig.log().log_end_offset(), end + 1);
    assert!(fs::read(rig.file(FIRST)).unwrap().starts_with(&segment));
}
