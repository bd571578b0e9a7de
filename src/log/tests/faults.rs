//! Disks that break or fill up: what stays readable, what is refused, and how it goes on.

use super::rig::{Rig, batch, config, copy, from_producer, reset, scratch, wait};
use crate::{AppendError, AppendOrigin, ReadError};

/// One round for two directories, of which one breaks: only that one is offline.
#[test]
fn a_broken_disk_takes_only_its_own_logs_along() {
    let mut rig = Rig::new();
    let logs: Vec<_> = (0..6).map(|n| rig.partition(n)).collect();
    for log in &logs {
        let kept = log.append(batch(&["kept"]), AppendOrigin::Client).unwrap();
        wait(log.committed(kept.last_offset)).unwrap();
    }
    let broken = rig.log_dirs()[0].clone();
    let (bad, good): (Vec<_>, Vec<_>) = logs.iter().partition(|log| log.log_dir == broken);
    assert_eq!((bad.len(), good.len()), (3, 3));
    rig.faults.hold_sync(true);
    rig.faults.fail_sync_below(&broken);
    // The last of the bad ones has nothing in flight; it goes offline all the same.
    for log in good.iter().chain(&bad[..2]) {
        log.append(batch(&["x"]), AppendOrigin::Client).unwrap();
    }
    rig.faults.hold_sync(false);
    for log in &good {
        wait(log.committed(1)).unwrap();
        assert_eq!(log.read(0, 1 << 20, true).unwrap().high_watermark, 2);
    }
    for log in &bad {
        assert!(matches!(
            wait(log.committed(1)).unwrap_err(),
            AppendError::Storage(_)
        ));
        assert_eq!(log.high_watermark(), 1, "never acknowledged");
        assert!(matches!(log.read(0, 100, true), Err(ReadError::Storage(_))));
        assert!(log.append(batch(&["x"]), AppendOrigin::Client).is_err());
    }
    // New topics go where it works; a shutdown marks only that directory clean.
    let new = rig
        .manager()
        .create("new", crate::TopicId([3; 16]), 0..2, config());
    assert!(new.unwrap().iter().all(|log| log.log_dir != broken));
    drop((bad, good));
    drop(logs);
    rig.close();
    let clean = |n: usize| rig.log_dirs()[n].join(".kafka_cleanshutdown").exists();
    assert_eq!((clean(0), clean(1)), (false, true));
    rig.faults = std::sync::Arc::default();
    rig.open();
    for n in 0..6 {
        let log = rig.partition(n);
        let read = log.read(0, 1 << 20, true).unwrap().slice.unwrap();
        let values = super::rig::decode(&read.read().unwrap());
        assert_eq!(values[0], (0, "kept".to_owned()), "partition {n}");
    }
}

/// A full disk refuses appends, wherever a segment ends, and is no end: readers go on, and so does the log afterwards.
#[test]
fn a_full_disk_is_survived() {
    for segment_bytes in [1 << 20, 300, 90] {
        for crash in [false, true] {
            let mut config = config();
            config.segment_bytes = segment_bytes;
            config.index_interval_bytes = 0;
            let mut rig = Rig::with(config);
            let mut written = Vec::new();
            for n in 0..40_i64 {
                if n % 5 == 4 {
                    // Anywhere: in the index, the snapshot, or the batch itself.
                    rig.faults.tear_after(n % 80);
                    assert!(matches!(rig.refuse(batch(&["lost"])), AppendError::Storage(_)));
                    assert_eq!(rig.consume(0), written, "readers go on");
                    rig.faults.tear_after(-1);
                }
                let value = format!("value {n}");
                assert_eq!(rig.append(batch(&[&value])).base_offset, n);
                written.push((n, value));
            }
            assert_eq!(rig.consume(0), written);
            if crash {
                rig.crash();
            } else {
                rig.restart();
            }
            assert_eq!(
                rig.consume(0),
                written,
                "segments of {segment_bytes}, crash: {crash}"
            );
            assert_eq!(rig.append(batch(&["on"])).base_offset, 40);
        }
    }
}

/// No room for the files of an orderly shutdown: the next start checks everything, and nothing is lost.
#[test]
fn a_disk_that_is_full_at_shutdown_loses_nothing() {
    let mut rig = Rig::new();
    for n in 0..5 {
        rig.append(super::rig::from_producer(8, 0, n, &["x"]));
    }
    rig.faults.fail_writes(true);
    rig.close();
    assert!(!rig.log_dirs()[0].join(".kafka_cleanshutdown").exists());
    rig.faults.fail_writes(false);
    rig.open();
    assert_eq!(rig.consume(0).len(), 5);
    assert_eq!(
        rig.append(super::rig::from_producer(8, 0, 4, &["x"])).base_offset,
        4,
        "a repeat"
    );
}

