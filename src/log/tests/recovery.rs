//! What is left after a crash: everything acknowledged, nothing torn, and what is good behind damage.

use std::{fs, path::Path};

use super::rig::{FIRST, Rig, TOPIC, batch, batch_at, config, copy, from_producer, names, reset, wait};
use crate::{AppendOrigin, ReadError};

fn flip(path: &Path, at: usize) {
    let mut content = fs::read(path).unwrap();
    content[at] ^= 0x55;
    fs::write(path, content).unwrap();
}

fn value(n: i64) -> String {
    format!("value {n}")
}

/// Ten batches of 1, 2, 3, 1, 2, … records. Returns `(first byte, base offset)` of each, and of the end.
fn ten_batches(rig: &Rig) -> Vec<(u64, i64)> {
    let mut places = Vec::new();
    let mut next = 0;
    for n in 0..10 {
        places.push((rig.log().size_bytes(), next));
        let count = n % 3 + 1;
        let values: Vec<_> = (next..next + count).map(value).collect();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        assert_eq!(rig.append(batch(&values)).base_offset, next);
        next += count;
    }
    places.push((rig.log().size_bytes(), next));
    places
}

/// The last three batches cut at every byte: exactly the complete batches survive, and the log goes on behind them.
#[test]
fn a_torn_tail_is_cut_at_the_last_complete_batch() {
    let mut rig = Rig::new();
    let places = ten_batches(&rig);
    rig.kill();
    let saved = super::rig::scratch();
    copy(rig.dir.path(), saved.path());
    // As when no checkpoint was written since the start.
    for dir in rig.log_dirs() {
        let _ = fs::remove_file(
            saved
                .path()
                .join(dir.file_name().unwrap())
                .join("recovery-point-offset-checkpoint"),
        );
    }
    for length in places[7].0..=places[10].0 {
        reset(&rig, saved.path());
        shorten(&rig, length);
        rig.open();
        let (size, next) = *places.iter().rfind(|(byte, _)| *byte <= length).unwrap();
        assert_eq!(rig.log().log_end_offset(), next, "cut at {length}");
        assert_eq!(rig.log().high_watermark(), next);
        assert_eq!(fs::metadata(rig.file(FIRST)).unwrap().len(), size);
        let expected: Vec<_> = (0..next).map(|n| (n, value(n))).collect();
        assert_eq!(rig.consume(0), expected, "cut at {length}");
        if length % 16 == 0 {
            assert_eq!(rig.append(batch(&["behind"])).base_offset, next);
            assert_eq!(rig.consume(next), [(next, "behind".to_owned())]);
        }
        rig.kill();
    }
}

fn shorten(rig: &Rig, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(rig.file(FIRST)).unwrap();
    file.set_len(length).unwrap();
}

/// The same after an orderly shutdown: all of it was acknowledged. Its offsets are not given out again, who asks for what is
/// lost hears of it, and nothing is cut.
#[test]
fn acknowledged_records_that_are_gone_are_missed() {
    let mut rig = Rig::new();
    let places = ten_batches(&rig);
    let end = places[10].1;
    rig.close();
    let saved = super::rig::scratch();
    copy(rig.dir.path(), saved.path());
    for length in places[7].0..places[10].0 {
        reset(&rig, saved.path());
        shorten(&rig, length);
        let (size, next) = *places.iter().rfind(|(byte, _)| *byte <= length).unwrap();
        for appended in 0..2 {
            rig.open();
            assert_eq!(rig.log().log_end_offset(), end + appended, "cut at {length}");
            let before = rig.log().read(0, 1 << 20, true).unwrap().slice.unwrap();
            assert_eq!(before.len as u64, size);
            for offset in next..end {
                let error = rig.log().read(offset, 1 << 20, true).unwrap_err().to_string();
                let expected = format!(
                    "offsets {next} to {} cannot be read; the next good offset is {end}",
                    end - 1
                );
                assert!(error.contains(&expected) && error.contains(FIRST), "{error}");
            }
            assert_eq!(rig.append(batch(&["behind"])).base_offset, end + appended);
            assert_eq!(rig.consume(end)[0], (end, "behind".to_owned()));
            rig.close();
        }
        assert_eq!(fs::metadata(rig.file(FIRST)).unwrap().len(), length);
    }
}

/// Bytes that never belonged to a batch (a file extended but not written) are a torn tail, too.
#[test]
fn a_tail_of_zeros_is_cut() {
    let mut rig = Rig::new();
    let end = ten_batches(&rig)[10];
    rig.kill();
    let file = fs::OpenOptions::new().write(true).open(rig.file(FIRST)).unwrap();
    file.set_len(end.0 + 5_000).unwrap();
    rig.open();
    assert_eq!(
        (rig.log().log_end_offset(), rig.log().size_bytes()),
        (end.1, end.0)
    );
}

