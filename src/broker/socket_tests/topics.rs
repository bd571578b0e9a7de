//! Topics over sockets: Metadata with auto-creation, CreateTopics, DeleteTopics, ListOffsets, configs, restarts.

use kafka_protocol::{
    messages::{
        BrokerId, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
        InitProducerIdRequest, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
        TransactionalId,
        create_topics_request::CreatableReplicaAssignment,
        delete_topics_request::DeleteTopicState,
        describe_configs_request::DescribeConfigsResource,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
    },
    protocol::Decodable as _,
};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::harness::{Client, Server, batch, create_request, frame, now_ms, text, topic_name};

async fn metadata(client: &mut Client, version: i16, names: &[&str], may_create: bool) -> MetadataResponse {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    let request = MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(may_create);
    client.call(version, &request).await
}

#[tokio::test]
async fn metadata_creates_topics_only_when_both_sides_allow_it() {
    let server = Server::start(&[("num.partitions", "3")]).await;
    let mut client = server.client().await;
    let topic = metadata(&mut client, 12, &["a"], false).await.topics.remove(0);
    assert_eq!((topic.error_code, topic.partitions.len()), (3, 0));
    let topic = metadata(&mut client, 12, &["a"], true).await.topics.remove(0);
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 3));
    for bad in ["a b", "", &"x".repeat(250)] {
        let topic = metadata(&mut client, 12, &[bad], true).await.topics.remove(0);
        assert_eq!(topic.error_code, 17, "{bad}");
    }
    let strict = Server::start(&[("auto.create.topics.enable", "false")]).await;
    let mut client = strict.client().await;
    assert_eq!(
        metadata(&mut client, 12, &["a"], true).await.topics[0].error_code,
        3
    );
}

#[tokio::test]
async fn null_is_all_topics_and_empty_is_none_except_in_version_0() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("a", 1, &[]).await;
    for (version, topics, count) in [
        (0, Some(Vec::new()), 1),
        (1, Some(Vec::new()), 0),
        (1, None, 1),
        (12, Some(Vec::new()), 0),
        (12, None, 1),
    ] {
        let response = client
            .call(version, &MetadataRequest::default().with_topics(topics))
            .await;
        assert_eq!(response.topics.len(), count, "version {version}");
    }
}

#[tokio::test]
async fn topics_are_found_by_id() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let id = client.create_topic("a", 2, &[]).await;
    for name in [None, Some(topic_name(""))] {
        let ask = |id| {
            MetadataRequestTopic::default()
                .with_topic_id(id)
                .with_name(name.clone())
        };
        let request = MetadataRequest::default().with_topics(Some(vec![ask(id), ask(Uuid::from_u128(5))]));
        let response = client.call(12, &request).await;
        assert_eq!(response.topics[0].name, Some(topic_name("a")));
        assert_eq!(response.topics[0].partitions.len(), 2);
        assert_eq!(response.topics[1].error_code, 100);
    }
}

#[tokio::test]
async fn the_offsets_topic_is_made_by_its_coordinator_only() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let topic = metadata(&mut client, 12, &["__consumer_offsets"], true)
        .await
        .topics
        .remove(0);
    assert_eq!(
        (topic.error_code, topic.partitions.len(), topic.is_internal),
        (0, 2, true)
    );
    assert_eq!(
        server.broker.topics().get("__consumer_offsets").unwrap().configs["cleanup.policy"],
        "compact"
    );
    assert_eq!(
        metadata(&mut client, 12, &["__transaction_state"], true)
            .await
            .topics[0]
            .error_code,
        3
    );
    let response = client
        .call(7, &create_request("__transaction_state", 1, &[]))
        .await;
    assert_eq!(response.topics[0].error_code, 17);
    assert_eq!(delete(&mut client, "__consumer_offsets").await, 17);
    assert_eq!(client.produce("__consumer_offsets", 0, batch(&["a"])).await.0, 17);
}