#[test]
fn a_topic_that_finds_no_room_leaves_nothing() {
    let mut rig = Rig::new();
    rig.faults.tear_after(200);
    let refused = rig
        .manager()
        .create("t2", crate::TopicId([3; 16]), 0..20, config());
    assert!(matches!(refused.unwrap_err().source, AppendError::Storage(_)));
    rig.faults.tear_after(-1);
    assert!(rig.manager().logs().is_empty());
    rig.manager()
        .create("t2", crate::TopicId([4; 16]), 0..20, config())
        .unwrap();
    rig.crash();
    assert_eq!(rig.manager().logs().len(), 20);
    assert!(
        rig.manager()
            .logs()
            .iter()
            .all(|log| log.topic_id() == crate::TopicId([4; 16]))
    );
}

/// However early the files run out: nothing is left in the way of the next creation, and no deletion takes its records.
#[test]
fn a_topic_that_finds_no_files_leaves_nothing_in_the_way() {
    let (old, new) = (crate::TopicId([3; 16]), crate::TopicId([4; 16]));
    for opens in 0..12 {
        let mut rig = Rig::new();
        rig.faults.limit_opens(opens);
        let refused = rig.manager().create(super::rig::TOPIC, old, 0..20, config());
        assert!(matches!(refused.unwrap_err().source, AppendError::Storage(_)));
        rig.faults.limit_opens(-1);
        rig.manager()
            .create(super::rig::TOPIC, new, 0..20, config())
            .unwrap();
        rig.append(batch(&["kept"]));
        rig.crash();
        rig.manager().delete(super::rig::TOPIC, old).unwrap();
        assert_eq!(rig.manager().logs().len(), 20);
        assert_eq!(rig.consume(0), [(0, "kept".to_owned())]);
        rig.manager().delete(super::rig::TOPIC, new).unwrap();
        assert!(rig.manager().logs().is_empty());
    }
}

/// A topic of many partitions does not hold all their files open until it is done.
#[test]
fn the_files_of_new_partitions_are_synced_in_portions() {
    let rig = Rig::new();
    let before = rig.faults.rounds();
    rig.manager()
        .create("wide", crate::TopicId([3; 16]), 0..200, config())
        .unwrap();
    let rounds = rig.faults.rounds() - before;
    assert!((4..20).contains(&rounds), "{rounds}");
    // Four files for each partition, and each log directory once.
    assert_eq!(rig.faults.synced_files(), 200 * 4 + 2);
}

/// No file left, wherever a roll is: the append is refused, the log goes on, and nothing is hidden at the next start.
#[test]
fn running_out_of_files_at_a_roll_is_survived() {
    for opens in 0..6 {
        let mut config = config();
        config.segment_bytes = 300;
        let mut rig = Rig::with(config);
        rig.append(batch(&["first"]));
        let mut written = 1;
        let mut refused = 0;
        while refused < 3 {
            rig.faults.limit_opens(opens);
            let tried = rig.log().append(batch(&["some value"]), AppendOrigin::Client);
            rig.faults.limit_opens(-1);
            match tried {
                Ok(_) => written += 1,
                Err(_) => {
                    refused += 1;
                    // Fits where the other one did not.
                    rig.log().set_config(super::rig::config());
                    rig.append(batch(&["more"]));
                    written += 1;
                    let mut small = super::rig::config();
                    small.segment_bytes = 300;
                    rig.log().set_config(small);
                }
            }
            if written > 30 {
                assert_eq!(opens, 5, "a roll opens five files");
                break;
            }
        }
        rig.crash();
        assert_eq!(rig.consume(0).len(), written, "{opens} files");
        assert_eq!(
            rig.append(batch(&["on"])).base_offset,
            i64::try_from(written).unwrap()
        );
    }
}

