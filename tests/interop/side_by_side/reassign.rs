//! `kafka-reassign-partitions`: there is one broker, and one log directory.

use super::{Side, TOPIC};

const REASSIGN: &str = "reassign.ReassignPartitionsCommand";

/// A reassignment of partition 0 to these replicas in these log directories.
fn assignment(replicas: &str, directories: &str) -> String {
    format!(
        r#"{{"version":1,"partitions":[{{"topic":"{TOPIC}","partition":0,"replicas":[{replicas}],"log_dirs":[{directories}]}}]}}"#
    )
}

pub(super) fn script(side: &mut Side<'_>) {
    side.run(REASSIGN, &["--list"]);
    let topics = side.file("topics.json", r#"{"topics":[{"topic":"side"}],"version":1}"#);
    let generate = ["--generate", "--topics-to-move-json-file", &topics];
    side.run(REASSIGN, &[&generate[..], &["--broker-list", "1"]].concat());
    side.run(REASSIGN, &[&generate[..], &["--broker-list", "1,2"]].concat());
    let here = format!("\"{}\"", side.data.display());
    for (name, replicas, directories) in [
        ("same", "1", r#""any""#),
        ("here", "1", &here),
        ("nowhere", "1", r#""/nowhere""#),
        ("other", "2", r#""any""#),
        ("two", "1,2", r#""any","any""#),
    ] {
        let file = side.file(&format!("{name}.json"), assignment(replicas, directories));
        side.run(REASSIGN, &["--reassignment-json-file", &file, "--execute"]);
        // Of a broker that does not exist the tool asks for a minute.
        if replicas == "1" {
            side.run(REASSIGN, &["--reassignment-json-file", &file, "--verify"]);
            side.run(REASSIGN, &["--reassignment-json-file", &file, "--cancel"]);
        }
    }
    side.run(REASSIGN, &["--list"]);
}
