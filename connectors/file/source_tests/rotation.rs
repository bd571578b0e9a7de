//! Files that are renamed, deleted and created while they are followed.

use std::io::Write;

use super::fixture::{Fixture, LONG_MS};

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\ntwo\n");
    fixture.expect(&[("one", 4), ("two", 8)]);
    fixture
        .append("three\n")
        .rename("in.txt", "in.txt.1")
        .append("first\n");
    fixture.expect(&[("three", 14)]);
    // The writer still has the old file.
    fixture.wait(4_000);
    fixture.append_to("in.txt.1", "late\n");
    fixture.expect(&[("late", 19)]);
    fixture.wait(4_000);
    assert_eq!(fixture.expect(&[]), Some(1_000), "it was written 4 seconds ago");
    fixture.wait(1_000);
    fixture.expect(&[("first", 6)]);
    fixture.append("second\n");
    fixture.expect(&[("second", 13)]);
}

#[test]
fn the_wait_for_late_lines_is_told_to_a_host_that_watches() {
    let mut fixture = Fixture::new().with("file.rotate.wait.ms", "700");
    fixture.host.set_watches(true);
    fixture = fixture.start();
    fixture.append("one\n");
    assert_eq!(fixture.expect(&[("one", 4)]), None);
    fixture.rename("in.txt", "in.txt.1").append("new\n");
    // The times of the files say nothing.
    fixture
        .written_in_order(&["in.txt.1"])
        .written_in_order(&["in.txt"]);
    assert_eq!(fixture.expect(&[]), Some(701));
    fixture.wait(700);
    assert_eq!(fixture.expect(&[("new", 4)]), None);
}

#[test]
fn a_file_that_was_quiet_before_its_rotation_is_waited_for_as_well() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n").written_in_order(&["in.txt"]);
    fixture.expect(&[("one", 4)]);
    fixture.rename("in.txt", "in.txt.1").append("");
    fixture.expect(&[]);
    // The writer opens its file anew only some time after the rename.
    fixture.wait(4_000);
    fixture.append_to("in.txt.1", "late\n");
    fixture.expect(&[("late", 9)]);
    fixture.append("new\n");
    fixture.expect_everything(&["new"]);
}

#[test]
fn files_that_were_rotated_meanwhile_are_not_waited_for_one_after_the_other() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture.rename("in.txt", "in.txt.1").append("two\n");
    fixture.expect(&[]);
    fixture
        .rename("in.txt.1", "in.txt.2")
        .rename("in.txt", "in.txt.1")
        .append("three\n");
    fixture.expect(&[]);
    fixture
        .rename("in.txt.2", "in.txt.3")
        .rename("in.txt.1", "in.txt.2")
        .rename("in.txt", "in.txt.1")
        .append("four\n");
    fixture.expect(&[]);
    // The third file is written to after the fourth was there: it alone has its own wait.
    fixture.next_tick().append_to("in.txt.1", "late\n");
    fixture.wait(5_000);
    fixture.expect(&[("two", 4), ("three", 6), ("late", 11)]);
    assert_eq!(fixture.expect(&[]), Some(1_000));
    fixture.wait(5_000);
    fixture.expect(&[("four", 5)]);
}

#[test]
fn a_rotation_that_was_over_long_ago_is_not_waited_for() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture.stop();
    fixture.rename("in.txt", "in.txt.1").append("new\n");
    let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    let file = std::fs::File::options().append(true).open(fixture.path("in.txt"));
    file.unwrap().set_modified(later).unwrap();
    fixture.try_start().unwrap();
    fixture.expect(&[("new", 4)]);
}

#[test]
fn a_file_is_new_each_time_it_is_created_whatever_its_inode_and_content() {
    let mut fixture = Fixture::new().start();
    for _ in 0..4 {
        fixture.append("up\n");
        fixture.expect_everything(&["up"]);
        fixture.remove("in.txt").next_tick();
    }
}

#[test]
fn a_file_that_gets_its_name_back_goes_on_where_it_was_left() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture.rename("in.txt", "in.txt.bak").append("between\n");
    fixture.expect_everything(&["between"]);
    fixture.rename("in.txt.bak", "in.txt");
    fixture.expect_everything(&[]);
    fixture.append("two\n");
    fixture.expect_everything(&["two"]);
}

