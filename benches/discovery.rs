//! How long it takes to find the packages on `plugin.path`: manifests are read, and no plugin code is run.
//!
//! `cargo bench --bench discovery -- [--packages 100] [--rounds 50]`. Each package has a component of a megabyte, of which
//! only the beginning is looked at. The first round reads what nobody has read since it was written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    dead_code,
    reason = "a measuring program that shares the tests' scratch directories"
)]

#[path = "../tests/harness/scratch.rs"]
mod scratch;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use clap::Parser;
use jackfield_plugin::{NativePolicy, PluginConfig, Plugins, Policy, Variables, manifest::Sha256};
use scratch::Scratch;

/// What a component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const COMPONENT_BYTES: usize = 1 << 20;
/// The first line names the contract that packages are built for.
const WIT: &str = include_str!("../src/api/wit/plugin.wit");

/// Finding packages.
#[derive(Debug, Parser)]
struct Options {
    /// Packages on plugin.path
    #[arg(long, default_value_t = 100)]
    packages: usize,
    /// How often they are looked for
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn write_package(root: &Path, number: usize) {
    let directory = root.join(format!("package-{number}"));
    fs::create_dir(&directory).unwrap();
    let mut component = COMPONENT.to_vec();
    component.resize(COMPONENT_BYTES, 0);
    fs::write(directory.join("connector.wasm"), &component).unwrap();
    let contract = WIT
        .lines()
        .find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'))
        .expect("the contract has a name");
    let manifest = format!(
        "schema = 1\n\n[package]\nname = \"package-{number}\"\nversion = \"1.0.{number}\"\nlicense = \"Apache-2.0\"\n\
         description = \"One of many\"\n\n[[plugin]]\nclass = \"org.example.Package{number}SourceConnector\"\n\
         aliases = [\"Package{number}Source\"]\nkind = \"source\"\n\n[[plugin]]\n\
         class = \"org.example.Package{number}SinkConnector\"\nkind = \"sink\"\n\n[artifact.wasm]\n\
         file = \"connector.wasm\"\nsha256 = \"{}\"\ncontract = \"{contract}\"\n\n[capabilities]\n\
         directories = \"read-write\"\n",
        Sha256::of(&component)
    );
    fs::write(directory.join("plugin.toml"), manifest).unwrap();
}

fn discover(root: &Path, packages: usize) -> Duration {
    let started = Instant::now();
    let plugins = Plugins::discover(PluginConfig {
        plugin_path: vec![root.to_owned()],
        cache_dir: root.join("cache"),
        wasm_directories: Vec::new(),
        native: NativePolicy::default(),
        policy: Policy::default(),
        environment: Variables::default(),
    });
    let took = started.elapsed();
    assert_eq!(plugins.list().len(), 2 * packages, "{:?}", plugins.bad());
    took
}

fn main() {
    let options = Options::parse();
    let scratch = Scratch::new("discovery");
    for number in 0..options.packages {
        write_package(scratch.path(), number);
    }
    let mut rounds: Vec<Duration> = (0..options.rounds.max(1))
        .map(|_| discover(scratch.path(), options.packages))
        .collect();
    let first = rounds[0];
    rounds.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{} packages: first {:.1} ms, median {:.1} ms, lowest {:.1} ms, highest {:.1} ms of {} rounds",
        options.packages,
        ms(first),
        ms(rounds[rounds.len() / 2]),
        ms(rounds[0]),
        ms(rounds[rounds.len() - 1]),
        rounds.len()
    );
}
