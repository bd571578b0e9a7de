//! `kafka-console-consumer` with a group, `kafka-consumer-groups`, `kafka-groups`, `kafka-streams-application-reset`.

use super::{GROUP_ARGUMENTS, RECORDS, Side, TOPIC, TOPIC_ARGUMENTS};

const GROUPS: &str = "consumer.group.ConsumerGroupCommand";

/// Records of the topic that `kafka-delete-records` left.
const LEFT: usize = 3 + RECORDS;

pub(super) fn script(side: &mut Side<'_>) {
    let (topic, group) = (&TOPIC_ARGUMENTS[..], &GROUP_ARGUMENTS[..]);
    let consumed = LEFT.to_string();
    side.run(
        "consumer.ConsoleConsumer",
        &[topic, group, &["--from-beginning", "--max-messages", &consumed]].concat(),
    );
    for options in [
        &["--list"][..],
        &["--list", "--state"],
        &["--list", "--state", "empty,stable"],
        &["--list", "--state", "stable"],
        &["--list", "--type"],
        &["--list", "--type", "consumer"],
        &["--list", "--state", "nonsense"],
    ] {
        side.run(GROUPS, options);
    }
    for options in [
        &["--list"][..],
        &["--list", "--group-type", "classic"],
        &["--list", "--protocol", "consumer"],
    ] {
        side.run("GroupsCommand", options);
    }
    for more in [
        &[][..],
        &["--state"],
        &["--members"],
        &["--members", "--verbose"],
        &["--offsets", "--verbose"],
        &["--state", "--verbose"],
    ] {
        side.run(GROUPS, &[&["--describe"][..], group, more].concat());
    }
    side.run(GROUPS, &["--describe", "--all-groups"]);
    reset(side);
    side.run(GROUPS, &[&["--delete-offsets"][..], group, topic].concat());
    side.run(
        GROUPS,
        &[&["--delete-offsets"][..], group, &["--topic", "missing"]].concat(),
    );
    side.run(
        GROUPS,
        &[&["--delete-offsets"][..], &["--group", "missing"], topic].concat(),
    );
    for more in [&[][..], &["--state"], &["--members"]] {
        side.run(
            GROUPS,
            &[&["--describe", "--group", "missing"][..], more].concat(),
        );
    }
    side.run(GROUPS, &[&["--delete"][..], group].concat());
    side.run(GROUPS, &["--delete", "--group", "missing"]);
    side.run(GROUPS, &["--list"]);
    newer_protocol(side, &consumed);
    streams(side);
}

/// A group of the consumer protocol.
fn newer_protocol(side: &mut Side<'_>, consumed: &str) {
    let group = ["--group", "newer-readers"];
    let consume = [
        &["--topic", TOPIC, "--from-beginning", "--max-messages", consumed][..],
        &["--command-property", "group.protocol=consumer"],
        &group,
    ];
    side.run("consumer.ConsoleConsumer", &consume.concat());
    side.run(
        GROUPS,
        &[&["--describe", "--state", "--verbose"][..], &group].concat(),
    );
    side.run(GROUPS, &["--list", "--type", "consumer", "--state"]);
    side.run(GROUPS, &[&["--delete"][..], &group].concat());
}

/// Every way to reset the offsets of a group without members, each tried and done.
fn reset(side: &mut Side<'_>) {
    let topic = &TOPIC_ARGUMENTS[..];
    let file = side.file("reset.csv", "side,0,4\nside,1,3\n");
    let bad = side.file("bad.csv", "side;0;4\n");
    for (scope, how) in [
        (topic, &["--to-earliest"][..]),
        (topic, &["--to-latest"]),
        (topic, &["--to-datetime", "2023-11-14T22:13:22.000"]),
        (topic, &["--to-datetime", "2023-11-14T22:13:22.000Z"]),
        (topic, &["--to-datetime", "yesterday"]),
        (topic, &["--by-duration", "PT0S"]),
        (topic, &["--by-duration", "P36500D"]),
        (topic, &["--shift-by", "-1"]),
        (topic, &["--shift-by", "-100"]),
        (topic, &["--shift-by", "100"]),
        (topic, &["--to-offset", "3"]),
        (topic, &["--to-offset", "99"]),
        (topic, &["--to-current"]),
        (&["--all-topics"], &["--to-earliest"]),
        (&["--topic", "side:0,2"], &["--to-latest"]),
        (&["--topic", "side:9"], &["--to-latest"]),
        (&["--topic", "missing"], &["--to-latest"]),
        (&[], &["--from-file", &file]),
        (&[], &["--from-file", &bad]),
        (topic, &[]),
    ] {
        let reset = [&["--reset-offsets"][..], &GROUP_ARGUMENTS, scope, how].concat();
        side.run(GROUPS, &[&reset[..], &["--dry-run", "--export"]].concat());
        side.run(GROUPS, &[&reset[..], &["--execute"]].concat());
    }
    side.run(
        GROUPS,
        &[
            "--reset-offsets",
            "--all-groups",
            "--topic",
            TOPIC,
            "--to-earliest",
        ],
    );
    side.run(
        GROUPS,
        &[
            "--reset-offsets",
            "--group",
            "new",
            "--topic",
            TOPIC,
            "--to-latest",
            "--execute",
        ],
    );
    side.run(GROUPS, &["--describe", "--group", "new"]);
    side.run(GROUPS, &["--delete", "--group", "new", "--group", "missing"]);
}

fn streams(side: &mut Side<'_>) {
    let application = ["--application-id", "counts", "--input-topics", TOPIC];
    for more in [
        &["--dry-run"][..],
        &["--to-offset", "3"],
        &["--shift-by", "1"],
        &["--input-topics", "missing"],
    ] {
        side.run("StreamsResetter", &[&application[..], more].concat());
    }
    side.run(GROUPS, &["--describe", "--group", "counts"]);
    side.run(GROUPS, &["--delete", "--group", "counts"]);
}
