//! `groups`.

use rustix::process::Signal;
use serde_json::json;

use super::{Commands, cells};
use crate::harness::{process::Process, program::Broker, scratch::Scratch, wait};

#[test]
fn groups_are_described_reset_and_deleted() {
    let scratch = Scratch::new("commands-groups");
    let broker = Broker::start(&scratch, &["group.initial.rebalance.delay.ms=0"]);
    on(&Commands::of_broker(broker.port, &scratch), "classic", &[]);
}

/// The same on any broker, with members of one protocol.
pub(super) fn on(commands: &Commands, protocol: &str, flags: &[&str]) {
    let group = format!("billing-{protocol}");
    let topic = format!("orders-{protocol}");
    commands.ok(&format!("topics create {topic} --partitions 2"));
    commands.produce(&format!("produce {topic} -p 0"), "1\n2\n3\n4\n");
    let flags = flags.join(" ");
    let line = format!("consume {topic} --group {group} --from-beginning {flags}");
    let log = commands.directory.join(format!("{group}.log"));
    let mut member = Process::start("jackfield consume", &mut commands.command(line.trim()), &log);
    wait::until("four records", || {
        (member.log().lines().count() == 4).then_some(())
    });
    let active = commands.json(&format!("groups describe {group} --json"));
    assert_eq!(active[0]["type"], *protocol);
    let members = active[0]["members"].as_array().unwrap();
    assert_eq!(members.len(), 1, "{active}");
    assert_eq!(members[0]["client_id"], "jackfield");
    assert_eq!(
        members[0]["assignment"],
        json!([{"topic": topic, "partitions": [0, 1]}])
    );
    let shown = commands.ok(&format!("groups describe {group}"));
    assert!(
        shown.starts_with(&format!("{group}: Stable, {protocol} group, ")),
        "{shown}"
    );
    assert!(shown.contains(&format!("{topic}:0,1")), "{shown}");
    let reset = format!("groups reset {group} --topic {topic} --to-earliest --execute");
    commands.check_error(
        &reset,
        &format!("group '{group}' is Stable with 1 active members; stop them first"),
    );
    commands.check_error(
        &format!("groups delete {group}"),
        "has active members; stop them first",
    );
    assert_eq!(member.stop(Signal::INT).0.code(), Some(0));
    wait::until("the group to be empty", || {
        let groups = commands.json("groups list --state Empty --json");
        groups
            .as_array()
            .unwrap()
            .iter()
            .any(|found| found["group"] == *group)
            .then_some(())
    });

    let lag = |expected: &[&str; 5]| {
        let shown = commands.ok(&format!("groups describe {group}"));
        assert_eq!(cells(&shown)[1][..5], expected[..], "{shown}");
    };
    lag(&[&topic, "0", "4", "4", "0"]);
    let reset = |target: &str| commands.ok(&format!("groups reset {group} {target}"));
    let dry = reset(&format!("--topic {topic} --to-earliest"));
    assert_eq!(cells(&dry)[0], [&topic, "0", "4", "0"]);
    lag(&[&topic, "0", "4", "4", "0"]);
    for (target, after) in [
        ("--to-earliest", "0"),
        ("--to-offset 2", "2"),
        ("--shift-by -1", "1"),
        ("--shift-by 2", "3"),
        ("--to-datetime 2020-01-01", "0"),
        ("--to-latest", "4"),
        ("--by-duration 1h", "0"),
        ("--to-current", "0"),
    ] {
        let done = reset(&format!("--topic {topic}:0 --execute {target}"));
        assert_eq!(cells(&done)[0][3], after, "{target}");
        lag(&[
            &topic,
            "0",
            after,
            "4",
            &(4 - after.parse::<i64>().unwrap()).to_string(),
        ]);
    }
    let all = commands.json(&format!(
        "groups seek {group} --all-topics --to-latest --execute --json"
    ));
    assert_eq!(
        all[0],
        json!({"group": group, "topic": topic, "partition": 0, "before": 0, "after": 4, "executed": true})
    );
    commands.check_error(
        &format!("groups reset {group} -t nix --to-latest"),
        "topic 'nix' does not exist",
    );
    commands.check_error(
        &format!("groups reset {group} -t {topic}:7 --to-latest"),
        "has no partition 7",
    );

    let forgotten = commands.ok(&format!("groups delete-offsets {group} --topic {topic}:0"));
    assert_eq!(forgotten, format!("deleted {topic}:0\n"));
    let near = &group[..group.len() - 1];
    commands.check_error(
        &format!("groups describe {near}"),
        &format!("group '{near}' does not exist; did you mean '{group}'?"),
    );
    // Offsets that a group is to have before its first member comes.
    commands.ok(&format!(
        "groups reset {group} --topic {topic} --to-latest --execute"
    ));
    assert_eq!(
        commands.ok(&format!("groups delete {group} --yes")),
        format!("deleted {group}\n")
    );
    commands.check_error(
        &format!("groups delete {group}"),
        &format!("group '{group}': does not exist"),
    );
    commands.ok(&format!("topics delete {topic}"));
}
