//! Random histories against a model: appends, repeats, reads, retention, shutdowns, crashes and torn writes in any order.

use std::{collections::HashMap, fs, io::Write};

use bytes::BytesMut;
use jackfield_protocol::records::{Compression, RecordBatchBuilder};
use proptest::prelude::*;

use super::rig::{Rig, START_MS, batch, config, decode};
use crate::{Appended, ReadError};

#[derive(Debug, Clone)]
enum Step {
    /// Values of these sizes, from one of three producers or (3) from none.
    Append(Vec<usize>, u8),
    /// A producer sends its last batch again.
    Repeat(u8),
    /// From a place in the log (of 1000) on, at most so many bytes.
    Read(i64, usize),
    /// Keeps so many bytes.
    Retain(i64),
    Restart,
    Crash,
    /// A crash in the middle of a write: so many bytes of a batch are behind the end.
    Tear(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (prop::collection::vec(0_usize..200, 1..4), 0_u8..4).prop_map(|(sizes, producer)| Step::Append(sizes, producer)),
        2 => (0_u8..3).prop_map(Step::Repeat),
        4 => (0_i64..1_000, 1_usize..3_000).prop_map(|(at, max)| Step::Read(at, max)),
        1 => (0_i64..4_000).prop_map(Step::Retain),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => (1_usize..100).prop_map(Step::Tear),
    ];
    prop::collection::vec(step, 1..60)
}

struct Model {
    rig: Rig,
    /// Values of all records ever appended.
    values: Vec<String>,
    /// Next sequence, last batch and its result of each producer.
    producers: HashMap<u8, (i32, BytesMut, Appended)>,
}

impl Model {
    fn run(&mut self, step: Step) {
        match step {
            Step::Append(sizes, producer) => self.append(&sizes, producer),
            Step::Repeat(producer) => {
                if let Some((_, batch, before)) = self.producers.get(&producer) {
                    let again = self.rig.append(batch.clone());
                    assert_eq!(
                        (again.base_offset, again.last_offset),
                        (before.base_offset, before.last_offset),
                        "appended once"
                    );
                }
            }
            Step::Read(at, max_bytes) => self.read(at, max_bytes),
            Step::Retain(bytes) => self.retain(bytes),
            Step::Restart => self.rig.restart(),
            Step::Crash => self.rig.crash(),
            Step::Tear(bytes) => self.tear(bytes),
        }
        let log = self.rig.log();
        let end = i64::try_from(self.values.len()).unwrap();
        assert_eq!((log.log_end_offset(), log.high_watermark()), (end, end));
    }

    fn append(&mut self, sizes: &[usize], producer: u8) {
        let mut builder = RecordBatchBuilder::new(Compression::None);
        let base = i64::try_from(self.values.len()).unwrap();
        for size in sizes {
            let value = format!("{} {}", self.values.len(), "v".repeat(*size));
            builder.push(START_MS, None, Some(value.as_bytes()), &[]);
            self.values.push(value);
        }
        let sequence = self.producers.get(&producer).map_or(0, |(next, ..)| *next);
        if producer < 3 {
            builder.producer(i64::from(producer), 0, sequence);
        }
        let batch = builder.finish();
        let appended = self.rig.append(batch.clone());
        assert_eq!(appended.base_offset, base);
        if producer < 3 {
            let next = sequence + i32::try_from(sizes.len()).unwrap();
            self.producers.insert(producer, (next, batch, appended));
        }
    }

    fn read(&self, at: i64, max_bytes: usize) {
        let log = self.rig.log();
        let end = log.high_watermark();
        let offset = at * (end + 1) / 1_000;
        if offset < log.log_start_offset() {
            let refused = log.read(offset, max_bytes, true).unwrap_err();
            assert!(matches!(refused, ReadError::OutOfRange { .. }));
            return;
        }
        let small = log.read(offset, max_bytes, false).unwrap().slice;
        assert!(small.is_none_or(|slice| slice.len <= max_bytes));
        let Some(slice) = log.read(offset, max_bytes, true).unwrap().slice else {
            assert_eq!(offset, end, "nothing is there at the end only");
            return;
        };
        let seen = decode(&slice.read().unwrap());
        assert!(seen[0].0 <= offset && seen[seen.len() - 1].0 >= offset);
        for (offset, value) in seen {
            assert_eq!(value, self.values[usize::try_from(offset).unwrap()]);
        }
    }

