//! `kafka-configs`, and what changes of partitions and configs make of the topic.

use super::{Side, TOPIC, topics};

const CONFIGS: &str = "kafka.admin.ConfigCommand";

pub(super) fn script(side: &mut Side<'_>) {
    topics::change_partitions(side);
    let entity = ["--entity-type", "topics", "--entity-name", TOPIC];
    for change in [
        [
            "--add-config",
            "retention.ms=60000,cleanup.policy=[compact,delete]",
        ],
        ["--delete-config", "cleanup.policy"],
        ["--delete-config", "segment.ms"],
    ] {
        side.run(CONFIGS, &[&["--alter"][..], &entity, &change].concat());
    }
    side.run(CONFIGS, &[&["--describe"][..], &entity].concat());
    topics::describe(side);
}
