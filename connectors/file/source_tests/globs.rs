//! Many files by patterns, in shares.

use std::collections::BTreeSet;

use jackfield_api::{Config, Connector};

use super::fixture::{Fixture, LIMITS, LONG_MS};
use crate::FileStreamSource;

#[test]
fn each_matching_file_is_a_source_partition() {
    let mut fixture = Fixture::glob("*.log,sub/**/*.txt");
    std::fs::create_dir_all(fixture.path("sub/deep")).unwrap();
    fixture
        .append_to("a.log", "a1\n")
        .append_to("b.log", "b1\nb2\n")
        .append_to("c.txt", "nobody's\n");
    fixture.append_to("sub/deep/d.txt", "d1\n");
    fixture = fixture.start();
    fixture.expect_by_file(&[
        ("a.log", &["a1"]),
        ("b.log", &["b1", "b2"]),
        ("sub/deep/d.txt", &["d1"]),
    ]);
    fixture.append_to("a.log", "a2\n").append_to("new.log", "n1\n");
    fixture.expect_by_file(&[("a.log", &["a2"]), ("new.log", &["n1"])]);
    fixture.restart();
    fixture.append_to("b.log", "b3\n").append_to("newer.log", "m1\n");
    fixture.expect_by_file(&[("b.log", &["b3"]), ("newer.log", &["m1"])]);
}

#[test]
fn rotated_files_that_match_too_are_read_once() {
    let mut fixture = Fixture::glob("*");
    fixture
        .append_to("a.log.1", "a1\n")
        .append_to("a.log", "a2\n")
        .gzip("a.log.2.gz", "a0\n");
    fixture.written_in_order(&["a.log.2.gz", "a.log.1", "a.log"]);
    fixture = fixture.start();
    fixture.expect_by_file(&[("a.log", &["a0", "a1", "a2"])]);
    for restart in [false, true] {
        if restart {
            fixture.stop();
        }
        fixture
            .append_to("a.log", "a3\n")
            .rename("a.log.1", "a.log.2")
            .rename("a.log", "a.log.1");
        if restart {
            fixture.try_start().unwrap();
        }
        fixture.expect_by_file(&[("a.log", &["a3"])]);
        fixture.append_to("a.log", "a4\n");
        fixture.expect_by_file(&[("a.log", &["a4"])]);
    }
    fixture.restart();
    fixture.expect_by_file(&[]);
}

#[test]
fn a_file_that_moves_to_another_matching_name_is_read_once() {
    let mut fixture = Fixture::glob("*.log").start();
    fixture.append_to("app.log", "one\n");
    fixture.expect_by_file(&[("app.log", &["one"])]);
    fixture
        .append_to("app.log", "two\n")
        .rename("app.log", "saved.log")
        .append_to("app.log", "three\n");
    fixture.expect_by_file(&[("app.log", &["two", "three"])]);
}

#[test]
fn compressed_files_are_read_to_their_end() {
    let mut fixture = Fixture::glob("*.gz");
    fixture
        .gzip("one.gz", "a\nb\n")
        .gzip("one.gz", "c\nlast")
        .append_to("empty.gz", "");
    fixture = fixture.start();
    fixture.expect_by_file(&[("one.gz", &["a", "b", "c", "last"])]);
    fixture.restart();
    // One more member, and a file that is written in two pieces.
    let bytes = super::fixture::gzip("x\ny\n".repeat(1_000));
    fixture
        .gzip("one.gz", "\nd\n")
        .append_to("two.gz", &bytes[..bytes.len() / 2]);
    let mut found = Vec::new();
    for piece in [&bytes[..0], &bytes[bytes.len() / 2..]] {
        fixture.append_to("two.gz", piece);
        for (text, _) in fixture.drain().0 {
            found.push(text);
        }
    }
    assert_eq!(found.iter().filter(|text| *text == "x").count(), 1_000);
    assert_eq!(found.iter().filter(|text| *text == "y").count(), 1_000);
    assert_eq!(found.iter().filter(|text| *text == "d").count(), 1);
    assert_eq!(found.len(), 2_001);
}

#[test]
fn a_compressed_file_that_was_empty_when_it_was_found_is_known_again() {
    let mut fixture = Fixture::glob("*.gz");
    fixture.append_to("x.gz", "");
    fixture = fixture.start();
    fixture.expect_by_file(&[]);
    fixture.gzip("x.gz", "a\nb\n");
    fixture.expect_by_file(&[("x.gz", &["a", "b"])]);
    fixture.restart();
    fixture.expect_by_file(&[]);
    assert_eq!(fixture.warnings("is not found again"), 0);
}

