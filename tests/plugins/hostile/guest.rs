//! A component that does on purpose what hurts its host; `mode` of the config chooses what. It implements the contract's
//! functions itself, without the SDK, so that it can also hand over what no SDK would. Built for `wasm32-wasip2` only.
#![cfg(target_family = "wasm")]
#![allow(
    missing_docs,
    unsafe_code,
    clippy::panic,
    clippy::undocumented_unsafe_blocks,
    clippy::disallowed_methods,
    reason = "that is what it is for"
)]

use std::{cell::RefCell, collections::BTreeMap, hint::black_box, net::TcpStream};

use jackfield_api::{
    ConfigDef, ConfigKey, ConfigType, Importance,
    batch::{BatchBuilder, Draft},
    component::{
        bindings::{
            exports::jackfield::plugin::{connector, sink_task, source_task, transform},
            jackfield::plugin::{context, http, log, metrics, types},
        },
        export_component,
    },
};

const SOURCE: &str = "jackfield.test.HostileSource";
const SINK: &str = "jackfield.test.HostileSink";
/// Two in every place of a batch where a length or a count stands: position and bytes.
const LENGTHS: [(usize, usize); 15] = [
    (6, 2),   // topics
    (8, 2),   // source partitions
    (10, 2),  // schemas
    (12, 4),  // records
    (16, 4),  // position of the tables
    (20, 4),  // record
    (57, 4),  // key
    (65, 4),  // value
    (74, 4),  // source offset
    (85, 2),  // name of the header
    (100, 2), // topic
    (103, 4), // source partition
    (115, 4), // schema
    // Bytes behind the last header are skipped by those who do not know them: less is no error in these two.
    (52, 2), // headers
    (92, 4), // value of the header
];
const GROWING_ONLY: usize = 13;

struct Hostile;

thread_local! {
    static CONFIG: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
}

fn option(name: &str) -> String {
    CONFIG.with_borrow(|config| config.get(name).cloned().unwrap_or_default())
}

fn fatal(message: impl ToString) -> types::Error {
    types::Error {
        kind: types::ErrorKind::Fatal,
        message: message.to_string(),
    }
}

fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

impl connector::Guest for Hostile {
    fn classes() -> Vec<connector::ClassInfo> {
        let class = |class: &str, kind| connector::ClassInfo {
            class: class.to_owned(),
            aliases: Vec::new(),
            kind,
            version: "1.0.0".to_owned(),
        };
        vec![
            class(SOURCE, connector::Kind::Source),
            class(SINK, connector::Kind::Sink),
        ]
    }

    fn config_def(_class: String) -> Result<String, types::Error> {
        let key = |name| ConfigKey::new(name, ConfigType::String, Importance::Low, "for tests");
        let keys = vec![
            key("mode").required(),
            key("argument").default(""),
            key("damage").default("0"),
        ];
        serde_json::to_string(&ConfigDef { keys }).map_err(fatal)
    }

    fn validate(_class: String, _config: types::Config) -> Result<Vec<types::ConfigIssue>, types::Error> {
        Ok(Vec::new())
    }

    /// Of mode `malformed` a task for every damage from `damage` on.
    fn task_configs(
        _class: String,
        config: types::Config,
        max_tasks: u32,
    ) -> Result<Vec<types::Config>, types::Error> {
        let all = config
            .iter()
            .any(|(key, value)| key == "mode" && value == "malformed");
        let option = config.iter().find(|(key, _)| key == "damage");
        let first = option.map_or(Ok(0), |(_, value)| value.parse()).map_err(fatal)?;
        let tasks = if all {
            damages().len().saturating_sub(first)
        } else {
            1
        };
        let task = |number: usize| {
            let mut config = config.clone();
            config.retain(|(key, _)| key != "damage");
            config.push(("damage".to_owned(), (first + number).to_string()));
            config
        };
        Ok((0..tasks.min(max_tasks as usize)).map(task).collect())
    }

    fn alter_offsets(
        _class: String,
        _config: types::Config,
        _offsets: Vec<connector::OffsetChange>,
    ) -> Result<bool, types::Error> {
        Ok(false)
    }
}

fn start(config: types::Config) -> Result<(), types::Error> {
    CONFIG.set(config.into_iter().collect());
    if option("mode") == "trap in start" {
        trap();
    }
    Ok(())
}

fn stop() {
    if option("mode") == "ignore stop" {
        spin();
    }
}

fn spin() -> ! {
    loop {
        black_box(0);
    }
}

impl source_task::Guest for Hostile {
    fn start(_class: String, config: types::Config) -> Result<(), types::Error> {
        start(config)
    }

