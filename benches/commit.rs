//! What group commit costs as the number of written partitions grows: one commit round over the log alone, and an acknowledged
//! produce (acks=all) over the socket. Beside it Apache Kafka with `flush.messages=1`, its durable equal, and with its default,
//! which acknowledges from the page cache.
//!
//! `cargo bench --bench commit -- [--partitions 1,200,1000] [--only rounds,jackfield,kafka-flush,kafka]`.
//!
//! *Rounds* writes one batch to every partition and waits until all are acknowledged, again and again; next to it the three ways
//! to make as many files durable. *Produce* keeps connections and offered load the same and changes only over how many
//! partitions they are spread, so that nothing but their number is compared; the time counts from when a request was due.
//! Needs the release program (`make build`), for Kafka a JDK and Maven.
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
mod produce;
mod rounds;
mod spread;

use std::time::Duration;

use clap::Parser;
use harness::{
    program::Broker,
    scratch::{Scratch, free_port},
};
use produce::Load;

/// What a commit round and an acknowledged produce cost with many written partitions.
#[derive(Debug, Parser)]
struct Options {
    /// Numbers of written partitions
    #[arg(long, value_delimiter = ',', default_values_t = [1, 200, 1000])]
    partitions: Vec<i32>,
    /// Commit rounds per number of partitions
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Connections that produce
    #[arg(long, default_value_t = 1000)]
    connections: i32,
    /// One request per connection in so many milliseconds; 0: the next one when the last one is answered
    #[arg(long, value_delimiter = ',', default_values_t = [1000])]
    period_ms: Vec<u64>,
    /// Seconds that are measured, after two of warming up
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Bytes of a batch
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// What to measure
    #[arg(long, value_delimiter = ',', value_parser = PARTS, default_values = PARTS)]
    only: Vec<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

const PARTS: [&str; 4] = ["rounds", "jackfield", "kafka-flush", "kafka"];
/// Warming up, not measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// The 99th percentile with the most partitions may be so many times that with the fewest.
const BAR: f64 = 3.0;

fn main() {
    let options = Options::parse();
    let wanted = |part: &str| options.only.iter().any(|name| name == part);
    if wanted("rounds") {
        rounds::measure(&options.partitions, options.rounds, options.bytes);
    }
    for period_ms in &options.period_ms {
        for peer in PARTS[1..].iter().filter(|part| wanted(part)) {
            compare(&options, *period_ms, peer);
        }
    }
}

/// One broker after another with each number of partitions; prints percentiles and how they grow.
fn compare(options: &Options, period_ms: u64, peer: &str) {
    let load = match period_ms {
        0 => "the next request when the last one is answered".to_owned(),
        period => format!("a request each {period} ms"),
    };
    println!(
        "\n{peer}: acks=all, {} connections, {load}, batches of {} bytes",
        options.connections, options.bytes
    );
    let mut p99 = Vec::new();
    for partitions in &options.partitions {
        let load = Load {
            partitions: *partitions,
            connections: options.connections,
            period: Duration::from_millis(period_ms),
            warm_up: WARM_UP,
            measured: Duration::from_secs(options.seconds),
            bytes: options.bytes,
        };
        let acknowledged = run(peer, &load);
        println!(
            "{partitions:>6} partitions  {:>8} requests/s  {}",
            acknowledged.len() as u64 / options.seconds,
            acknowledged.line()
        );
        p99.push(acknowledged.percentile(99.0));
    }
    if let (Some(first), Some(last)) = (p99.first(), p99.last()) {
        let growth = last.as_secs_f64() / first.as_secs_f64();
        let verdict = match (peer, growth <= BAR) {
            ("jackfield", true) => format!("   bar: ≤ {BAR} × met"),
            ("jackfield", false) => format!("   bar: ≤ {BAR} × MISSED"),
            _ => String::new(),
        };
        println!("  p99 with the most partitions over that with the fewest: {growth:.2} ×{verdict}");
    }
}

fn run(peer: &str, load: &Load) -> spread::Spread {
    let scratch = Scratch::new("bench-commit");
    if peer == "jackfield" {
        let mut broker = Broker::start(&scratch, &[]);
        let acknowledged = produce::run(broker.port, &[], load);
        broker.stop();
        return acknowledged;
    }
    let port = free_port();
    let _kafka = peer::Prepared::new(&scratch, port, &[]).start();
    let flush: &[(&str, &str)] = match peer {
        "kafka-flush" => &[("flush.messages", "1")],
        _ => &[],
    };
    produce::run(port, flush, load)
}
