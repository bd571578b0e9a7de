//! Any history of writing, rotating, looking and stopping: every line once and in order.

use proptest::prelude::*;

use super::fixture::{Fixture, LIMITS, LONG_MS};

/// What happens to the file, or to the source.
#[derive(Debug, Clone, Copy)]
enum Event {
    Line,
    LongLine,
    /// Half of a line: the other half comes with the next line, in the same file.
    Half,
    Rename,
    /// Rename, and the writer goes on in the old file with one more line.
    LateRename,
    Compress,
    Copytruncate,
    /// One poll of few records.
    Poll,
    Drain,
    Wait,
    Restart,
    /// The file is closed as when there are too many, if it can be.
    Park,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Line),
        1 => Just(Event::LongLine),
        2 => Just(Event::Half),
        2 => Just(Event::Rename),
        1 => Just(Event::LateRename),
        1 => Just(Event::Compress),
        1 => Just(Event::Copytruncate),
        3 => Just(Event::Poll),
        1 => Just(Event::Drain),
        1 => Just(Event::Wait),
        2 => Just(Event::Restart),
        2 => Just(Event::Park),
    ]
}

/// A writer whose lines are all different, and the source that reads them.
struct History {
    fixture: Fixture,
    written: Vec<String>,
    found: Vec<String>,
    /// A line of which only half is in the file.
    half: bool,
    /// The times of the files go up by an hour with each event, far from the clock.
    seconds: u64,
}

impl History {
    fn write(&mut self, name: &str, text: &str) {
        self.fixture.append_to(name, text);
        self.touch(name);
    }

    /// Times never repeat, as they do not when minutes lie between rotations.
    fn touch(&mut self, name: &str) {
        self.seconds += 1;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + self.seconds);
        let file = std::fs::File::options()
            .append(true)
            .open(self.fixture.path(name))
            .unwrap();
        file.set_modified(time).unwrap();
    }

    fn line(&mut self, name: &str, long: bool) {
        let number = self.written.len();
        let text = if std::mem::take(&mut self.half) {
            "second half".to_owned()
        } else {
            let line = format!("line {number} {}", "x".repeat(if long { 2_000 } else { 0 }));
            self.written.push(line.clone());
            line
        };
        if text == "second half" {
            let line = self.written.last_mut().unwrap();
            line.push_str(&text);
        }
        self.write(name, &(text + "\n"));
    }

    fn half(&mut self) {
        if !self.half {
            let line = format!("line {} first half ", self.written.len());
            self.write("in.txt", &line);
            self.written.push(line);
            self.half = true;
        }
    }

    /// Moves `in.txt.1` on to `in.txt.2` and so on, as logrotate does.
    fn make_room(&mut self) {
        for number in (1..60).rev() {
            for end in ["", ".gz"] {
                let from = format!("in.txt.{number}{end}");
                if self.fixture.path(&from).exists() {
                    self.fixture.rename(&from, &format!("in.txt.{}{end}", number + 1));
                }
            }
        }
    }

    fn rename(&mut self, late: bool) {
        self.make_room();
        self.fixture.rename("in.txt", "in.txt.1");
        if late {
            self.line("in.txt.1", false);
        }
        // What is left of a line stays a line of the old file.
        self.half = false;
        self.write("in.txt", "");
    }

    fn compress(&mut self) {
        for number in 1..60 {
            let name = format!("in.txt.{number}");
            let path = self.fixture.path(&name);
            if let Ok(content) = std::fs::read(&path) {
                let modified = path.metadata().unwrap().modified().unwrap();
                self.fixture.gzip(&format!("{name}.gz"), content).remove(&name);
                let file = std::fs::File::options()
                    .append(true)
                    .open(self.fixture.path(&format!("{name}.gz")));
                file.unwrap().set_modified(modified).unwrap();
                return;
            }
        }
    }

    fn copytruncate(&mut self) {
        self.make_room();
        self.fixture.copy("in.txt", "in.txt.1");
        self.touch("in.txt.1");
        self.fixture.overwrite("in.txt", "");
        self.half = false;
        // The writer goes on: what it writes is other than before.
        self.line("in.txt", false);
    }

    fn poll(&mut self) {
        let (_, records) = self.fixture.poll_with(LIMITS).unwrap();
        self.found.extend(records.into_iter().map(|(text, _)| text));
    }

    fn drain(&mut self) {
        let (records, _) = self.fixture.drain();
        self.found.extend(records.into_iter().map(|(text, _)| text));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Line => self.line("in.txt", false),
            Event::LongLine => self.line("in.txt", true),
            Event::Half => self.half(),
            Event::Rename => self.rename(false),
            Event::LateRename => self.rename(true),
            Event::Compress => self.compress(),
            Event::Copytruncate => self.copytruncate(),
            Event::Poll => self.poll(),
            Event::Drain => self.drain(),
            Event::Wait => self.fixture.wait(LONG_MS),
            Event::Restart => self.fixture.restart(),
            Event::Park => self.fixture.park(),
        }
    }
}

/// Lets all that happen to a source, and compares what it delivered with what was written.
fn check(fixture: Fixture, events: Vec<Event>) -> Result<(), TestCaseError> {
    let fixture = fixture.with("batch.size", "3").with("line.idle.timeout.ms", "0");
    let mut history = History {
        fixture,
        written: Vec::new(),
        found: Vec::new(),
        half: false,
        seconds: 0,
    };
    history.line("in.txt", false);
    history.fixture.try_start().unwrap();
    // Before anything is stored a rotated file is nobody's.
    history.drain();
    for event in events {
        history.happens(event);
    }
    if history.half {
        history.line("in.txt", false);
    }
    // Each file between takes a wait of its own.
    for _ in 0..70 {
        history.fixture.wait(LONG_MS);
        history.drain();
    }
    prop_assert_eq!(&history.found, &history.written);
    Ok(())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec(any_event(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once_and_in_order(events in events()) {
        check(Fixture::new(), events)?;
    }

    #[test]
    fn every_line_comes_once_and_in_order_with_patterns(events in events()) {
        check(Fixture::glob("in.*"), events)?;
    }
}
