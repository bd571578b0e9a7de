//! How long a broker takes to be there again, and what it holds in memory when idle: an empty start, a restart after kill -9 with
//! much data in many partitions, a clean restart of it. Beside it Apache Kafka with the same data.
//!
//! `cargo bench --bench recovery -- [--gib 10] [--partitions 1000] [--only jackfield,kafka] [--cold]`.
//!
//! Ready means that connections are accepted and metadata of every partition is served. The data is written as Kafka's clients
//! write it by default: idempotent producers, batches of 16 KiB; the process is killed while they write. `--cold` drops the data
//! from the page cache before each restart, as after a boot. Needs the release program (`make build`), for Kafka a JDK and
//! Maven, and twice the room on the disk of the build directory that the data takes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "a measuring program that shares the tests' harness"
)]

#[path = "../tests/harness/mod.rs"]
mod harness;
mod peer;
mod volume;

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use harness::{
    process::Process,
    program::binary,
    scratch::{Scratch, free_port},
};
use rustix::process::Signal;
use volume::Volume;

/// Restarts with much data, and idle memory.
#[derive(Debug, Parser)]
struct Options {
    /// Data in all partitions together
    #[arg(long, default_value_t = 10.0)]
    gib: f64,
    /// Partitions of one topic
    #[arg(long, default_value_t = 1000)]
    partitions: i32,
    /// Brokers to measure
    #[arg(long, value_delimiter = ',', value_parser = BROKERS, default_values = BROKERS)]
    only: Vec<String>,
    /// Seconds without load before memory is read
    #[arg(long, default_value_t = 10)]
    idle_seconds: u64,
    /// Drop the data from the page cache before every restart
    #[arg(long)]
    cold: bool,
    /// Leave the data where it is, for a closer look
    #[arg(long)]
    keep: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const BROKERS: [&str; 2] = ["jackfield", "kafka"];
/// Kafka may read everything again.
const PATIENCE: Duration = Duration::from_secs(900);
const MIB: f64 = 1024.0 * 1024.0;

/// What was measured of one broker.
#[derive(Debug, Clone, Copy)]
struct Figures {
    empty_start: Duration,
    empty_bytes: f64,
    after_kill: Duration,
    clean_start: Duration,
    idle_bytes: f64,
}

fn main() {
    let options = Options::parse();
    println!(
        "{} GiB in {} partitions{}",
        options.gib,
        options.partitions,
        if options.cold {
            ", dropped from the page cache before each restart"
        } else {
            ""
        }
    );
    let figures: Vec<(String, Figures)> = options
        .only
        .iter()
        .map(|name| {
            let figures = measure(name, &options);
            print(name, &figures);
            (name.clone(), figures)
        })
        .collect();
    let of = |wanted: &str| {
        figures
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, figures)| figures)
    };
    if let (Some(ours), Some(kafka)) = (of("jackfield"), of("kafka")) {
        compare(ours, kafka);
    }
}

fn print(name: &str, figures: &Figures) {
    let bar = |met: bool| match (name, met) {
        ("jackfield", true) => "met",
        ("jackfield", false) => "MISSED",
        _ => "",
    };
    let time = |what: &str, time: Duration, limit: f64| {
        let seconds = time.as_secs_f64();
        println!(
            "  {what:<28}{seconds:>9.3} s     bar: ≤ {limit} s {}",
            bar(seconds <= limit)
        );
    };
    let memory = |what: &str, bytes: f64| {
        let mib = bytes / MIB;
        println!("  {what:<28}{mib:>9.1} MiB   bar: ≤ 40 MiB {}", bar(mib <= 40.0));
    };
    println!("{name}");
    time("empty start", figures.empty_start, 0.2);
    time("restart after kill -9", figures.after_kill, 5.0);
    time("clean restart", figures.clean_start, 1.0);
    memory("idle memory, empty", figures.empty_bytes);
    memory("idle memory, with the data", figures.idle_bytes);
}

