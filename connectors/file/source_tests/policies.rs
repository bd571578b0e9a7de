//! Config, stored offsets and what to do with what cannot be delivered.

use std::fs;

use jackfield_api::ErrorKind;

use super::fixture::{Fixture, LIMITS, LONG_MS};

#[test]
fn a_position_beyond_the_file_is_an_error() {
    let mut fixture = Fixture::new();
    fixture.append("short\n");
    fixture.restart_at(7);
    let error = fixture.error();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(
        error.message.contains("stored position 7 is beyond the end of"),
        "{error}"
    );
    assert!(error.message.contains("(6 bytes)"), "{error}");
}

#[test]
fn a_stored_offset_must_make_sense() {
    for (offset, message) in [
        (r#"{"position":"7"}"#, "no valid position"),
        (r#"{"position":-1}"#, "no valid position"),
        ("nonsense", "no valid position"),
    ] {
        let mut fixture = Fixture::new();
        let partition = fixture.partition("in.txt");
        fixture.host.store(&partition, offset).unwrap();
        let error = fixture.try_start().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert!(error.message.contains(message), "{error}");
    }
    let mut fixture = Fixture::new();
    fixture.append("a\n");
    let partition = fixture.partition("in.txt");
    fixture.host.store(&partition, r#"{"position":null}"#).unwrap();
    fixture.try_start().unwrap();
    fixture.expect(&[("a", 2)]);
}

#[test]
fn a_directory_is_a_clear_error() {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.path("in.txt")).unwrap();
    fixture.try_start().unwrap();
    let error = fixture.error();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("in.txt is not a regular file"), "{error}");
}

#[test]
fn a_bad_config_is_refused_with_kafkas_words() {
    for (key, value, message) in [
        (
            "topic",
            "",
            "Invalid value  for configuration topic: String must be non-empty",
        ),
        ("batch.size", "0", "Value must be at least 1"),
        ("line.idle.timeout.ms", "soon", "Not a number of type LONG"),
    ] {
        let error = Fixture::new().with(key, value).try_start().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn a_position_past_the_end_is_decided_by_the_config() {
    for (policy, expected) in [("beginning", ["short", "more"].as_slice()), ("end", &["more"])] {
        for kafkas in [false, true] {
            let mut fixture = Fixture::new().with("file.position.past.end", policy).start();
            fixture.append("one line\nand another\n");
            fixture.everything();
            fixture.stop();
            fixture.overwrite("in.txt", "short\n");
            if kafkas {
                fixture.restart_at(21);
            } else {
                fixture.try_start().unwrap();
            }
            let mut found = fixture.everything();
            assert_eq!(fixture.warnings("the stored position 21 is beyond the end of"), 1);
            fixture.append("more\n");
            found.extend(fixture.everything());
            let found: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(found, expected, "{policy}");
        }
    }
}

#[test]
fn a_truncated_file_without_a_copy_fails_by_default() {
    let mut fixture = Fixture::new().start();
    fixture.append("one line\nand another\n");
    fixture.everything();
    fixture.stop();
    fixture.overwrite("in.txt", "");
    fixture.try_start().unwrap();
    for _ in 0..2 {
        let error = fixture.error();
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert!(
            error
                .message
                .contains("set file.position.past.end to beginning or end"),
            "{error}"
        );
    }
}

#[test]
fn start_at_the_end_is_about_files_that_are_there() {
    for (content, expected) in [
        ("old\n", ["new"].as_slice()),
        ("old\nhal", &["halnew"]),
        ("", &["new"]),
        ("hal", &["halnew"]),
    ] {
        let mut fixture = Fixture::new().with("file.start", "end");
        fixture.append(content);
        fixture = fixture.start();
        fixture.expect(&[]);
        fixture.append("new\n");
        fixture.expect_everything(expected);
        fixture.rename("in.txt", "in.txt.1").append("next file\n");
        fixture.expect_everything(&["next file"]);
    }
    let mut fixture = Fixture::new().with("file.start", "end").start();
    fixture.append("appears later\n");
    fixture.expect_everything(&["appears later"]);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_or_kept() {
    let mut fixture = Fixture::new().with("line.invalid.utf8", "replace").start();
    fixture.append(b"good\n\xffbad\xc3\nnext\n\xe2\x82");
    fixture.expect(&[("good", 5), ("\u{fffd}bad\u{fffd}", 11), ("next", 16)]);
    fixture.wait(LONG_MS);
    fixture.expect(&[]);
    fixture.append(b"\xac\n");
    fixture.expect(&[("€", 20)]);
    let mut fixture = Fixture::new().with("line.invalid.utf8", "bytes").start();
    fixture.append(b"ok\n\xff\n\xc3");
    fixture.expect(&[("[111, 107]", 3), ("[255]", 5)]);
    fixture.wait(LONG_MS);
    fixture.expect(&[("[195]", 6)]);
    let (_, none) = fixture.poll_with(LIMITS).unwrap();
    assert!(none.is_empty());
}
