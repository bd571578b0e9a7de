//! `groups`.

use rustix::process::Signal;
use serde_json::json;

use super::{Commands, cells};
use crate::harness::{process::Process, program::Broker, scratch::Scratch, wait};

#[test]
fn groups_are_described_reset_and_deleted() {
    let scratch = Scratch::new("commands-groups");
    let broker = Broker::start(&scratch, &["group.initial.rebalance.delay.ms=0"]);
    let commands = Commands::of_broker(broker.port, &scratch);
    on(&commands, "classic", &[]);
    on(&commands, "consumer", &["-X group.protocol=consumer"]);
}

/// One group and its topic.
struct Group<'a> {
    commands: &'a Commands,
    name: String,
    topic: String,
}

/// The same on any broker, with members of one protocol.
pub(super) fn on(commands: &Commands, protocol: &str, flags: &[&str]) {
    let group = Group {
        commands,
        name: format!("billing-{protocol}"),
        topic: format!("orders-{protocol}"),
    };
    let (name, topic) = (&group.name, &group.topic);
    commands.ok(&format!("topics create {topic} --partitions 2"));
    commands.produce(&format!("produce {topic} -p 0"), "1\n2\n3\n4\n");
    group.with_a_member(protocol, flags);
    group.moved();
    let expected = format!("group '{name}' has no committed offsets of {topic}:1");
    commands.check_error(
        &format!("groups delete-offsets {name} --topic {topic}:1"),
        &expected,
    );
    let forgotten = commands.ok(&format!("groups delete-offsets {name} --topic {topic}:0"));
    assert_eq!(forgotten, format!("deleted {topic}:0\n"));
    let near = &name[..name.len() - 1];
    let expected = format!("group '{near}' does not exist; did you mean '{name}'?");
    commands.check_error(&format!("groups describe {near}"), &expected);
    // Offsets that a group is to have before its first member comes.
    commands.ok(&format!(
        "groups reset {name} --topic {topic} --to-latest --execute"
    ));
    assert_eq!(
        commands.ok(&format!("groups delete {name} --yes")),
        format!("deleted {name}\n")
    );
    let expected = format!("group '{name}': does not exist");
    commands.check_error(&format!("groups delete {name}"), &expected);
    commands.ok(&format!("topics delete {topic}"));
}

impl Group<'_> {
    fn with_a_member(&self, protocol: &str, flags: &[&str]) {
        let (commands, name, topic) = (self.commands, &self.name, &self.topic);
        let flags = flags.join(" ");
        let line = format!("consume {topic} --group {name} --from-beginning {flags}");
        let log = commands.directory.join(format!("{name}.log"));
        let mut member = Process::start("jackfield consume", &mut commands.command(line.trim()), &log);
        wait::until("four records", || {
            (member.log().lines().count() == 4).then_some(())
        });
        let active = commands.json(&format!("groups describe {name} --json"));
        assert_eq!(active[0]["type"], *protocol);
        let members = active[0]["members"].as_array().unwrap();
        assert_eq!(members.len(), 1, "{active}");
        assert_eq!(members[0]["client_id"], "jackfield");
        let assignment = json!([{"topic": topic, "partitions": [0, 1]}]);
        assert_eq!(members[0]["assignment"], assignment);
        let shown = commands.ok(&format!("groups describe {name}"));
        assert!(
            shown.starts_with(&format!("{name}: Stable, {protocol} group, ")),
            "{shown}"
        );
        assert!(shown.contains(&format!("{topic}:0,1")), "{shown}");
        let reset = format!("groups reset {name} --topic {topic} --to-earliest --execute");
        let expected = format!("group '{name}' is Stable with 1 active members; stop them first");
        commands.check_error(&reset, &expected);
        let delete = format!("groups delete {name}");
        commands.check_error(&delete, "has active members; stop them first");
        assert_eq!(member.stop(Signal::INT).0.code(), Some(0));
        wait::until("the group to be empty", || {
            let groups = commands.json("groups list --state Empty --json");
            let mut groups = groups.as_array().unwrap().iter();
            groups.any(|found| found["group"] == **name).then_some(())
        });
    }

    fn check_lag(&self, expected: [&str; 4]) {
        let shown = self.commands.ok(&format!("groups describe {}", self.name));
        let cells = cells(&shown);
        assert_eq!(cells[1][0], self.topic, "{shown}");
        assert_eq!(cells[1][1..5], expected[..], "{shown}");
    }

    fn moved(&self) {
        let (commands, name, topic) = (self.commands, &self.name, &self.topic);
        self.check_lag(["0", "4", "4", "0"]);
        let reset = |target: &str| commands.ok(&format!("groups reset {name} {target}"));
        let dry = reset(&format!("--topic {topic} --to-earliest"));
        assert_eq!(cells(&dry)[0], [topic, "0", "4", "0"]);
        self.check_lag(["0", "4", "4", "0"]);
        for (target, after, lag) in [
            ("--to-earliest", "0", "4"),
            ("--to-offset 2", "2", "2"),
            ("--shift-by -1", "1", "3"),
            ("--shift-by 2", "3", "1"),
            ("--to-datetime 2020-01-01", "0", "4"),
            ("--to-latest", "4", "0"),
            ("--by-duration 1h", "0", "4"),
            ("--to-current", "0", "4"),
        ] {
            let done = reset(&format!("--topic {topic}:0 --execute {target}"));
            assert_eq!(cells(&done)[0][3], after, "{target}");
            self.check_lag(["0", after, "4", lag]);
        }
        let all = commands.json(&format!(
            "groups seek {name} --all-topics --to-latest --execute --json"
        ));
        assert_eq!(
            all[0],
            json!({"group": name, "topic": topic, "partition": 0, "before": 0, "after": 4, "executed": true})
        );
        let missing = format!("groups reset {name} -t nix --to-latest");
        commands.check_error(&missing, "topic 'nix' does not exist");
        let missing = format!("groups reset {name} -t {topic}:7 --to-latest");
        commands.check_error(&missing, "has no partition 7");
    }
}