#[test]
fn without_a_new_file_the_renamed_one_is_followed_on() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture.rename("in.txt", "in.txt.1");
    fixture.wait(3_600_000);
    fixture.expect(&[]);
    fixture.append_to("in.txt.1", "two\n");
    fixture.expect(&[("two", 8)]);
    fixture.append("new\n");
    fixture.expect_everything(&["new"]);
}

#[test]
fn several_rotations_between_two_looks_lose_nothing() {
    let mut fixture = Fixture::new();
    // Read never: they were there before.
    fixture
        .append_to("in.txt.1", "old 1\n")
        .append_to("in.txt.2", "old 2\n");
    fixture.written_in_order(&["in.txt.2", "in.txt.1"]);
    fixture.append("a1\n");
    fixture = fixture.start();
    fixture.expect(&[("a1", 3)]);
    fixture.append("a2\n");
    for name in ["b", "c", "d"] {
        for number in (1..=5).rev() {
            if fixture.path(&format!("in.txt.{number}")).exists() {
                fixture.rename(&format!("in.txt.{number}"), &format!("in.txt.{}", number + 1));
            }
        }
        fixture.rename("in.txt", "in.txt.1");
        fixture.append(format!("{name}1\n{name}2\n"));
    }
    fixture.expect_everything(&["a2", "b1", "b2", "c1", "c2", "d1", "d2"]);
}

#[test]
fn dated_names_and_patterns_of_rotation_are_known() {
    for (rotated, glob) in [
        (["in.txt-20261120", "in.txt-20261121"], None),
        (["in-2026-11-20.txt", "in-2026-11-21.txt"], None),
        (["old-a", "old-b"], Some("old-*")),
    ] {
        let mut fixture = Fixture::new();
        if let Some(glob) = glob {
            fixture = fixture.with("file.rotated.glob", glob);
        }
        fixture = fixture.start();
        fixture.append("a\n");
        fixture.expect(&[("a", 2)]);
        fixture.rename("in.txt", rotated[0]).append("b\n");
        fixture.rename("in.txt", rotated[1]).append("c\n");
        fixture
            .append_to("unrelated.txt", "nobody's\n")
            .append_to("in.txt.swp", "nobody's\n");
        fixture.expect_everything(&["b", "c"]);
    }
}

#[test]
fn deleted_files_are_read_as_long_as_they_are_open() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    let mut writer = std::fs::OpenOptions::new()
        .append(true)
        .open(fixture.path("in.txt"))
        .unwrap();
    writer.write_all(b"two\n").unwrap();
    fixture.remove("in.txt");
    fixture.expect(&[("two", 8)]);
    fixture.wait(3_600_000);
    writer.write_all(b"three\n").unwrap();
    fixture.expect(&[("three", 14)]);
    fixture.append("new\n");
    writer.write_all(b"four\n").unwrap();
    fixture.expect(&[("four", 19)]);
    // Each next file is opened before it is deleted in turn.
    for name in ["x", "y", "z"] {
        fixture.remove("in.txt").append(format!("{name}\n"));
        fixture.expect(&[]);
    }
    fixture.expect_everything(&["new", "x", "y", "z"]);
}

#[test]
fn a_rotated_file_that_is_deleted_before_it_was_read_is_read() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture
        .append("two\n")
        .rename("in.txt", "in.txt.1")
        .append("new\n");
    fixture.remove("in.txt.1");
    fixture.expect_everything(&["two", "new"]);
}

#[test]
fn half_a_line_is_never_joined_with_the_next_file() {
    for idle in ["0", "5000"] {
        let mut fixture = Fixture::new().with("line.idle.timeout.ms", idle).start();
        fixture.append("one\nhal");
        fixture.expect(&[("one", 4)]);
        fixture.rename("in.txt", "in.txt.1").append("f\nnext\n");
        fixture.wait(4_000);
        fixture.append_to("in.txt.1", "ves");
        fixture.expect(&[]);
        fixture.wait(LONG_MS);
        fixture.expect(&[("halves", 10), ("f", 2), ("next", 7)]);
    }
}

#[test]
fn a_line_cut_in_a_character_is_an_error_of_the_old_file_only() {
    let mut fixture = Fixture::new().start();
    fixture.append(&"x€".as_bytes()[..3]);
    fixture.expect(&[]);
    fixture.rename("in.txt", "in.txt.1").append("next\n");
    fixture.expect(&[]);
    fixture.wait(LONG_MS);
    let error = fixture.error();
    assert!(error.message.contains("line at byte 0 of"), "{error}");
    fixture.expect(&[("next", 5)]);
}

