//! What clients ask of the controller: the quorum of one, feature levels, the rack.

use kafka_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, BrokerId, DescribeClusterRequest,
    DescribeQuorumRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, UpdateFeaturesRequest, alter_configs_request,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    describe_quorum_request::{PartitionData, TopicData},
    incremental_alter_configs_request,
    update_features_request::FeatureUpdateKey,
};

use super::harness::{Client, Server, text, topic_name};

fn quorum_of(topic: &str, partition: i32) -> DescribeQuorumRequest {
    let partition = PartitionData::default().with_partition_index(partition);
    let topic = TopicData::default()
        .with_topic_name(topic_name(topic))
        .with_partitions(vec![partition]);
    DescribeQuorumRequest::default().with_topics(vec![topic])
}

#[tokio::test]
async fn the_quorum_is_this_broker_and_its_offsets_count_changes_of_topics() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let mut before = -1;
    for name in ["a", "b"] {
        client.create_topic(name, 1, &[]).await;
        let response = client.call(2, &quorum_of("__cluster_metadata", 0)).await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!(
            (response.error_code, partition.error_code, partition.leader_id.0),
            (0, 0, 1)
        );
        assert_eq!(
            (&response.error_message, &partition.error_message),
            (&None, &None)
        );
        let [voter] = &partition.current_voters[..] else {
            panic!("{partition:?}");
        };
        assert_eq!(
            (voter.replica_id.0, voter.log_end_offset),
            (1, partition.high_watermark)
        );
        assert!(voter.last_caught_up_timestamp > 0 && partition.observers.is_empty());
        assert!(partition.high_watermark > before);
        before = partition.high_watermark;
        let listener = &response.nodes[0].listeners[0];
        assert_eq!(
            (listener.name.as_str(), listener.port),
            ("PLAINTEXT", server.address.port())
        );
    }
    for other in [quorum_of("a", 0), quorum_of("__cluster_metadata", 1)] {
        let response = client.call(2, &other).await;
        assert_eq!(
            (response.topics[0].partitions[0].error_code, response.nodes.len()),
            (3, 0)
        );
    }
}

async fn update(
    client: &mut Client,
    version: i16,
    updates: &[(&str, i16, i8)],
) -> (i16, Option<String>, usize) {
    let update = |(feature, level, kind): &(&str, i16, i8)| {
        FeatureUpdateKey::default()
            .with_feature(text(feature))
            .with_max_version_level(*level)
            .with_upgrade_type(*kind)
    };
    let request = UpdateFeaturesRequest::default()
        .with_feature_updates(updates.iter().map(update).collect())
        .with_validate_only(version > 0);
    let response = client.call(version, &request).await;
    let message = response.error_message.map(|message| message.to_string());
    (response.error_code, message, response.results.len())
}

#[tokio::test]
async fn features_stay_at_their_levels() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    for same in [
        ("group.version", 1, 1),
        ("metadata.version", 30, 2),
        ("transaction.version", 0, 3),
    ] {
        assert_eq!(update(&mut client, 2, &[same]).await, (0, None, 0));
        assert_eq!(update(&mut client, 1, &[same]).await, (0, None, 1));
    }
    assert_eq!(
        update(&mut client, 0, &[("group.version", 1, 1)]).await,
        (0, None, 1)
    );
    for (other, why) in [
        (
            ("group.version", 0, 2),
            "0 for feature group.version. Local controller 1 only supports versions 1",
        ),
        (
            ("group.version", 2, 1),
            "2 for feature group.version. Local controller 1 only supports versions 1",
        ),
        (
            ("group.version", 1, 7),
            "1 for feature group.version. The controller does not support the given upgrade type.",
        ),
        (
            ("share.version", 1, 1),
            "1 for feature share.version. Local controller 1 does not support this feature.",
        ),
        (
            ("no.version", 0, 1),
            "0 for feature no.version. Feature no.version not found.",
        ),
        (
            ("group.version", -1, 1),
            "-1 for feature group.version. A feature version cannot be less than 0.",
        ),
    ] {
        let (code, message, results) = update(&mut client, 2, &[("metadata.version", 30, 1), other]).await;
        let expected = format!(
            "The update failed for all features since the following feature had an error: Invalid update version {why}"
        );
        assert_eq!(
            (code, message.as_deref(), results),
            (95, Some(expected.as_str()), 0)
        );
    }
}

#[tokio::test]
async fn what_succeeds_has_no_message() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let resource = incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = client.call(1, &request).await;
    assert_eq!(
        (
            response.responses[0].error_code,
            &response.responses[0].error_message
        ),
        (0, &None)
    );
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"));
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let response = client.call(2, &request).await;
    assert_eq!(
        (
            response.responses[0].error_code,
            &response.responses[0].error_message
        ),
        (0, &None)
    );
    let partition = ReassignablePartition::default().with_replicas(Some(vec![BrokerId(1)]));
    let topic = ReassignableTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
    let response = client.call(1, &request).await;
    assert_eq!(
        (
            response.error_message,
            &response.responses[0].partitions[0].error_message
        ),
        (None, &None)
    );
    let request = ListPartitionReassignmentsRequest::default();
    assert_eq!(client.call(0, &request).await.error_message, None);
    // Of old answers Kafka's have one.
    let request = FindCoordinatorRequest::default().with_key(text("g"));
    let response = client.call(3, &request).await;
    assert_eq!(
        (response.error_code, response.error_message),
        (0, Some(text("NONE")))
    );
}

#[tokio::test]
async fn the_rack_is_told() {
    for (options, rack) in [(&[][..], None), (&[("broker.rack", "r1")][..], Some(text("r1")))] {
        let server = Server::start(options).await;
        let mut client = server.client().await;
        let metadata = client
            .call(13, &MetadataRequest::default().with_topics(None))
            .await;
        assert_eq!((metadata.error_code, &metadata.brokers[0].rack), (0, &rack));
        let cluster = client.call(2, &DescribeClusterRequest::default()).await;
        assert_eq!((cluster.error_message, &cluster.brokers[0].rack), (None, &rack));
    }
}