    fn retain(&self, bytes: i64) {
        let log = self.rig.log();
        let (before, size) = (log.log_start_offset(), log.size_bytes());
        let mut config = log.config();
        config.retention_bytes = bytes;
        log.set_config(config);
        self.rig.manager().apply_retention();
        assert!(log.log_start_offset() >= before);
        let kept = i64::try_from(log.size_bytes()).unwrap();
        assert!(kept >= bytes.min(i64::try_from(size).unwrap()), "kept {kept}");
        log.set_config(self.rig.config.clone());
        // An active segment that was closed is counted as committed with the next round.
        self.rig.clock.advance_ms(1);
    }

    fn tear(&mut self, bytes: usize) {
        drop(self.rig.log());
        self.rig.kill();
        let last = self
            .rig
            .files()
            .into_iter()
            .rfind(|name| name.ends_with(".log"))
            .unwrap();
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.rig.file(&last))
            .unwrap();
        let torn = batch(&["never acknowledged, and cut off somewhere"]);
        file.write_all(&torn[..bytes.min(torn.len() - 1)]).unwrap();
        drop(file);
        self.rig.open();
    }

    /// Everything that is kept, in order.
    fn check(&self) {
        let start = self.rig.log().log_start_offset();
        let seen = self.rig.consume(start);
        let expected: Vec<_> = (start..)
            .zip(&self.values[usize::try_from(start).unwrap()..])
            .collect();
        assert_eq!(seen.len(), expected.len());
        for ((offset, value), (expected_offset, expected)) in seen.iter().zip(expected) {
            assert_eq!((*offset, value), (expected_offset, expected));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_what_was_acknowledged(
        steps in steps(),
        segment_bytes in 800_u64..3_000,
        index_interval_bytes in 0_u64..600,
    ) {
        let mut config = config();
        config.segment_bytes = segment_bytes;
        config.index_interval_bytes = index_interval_bytes;
        let mut model = Model { rig: Rig::with(config), values: Vec::new(), producers: HashMap::new() };
        for step in steps {
            model.run(step);
        }
        model.check();
        model.rig.restart();
        model.check();
        model.rig.crash();
        model.check();
    }
}

/// Several writers and readers of one partition at once: consecutive offsets, each writer's records in its order, and
/// no reader ever sees a gap or anything twice.
#[test]
fn writers_and_readers_meet() {
    const EACH: usize = 150;
    let mut config = config();
    config.segment_bytes = 4_000;
    let rig = Rig::with(config);
    let log = rig.log();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..EACH {
                    let value = format!("{writer} {n}");
                    let appended = log
                        .append(batch(&[&value, &value]), crate::AppendOrigin::Client)
                        .unwrap();
                    if n % 10 == 9 {
                        super::rig::wait(log.committed(appended.last_offset)).unwrap();
                    }
                }
            });
        }
        for _ in 0..2 {
            let log = &log;
            scope.spawn(move || {
                let mut offset = 0;
                let mut next = [0; 3];
                while offset < i64::try_from(EACH * 3 * 2).unwrap() {
                    let waiter = std::sync::Arc::new(tokio::sync::Notify::new());
                    log.notify_on_advance(&waiter);
                    let fetched = log.read(offset, 700, true).unwrap();
                    let Some(slice) = fetched.slice else {
                        super::rig::wait(waiter.notified());
                        continue;
                    };
                    for (at, value) in decode(&slice.read().unwrap()) {
                        assert_eq!(at, offset, "no gap, nothing twice");
                        assert!(at < fetched.high_watermark);
                        let (writer, n) = value.split_once(' ').unwrap();
                        let next = &mut next[writer.parse::<usize>().unwrap()];
                        assert_eq!(n.parse::<usize>().unwrap(), *next / 2, "in its order");
                        *next += 1;
                        offset += 1;
                    }
                }
            });
        }
    });
    assert_eq!(rig.consume(0).len(), EACH * 3 * 2);
}
