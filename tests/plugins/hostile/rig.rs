//! A worker with hostile packages on its `plugin.path`, and what is looked at after each of their deeds.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::pace::Pace;
use crate::harness::{
    process,
    program::{Standalone, target_directory},
    scratch::Scratch,
    wait,
};

const WIT: &str = include_str!("../../../src/api/wit/plugin.wit");
/// `memory.grow` of the guest by 0x12345678 pages, and what is made of it: `table.grow` of table 0 by 8191 null functions.
const MEMORY_GROW: [u8; 8] = [0x41, 0xf8, 0xac, 0xd1, 0x91, 0x01, 0x40, 0x00];
const TABLE_GROW: [u8; 8] = [0xd0, 0x70, 0x41, 0xff, 0x3f, 0xfc, 0x0f, 0x00];
/// How much more memory the worker may have after a deed than before.
const MORE_KIB: u64 = 16 * 1024;
/// How late a line of the other pipeline may come.
const LATE: Duration = Duration::from_secs(1);

/// See the file's header.
pub(super) struct Rig {
    pub(super) scratch: Scratch,
    pub(super) worker: Standalone,
    pub(super) pace: Pace,
    /// Accepts connections and never answers.
    pub(super) silent: TcpListener,
}

/// The component, built once.
fn guest() -> Vec<u8> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target_directory())
        // A library may bring a toolchain file, which rustup's own `rustc` would obey.
        .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"))
        .args([
            "rustc",
            "--quiet",
            "--release",
            "--package",
            "jackfield-api",
            "--example",
            "hostile",
        ])
        .args([
            "--target",
            "wasm32-wasip2",
            "--",
            "-C",
            "link-arg=--growable-table",
        ]);
    process::run(&mut cargo);
    let built = target_directory().join("wasm32-wasip2/release/examples/hostile.wasm");
    let mut component = fs::read(&built).unwrap();
    let places: Vec<_> = (0..component.len() - MEMORY_GROW.len())
        .filter(|at| component[*at..].starts_with(&MEMORY_GROW))
        .collect();
    assert_eq!(places.len(), 1, "the instruction that the table is grown with");
    component[places[0]..places[0] + TABLE_GROW.len()].copy_from_slice(&TABLE_GROW);
    component
}

fn write_package(directory: &Path) {
    let component = guest();
    let contract = WIT
        .lines()
        .find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'))
        .expect("the contract has a name");
    let digest: String = Sha256::digest(&component)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let manifest = format!(
        "schema = 1\n[package]\nname = \"hostile\"\nversion = \"1.0.0\"\n[[plugin]]\n\
         class = \"jackfield.test.HostileSource\"\nkind = \"source\"\n[[plugin]]\n\
         class = \"jackfield.test.HostileSink\"\nkind = \"sink\"\n[artifact.wasm]\nfile = \"hostile.wasm\"\n\
         sha256 = \"{digest}\"\ncontract = \"{contract}\"\n[capabilities]\ndirectories = \"read-write\"\n\
         http = [\"*\"]\ntcp = [\"*:*\"]\n"
    );
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("hostile.wasm"), component).unwrap();
    fs::write(directory.join("plugin.toml"), manifest).unwrap();
}

impl Rig {
    pub(super) fn start() -> Self {
        let scratch = Scratch::new("hostile");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let granted = scratch.join("granted");
        fs::create_dir(&granted).unwrap();
        write_package(&scratch.join("plugins/hostile"));
        let policy = scratch.write(
            "policy.toml",
            format!(
                "[[grant]]\npackage = \"hostile\"\nhttp = [\"http://127.0.0.1:{port}\"]\n\
                 tcp = [\"*:{port}\"]\n"
            ),
        );
        let mut worker = Standalone::new(&scratch);
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let plugins = scratch.join("plugins");
        for (key, value) in [
            (
                "plugin.path",
                format!("{},{}", shipped.display(), plugins.display()),
            ),
            ("plugin.wasm.directories", granted.display().to_string()),
            ("plugin.policy", policy.display().to_string()),
            ("plugin.native.allow", "jackfield-file".to_owned()),
            ("plugin.call.timeout.ms", "5000".to_owned()),
            ("plugin.wasm.compute.timeout.ms", "1500".to_owned()),
            ("plugin.wasm.memory.bytes", (64 << 20).to_string()),
            // What a slow disk does is not what is looked at here.
            ("broker.durability", "os".to_owned()),
        ] {
            worker.property(key, &value);
        }
        worker.start(&[]);
        let pace = Pace::start(&worker, scratch.join("paced.txt"));
        println!(
            "the other pipeline has {:.0} lines per second",
            pace.lines_per_second
        );
        let rig = Self {
            scratch,
            worker,
            pace,
            silent,
        };
        // Its code is compiled before memory is looked at.
        rig.begin("idle", "HostileSource", &[("mode", "idle")]);
        rig.worker.rest.wait_for_state("idle", "RUNNING");
        rig.end("idle");
        rig.pace.take_latest();
        rig
    }

    /// A path in the directory that is granted.
    pub(super) fn granted(&self, name: &str) -> PathBuf {
        self.scratch.join("granted").join(name)
    }

    /// Makes a connector.
    pub(super) fn begin(&self, name: &str, class: &str, config: &[(&str, &str)]) {
        let mut all = json!({ "connector.class": format!("jackfield.test.{class}"), "tasks.max": "100" });
        for (key, value) in config {
            all[*key] = json!(value);
        }
        let answer = self.worker.rest.put(&format!("/connectors/{name}/config"), &all);
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
    }

    /// Deletes it.
    pub(super) fn end(&self, name: &str) {
        let answer = self.worker.rest.delete(&format!("/connectors/{name}"));
        assert_eq!(answer.status, 204, "{name}: {answer:?}");
    }

    pub(super) fn status(&self, name: &str) -> Value {
        self.worker.rest.get(&format!("/connectors/{name}/status")).body
    }

    /// Waits until so many tasks have failed, and gives their traces.
    pub(super) fn failures(&self, name: &str, count: usize) -> Vec<String> {
        let mut last = Value::Null;
        let seen = || {
            last = self.status(name);
            let tasks = last["tasks"].as_array()?;
            let failed = tasks.iter().filter(|task| task["state"] == "FAILED");
            let traces: Option<Vec<_>> = failed
                .map(|task| task["trace"].as_str().map(str::to_owned))
                .collect();
            traces.filter(|traces| traces.len() == count && tasks.len() == count)
        };
        wait::until(&format!("{name} to fail"), seen)
    }

    /// The memory of the worker.
    pub(super) fn resident_kib(&mut self) -> u64 {
        let status = format!("/proc/{}/status", self.worker.process().id());
        let status = fs::read_to_string(status).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Nobody else has noticed, and the memory is there again.
    pub(super) fn expect_unharmed(&mut self, deed: &str, before_kib: u64) {
        let mut now = 0;
        let name = format!("memory after {deed} to be what it was, {before_kib} KiB");
        wait::until(&name, || {
            now = self.resident_kib();
            (now <= before_kib + MORE_KIB).then_some(())
        });
        let late = self.pace.take_latest();
        println!("{deed}: others at most {late:?} late, {before_kib} KiB before, {now} KiB after");
        assert!(
            late <= LATE,
            "{deed}: a line of another pipeline came {late:?} late"
        );
    }
}