/// A bad batch in front of good ones, all of them acknowledged: the good ones stay readable on both sides.
#[test]
fn damage_before_the_recovery_point_loses_only_itself() {
    // In the header, where a walk over headers sees it.
    for closed in [false, true] {
        let mut config = config();
        config.segment_bytes = if closed { 600 } else { 1 << 20 };
        let mut rig = Rig::with(config);
        let places = ten_batches(&rig);
        rig.manager().write_checkpoints().unwrap();
        rig.kill();
        flip(&rig.file(FIRST), usize::try_from(places[3].0).unwrap() + 16);
        if closed {
            fs::remove_file(rig.file("00000000000000000000.index")).unwrap();
        }
        for _ in 0..2 {
            rig.open();
            let (lost, after, end) = (places[3].1, places[4].1, places[10].1);
            assert_eq!(rig.log().log_end_offset(), end, "closed: {closed}");
            let before = rig.log().read(0, 1 << 20, true).unwrap().slice.unwrap();
            assert_eq!(before.len as u64, places[3].0, "up to the damage");
            for offset in lost..after {
                let error = rig.log().read(offset, 1 << 20, true).unwrap_err();
                assert!(matches!(error, ReadError::Damaged(_)), "{offset}: {error}");
            }
            let expected: Vec<_> = (after..end).map(|n| (n, value(n))).collect();
            assert_eq!(rig.consume(after), expected);
            // The next start finds the same, also after an orderly shutdown.
            rig.close();
        }
        rig.open();
        assert_eq!(rig.append(batch(&["behind"])).base_offset, places[10].1);
        rig.crash();
        assert_eq!(rig.consume(places[10].1), [(places[10].1, "behind".to_owned())]);
    }
}

/// Base offsets lie outside the CRC: one that jumped is found by the batches behind it.
#[test]
fn a_wrong_base_offset_loses_only_its_batch() {
    for batch in 1..9 {
        let mut rig = Rig::new();
        let places = ten_batches(&rig);
        rig.manager().write_checkpoints().unwrap();
        rig.kill();
        flip(&rig.file(FIRST), usize::try_from(places[batch].0).unwrap() + 6);
        rig.open();
        let (lost, after, end) = (places[batch].1, places[batch + 1].1, places[10].1);
        assert_eq!(rig.log().log_end_offset(), end);
        assert!(matches!(
            rig.log().read(lost, 100, true),
            Err(ReadError::Damaged(_))
        ));
        let expected: Vec<_> = (after..end).map(|n| (n, value(n))).collect();
        assert_eq!(rig.consume(after), expected);
        let before = rig.log().read(0, 1 << 20, true).unwrap().slice.unwrap();
        assert_eq!(before.len as u64, places[batch].0);
    }
}

/// A bad batch that may never have been acknowledged ends the log; what followed it is kept beside.
#[test]
fn a_hole_behind_the_recovery_point_ends_the_log() {
    let mut rig = Rig::new();
    let places = ten_batches(&rig);
    let whole = fs::read(rig.file(FIRST)).unwrap();
    // As when the checkpoint was never written.
    rig.kill();
    for dir in rig.log_dirs() {
        fs::write(dir.join("recovery-point-offset-checkpoint"), "0\n0\n").unwrap();
    }
    let start = usize::try_from(places[6].0).unwrap();
    flip(&rig.file(FIRST), start + 30);
    rig.open();
    assert_eq!(rig.log().log_end_offset(), places[6].1);
    let expected: Vec<_> = (0..places[6].1).map(|n| (n, value(n))).collect();
    assert_eq!(rig.consume(0), expected);
    let kept = fs::read(rig.file(&format!("{FIRST}.cut-{start}"))).unwrap();
    assert_eq!(kept.len(), whole.len() - start);
    assert_eq!(kept[100..], whole[start + 100..]);
}

