//! What a record costs at the plugin boundary: calls inside the process, a native library and a WASM component of the same
//! connector, and beside them a component that hands over typed lists of records, which is why the batch is flat.
//!
//! `cargo bench --bench boundary -- [--rounds 9] [--calls 200]`. 500 records a call with a key, two headers and a source offset;
//! values of 100 and 1,024 bytes, and a struct of ten fields that is validated against its schema. Everything is checked as in
//! the worker. Rounds of all forms take turns; CPU time is that of the whole process, the host's threads included. Ends with
//! code 1 when a bar is missed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "a measuring program that shares the tests' scratch directories"
)]

#[path = "boundary/lists.rs"]
mod lists;
#[path = "boundary/package.rs"]
mod package;
#[path = "boundary/plugin.rs"]
#[allow(missing_docs, unreachable_pub, reason = "a library of its own, too")]
mod plugin;
#[path = "../tests/harness/scratch.rs"]
mod scratch;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use bytes::Bytes;
use clap::Parser;
use jackfield_api::{Config, Connector, LocalHost, Sink, Source};
use jackfield_plugin::{
    Form, HostedSink, HostedSource, PollLimits, Polled,
    in_process::{InProcessSink, InProcessSource},
};
use lists::Lists;
use rustix::time::{ClockId, clock_gettime};

const RECORDS: u32 = 500;
const SHAPES: [&str; 3] = ["100", "1024", "struct"];
const LIMITS: PollLimits = PollLimits {
    max_records: RECORDS,
    max_bytes: 64 << 20,
};
/// Times of calls inside the process, and times of the flat batch over WASM.
const MOST_NATIVE: f64 = 1.3;
const MOST_WASM: f64 = 2.5;
const LEAST_LISTS: f64 = 4.0;

/// CPU time per record at the plugin boundary.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of every form
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Calls in a round
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// One way over the boundary.
enum Way {
    Source(Box<dyn HostedSource>),
    Sink(Box<dyn HostedSink>, Vec<u8>),
    ListSource(Box<Lists>, &'static str),
    ListSink(Box<Lists>, Vec<lists::Entry>),
}

/// A row of the table: the ways that are compared, and what they cost per record in ns, round by round.
struct Row {
    name: String,
    ways: Vec<(&'static str, Way, Vec<f64>)>,
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let ns = time.tv_sec as f64 * 1e9 + time.tv_nsec as f64;
    ns
}

fn config(shape: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("shape".to_owned(), shape.to_owned())])
}

/// An encoded batch as a source made it.
async fn batch(source: &mut dyn HostedSource) -> Bytes {
    match source.poll(LIMITS).await.expect("the source is well") {
        Polled::Batch(batch) => batch.into_inner(),
        Polled::Idle(_) => panic!("records are always ready"),
    }
}

