//! Side by side: file → topic → file through Jackfield (native and WASM connectors) and through Apache Kafka + Connect, on this
//! machine, with the same input, in alternating runs.
//!
//! `cargo bench --bench pipeline -- [--lines N] [--runs N] [--only native,wasm,kafka] [--converters string,json]`.
//! Needs the release program and its plugins (`make build`), a JDK and Maven (Apache Kafka's jars, fetched once).
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
mod measure;
mod peer;
mod report;

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use clap::Parser;
use harness::{
    kafka::RealKafka,
    process::Process,
    program::{Standalone, binary},
    scratch::{Scratch, free_port},
    wait,
};
use measure::Sample;

const LINE_BYTES: usize = 100;

/// What is measured: one chain with one converter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) chain: String,
    pub(crate) converter: String,
}

/// File → topic → file through Jackfield and through Apache Kafka with Kafka Connect, side by side.
#[derive(Debug, Parser)]
struct Options {
    /// Lines of the input
    #[arg(long, default_value_t = 5_000_000)]
    lines: usize,
    /// Runs of every case; the cases alternate
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Chains to measure
    #[arg(long, value_delimiter = ',', value_parser = CHAINS, default_values = CHAINS)]
    only: Vec<String>,
    /// Converters to measure
    #[arg(long, value_delimiter = ',', value_parser = CONVERTERS, default_values = CONVERTERS)]
    converters: Vec<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Jackfield with the connectors in both forms, and its peer.
const CHAINS: [&str; 3] = ["native", "wasm", "kafka"];
/// Strings as they are, and JSON that carries its schema.
const CONVERTERS: [&str; 2] = ["string", "json"];

fn main() {
    let options = Options::parse();
    let input = Scratch::new("bench-input");
    println!(
        "{} lines of {LINE_BYTES} bytes, {} runs each, alternating",
        options.lines, options.runs
    );
    let source = write_input(&input, options.lines);
    let mut samples: Vec<(Case, Sample)> = Vec::new();
    for run in 1..=options.runs {
        for converter in &options.converters {
            for chain in &options.only {
                let case = Case {
                    chain: chain.clone(),
                    converter: converter.clone(),
                };
                let sample = match chain.as_str() {
                    "kafka" => run_kafka(&source, &case),
                    form => run_jackfield(&source, &case, form),
                };
                println!("run {run}: {chain:<7} {converter:<7} {}", sample.line());
                samples.push((case, sample));
            }
        }
    }
    report::print(&samples);
}

/// Lines of fixed length that differ from each other.
fn write_input(scratch: &Scratch, lines: usize) -> std::path::PathBuf {
    let path = scratch.join("lines.txt");
    let mut file = BufWriter::new(fs::File::create(&path).unwrap());
    for number in 0..lines {
        writeln!(
            file,
            "{number:012} {}",
            &TEXT[number % 20..number % 20 + LINE_BYTES - 14]
        )
        .unwrap();
    }
    file.flush().unwrap();
    path
}

const TEXT: &str = "the quick brown fox jumps over the lazy dog while \"quotes\" and \\slashes\\ want escaping; 0123456789 abcdefghij";

fn converter_class(case: &Case) -> &'static str {
    match case.converter.as_str() {
        "string" => "org.apache.kafka.connect.storage.StringConverter",
        _ => "org.apache.kafka.connect.json.JsonConverter",
    }
}

fn run_jackfield(source: &Path, case: &Case, form: &str) -> Sample {
    let scratch = Scratch::new("bench-jackfield");
    let mut worker = Standalone::new(&scratch);
    worker.property("key.converter", converter_class(case));
    worker.property("value.converter", converter_class(case));
    worker.property("offset.flush.interval.ms", "10000");
    let directories = format!(
        "{},{}",
        scratch.path().display(),
        source.parent().unwrap().display()
    );
    worker.property("plugin.wasm.directories", &directories);
    let connectors = connectors(&scratch, source, &[("plugin.form", form)]);
    let connectors: Vec<_> = connectors.iter().map(String::as_str).collect();
    let started = Instant::now();
    let process = worker.launch(&binary(), &connectors);
    measure::follow(started, &mut [process], source, &scratch.join("out.txt"))
}

/// Broker and Connect worker with the heap and collector settings of Kafka's own start scripts.
fn run_kafka(source: &Path, case: &Case) -> Sample {
    let scratch = Scratch::new("bench-kafka");
    let port = free_port();
    let config = RealKafka::format(&scratch, port, &[]);
    let converter = converter_class(case);
    let rest = free_port();
    let worker = scratch.write(
        "worker.properties",
        format!(
            "bootstrap.servers=127.0.0.1:{port}\nlisteners=http://127.0.0.1:{rest}\nkey.converter={converter}\n\
             value.converter={converter}\noffset.flush.interval.ms=10000\noffset.storage.file.filename={}\n",
            scratch.join("offsets").display()
        ),
    );
    let connectors = connectors(&scratch, source, &[]);
    let started = Instant::now();
    let broker = Process::start(
        "kafka",
        peer::java(peer::BROKER_HEAP, "kafka.Kafka").arg(config),
        &scratch.join("kafka.log"),
    );
    wait::until("kafka to accept connections", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let connect = Process::start(
        "connect",
        peer::java(
            "-Xms256M -Xmx2G",
            "org.apache.kafka.connect.cli.ConnectStandalone",
        )
        .arg(worker)
        .args(connectors.iter().map(|name| scratch.join(name)))
        .current_dir(scratch.path()),
        &scratch.join("connect.log"),
    );
    measure::follow(started, &mut [broker, connect], source, &scratch.join("out.txt"))
}

/// Writes the two connectors' files and returns their names.
fn connectors(scratch: &Scratch, source: &Path, extra: &[(&str, &str)]) -> Vec<String> {
    let write = |name: &str, properties: &[(&str, &str)]| {
        let lines: Vec<_> = properties
            .iter()
            .chain(extra)
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        scratch.write(
            &format!("{name}.properties"),
            format!("name={name}\n{}", lines.concat()),
        );
        format!("{name}.properties")
    };
    let out = scratch.join("out.txt");
    vec![
        write(
            "source",
            &[
                ("connector.class", "FileStreamSource"),
                ("file", source.to_str().unwrap()),
                ("topic", "bench"),
            ],
        ),
        write(
            "sink",
            &[
                ("connector.class", "FileStreamSink"),
                ("file", out.to_str().unwrap()),
                ("topics", "bench"),
            ],
        ),
    ]
}