#[test]
fn a_file_that_cannot_be_read_does_not_keep_others_from_being_read() {
    let mut fixture = Fixture::glob("*");
    let whole = super::fixture::gzip("x\n");
    let mut damaged = whole.clone();
    // The checksum: what is before can be read.
    damaged[whole.len() - 8] ^= 1;
    fixture
        .append_to("bad.gz", "no gzip at all, but long enough")
        .append_to("damaged.gz", damaged)
        .append_to("good.log", "good\n");
    fixture = fixture.start();
    fixture.expect_by_file(&[("damaged.gz", &["x"]), ("good.log", &["good"])]);
    assert_eq!(fixture.warnings("bad.gz at byte 0: invalid gzip header"), 1);
    assert_eq!(
        fixture.warnings("damaged.gz at byte 2"),
        1,
        "{:?}",
        fixture.host.lines()
    );
    assert_eq!(fixture.warnings("or exclude it from glob"), 2);
    let lag = fixture.host.lag().unwrap();
    assert!(lag.bytes > 30 && lag.files == 2, "{lag:?}");
    // Both are repaired.
    fixture
        .overwrite("bad.gz", super::fixture::gzip("repaired\n"))
        .overwrite("damaged.gz", [&whole[..], &super::fixture::gzip("y\n")].concat());
    fixture.expect_by_file(&[("bad.gz", &["repaired"]), ("damaged.gz", &["y"])]);
    assert_eq!(fixture.host.lag().unwrap().bytes, 0);
}

#[test]
fn what_follows_compressed_data_and_is_none_is_passed_over() {
    let mut fixture = Fixture::glob("*.gz");
    fixture
        .gzip("a.gz", "one\n")
        .gzip("a.gz", "two\n")
        .append_to("a.gz", "not compressed");
    fixture = fixture.start();
    fixture.expect_by_file(&[("a.gz", &["one", "two"])]);
    assert_eq!(fixture.warnings("behind its compressed data"), 1);
}

#[test]
fn a_damaged_compressed_file_is_a_clear_error() {
    let mut fixture = Fixture::new();
    let file = fixture.path("bad.gz").to_str().unwrap().to_owned();
    fixture = fixture.with("file", &file);
    fixture.append_to("bad.gz", "no gzip at all, but long enough");
    fixture = fixture.start();
    let error = fixture.error();
    assert!(
        error.message.contains("bad.gz at byte 0: invalid gzip header"),
        "{error}"
    );
}

#[test]
fn tasks_share_all_files() {
    let mut seen = BTreeSet::new();
    let fixture = Fixture::glob("*");
    for number in 0..40 {
        fixture.append_to(&format!("f{number}.log"), format!("{number}\n"));
    }
    let config = Config::resolve(&FileStreamSource::config_def(), fixture.settings.clone()).unwrap();
    let tasks = FileStreamSource::task_configs(&config, 3).unwrap();
    assert_eq!(tasks.len(), 3);
    let mut fixture = fixture;
    for task in tasks {
        fixture.settings = task;
        fixture.try_start().unwrap();
        let (found, _) = fixture.drain();
        assert!(found.len() > 3, "{} files", found.len());
        for (text, _) in found {
            assert!(seen.insert(text), "read by two tasks");
        }
    }
    assert_eq!(seen.len(), 40);
}

#[test]
fn files_are_read_fairly() {
    let mut fixture = Fixture::glob("*").with("batch.size", "100");
    fixture
        .append_to("big", "x\n".repeat(1_000_000))
        .append_to("small", "y\n");
    fixture = fixture.start();
    let mut polls = 0;
    loop {
        polls += 1;
        let (_, records) = fixture.poll_with(LIMITS).unwrap();
        if records.iter().any(|(text, _)| text == "y") {
            break;
        }
        assert!(polls < 3, "the small file waits for the big one");
    }
}

#[test]
fn more_files_than_may_be_open_are_all_followed() {
    let mut fixture = Fixture::glob("*");
    for number in 0..600 {
        fixture.append_to(&format!("f{number:03}"), format!("{number}\n"));
    }
    fixture = fixture.start();
    assert_eq!(fixture.everything().len(), 600);
    assert!(fixture.open_files() <= 256, "{} files open", fixture.open_files());
    for number in 0..600 {
        let name = format!("f{number:03}");
        fixture.append_to(&name, "more\n");
        if number % 2 == 0 {
            fixture
                .rename(&name, &format!("{name}.1"))
                .append_to(&name, "new\n");
        }
    }
    let found = fixture.everything();
    assert_eq!(found.iter().filter(|(text, _)| text == "more").count(), 600);
    assert_eq!(found.iter().filter(|(text, _)| text == "new").count(), 300);
    assert_eq!(found.len(), 900);
    assert!(fixture.open_files() <= 256, "{} files open", fixture.open_files());
}

