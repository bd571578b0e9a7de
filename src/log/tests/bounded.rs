//! What a log holds open and in memory does not grow with its data.

use std::{fs, os::unix::fs::MetadataExt};

use super::rig::{Rig, batch, batch_at, config, from_producer, names, wait_until};
use crate::AppendError;

/// Files of the partition that this process has open, by name.
fn open_files(rig: &Rig) -> Vec<String> {
    let ours: Vec<(u64, String)> = names(&rig.path())
        .into_iter()
        .map(|name| (fs::metadata(rig.file(&name)).unwrap().ino(), name))
        .collect();
    let device = fs::metadata(rig.path()).unwrap().dev();
    let mut open: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::metadata(entry.ok()?.path()).ok())
        .filter(|metadata| metadata.dev() == device)
        .filter_map(|metadata| {
            let (_, name) = ours.iter().find(|(inode, _)| *inode == metadata.ino())?;
            Some(name.clone())
        })
        .collect();
    open.sort();
    open
}

/// Twenty segments of one batch each.
fn twenty_segments() -> Rig {
    let mut config = config();
    config.segment_bytes = 100;
    let rig = Rig::with(config);
    for n in 0..20 {
        rig.append(batch(&[&format!("value {n}")]));
    }
    rig
}

#[test]
fn closed_segments_are_open_while_they_are_read_only() {
    let mut rig = twenty_segments();
    let active = format!("{:020}.log", 19);
    // The commit thread may still hold the files of its last round.
    wait_until("only the active segment is open", || {
        rig.manager().close_unused_segments();
        open_files(&rig) == std::slice::from_ref(&active)
    });
    rig.restart();
    assert_eq!(open_files(&rig), std::slice::from_ref(&active), "after a start");
    let held = rig.log().read(3, 1, true).unwrap().slice.unwrap();
    assert_eq!(rig.consume(0).len(), 20);
    assert_eq!(open_files(&rig).len(), 20);
    rig.manager().close_unused_segments();
    assert_eq!(
        open_files(&rig),
        [format!("{:020}.log", 3), active.clone()],
        "one is being read"
    );
    assert_eq!(held.read().unwrap().len(), held.len);
    drop(held);
    rig.manager().close_unused_segments();
    assert_eq!(open_files(&rig), [active]);
    assert_eq!(rig.consume(0).len(), 20);
}

/// No file is left to be opened for a read: that is no damage, and the next one succeeds.
#[test]
fn a_segment_that_cannot_be_opened_is_not_damaged() {
    let mut rig = twenty_segments();
    rig.restart();
    rig.faults.limit_opens(0);
    let refused = rig.log().read(3, 1, true).unwrap_err().to_string();
    assert!(refused.contains("cannot be opened"), "{refused}");
    rig.faults.limit_opens(-1);
    assert_eq!(rig.consume(0).len(), 20);
}

/// Entries go to the index files while a segment is written to, and every offset and timestamp is found the same way, before
/// and after restarts of both kinds.
#[test]
fn long_indexes_are_searched_in_their_files() {
    const BATCHES: i64 = 1_000;
    let mut config = config();
    config.index_interval_bytes = 1;
    let mut rig = Rig::with(config);
    for n in 0..BATCHES {
        let log = rig.log();
        let value = format!("value {n}");
        log.append(batch_at(n * 10, &[&value, &value]), crate::AppendOrigin::Client)
            .unwrap();
    }
    rig.append(batch_at(BATCHES * 10, &["the last one"]));
    for how in ["written", "crashed", "restarted"] {
        match how {
            "crashed" => rig.crash(),
            "restarted" => rig.restart(),
            _ => {}
        }
        let log = rig.log();
        let index = rig.file("00000000000000000000.index");
        assert!(fs::metadata(index).unwrap().len() > 128 * 8, "{how}");
        for n in 0..BATCHES {
            let slice = log.read(n * 2 + 1, 1, true).unwrap().slice.unwrap();
            let found = super::rig::decode(&slice.read().unwrap());
            assert_eq!(found[0], (n * 2, format!("value {n}")), "{how}");
            let found = log.offset_for_timestamp(n * 10 - 5).unwrap().unwrap();
            assert_eq!((found.offset, found.timestamp), (n * 2, n * 10), "{how}");
        }
        let reads = rig.faults.reads();
        log.read(BATCHES, 1, true).unwrap();
        assert!(
            rig.faults.reads() - reads < 20,
            "{how}: the segment was searched from its start"
        );
    }
}

