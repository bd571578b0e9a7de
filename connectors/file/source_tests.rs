//! Tests of the source on real files, with a clock of their own.

use std::{collections::BTreeMap, fs, io::Write, path::PathBuf, sync::Arc, time::Duration};

use jackfield_api::{ErrorKind, LocalHost, batch::Batch};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const LIMITS: PollLimits = PollLimits {
    max_records: 1_000_000,
    max_bytes: 64 << 20,
};

/// A source on a file in a directory of its own.
struct Fixture {
    directory: TempDir,
    host: Arc<LocalHost>,
    settings: BTreeMap<String, String>,
    source: Option<FileStreamSource>,
    now: Instant,
}

/// A record as a test sees it.
type Seen = (String, u64);

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("in.txt").to_str().unwrap().to_owned();
        let settings = BTreeMap::from([("file".to_owned(), file), ("topic".to_owned(), "t".to_owned())]);
        Self {
            directory,
            host: LocalHost::new(),
            settings,
            source: None,
            now: Instant::now(),
        }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("in.txt")
    }

    fn append(&self, bytes: impl AsRef<[u8]>) -> &Self {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path())
            .unwrap();
        file.write_all(bytes.as_ref()).unwrap();
        self
    }

    fn try_start(&mut self) -> Result<(), ConnectError> {
        let config = Config::resolve(&FileStreamSource::config_def(), self.settings.clone())?;
        self.source = Some(FileStreamSource::start(&config, self.host.source_context())?);
        Ok(())
    }

    fn start(mut self) -> Self {
        self.try_start().unwrap();
        self
    }

    /// Ends the task and starts one that knows this position.
    fn restart_at(&mut self, position: u64) {
        let partition = serde_json::json!({ "filename": self.settings["file"] }).to_string();
        self.host
            .store(&partition, &format!("{{\"position\":{position}}}"))
            .unwrap();
        self.try_start().unwrap();
    }

    fn poll_with(&mut self, limits: PollLimits) -> Result<(Polled, Vec<Seen>), ConnectError> {
        let mut builder = BatchBuilder::new();
        let polled = self
            .source
            .as_mut()
            .unwrap()
            .poll_at(self.now, limits, &mut builder)?;
        let batch = Batch::parse(builder.finish()).unwrap();
        let records = batch.records().enumerate().map(|(index, found)| {
            let record = found.record;
            assert_eq!(batch.topic(record.topic), "t");
            assert_eq!(record.key, Value::Null);
            assert_eq!(
                (record.partition, record.timestamp, record.offset),
                (None, None, -1)
            );
            assert_eq!(record.sequence as usize, index);
            let partition: serde_json::Value =
                serde_json::from_str(batch.source_partition(record.source_partition.unwrap())).unwrap();
            assert_eq!(
                partition,
                serde_json::json!({ "filename": self.settings["file"] })
            );
            let Value::Utf8(text) = record.value else {
                panic!("{:?}", record.value)
            };
            let offset = record.source_offset.unwrap();
            let position = offset
                .strip_prefix("{\"position\":")
                .unwrap()
                .strip_suffix('}')
                .unwrap();
            (text.to_owned(), position.parse().unwrap())
        });
        Ok((polled, records.collect()))
    }

    /// Polls until the source is idle; returns what came and when it wants to be asked again.
    fn drain(&mut self) -> (Vec<Seen>, Option<u64>) {
        let mut all = Vec::new();
        loop {
            let (polled, records) = self.poll_with(LIMITS).unwrap();
            let idle = records.is_empty();
            all.extend(records);
            if let (true, Polled::Idle(again_ms)) = (idle, polled) {
                return (all, again_ms);
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, expected: &[(&str, u64)]) -> Option<u64> {
        let (found, again_ms) = self.drain();
        let found: Vec<_> = found
            .iter()
            .map(|(text, position)| (text.as_str(), *position))
            .collect();
        assert_eq!(found, expected);
        again_ms
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn error(&mut self) -> ConnectError {
        self.poll_with(LIMITS).unwrap_err()
    }
}

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
    let kept = fixture.source.as_mut().unwrap().buffer.space().len();
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
    let kept = fixture.source.as_mut().unwrap().buffer.space().len();
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
fn a_file_that_shrinks_is_an_error() {
    let mut fixture = Fixture::new().start();
    fixture.append("one\ntwo\n");
    fixture.drain();
    fs::write(fixture.path(), "x\n").unwrap();
    let error = fixture.error();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(
        error.message.contains("shrank to 2 bytes, 8 were read"),
        "{error}"
    );
}

#[test]
fn a_stored_offset_must_make_sense() {
    for (offset, message) in [
        (r#"{"position":"7"}"#, "no valid position"),
        (r#"{"position":-1}"#, "no valid position"),
        ("nonsense", "no valid position"),
    ] {
        let mut fixture = Fixture::new();
        let partition = serde_json::json!({ "filename": fixture.settings["file"] }).to_string();
        fixture.host.store(&partition, offset).unwrap();
        let error = fixture.try_start().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert!(error.message.contains(message), "{error}");
    }
    let mut fixture = Fixture::new();
    fixture.append("a\n");
    let partition = serde_json::json!({ "filename": fixture.settings["file"] }).to_string();
    fixture.host.store(&partition, r#"{"position":null}"#).unwrap();
    fixture.try_start().unwrap();
    fixture.expect(&[("a", 2)]);
}

#[test]
fn a_directory_is_a_clear_error() {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.path()).unwrap();
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

/// Input that ends in an error, after two reads.
struct Failing(Vec<&'static [u8]>);

impl Read for Failing {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        let Some(bytes) = self.0.pop() else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        space[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

fn on_stdin(host: &Arc<LocalHost>, stdin: crate::stdin::Stdin) -> FileStreamSource {
    let settings = BTreeMap::from([("topic".to_owned(), "t".to_owned())]);
    let config = Config::resolve(&FileStreamSource::config_def(), settings).unwrap();
    let input = Input::Stdin(stdin);
    FileStreamSource {
        buffer: input.take_left().unwrap_or_else(LineBuffer::new),
        input,
        config: SourceConfig::read(&config).unwrap(),
        context: host.source_context(),
        partition: r#"{"filename":null}"#.to_owned(),
        position: 0,
        unfinished_since: None,
        offset: String::new(),
    }
}

/// What a task took of standard input and did not deliver is not lost with it.
#[test]
fn a_task_leaves_the_rest_of_standard_input_to_the_next() {
    let host = LocalHost::new();
    let wake = || host.source_context().wake_handle();
    let input = std::io::Cursor::new("one\ntwo\nthree\nfo").chain(std::io::Cursor::new("ur\nfive\n"));
    let mut source = on_stdin(&host, crate::stdin::Stdin::reading(input, wake()));
    let one_record = PollLimits {
        max_records: 1,
        ..LIMITS
    };
    let mut found = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while found.len() < 5 {
        assert!(Instant::now() < deadline, "{found:?}");
        let mut builder = BatchBuilder::new();
        source.poll_at(Instant::now(), one_record, &mut builder).unwrap();
        let batch = Batch::parse(builder.finish()).unwrap();
        found.extend(batch.records().map(|record| format!("{:?}", record.record.value)));
        let Input::Stdin(stdin) = &source.input else {
            panic!("standard input")
        };
        let next = stdin.again(wake());
        if found.len() == 2 {
            // The next task begins before this one has ended.
            let next = on_stdin(&host, next);
            source = next;
        } else {
            drop(source);
            source = on_stdin(&host, next);
        }
    }
    let expected = ["one", "two", "three", "four", "five"].map(|line| format!("{:?}", Value::Utf8(line)));
    assert_eq!(found, expected);
}

#[test]
fn standard_input_has_no_positions_and_wakes_the_task() {
    let host = LocalHost::new();
    let input = Failing(vec![b"lf\nlast", b"one\nha"]);
    let stdin = crate::stdin::Stdin::reading(input, host.source_context().wake_handle());
    let mut source = on_stdin(&host, stdin);
    let mut now = Instant::now();
    let mut found = Vec::new();
    // Each poll comes when the reader woke the task; the error is read last.
    for wakes in 1..=3 {
        let deadline = Instant::now() + Duration::from_secs(20);
        while host.wakes() < wakes {
            assert!(Instant::now() < deadline, "{wakes} wakes");
            std::thread::yield_now();
        }
    }
    let error = loop {
        let mut builder = BatchBuilder::new();
        match source.poll_at(
            now,
            PollLimits {
                max_records: 1,
                max_bytes: 1,
            },
            &mut builder,
        ) {
            Ok(_) => {
                let batch = Batch::parse(builder.finish()).unwrap();
                for record in batch.records() {
                    assert_eq!(record.record.source_offset, Some(r#"{"position":null}"#));
                    assert_eq!(batch.source_partition(0), r#"{"filename":null}"#);
                    let Value::Utf8(text) = record.record.value else {
                        panic!("text")
                    };
                    found.push(text.to_owned());
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(found, ["one", "half"]);
    assert!(error.message.contains("cannot read standard input"), "{error}");
    // After the end nothing more comes but the unfinished line.
    for expected in [0, 1] {
        let mut builder = BatchBuilder::new();
        source.poll_at(now, LIMITS, &mut builder).unwrap();
        assert_eq!(builder.len(), expected);
        now += Duration::from_millis(5_000);
    }
}

/// What Kafka's rules make of a text, computed the simple way: lines and the positions behind them.
fn lines_of(text: &str) -> (Vec<Seen>, usize) {
    let bytes = text.as_bytes();
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'\n', _) => at + 1,
            (b'\r', Some(b'\n')) => at + 2,
            (b'\r', Some(_)) => at + 1,
            (b'\r', None) => break,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push((text[start..at].to_owned(), end as u64));
        (start, at) = (end, end);
    }
    (lines, start)
}

fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\n"),
        Just("\r\n"),
        Just("\r"),
        Just("é€😀"),
        Just("abc"),
        Just("")
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn chunks_anywhere_make_the_same_lines(
        text in any_text(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        batch_size in 1..5_u32,
    ) {
        let (expected, _) = lines_of(&text);
        let mut fixture =
            Fixture::new().with("line.idle.timeout.ms", "0").with("batch.size", &batch_size.to_string()).start();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut found, mut from) = (Vec::new(), 0);
        for cut in cuts {
            fixture.append(&text.as_bytes()[from..cut]);
            from = cut;
            found.extend(fixture.drain().0);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn every_position_resumes_with_the_next_line(text in any_text()) {
        let (expected, _) = lines_of(&text);
        let mut fixture = Fixture::new().with("line.idle.timeout.ms", "0");
        fixture.append(&text);
        for (index, (_, position)) in expected.iter().enumerate() {
            fixture.restart_at(*position);
            prop_assert_eq!(&fixture.drain().0, &expected[index + 1..]);
        }
    }

    /// With idle times at arbitrary moments and a restart at each of them: all text arrives, nothing twice.
    #[test]
    fn idle_times_lose_and_repeat_nothing(
        text in any_text(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        restart in any::<bool>(),
    ) {
        let mut fixture = Fixture::new().start();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut found, mut from): (Vec<Seen>, _) = (Vec::new(), 0);
        for cut in cuts {
            fixture.append(&text.as_bytes()[from..cut]);
            from = cut;
            found.extend(fixture.drain().0);
            fixture.wait(5_000);
            found.extend(fixture.drain().0);
            if restart && let Some((_, position)) = found.last() {
                let position = *position;
                fixture.restart_at(position);
            }
        }
        let delivered: String = found.iter().map(|(text, _)| text.as_str()).collect();
        let terminators: &[char] = &['\r', '\n'];
        prop_assert_eq!(delivered, text.replace(terminators, ""));
        prop_assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].1), "positions rise: {found:?}");
        prop_assert!(found.len() <= lines_of(&text).0.len() + 7, "at most one more per cut and the last");
    }
}
