//! Debian's logrotate as the rotator of a log that is written fast: an hour's worth between two rotations, in fast motion,
//! while the worker runs and while it is stopped. Every line arrives once and in order.
//!
//! The writer does what logrotate's manual wants of it: after `create` it opens the new file when the `postrotate` script
//! says so; around `copytruncate`, which loses what is written between copying and truncating, it holds still.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    in_both_forms,
    numbered::{assert_each_once, in_sink, in_topic, line, numbers_in, wait_for_line},
    rotation::pipeline,
};
use crate::harness::{process, scratch::Scratch, wait};

/// Bytes per second, unless the machine is slower.
const RATE: u64 = 10_000_000;
/// An hour's worth.
const HOUR_BYTES: u64 = 2_000_000;
/// Rotations while the worker runs, while it is stopped, and after that.
const ROTATIONS: [usize; 3] = [4, 3, 2];

/// Appends numbered lines to `test.txt`, some per write, and listens to the scripts of logrotate: while a file `hold` is
/// there it holds still and says so by `held`.
#[derive(Debug)]
struct Writer {
    bytes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Writer {
    fn start(scratch: &Scratch) -> Self {
        let (bytes, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let files = ["test.txt", "hold", "held"].map(|name| scratch.join(name));
        let (written, ended) = (Arc::clone(&bytes), Arc::clone(&stop));
        let thread = thread::spawn(move || write(&files, &written, &ended));
        Self { bytes, stop, thread }
    }

    fn wait_for_an_hour(&self) {
        let wanted = self.bytes.load(Ordering::SeqCst) + HOUR_BYTES;
        wait::until("the log to grow", || {
            assert!(!self.thread.is_finished(), "the writer ended early");
            (self.bytes.load(Ordering::SeqCst) >= wanted).then_some(())
        });
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the writer did not fail")
    }
}

fn write([path, hold, held]: &[PathBuf; 3], bytes: &AtomicU64, stop: &AtomicBool) -> u64 {
    let open = || File::options().create(true).append(true).open(path).unwrap();
    let mut file = open();
    let mut next = 0;
    let mut started = Instant::now();
    let mut since_start = 0;
    while !stop.load(Ordering::SeqCst) {
        if hold.exists() {
            // All lines are whole here.
            fs::write(held, "").unwrap();
            wait::until("logrotate to go on", || (!hold.exists()).then_some(()));
            fs::remove_file(held).unwrap();
            // After `create` the name means another file.
            file = open();
            (started, since_start) = (Instant::now(), 0);
        }
        let mut lines = String::new();
        for _ in 0..=next % 50 {
            lines.push_str(&line(next));
            lines.push('\n');
            next += 1;
        }
        // Two writes, the first of which ends somewhere in a line.
        let (first, second) = lines.as_bytes().split_at(lines.len() / 2);
        file.write_all(first).unwrap();
        file.write_all(second).unwrap();
        since_start += lines.len() as u64;
        bytes.fetch_add(lines.len() as u64, Ordering::SeqCst);
        thread::sleep(
            Duration::from_micros(since_start * 1_000_000 / RATE).saturating_sub(started.elapsed()),
        );
    }
    next
}

/// One run of logrotate, with a state file of its own.
fn rotate(scratch: &Scratch) {
    let mut command = Command::new("logrotate");
    // Debian keeps it where only root looks.
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(["--force", "--state"]).arg(scratch.join("state"));
    process::run(command.arg(scratch.join("logrotate.conf")));
}

fn every_line_arrives_once(form: &str, name: &str, options: &[&str]) {
    let mut pipeline = pipeline(&format!("logrotate-{name}"), form);
    let (scratch, path) = (&pipeline.scratch, pipeline.scratch.path().display());
    let hold = format!("touch {path}/hold; until [ -e {path}/held ]; do sleep 0.01; done");
    let release = format!("rm {path}/hold; while [ -e {path}/held ]; do sleep 0.01; done");
    // Writing goes on while files are renamed and new ones are made; it must not while one is copied and truncated.
    let scripts = if options.contains(&"copytruncate") {
        format!("prerotate\n{hold}\nendscript\npostrotate\n{release}\nendscript")
    } else {
        format!("postrotate\n{hold}\n{release}\nendscript")
    };
    let options = options.join("\n");
    let config = format!("{path}/test.txt {{\nrotate 100\nnodateext\n{options}\n{scripts}\n}}\n");
    let config = scratch.write("logrotate.conf", config);
    // It refuses configs that others might have written.
    fs::set_permissions(config, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();

    let writer = Writer::start(scratch);
    pipeline.start();
    wait::until("the first lines to arrive", || {
        (!pipeline.sink().is_empty()).then_some(())
    });
    for (phase, rotations) in ROTATIONS.into_iter().enumerate() {
        if phase == 1 {
            pipeline.worker.stop(Signal::TERM);
        }
        for _ in 0..rotations {
            writer.wait_for_an_hour();
            rotate(&pipeline.scratch);
        }
        if phase == 1 {
            pipeline.start();
        }
    }
    writer.wait_for_an_hour();
    let total = writer.finish();
    assert_eq!(
        in_files(&pipeline.scratch),
        (0..total).collect::<Vec<_>>(),
        "logrotate lost lines itself"
    );
    wait_for_line(&pipeline, total - 1);
    assert_each_once("topic", &in_topic(&pipeline), total);
    assert_each_once("sink file", &in_sink(&pipeline), total);
}

/// The lines of all files at the end, whatever they are called, by number.
fn in_files(scratch: &Scratch) -> Vec<u64> {
    use std::io::Read;
    let mut numbers = Vec::new();
    let mut rotated = 0;
    for file in fs::read_dir(scratch.path()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("test.txt") {
            continue;
        }
        rotated += usize::from(name != "test.txt");
        let mut text = String::new();
        let file = File::open(&path).unwrap();
        if name.ends_with(".gz") {
            flate2::read::MultiGzDecoder::new(file)
                .read_to_string(&mut text)
                .unwrap();
        } else {
            (&file).read_to_string(&mut text).unwrap();
        }
        numbers.extend(numbers_in(&text));
    }
    assert_eq!(rotated, ROTATIONS.iter().sum::<usize>(), "rotated files");
    numbers.sort_unstable();
    numbers
}

fn create(form: &str) {
    every_line_arrives_once(form, "create", &["create"]);
}

fn create_compress(form: &str) {
    every_line_arrives_once(form, "create-compress", &["create", "compress"]);
}

fn create_delaycompress(form: &str) {
    every_line_arrives_once(form, "create-delay", &["create", "compress", "delaycompress"]);
}

fn copytruncate(form: &str) {
    every_line_arrives_once(form, "copy", &["copytruncate"]);
}

fn copytruncate_compress(form: &str) {
    every_line_arrives_once(form, "copy-compress", &["copytruncate", "compress"]);
}

fn copytruncate_delaycompress(form: &str) {
    every_line_arrives_once(form, "copy-delay", &["copytruncate", "compress", "delaycompress"]);
}

in_both_forms!(
    create,
    create_compress,
    create_delaycompress,
    copytruncate,
    copytruncate_compress,
    copytruncate_delaycompress,
);