#[tokio::test]
async fn clients_are_told_where_to_connect() {
    async fn told(options: &[(&str, &str)], listener: usize) -> (String, i32, u16) {
        let server = Server::start(options).await;
        let address = server.broker.addresses()[listener];
        let mut client = Client::connect(address).await;
        let response = client
            .call(12, &MetadataRequest::default().with_topics(None))
            .await;
        let cluster = client.call(2, &DescribeClusterRequest::default()).await;
        let broker = &response.brokers[0];
        assert_eq!(
            (&cluster.brokers[0].host, cluster.brokers[0].port),
            (&broker.host, broker.port)
        );
        (broker.host.to_string(), broker.port, address.port())
    }
    let (host, port, bound) = told(&[], 0).await;
    assert_eq!(
        (host.as_str(), port),
        ("127.0.0.1", i32::from(bound)),
        "where the client came in"
    );
    let (host, port, _) = told(&[("advertised.listeners", "PLAINTEXT://kafka.example:1234")], 0).await;
    assert_eq!((host.as_str(), port), ("kafka.example", 1234));
    let both = [
        ("listeners", "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        (
            "listener.security.protocol.map",
            "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        ),
        ("advertised.listeners", "OUTSIDE://kafka.example:0"),
    ];
    let (host, port, bound) = told(&both, 0).await;
    assert_eq!((host.as_str(), port), ("127.0.0.1", i32::from(bound)));
    let (host, port, bound) = told(&both, 1).await;
    assert_eq!(
        (host.as_str(), port),
        ("kafka.example", i32::from(bound)),
        "port 0 is the bound one"
    );
}

#[tokio::test]
async fn authorized_operations_are_told_when_asked() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("a", 1, &[]).await;
    let request = MetadataRequest::default()
        .with_topics(None)
        .with_include_cluster_authorized_operations(true)
        .with_include_topic_authorized_operations(true);
    let response = client.call(10, &request).await;
    assert_eq!(
        (
            response.cluster_authorized_operations,
            response.topics[0].topic_authorized_operations
        ),
        (8096, 3576)
    );
    let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    assert_eq!(client.call(1, &request).await.cluster_authorized_operations, 8096);
}

async fn create(client: &mut Client, request: &CreateTopicsRequest) -> (i16, String) {
    let response = client.call(7, request).await;
    let topic = &response.topics[0];
    let message = topic.error_message.as_ref().map(ToString::to_string);
    (topic.error_code, message.unwrap_or_default())
}

