//! Lines, terminators and positions; what is delivered when.

use jackfield_api::{ErrorKind, PollLimits};

use super::fixture::{Fixture, LIMITS};

#[test]
fn lines_have_byte_positions() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\ntwö\n\nfour\n");
    fixture.expect(&[("one", 4), ("twö", 9), ("", 10), ("four", 15)]);
    fixture.append("five\n");
    fixture.expect(&[("five", 20)]);
}

#[test]
fn all_terminators_end_lines() {
    let mut fixture = Fixture::new().start();
    fixture.append("a\nb\r\nc\rd\r\r\ne\n\r");
    fixture.expect(&[("a", 2), ("b", 5), ("c", 7), ("d", 9), ("", 11), ("e", 13)]);
    fixture.append("\n");
    fixture.expect(&[("", 15)]);
    fixture.append("f\r");
    fixture.expect(&[]);
    fixture.append("g\n");
    fixture.expect(&[("f", 17), ("g", 19)]);
}

#[test]
fn a_missing_file_is_waited_for() {
    let mut fixture = Fixture::new().start();
    assert_eq!(
        fixture.expect(&[]),
        Some(1_000),
        "nobody watches, so it looks again by itself"
    );
    fixture.expect(&[]);
    let waiting = fixture
        .host
        .lines()
        .iter()
        .filter(|(_, line)| line.contains("does not exist"))
        .count();
    assert_eq!(waiting, 1, "said once");
    fixture.append("here\n");
    fixture.expect(&[("here", 5)]);
}

#[test]
fn a_watched_file_needs_no_looking() {
    let mut fixture = Fixture::new();
    fixture.host.set_watches(true);
    fixture = fixture.start();
    assert_eq!(fixture.host.watched(), [fixture.settings["file"].clone()]);
    assert_eq!(fixture.expect(&[]), None);
    fixture.append("a\n");
    assert_eq!(fixture.expect(&[("a", 2)]), None);
    fixture.append("unfinished");
    assert_eq!(
        fixture.expect(&[]),
        Some(5_001),
        "until the line is delivered anyway"
    );
}

#[test]
fn an_unfinished_line_is_delivered_after_a_while() {
    let mut fixture = Fixture::new().with("line.idle.timeout.ms", "300").start();
    fixture.append("done\nnot yet");
    assert_eq!(fixture.expect(&[("done", 5)]), Some(301));
    fixture.wait(200);
    assert_eq!(fixture.expect(&[]), Some(101));
    fixture.append(" more");
    fixture.wait(200);
    assert_eq!(
        fixture.expect(&[]),
        Some(301),
        "it grew, so the time starts again"
    );
    fixture.wait(300);
    fixture.expect(&[("not yet more", 17)]);
    fixture.wait(10_000);
    fixture.expect(&[]);
}

#[test]
fn what_follows_an_unfinished_line_is_not_repeated() {
    for restart in [false, true] {
        for (rest, expected) in [
            ("\nnext\n", vec![("next", 10)]),
            ("\r\nnext\n", vec![("next", 11)]),
            ("\rnext\n", vec![("next", 10)]),
            ("c\nnext\n", vec![("c", 6), ("next", 11)]),
            ("\n\nnext\n", vec![("", 6), ("next", 11)]),
        ] {
            let mut fixture = Fixture::new().start();
            fixture.append("aéb");
            fixture.expect(&[]);
            fixture.wait(5_000);
            fixture.expect(&[("aéb", 4)]);
            fixture.append(rest);
            if restart {
                fixture.restart_at(4);
            }
            fixture.expect(&expected);
        }
    }
}

#[test]
fn a_late_newline_after_a_carriage_return_is_no_empty_line() {
    for restart in [false, true] {
        let mut fixture = Fixture::new().start();
        fixture.append("a\r");
        fixture.expect(&[]);
        fixture.wait(5_000);
        fixture.expect(&[("a", 2)]);
        if restart {
            fixture.restart_at(2);
        }
        fixture.append("\nb\n");
        fixture.expect(&[("b", 5)]);
    }
}

#[test]
fn with_timeout_0_an_unfinished_line_stays() {
    let mut fixture = Fixture::new().with("line.idle.timeout.ms", "0").start();
    fixture.append("a");
    assert_eq!(fixture.expect(&[]), Some(1_000));
    fixture.wait(3_600_000);
    fixture.expect(&[]);
    fixture.append("\n");
    fixture.expect(&[("a", 2)]);
}

#[test]
fn half_a_character_is_not_delivered() {
    let mut fixture = Fixture::new().start();
    fixture.append(&"x€".as_bytes()[..3]);
    fixture.expect(&[]);
    fixture.wait(5_000);
    fixture.expect(&[]);
    fixture.append(&"€".as_bytes()[2..]);
    fixture.expect(&[]);
    fixture.wait(5_000);
    fixture.expect(&[("x€", 4)]);
}