/// Power was lost in a commit round with a roll: the new segment is on disk, the end of the one before is not. The log ends
/// there, and what lies behind, which nobody was told of, is not served.
#[test]
fn segments_behind_a_torn_one_are_set_aside() {
    for torn in [true, false] {
        let mut config = config();
        config.segment_bytes = 300;
        let mut rig = Rig::with(config);
        rig.append(batch(&["a"]));
        rig.manager().write_checkpoints().unwrap();
        let mut ends = vec![rig.log().size_bytes()];
        for n in 0..9 {
            rig.append(from_producer(5, 0, n, &["some value"]));
            ends.push(rig.log().size_bytes());
        }
        rig.kill();
        let logs: Vec<_> = rig
            .files()
            .into_iter()
            .filter(|name| name.ends_with(".log"))
            .collect();
        assert!(logs.len() > 2, "{logs:?}");
        let next: usize = logs[1][..20].parse().unwrap();
        // The last batch of the first segment is lost, wholly or in part.
        let length = ends[next - 2] + if torn { 20 } else { 0 };
        let file = fs::OpenOptions::new().write(true).open(rig.file(FIRST)).unwrap();
        file.set_len(length).unwrap();
        let end = i64::try_from(next).unwrap() - 1;
        for _ in 0..2 {
            rig.open();
            assert_eq!(
                (rig.log().log_end_offset(), rig.log().size_bytes()),
                (end, ends[next - 2])
            );
            assert_eq!(rig.consume(0).len(), next - 1);
            rig.kill();
        }
        for log in &logs[1..] {
            assert!(!rig.file(log).exists() && rig.file(&format!("{log}.cut")).exists());
        }
        rig.open();
        let sequence = i32::try_from(end).unwrap() - 1;
        let repeated = rig.append(from_producer(5, 0, sequence, &["some value"]));
        assert_eq!(repeated.base_offset, end, "the producer's repeat is no duplicate");
        for n in sequence + 1..sequence + 5 {
            rig.append(from_producer(5, 0, n, &["some value"]));
        }
        rig.restart();
        assert_eq!(rig.consume(0).len(), next + 4);
    }
}

/// A segment that a failed roll left inside the one before hides nothing.
#[test]
fn an_empty_segment_inside_another_is_removed() {
    for clean in [false, true] {
        let mut rig = Rig::new();
        let places = ten_batches(&rig);
        if clean {
            rig.close();
        } else {
            rig.kill();
        }
        let inside = rig.file(&format!("{:020}.log", places[5].1));
        fs::write(&inside, "").unwrap();
        rig.open();
        assert!(!inside.exists());
        let end = places[10].1;
        assert_eq!(rig.log().log_end_offset(), end);
        assert_eq!(i64::try_from(rig.consume(0).len()).unwrap(), end);
        assert_eq!(rig.append(batch(&["behind"])).base_offset, end);
    }
}