#[tokio::test]
async fn what_cannot_be_created_is_refused_with_kafkas_codes() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("a.b", 1, &[]).await;
    for (request, code, words) in [
        (create_request("a.b", 1, &[]), 36, "already exists"),
        (create_request("a_b", 1, &[]), 17, "collides"),
        (create_request("a b", 1, &[]), 17, "other than ASCII"),
        (create_request("n", 0, &[]), 37, "partitions"),
        (
            create_request("n", 1, &[("retention.mss", "1")]),
            40,
            "did you mean retention.ms",
        ),
        (
            create_request("n", 1, &[("retention.ms", "soon")]),
            40,
            "Not a number",
        ),
    ] {
        let (found, message) = create(&mut client, &request).await;
        assert_eq!(found, code, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let mut request = create_request("n", 1, &[]);
    request.topics[0].replication_factor = 3;
    assert_eq!(create(&mut client, &request).await.0, 38);
    request.topics[0].replication_factor = -1;
    request.topics[0].num_partitions = -1;
    assert_eq!(create(&mut client, &request).await.0, 0);
    let mut request = create_request("twice", 1, &[]);
    request.topics.push(request.topics[0].clone());
    assert_eq!(create(&mut client, &request).await.0, 42);
    assert!(server.broker.topics().get("twice").is_none());
}

#[tokio::test]
async fn assignments_must_be_on_this_broker() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let assigned = |name: &str, brokers: &[i32]| {
        let mut request = create_request(name, -1, &[]);
        request.topics[0].replication_factor = -1;
        request.topics[0].assignments = (0..2)
            .map(|index| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(index)
                    .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
            })
            .collect();
        request
    };
    assert_eq!(create(&mut client, &assigned("here", &[1])).await.0, 0);
    assert_eq!(server.broker.topics().get("here").unwrap().partitions.len(), 2);
    for (brokers, words) in [
        (&[2][..], "includes broker 2, but no such broker is registered"),
        (&[1, 2], "includes broker 2, but no such broker is registered"),
        (&[1, 1], "includes the broker 1 more than once"),
        (&[], "includes an empty replica list"),
    ] {
        let (code, message) = create(&mut client, &assigned("there", brokers)).await;
        assert_eq!(code, 39, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let mut request = assigned("there", &[1]);
    for (index, words) in [(1, "multiple manual partition assignments"), (2, "consecutive")] {
        request.topics[0].assignments[0].partition_index = index;
        let (code, message) = create(&mut client, &request).await;
        assert_eq!(code, 39, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let mut request = assigned("there", &[1]);
    request.topics[0].num_partitions = 2;
    assert_eq!(create(&mut client, &request).await.0, 42);
}

#[tokio::test]
async fn validate_only_creates_nothing() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let request = create_request("a", 4, &[]).with_validate_only(true);
    let response = client.call(7, &request).await;
    assert_eq!(
        (response.topics[0].error_code, response.topics[0].num_partitions),
        (0, 4)
    );
    assert!(server.broker.topics().list().is_empty());
    let request = create_request("a", 1, &[("retention.ms", "-2")]).with_validate_only(true);
    assert_eq!(create(&mut client, &request).await.0, 40);
}

pub(super) async fn delete(client: &mut Client, name: &str) -> i16 {
    let state = DeleteTopicState::default().with_name(Some(topic_name(name)));
    let response = client
        .call(6, &DeleteTopicsRequest::default().with_topics(vec![state]))
        .await;
    response.responses[0].error_code
}

#[tokio::test]
async fn topics_are_deleted_by_name_and_by_id() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("a", 1, &[]).await;
    let id = client.create_topic("b", 1, &[]).await;
    let mut changes = server.broker.topics().watch();
    changes.mark_unchanged();
    assert_eq!(delete(&mut client, "a").await, 0);
    assert!(changes.has_changed().unwrap());
    assert_eq!(delete(&mut client, "a").await, 3);
    let by_id = |id| {
        let state = DeleteTopicState::default().with_topic_id(id).with_name(None);
        DeleteTopicsRequest::default().with_topics(vec![state])
    };
    let response = client.call(6, &by_id(id)).await;
    assert_eq!(
        (response.responses[0].error_code, &response.responses[0].name),
        (0, &Some(topic_name("b")))
    );
    assert_eq!(client.call(6, &by_id(id)).await.responses[0].error_code, 100);
    assert_eq!(
        client.call(6, &by_id(Uuid::nil())).await.responses[0].error_code,
        42
    );
    assert!(server.broker.topics().list().is_empty());
    let again = client.create_topic("b", 1, &[]).await;
    assert_ne!(again, id);
    let keeper = Server::start(&[("delete.topic.enable", "false")]).await;
    let mut client = keeper.client().await;
    client.create_topic("a", 1, &[]).await;
    assert_eq!(delete(&mut client, "a").await, 73);
}

#[tokio::test]
async fn a_deleted_topic_ends_the_waits_for_it() {
    let server = Server::start(&[]).await;
    let mut waiting = server.client().await;
    let mut client = server.client().await;
    client.create_topic("a", 1, &[]).await;
    let id = waiting
        .send(12, &super::harness::fetch_request("a", 0, 0, 19_000))
        .await;
    // The fetch is there when the broker has parked it, or it finds the topic gone; both end it.
    assert_eq!(delete(&mut client, "a").await, 0);
    let response = waiting
        .receive::<kafka_protocol::messages::FetchRequest>(12, id)
        .await;
    assert_eq!(response.responses[0].partitions[0].error_code, 3);
}

async fn offset_at(client: &mut Client, version: i16, timestamp: i64) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let response = client
        .call(version, &ListOffsetsRequest::default().with_topics(vec![topic]))
        .await;
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.offset, partition.timestamp)
}