/// A batch is recognised as a repeat also when others of its producer came after the restart, before it.
#[test]
fn late_repeats_are_recognised() {
    let mut rig = Rig::new();
    let originals: Vec<_> = (0..6)
        .map(|n| rig.append(from_producer(9, 0, n, &["x"])))
        .collect();
    for crash in [true, false] {
        if crash {
            rig.crash();
        } else {
            rig.restart();
        }
        assert_eq!(rig.append(from_producer(9, 0, 4, &["x"])), originals[4]);
    }
    rig.restart();
    let next = rig.append(from_producer(9, 0, 6, &["x"]));
    assert_eq!(rig.append(from_producer(9, 0, 3, &["x"])), originals[3]);
    assert_eq!(rig.append(from_producer(9, 0, 6, &["x"])), next);
    assert!(matches!(
        rig.refuse(from_producer(9, 0, 0, &["x"])),
        AppendError::DuplicateSequence(0)
    ));
    assert_eq!(rig.append(from_producer(9, 0, 7, &["x"])).base_offset, 7);
}

/// A start after kill -9 checks files of every partition; it makes them durable, and closes them, in portions.
#[test]
fn an_unclean_start_needs_few_files_at_once() {
    let mut rig = twenty_segments();
    for n in 0..300 {
        let log = rig.partition(n);
        log.append(batch(&["x"]), crate::AppendOrigin::Client).unwrap();
    }
    rig.kill();
    let (rounds, synced) = (rig.faults.rounds(), rig.faults.synced_files());
    rig.open();
    assert!(
        rig.faults.synced_files() - synced >= 600,
        "a segment and a directory each"
    );
    let rounds = rig.faults.rounds() - rounds;
    assert!((3..20).contains(&rounds), "{rounds}");
    // Without a checkpoint all of them were checked.
    assert_eq!(open_files(&rig), [format!("{:020}.log", 20)]);
}

/// The length of an index file says nothing about how much is in it.
#[test]
fn an_index_of_any_length_is_read_in_pieces() {
    for clean in [false, true] {
        let mut config = config();
        config.index_interval_bytes = 1_000;
        let mut rig = Rig::with(config);
        let filler = "x".repeat(100 << 10);
        for _ in 0..12 {
            rig.append(batch(&[&filler]));
        }
        rig.manager().make_marks();
        rig.manager().write_checkpoints().unwrap();
        rig.append(batch(&["last"]));
        if clean {
            rig.close();
        } else {
            rig.kill();
        }
        for suffix in ["index", "timeindex"] {
            let path = rig.file(&format!("{:020}.{suffix}", 0));
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(1 << 42).unwrap();
        }
        rig.open();
        assert_eq!(rig.log().log_end_offset(), 13);
        assert_eq!(rig.consume(12), [(12, "last".to_owned())], "clean: {clean}");
        assert_eq!(rig.consume(0).len(), 13);
    }
}

/// A lookup by timestamp looks into the segments one after the other, and ends at the first that has it.
#[test]
fn a_timestamp_is_searched_in_one_segment_at_a_time() {
    let mut rig = twenty_segments();
    rig.restart();
    rig.faults.limit_opens(4);
    let log = rig.log();
    let found = log.offset_for_timestamp(super::rig::START_MS).unwrap().unwrap();
    assert_eq!(found.offset, 0);
    assert_eq!(log.offset_for_timestamp(i64::MAX).unwrap(), None);
    assert!(open_files(&rig).len() <= 2);
}
