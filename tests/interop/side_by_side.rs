//! The same script of Kafka's command-line tools against this broker and against a real Apache Kafka beside it: what they
//! print is equal once ids, times, ports and directories are masked. The script's parts are in files of their own.
//!
//! Of Kafka's tools these are left out: `kafka-delegation-tokens`, `kafka-transactions`,
//! `kafka-share-groups`, `kafka-streams-groups` and their consumers (not served here), `kafka-replica-verification` and
//! `kafka-jmx` (they do not end, and look at other things than the broker's answers), `kafka-storage` and
//! `kafka-metadata-shell` (of Kafka's metadata log), `trogdor`, `kafka-client-metrics`, Connect's tools.

mod cluster;
mod configs;
mod console;
mod dump;
mod groups;
mod masks;
mod partitions;
mod perf;
mod reassign;
mod topics;

use std::{collections::BTreeSet, path::Path, thread};

use crate::harness::{
    batches::{self, Codec, record},
    kafka::{self, RealKafka},
    process,
    program::Broker,
    scratch::Scratch,
    shown::shown,
    tools::Tools,
    wire::Wire,
};

const TOPIC: &str = "side";
const GROUP: &str = "readers";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 5;

/// The topic as arguments of most tools.
const TOPIC_ARGUMENTS: [&str; 2] = ["--topic", TOPIC];
/// The group as arguments of most tools.
const GROUP_ARGUMENTS: [&str; 2] = ["--group", GROUP];

/// Stands for the broker's address in arguments.
const BROKER: &str = "BROKER";

/// Lines that differ for a reason: part of the command, part of either line, and the reason. They are not compared.
#[rustfmt::skip]
pub(super) const DIFFERENT: &[(&str, &str, &str)] = &[
    ("--state nonsense", "Valid states are", "in the order of a hash table"),
    ("--reset-offsets", "one of the following scenarios", "in the order of a hash table"),
    ("BrokerApiVersionsCommand", "UNSUPPORTED", "not served here"),
    ("BrokerApiVersionsCommand", "Produce(0)", "no transactions yet, no topic ids"),
    ("BrokerApiVersionsCommand", "OffsetCommit(8)", "no topic ids"),
    ("BrokerApiVersionsCommand", "OffsetFetch(9)", "no topic ids"),
    ("BrokerApiVersionsCommand", "DescribeLogDirs(35)", "no directory is cordoned"),
    ("MetadataQuorumCommand", "CurrentVoters", "there is no listener for controllers only"),
    ("FeatureCommand BROKER describe", "", "features have the one level they are served at"),
    ("upgrade --feature group.version=7", "supports versions", "one level"),
    ("group.version=0 --dry-run", "", "one level"),
    ("disable --feature", "", "one level"),
    ("downgrade --metadata", "The update failed", "one level"),
    (".json --verify", "", "throttles are dynamic configs of the broker"),
    (".json --cancel", "", "throttles are dynamic configs of the broker"),
    ("--topics-with-overrides", "Configs:", "eligible leader replicas give Kafka's topics one"),
];

/// A tool by its class; without a package it is one of `org.apache.kafka.tools`.
fn class_of(tool: &str) -> String {
    if tool.starts_with("kafka.") {
        return tool.to_owned();
    }
    format!("org.apache.kafka.tools.{tool}")
}

/// One broker on its way through the script.
struct Side<'a> {
    port: u16,
    scratch: &'a Scratch,
    data: &'a Path,
    tools: Tools,
    /// What each command printed.
    printed: Vec<(String, String)>,
}