impl Way {
    /// So many calls; CPU ns per record.
    async fn run(&mut self, calls: usize) -> f64 {
        let mut ns = 0.0;
        match self {
            Self::Source(source) => {
                let begun = cpu_ns();
                for _ in 0..calls {
                    std::hint::black_box(batch(source.as_mut()).await);
                }
                ns += cpu_ns() - begun;
            }
            Self::Sink(sink, encoded) => {
                for _ in 0..calls {
                    // A batch that nobody else holds, as the worker has it; made before the clock is looked at.
                    let ready = Bytes::from(encoded.clone());
                    let begun = cpu_ns();
                    assert!(sink.put(ready).await.expect("the sink is well").is_empty());
                    ns += cpu_ns() - begun;
                }
            }
            Self::ListSource(lists, shape) => {
                let begun = cpu_ns();
                for _ in 0..calls {
                    std::hint::black_box(lists.poll(shape, RECORDS).await);
                }
                ns += cpu_ns() - begun;
            }
            Self::ListSink(lists, entries) => {
                let begun = cpu_ns();
                for _ in 0..calls {
                    std::hint::black_box(lists.put(entries).await);
                }
                ns += cpu_ns() - begun;
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a small count")]
        let records = (calls * RECORDS as usize) as f64;
        ns / records
    }
}

/// All ways of a shape, sources and sinks.
async fn rows(package: &package::Package, shape: &'static str) -> [Row; 2] {
    let values = Config::resolve(&plugin::Ready::config_def(), config(shape)).expect("a config");
    let host = LocalHost::new();
    let source = <plugin::Ready as Source>::start(&values, host.source_context()).expect("a source");
    let sink = <plugin::Taken as Sink>::start(&values, host.sink_context()).expect("a sink");
    let mut source = InProcessSource::new(Box::new(source));
    let encoded = batch(&mut source).await.to_vec();
    let mut sources = vec![("in process", Way::Source(Box::new(source)))];
    let sink: Box<dyn HostedSink> = Box::new(InProcessSink::new(Box::new(sink)));
    let mut sinks = vec![("in process", Way::Sink(sink, encoded.clone()))];
    for (name, form) in [("native", Form::Native), ("wasm", Form::Wasm)] {
        let (source, sink) = package.start(form, &config(shape)).await;
        sources.push((name, Way::Source(source)));
        sinks.push((name, Way::Sink(sink, encoded.clone())));
    }
    let mut lists = package.lists().await;
    let entries = lists.poll(shape, RECORDS).await;
    sources.push(("lists", Way::ListSource(Box::new(lists), shape)));
    sinks.push(("lists", Way::ListSink(Box::new(package.lists().await), entries)));
    let named = if shape == "struct" {
        "10 fields".to_owned()
    } else {
        format!("{shape} B")
    };
    let row = |kind: &str, ways: Vec<(&'static str, Way)>| Row {
        name: format!("{kind}, {named}"),
        ways: ways
            .into_iter()
            .map(|(name, way)| (name, way, Vec::new()))
            .collect(),
    };
    [row("source", sources), row("sink", sinks)]
}

fn median(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// Prints the table; whether all bars are met.
fn report(rows: &mut [Row]) -> bool {
    println!("CPU ns per record: median (lowest to highest round), and times of calls in process");
    println!(
        "{:<18} {:>20} {:>28} {:>28} {:>30}",
        "", "in process", "native", "wasm", "typed lists over wasm"
    );
    let mut met = true;
    for row in rows {
        let figures: Vec<_> = row.ways.iter_mut().map(|(_, _, rounds)| median(rounds)).collect();
        let [process, native, wasm, lists] = figures[..] else {
            panic!("four ways")
        };
        let shown =
            |(median, lowest, highest): (f64, f64, f64)| format!("{median:.0} ({lowest:.0}-{highest:.0})");
        let (by_native, by_wasm, by_lists) = (native.0 / process.0, wasm.0 / process.0, lists.0 / wasm.0);
        println!(
            "{:<18} {:>20} {:>20} {by_native:>6.2}x {:>20} {by_wasm:>6.2}x {:>17} {by_lists:>6.1}x wasm",
            row.name,
            shown(process),
            shown(native),
            shown(wasm),
            shown(lists),
        );
        met &= by_native <= MOST_NATIVE && by_wasm <= MOST_WASM && by_lists >= LEAST_LISTS;
    }
    let verdict = if met { "met" } else { "MISSED" };
    println!(
        "native at most {MOST_NATIVE}x, wasm at most {MOST_WASM}x, lists at least {LEAST_LISTS}x of wasm: {verdict}"
    );
    met
}

async fn measure(options: Options) -> bool {
    let package = package::Package::build();
    let mut all = Vec::new();
    for shape in SHAPES {
        all.extend(rows(&package, shape).await);
    }
    // The first round warms up.
    for round in 0..=options.rounds.max(1) {
        for row in &mut all {
            for (_, way, rounds) in &mut row.ways {
                let ns = way.run(options.calls).await;
                if round > 0 {
                    rounds.push(ns);
                }
            }
        }
    }
    report(&mut all)
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    // On a thread of the runtime, as tasks of the worker run.
    let group = Arc::new(jackfield_tasks::TaskGroup::new("boundary"));
    let met = runtime.block_on(async move {
        let mut measuring = group.spawn("measure", measure(options));
        measuring.join().await.expect("measured to the end")
    });
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
