//! Any damage to any file: opening never panics, and what is read is what was written.

use std::fs;

use proptest::prelude::*;

use super::rig::{Rig, batch, config, decode, from_producer};

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
