//! `__consumer_offsets`: the same group requests leave the same records.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        FindCoordinatorRequest, GroupId, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
        OffsetCommitRequest, SyncGroupRequest,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};

use super::{
    expected::{self, updating},
    mask::Mask,
};
use crate::harness::{
    kafka::RealKafka,
    program::Broker,
    scratch::Scratch,
    wait,
    wire::{Wire, text, topic},
};

const TOPIC: &str = "golden-groups";
const ONE_PARTITION: &str = "offsets.topic.num.partitions=1";

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

/// Commits an offset for each of the topic's two partitions, with and without metadata and leader epoch.
fn commit(wire: &mut Wire, id: &str, member: Option<(&JoinGroupResponse, Option<StrBytes>)>, offset: i64) {
    let partition = |index: i32, metadata: Option<&str>| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset + i64::from(index))
            .with_committed_leader_epoch(index - 1)
            .with_committed_metadata(metadata.map(text))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic(TOPIC))
        .with_partitions(vec![partition(0, Some("position 12")), partition(1, None)]);
    let mut request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    if let Some((joined, instance)) = member {
        request = request
            .with_generation_id_or_member_epoch(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(instance);
    }
    let response = wire.call(7, &request);
    for partition in &response.topics[0].partitions {
        assert_eq!(partition.error_code, 0, "committing {id}");
    }
}

/// Joins as the only member and syncs with a fixed assignment.
fn join(wire: &mut Wire, mask: &mut Mask, id: &str, instance: Option<StrBytes>) -> JoinGroupResponse {
    let mut request = JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(45_000)
        .with_group_instance_id(instance.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default()
                .with_name(text("range"))
                .with_metadata(Bytes::from_static(
                    b"\0\x01\0\0\0\x01\0\x0dgolden-groups\xff\xff\xff\xff\0\0\0\0",
                )),
        ]);
    let mut joined = wire.call(5, &request);
    if joined.error_code == 79 {
        request.member_id = joined.member_id.clone();
        joined = wire.call(5, &request);
    }
    assert_eq!(joined.error_code, 0, "joining {id}");
    mask.id(joined.member_id.as_bytes());
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(
            b"\0\x01\0\0\0\x01\0\x0dgolden-groups\0\0\0\x02\0\0\0\0\0\0\0\x01\xff\xff\xff\xff",
        ));
    let request = SyncGroupRequest::default()
        .with_group_id(group(id))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_group_instance_id(instance)
        .with_assignments(vec![assignment]);
    assert_eq!(wire.call(3, &request).error_code, 0, "syncing {id}");
    joined
}

fn leave(wire: &mut Wire, id: &str, joined: &JoinGroupResponse, instance: Option<StrBytes>) {
    let member = MemberIdentity::default()
        .with_member_id(joined.member_id.clone())
        .with_group_instance_id(instance);
    let request = LeaveGroupRequest::default()
        .with_group_id(group(id))
        .with_members(vec![member]);
    let response = wire.call(3, &request);
    assert_eq!(
        (response.error_code, response.members[0].error_code),
        (0, 0),
        "leaving {id}"
    );
}

fn drive(port: u16) -> String {
    let mut mask = Mask::new();
    let mut wire = Wire::connect(port);
    wire.create_topic(TOPIC, 2, &[]);
    mask.id(&wire.topic_id(TOPIC));
    wait::until("the coordinator", || {
        let request = FindCoordinatorRequest::default()
            .with_key(text("simple"))
            .with_key_type(0);
        (wire.call(2, &request).error_code == 0).then_some(())
    });
    wait::until("the coordinator to have loaded", || {
        let request = OffsetCommitRequest::default()
            .with_group_id(group("empty"))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![
                OffsetCommitRequestTopic::default()
                    .with_name(topic(TOPIC))
                    .with_partitions(vec![
                        OffsetCommitRequestPartition::default()
                            .with_committed_offset(1)
                            .with_committed_leader_epoch(-1),
                    ]),
            ]);
        (wire.call(7, &request).topics[0].partitions[0].error_code == 0).then_some(())
    });
    commit(&mut wire, "simple", None, 5);
    commit(&mut wire, "simple", None, 6);
    let dynamic = join(&mut wire, &mut mask, "classic", None);
    commit(&mut wire, "classic", Some((&dynamic, None)), 100);
    leave(&mut wire, "classic", &dynamic, None);
    let instance = Some(text("instance-1"));
    let fixed = join(&mut wire, &mut mask, "static", instance.clone());
    commit(&mut wire, "static", Some((&fixed, instance.clone())), 200);
    leave(&mut wire, "static", &fixed, instance);
    wire.read_all("__consumer_offsets", 0)
        .iter()
        .map(|record| mask.record(record) + "\n")
        .collect()
}

#[test]
fn group_records_equal_kafkas() {
    let scratch = Scratch::new("golden-groups");
    let records = if updating() {
        let kafka = RealKafka::start(&scratch, &[ONE_PARTITION]);
        drive(kafka.port)
    } else {
        let broker = Broker::start(&scratch, &[ONE_PARTITION]);
        drive(broker.port)
    };
    expected::check(
        "groups",
        &BTreeMap::from([("__consumer_offsets.txt".to_owned(), records.into_bytes())]),
    );
}
