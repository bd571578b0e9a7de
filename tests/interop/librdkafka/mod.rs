//! librdkafka's own C tests against this broker: the ones that need a broker, each in a process of its own.
//!
//! Their source comes with the `rdkafka-sys` crate; it is built once into the cache directory. `LIBRDKAFKA=long` runs all
//! that can pass, otherwise the quick ones.

mod list;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use cargo_metadata::MetadataCommand;
use regex::Regex;

pub(in crate::interop) use self::list::LEFT_OUT;
use self::list::{LONG, Part, QUICK, SUBTESTS, TIMED};
use crate::harness::{kafka, process, program::Broker, scratch::Scratch, shown::shown};

/// They wait most of the time.
const AT_ONCE: usize = 6;
/// Some count rebalances, and want two members to be in the first one of their group.
const PATIENT_MS: u32 = 1_000;
/// The longest takes ten minutes.
const DEADLINE: Duration = Duration::from_secs(1_200);
/// The broker's level, as the tests understand it.
const BROKER_VERSION: &str = "4.0.0";

/// The directory of librdkafka's source, and its version.
fn source() -> (PathBuf, String) {
    let metadata = MetadataCommand::new()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // What other platforms need may not have been fetched.
        .other_options(vec![
            "--offline".to_owned(),
            format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH),
        ])
        .exec()
        .unwrap();
    let package = metadata
        .packages
        .iter()
        .find(|package| *package.name == "rdkafka-sys")
        .expect("rdkafka-sys is a dependency");
    let source = package
        .manifest_path
        .with_file_name("librdkafka")
        .into_std_path_buf();
    (source, package.version.to_string())
}

/// The built tree, its tests in `tests`.
fn built() -> PathBuf {
    let (source, version) = source();
    kafka::cached(&format!("librdkafka-tests-{version}"), |part| {
        println!("building librdkafka's tests");
        process::run(Command::new("cp").arg("-r").arg(source.join(".")).arg(part));
        let run = |program: &str, arguments: &[&str]| {
            process::run(Command::new(program).current_dir(part).args(arguments));
        };
        let leave_out = ["ssl", "gssapi", "curl", "zstd", "lz4-ext", "optimization"];
        let options = leave_out.map(|name| format!("--disable-{name}"));
        run("./configure", &options.each_ref().map(String::as_str));
        let jobs = format!("-j{}", thread::available_parallelism().map_or(2, usize::from));
        run("make", &[&jobs, "libs"]);
        run("make", &[&jobs, "-C", "tests", "test-runner"]);
    })
}

/// The tests of `test.c` that want a broker.
fn wanting_a_broker(tree: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(tree.join("tests/test.c")).unwrap();
    let table = &text[text.find("struct test tests[]").unwrap()..];
    Regex::new(r"_TEST\(\s*(\w+),\s*([A-Z0-9_| ]+)")
        .unwrap()
        .captures_iter(table)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .filter(|(_, flags)| !["LOCAL", "MANUAL"].iter().any(|flag| flags.contains(flag)))
        .filter(|(_, flags)| !flags.split([' ', '|']).any(|flag| flag == "TEST_F_KNOWN_ISSUE"))
        .map(|(name, _)| name)
        .collect()
}

/// A directory as `KAFKA_PATH` names one: the command-line tools that the tests call.
fn kafka_path(scratch: &Scratch) -> PathBuf {
    let bin = scratch.join("kafka/bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, class) in [
        ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
        ("kafka-configs.sh", "kafka.admin.ConfigCommand"),
    ] {
        let java = kafka::java(class);
        let words: Vec<_> = std::iter::once(java.get_program())
            .chain(java.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let script = bin.join(name);
        fs::write(&script, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))).unwrap();
        process::run(Command::new("chmod").arg("+x").arg(script));
    }
    scratch.join("kafka")
}

/// What a test needs beside its name.
struct Runner {
    tree: PathBuf,
    scratch: Scratch,
    brokers: BTreeMap<&'static str, (Broker, Scratch)>,
    kafka_path: PathBuf,
}

impl Runner {
    /// `rebalance_delay_ms`: how long a new group waits for more members.
    fn new(tree: PathBuf, rebalance_delay_ms: u32) -> Self {
        let scratch = Scratch::new("librdkafka");
        let brokers = [("default", "true"), ("noautocreate", "false")]
            .into_iter()
            .map(|(scenario, auto_create)| {
                let scratch = Scratch::new(&format!("librdkafka-{scenario}"));
                let properties = [
                    "num.partitions=4",
                    &format!("group.initial.rebalance.delay.ms={rebalance_delay_ms}"),
                    &format!("auto.create.topics.enable={auto_create}"),
                ];
                (scenario, (Broker::start(&scratch, &properties), scratch))
            })
            .collect();
        let kafka_path = kafka_path(&scratch);
        Self {
            tree,
            scratch,
            brokers,
            kafka_path,
        }
    }

