//! `kafka-topics`.

use super::{Side, TOPIC, TOPIC_ARGUMENTS};

const TOPICS: &str = "TopicCommand";

/// Creates the script's topic.
pub(super) fn create(side: &mut Side<'_>) {
    side.run(TOPICS, &["--create", "--topic", TOPIC, "--partitions", "3"]);
    side.run(TOPICS, &["--create", "--topic", TOPIC]);
    describe(side);
}

/// More partitions, and fewer.
pub(super) fn change_partitions(side: &mut Side<'_>) {
    for partitions in ["4", "4", "2"] {
        side.run(TOPICS, &["--alter", "--topic", TOPIC, "--partitions", partitions]);
    }
}

pub(super) fn describe(side: &mut Side<'_>) {
    side.run(TOPICS, &[&["--describe"][..], &TOPIC_ARGUMENTS].concat());
}

/// The end of the script's topic.
pub(super) fn delete(side: &mut Side<'_>) {
    side.run(TOPICS, &[&["--delete"][..], &TOPIC_ARGUMENTS].concat());
    describe(side);
}
