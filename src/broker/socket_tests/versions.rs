//! Every request in every version that the table advertises is answered in that version.

use bytes::Bytes;
use jackfield_protocol::versions::{Api, SUPPORTED};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, ApiVersionsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest, FindCoordinatorRequest,
    GroupId, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, SyncGroupRequest,
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    delete_topics_request::DeleteTopicState,
    describe_configs_request::DescribeConfigsResource,
    describe_producers_request::TopicRequest,
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    metadata_request::MetadataRequestTopic,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
    offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    sync_group_request::SyncGroupRequestAssignment,
};
use kafka_protocol::messages::{FetchRequest, ProduceRequest};

use super::harness::{
    Client, Server, batch, create_request, fetch_request, produce_request, produced, text, topic_name, values,
};

/// Versions of an API in which requests are really served.
fn versions(api: Api) -> std::ops::RangeInclusive<i16> {
    let row = SUPPORTED.iter().find(|row| row.api == api).unwrap();
    // Produce below 3 is advertised only for the sake of old clients.
    let min = if api == Api::Produce { 3 } else { row.min };
    min..=row.max
}

/// One call in one version.
async fn exercise(client: &mut Client, api: Api, version: i16) {
    match api {
        Api::Produce => {
            let response = client
                .call::<ProduceRequest>(version, &produce_request("t", 0, -1, batch(&["a"])))
                .await;
            assert_eq!(produced(&response).0, 0);
        }
        Api::Fetch => fetch(client, version).await,
        Api::ListOffsets => list_offsets(client, version).await,
        Api::Metadata => metadata(client, version).await,
        Api::ApiVersions => api_versions(client, version).await,
        Api::CreateTopics | Api::DeleteTopics => create_and_delete(client, api, version).await,
        Api::InitProducerId => {
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let response = client.call(version, &request).await;
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            assert!(response.producer_id.0 >= 0);
        }
        Api::DescribeConfigs => describe_configs(client, version).await,
        Api::ListPartitionReassignments => {
            let response = client
                .call(version, &ListPartitionReassignmentsRequest::default())
                .await;
            assert_eq!((response.error_code, response.topics.len()), (0, 0));
        }
        Api::DescribeCluster => {
            let response = client.call(version, &DescribeClusterRequest::default()).await;
            assert_eq!(
                (
                    response.error_code,
                    response.brokers.len(),
                    response.controller_id.0
                ),
                (0, 1, 1)
            );
        }
        Api::DeleteRecords | Api::OffsetForLeaderEpoch | Api::DescribeLogDirs | Api::DescribeProducers => {
            describe_logs(client, api, version).await
        }
        Api::DescribeTopicPartitions => {
            let request = DescribeTopicPartitionsRequest::default();
            let response = client.call(version, &request).await;
            assert!(
                response
                    .topics
                    .iter()
                    .any(|topic| topic.name == Some(topic_name("t")))
            );
        }
        Api::FindCoordinator => find_coordinator(client, version).await,
        Api::JoinGroup | Api::SyncGroup | Api::Heartbeat | Api::LeaveGroup => {
            membership(client, api, version).await
        }
        Api::DescribeGroups | Api::ListGroups | Api::DeleteGroups | Api::OffsetDelete => {
            groups(client, api, version).await
        }
        Api::OffsetCommit => offset_commit(client, version).await,
        Api::OffsetFetch => offset_fetch(client, version).await,
        _ => administer(client, api, version).await,
    }
}

/// As [`exercise`], for what administrators do.
async fn administer(client: &mut Client, api: Api, version: i16) {
    match api {
        Api::CreatePartitions => {
            let request = CreatePartitionsRequest::default();
            assert!(client.call(version, &request).await.results.is_empty());
        }
        Api::AlterConfigs => {
            let request = AlterConfigsRequest::default();
            assert!(client.call(version, &request).await.responses.is_empty());
        }
        Api::IncrementalAlterConfigs => {
            let request = IncrementalAlterConfigsRequest::default();
            assert!(client.call(version, &request).await.responses.is_empty());
        }
        Api::ListConfigResources => {
            let response = client.call(version, &ListConfigResourcesRequest::default()).await;
            assert_eq!(
                (response.error_code, response.config_resources.is_empty()),
                (0, version == 0)
            );
        }
        Api::ElectLeaders => {
            let request = ElectLeadersRequest::default().with_topic_partitions(None);
            let response = client.call(version, &request).await;
            assert!(response.replica_election_results[0].partition_result.is_empty());
        }
        Api::AlterPartitionReassignments => {
            let request = AlterPartitionReassignmentsRequest::default();
            assert_eq!(client.call(version, &request).await.error_code, 0);
        }
        other => panic!("{other:?} is not called"),
    }
}

#[tokio::test]
async fn every_advertised_version_is_served() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a", "b"])).await;
    for row in &SUPPORTED {
        for version in versions(row.api) {
            exercise(&mut client, row.api, version).await;
        }
    }
}