impl Side<'_> {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs a tool with the broker as `--bootstrap-server`; what it prints is kept, with what differs between brokers
    /// masked.
    fn run(&mut self, tool: &str, arguments: &[&str]) {
        self.run_at(tool, &[&["--bootstrap-server", BROKER][..], arguments].concat());
    }

    /// As [`Side::run`], with the broker where [`BROKER`] stands, if anywhere.
    fn run_at(&mut self, tool: &str, arguments: &[&str]) {
        self.run_with(tool, None, arguments, str::to_owned);
    }

    /// As [`Side::run`], with `input` on stdin.
    fn feed(&mut self, tool: &str, input: &str, arguments: &[&str]) {
        let input = self.scratch.write("stdin", input);
        let arguments = [&["--bootstrap-server", BROKER][..], arguments].concat();
        self.run_with(tool, Some(&input), &arguments, str::to_owned);
    }

    /// As [`Side::run_at`], with a mask of this tool's own.
    fn run_with(&mut self, tool: &str, input: Option<&Path>, arguments: &[&str], mask: fn(&str) -> String) {
        let address = self.address();
        let placed: Vec<_> = arguments
            .iter()
            .map(|argument| if *argument == BROKER { &*address } else { argument })
            .collect();
        let (status, text) = self.tools.run(&class_of(tool), input, &placed);
        self.keep(tool, arguments, status, &mask(&text));
    }

    /// Runs a tool in a JVM of its own: it ends the process by itself.
    fn run_alone(&mut self, tool: &str, arguments: &[&str], mask: fn(&str) -> String) {
        let mut command = kafka::java(&class_of(tool));
        command.args(["--bootstrap-server", &self.address()]);
        let output = process::outside(command.args(arguments)).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let status = output.status.code().unwrap_or(-1);
        self.keep(tool, arguments, status, &mask(&text.concat()));
    }

    fn keep(&mut self, tool: &str, arguments: &[&str], status: i32, text: &str) {
        let places = [
            (self.data.display().to_string(), "DATA"),
            (self.scratch.path().display().to_string(), "SCRATCH"),
            (self.address(), BROKER),
        ];
        let hide = |text: &str| {
            places
                .iter()
                .fold(text.to_owned(), |text, (place, name)| text.replace(place, name))
        };
        let name = hide(&format!("{tool} {}", arguments.join(" "))).replace("--bootstrap-server ", "");
        let text = masks::masked(&hide(text));
        self.printed.push((name, format!("exit {status}\n{text}")));
    }

    /// A file for a tool's arguments.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.scratch.write(name, content).display().to_string()
    }

    /// Fills the topic's partitions with the same batches.
    fn fill(&self) {
        let mut wire = Wire::connect(self.port);
        for partition in 0..PARTITIONS {
            for number in 0..RECORDS {
                let time = 1_700_000_000_000 + i64::try_from(number).unwrap() * 1000;
                let records = [record(time, format!("{partition}-{number}"))];
                wire.produce_to_new(TOPIC, partition, &batches::batch(Codec::None, None, &records));
            }
        }
    }

    /// Every group of tools, one after the other. Each leaves behind what the next one starts from.
    fn script(&mut self) {
        topics::create(self);
        self.fill();
        partitions::script(self);
        reassign::script(self);
        groups::script(self);
        dump::script(self);
        configs::script(self);
        topics::delete(self);
        topics::script(self);
        console::script(self);
        cluster::script(self);
        perf::script(self);
    }
}

/// The reason why lines of a command differ, if they may.
fn reason(command: &str, lines: &[&str]) -> Option<usize> {
    DIFFERENT
        .iter()
        .position(|(tool, part, _)| command.contains(tool) && lines.iter().any(|line| line.contains(part)))
}

/// Lines that are compared. Where both brokers print as many, lines of one place belong together.
fn compared<'a>(
    command: &str,
    ours: &'a str,
    theirs: &'a str,
    seen: &mut BTreeSet<usize>,
) -> [Vec<&'a str>; 2] {
    let [ours, theirs]: [Vec<_>; 2] = [ours, theirs].map(|text| text.lines().collect());
    let mut is_compared = |lines: &[&str]| {
        let reason = reason(command, lines);
        seen.extend(reason);
        reason.is_none()
    };
    if ours.len() == theirs.len() {
        let pairs = ours.into_iter().zip(theirs);
        let (ours, theirs) = pairs
            .filter(|(ours, theirs)| is_compared(&[ours, theirs]))
            .unzip();
        return [ours, theirs];
    }
    [ours, theirs].map(|lines| lines.into_iter().filter(|line| is_compared(&[line])).collect())
}

fn differences(jackfield: &[(String, String)], kafka: &[(String, String)]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for ((command, ours), (_, theirs)) in jackfield.iter().zip(kafka) {
        let [our_lines, their_lines] = compared(command, ours, theirs, &mut seen);
        if our_lines != their_lines {
            found.push(format!("== {command}\n-- Jackfield\n{ours}\n-- Kafka\n{theirs}"));
        }
    }
    let unseen = (0..DIFFERENT.len()).filter(|index| !seen.contains(index));
    found.extend(unseen.map(|index| format!("is not seen: {:?}", DIFFERENT[index])));
    found
}

#[test]
fn kafkas_tools_print_the_same_of_both_brokers() {
    let (ours, theirs) = (Scratch::new("side-jackfield"), Scratch::new("side-kafka"));
    let script = |port, data: &Path, scratch| {
        let mut side = Side {
            port,
            scratch,
            data,
            tools: Tools::start(),
            printed: Vec::new(),
        };
        side.script();
        side.printed
    };
    let (jackfield, kafka) = thread::scope(|scope| {
        let kafka = scope.spawn(|| {
            let kafka = RealKafka::start(&theirs, &[]);
            script(kafka.port, &kafka.data, &theirs)
        });
        let broker = Broker::start(&ours, &["group.initial.rebalance.delay.ms=0"]);
        (script(broker.port, &broker.data, &ours), kafka.join().unwrap())
    });
    assert_eq!(jackfield.len(), kafka.len());
    let differences = differences(&jackfield, &kafka);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let what = format!(
        "{} commands of all tools that apply: the same output as beside Apache Kafka, but for the lines below",
        jackfield.len()
    );
    shown("Kafka's command-line tools", kafka::VERSION, &what);
}