fn compare(ours: &Figures, kafka: &Figures) {
    println!("jackfield against Kafka");
    for (what, ratio) in [
        (
            "empty start",
            kafka.empty_start.as_secs_f64() / ours.empty_start.as_secs_f64(),
        ),
        (
            "restart after kill -9",
            kafka.after_kill.as_secs_f64() / ours.after_kill.as_secs_f64(),
        ),
        (
            "clean restart",
            kafka.clean_start.as_secs_f64() / ours.clean_start.as_secs_f64(),
        ),
        ("idle memory, empty", kafka.empty_bytes / ours.empty_bytes),
        ("idle memory, with the data", kafka.idle_bytes / ours.idle_bytes),
    ] {
        println!("  {what:<28} 1/{ratio:.1}");
    }
}

fn measure(name: &str, options: &Options) -> Figures {
    let scratch = Scratch::new("bench-recovery");
    let launcher = Launcher::new(name, &scratch);
    let idle = Duration::from_secs(options.idle_seconds);
    let (process, empty_start) = launcher.start(0);
    thread::sleep(idle);
    let empty_bytes = resident_bytes(process.id());
    let volume = Volume::create(launcher.port, options.partitions);
    let data_bytes = options.gib * 1024.0 * MIB;
    let writing = Instant::now();
    volume.fill(launcher.port, data_bytes, process);
    println!(
        "{name}: written and killed after {:.0} s",
        writing.elapsed().as_secs_f64()
    );
    launcher.drop_cache(options.cold);
    let (mut process, after_kill) = launcher.start(options.partitions);
    let missing = volume.missing(launcher.port, data_bytes);
    assert!(
        name != "jackfield" || missing == 0,
        "{missing} partitions do not serve what was acknowledged"
    );
    if missing > 0 {
        println!("{name}: {missing} partitions do not serve what was acknowledged");
    }
    stop(&mut process);
    launcher.drop_cache(options.cold);
    let (mut process, clean_start) = launcher.start(options.partitions);
    thread::sleep(idle);
    let idle_bytes = resident_bytes(process.id());
    stop(&mut process);
    if options.keep {
        println!("{name}: kept {}", scratch.path().display());
        std::mem::forget(scratch);
    }
    Figures {
        empty_start,
        empty_bytes,
        after_kill,
        clean_start,
        idle_bytes,
    }
}

fn stop(process: &mut Process) {
    let started = Instant::now();
    process.signal(Signal::TERM);
    while process.is_running() {
        assert!(started.elapsed() < PATIENCE, "the broker does not stop");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts one kind of broker on the same directory again and again.
#[derive(Debug)]
struct Launcher<'a> {
    scratch: &'a Scratch,
    port: u16,
    kafka: Option<peer::Prepared>,
}

impl<'a> Launcher<'a> {
    fn new(name: &str, scratch: &'a Scratch) -> Self {
        let port = free_port();
        Self {
            scratch,
            port,
            kafka: (name == "kafka").then(|| peer::Prepared::new(scratch, port, &[])),
        }
    }

    /// Starts it, and waits until metadata of so many partitions is served.
    fn start(&self, partitions: i32) -> (Process, Duration) {
        let started = Instant::now();
        let mut process = match &self.kafka {
            Some(kafka) => kafka.launch(),
            None => Process::start(
                "jackfield broker",
                Command::new(binary())
                    .current_dir(self.scratch.path())
                    .args(["broker", "--set"])
                    .arg(format!("listeners=PLAINTEXT://127.0.0.1:{}", self.port))
                    .arg("--set")
                    .arg(format!("log.dirs={}", self.scratch.join("data").display())),
                &self.scratch.join("broker.log"),
            ),
        };
        while TcpStream::connect(("127.0.0.1", self.port)).is_err()
            || !volume::is_served(self.port, partitions)
        {
            assert!(process.is_running(), "the broker ended early");
            assert!(started.elapsed() < PATIENCE, "the broker does not get ready");
            thread::sleep(Duration::from_millis(1));
        }
        let ready = started.elapsed();
        (process, ready)
    }

    /// Takes the files' content out of the page cache.
    fn drop_cache(&self, wanted: bool) {
        if wanted {
            for directory in ["data", "kafka-data"] {
                drop_directory(&self.scratch.join(directory));
            }
        }
    }
}

fn drop_directory(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            drop_directory(&path);
        } else if let Ok(file) = fs::File::open(&path) {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).ok();
        }
    }
}

fn resident_bytes(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}