    /// Runs one test (a part of one). Says what is wrong when it does not pass.
    fn run(&self, part: &Part) -> Result<Duration, String> {
        let tests = self.tree.join("tests");
        let bootstrap = format!("127.0.0.1:{}", self.brokers[part.scenario].0.port);
        let name = format!("{}{}", part.name, part.subtest.unwrap_or(""));
        // The runner leaves files where it runs.
        let directory = self.scratch.join(&name);
        fs::create_dir_all(&directory).unwrap();
        let conf = directory.join("test.conf");
        fs::write(
            &conf,
            format!("bootstrap.servers={bootstrap}\ntest.timeout.multiplier=3\n"),
        )
        .unwrap();
        let mut command = Command::new("timeout");
        process::outside(&mut command)
            .arg(DEADLINE.as_secs().to_string())
            .arg(tests.join("test-runner"))
            .args(["-L", "-K", "-p1", "-s", part.scenario])
            .args(part.quick.then_some("-Q"))
            .current_dir(&directory)
            .env(
                "LD_LIBRARY_PATH",
                format!(
                    "{}:{}",
                    self.tree.join("src").display(),
                    self.tree.join("src-cpp").display()
                ),
            )
            .env("TESTS", part.name)
            .env("TEST_KAFKA_VERSION", BROKER_VERSION)
            .env("RDKAFKA_TEST_CONF", &conf)
            .env("KAFKA_PATH", &self.kafka_path)
            .env("BROKERS", &bootstrap);
        if let Some(subtest) = part.subtest {
            command.env("SUBTESTS", subtest);
        }
        let started = Instant::now();
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        // A test whose parts were all left out passes in no time.
        let passed = |name| {
            Regex::new(&format!(r"{name} *\| *PASSED \| *(\d+\.\d+)s"))
                .unwrap()
                .captures(&text)
                .is_some_and(|found| found[1].parse::<f64>().is_ok_and(|seconds| seconds > 0.0))
        };
        if output.status.success() && part.names().all(passed) {
            Ok(started.elapsed())
        } else {
            let from = text.char_indices().rev().nth(3_000).map_or(0, |(at, _)| at);
            Err(format!("== {name}: {}\n{}", output.status, &text[from..]))
        }
    }
}

/// What came of the tests that ran.
#[derive(Default)]
struct Campaign {
    passed: BTreeSet<&'static str>,
    failures: Vec<String>,
}

impl Campaign {
    /// Runs them, a few at once.
    fn run<'a>(&mut self, runner: &Runner, parts: impl IntoIterator<Item = &'a Part>, at_once: usize) {
        let (left, came) = (
            Mutex::new(parts.into_iter().collect::<Vec<_>>().into_iter()),
            Mutex::new(Vec::new()),
        );
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    loop {
                        let Some(part) = left.lock().unwrap().next() else {
                            break;
                        };
                        let result = runner.run(part);
                        came.lock().unwrap().push((part, result));
                    }
                });
            }
        });
        for (part, result) in came.into_inner().unwrap() {
            match result {
                Ok(took) => {
                    let subtest = part.subtest.unwrap_or("");
                    println!("{} {subtest}: {:.1} s", part.name, took.as_secs_f64());
                    self.passed.extend(part.names());
                }
                Err(failure) => self.failures.push(failure),
            }
        }
    }
}

/// Each of them is run or left out with a reason.
fn check_lists(tree: &Path) {
    let wanting = wanting_a_broker(tree);
    let listed: Vec<_> = QUICK
        .iter()
        .chain(LONG)
        .chain(TIMED)
        .chain(SUBTESTS)
        .flat_map(Part::names)
        .chain(LEFT_OUT.iter().map(|(name, _)| *name))
        .map(|name| name.split(' ').next().unwrap().to_owned())
        .collect();
    let unknown: Vec<_> = listed.iter().filter(|name| !wanting.contains(*name)).collect();
    let missing: Vec<_> = wanting.iter().filter(|name| !listed.contains(name)).collect();
    assert!(unknown.is_empty(), "no such test with a broker: {unknown:?}");
    assert!(missing.is_empty(), "neither run nor left out: {missing:?}");
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the long form is asked for through the environment"
)]
fn librdkafkas_own_tests_pass() {
    let (_, version) = source();
    let tree = built();
    check_lists(&tree);
    let is_long = std::env::var("LIBRDKAFKA").is_ok_and(|form| form == "long");
    let mut campaign = Campaign::default();
    let hasty = Runner::new(tree.clone(), 0);
    campaign.run(&hasty, QUICK.iter().chain(SUBTESTS), AT_ONCE);
    if is_long {
        campaign.run(&hasty, LONG, 2);
        campaign.run(&Runner::new(tree, PATIENT_MS), TIMED, 1);
    }
    println!("{} of librdkafka's tests passed", campaign.passed.len());
    assert!(campaign.failures.is_empty(), "{}", campaign.failures.join("\n"));
    let names = |parts: &[&[Part]]| {
        let names: BTreeSet<_> = parts.iter().copied().flatten().flat_map(Part::names).collect();
        names.len()
    };
    let (short, all) = (names(&[QUICK, SUBTESTS]), names(&[QUICK, SUBTESTS, LONG, TIMED]));
    let what = format!("{short} of its own tests that want a broker; {all} in `make test-long`");
    shown("librdkafka", &version, &what);
}
