//! Apache Kafka's own command-line tools, from its jars.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::harness::{
    batches::{self, Codec, Producer, record},
    kafka,
    process::{self, Process},
    program::Broker,
    scratch::Scratch,
    shown::shown,
    wait,
    wire::Wire,
};

fn bootstrap(command: &mut Command, port: u16) -> &mut Command {
    command.args(["--bootstrap-server", &format!("127.0.0.1:{port}")])
}

#[test]
fn topics_creates_lists_describes_and_deletes() {
    let scratch = Scratch::new("kafka-topics");
    let broker = Broker::start(&scratch, &[]);
    let topics =
        |arguments: &[&str]| process::run(bootstrap(&mut kafka::topics(), broker.port).args(arguments));
    let created = topics(&[
        "--create",
        "--topic",
        "made",
        "--partitions",
        "3",
        "--config",
        "retention.ms=3600000",
    ]);
    assert!(created.contains("Created topic made."), "{created}");
    assert_eq!(topics(&["--list"]).lines().collect::<Vec<_>>(), ["made"]);
    let described = topics(&["--describe", "--topic", "made"]);
    assert!(
        described.contains("PartitionCount: 3\tReplicationFactor: 1"),
        "{described}"
    );
    assert!(described.contains("retention.ms=3600000"), "{described}");
    assert_eq!(described.matches("Isr: ").count(), 3, "{described}");
    topics(&["--delete", "--topic", "made"]);
    assert_eq!(topics(&["--list"]).trim(), "");
    shown("Kafka's command-line tools", kafka::VERSION, "kafka-topics");
}

#[test]
fn console_producer_and_consumer_exchange_lines() {
    let scratch = Scratch::new("kafka-console");
    let broker = Broker::start(&scratch, &[]);
    let sent: String = (0..500).map(|line| format!("line {line} \u{e9}\n")).collect();
    let mut producer = bootstrap(&mut kafka::console_producer(), broker.port)
        .args(["--topic", "console"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    producer.stdin.take().unwrap().write_all(sent.as_bytes()).unwrap();
    assert!(producer.wait().unwrap().success());
    let received = process::run(bootstrap(&mut kafka::console_consumer(), broker.port).args([
        "--topic",
        "console",
        "--from-beginning",
        "--max-messages",
        "500",
    ]));
    assert!(received == sent, "received: {received}");
    shown(
        "Kafka's command-line tools",
        kafka::VERSION,
        "kafka-console-producer and -consumer",
    );
}

/// Which partitions a console consumer has seen records of, by round.
fn seen(output: &Path) -> BTreeMap<usize, BTreeSet<i32>> {
    let mut rounds: BTreeMap<usize, BTreeSet<i32>> = BTreeMap::new();
    for line in fs::read_to_string(output).unwrap_or_default().lines() {
        // "Partition:1<tab>round 7"
        let Some((partition, round)) = line.split_once("\tround ") else {
            continue;
        };
        let partition = partition.strip_prefix("Partition:").unwrap().parse().unwrap();
        assert!(
            rounds
                .entry(round.parse().unwrap())
                .or_default()
                .insert(partition),
            "{line} was read twice"
        );
    }
    rounds
}

#[test]
fn two_console_consumers_of_a_group_split_three_partitions() {
    let scratch = Scratch::new("kafka-group");
    let broker = Broker::start(&scratch, &[]);
    let mut wire = Wire::connect(broker.port);
    wire.create_topic("split", 3, &[]);
    let consumers: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let output = scratch.join(name);
            let process = Process::start(
                "console consumer",
                bootstrap(&mut kafka::console_consumer(), broker.port).args([
                    "--topic",
                    "split",
                    "--group",
                    "pair",
                    "--from-beginning",
                    "--formatter-property",
                    "print.partition=true",
                ]),
                &output,
            );
            (process, output)
        })
        .collect();
    // One record per partition and round, until a round was split between the two.
    let mut round = 0;
    let split = wait::until("both consumers to read different partitions of one round", || {
        for partition in 0..3 {
            let value = format!("round {round}");
            wire.produce(
                "split",
                partition,
                batches::batch(Codec::None, None, &[record(1_700_000_000_000, value)]),
            );
        }
        round += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
        let [a, b] = [seen(&consumers[0].1), seen(&consumers[1].1)];
        a.into_iter().find_map(|(round, a)| {
            let b = b.get(&round)?;
            (a.len() + b.len() == 3).then(|| (a, b.clone()))
        })
    });
    assert!(split.0.is_disjoint(&split.1), "{split:?}");
    assert!(!split.0.is_empty() && !split.1.is_empty(), "{split:?}");
    shown(
        "Kafka's command-line tools",
        kafka::VERSION,
        "two kafka-console-consumers of a group share the partitions",
    );
}

/// What `kafka-dump-log` says when it finds nothing wrong does not contain any of these.
const COMPLAINTS: [&str; 9] = [
    "isvalid: false",
    "Mismatches",
    "mismatch",
    "Exception",
    "Error",
    "corrupt",
    "Could not",
    "Found",
    "not found",
];

fn dump(files: &[String]) -> Vec<String> {
    let output = kafka::dump_log()
        .args([
            "--deep-iteration",
            "--print-data-log",
            "--files",
            &files.join(","),
        ])
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    let dumped = text.lines().filter(|line| line.starts_with("Dumping ")).count();
    assert_eq!(dumped, files.len(), "every file is dumped:\n{text}");
    text.lines()
        .filter(|line| COMPLAINTS.iter().any(|word| line.contains(word)))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn dump_log_has_no_complaint_about_our_segments() {
    let scratch = Scratch::new("kafka-dump");
    let mut broker = Broker::start(&scratch, &[]);
    let mut wire = Wire::connect(broker.port);
    wire.create_topic(
        "dumped",
        1,
        &[
            ("segment.bytes", "20000"),
            ("index.interval.bytes", "1000"),
            ("retention.ms", "-1"),
        ],
    );
    let (id, epoch) = wire.init_producer_id();
    for number in 0..200 {
        let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][number % 5];
        let time = 1_700_000_000_000 + i64::try_from(number).unwrap() * 10;
        let records: Vec<_> = (0..3)
            .map(|index| record(time + index, "x".repeat(100 + number)))
            .collect();
        let sequence = i32::try_from(number * 3).unwrap();
        wire.produce(
            "dumped",
            0,
            batches::batch(codec, Some(Producer { id, epoch, sequence }), &records),
        );
    }
    broker.stop();
    let directory = broker.data.join("dumped-0");
    let mut files: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| {
            [".log", ".index", ".timeindex", ".snapshot"]
                .iter()
                .any(|end| path.ends_with(end))
        })
        .collect();
    files.sort();
    assert!(files.len() > 8, "several segments: {files:?}");
    assert_eq!(dump(&files), Vec::<String>::new());

    // A flipped byte is seen, so silence means something.
    let segment = directory.join("00000000000000000000.log");
    let mut content = fs::read(&segment).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    fs::write(&segment, content).unwrap();
    assert!(
        !dump(&[segment.display().to_string()]).is_empty(),
        "the flipped byte was not seen"
    );
    shown(
        "Kafka's command-line tools",
        kafka::VERSION,
        "kafka-dump-log reads our segments and indexes",
    );
}
