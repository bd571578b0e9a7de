//! What happened to the file while nobody read it.

use super::fixture::{Fixture, LONG_MS};

/// A source that read `one` and `two` of `in.txt`, which goes on with `three`, and was stopped.
fn stopped() -> Fixture {
    let mut fixture = Fixture::new().start();
    fixture.append("one\ntwo\n");
    fixture.expect(&[("one", 4), ("two", 8)]);
    fixture.append("three\n");
    fixture.stop();
    fixture
}

#[track_caller]
fn resumes_with(fixture: &mut Fixture, expected: &[&str]) {
    fixture.try_start().unwrap();
    fixture.expect_everything(expected);
    // And once more, from what was stored of that.
    fixture.restart();
    fixture.expect_everything(&[]);
    fixture.append("on\n");
    fixture.expect_everything(&["on"]);
}

#[test]
fn the_same_file_goes_on() {
    resumes_with(&mut stopped(), &["three"]);
}

#[test]
fn a_renamed_file_is_finished_first_and_then_the_younger_ones() {
    let mut fixture = stopped();
    fixture.append_to("in.txt.9", "older\n");
    fixture
        .rename("in.txt", "in.txt.3")
        .append_to("in.txt.2", "four\n")
        .append_to("in.txt.1", "five\n");
    fixture.append("six\n");
    fixture.written_in_order(&["in.txt.9", "in.txt.3", "in.txt.2", "in.txt.1", "in.txt"]);
    resumes_with(&mut fixture, &["three", "four", "five", "six"]);
}

#[test]
fn every_stop_in_a_chain_of_rotations_resumes_where_it_was() {
    for stop_after in 1..=6 {
        let mut fixture = Fixture::new().with("batch.size", "1");
        fixture
            .append_to("in.txt.2", "a1\na2\n")
            .append_to("in.txt.1", "b1\nb2\n")
            .append("c1\nc2\n");
        fixture.written_in_order(&["in.txt.2", "in.txt.1", "in.txt"]);
        fixture
            .rename("in.txt", "later")
            .rename("in.txt.1", "soon")
            .rename("in.txt.2", "in.txt");
        fixture = fixture.start();
        let mut found = Vec::new();
        let (_, first) = fixture.poll_with(super::fixture::LIMITS).unwrap();
        found.extend(first);
        fixture
            .rename("in.txt", "in.txt.2")
            .rename("soon", "in.txt.1")
            .rename("later", "in.txt");
        while found.len() < stop_after {
            found.extend(fixture.poll_with(super::fixture::LIMITS).unwrap().1);
            fixture.wait(LONG_MS);
        }
        fixture.restart();
        found.extend(fixture.everything());
        let found: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            found,
            ["a1", "a2", "b1", "b2", "c1", "c2"],
            "stopped after {stop_after}"
        );
    }
}

#[test]
fn a_rotated_file_that_was_written_after_a_younger_one_is_finished_first() {
    let mut fixture = stopped();
    fixture.rename("in.txt", "in.txt.2").next_tick();
    fixture.append_to("in.txt.1", "four\n").append("five\n");
    // Not part of the chain: what has higher numbers is older.
    fixture.append_to("in.txt.3", "older\n");
    fixture.written_in_order(&["in.txt.3", "in.txt.1", "in.txt.2", "in.txt"]);
    resumes_with(&mut fixture, &["three", "four", "five"]);
}

#[test]
fn a_link_into_another_directory_is_followed_to_rotated_files_there() {
    let mut fixture = Fixture::new();
    std::fs::create_dir(fixture.path("pod")).unwrap();
    fixture.append_to("pod/0.log", "one\n");
    std::os::unix::fs::symlink(fixture.path("pod/0.log"), fixture.path("in.txt")).unwrap();
    fixture = fixture.start();
    fixture.expect(&[("one", 4)]);
    for (rotated, line, new) in [("21", "two", "three"), ("22", "four", "five")] {
        fixture.stop();
        fixture
            .append_to("pod/0.log", format!("{line}\n"))
            .rename("pod/0.log", &format!("pod/0.log.202611{rotated}"))
            .append_to("pod/0.log", format!("{new}\n"));
        fixture.try_start().unwrap();
        fixture.expect_everything(&[line, new]);
    }
}

#[test]
fn another_name_in_the_directory_is_found_too() {
    let mut fixture = stopped();
    fixture.rename("in.txt", "saved by hand").append("new\n");
    resumes_with(&mut fixture, &["three", "new"]);
}

#[test]
fn a_renamed_file_is_finished_while_there_is_no_new_one() {
    let mut fixture = stopped();
    fixture.rename("in.txt", "in.txt.1");
    fixture.try_start().unwrap();
    fixture.expect(&[("three", 14)]);
    fixture.append("new\n");
    fixture.expect_everything(&["new"]);
}

#[test]
fn a_compressed_file_is_finished() {
    let mut fixture = stopped();
    fixture.gzip("in.txt.2.gz", "one\ntwo\nthree\n").remove("in.txt");
    fixture.append_to("in.txt.1", "four\n").append("five\n");
    fixture.written_in_order(&["in.txt.2.gz", "in.txt.1", "in.txt"]);
    resumes_with(&mut fixture, &["three", "four", "five"]);
}