#[test]
fn files_with_one_header_are_told_apart() {
    let header = "date,level,message\n";
    let mut fixture = Fixture::new().start();
    fixture.append(header);
    fixture.expect_everything(&[header.trim_end()]);
    fixture.append("1,a\n");
    fixture.expect_everything(&["1,a"]);
    fixture.rename("in.txt", "in.txt.1").append(header);
    fixture
        .rename("in.txt.1", "in.txt.2")
        .rename("in.txt", "in.txt.1")
        .append(header)
        .append("3,c\n");
    fixture.expect_everything(&[header.trim_end(), header.trim_end(), "3,c"]);
}

#[test]
fn empty_files_are_passed_over() {
    let mut fixture = Fixture::new().start();
    fixture.append("");
    fixture.expect(&[]);
    fixture.rename("in.txt", "in.txt.1").append("");
    fixture
        .rename("in.txt.1", "in.txt.2")
        .rename("in.txt", "in.txt.1")
        .append("x\n");
    fixture.expect_everything(&["x"]);
}

#[test]
fn a_file_that_is_compressed_after_it_was_read_is_not_read_again() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\ntwo\n");
    fixture.expect(&[("one", 4), ("two", 8)]);
    fixture.rename("in.txt", "in.txt.1").append("new\n");
    fixture.expect(&[]);
    // Compressed while the wait for late lines goes on, and later again, with the time of the compression.
    fixture.gzip("in.txt.1.gz", "one\ntwo\n").remove("in.txt.1");
    fixture.expect_everything(&["new"]);
    fixture
        .rename("in.txt.1.gz", "in.txt.2.gz")
        .rename("in.txt", "in.txt.1")
        .append("newer\n");
    fixture.expect_everything(&["newer"]);
    fixture.gzip("in.txt.1.gz", "new\n").remove("in.txt.1");
    fixture
        .rename("in.txt.2.gz", "in.txt.3.gz")
        .rename("in.txt.1.gz", "in.txt.2.gz");
    fixture.rename("in.txt", "in.txt.1").append("newest\n");
    fixture.expect_everything(&["newest"]);
}

#[test]
fn more_rotated_files_than_are_held_open_are_all_read() {
    let mut fixture = Fixture::new().start();
    fixture.append("0\n");
    fixture.expect(&[("0", 2)]);
    let mut expected = Vec::new();
    for number in 1..100 {
        fixture.rename("in.txt", &format!("in.txt-202611{number:04}"));
        fixture.append(format!("{number}\n"));
        expected.push(number.to_string());
    }
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    fixture.expect_everything(&expected);
}

#[test]
fn a_link_to_the_current_file_is_followed() {
    let mut fixture = Fixture::new().start();
    fixture.append_to("in.txt.20261120", "a\n");
    let link = |to: &str| std::os::unix::fs::symlink(fixture.path(to), fixture.path("in.txt")).unwrap();
    link("in.txt.20261120");
    fixture.expect(&[("a", 2)]);
    fixture.remove("in.txt").append_to("in.txt.20261121", "b\n");
    let link = |to: &str| std::os::unix::fs::symlink(fixture.path(to), fixture.path("in.txt")).unwrap();
    link("in.txt.20261121");
    fixture.append_to("in.txt.20261120", "late\n");
    fixture.expect_everything(&["late", "b"]);
}

#[test]
fn lag_is_what_is_not_delivered() {
    let mut fixture = Fixture::new().start();
    let lag = |fixture: &Fixture| fixture.host.lag().map(|lag| (lag.bytes, lag.files));
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    assert_eq!(lag(&fixture), Some((0, 0)));
    fixture.append("half");
    fixture.expect(&[]);
    assert_eq!(lag(&fixture), Some((4, 1)));
    fixture.rename("in.txt", "in.txt.1").append("123456789\n");
    fixture.expect(&[]);
    assert_eq!(
        lag(&fixture),
        Some((14, 2)),
        "two files, one of them waits for the other's end"
    );
    fixture.everything();
    assert_eq!(lag(&fixture), Some((0, 0)));
}