#[tokio::test]
async fn offsets_are_listed_by_place_and_by_time() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let start = now_ms();
    let mut builder = jackfield_protocol::records::RecordBatchBuilder::default();
    for (after, value) in [(0, "a"), (20, "b"), (10, "c")] {
        builder.push(start + after, None, Some(value.as_bytes()), &[]);
    }
    client.produce("t", 0, builder.finish().freeze()).await;
    for (timestamp, offset, time) in [
        (-1, 3, -1),
        (-2, 0, -1),
        (-3, 1, start + 20),
        (-4, 0, -1),
        (-5, -1, -1),
        (0, 0, start),
        (start + 1, 1, start + 20),
        (start + 20, 1, start + 20),
        (start + 21, -1, -1),
    ] {
        assert_eq!(
            offset_at(&mut client, 9, timestamp).await,
            (0, offset, time),
            "timestamp {timestamp} after {start}"
        );
    }
}

#[tokio::test]
async fn special_times_are_asked_for_in_versions_that_have_them() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    for (timestamp, since) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9)] {
        for version in 1..=10 {
            let expected = if version < since { 35 } else { 0 };
            let (code, ..) = offset_at(&mut client, version, timestamp).await;
            assert_eq!(code, expected, "{timestamp} in version {version}");
        }
    }
    for timestamp in [-6, -7, i64::MIN] {
        assert_eq!(offset_at(&mut client, 10, timestamp).await, (35, -1, -1));
    }
    // The codec does not know version 11, which is version 10 with one more special time.
    let partition = ListOffsetsPartition::default().with_timestamp(-6);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let mut frame = frame(1, 10, &request);
    frame[7] = 11;
    client.stream.write_all(&frame).await.unwrap();
    let mut answer = client.receive_frame().await.unwrap();
    assert_eq!(answer.split_to(5)[..], [0, 0, 0, 1, 0]);
    let response = ListOffsetsResponse::decode(&mut answer, 10).unwrap();
    let partition = &response.topics[0].partitions[0];
    assert_eq!(
        (partition.error_code, partition.offset, partition.timestamp),
        (0, -1, -1)
    );
}

#[tokio::test]
async fn a_partition_whose_offset_is_asked_for_twice_is_refused() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    let partition = |index| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(-1)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition(0), partition(1), partition(0)]);
    let response = client
        .call(9, &ListOffsetsRequest::default().with_topics(vec![topic]))
        .await;
    let codes: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|partition| partition.error_code)
        .collect();
    assert_eq!(codes, [42, 0, 42]);
}

#[tokio::test]
async fn configs_are_described_with_their_sources() {
    let server = Server::start(&[("log.retention.hours", "2")]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[("segment.bytes", "9000")]).await;
    let resource = |kind, name, keys: Option<&[&str]>| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()))
    };
    let request = DescribeConfigsRequest::default()
        .with_include_synonyms(true)
        .with_resources(vec![
            resource(2, "t", None),
            resource(2, "t", Some(&["retention.ms"])),
            resource(2, "nope", None),
            resource(4, "1", Some(&["log.retention.hours"])),
            resource(4, "2", None),
            resource(7, "x", None),
        ]);
    let response = client.call(4, &request).await;
    let codes: Vec<_> = response.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [0, 0, 3, 0, 42, 42]);
    let find = |index: usize, name: &str| {
        let config = response.results[index]
            .configs
            .iter()
            .find(|config| config.name.as_str() == name)
            .unwrap();
        (
            config.value.as_ref().unwrap().to_string(),
            config.config_source,
            config.read_only,
        )
    };
    assert_eq!(find(0, "segment.bytes"), ("9000".to_owned(), 1, false));
    assert_eq!(find(0, "max.message.bytes"), ("1048588".to_owned(), 5, false));
    assert_eq!(response.results[1].configs.len(), 1);
    // As in Kafka: the key is another one, in other units.
    assert_eq!(find(1, "retention.ms"), ("7200000".to_owned(), 5, false));
    assert_eq!(find(3, "log.retention.hours"), ("2".to_owned(), 4, true));
}

#[tokio::test]
async fn producer_ids_are_never_repeated_and_transactions_refused() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let first = client.call(5, &request).await.producer_id;
    let second = client.call(5, &request).await.producer_id;
    let server = server.restart().await;
    let mut client = server.client().await;
    let third = client.call(5, &request).await.producer_id;
    assert!(first < second && second < third);
    let request = InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text("x"))));
    let response = client.call(5, &request).await;
    assert_eq!((response.error_code, response.producer_id.0), (53, -1));
}
