//! Standard input as a source.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_api::{
    Config, Connector, LocalHost, PollLimits,
    batch::{Batch, BatchBuilder, Value},
};

use super::fixture::LIMITS;
use crate::{
    FileStreamSource,
    source_config::SourceConfig,
    stdin::Stdin,
    stream::{Input, Stream},
};

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

fn on_stdin(host: &Arc<LocalHost>, stdin: Stdin) -> FileStreamSource {
    let settings = BTreeMap::from([("topic".to_owned(), "t".to_owned())]);
    let config = Config::resolve(&FileStreamSource::config_def(), settings).unwrap();
    let mut source = FileStreamSource::new(SourceConfig::read(&config).unwrap(), host.source_context());
    source.streams.push(Stream::of_stdin(stdin, None));
    source
}

/// What a task took of standard input and did not deliver is not lost with it.
#[test]
fn a_task_leaves_the_rest_of_standard_input_to_the_next() {
    let host = LocalHost::new();
    let wake = || host.source_context().wake_handle();
    let input = std::io::Cursor::new("one\ntwo\nthree\nfo").chain(std::io::Cursor::new("ur\nfive\n"));
    let mut source = on_stdin(&host, Stdin::reading(input, wake()));
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
        let Input::Stdin(stdin) = &source.streams[0].input else {
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
    let stdin = Stdin::reading(input, host.source_context().wake_handle());
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
