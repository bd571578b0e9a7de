//! `produce` and `consume`.

use std::{fs, io::Write as _, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Commands;
use crate::harness::{process::Process, program::Broker, scratch::Scratch, wait};

#[test]
fn records_go_in_and_come_out() {
    let scratch = Scratch::new("commands-records");
    let broker = Broker::start(&scratch, &[]);
    on(&Commands::of_broker(broker.port, &scratch));
}

/// The same on any broker.
pub(super) fn on(commands: &Commands) {
    // Their timestamps are old enough for retention.
    commands.ok("topics create in out --partitions 2 --config retention.ms=-1");
    let (_, report) = commands.both(
        "produce in --key-separator : --header a=1 --timestamp 2026-01-31T12:00:00Z -p 0 -z zstd",
        b"k1:v1\nk2:\xc3\xa9\nk3:\n",
    );
    let server = &commands.bootstrap_server;
    let expected = format!("3 records acknowledged by {server}");
    assert!(report.starts_with(&expected), "{report}");
    commands.both("produce in --key k4 --tombstone -p 1 --quiet", b"");
    commands.both(
        "produce in -p 1 --key-format int32 --value-format hex --key 7",
        b"00ff\n",
    );

    let all = |line: &str| commands.ok(&format!("consume in --from-beginning --exit-at-end {line}"));
    assert_eq!(all("-p 0"), "v1\né\n\n");
    assert_eq!(
        all("-p 0 --key --timestamp --position --headers --separator |")
            .lines()
            .next(),
        Some("1769860800000|0@0|a=1|k1|v1")
    );
    assert_eq!(
        all("-p 0 -n 1 -f %t/%p/%o,%k(%K)=%s(%S),%h,%D\\n"),
        "in/0/0,k1(2)=v1(2),a=1,2026-01-31T12:00:00Z\n"
    );
    assert_eq!(all("-p 1 -n 1 --key"), "k4\tnull\n");
    assert_eq!(
        commands.ok("consume in -p 1 -o 1 -e --key --key-format int32 --value-format hex"),
        "7\t00ff\n"
    );
    commands.check_error(
        "consume in -p 0 --from-beginning --value-format int64",
        "the record at offset 0 of partition 0 of in: the value: is 2 bytes long, and no int64: \"v1\"",
    );

    // There and back, byte for byte.
    let exported = all("--json");
    commands.both("produce out --json --keep-partitions", exported.as_bytes());
    let imported = commands.ok("consume out --from-beginning --exit-at-end --json");
    assert_eq!(sorted(&imported.replace("\"out\"", "\"in\"")), sorted(&exported));
    let last = sorted(&exported).pop().unwrap();
    assert_eq!(
        (
            &last["key"],
            &last["key_encoding"],
            &last["value"],
            &last["value_encoding"]
        ),
        (
            &json!("\0\0\0\u{7}"),
            &Value::Null,
            &json!("AP8="),
            &json!("base64")
        )
    );

    positions(commands);
    shapes(commands);
    let error = commands.fails("produce in -p 9");
    assert!(
        error.contains("topic 'in' has no partition 9; it has 2 partitions, from 0"),
        "{error}"
    );
    let missing = commands.output("produce in nowhere.txt", b"");
    assert_eq!(missing.status.code(), Some(2));
    commands.ok("topics delete in out shapes binary");
}

fn sorted(lines: &str) -> Vec<Value> {
    let mut records: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
    records
}

fn positions(commands: &Commands) {
    let from_to = |line: &str| commands.ok(&format!("consume in -p 0 -f %s, {line}"));
    assert_eq!(from_to("--from 1 --exit-at-end"), "é,,");
    assert_eq!(from_to("--from -1 --exit-at-end"), ",");
    assert_eq!(from_to("--from earliest --to 2"), "v1,é,");
    assert_eq!(from_to("--from +1 --to latest"), "é,,");
    assert_eq!(from_to("--from 2026-01-31T12:00:01Z --exit-at-end"), "");
    assert_eq!(from_to("--from 2026-01-31T12:00:00Z --to -1h"), "v1,é,,");
    assert_eq!(
        commands.ok("consume in out --from -1 --exit-at-end -p 0 -f %t:%s\\n"),
        "in:\nout:\n"
    );
}

fn shapes(commands: &Commands) {
    commands.ok("topics create shapes binary");
    fs::write(commands.directory.join("a.txt"), "a1;a2").unwrap();
    fs::write(commands.directory.join("b.txt"), "b1;").unwrap();
    commands.both("produce shapes a.txt - b.txt --delimiter ;", b"x\ny");
    commands.produce("produce shapes --acks 1", "crlf\r\n");
    commands.produce("produce shapes --json", "{\"value\": {\"amount\": 1.50}}");
    let read = commands.ok("consume shapes --from-beginning -e -f %s|");
    assert_eq!(read, "a1|a2|x\ny|b1|crlf|{\"amount\":1.50}|");
    let (prefixed, _) = commands.both("consume shapes --from-beginning -e -f %R%s", b"");
    assert_eq!(prefixed[..6], *b"\0\0\0\x02a1");
    commands.both("produce binary --length-prefixed", &prefixed);
    assert_eq!(commands.ok("consume binary --from-beginning -e -f %s|"), read);
    assert_eq!(
        commands.ok("consume binary --from-beginning -e --raw -n 2"),
        "a1a2"
    );
    assert_eq!(
        commands.ok("consume binary -o -1 -e --value-format json"),
        "{\n  \"amount\": 1.50\n}\n"
    );
    let line = commands.ok("consume binary -o -1 -e --json --value-format json");
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (
            &value["value"]["amount"].to_string()[..],
            &value["value_encoding"]
        ),
        ("1.50", &json!("json"))
    );
    let error = commands.output("produce shapes -K :", b"a:1\nb\n");
    assert_eq!(error.status.code(), Some(1));
    let error = String::from_utf8(error.stderr).unwrap();
    assert!(
        error.starts_with("1 record acknowledged by")
            && error.ends_with("jackfield: standard input: line 2: has no key separator ':'\n"),
        "{error}"
    );
}

