//! Groups of the consumer protocol over sockets, restarts and changes of protocol.

use bytes::Bytes;
use jackfield_protocol::versions::Api;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
        DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
        JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, MetadataRequest,
        OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
        consumer_group_describe_response::DescribedGroup,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        metadata_request::MetadataRequestTopic,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
    },
};

use super::harness::{Client, Server, text, topic_name};

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

fn joining(id: &str, member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

fn staying(id: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
}

fn partitions(answer: &ConsumerGroupHeartbeatResponse) -> Vec<i32> {
    let assignment = answer.assignment.as_ref().expect("an assignment");
    assignment
        .topic_partitions
        .iter()
        .flat_map(|topic| topic.partitions.clone())
        .collect()
}

async fn join(client: &mut Client, id: &str, member: &str) -> ConsumerGroupHeartbeatResponse {
    let answer = client.call(1, &joining(id, member)).await;
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    answer
}

async fn describe(client: &mut Client, id: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default()
        .with_group_ids(vec![group(id)])
        .with_include_authorized_operations(true);
    client.call(1, &request).await.groups.remove(0)
}

/// Type and state of a listed group.
async fn listed(client: &mut Client, id: &str) -> Option<(String, String)> {
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    let found = listed.groups.iter().find(|found| found.group_id == group(id))?;
    Some((found.group_type.to_string(), found.group_state.to_string()))
}

async fn commit(client: &mut Client, id: &str, member: &str, epoch: i32, version: i16) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(7);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(epoch)
        .with_topics(vec![topic]);
    client.call(version, &request).await.topics[0].partitions[0].error_code
}

/// Error of the group, or the first committed offset.
async fn fetch(client: &mut Client, id: &str, member: Option<&str>, epoch: i32) -> Result<i64, i16> {
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group(id))
        .with_member_id(member.map(text))
        .with_member_epoch(epoch)
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let answer = client.call(9, &request).await.groups.remove(0);
    match answer.error_code {
        0 => Ok(answer.topics[0].partitions[0].committed_offset),
        error => Err(error),
    }
}

/// A broker with topic `t` of two partitions, and a client of it.
async fn start(options: &[(&str, &str)]) -> (Server, Client) {
    let server = Server::start(options).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    client.call(4, &find).await;
    (server, client)
}

/// A group of one member that joins, is described and leaves.
pub(super) async fn exercise(client: &mut Client, api: Api, version: i16) {
    let id = format!("g-{api:?}-{version}");
    let heartbeat_version = if api == Api::ConsumerGroupHeartbeat {
        version
    } else {
        1
    };
    // Members of the first version get their ids from the coordinator.
    let member = if heartbeat_version == 0 { "" } else { "member" };
    let joined = client.call(heartbeat_version, &joining(&id, member)).await;
    assert_eq!(joined.error_code, 0, "{:?}", joined.error_message);
    let member = joined.member_id.clone().expect("a member id");
    let describe_version = if api == Api::ConsumerGroupDescribe {
        version
    } else {
        1
    };
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group(&id)]);
    let described = client.call(describe_version, &request).await;
    let found = &described.groups[0];
    assert_eq!((found.error_code, found.group_state.as_str()), (0, "Stable"));
    assert_eq!(found.members[0].member_id, member);
    let left = client.call(heartbeat_version, &staying(&id, &member, -1)).await;
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
}

