//! What is deleted, when, and what stays readable.

use std::fs;

use super::rig::{Rig, START_MS, TOPIC, batch, batch_at, config, wait_until};
use crate::{AppendError, AppendOrigin, LogConfig, ReadError};

/// A rig whose segments hold one batch each.
fn rig(change: impl FnOnce(&mut LogConfig)) -> Rig {
    let mut config = config();
    config.segment_bytes = 90;
    change(&mut config);
    Rig::with(config)
}

fn logs(rig: &Rig) -> usize {
    rig.files().iter().filter(|name| name.ends_with(".log")).count()
}

#[test]
fn by_time() {
    let mut rig = rig(|config| config.retention_ms = 1_000);
    for n in 0..5 {
        rig.append(batch_at(START_MS + n * 300, &["x"]));
    }
    rig.clock.advance_ms(1_301);
    rig.manager().apply_retention();
    assert_eq!(rig.log().log_start_offset(), 2);
    assert_eq!((logs(&rig), rig.consume(2).len()), (3, 3));
    assert!(matches!(
        rig.log().read(1, 100, true),
        Err(ReadError::OutOfRange { start: 2, end: 5, .. })
    ));
    rig.crash();
    assert_eq!(rig.log().log_start_offset(), 2);
}

#[test]
fn by_size() {
    let rig = rig(|config| config.retention_bytes = 150);
    rig.append(batch(&["x"]));
    let one = rig.log().size_bytes();
    for _ in 1..5 {
        rig.append(batch(&["x"]));
    }
    rig.manager().apply_retention();
    assert_eq!(
        rig.log().size_bytes(),
        3 * one,
        "not less than retention.bytes are kept"
    );
    assert_eq!(rig.log().log_start_offset(), 2);
}

#[test]
fn the_active_segment_expires_too() {
    let mut rig = rig(|config| config.retention_ms = 1_000);
    for _ in 0..3 {
        rig.append(batch(&["x"]));
    }
    rig.clock.advance_ms(1_001);
    wait_until("everything expired", || {
        rig.manager().apply_retention();
        rig.log().log_start_offset() == 3
    });
    assert_eq!(
        (rig.log().log_end_offset(), rig.log().size_bytes(), logs(&rig)),
        (3, 0, 1)
    );
    assert!(
        !rig.manager().apply_retention(),
        "an empty segment does not expire"
    );
    rig.crash();
    assert_eq!((rig.log().log_start_offset(), rig.log().log_end_offset()), (3, 3));
    assert_eq!(rig.append(batch_at(START_MS + 2_000, &["y"])).base_offset, 3);
}

#[test]
fn records_without_timestamps_are_as_old_as_their_file() {
    let rig = rig(|config| config.retention_ms = 1_000);
    for _ in 0..3 {
        rig.append(batch_at(-1, &["x"]));
    }
    rig.manager().apply_retention();
    assert_eq!(rig.log().log_start_offset(), 0);
    rig.clock.advance_ms(1_001);
    rig.manager().apply_retention();
    assert!(rig.log().log_start_offset() > 0);
}

#[test]
fn compacted_topics_keep_everything() {
    let rig = rig(|config| {
        config.delete = false;
        config.retention_ms = 1;
        config.retention_bytes = 1;
    });
    for _ in 0..3 {
        rig.append(batch(&["x"]));
    }
    rig.clock.advance_ms(1_000);
    rig.manager().apply_retention();
    assert_eq!(rig.consume(0).len(), 3);
}

#[test]
fn deleted_files_stay_for_their_readers_and_then_go() {
    let rig = rig(|config| config.retention_ms = 1_000);
    rig.append(batch(&["still here"]));
    rig.append(batch_at(START_MS + 5_000, &["x"]));
    let slice = rig.log().read(0, 100, true).unwrap().slice.unwrap();
    rig.clock.advance_ms(1_001);
    rig.manager().apply_retention();
    assert!(
        rig.files()
            .contains(&"00000000000000000000.log.deleted".to_owned())
    );
    rig.clock.advance_ms(59_999);
    rig.manager().unlink_due();
    assert!(rig.files().iter().any(|name| name.ends_with(".deleted")));
    rig.clock.advance_ms(1);
    rig.manager().unlink_due();
    assert!(!rig.files().iter().any(|name| name.ends_with(".deleted")));
    let values = super::rig::decode(&slice.read().unwrap());
    assert_eq!(values, [(0, "still here".to_owned())]);
}