/// A segment that cannot be deleted stays in the log until it can.
#[test]
fn a_segment_that_cannot_be_renamed_stays() {
    for renames in 0..8 {
        let mut config = config();
        config.segment_bytes = 100;
        let mut rig = Rig::with(config.clone());
        for n in 0..10 {
            rig.append(batch(&[&format!("value {n}")]));
        }
        config.retention_bytes = 0;
        rig.log().set_config(config);
        rig.faults.limit_renames(renames);
        rig.manager().apply_retention();
        let log = rig.log();
        let start = log.log_start_offset();
        assert!(start < 9, "{renames}: {start}");
        assert_eq!(rig.consume(start).len() as i64, 10 - start);
        rig.faults.limit_renames(-1);
        rig.manager().apply_retention();
        assert_eq!(log.log_start_offset(), log.lock().segments[0].base_offset);
        assert!(log.log_start_offset() > start);
        drop(log);
        rig.crash();
        assert_eq!(rig.append(batch(&["on"])).base_offset, 10);
    }
}

/// One that works is enough to start with; none is not.
#[test]
fn a_start_needs_one_directory_that_works() {
    let mut rig = Rig::new();
    let logs = [rig.partition(0), rig.partition(1)];
    for log in &logs {
        let kept = log.append(batch(&["kept"]), AppendOrigin::Client).unwrap();
        wait(log.committed(kept.last_offset)).unwrap();
    }
    drop(logs);
    rig.kill();
    let (broken, both) = (rig.log_dirs()[1].clone(), rig.dir.path().to_owned());
    rig.faults.fail_sync_below(&broken);
    rig.open();
    for log in rig.manager().logs() {
        assert_eq!(log.is_offline(), log.log_dir == broken);
        assert_eq!(log.read(0, 100, true).is_ok(), log.log_dir != broken);
    }
    rig.append(batch(&["more"]));
    rig.kill();
    rig.faults.fail_sync_below(&both);
    let refused = rig.try_open().unwrap_err().to_string();
    assert!(refused.contains("error 5"), "{refused}");
}

/// It is the process that has too few, so no directory is offline for it.
#[test]
fn a_start_that_runs_out_of_files_is_refused() {
    let mut refused = 0;
    for opens in 0..12 {
        let mut rig = Rig::new();
        rig.partition(1);
        rig.append(batch(&["kept"]));
        rig.kill();
        rig.faults.limit_opens(opens);
        let started = rig.try_open();
        rig.faults.limit_opens(-1);
        if started.is_err() {
            refused += 1;
            rig.open();
        }
        assert!(rig.manager().logs().iter().all(|log| !log.is_offline()));
        assert_eq!(rig.consume(0), [(0, "kept".to_owned())], "{opens}");
    }
    assert!(refused > 2, "{refused}");
}

/// Many small segments, some of whose batches have a producer, and the indexes that lead to them.
fn filled_for_reading() -> Rig {
    let mut config = config();
    config.segment_bytes = 400;
    config.index_interval_bytes = 100;
    let rig = Rig::with(config);
    for n in 0..12 {
        rig.append(from_producer(8, 0, n, &[&format!("value {n}")]));
    }
    rig
}

fn segments(rig: &Rig) -> Vec<(String, Vec<u8>)> {
    let logs = rig.files().into_iter().filter(|name| name.contains(".log"));
    logs.map(|name| (name.clone(), std::fs::read(rig.file(&name)).unwrap()))
        .collect()
}

/// Why a log directory does not work after a start.
fn why_not_started(rig: &mut Rig) -> Option<String> {
    if let Err(error) = rig.try_open() {
        return Some(error.to_string());
    }
    let offline = rig.manager().offline_directories();
    if !offline.is_empty() {
        rig.kill();
    }
    offline.into_iter().next()
}

/// Whichever read fails while a log is recovered: nothing is cut for it, nothing is held to be damaged or forgotten.
#[test]
fn a_read_that_fails_during_recovery_takes_nothing_away() {
    for checkpointed in [false, true] {
        let mut rig = filled_for_reading();
        if checkpointed {
            rig.manager().make_marks();
            rig.manager().write_checkpoints().unwrap();
            rig.append(from_producer(8, 0, 12, &["value 12"]));
        }
        let end = if checkpointed { 13 } else { 12 };
        rig.kill();
        let before = segments(&rig);
        let saved = scratch();
        copy(rig.dir.path(), saved.path());
        let mut refused = 0;
        for n in 0.. {
            reset(&rig, saved.path());
            rig.faults.fail_read_after(n);
            if let Some(error) = why_not_started(&mut rig) {
                assert!(error.contains("os error 5"), "read {n}: {error}");
                assert_eq!(segments(&rig), before, "read {n}");
                refused += 1;
                rig.open();
            }
            let is_over = rig.faults.is_read_to_fail();
            rig.faults.fail_read_after(-1);
            assert_eq!(rig.consume(0).len(), end, "read {n}");
            let repeated = from_producer(8, 0, 3, &["value 3"]);
            assert!(
                rig.log().append(repeated, AppendOrigin::Client).is_err(),
                "read {n}: what producers did is known"
            );
            assert_eq!(segments(&rig), before, "read {n}");
            rig.kill();
            if is_over {
                break;
            }
        }
        // Some of the reads are not the start's own.
        assert!(refused > 1, "{refused} starts were refused");
    }
}