#[tokio::test]
async fn members_share_partitions_and_a_restart_keeps_them() {
    let (server, mut client) = start(&[("group.consumer.assignment.interval.ms", "0")]).await;
    let first = join(&mut client, "g", "m1").await;
    assert_eq!((first.member_epoch, first.heartbeat_interval_ms), (2, 5_000));
    assert_eq!(partitions(&first), [0, 1]);
    assert_eq!(partitions(&join(&mut client, "g", "m2").await), [0; 0]);
    let first = client.call(1, &staying("g", "m1", 2)).await;
    assert_eq!(partitions(&first), [0]);
    let mut given_up = staying("g", "m1", 2);
    given_up.topic_partitions = Some(vec![
        kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions::default()
            .with_topic_id(first.assignment.as_ref().unwrap().topic_partitions[0].topic_id)
            .with_partitions(vec![0]),
    ]);
    assert_eq!(client.call(1, &given_up).await.member_epoch, 3);
    assert_eq!(commit(&mut client, "g", "m1", 3, 9).await, 0);
    let before = describe(&mut client, "g").await;
    let server = server.restart().await;
    let mut client = server.client().await;
    assert_eq!(describe(&mut client, "g").await, before);
    let second = client.call(1, &staying("g", "m2", 3)).await;
    assert_eq!((second.error_code, partitions(&second)), (0, vec![1]));
    let described = describe(&mut client, "g").await;
    assert_eq!(
        (
            described.group_state,
            described.group_epoch,
            described.assignment_epoch,
            described.assignor_name
        ),
        (text("Stable"), 3, 3, text("uniform"))
    );
    assert_eq!(described.authorized_operations, 3400);
    assert_eq!(
        (described.members.len(), described.members[0].member_type),
        (2, 1)
    );
    assert_eq!(
        listed(&mut client, "g").await,
        Some(("consumer".to_owned(), "Stable".to_owned()))
    );
}

#[tokio::test]
async fn offsets_are_the_members_own() {
    let (_server, mut client) = start(&[]).await;
    join(&mut client, "g", "m1").await;
    let code = |error: ResponseError| error.code();
    assert_eq!(
        commit(&mut client, "g", "m1", 2, 8).await,
        code(ResponseError::UnsupportedVersion)
    );
    assert_eq!(
        commit(&mut client, "g", "m1", 3, 9).await,
        code(ResponseError::StaleMemberEpoch)
    );
    assert_eq!(
        commit(&mut client, "g", "m9", 2, 9).await,
        code(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        commit(&mut client, "g", "", -1, 9).await,
        code(ResponseError::UnknownMemberId)
    );
    assert_eq!(commit(&mut client, "g", "m1", 2, 9).await, 0);
    assert_eq!(fetch(&mut client, "g", None, -1).await, Ok(7));
    assert_eq!(fetch(&mut client, "g", Some("m1"), 2).await, Ok(7));
    assert_eq!(
        fetch(&mut client, "g", Some("m1"), 1).await,
        Err(code(ResponseError::StaleMemberEpoch))
    );
    assert_eq!(
        fetch(&mut client, "g", Some("m9"), 2).await,
        Err(code(ResponseError::UnknownMemberId))
    );
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("g")]);
    let refused = client.call(2, &delete).await.results[0].error_code;
    assert_eq!(refused, code(ResponseError::NonEmptyGroup));
    // The older question is answered as if there were no such group.
    let old = DescribeGroupsRequest::default().with_groups(vec![group("g")]);
    let described = client.call(6, &old).await.groups.remove(0);
    assert_eq!(
        (described.error_code, described.group_state),
        (code(ResponseError::GroupIdNotFound), text("Dead"))
    );
    assert_eq!(
        described.error_message,
        Some(text("Group g is not a classic group."))
    );
    let leave = LeaveGroupRequest::default()
        .with_group_id(group("g"))
        .with_members(
            ["m1", "m9"]
                .map(|id| MemberIdentity::default().with_member_id(text(id)))
                .to_vec(),
        );
    let left = client.call(5, &leave).await;
    let codes: Vec<_> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [0, code(ResponseError::UnknownMemberId)]);
    assert_eq!(
        listed(&mut client, "g").await,
        Some(("consumer".to_owned(), "Empty".to_owned()))
    );
    assert_eq!(client.call(2, &delete).await.results[0].error_code, 0);
    assert_eq!(
        describe(&mut client, "g").await.error_code,
        code(ResponseError::GroupIdNotFound)
    );
    assert_eq!(listed(&mut client, "g").await, None);
}

/// A subscription to topic `t`, version 0, as consumers write it.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];

async fn join_classic(client: &mut Client, id: &str) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(SUBSCRIPTION));
    let request = JoinGroupRequest::default()
        .with_group_id(group(id))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_group_instance_id(Some(text("instance")))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let joined = client.call(9, &request).await;
    assert_eq!(joined.error_code, 0);
    joined
}

