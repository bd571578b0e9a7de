//! Files that are closed because there are too many, and what happens to them meanwhile.

use super::fixture::{Fixture, LIMITS, LONG_MS};

/// A source that read `one` of each of these files and has closed them.
fn parked(names: &[&str]) -> Fixture {
    let mut fixture = Fixture::glob("*.log,*.gz,sub/*.log");
    std::fs::create_dir(fixture.path("sub")).unwrap();
    for name in names {
        if name.ends_with(".gz") {
            fixture.gzip(name, "one\n");
        } else {
            fixture.append_to(name, "one\n");
        }
    }
    fixture = fixture.start();
    assert_eq!(fixture.everything().len(), names.len());
    fixture.park_all();
    assert_eq!(fixture.open_files(), 0);
    fixture
}

#[test]
fn a_parked_file_goes_on() {
    let mut fixture = parked(&["a.log", "b.gz"]);
    fixture.expect_by_file(&[]);
    assert_eq!(fixture.open_files(), 0);
    fixture.append_to("a.log", "two\n").gzip("b.gz", "two\n");
    fixture.expect_by_file(&[("a.log", &["two"]), ("b.gz", &["two"])]);
}

#[test]
fn a_parked_file_that_is_truncated_is_read_from_its_beginning() {
    for content in ["", "1\n"] {
        let mut fixture = parked(&["a.log"]);
        fixture.overwrite("a.log", content);
        fixture.expect_by_file(if content.is_empty() {
            &[]
        } else {
            &[("a.log", &["1"])]
        });
        assert_eq!(fixture.warnings("reading it from its beginning"), 1);
        fixture.append_to("a.log", "2\n");
        fixture.expect_by_file(&[("a.log", &["2"])]);
    }
}

#[test]
fn a_parked_file_that_is_rotated_is_read_to_its_end_first() {
    let mut fixture = parked(&["a.log"]);
    fixture
        .append_to("a.log", "two\n")
        .rename("a.log", "a.log.1")
        .append_to("a.log", "three\n");
    fixture.expect_by_file(&[("a.log", &["two", "three"])]);
}

#[test]
fn a_parked_file_that_moves_to_another_matching_name_is_read_once() {
    for name in ["b.log", "sub/a.log"] {
        let mut fixture = parked(&["a.log"]);
        fixture.rename("a.log", name);
        fixture.expect_by_file(&[]);
        fixture.append_to(name, "two\n");
        fixture.expect_by_file(&[(name, &["two"])]);
    }
}

#[test]
fn a_parked_file_that_is_deleted_is_forgotten() {
    let mut fixture = parked(&["a.log"]);
    fixture.remove("a.log");
    fixture.drain();
    assert!(fixture.source.as_ref().unwrap().streams.is_empty());
    fixture.next_tick().append_to("a.log", "one\n");
    fixture.expect_by_file(&[("a.log", &["one"])]);
    assert_eq!(fixture.warnings("is not found again"), 0);
}

#[test]
fn an_empty_file_that_was_parked_is_known() {
    let mut fixture = Fixture::glob("*.log").start();
    fixture.append_to("a.log", "").append_to("b.log", "");
    fixture.drain();
    fixture.park_all();
    fixture.append_to("a.log", "a\n").append_to("b.log", "b\n");
    fixture.rename("a.log", "a.log.1").append_to("a.log", "new\n");
    fixture.expect_by_file(&[("a.log", &["a", "new"]), ("b.log", &["b"])]);
    assert_eq!(fixture.warnings("is not found again"), 0);
}

#[test]
fn an_unfinished_line_of_a_parked_file_is_delivered_when_it_is_due() {
    let mut fixture = parked(&["a.log"]);
    fixture.append_to("a.log", "half");
    fixture.expect(&[]);
    fixture.wait(4_000);
    fixture.park_all();
    fixture.expect(&[]);
    assert_eq!(fixture.open_files(), 0);
    let lag = fixture.host.lag().unwrap();
    assert_eq!((lag.bytes, lag.files), (4, 1));
    fixture.wait(1_000);
    fixture.expect(&[("half", 8)]);
    fixture.append_to("a.log", "\nnext\n");
    fixture.expect(&[("next", 14)]);
}

#[test]
fn never_are_too_many_files_open() {
    let mut fixture = Fixture::glob("*").with("line.idle.timeout.ms", "0");
    for number in 0..300 {
        fixture.append_to(&format!("f{number:03}"), format!("{number}\nhalf"));
        fixture.gzip(&format!("z{number:03}.gz"), format!("{number}\n"));
    }
    fixture = fixture.start();
    let check = |fixture: &mut Fixture, expected| {
        let (mut found, mut polls) = (0, 0);
        while found < expected {
            found += fixture.poll_with(LIMITS).unwrap().1.len();
            assert!(fixture.open_files() <= 256, "{} files open", fixture.open_files());
            fixture.wait(100);
            polls += 1;
            assert!(polls < 10_000, "{found} of {expected}");
        }
        assert_eq!(found, expected);
    };
    check(&mut fixture, 600);
    for number in 0..300 {
        fixture.append_to(&format!("f{number:03}"), "\n");
    }
    check(&mut fixture, 300);
    // Renamed inside the directory, without a successor.
    for number in 0..300 {
        fixture.rename(&format!("f{number:03}"), &format!("g{number:03}"));
    }
    for _ in 0..3 {
        fixture.drain();
        fixture.wait(LONG_MS);
    }
    fixture.drain();
    assert!(fixture.open_files() <= 256, "{} files open", fixture.open_files());
    assert_eq!(
        fixture.source.as_ref().unwrap().streams.len(),
        300,
        "the compressed ones"
    );
}

#[test]
fn files_that_cannot_be_closed_keep_no_other_from_being_read() {
    let mut fixture = Fixture::glob("*.log").with("file.rotate.wait.ms", "3600000");
    for number in 0..150 {
        fixture.append_to(&format!("f{number:03}.log"), "one\n");
    }
    fixture = fixture.start();
    assert_eq!(fixture.everything().len(), 150);
    // Now there are two of each name.
    for number in 0..150 {
        let name = format!("f{number:03}.log");
        fixture
            .rename(&name, &format!("{name}.1"))
            .append_to(&name, "two\n");
    }
    fixture.drain();
    fixture.append_to("z.log", "z\n");
    let mut found = Vec::new();
    for _ in 0..30 {
        found.extend(fixture.drain().0);
        fixture.wait(100);
    }
    assert_eq!(found, [("z".to_owned(), 2)]);
}
