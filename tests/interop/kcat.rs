//! kcat (librdkafka): every codec in and out, keys and headers, and a consumer group.

use std::{collections::BTreeSet, fs, process::Command};

use crate::harness::{batches, process, program::Broker, scratch::Scratch, shown::shown, wire::Wire};

fn kcat(port: u16, arguments: &[&str]) -> String {
    process::run(
        Command::new("kcat")
            .args(["-b", &format!("127.0.0.1:{port}")])
            .args(arguments),
    )
}

fn lines(prefix: &str, count: usize) -> String {
    (0..count)
        .map(|line| format!("{prefix} line {line} with some text that compresses\n"))
        .collect()
}

/// Codec numbers in the attributes of all batches of a partition, as stored.
fn stored_codecs(wire: &mut Wire, topic: &str) -> BTreeSet<u8> {
    batches::split(&wire.fetch(topic, 0, 0))
        .iter()
        .map(|batch| batch[22] & 7)
        .collect()
}

#[test]
fn every_codec_goes_in_and_comes_out() {
    let scratch = Scratch::new("kcat-codecs");
    let broker = Broker::start(&scratch, &[]);
    let mut wire = Wire::connect(broker.port);
    for (number, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let sent = lines(codec, 2_000);
        let file = scratch.write(codec, &sent);
        let topic = format!("codec-{codec}");
        kcat(
            broker.port,
            &[
                "-P",
                "-t",
                &topic,
                "-p",
                "0",
                "-z",
                codec,
                "-X",
                "acks=all",
                "-l",
                file.to_str().unwrap(),
            ],
        );
        // librdkafka leaves a batch alone that compression would not make smaller.
        let stored = stored_codecs(&mut wire, &topic);
        assert!(
            stored.contains(&number),
            "{codec} is stored as it was sent, found {stored:?}"
        );
        let received = kcat(broker.port, &["-C", "-q", "-t", &topic, "-o", "beginning", "-e"]);
        assert!(
            received == sent,
            "{codec}: {} bytes sent, {} received",
            sent.len(),
            received.len()
        );
    }
    shown("kcat", "as installed", "produces and consumes with every codec");
}

#[test]
fn keys_headers_and_positions_come_back() {
    let scratch = Scratch::new("kcat-format");
    let broker = Broker::start(&scratch, &[]);
    let file = scratch.write("in", "k1:v1\nk2:v2\nk3:\n");
    kcat(
        broker.port,
        &[
            "-P",
            "-t",
            "format",
            "-p",
            "0",
            "-K:",
            "-Z",
            "-H",
            "h=1",
            "-H",
            "other=zwei",
            "-l",
            file.to_str().unwrap(),
        ],
    );
    let received = kcat(
        broker.port,
        &[
            "-C",
            "-q",
            "-t",
            "format",
            "-o",
            "beginning",
            "-e",
            "-f",
            "%p %o %k=%s (%S) %h\n",
        ],
    );
    assert_eq!(
        received,
        "0 0 k1=v1 (2) h=1,other=zwei\n0 1 k2=v2 (2) h=1,other=zwei\n0 2 k3= (-1) h=1,other=zwei\n"
    );
    let last = kcat(
        broker.port,
        &["-C", "-q", "-t", "format", "-o", "-1", "-e", "-f", "%o\n"],
    );
    assert_eq!(last, "2\n");
    let listed = kcat(broker.port, &["-L", "-t", "format"]);
    assert!(listed.contains("topic \"format\" with 1 partitions"), "{listed}");
    shown(
        "kcat",
        "as installed",
        "keys, headers, tombstones, positions from the end, metadata",
    );
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let scratch = Scratch::new("kcat-group");
    let broker = Broker::start(
        &scratch,
        &["group.initial.rebalance.delay.ms=0", "num.partitions=3"],
    );
    let consume = || {
        kcat(
            broker.port,
            &[
                "-q",
                "-e",
                "-X",
                "auto.offset.reset=earliest",
                "-G",
                "readers",
                "grouped",
            ],
        )
    };
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    let first = lines("first", 300);
    let file = scratch.write("first", &first);
    kcat(
        broker.port,
        &["-P", "-t", "grouped", "-l", file.to_str().unwrap()],
    );
    assert_eq!(sorted(&consume()), sorted(&first));
    let second = lines("second", 300);
    fs::write(&file, &second).unwrap();
    kcat(
        broker.port,
        &["-P", "-t", "grouped", "-l", file.to_str().unwrap()],
    );
    assert_eq!(sorted(&consume()), sorted(&second), "only what is new");
    shown(
        "kcat",
        "as installed",
        "a balanced group that goes on where it stopped",
    );
}