async fn fetch(client: &mut Client, version: i16) {
    let mut request = fetch_request("t", 0, 0, 0);
    if version >= 13 {
        request.topics[0].topic_id = topic_id(client).await;
    }
    let response = client.call::<FetchRequest>(version, &request).await;
    assert_eq!(values(&response)[..2], ["a", "b"], "version {version}");
}

async fn topic_id(client: &mut Client) -> uuid::Uuid {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let response = client
        .call(12, &MetadataRequest::default().with_topics(Some(vec![topic])))
        .await;
    response.topics[0].topic_id
}

async fn list_offsets(client: &mut Client, version: i16) {
    for (timestamp, offset) in [(-2, 0), (0, 0), (i64::MAX, -1)] {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let response = client
            .call(version, &ListOffsetsRequest::default().with_topics(vec![topic]))
            .await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!(
            (partition.error_code, partition.offset),
            (0, offset),
            "version {version}, time {timestamp}"
        );
    }
}

async fn metadata(client: &mut Client, version: i16) {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let response = client
        .call(
            version,
            &MetadataRequest::default().with_topics(Some(vec![topic])),
        )
        .await;
    assert_eq!(response.brokers[0].node_id.0, 1);
    let topic = &response.topics[0];
    assert_eq!(
        (topic.error_code, topic.partitions.len()),
        (0, 1),
        "version {version}"
    );
    assert_eq!(topic.partitions[0].leader_id.0, 1);
}

async fn api_versions(client: &mut Client, version: i16) {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("tests"))
        .with_client_software_version(text("1.0"));
    let request = if version < 3 {
        ApiVersionsRequest::default()
    } else {
        request
    };
    let response = client.call(version, &request).await;
    let table: Vec<_> = response
        .api_keys
        .iter()
        .map(|row| (row.api_key, row.min_version, row.max_version))
        .collect();
    let expected: Vec<_> = SUPPORTED.iter().map(|row| (row.key, row.min, row.max)).collect();
    assert_eq!((response.error_code, table), (0, expected));
}

async fn create_and_delete(client: &mut Client, api: Api, version: i16) {
    let (create_version, delete_version) = if api == Api::CreateTopics {
        (version, 1)
    } else {
        (7, version)
    };
    let response = client
        .call::<CreateTopicsRequest>(create_version, &create_request("made", 2, &[]))
        .await;
    assert_eq!(
        response.topics[0].error_code, 0,
        "{:?}",
        response.topics[0].error_message
    );
    let state = DeleteTopicState::default().with_name(Some(topic_name("made")));
    let request = if delete_version >= 6 {
        DeleteTopicsRequest::default().with_topics(vec![state])
    } else {
        DeleteTopicsRequest::default().with_topic_names(vec![topic_name("made")])
    };
    let response = client.call(delete_version, &request).await;
    assert_eq!(response.responses[0].error_code, 0);
}

async fn describe_configs(client: &mut Client, version: i16) {
    let resource = |kind, name| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource(2, "t"), resource(4, "1")])
        .with_include_synonyms(true)
        .with_include_documentation(version >= 3);
    let response = client.call(version, &request).await;
    for result in &response.results {
        assert_eq!(result.error_code, 0);
        assert!(result.configs.len() > 30);
    }
}

async fn find_coordinator(client: &mut Client, version: i16) {
    let request = if version >= 4 {
        FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")])
    } else {
        FindCoordinatorRequest::default().with_key(text("g"))
    };
    let response = client.call(version, &request).await;
    if version >= 4 {
        assert_eq!(
            (
                response.coordinators[0].error_code,
                response.coordinators[0].node_id.0
            ),
            (0, 1)
        );
    } else {
        assert_eq!((response.error_code, response.node_id.0), (0, 1));
    }
    // A transactional id is refused, in every version.
    let transaction = if version >= 4 {
        FindCoordinatorRequest::default()
            .with_coordinator_keys(vec![text("x")])
            .with_key_type(1)
    } else if version >= 1 {
        FindCoordinatorRequest::default()
            .with_key(text("x"))
            .with_key_type(1)
    } else {
        return;
    };
    let response = client.call(version, &transaction).await;
    assert!(response.error_code != 0 || response.coordinators[0].error_code != 0);
}