/// Indexes and snapshots rebuilt after a crash are those of an orderly shutdown.
#[test]
fn rebuilt_files_are_the_same() {
    let fill = |rig: &Rig| {
        for n in 0..60 {
            rig.append(batch_at(
                1_000 + n * (n % 7),
                &[&"x".repeat(usize::try_from(n).unwrap() * 3)],
            ));
            rig.append(from_producer(4, 0, i32::try_from(n).unwrap(), &["y"]));
        }
    };
    let mut config = config();
    config.segment_bytes = 4_000;
    config.index_interval_bytes = 300;
    let mut orderly = Rig::with(config.clone());
    fill(&orderly);
    orderly.close();
    let mut crashed = Rig::with(config);
    fill(&crashed);
    crashed.kill();
    for name in crashed.files() {
        if name.ends_with("index") || name.ends_with(".snapshot") {
            fs::remove_file(crashed.file(&name)).unwrap();
        }
    }
    crashed.open();
    crashed.close();
    let mut compared = 0;
    for name in orderly.files() {
        let rebuilt = crashed.file(&name);
        if name.ends_with(".snapshot") && !rebuilt.exists() {
            continue;
        }
        assert_eq!(
            fs::read(orderly.file(&name)).unwrap(),
            fs::read(rebuilt).unwrap(),
            "{name}"
        );
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn an_orderly_restart_changes_nothing() {
    let mut config = config();
    config.segment_bytes = 500;
    let mut rig = Rig::with(config);
    let end = ten_batches(&rig)[10].1;
    rig.close();
    let saved = super::rig::scratch();
    copy(&rig.path(), saved.path());
    rig.open();
    assert_eq!(rig.log().log_end_offset(), end);
    assert!(!rig.path().with_file_name(".kafka_cleanshutdown").exists());
    rig.close();
    assert_eq!(names(saved.path()), rig.files());
    for name in rig.files() {
        assert_eq!(
            fs::read(saved.path().join(&name)).unwrap(),
            fs::read(rig.file(&name)).unwrap(),
            "{name}"
        );
    }
    assert!(rig.path().with_file_name(".kafka_cleanshutdown").exists());
}

#[test]
fn snapshots_of_earlier_shutdowns_go() {
    let mut config = config();
    config.segment_bytes = 500;
    let mut rig = Rig::with(config);
    for round in 0..4 {
        for n in 0..5 {
            rig.append(from_producer(1, 0, round * 5 + n, &["some value of some length"]));
        }
        rig.restart();
    }
    let bases: Vec<_> = rig
        .files()
        .iter()
        .filter_map(|name| name.strip_suffix(".log").map(ToOwned::to_owned))
        .collect();
    let stray: Vec<_> = rig
        .files()
        .into_iter()
        .filter_map(|name| name.strip_suffix(".snapshot").map(ToOwned::to_owned))
        .filter(|snapshot| !bases.contains(snapshot))
        .collect();
    assert_eq!(stray, ["00000000000000000020"], "the one of the last shutdown");
}

#[test]
fn half_created_partitions_are_removed() {
    let mut rig = Rig::new();
    ten_batches(&rig);
    rig.kill();
    let dir = rig.path().with_file_name("half-0");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("partition.metadata"), "").unwrap();
    let empty = rig.path().with_file_name("empty-3");
    fs::create_dir(&empty).unwrap();
    fs::create_dir(rig.path().with_file_name("not a partition")).unwrap();
    rig.open();
    assert!(!dir.exists() && !empty.exists());
    assert_eq!(rig.manager().logs().len(), 1);
}

/// Somebody else's directories are left alone, at a start and by new topics, whatever they are called.
#[test]
fn other_directories_are_left_alone() {
    let mut rig = Rig::new();
    ten_batches(&rig);
    rig.kill();
    let kept = [
        "photos-0/a.jpg",
        "app-1/server.log",
        "to-delete/x",
        "b-1-delete/y",
        "c-2/sub/z",
    ];
    let paths: Vec<_> = rig
        .log_dirs()
        .iter()
        .flat_map(|root| kept.map(|name| root.join(name)))
        .collect();
    for path in &paths {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    let deleted = rig
        .path()
        .with_file_name("t-0.0123456789abcdef0123456789abcdef-delete");
    fs::create_dir(&deleted).unwrap();
    fs::write(deleted.join(FIRST), "old").unwrap();
    rig.open();
    assert!(!deleted.exists());
    let created = rig
        .manager()
        .create("photos", crate::TopicId([3; 16]), 0..2, config());
    let refused = created.unwrap_err().to_string();
    assert!(refused.contains("holds other files"), "{refused}");
    for path in paths {
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine", "{}", path.display());
    }
}

#[test]
fn a_partition_in_two_directories_is_an_error() {
    let mut rig = Rig::new();
    ten_batches(&rig);
    rig.close();
    let other = rig
        .log_dirs()
        .into_iter()
        .map(|dir| dir.join("t-0"))
        .find(|dir| !dir.exists())
        .unwrap();
    copy(&rig.path(), &other);
    let error = rig.try_open().unwrap_err().to_string();
    assert!(error.contains("the same partition is in"), "{error}");
}

#[test]
fn damaged_checkpoints_cost_time_only() {
    let mut rig = Rig::new();
    let end = ten_batches(&rig)[10].1;
    rig.close();
    for dir in rig.log_dirs() {
        for name in ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint"] {
            fs::write(dir.join(name), "0\n5\nrubbish").unwrap();
        }
        fs::remove_file(dir.join(".kafka_cleanshutdown")).unwrap();
    }
    rig.open();
    assert_eq!(rig.log().log_end_offset(), end);
}

#[test]
fn offsets_are_not_given_out_twice_when_the_files_are_gone() {
    let mut rig = Rig::new();
    let end = ten_batches(&rig)[10].1;
    rig.close();
    fs::remove_file(rig.file(FIRST)).unwrap();
    rig.open();
    assert_eq!(rig.log().log_start_offset(), end);
    assert_eq!(rig.append(batch(&["x"])).base_offset, end);
}

#[test]
fn a_directory_is_used_by_one_process() {
    let mut rig = Rig::new();
    let held = std::sync::Arc::clone(rig.manager());
    assert!(matches!(rig.try_open().unwrap_err(), crate::OpenError::Locked(_)));
    held.close();
    rig.open();
}

#[test]
fn topics_survive_a_crash_of_their_creation() {
    let mut rig = Rig::new();
    let log = rig.partition(5);
    let id = log.topic_id();
    drop(log);
    rig.crash();
    let log = rig.manager().get(TOPIC, 5).unwrap();
    assert_eq!(
        (log.topic_id(), log.log_end_offset(), log.leader_epoch()),
        (id, 0, 0)
    );
    let appended = log.append(batch(&["x"]), AppendOrigin::Client).unwrap();
    wait(log.committed(appended.last_offset)).unwrap();
}