/// A read that fails is no damage, also where what is read was not verified yet: the next one is answered.
#[test]
fn a_read_that_fails_is_no_damage() {
    let mut rig = filled_for_reading();
    let mut refused = 0;
    for n in 0.. {
        rig.restart();
        rig.faults.fail_read_after(n);
        let log = rig.log();
        for offset in [3, 7, 11] {
            if let Err(error) = log.read(offset, 1, true) {
                assert!(matches!(error, ReadError::Storage(_)), "read {n}: {error}");
                refused += 1;
            }
        }
        if let Err(error) = log.offset_for_timestamp(super::rig::START_MS) {
            assert!(matches!(error, ReadError::Storage(_)), "read {n}: {error}");
            refused += 1;
        }
        drop(log);
        let is_over = rig.faults.is_read_to_fail();
        rig.faults.fail_read_after(-1);
        assert_eq!(rig.consume(0).len(), 12, "read {n}");
        if is_over {
            break;
        }
    }
    assert!(refused > 3, "{refused} reads were refused");
}

/// The rest of a failed write that could not be cut then is no damage after an orderly shutdown: it is cut before.
#[test]
fn what_a_failed_write_left_is_cut_at_the_shutdown() {
    let mut rig = Rig::new();
    rig.append(batch(&["kept"]));
    let size = rig.log().size_bytes();
    rig.faults.fail_set_len(true);
    rig.faults.tear_after(70);
    rig.refuse(batch(&["lost"]));
    rig.faults.tear_after(-1);
    rig.faults.fail_set_len(false);
    let path = rig.file("00000000000000000000.log");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size + 70);
    rig.close();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    let found = crate::verify(&jackfield_env::RealFiles, &rig.path(), &mut |_, _| {}).unwrap();
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    rig.open();
    assert_eq!(rig.append(batch(&["on"])).base_offset, 1);
    assert_eq!(rig.consume(0).len(), 2);
}

/// Everything has expired and the disk is full: the active segment cannot be closed, and the others go all the same.
#[test]
fn retention_makes_room_on_a_full_disk() {
    let mut config = config();
    config.segment_bytes = 100;
    let rig = Rig::with(config.clone());
    for n in 0..10 {
        rig.append(batch(&[&format!("value {n}")]));
    }
    config.retention_ms = 1_000;
    rig.log().set_config(config);
    rig.clock.advance_ms(2_000);
    rig.faults.fail_writes(true);
    assert!(!rig.manager().apply_retention());
    assert_eq!(rig.log().log_start_offset(), 9);
    assert_eq!(rig.consume(9).len(), 1);
    rig.faults.fail_writes(false);
    assert!(rig.manager().apply_retention(), "the active one is closed");
    assert_eq!(rig.append(batch(&["on"])).base_offset, 10);
    rig.manager().apply_retention();
    assert_eq!(rig.log().log_start_offset(), 10);
}

fn offline(rig: &Rig) -> Vec<bool> {
    let directories = rig.manager().directories.iter();
    directories
        .map(|directory| directory.health.offline().is_some())
        .collect()
}

/// One call syncs files of several directories: each whose sync fails is offline.
#[test]
fn every_directory_whose_sync_failed_is_offline() {
    let rig = Rig::new();
    for n in 0..2 {
        let log = rig.partition(n);
        let filler = "x".repeat(600 << 10);
        for _ in 0..2 {
            let appended = log.append(batch(&[&filler]), AppendOrigin::Client).unwrap();
            wait(log.committed(appended.last_offset)).unwrap();
        }
    }
    rig.faults.fail_sync(true);
    rig.manager().make_marks();
    assert_eq!(offline(&rig), [true, true]);
    let rig = Rig::new();
    rig.faults.fail_sync(true);
    let created = rig
        .manager()
        .create("new", crate::TopicId([3; 16]), 0..2, config());
    assert!(created.is_err());
    assert_eq!(offline(&rig), [true, true]);
}