/// Joins, syncs, beats and leaves; the API under test in `version`, the others in their newest.
async fn membership(client: &mut Client, api: Api, version: i16) {
    let of = |other: Api| {
        if other == api {
            version
        } else {
            *versions(other).end()
        }
    };
    let group = GroupId(text(&format!("g-{api:?}-{version}")));
    let join_version = of(Api::JoinGroup);
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"meta"));
    let mut join = JoinGroupRequest::default()
        .with_group_id(group.clone())
        .with_session_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    if join_version >= 1 {
        join.rebalance_timeout_ms = 10_000;
    }
    let mut joined = client.call(join_version, &join).await;
    if joined.error_code == 79 {
        join.member_id = joined.member_id.clone();
        joined = client.call(join_version, &join).await;
    }
    assert_eq!(joined.error_code, 0, "join version {join_version}");
    let member = joined.member_id.clone();
    assert_eq!(joined.leader, member);
    let mut sync = SyncGroupRequest::default()
        .with_group_id(group.clone())
        .with_generation_id(joined.generation_id)
        .with_member_id(member.clone())
        .with_assignments(vec![
            SyncGroupRequestAssignment::default()
                .with_member_id(member.clone())
                .with_assignment(Bytes::from_static(b"mine")),
        ]);
    if of(Api::SyncGroup) >= 5 {
        sync = sync
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
    }
    let synced = client.call(of(Api::SyncGroup), &sync).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"mine"[..]));
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(group.clone())
        .with_generation_id(joined.generation_id)
        .with_member_id(member.clone());
    assert_eq!(client.call(of(Api::Heartbeat), &heartbeat).await.error_code, 0);
    let leave = if of(Api::LeaveGroup) >= 3 {
        LeaveGroupRequest::default().with_members(vec![MemberIdentity::default().with_member_id(member)])
    } else {
        LeaveGroupRequest::default().with_member_id(member)
    };
    let left = client
        .call(of(Api::LeaveGroup), &leave.with_group_id(group))
        .await;
    assert_eq!(left.error_code, 0);
}

async fn describe_logs(client: &mut Client, api: Api, version: i16) {
    match api {
        Api::DeleteRecords => {
            // Nothing: the others read on.
            let partition = DeleteRecordsPartition::default().with_offset(0);
            let topic = DeleteRecordsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
            let response = client.call(version, &request).await;
            let deleted = &response.topics[0].partitions[0];
            assert_eq!((deleted.error_code, deleted.low_watermark), (0, 0));
        }
        Api::OffsetForLeaderEpoch => {
            let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let response = client.call(version, &request).await;
            let found = &response.topics[0].partitions[0];
            assert_eq!((found.error_code, found.leader_epoch), (0, 0));
            assert!(found.end_offset >= 2);
        }
        Api::DescribeLogDirs => {
            let response = client
                .call(version, &DescribeLogDirsRequest::default().with_topics(None))
                .await;
            let topics = &response.results[0].topics;
            assert!(topics.iter().any(|topic| topic.name == topic_name("t")));
        }
        _ => {
            let topic = TopicRequest::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![0]);
            let request = DescribeProducersRequest::default().with_topics(vec![topic]);
            let response = client.call(version, &request).await;
            assert_eq!(response.topics[0].partitions[0].error_code, 0);
        }
    }
}

/// A group of offsets only: listed, described, emptied and deleted; the API under test in `version`.
async fn groups(client: &mut Client, api: Api, version: i16) {
    let of = |other: Api| {
        if other == api {
            version
        } else {
            *versions(other).end()
        }
    };
    client.call(9, &commit_request(1)).await;
    let listed = client
        .call(of(Api::ListGroups), &ListGroupsRequest::default())
        .await;
    assert_eq!(listed.error_code, 0);
    assert!(listed.groups.iter().any(|group| *group.group_id == *"offsets"));
    let group = GroupId(text("offsets"));
    let describe = DescribeGroupsRequest::default().with_groups(vec![group.clone()]);
    let described = client.call(of(Api::DescribeGroups), &describe).await;
    let found = &described.groups[0];
    assert_eq!((found.error_code, found.group_state.as_str()), (0, "Empty"));
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
    let request = OffsetDeleteRequest::default()
        .with_group_id(group.clone())
        .with_topics(vec![topic]);
    let emptied = client.call(of(Api::OffsetDelete), &request).await;
    assert_eq!(
        (emptied.error_code, emptied.topics[0].partitions[0].error_code),
        (0, 0)
    );
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group]);
    let deleted = client.call(of(Api::DeleteGroups), &delete).await;
    assert_eq!(deleted.results[0].error_code, 0, "version {version}");
}

fn commit_request(offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("meta")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text("offsets")))
        .with_topics(vec![topic])
}

async fn offset_commit(client: &mut Client, version: i16) {
    let response = client.call(version, &commit_request(i64::from(version))).await;
    assert_eq!(
        response.topics[0].partitions[0].error_code, 0,
        "version {version}"
    );
}

async fn offset_fetch(client: &mut Client, version: i16) {
    client.call(9, &commit_request(i64::from(version))).await;
    let fetched = if version >= 8 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text("offsets")))
            .with_topics(Some(vec![topic]));
        let response = client
            .call(version, &OffsetFetchRequest::default().with_groups(vec![group]))
            .await;
        let partition = response.groups[0].topics[0].partitions[0].clone();
        (
            partition.error_code,
            partition.committed_offset,
            partition.metadata,
        )
    } else {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text("offsets")))
            .with_topics(Some(vec![topic]));
        let response = client.call(version, &request).await;
        let partition = response.topics[0].partitions[0].clone();
        (
            partition.error_code,
            partition.committed_offset,
            partition.metadata,
        )
    };
    assert_eq!(
        fetched,
        (0, i64::from(version), Some(text("meta"))),
        "version {version}"
    );
}
