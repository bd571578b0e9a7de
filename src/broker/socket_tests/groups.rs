//! What administrators ask about groups, and do to them.

use bytes::Bytes;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, JoinGroupRequest,
        JoinGroupResponse, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest,
        describe_groups_response::DescribedGroup,
        join_group_request::JoinGroupRequestProtocol,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        sync_group_request::SyncGroupRequestAssignment,
    },
};

use super::harness::{Client, Server, text, topic_name};

/// A subscription to topic `t`, version 0, as consumers write it.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

fn join_request(id: &str, protocol_type: &str, instance: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(SUBSCRIPTION));
    JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_group_instance_id(Some(text(instance)))
        .with_protocol_type(text(protocol_type))
        .with_protocols(vec![protocol])
}

async fn join(client: &mut Client, id: &str, protocol_type: &str) -> JoinGroupResponse {
    let request = join_request(id, protocol_type, "instance");
    let joined = client.call(9, &request).await;
    assert_eq!(joined.error_code, 0);
    joined
}

async fn sync(client: &mut Client, id: &str, joined: &JoinGroupResponse) {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"mine"));
    let request = SyncGroupRequest::default()
        .with_group_id(group(id))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_group_instance_id(Some(text("instance")))
        .with_protocol_type(joined.protocol_type.clone())
        .with_protocol_name(joined.protocol_name.clone())
        .with_assignments(vec![assignment]);
    assert_eq!(client.call(5, &request).await.error_code, 0);
}

async fn commit(client: &mut Client, id: &str, topic: &str) {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_topics(vec![topic]);
    let committed = client.call(9, &request).await;
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
}

async fn describe(client: &mut Client, id: &str, version: i16) -> DescribedGroup {
    let request = DescribeGroupsRequest::default()
        .with_groups(vec![group(id)])
        .with_include_authorized_operations(true);
    client.call(version, &request).await.groups.remove(0)
}

/// Ids, types and states of the listed groups.
async fn list(client: &mut Client, states: &[&str], types: &[&str]) -> Vec<(String, String, String)> {
    let names = |names: &[&str]| names.iter().map(|name| text(name)).collect();
    let request = ListGroupsRequest::default()
        .with_states_filter(names(states))
        .with_types_filter(names(types));
    let listed = client.call(5, &request).await;
    assert_eq!(listed.error_code, 0);
    let row = |group: &kafka_protocol::messages::list_groups_response::ListedGroup| {
        assert_eq!(group.group_type, text("classic"));
        let texts = [&*group.group_id, &group.protocol_type, &group.group_state];
        let [id, kind, state] = texts.map(ToString::to_string);
        (id, kind, state)
    };
    listed.groups.iter().map(row).collect()
}

/// A broker with topics `t` and `u`, and a client of it.
async fn start() -> (Server, Client) {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.create_topic("u", 1, &[]).await;
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    client.call(4, &find).await;
    (server, client)
}

#[tokio::test]
async fn groups_are_listed_by_state_and_type() {
    let (_server, mut client) = start().await;
    assert_eq!(list(&mut client, &[], &[]).await, []);
    commit(&mut client, "offsets", "t").await;
    let joined = join(&mut client, "members", "consumer").await;
    let row = |id: &str, kind: &str, state: &str| (id.to_owned(), kind.to_owned(), state.to_owned());
    let offsets = row("offsets", "", "Empty");
    let joining = row("members", "consumer", "CompletingRebalance");
    assert_eq!(
        list(&mut client, &[], &[]).await,
        [joining.clone(), offsets.clone()]
    );
    sync(&mut client, "members", &joined).await;
    let members = row("members", "consumer", "Stable");
    assert_eq!(
        list(&mut client, &["STABLE"], &[]).await,
        std::slice::from_ref(&members)
    );
    assert_eq!(
        list(&mut client, &["empty", "dead"], &["Classic"]).await,
        [offsets]
    );
    assert_eq!(list(&mut client, &[], &["consumer"]).await, []);
}

#[tokio::test]
async fn a_group_is_described_with_its_members_when_it_is_stable() {
    let (_server, mut client) = start().await;
    let joined = join(&mut client, "g", "consumer").await;
    let joining = describe(&mut client, "g", 6).await;
    assert_eq!(joining.group_state, text("CompletingRebalance"));
    assert_eq!(
        (joining.protocol_type, joining.protocol_data),
        (text("consumer"), text(""))
    );
    assert_eq!(joining.members[0].member_metadata, Bytes::new());
    sync(&mut client, "g", &joined).await;
    let stable = describe(&mut client, "g", 6).await;
    assert_eq!(
        (stable.group_state, stable.protocol_data),
        (text("Stable"), text("range"))
    );
    assert_eq!(stable.authorized_operations, 3400);
    let member = &stable.members[0];
    assert_eq!(member.member_id, joined.member_id);
    assert_eq!(member.group_instance_id, Some(text("instance")));
    assert_eq!(member.client_host, text("/127.0.0.1"));
    assert_eq!(&member.member_metadata[..], SUBSCRIPTION);
    assert_eq!(&member.member_assignment[..], b"mine");
}

