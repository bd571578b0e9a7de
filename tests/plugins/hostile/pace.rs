//! A pipeline that has nothing to do with the others: lines of a file to a topic, at a quarter of what it can do. Looks at how
//! late they come.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{program::Standalone, wait, wire::Wire};

const TOPIC: &str = "paced";
/// Lines that the highest speed is measured with, and their length.
const MEASURED: u64 = 200_000;
const LINE: &[u8] =
    b"a line of the pipeline that must not notice what others do, of a length that is nothing special\n";
const TURN: Duration = Duration::from_millis(10);
/// Latest timestamp, of a request for offsets.
const END: i64 = -1;

/// The pipeline, fed and watched by threads.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) lines_per_second: f64,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// What was written, and when: lines so far.
    written: Mutex<Vec<(Instant, u64)>>,
    latest: Mutex<Duration>,
}

impl Pace {
    /// Makes the connector, measures how fast it is, and feeds it from then on.
    pub(super) fn start(worker: &Standalone, file: PathBuf) -> Self {
        fs::write(&file, LINE.repeat(usize::try_from(MEASURED).unwrap())).unwrap();
        let mut wire = worker.wire();
        let started = Instant::now();
        let config = json!({
            "connector.class": "FileStreamSource",
            "file": file,
            "topic": TOPIC,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        });
        let answer = worker.rest.put(&format!("/connectors/{TOPIC}/config"), &config);
        assert_eq!(answer.status, 201, "{answer:?}");
        wait::until("the lines that are measured", || {
            (delivered(&mut wire) >= MEASURED).then_some(())
        });
        #[allow(clippy::cast_precision_loss, reason = "a few hundred thousand")]
        let most = MEASURED as f64 / started.elapsed().as_secs_f64();
        let lines_per_second = most / 4.0;
        let shared = Arc::new(Shared::default());
        let (feeding, watching) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || feeding.feed(file, lines_per_second)),
            thread::spawn(move || watching.watch(wire)),
        ];
        Self {
            lines_per_second,
            shared,
            threads,
        }
    }

    /// How late a line was at most since this was last asked.
    pub(super) fn take_latest(&self) -> Duration {
        std::mem::take(&mut *self.shared.latest.lock().unwrap())
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            assert!(
                thread.join().is_ok() || thread::panicking(),
                "the pipeline's threads ended well"
            );
        }
    }
}

impl Shared {
    fn feed(&self, path: PathBuf, lines_per_second: f64) {
        let mut file = File::options().append(true).open(path).unwrap();
        let started = Instant::now();
        let mut lines = MEASURED;
        while !self.stop.load(Ordering::SeqCst) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let due = MEASURED + (started.elapsed().as_secs_f64() * lines_per_second) as u64;
            let now = Instant::now();
            file.write_all(&LINE.repeat(usize::try_from(due - lines).unwrap()))
                .unwrap();
            lines = due;
            self.written.lock().unwrap().push((now, lines));
            thread::sleep(TURN);
        }
    }

    fn watch(&self, mut wire: Wire) {
        let mut done = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let here = delivered(&mut wire);
            let now = Instant::now();
            let late = {
                let written = self.written.lock().unwrap();
                while written.get(done).is_some_and(|(_, lines)| *lines <= here) {
                    done += 1;
                }
                written
                    .get(done)
                    .map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
            };
            let mut latest = self.latest.lock().unwrap();
            *latest = (*latest).max(late);
            drop(latest);
            thread::sleep(TURN);
        }
    }
}

/// Lines in the topic; none when it is not there yet.
fn delivered(wire: &mut Wire) -> u64 {
    let (code, offset) = wire.try_list_offset(TOPIC, 0, END);
    if code == 0 {
        u64::try_from(offset).unwrap()
    } else {
        0
    }
}