#[test]
fn a_group_goes_on_where_it_was_interrupted() {
    let scratch = Scratch::new("commands-interrupted");
    let broker = Broker::start(&scratch, &["group.initial.rebalance.delay.ms=0"]);
    let commands = Commands::of_broker(broker.port, &scratch);
    commands.produce("produce in", "1\n2\n");
    let log = scratch.join("consume.log");
    let mut command = commands.command("consume in --group g --from-beginning");
    let mut consumer = Process::start("jackfield consume", &mut command, &log);
    wait::until("both records", || (consumer.log() == "1\n2\n").then_some(()));
    assert_eq!(consumer.stop(Signal::INT).0.code(), Some(0));
    commands.produce("produce in", "3\n");
    assert_eq!(commands.ok("consume in --group g --exit-at-end"), "3\n");
    // Without a group nothing is remembered, and the next record is waited for.
    let mut command = commands.command("consume in");
    let log = scratch.join("follow.log");
    let mut follower = Process::start("jackfield consume", &mut command, &log);
    wait::until("the new record", || {
        commands.produce("produce in --quiet", "new\n");
        follower.log().starts_with("new\n").then_some(())
    });
    assert_eq!(follower.stop(Signal::TERM).0.code(), Some(0));
}

#[test]
fn what_could_not_be_printed_is_not_committed() {
    let scratch = Scratch::new("commands-unprinted");
    let broker = Broker::start(&scratch, &["group.initial.rebalance.delay.ms=0"]);
    let commands = Commands::of_broker(broker.port, &scratch);
    let lines: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    commands.produce("produce in", &lines);
    let full = commands
        .command("consume in --group g --from-beginning --exit-at-end")
        .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    let error = String::from_utf8(full.stderr).unwrap();
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(full.status.code(), Some(1));
    assert_eq!(
        commands.ok("consume in --group g --from-beginning --exit-at-end"),
        lines
    );
}

#[test]
fn a_record_that_is_not_taken_is_named_with_the_reason() {
    let scratch = Scratch::new("commands-refused");
    let broker = Broker::start(&scratch, &[]);
    let commands = Commands::of_broker(broker.port, &scratch);
    commands.ok("topics create compacted --config cleanup.policy=compact");
    commands.ok("topics create small --config max.message.bytes=1000");
    let long = "a".repeat(3000);
    for (line, input, expected) in [
        (
            "produce compacted",
            "no key\n",
            "1 of 1 records were not acknowledged: record 1, for partition 0 of topic 'compacted': the broker \
             does not take it without a key",
        ),
        (
            "produce small",
            &long,
            "for partition 0 of topic 'small': it has 3000 bytes, which is more than max.message.bytes=1000",
        ),
        (
            "produce small --json --keep-partitions",
            "{\"partition\": 7}",
            "topic 'small' has no partition 7; it has 1",
        ),
    ] {
        let output = commands.output(line, input.as_bytes());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{line}: {error}");
        assert_eq!(output.status.code(), Some(1), "{line}");
    }
    // What the library calls a contradiction was not asked for.
    commands.produce("produce small -X acks=1", "a\n");
}

#[test]
fn an_interrupted_producer_says_what_was_acknowledged() {
    let scratch = Scratch::new("commands-produce-interrupted");
    let broker = Broker::start(&scratch, &[]);
    let commands = Commands::of_broker(broker.port, &scratch);
    let mut producer = commands
        .command("produce in")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = producer.stdin.take().unwrap();
    input.write_all(b"1\n2\n").unwrap();
    wait::until("both records", || {
        let read = commands.output("consume in --from-beginning --exit-at-end", b"");
        (read.stdout == b"1\n2\n").then_some(())
    });
    let id = Pid::from_raw(i32::try_from(producer.id()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let output = producer.wait_with_output().unwrap();
    drop(input);
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.starts_with("2 records acknowledged by "), "{report}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_producer_gives_up_a_silent_broker_after_the_timeout() {
    let scratch = Scratch::new("commands-produce-silent");
    let mut broker = Broker::start(&scratch, &[]);
    let commands = Commands::of_broker(broker.port, &scratch);
    let mut producer = commands
        .command("produce in --timeout 1s")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = producer.stdin.take().unwrap();
    input.write_all(b"1\n").unwrap();
    wait::until("the record", || {
        let read = commands.output("consume in --from-beginning --exit-at-end", b"");
        (read.stdout == b"1\n").then_some(())
    });
    broker.process.kill_9();
    input.write_all(b"2\n").unwrap();
    drop(input);
    let output = producer.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "jackfield: 1 of 2 records were not acknowledged: the broker at {} does not answer any more (nothing came \
         within 1s)\n",
        commands.bootstrap_server
    );
    assert!(error.ends_with(&expected), "{error}");
    assert_eq!(output.status.code(), Some(1));
}
