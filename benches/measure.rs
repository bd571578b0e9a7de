//! One run, watched from outside: the sink file and `/proc` of every process of the chain.

use std::{
    fs,
    io::Read,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{LINE_BYTES, harness::process::Process};

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// From the start of the first process to the first bytes in the sink file.
    pub(crate) first_record: Duration,
    /// Lines per second between the first and the last record in the sink file.
    pub(crate) lines_per_second: f64,
    /// User and system time of all processes, from their start to the last record.
    pub(crate) cpu_seconds: f64,
    /// Lines per CPU second.
    pub(crate) lines_per_cpu_second: f64,
    /// Sum of the processes' peak resident memory, bytes.
    pub(crate) peak_bytes: f64,
}

impl Sample {
    pub(crate) fn line(&self) -> String {
        format!(
            "{:>9.0} lines/s  {:>6.2} CPU-s  {:>9.0} lines/CPU-s  {:>7.1} MB peak  first record after {:>6.3} s",
            self.lines_per_second,
            self.cpu_seconds,
            self.lines_per_cpu_second,
            self.peak_bytes / 1e6,
            self.first_record.as_secs_f64()
        )
    }
}

/// Follows a chain that was started at `started` until `sink` is as long as `source`, and checks that it is the same.
pub(crate) fn follow(started: Instant, processes: &mut [Process], source: &Path, sink: &Path) -> Sample {
    let expected = fs::metadata(source).unwrap().len();
    let length = || fs::metadata(sink).map_or(0, |metadata| metadata.len());
    while length() == 0 {
        assert!(
            processes.iter_mut().all(Process::is_running),
            "a process ended early"
        );
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "no record in the sink file after two minutes"
        );
        thread::sleep(Duration::from_millis(1));
    }
    let first_record = started.elapsed();
    let mut last_change = (Instant::now(), 0);
    while length() < expected {
        assert!(
            processes.iter_mut().all(Process::is_running),
            "a process ended early"
        );
        if length() != last_change.1 {
            last_change = (Instant::now(), length());
        }
        assert!(
            last_change.0.elapsed() < Duration::from_secs(60),
            "the sink file stopped at {} bytes",
            length()
        );
        thread::sleep(Duration::from_millis(5));
    }
    let transfer = started.elapsed() - first_record;
    let cpu_seconds: f64 = processes.iter().map(|process| cpu_seconds(process.id())).sum();
    let peak_bytes = processes.iter().map(|process| peak_bytes(process.id())).sum();
    assert_same(source, sink);
    #[allow(clippy::cast_precision_loss, reason = "a count of lines is far below 2^52")]
    let lines = (expected / LINE_BYTES as u64) as f64;
    Sample {
        first_record,
        lines_per_second: lines / transfer.as_secs_f64(),
        cpu_seconds,
        lines_per_cpu_second: lines / cpu_seconds,
        peak_bytes,
    }
}

fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime are fields 14 and 15 of the whole line, in clock ticks.
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "100 on Linux")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    ticks / per_second
}

fn peak_bytes(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

fn assert_same(source: &Path, sink: &Path) {
    let mut files = [fs::File::open(source).unwrap(), fs::File::open(sink).unwrap()];
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    loop {
        let count = files[0].read(&mut buffers[0]).unwrap();
        if count == 0 {
            assert_eq!(
                files[1].read(&mut buffers[1]).unwrap(),
                0,
                "the sink file is longer than the source"
            );
            return;
        }
        files[1].read_exact(&mut buffers[1][..count]).unwrap();
        assert!(
            buffers[0][..count] == buffers[1][..count],
            "the sink file differs from the source"
        );
    }
}