async fn sync_classic(client: &mut Client, id: &str, joined: &JoinGroupResponse) -> Bytes {
    let request = SyncGroupRequest::default()
        .with_group_id(group(id))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_group_instance_id(Some(text("instance")))
        .with_protocol_type(joined.protocol_type.clone())
        .with_protocol_name(joined.protocol_name.clone());
    let synced = client.call(5, &request).await;
    assert_eq!(synced.error_code, 0);
    synced.assignment
}

async fn beat_classic(client: &mut Client, id: &str, joined: &JoinGroupResponse) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group(id))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_group_instance_id(Some(text("instance")));
    client.call(4, &request).await.error_code
}

#[tokio::test]
async fn a_group_with_members_changes_its_protocol_and_back() {
    let (server, mut client) = start(&[("group.consumer.assignment.interval.ms", "0")]).await;
    let joined = join_classic(&mut client, "g").await;
    sync_classic(&mut client, "g", &joined).await;
    assert_eq!(
        listed(&mut client, "g").await,
        Some(("classic".to_owned(), "Stable".to_owned()))
    );
    let first = join(&mut client, "g", "m1").await;
    assert!(first.member_epoch > joined.generation_id);
    let described = describe(&mut client, "g").await;
    let types: Vec<_> = described
        .members
        .iter()
        .map(|member| member.member_type)
        .collect();
    assert!(types.contains(&0) && types.contains(&1), "{types:?}");
    let rebalance = ResponseError::RebalanceInProgress.code();
    assert_eq!(beat_classic(&mut client, "g", &joined).await, rebalance);
    // The classic member comes again and gets its part.
    let server = server.restart().await;
    let mut client = server.client().await;
    let again = join_classic(&mut client, "g").await;
    assert!(again.generation_id > joined.generation_id && again.leader.is_empty());
    let assignment = sync_classic(&mut client, "g", &again).await;
    // One topic with one partition.
    assert_eq!(&assignment[2..13], &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1]);
    // The last member of the consumer protocol goes.
    let left = client.call(1, &staying("g", "m1", -1)).await;
    assert_eq!(left.error_code, 0);
    let (kind, state) = listed(&mut client, "g").await.expect("a group");
    assert_eq!((kind.as_str(), state.as_str()), ("classic", "PreparingRebalance"));
    assert_eq!(beat_classic(&mut client, "g", &again).await, rebalance);
    let server = server.restart().await;
    let mut client = server.client().await;
    let (kind, state) = listed(&mut client, "g").await.expect("a group");
    assert_eq!((kind.as_str(), state.as_str()), ("classic", "Stable"));
}

#[tokio::test]
async fn a_group_of_offsets_becomes_a_consumer_group_with_them() {
    let (server, mut client) = start(&[]).await;
    assert_eq!(commit(&mut client, "g", "", -1, 9).await, 0);
    join(&mut client, "g", "m1").await;
    let server = server.restart().await;
    let mut client = server.client().await;
    assert_eq!(fetch(&mut client, "g", Some("m1"), 2).await, Ok(7));
    assert_eq!(client.call(1, &staying("g", "m1", -1)).await.error_code, 0);
    // And an empty consumer group a classic one.
    join_classic(&mut client, "g").await;
    let server = server.restart().await;
    let mut client = server.client().await;
    assert_eq!(fetch(&mut client, "g", None, -1).await, Ok(7));
    let (kind, _) = listed(&mut client, "g").await.expect("a group");
    assert_eq!(kind, "classic");
}

/// A consumer that is subscribed by a regular expression knows topics by the ids it is assigned.
#[tokio::test]
async fn topics_are_found_by_their_ids_even_with_an_empty_name() {
    let (_server, mut client) = start(&[]).await;
    let answer = join(&mut client, "g", "m1").await;
    let topic = &answer.assignment.expect("an assignment").topic_partitions[0];
    let asked = MetadataRequestTopic::default()
        .with_name(Some(topic_name("")))
        .with_topic_id(topic.topic_id);
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let found = client.call(12, &request).await.topics.remove(0);
    assert_eq!((found.error_code, found.name), (0, Some(topic_name("t"))));
}
