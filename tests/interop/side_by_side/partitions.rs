//! `kafka-get-offsets`, `kafka-delete-records`, `kafka-log-dirs`, `kafka-leader-election`, `kafka-reassign-partitions`.

use super::{Side, TOPIC, TOPIC_ARGUMENTS};

pub(super) fn script(side: &mut Side<'_>) {
    let offsets = side.scratch.write(
        "offsets.json",
        format!(r#"{{"partitions":[{{"topic":"{TOPIC}","partition":0,"offset":2}}],"version":1}}"#),
    );
    let offsets = offsets.to_str().unwrap().to_owned();
    side.run("GetOffsetShell", &TOPIC_ARGUMENTS);
    side.run("DeleteRecordsCommand", &["--offset-json-file", &offsets]);
    side.run("GetOffsetShell", &["--topic", TOPIC, "--time", "earliest"]);
    side.run("LogDirsCommand", &["--describe", "--topic-list", TOPIC]);
    for election in ["preferred", "unclean"] {
        let partition = ["--topic", TOPIC, "--partition", "0"];
        side.run(
            "LeaderElectionCommand",
            &[&["--election-type", election][..], &partition].concat(),
        );
    }
    side.run("reassign.ReassignPartitionsCommand", &["--list"]);
}
