//! `kafka-get-offsets`, `kafka-delete-records`, `kafka-log-dirs`, `kafka-leader-election`.

use super::{Side, TOPIC, TOPIC_ARGUMENTS};

const OFFSETS: &str = "GetOffsetShell";

pub(super) fn script(side: &mut Side<'_>) {
    side.run(OFFSETS, &TOPIC_ARGUMENTS);
    delete_records(side);
    for time in [
        "earliest",
        "latest",
        "max-timestamp",
        "earliest-local",
        "latest-tiered",
        "earliest-pending-upload",
        "-1",
        "-2",
        "-3",
        "-4",
        "-5",
        "-6",
        "-7",
        "0",
        "1700000002000",
        "1700000002001",
        "1900000000000",
        "soon",
    ] {
        side.run(OFFSETS, &["--topic", TOPIC, "--time", time]);
    }
    for options in [
        &["--topic", "s.*", "--partitions", "0,2"][..],
        &["--topic-partitions", "side:1-3,.*:0"],
        &["--topic", "missing"],
        &["--exclude-internal-topics"],
    ] {
        side.run(OFFSETS, options);
    }
    log_dirs(side);
    elections(side);
}

/// Leaves three records in partition 0, five in 1 and none in 2.
fn delete_records(side: &mut Side<'_>) {
    let row = |topic: &str, partition: i32, offset: i64| {
        format!(r#"{{"topic":"{topic}","partition":{partition},"offset":{offset}}}"#)
    };
    for (name, rows) in [
        ("some", vec![row(TOPIC, 0, 2)]),
        ("all", vec![row(TOPIC, 2, -1)]),
        // Of what is missing the tool asks for a minute.
        ("wrong", vec![row(TOPIC, 0, 99), row(TOPIC, 1, 0)]),
        ("twice", vec![row(TOPIC, 0, 3), row(TOPIC, 0, 4)]),
    ] {
        let json = format!(r#"{{"partitions":[{}],"version":1}}"#, rows.join(","));
        let file = side.file(&format!("{name}.json"), json);
        side.run("DeleteRecordsCommand", &["--offset-json-file", &file]);
    }
}

fn log_dirs(side: &mut Side<'_>) {
    for options in [
        &["--topic-list", TOPIC][..],
        &["--topic-list", "missing"],
        &["--broker-list", "1", "--topic-list", TOPIC],
        &["--broker-list", "7"],
    ] {
        side.run("LogDirsCommand", &[&["--describe"][..], options].concat());
    }
}

fn elections(side: &mut Side<'_>) {
    let file = side.file(
        "election.json",
        r#"{"partitions":[{"topic":"side","partition":1},{"topic":"missing","partition":0}]}"#,
    );
    for election in ["preferred", "unclean"] {
        for which in [
            &["--topic", TOPIC, "--partition", "0"][..],
            &["--topic", TOPIC, "--partition", "9"],
            &["--path-to-json-file", &file],
            &["--all-topic-partitions"],
        ] {
            side.run(
                "LeaderElectionCommand",
                &[&["--election-type", election][..], which].concat(),
            );
        }
    }
}