#[test]
fn bad_utf8_is_an_error_with_its_place_and_after_the_good_lines() {
    let mut fixture = Fixture::new().start();
    fixture.append(b"good\n\xffbad\nnext\n");
    let (_, records) = fixture.poll_with(LIMITS).unwrap();
    assert_eq!(records, [("good".to_owned(), 5)]);
    let error = fixture.error();
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(
        error.message.contains("line at byte 5 of") && error.message.contains("in.txt"),
        "{error}"
    );
    fixture.expect(&[("next", 15)]);
    // Only the position of a later record covers the bad line.
    fixture.restart_at(5);
    assert!(fixture.error().message.contains("line at byte 5 of"));
    fixture.expect(&[("next", 15)]);
}

#[test]
fn a_bad_line_without_terminator_is_an_error_once() {
    let mut fixture = Fixture::new().start();
    fixture.append(b"\xffbad");
    fixture.expect(&[]);
    fixture.wait(5_000);
    assert_eq!(fixture.error().kind, ErrorKind::Data);
    fixture.wait(5_000);
    fixture.expect(&[]);
    fixture.append("\nnext\n");
    fixture.expect(&[("next", 10)]);
}

#[test]
fn limits_cut_batches_and_lose_nothing() {
    let mut fixture = Fixture::new().with("batch.size", "3").start();
    fixture.append("1\n2\n3\n4\n5\n");
    let counts: Vec<_> = (0..3)
        .map(|_| fixture.poll_with(LIMITS).unwrap().1.len())
        .collect();
    assert_eq!(counts, [3, 2, 0]);
    fixture.append("6\n7\n8\n");
    let few = PollLimits {
        max_records: 2,
        max_bytes: 64 << 20,
    };
    let counts: Vec<_> = (0..3).map(|_| fixture.poll_with(few).unwrap().1.len()).collect();
    assert_eq!(counts, [2, 1, 0]);
    fixture.append("6\n7\n8\n");
    let small = PollLimits {
        max_records: 100,
        max_bytes: 1,
    };
    let counts: Vec<_> = (0..4)
        .map(|_| fixture.poll_with(small).unwrap().1.len())
        .collect();
    assert_eq!(counts, [1, 1, 1, 0], "a record at least");
}

#[test]
fn a_huge_line_takes_its_own_memory_and_gives_it_back() {
    let mut fixture = Fixture::new().start();
    let huge = "x".repeat(10 << 20);
    fixture.append(&huge[..9 << 20]);
    fixture.expect(&[]);
    fixture.append(&huge[9 << 20..]).append("\nafter\n");
    let (records, _) = fixture.drain();
    assert_eq!(records.len(), 2);
    assert!(records[0].0 == huge && records[0].1 == (10 << 20) + 1);
    assert_eq!(records[1].0, "after");
    fixture.append("more\n");
    fixture.drain();
    let kept = fixture.source.as_mut().unwrap().streams[0].buffer.space().len();
    assert!(kept <= 1 << 20, "{kept} bytes kept");
}

#[test]
fn a_line_beyond_the_limit_is_an_error_not_memory() {
    let mut fixture = Fixture::new().with("line.max.bytes", "1000").start();
    fixture.append("ok\n").append("y".repeat(2_000));
    let (_, records) = fixture.poll_with(LIMITS).unwrap();
    assert_eq!(records.len(), 1);
    let error = fixture.error();
    assert_eq!(error.kind, ErrorKind::Data);
    assert!(
        error.message.contains("line at byte 3 of") && error.message.contains("line.max.bytes=1000"),
        "{error}"
    );
    // What is left of it is skipped as it comes, in bounded memory.
    fixture.expect(&[]);
    for _ in 0..20 {
        fixture.append("z".repeat(1 << 20));
        fixture.expect(&[]);
    }
    fixture.wait(60_000);
    fixture.expect(&[]);
    let kept = fixture.source.as_mut().unwrap().streams[0].buffer.space().len();
    assert!(kept <= 1 << 20, "{kept} bytes kept");
    let end = 3 + 2_000 + (20 << 20);
    fixture.append("\r");
    fixture.expect(&[]);
    fixture.append("\nnext\n");
    fixture.expect(&[("next", end + 7)]);
}

#[test]
fn a_line_beyond_the_limit_is_an_error_even_when_it_was_read_at_once() {
    for terminator in ["\n", "\r\n", "\r"] {
        let mut fixture = Fixture::new().with("line.max.bytes", "4").start();
        fixture.append(
            ["ok", "12345", "1234", "é€"]
                .map(|line| line.to_owned() + terminator)
                .concat()
                + "x\n",
        );
        let (_, records) = fixture.poll_with(LIMITS).unwrap();
        assert_eq!(records.len(), 1);
        let error = fixture.error();
        assert!(error.message.contains("longer than line.max.bytes=4"), "{error}");
        let (_, records) = fixture.poll_with(LIMITS).unwrap();
        assert_eq!(records.len(), 1, "a line of exactly the limit");
        assert_eq!(fixture.error().kind, ErrorKind::Data);
        let (records, _) = fixture.drain();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].0, "x");
    }
}