#[test]
fn deleted_topics_go_at_once_and_their_files_later() {
    let mut rig = Rig::new();
    rig.append(batch(&["old"]));
    let log = rig.log();
    let root = rig.path().parent().unwrap().to_owned();
    let slice = log.read(0, 100, true).unwrap().slice.unwrap();
    rig.manager().delete(TOPIC, crate::TopicId([7; 16])).unwrap();
    assert!(rig.manager().get(TOPIC, 0).is_none());
    assert!(matches!(
        log.append(batch(&["x"]), AppendOrigin::Client),
        Err(AppendError::Storage(_))
    ));
    assert!(log.read(0, 100, true).is_err());
    assert_eq!(slice.read().unwrap().len(), slice.len);
    let deleted = |root: &std::path::Path| {
        fs::read_dir(root)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().to_string_lossy().ends_with("-delete"))
            .count()
    };
    assert_eq!(deleted(&root), 1);
    assert_eq!(
        rig.append(batch(&["new"])).base_offset,
        0,
        "the name is free at once"
    );
    rig.clock.advance_ms(60_000);
    rig.manager().unlink_due();
    assert_eq!(deleted(&root), 0);
    rig.manager().delete(TOPIC, crate::TopicId([7; 16])).unwrap();
    drop(log);
    rig.crash();
    assert!(rig.manager().logs().is_empty());
    assert_eq!(deleted(&root), 0, "the rest goes at the next start");
}

#[test]
fn long_names_can_be_deleted() {
    let rig = Rig::new();
    let name = "n".repeat(249);
    rig.manager()
        .create(&name, crate::TopicId([1; 16]), 0..1, rig.config.clone())
        .unwrap();
    rig.manager().delete(&name, crate::TopicId([1; 16])).unwrap();
    assert!(rig.manager().get(&name, 0).is_none());
}

/// A new topic knows nothing of what the checkpoints say of an old one with its name, even when both went by between two
/// writes of them.
#[test]
fn a_new_topic_starts_without_the_checkpoints_of_an_old_one() {
    for crash_between in [false, true] {
        let mut rig = Rig::new();
        for n in 0..9 {
            rig.append(batch(&[&format!("old {n}")]));
        }
        rig.manager().write_checkpoints().unwrap();
        rig.manager().delete(TOPIC, crate::TopicId([7; 16])).unwrap();
        if crash_between {
            rig.crash();
        }
        rig.partition(0);
        let known = rig
            .log_dirs()
            .into_iter()
            .filter_map(|dir| std::fs::read_to_string(dir.join("recovery-point-offset-checkpoint")).ok())
            .any(|text| text.contains("t 0 9"));
        assert!(!known, "crash between: {crash_between}");
        rig.append(batch(&["new"]));
        rig.crash();
        assert_eq!(rig.consume(0), [(0, "new".to_owned())]);
    }
}

#[test]
fn a_topic_is_created_once() {
    let rig = Rig::new();
    rig.append(batch(&["kept"]));
    let again = rig
        .manager()
        .create(TOPIC, crate::TopicId([1; 16]), 0..1, rig.config.clone());
    assert!(again.is_err());
    assert_eq!(rig.consume(0).len(), 1);
}

#[test]
fn silent_producers_are_forgotten() {
    let rig = Rig::new();
    rig.append(super::rig::from_producer(3, 0, 0, &["x"]));
    rig.clock.advance_ms(86_399_999);
    rig.manager().apply_retention();
    assert!(
        rig.log()
            .append(super::rig::from_producer(3, 0, 5, &["x"]), AppendOrigin::Client)
            .is_err()
    );
    rig.clock.advance_ms(1);
    rig.manager().apply_retention();
    rig.append(super::rig::from_producer(3, 0, 5, &["x"]));
}
