//! `kafka-console-consumer` with a group, `kafka-consumer-groups`, `kafka-groups`.

use super::{GROUP_ARGUMENTS, PARTITIONS, RECORDS, Side, TOPIC_ARGUMENTS};

const GROUPS: &str = "consumer.group.ConsumerGroupCommand";

pub(super) fn script(side: &mut Side<'_>) {
    let (topic, group) = (&TOPIC_ARGUMENTS[..], &GROUP_ARGUMENTS[..]);
    let consumed = (PARTITIONS as usize * RECORDS - 2).to_string();
    side.run(
        "consumer.ConsoleConsumer",
        &[topic, group, &["--from-beginning", "--max-messages", &consumed]].concat(),
    );
    side.run(GROUPS, &["--list"]);
    side.run(GROUPS, &["--list", "--state"]);
    side.run("GroupsCommand", &["--list"]);
    for more in [&[][..], &["--state"], &["--members"], &["--offsets", "--verbose"]] {
        side.run(GROUPS, &[&["--describe"][..], group, more].concat());
    }
    let reset = [&["--reset-offsets"][..], group, topic, &["--to-earliest"]].concat();
    side.run(GROUPS, &[&reset[..], &["--dry-run"]].concat());
    side.run(GROUPS, &[&reset[..], &["--execute"]].concat());
    side.run(GROUPS, &[&["--delete-offsets"][..], group, topic].concat());
    side.run(GROUPS, &["--describe", "--group", "missing"]);
    side.run(GROUPS, &[&["--delete"][..], group].concat());
    side.run(GROUPS, &["--delete", "--group", "missing"]);
}
