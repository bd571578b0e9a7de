//! The same script of Kafka's command-line tools against this broker and against a real Apache Kafka beside it: what they
//! print is equal once ids, ports and directories are masked.

use std::{path::Path, process::Command, thread};

use crate::harness::{
    batches::{self, Codec, record},
    kafka::{self, RealKafka},
    process,
    program::Broker,
    scratch::Scratch,
    wire::Wire,
};

const TOPIC: &str = "side";
const GROUP: &str = "readers";
const CONSUMER_GROUP: &str = "newer-readers";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 5;

/// Kafka has it as the cluster's default since eligible leader replicas: on one node every replica is in sync.
const KAFKA_ALONE: &str = "min.insync.replicas=1";

const CONFIGS: &str = "kafka.admin.ConfigCommand";

/// A tool by its class.
fn tool(class: &str) -> Command {
    if class == CONFIGS {
        return kafka::java(class);
    }
    kafka::java(&format!("org.apache.kafka.tools.{class}"))
}

/// One broker on its way through the script.
struct Side<'a> {
    port: u16,
    scratch: &'a Scratch,
    /// What each command printed.
    printed: Vec<(String, String)>,
}

impl Side<'_> {
    /// Runs a tool; what it prints is kept, with what differs between brokers masked.
    fn run(&mut self, class: &str, arguments: &[&str]) {
        let mut command = tool(class);
        command.args(["--bootstrap-server", &format!("127.0.0.1:{}", self.port)]);
        let output = process::outside(command.args(arguments)).output().unwrap();
        let text = format!(
            "exit {}\n{}{}",
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let name = format!("{class} {}", arguments.join(" "));
        let name = name.replace(self.scratch.path().to_str().unwrap(), "SCRATCH");
        self.printed.push((name, self.masked(&text)));
    }

    fn masked(&self, text: &str) -> String {
        let text = text.replace(&format!("127.0.0.1:{}", self.port), "BROKER");
        let mut lines: Vec<_> = text
            .replace(&format!("{KAFKA_ALONE},"), "")
            .replace(KAFKA_ALONE, "")
            .lines()
            .map(|line| {
                line.split_whitespace()
                    .map(mask_word)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .filter(|line| !line.is_empty())
            .collect();
        // Rows come in the order of hash tables.
        lines.sort_unstable();
        lines.join("\n")
    }

    /// Fills the topic's partitions with the same batches.
    fn fill(&self) {
        let mut wire = Wire::connect(self.port);
        for partition in 0..PARTITIONS {
            for number in 0..RECORDS {
                let records = [record(1_700_000_000_000, format!("{partition}-{number}"))];
                wire.produce(TOPIC, partition, batches::batch(Codec::None, None, &records));
            }
        }
    }

    fn script(&mut self) {
        let topic = ["--topic", TOPIC];
        let group = ["--group", GROUP];
        let offsets = self.scratch.write(
            "offsets.json",
            format!(r#"{{"partitions":[{{"topic":"{TOPIC}","partition":0,"offset":2}}],"version":1}}"#),
        );
        let offsets = offsets.to_str().unwrap().to_owned();
        self.run(
            "TopicCommand",
            &["--create", "--topic", TOPIC, "--partitions", "3"],
        );
        self.run("TopicCommand", &["--create", "--topic", TOPIC]);
        self.run("TopicCommand", &["--describe", "--topic", TOPIC]);
        self.fill();
        self.run("GetOffsetShell", &topic);
        self.run("DeleteRecordsCommand", &["--offset-json-file", &offsets]);
        self.run("GetOffsetShell", &[topic[0], topic[1], "--time", "earliest"]);
        self.run("LogDirsCommand", &["--describe", "--topic-list", TOPIC]);
        for election in ["preferred", "unclean"] {
            let partition = ["--topic", TOPIC, "--partition", "0"];
            self.run(
                "LeaderElectionCommand",
                &[&["--election-type", election][..], &partition].concat(),
            );
        }
        self.run("reassign.ReassignPartitionsCommand", &["--list"]);
        let consumed = (PARTITIONS as usize * RECORDS - 2).to_string();
        self.run(
            "consumer.ConsoleConsumer",
            &[
                &topic[..],
                &group,
                &["--from-beginning", "--max-messages", &consumed],
            ]
            .concat(),
        );
        let groups = "consumer.group.ConsumerGroupCommand";
        self.run(groups, &["--list"]);
        self.run(groups, &["--list", "--state"]);
        self.run("GroupsCommand", &["--list"]);
        for more in [&[][..], &["--state"], &["--members"], &["--offsets", "--verbose"]] {
            self.run(groups, &[&["--describe"][..], &group, more].concat());
        }
        let reset = [&["--reset-offsets"][..], &group, &topic, &["--to-earliest"]].concat();
        self.run(groups, &[&reset[..], &["--dry-run"]].concat());
        self.run(groups, &[&reset[..], &["--execute"]].concat());
        self.run(groups, &[&["--delete-offsets"][..], &group, &topic].concat());
        self.run(groups, &["--describe", "--group", "missing"]);
        self.run(groups, &[&["--delete"][..], &group].concat());
        self.run(groups, &["--delete", "--group", "missing"]);
        self.consume_with_the_consumer_protocol(&consumed);
        self.change();
        self.run("TopicCommand", &["--delete", "--topic", TOPIC]);
        self.run("TopicCommand", &["--describe", "--topic", TOPIC]);
    }

    /// A group of the newer protocol.
    fn consume_with_the_consumer_protocol(&mut self, consumed: &str) {
        let group = ["--group", CONSUMER_GROUP];
        let consume = [
            &["--topic", TOPIC, "--from-beginning", "--max-messages", consumed][..],
            &["--command-property", "group.protocol=consumer"],
            &group,
        ];
        self.run("consumer.ConsoleConsumer", &consume.concat());
        let groups = "consumer.group.ConsumerGroupCommand";
        self.run(
            groups,
            &[&["--describe", "--state", "--verbose"][..], &group].concat(),
        );
        self.run(groups, &["--list", "--type", "consumer", "--state"]);
        self.run(groups, &[&["--delete"][..], &group].concat());
    }

    /// Changes of the topic.
    fn change(&mut self) {
        for partitions in ["4", "4", "2"] {
            self.run(
                "TopicCommand",
                &["--alter", "--topic", TOPIC, "--partitions", partitions],
            );
        }
        let entity = ["--entity-type", "topics", "--entity-name", TOPIC];
        for change in [
            [
                "--add-config",
                "retention.ms=60000,cleanup.policy=[compact,delete]",
            ],
            ["--delete-config", "cleanup.policy"],
            ["--delete-config", "segment.ms"],
        ] {
            self.run(CONFIGS, &[&["--alter"][..], &entity, &change].concat());
        }
        self.run(CONFIGS, &[&["--describe"][..], &entity].concat());
        self.run("TopicCommand", &["--describe", "--topic", TOPIC]);
    }
}

/// Ids, times and directories differ.
fn mask_word(word: &str) -> String {
    let is_id = word.len() == 22
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    // "[2026-01-31" and "18:06:48,136]" in front of a line of the tool's log.
    let is_time = word.starts_with("[20") || word.ends_with(']') && word.contains(',') && word.contains(':');
    if is_id || is_time {
        "MASKED".to_owned()
    } else {
        mask_directory(word)
    }
}

/// The value of `"logDir"` in JSON.
fn mask_directory(word: &str) -> String {
    const KEY: &str = "\"logDir\":\"";
    let Some(at) = word.find(KEY).map(|at| at + KEY.len()) else {
        return word.to_owned();
    };
    let end = word[at..].find('"').map_or(word.len(), |end| at + end);
    assert!(Path::new(&word[at..end]).is_absolute(), "{word}");
    format!("{}DIRECTORY{}", &word[..at], &word[end..])
}

#[test]
fn kafkas_tools_print_the_same_of_both_brokers() {
    let (ours, theirs) = (Scratch::new("side-jackfield"), Scratch::new("side-kafka"));
    let broker = Broker::start(&ours, &["group.initial.rebalance.delay.ms=0"]);
    let kafka = RealKafka::start(&theirs, &[]);
    let script = |port, scratch| {
        let mut side = Side {
            port,
            scratch,
            printed: Vec::new(),
        };
        side.script();
        side.printed
    };
    let (jackfield, kafka) = thread::scope(|scope| {
        let kafka = scope.spawn(|| script(kafka.port, &theirs));
        (script(broker.port, &ours), kafka.join().unwrap())
    });
    let mut differences = Vec::new();
    for ((command, ours), (_, theirs)) in jackfield.iter().zip(&kafka) {
        if ours != theirs {
            differences.push(format!("== {command}\n-- Jackfield\n{ours}\n-- Kafka\n{theirs}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