#[tokio::test]
async fn a_group_that_is_not_there_is_dead_and_since_version_6_an_error() {
    let (_server, mut client) = start().await;
    let dead = describe(&mut client, "x", 5).await;
    assert_eq!((dead.error_code, dead.group_state), (0, text("Dead")));
    let missing = describe(&mut client, "x", 6).await;
    assert_eq!(missing.error_code, ResponseError::GroupIdNotFound.code());
    assert_eq!(missing.error_message, Some(text("Group x not found.")));
    assert_eq!(missing.group_state, text("Dead"));
}

#[tokio::test]
async fn groups_without_members_are_deleted() {
    let (_server, mut client) = start().await;
    commit(&mut client, "offsets", "t").await;
    join(&mut client, "members", "consumer").await;
    let names = ["offsets", "members", "x"].map(group).to_vec();
    let request = DeleteGroupsRequest::default().with_groups_names(names);
    let deleted = client.call(2, &request).await;
    let codes: Vec<_> = deleted.results.iter().map(|result| result.error_code).collect();
    let refused = [ResponseError::NonEmptyGroup, ResponseError::GroupIdNotFound].map(|error| error.code());
    assert_eq!(codes, [0, refused[0], refused[1]]);
    let left = list(&mut client, &[], &[]).await;
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn offsets_of_topics_without_subscription_are_deleted() {
    let (_server, mut client) = start().await;
    let joined = join(&mut client, "g", "consumer").await;
    sync(&mut client, "g", &joined).await;
    let topic = |name: &str| {
        OffsetDeleteRequestTopic::default()
            .with_name(topic_name(name))
            .with_partitions(vec![OffsetDeleteRequestPartition::default()])
    };
    let request = |id: &str, topics: &[&str]| {
        OffsetDeleteRequest::default()
            .with_group_id(group(id))
            .with_topics(topics.iter().map(|name| topic(name)).collect())
    };
    let deleted = client.call(0, &request("g", &["missing", "t", "u"])).await;
    assert_eq!(deleted.error_code, 0);
    let codes: Vec<_> = deleted
        .topics
        .iter()
        .map(|topic| topic.partitions[0].error_code)
        .collect();
    let refused = [
        ResponseError::UnknownTopicOrPartition,
        ResponseError::GroupSubscribedToTopic,
    ]
    .map(|error| error.code());
    assert_eq!(codes, [refused[0], refused[1], 0]);
    for (id, error) in [
        ("", ResponseError::InvalidGroupId),
        ("x", ResponseError::GroupIdNotFound),
    ] {
        let answer = client.call(0, &request(id, &["t"])).await;
        assert_eq!(answer.error_code, error.code(), "{id}");
    }
    // The members of groups that are no consumers may use any topic.
    join(&mut client, "workers", "connect").await;
    let answer = client.call(0, &request("workers", &["t"])).await;
    assert_eq!(answer.error_code, ResponseError::NonEmptyGroup.code());
}

#[tokio::test]
async fn a_group_that_is_too_large_after_a_restart_finds_out_who_stays() {
    let (server, mut client) = start().await;
    let first = join(&mut client, "g", "consumer").await;
    sync(&mut client, "g", &first).await;
    let mut other = server.client().await;
    let waiting = other.send(9, &join_request("g", "consumer", "other")).await;
    let mut administrator = server.client().await;
    while describe(&mut administrator, "g", 6).await.group_state != text("PreparingRebalance") {
        tokio::task::yield_now().await;
    }
    let again = join_request("g", "consumer", "instance").with_member_id(first.member_id.clone());
    let again = client.call(9, &again).await;
    let second = other.receive::<JoinGroupRequest>(9, waiting).await;
    assert_eq!(
        (again.error_code, second.error_code, again.members.len()),
        (0, 0, 2)
    );
    sync(&mut client, "g", &again).await;
    let server = server.restart_with("group.max.size", "1").await;
    let mut client = server.client().await;
    let described = describe(&mut client, "g", 6).await;
    assert_eq!(
        (described.group_state, described.members.len()),
        (text("PreparingRebalance"), 2)
    );
}