#[test]
fn files_that_go_are_closed_and_forgotten() {
    let mut fixture = Fixture::glob("*.log").start();
    fixture.append_to("a.log", "a\nhalf").append_to("b.log", "b\n");
    std::fs::create_dir(fixture.path("done")).unwrap();
    fixture.everything();
    fixture.remove("a.log").rename("b.log", "done/b.log");
    fixture.everything();
    let source = fixture.source.as_ref().unwrap();
    assert!(source.streams.is_empty() && source.followed_names() == 0);
    fixture.append_to("a.log", "again, with its own inode and head\n");
    fixture.expect_by_file(&[("a.log", &["again, with its own inode and head"])]);
}

#[test]
fn a_new_file_with_the_inode_and_content_of_a_deleted_one_is_read() {
    let mut fixture = Fixture::glob("*.flag").start();
    for name in ["1.flag", "2.flag", "3.flag", "1.flag"] {
        fixture.append_to(name, "done\n");
        fixture.expect_by_file(&[(name, &["done"])]);
        fixture.remove(name).next_tick();
        fixture.expect_by_file(&[]);
    }
}

#[test]
fn a_file_that_comes_back_is_read_on() {
    let mut fixture = Fixture::glob("*.log").start();
    std::fs::create_dir(fixture.path("kept")).unwrap();
    fixture.append_to("a.log", "one\n");
    fixture.expect_by_file(&[("a.log", &["one"])]);
    for (name, line) in [("a.log", "two"), ("b.log", "three")] {
        fixture.rename("a.log", "kept/a.log");
        fixture.expect_by_file(&[]);
        fixture.rename("kept/a.log", name);
        fixture.expect_by_file(&[]);
        fixture.append_to(name, format!("{line}\n"));
        fixture.expect_by_file(&[(name, &[line])]);
    }
}

#[test]
fn an_ended_file_takes_no_others_turn() {
    let mut fixture = Fixture::glob("*.log").start();
    fixture.append_to("a.log", "a\n").append_to("b.log", "b\n");
    fixture.expect_by_file(&[("a.log", &["a"]), ("b.log", &["b"])]);
    fixture.remove("a.log");
    fixture.drain();
    fixture.append_to("b.log", "b2\n");
    fixture.wait(LONG_MS);
    // The file that has ended comes first.
    fixture.source.as_mut().unwrap().turn = 0;
    assert_eq!(fixture.poll_with(LIMITS).unwrap().1, [("b2".to_owned(), 5)]);
}

#[test]
fn directories_are_watched() {
    let mut fixture = Fixture::glob("*.log");
    fixture.host.set_watches(true);
    fixture = fixture.start();
    let directory = fixture.directory.path().to_str().unwrap().to_owned();
    assert_eq!(fixture.host.watched(), [directory]);
    assert_eq!(fixture.drain().1, Some(10_000), "and looked at now and then");
    fixture.append_to("a.log", "a\n");
    fixture.expect_by_file(&[("a.log", &["a"])]);
    assert_eq!(fixture.host.watched().len(), 1, "its directory is watched");
    fixture.append_to("b", "b\n");
    let (link, target) = (fixture.path("link.log"), fixture.path("b"));
    std::os::unix::fs::symlink(target, &link).unwrap();
    fixture.expect_by_file(&[("link.log", &["b"])]);
    assert_eq!(fixture.host.watched()[1..], [link.to_str().unwrap().to_owned()]);
    let mut missing = Fixture::glob("nothing/*.log").start();
    assert_eq!(missing.drain().1, Some(1_000), "what is not there is looked for");
    assert_eq!(missing.warnings("no directory of glob is there"), 1);
    missing.host.set_watches(true);
    std::fs::create_dir(missing.path("nothing")).unwrap();
    assert_eq!(missing.drain().1, Some(10_000), "until it is there");
    fixture = Fixture::glob("*.log").start();
    assert_eq!(fixture.warnings("no file matches glob"), 1);
}

#[test]
fn with_start_at_the_end_only_what_is_new_is_read() {
    let mut fixture = Fixture::glob("*.log")
        .with("file.start", "end")
        .with("line.idle.timeout.ms", "0");
    fixture
        .append_to("a.log", "old\nhal")
        .append_to("quiet.log", "old\n");
    fixture = fixture.start();
    fixture.expect_by_file(&[]);
    fixture.append_to("a.log", "f\n").append_to("b.log", "new file\n");
    fixture.expect_by_file(&[("a.log", &["half"]), ("b.log", &["new file"])]);
    fixture.stop();
    fixture.written_in_order(&["quiet.log"]);
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    fixture.append_to("c.log", "came while stopped\n");
    let file = std::fs::File::options()
        .append(true)
        .open(fixture.path("c.log"))
        .unwrap();
    file.set_modified(later).unwrap();
    fixture.try_start().unwrap();
    fixture.expect_by_file(&[("c.log", &["came while stopped"])]);
}
