//! Cuts under a broker alone: all kinds of clients go on through them.

use std::{fs, path::Path, time::Duration};

use super::disk::{self, Disk};
use crate::{
    harness::{
        program::{Broker, binary},
        random, rounds,
        scratch::{Scratch, free_port},
    },
    workload::load::{self, Load, Outcome},
};

/// So many cuts hit one file system, so that the time for reading everything after each stays short.
pub(super) const CUTS_PER_DISK: usize = 10;
/// Longest time between the first acknowledgements after a start and the cut.
pub(super) const LONGEST: Duration = Duration::from_millis(300);

/// A broker on a disk of its own.
pub(super) struct Site<'a> {
    program: &'a Path,
    durability: String,
    // Dropped in this order: the process, the disk, the directory.
    broker: Broker,
    pub(super) disk: Disk,
    scratch: Scratch,
}

impl<'a> Site<'a> {
    pub(super) fn new(name: &str, program: &'a Path, durability: &str) -> Self {
        let scratch = Scratch::new(name);
        let disk = Disk::new(&scratch);
        let durability = format!("durability={durability}");
        Self {
            program,
            broker: start(program, &scratch, free_port(), &durability),
            durability,
            disk,
            scratch,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.broker.port
    }

    /// Cuts the power and starts everything again. Returns what the log says that it
    /// should not say while there is power.
    pub(super) fn cut(&mut self) -> Vec<String> {
        let complaints = complaints(&self.scratch.join("broker.log"));
        self.disk.cut(&mut self.broker.process);
        self.disk.remount();
        fs::remove_file(self.scratch.join("broker.log")).unwrap();
        self.broker = start(self.program, &self.scratch, self.broker.port, &self.durability);
        complaints
    }
}

fn start(program: &Path, scratch: &Scratch, port: u16, durability: &str) -> Broker {
    let mut properties: Vec<_> = load::PROPERTIES
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    properties.push(durability.to_owned());
    let properties: Vec<_> = properties.iter().map(String::as_str).collect();
    Broker::start_binary(program, scratch, port, &properties)
}

/// Lines of a log since the last start that tell of an error: with power there is none, recovery included.
pub(super) fn complaints(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap();
    text.lines()
        .filter(|line| line.contains("ERROR") || line.contains("panicked"))
        .map(|line| format!("the log says: {line}"))
        .collect()
}

/// Cuts the power of `program` under load, `cuts` times, and lets `judge` look at the outcome.
pub(super) fn run<T>(
    name: &str,
    program: &Path,
    durability: &str,
    cuts: usize,
    judge: impl FnOnce(Outcome) -> T,
) -> T {
    let mut site = Site::new(name, program, durability);
    let mut load = Load::start(site.port());
    for _ in 0..cuts {
        if !load.goes_on() {
            break;
        }
        random::sleep(LONGEST);
        load.wait_for_acknowledgement();
        let complaints = site.cut();
        load.report(complaints);
        load.check();
    }
    judge(load.finish())
}

#[test]
fn a_broker_keeps_its_promises_without_power() {
    if disk::is_off() {
        return;
    }
    let cuts = rounds::of("POWER_CUTS", 20) * 3 / 10;
    let mut left = cuts;
    while left > 0 {
        let now = left.min(CUTS_PER_DISK);
        left -= now;
        run("power-broker", &binary(), "fsync", now, |outcome| {
            println!("{now} cuts: {}", outcome.summary());
            outcome.assert_good();
        });
    }
}
