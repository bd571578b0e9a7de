//! Files that are cut while they are followed, with a copy (`copytruncate`) and without.

use super::fixture::{Fixture, LONG_MS};

#[test]
fn what_is_only_in_the_copy_is_read_there() {
    // After the truncation the file is shorter, as long and longer than what was read.
    for after in ["n\n", "1234567\n", "a new line that is longer\n"] {
        let mut fixture = Fixture::new().start();
        fixture.append("one\ntwo\n");
        fixture.expect(&[("one", 4), ("two", 8)]);
        fixture
            .append("three\n")
            .copy("in.txt", "in.txt.1")
            .overwrite("in.txt", after);
        fixture.expect_everything(&["three", after.trim_end()]);
        fixture.append("on\n");
        fixture.expect_everything(&["on"]);
        assert_eq!(
            fixture.warnings(""),
            0,
            "nothing is lost: {:?}",
            fixture.host.lines()
        );
    }
}

#[test]
fn a_line_of_which_half_was_read_is_whole_in_the_copy() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\nhal");
    fixture.expect(&[("one", 4)]);
    fixture
        .append("ves\n")
        .copy("in.txt", "in.txt-20261121")
        .overwrite("in.txt", "");
    fixture.expect(&[("halves", 11)]);
    fixture.append("new\n");
    fixture.expect_everything(&["new"]);
}

#[test]
fn half_a_line_at_the_copys_end_is_a_line() {
    let mut fixture = Fixture::new().with("line.idle.timeout.ms", "0").start();
    fixture.append("one\nhal");
    fixture.expect(&[("one", 4)]);
    fixture.copy("in.txt", "in.txt.1").overwrite("in.txt", "ves\n");
    fixture.expect_everything(&["hal", "ves"]);
}

#[test]
fn several_truncations_between_two_looks_are_read_in_order() {
    let mut fixture = Fixture::new();
    fixture.append("a1\n");
    fixture = fixture.start();
    fixture.expect(&[("a1", 3)]);
    fixture
        .append("a2\n")
        .copy("in.txt", "in.txt.1")
        .overwrite("in.txt", "b1\nb2\nb3\n");
    fixture
        .rename("in.txt.1", "in.txt.2")
        .copy("in.txt", "in.txt.1")
        .overwrite("in.txt", "c1\n");
    fixture.written_in_order(&["in.txt.2", "in.txt.1", "in.txt"]);
    fixture.expect_everything(&["a2", "b1", "b2", "b3", "c1"]);
}

#[test]
fn a_compressed_copy_is_found() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture
        .gzip("in.txt.1.gz", "one\ntwo\n")
        .overwrite("in.txt", "new\n");
    fixture.expect_everything(&["two", "new"]);
}

#[test]
fn without_a_copy_reading_begins_anew_with_a_warning() {
    for after in ["n\n", "a new line that is longer\n"] {
        let mut fixture = Fixture::new().start();
        fixture.append("one\ntwo\nhalf");
        fixture.expect(&[("one", 4), ("two", 8)]);
        // Another file's head.
        fixture
            .append_to("in.txt.1", "something else\n")
            .written_in_order(&["in.txt.1"])
            .overwrite("in.txt", after);
        fixture.expect_everything(&["half", after.trim_end()]);
        assert_eq!(
            fixture.warnings("was truncated or overwritten after byte 12 was read"),
            1
        );
        fixture.append("on\n");
        fixture.expect_everything(&["on"]);
    }
}

#[test]
fn an_emptied_file_is_read_from_its_beginning_when_it_grows() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\n");
    fixture.expect(&[("one", 4)]);
    fixture.overwrite("in.txt", "");
    fixture.expect(&[]);
    fixture.overwrite("in.txt", "");
    fixture.expect(&[]);
    assert_eq!(fixture.warnings("was truncated"), 1, "said once");
    fixture.append("new\n");
    fixture.expect(&[("new", 4)]);
    fixture.wait(LONG_MS);
    fixture.expect(&[]);
}

#[test]
fn a_file_that_is_truncated_and_then_rotated_is_read() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\ntwo\n");
    fixture.expect(&[("one", 4), ("two", 8)]);
    fixture
        .overwrite("in.txt", "cut\n")
        .rename("in.txt", "in.txt.1")
        .append("new\n");
    fixture.expect_everything(&["cut", "new"]);
}

#[test]
fn truncation_is_noticed_while_there_is_much_to_read() {
    let mut fixture = Fixture::new().with("batch.size", "1").start();
    let long = "x".repeat(300_000);
    fixture.append(format!("{long}1\n{long}2\n{long}3\n"));
    let (_, first) = fixture.poll_with(super::fixture::LIMITS).unwrap();
    assert_eq!(first[0].0, format!("{long}1"));
    let copy = fixture.path("in.txt.1");
    std::fs::copy(fixture.path("in.txt"), copy).unwrap();
    fixture.overwrite("in.txt", "y".repeat(2_000_000) + "\n");
    let found = fixture.everything();
    let found: Vec<_> = found
        .iter()
        .map(|(text, _)| (text.len(), &text[text.len() - 1..]))
        .collect();
    assert_eq!(found, [(300_001, "2"), (300_001, "3"), (2_000_000, "y")]);
}
