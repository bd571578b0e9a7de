//! Recovery goes on at marks, and finds what it would have found without them.

use std::fs;

use super::rig::{Rig, batch, config, from_producer, names};

const FIRST: &str = "00000000000000000000.log";
const INDEX: &str = "00000000000000000000.index";
/// Forty of these are more than two marks apart.
const BYTES: usize = 64 << 10;

fn value(n: i64) -> String {
    format!("{n} {}", "v".repeat(BYTES))
}

fn append(rig: &Rig, n: i64) {
    let appended = rig.append(from_producer(5, 0, i32::try_from(n).unwrap(), &[&value(n)]));
    assert_eq!(appended.base_offset, n);
}

/// Forty large batches of a producer with a mark in the middle when `marked`, all before the recovery point but the last five.
fn filled(marked: bool) -> Rig {
    let rig = Rig::with(config());
    for n in 0..20 {
        append(&rig, n);
    }
    if marked {
        rig.manager().make_marks();
    }
    for n in 20..35 {
        append(&rig, n);
    }
    rig.manager().write_checkpoints().unwrap();
    for n in 35..40 {
        append(&rig, n);
    }
    rig
}

fn snapshots(rig: &Rig) -> Vec<String> {
    let mut names = rig.files();
    names.retain(|name| name.ends_with(".snapshot"));
    names
}

/// Everything is there, and the producer's last batches are known.
fn check(rig: &Rig, end: i64) {
    let expected: Vec<_> = (0..end).map(|n| (n, value(n))).collect();
    assert!(rig.consume(0) == expected, "records differ");
    for n in end - 3..end {
        append(rig, n);
    }
    append(rig, end);
}

#[test]
fn what_is_in_front_of_a_mark_is_not_read() {
    let reads = [false, true].map(|marked| {
        let mut rig = filled(marked);
        assert_eq!(snapshots(&rig).len(), usize::from(marked));
        rig.kill();
        let before = rig.faults.reads();
        rig.open();
        let reads = rig.faults.reads() - before;
        check(&rig, 40);
        reads
    });
    assert!(
        reads[1] + 20 < reads[0],
        "reads without and with a mark: {reads:?}"
    );
}

#[test]
fn files_are_the_same_as_without_a_mark() {
    let content = [false, true].map(|marked| {
        let mut rig = filled(marked);
        rig.crash();
        append(&rig, 40);
        rig.close();
        names(&rig.path())
            .into_iter()
            .map(|name| (fs::read(rig.file(&name)).unwrap(), name))
            .collect::<Vec<_>>()
    });
    let names = |which: usize| content[which].iter().map(|(_, name)| name).collect::<Vec<_>>();
    let marked: Vec<_> = content[1]
        .iter()
        .filter(|(_, name)| *name != format!("{:020}.snapshot", 20))
        .collect();
    assert!(
        marked.into_iter().eq(&content[0]),
        "{:?} and {:?}",
        names(0),
        names(1)
    );
}

/// The tail is cut anywhere behind the recovery point: what is in front of it stays.
#[test]
fn a_torn_tail_behind_a_mark_is_cut() {
    let whole = filled(true);
    let length = fs::metadata(whole.file(FIRST)).unwrap().len();
    drop(whole);
    for cut in [
        1,
        61,
        62,
        BYTES as u64,
        BYTES as u64 + 100,
        2 * BYTES as u64 + 500,
    ] {
        let mut rig = filled(true);
        rig.kill();
        let file = fs::OpenOptions::new().write(true).open(rig.file(FIRST)).unwrap();
        file.set_len(length - cut).unwrap();
        rig.open();
        let lost = i64::try_from(cut.div_ceil(BYTES as u64 + 64)).unwrap();
        assert_eq!(rig.log().log_end_offset(), 40 - lost, "{cut} bytes");
        check(&rig, 40 - lost);
    }
}

/// A mark whose index or snapshot does not fit is no reason to lose or to invent anything.
#[test]
fn damage_makes_a_mark_useless_only() {
    for damage in 0..6 {
        let mut rig = filled(true);
        rig.kill();
        let index = rig.file(INDEX);
        let mut content = fs::read(&index).unwrap();
        match damage {
            0 => content.truncate(0),
            1 => content.truncate(11),
            2 => content[19] ^= 1,
            3 => content[12] ^= 0x80,
            4 => content.extend([0; 4096]),
            _ => {
                let snapshot = rig.file(&format!("{:020}.snapshot", 20));
                let mut content = fs::read(&snapshot).unwrap();
                content[15] ^= 1;
                fs::write(snapshot, content).unwrap();
            }
        }
        fs::write(&index, content).unwrap();
        rig.open();
        check(&rig, 40);
        rig.restart();
        assert_eq!(rig.log().log_end_offset(), 41, "damage {damage}");
    }
}

#[test]
fn old_marks_go() {
    let mut rig = Rig::with(config());
    for n in 0..100 {
        append(&rig, n);
        if n % 20 == 19 {
            rig.manager().make_marks();
        }
    }
    let name = |offset| format!("{offset:020}.snapshot");
    assert_eq!(snapshots(&rig), [name(80), name(100)]);
    rig.manager().make_marks();
    assert_eq!(snapshots(&rig), [name(80), name(100)], "nothing new, no new mark");
    rig.crash();
    assert_eq!(snapshots(&rig), [name(100)]);
    check(&rig, 100);
}

#[test]
fn a_mark_that_cannot_be_synced_takes_the_directory_offline() {
    let rig = Rig::with(config());
    for n in 0..20 {
        append(&rig, n);
    }
    rig.faults.fail_sync(true);
    rig.manager().make_marks();
    let refused = rig.refuse(batch(&["x"])).to_string();
    assert!(
        refused.contains("sync of") && refused.contains("index failed"),
        "{refused}"
    );
}