    fn poll(_limits: source_task::PollLimits) -> Result<source_task::Polled, types::Error> {
        let argument = option("argument");
        match option("mode").as_str() {
            "loop" => spin(),
            "log" => loop {
                log::write(log::Level::Info, "flood flood flood flood");
            },
            "metric" => loop {
                metrics::counter_add("things", &[], 1);
            },
            "offset" => loop {
                black_box(context::stored_offset("{\"a\":1}"));
            },
            "watch" => loop {
                black_box(context::watch_path(&argument));
            },
            "memory" => exhaust_memory(),
            "table" => grow_table(),
            "recursion" => {
                black_box(descend(1));
            }
            "result" => {
                // Of memory that is not there.
                let claimed = unsafe { Vec::from_raw_parts(64 as *mut u8, 1 << 30, 1 << 30) };
                return Ok(source_task::Polled::Batch(claimed));
            }
            "malformed" => {
                let damage = option("damage").parse().map_err(fatal)?;
                return Ok(source_task::Polled::Batch(malformed(damage)));
            }
            "panic" => panic!("panic on purpose"),
            "file" => {
                std::fs::read(&argument).map_err(|cause| fatal(format!("{argument}: {cause}")))?;
            }
            "http" => {
                http::fetch(&http::Request {
                    method: "GET".to_owned(),
                    url: argument,
                    headers: Vec::new(),
                    body: Vec::new(),
                    timeout_ms: None,
                })?;
            }
            "tcp" => {
                TcpStream::connect(&argument).map_err(|cause| fatal(format!("{argument}: {cause}")))?;
            }
            _ => {}
        }
        Ok(source_task::Polled::Idle(None))
    }

    fn committed(_batches: u64) -> Result<(), types::Error> {
        Ok(())
    }

    fn stop() {
        stop();
    }
}

impl sink_task::Guest for Hostile {
    fn start(_class: String, config: types::Config) -> Result<(), types::Error> {
        start(config)
    }

    fn open(_partitions: Vec<types::Position>) -> Result<(), types::Error> {
        Ok(())
    }

    fn put(_batch: types::Batch) -> Result<Vec<types::RecordError>, types::Error> {
        panic!("put panics on purpose")
    }

    fn pre_commit(_current: Vec<types::Position>) -> Result<Vec<types::Position>, types::Error> {
        Ok(Vec::new())
    }

    fn close(_partitions: Vec<types::TopicPartition>) -> Result<(), types::Error> {
        Ok(())
    }

    fn stop() {
        stop();
    }
}

impl transform::Guest for Hostile {
    fn start(_class: String, _config: types::Config) -> Result<(), types::Error> {
        Err(fatal("no transform"))
    }

    fn apply(_batch: types::Batch) -> Result<transform::Output, types::Error> {
        Err(fatal("no transform"))
    }

    fn stop() {}
}

/// Touches all it gets.
fn exhaust_memory() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 8 << 20]);
        black_box(&kept);
    }
}

/// Rust has no words for tables. The test makes `table.grow` of this `memory.grow`, which it finds by its number.
#[inline(never)]
fn grow_table() -> ! {
    while core::arch::wasm32::memory_grow::<0>(0x1234_5678) != usize::MAX {}
    trap()
}

#[inline(never)]
fn descend(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    descend(depth + 1).wrapping_mul(3) + black_box(depth)
}

/// Every length with every wrong value: field, and what becomes of it.
fn damages() -> Vec<(usize, fn(u64) -> u64)> {
    let up: fn(u64) -> u64 = |length| length + 1;
    let most: fn(u64) -> u64 = |_| u64::MAX;
    let down: fn(u64) -> u64 = |length| length - 1;
    let none: fn(u64) -> u64 = |_| 0;
    let all = (0..LENGTHS.len()).flat_map(|field| [up, most].map(|change| (field, change)));
    all.chain((0..GROWING_ONLY).flat_map(|field| [down, none].map(|change| (field, change))))
        .collect()
}

/// A batch of one record with one wrong length.
fn malformed(damage: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.schema("{\"type\":\"int32\"}").expect("a schema");
    Draft::new("t")
        .key(&b"key"[..])
        .value("value")
        .source("{\"p\":1}", "{\"o\":1}")
        .header("name", "head")
        .push(&mut builder)
        .expect("a record");
    let mut batch = builder.finish();
    let (field, change) = damages()[damage];
    let (at, bytes) = LENGTHS[field];
    let mut length = [0; 8];
    length[..bytes].copy_from_slice(&batch[at..at + bytes]);
    let changed = change(u64::from_le_bytes(length)).to_le_bytes();
    batch[at..at + bytes].copy_from_slice(&changed[..bytes]);
    batch
}

mod exported {
    use super::Hostile;
    super::export_component!(Hostile with_types_in jackfield_api::component::bindings);
}