#[test]
fn members_of_a_compressed_file_are_all_read() {
    let mut fixture = stopped();
    fixture
        .gzip("in.txt.1.gz", "one\ntw")
        .gzip("in.txt.1.gz", "o\nthree\nfo")
        .gzip("in.txt.1.gz", "ur\n");
    fixture.remove("in.txt").append("new\n");
    fixture.written_in_order(&["in.txt.1.gz", "in.txt"]);
    resumes_with(&mut fixture, &["three", "four", "new"]);
}

#[test]
fn a_compressed_file_is_finished_also_when_a_new_file_has_its_originals_name() {
    for new in ["", "new\n"] {
        let mut fixture = stopped();
        fixture.gzip("in.txt.gz", "one\ntwo\nthree\n").remove("in.txt");
        fixture.append(new);
        fixture.try_start().unwrap();
        fixture.expect_everything(&["three"].into_iter().chain(new.lines()).collect::<Vec<_>>());
    }
}

#[test]
fn a_compressed_file_is_resumed_beside_its_original() {
    let mut fixture = Fixture::new().with("batch.size", "1");
    let file = fixture.path("in.txt.gz").to_str().unwrap().to_owned();
    fixture = fixture.with("file", &file);
    fixture.append("one\ntwo\n").gzip("in.txt.gz", "one\ntwo\n");
    fixture = fixture.start();
    let (_, first) = fixture.poll_with(super::fixture::LIMITS).unwrap();
    assert_eq!(first, [("one".to_owned(), 4)]);
    // Other content, so that only the named file has the rest.
    fixture.overwrite("in.txt", "one\nelse\n");
    fixture.restart();
    fixture.expect_everything(&["two"]);
}

#[test]
fn a_copy_is_found_by_its_head_when_the_file_was_truncated() {
    for after in ["new\n", "longer than everything that was read before\n"] {
        let mut fixture = stopped();
        fixture.copy("in.txt", "in.txt.1").overwrite("in.txt", after);
        resumes_with(&mut fixture, &["three", after.trim_end()]);
    }
}

#[test]
fn a_restored_directory_is_known_by_heads() {
    let mut fixture = stopped();
    fixture.append_to("in.txt.7", "something else\n");
    fixture
        .copy("in.txt", "restored")
        .remove("in.txt")
        .rename("restored", "in.txt");
    resumes_with(&mut fixture, &["three"]);
}

#[test]
fn several_files_with_one_head_are_not_guessed() {
    let header = "date,level\n";
    let mut fixture = Fixture::new().start();
    fixture.append(header);
    fixture.expect_everything(&["date,level"]);
    fixture.stop();
    fixture
        .append_to("in.txt.1", header)
        .append_to("in.txt.1", "1,a\n");
    fixture
        .append_to("new", header)
        .append_to("new", "2,b\n")
        .rename("new", "in.txt");
    fixture.try_start().unwrap();
    fixture.expect_everything(&["date,level", "1,a", "date,level", "2,b"]);
    assert_eq!(fixture.warnings("several files begin like it"), 1);
}

#[test]
fn a_deleted_and_recreated_file_is_read_from_its_beginning() {
    let mut fixture = stopped();
    let long = "x".repeat(100);
    fixture
        .append_to("in.txt.5", "older\n")
        .written_in_order(&["in.txt.5"]);
    // Both files at once, so that the inode differs.
    fixture
        .append_to("new", format!("{long}\n"))
        .remove("in.txt")
        .rename("new", "in.txt");
    resumes_with(&mut fixture, &[&long]);
    assert_eq!(fixture.warnings("neither it nor a copy is in its directory"), 1);
}

#[test]
fn younger_files_are_read_when_the_stored_one_is_gone() {
    let mut fixture = stopped();
    fixture
        .append_to("in.txt.2", "four\n")
        .append_to("in.txt.1", "five\n")
        .append_to("in.txt.9", "older\n");
    fixture.written_in_order(&["in.txt.9"]);
    fixture
        .append_to("new", "six\n")
        .remove("in.txt")
        .rename("new", "in.txt");
    resumes_with(&mut fixture, &["four", "five", "six"]);
}

#[test]
fn the_offset_of_kafkas_connector_resumes() {
    let mut fixture = Fixture::new();
    fixture.append("one\ntwo\n");
    fixture.restart_at(4);
    fixture.expect(&[("two", 8)]);
    let offset = &fixture.offsets[&fixture.partition("in.txt")];
    assert!(
        offset.starts_with(r#"{"position":8,"device":"#) && offset.contains(r#""fingerprint.bytes":8,"#),
        "{offset}"
    );
}

#[test]
fn a_file_shorter_than_its_fingerprint_is_known_again_when_it_has_grown() {
    let mut fixture = Fixture::new().start();
    fixture.append("a\n");
    fixture.expect(&[("a", 2)]);
    fixture.stop();
    fixture.append("b".repeat(5_000) + "\n");
    fixture.rename("in.txt", "in.txt.1").append("c\n");
    fixture.try_start().unwrap();
    let found = fixture.everything();
    assert_eq!(found[0].0.len(), 5_000);
    assert_eq!(found[1].0, "c");
}

#[test]
fn a_last_line_without_terminator_stays_the_old_files() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\nhal");
    fixture.expect(&[("one", 4)]);
    fixture.stop();
    fixture.rename("in.txt", "in.txt.1").append("f\n");
    resumes_with(&mut fixture, &["hal", "f"]);
}
