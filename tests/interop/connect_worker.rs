//! Kafka Connect's own worker, in distributed mode, on our broker: its internal topics, its group of workers, its clients.

use std::{fs, io::Write as _};

use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    describe_configs_request::DescribeConfigsResource,
};
use rustix::process::Signal;
use serde_json::json;

use crate::harness::{
    kafka::{self, RealConnect},
    program::{Broker, binary},
    scratch::{Scratch, free_port},
    shown::shown,
    wait,
    wire::{self, Wire},
};

const GROUP: &str = "golden-workers";
/// The incremental protocol whose requests between workers are signed; the default since Kafka 2.4.
const SETTINGS: [&str; 3] = [
    "connect.protocol=sessioned",
    "scheduled.rebalance.max.delay.ms=0",
    "offset.storage.partitions=5",
];

const BROKER: [&str; 1] = ["group.initial.rebalance.delay.ms=0"];

#[test]
fn kafka_connects_own_worker_runs_its_file_connectors_on_our_broker() {
    let scratch = Scratch::new("connect-worker");
    let port = free_port();
    let mut broker = Broker::start_binary(&binary(), &scratch, port, &BROKER);
    let mut connect = RealConnect::start(&scratch, port, &SETTINGS);
    scratch.write("test.txt", "one\ntwo\n");
    for (name, config) in [
        (
            "lines-in",
            json!({"connector.class": "FileStreamSource", "file": "test.txt", "topic": "lines"}),
        ),
        (
            "lines-out",
            json!({"connector.class": "FileStreamSink", "file": "test.sink.txt", "topics": "lines"}),
        ),
    ] {
        let created = connect.rest.put(&format!("/connectors/{name}/config"), &config);
        assert_eq!(created.status, 201, "{created:?}");
        connect.rest.wait_for_state(name, "RUNNING");
    }
    arrive(&scratch, "one\ntwo\n");
    check_topics_and_group(port);

    // What the worker remembers is in our topics: the next one goes on where it was.
    connect.process.stop(Signal::TERM);
    append(&scratch, "three\n");
    let connect = RealConnect::start(&scratch, port, &SETTINGS);
    connect.rest.wait_for_state("lines-in", "RUNNING");
    connect.rest.wait_for_state("lines-out", "RUNNING");
    arrive(&scratch, "one\ntwo\nthree\n");

    // The worker outlives its broker.
    broker.stop();
    append(&scratch, "four\n");
    let _broker = Broker::start_binary(&binary(), &scratch, port, &BROKER);
    arrive(&scratch, "one\ntwo\nthree\nfour\n");
    let offsets = wait::until("the offset behind the last line", || {
        let answer = connect.rest.get("/connectors/lines-in/offsets");
        (answer.body["offsets"][0]["offset"]["position"] == 19).then_some(answer.body)
    });
    assert_eq!(offsets["offsets"][0]["partition"]["filename"], "test.txt");
    shown(
        "Kafka Connect, distributed",
        kafka::VERSION,
        "runs its file connectors on our broker, its internal topics included; worker and broker restarted",
    );
}

fn append(scratch: &Scratch, lines: &str) {
    let path = scratch.join("test.txt");
    let mut file = fs::File::options().append(true).open(path).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

fn arrive(scratch: &Scratch, lines: &str) {
    wait::until(&format!("{lines:?} in the sink file"), || {
        let found = fs::read_to_string(scratch.join("test.sink.txt")).ok()?;
        (found == lines).then_some(())
    });
}

/// The three topics as the worker asked for them, and the worker as a member of a group of type `connect`.
fn check_topics_and_group(port: u16) {
    let mut wire = Wire::connect(port);
    let topics = wire.topics();
    for (topic, partitions) in [
        ("connect-configs", 1),
        ("connect-offsets", 5),
        ("connect-status", 5),
    ] {
        assert_eq!(topics.get(topic), Some(&partitions), "{topic} in {topics:?}");
        assert_eq!(cleanup_policy(&mut wire, topic), "compact", "{topic}");
    }
    let groups = wire.call(4, &ListGroupsRequest::default()).groups;
    let group = groups.iter().find(|group| group.group_id.as_str() == GROUP);
    let group = group.unwrap_or_else(|| panic!("no group {GROUP} in {groups:?}"));
    assert_eq!(group.protocol_type.as_str(), "connect");
    let name = GroupId(wire::text(GROUP));
    let request = DescribeGroupsRequest::default().with_groups(vec![name]);
    let described = wire.call(5, &request);
    let group = &described.groups[0];
    assert_eq!(group.group_state.as_str(), "Stable", "{group:?}");
    assert_eq!(group.protocol_data.as_str(), "sessioned", "{group:?}");
    assert_eq!(group.members.len(), 1, "{group:?}");
}

fn cleanup_policy(wire: &mut Wire, topic: &str) -> String {
    const TOPIC: i8 = 2;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(wire::text(topic))
        .with_configuration_keys(Some(vec![wire::text("cleanup.policy")]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let described = wire.call(4, &request);
    let value = described.results[0].configs[0].value.clone();
    value.expect("a value").to_string()
}
