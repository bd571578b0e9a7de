//! What administrators ask about logs: directories, producers, epochs.

use jackfield_protocol::records::{Compression, RecordBatchBuilder};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, BrokerId, DeleteRecordsRequest,
        DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest,
        ElectLeadersRequest, FetchRequest, OffsetForLeaderEpochRequest,
        alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
        alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic},
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        describe_log_dirs_request::DescribableLogDirTopic,
        describe_producers_request::TopicRequest,
        describe_topic_partitions_request,
        describe_topic_partitions_response::Cursor,
        elect_leaders_request::TopicPartitions,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
};

use super::harness::{Client, Server, batch, fetch_request, produce_request, produced, text, topic_name};

#[tokio::test]
async fn log_directories_are_described_with_their_partitions_and_room() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    client.create_topic("u", 1, &[]).await;
    let one = batch(&["a"]);
    let bytes = i64::try_from(one.len()).unwrap();
    client.produce("t", 1, one).await;
    let all = client
        .call(4, &DescribeLogDirsRequest::default().with_topics(None))
        .await;
    let directory = &all.results[0];
    assert_eq!(all.results.len(), 1);
    assert_eq!(*directory.log_dir, *server.dir.path().to_str().unwrap());
    assert!(directory.usable_bytes > 0 && directory.usable_bytes <= directory.total_bytes);
    let sizes: Vec<_> = directory
        .topics
        .iter()
        .flat_map(|topic| {
            let size = |partition: &kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsPartition| {
                assert_eq!((partition.offset_lag, partition.is_future_key), (0, false));
                (topic.name.to_string(), partition.partition_index, partition.partition_size)
            };
            topic.partitions.iter().map(size).collect::<Vec<_>>()
        })
        .collect();
    let row = |topic: &str, partition, size| (topic.to_owned(), partition, size);
    assert_eq!(sizes, [row("t", 0, 0), row("t", 1, bytes), row("u", 0, 0)]);
    // Some partitions only; what does not exist is left out.
    let asked = |topic: &str, partitions: &[i32]| {
        DescribableLogDirTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions.to_vec())
    };
    let request =
        DescribeLogDirsRequest::default().with_topics(Some(vec![asked("t", &[1, 7]), asked("x", &[0])]));
    let some = client.call(4, &request).await;
    let topics = &some.results[0].topics;
    assert_eq!((topics.len(), topics[0].partitions.len()), (1, 1));
}

#[tokio::test]
async fn producers_are_described() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut builder = RecordBatchBuilder::new(Compression::None);
    builder.push(5_000, None, Some(b"a"), &[]);
    builder.push(6_000, None, Some(b"b"), &[]);
    builder.producer(77, 3, 0);
    let answer = client
        .call(9, &produce_request("t", 0, -1, builder.finish().freeze()))
        .await;
    assert_eq!(produced(&answer).0, 0);
    let topic = TopicRequest::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0, 1]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let described = client.call(0, &request).await;
    let partitions = &described.topics[0].partitions;
    let producer = &partitions[0].active_producers[0];
    assert_eq!(producer.producer_id.0, 77);
    assert_eq!((producer.producer_epoch, producer.last_sequence), (3, 1));
    assert_eq!(
        (producer.last_timestamp, producer.current_txn_start_offset),
        (6_000, -1)
    );
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(partitions[1].error_code, unknown);
}

#[tokio::test]
async fn a_partition_stays_in_its_log_directory() {
    let other = tempfile::tempdir().unwrap();
    let first = tempfile::tempdir().unwrap();
    let paths = [&first, &other].map(|dir| dir.path().to_str().unwrap());
    let server = Server::start(&[("log.dirs", &paths.join(","))]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let described = client
        .call(4, &DescribeLogDirsRequest::default().with_topics(None))
        .await;
    let here = described
        .results
        .iter()
        .find(|result| !result.topics.is_empty())
        .unwrap();
    let there = described
        .results
        .iter()
        .find(|result| result.topics.is_empty())
        .unwrap();
    let long = "x".repeat(230);
    for (path, topic, partition, code) in [
        (&*here.log_dir, "t", 0, 0),
        (&*there.log_dir, "t", 0, 39),
        ("/nowhere", "t", 0, 57),
        (&*here.log_dir, "t", 1, 3),
        (&*here.log_dir, "missing", 0, 3),
        (&*here.log_dir, &*long, 0, 17),
    ] {
        let topics = AlterReplicaLogDirTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let directory = AlterReplicaLogDir::default()
            .with_path(text(path))
            .with_topics(vec![topics]);
        let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![directory]);
        let response = client.call(2, &request).await;
        let result = &response.results[0].partitions[0];
        assert_eq!(
            (result.partition_index, result.error_code),
            (partition, code),
            "{path} {topic}"
        );
    }
}

#[tokio::test]
async fn the_end_of_an_epoch_is_told_to_who_knows_the_current_one() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a", "b"])).await;
    for (partition, current, epoch, expected) in [
        (0, -1, 0, (0, 0, 2)),
        (0, 0, 0, (0, 0, 2)),
        (0, 0, 1, (0, -1, -1)),
        (0, -1, -1, (0, -1, -1)),
        (0, 1, 0, (ResponseError::UnknownLeaderEpoch.code(), -1, -1)),
        (1, -1, 0, (ResponseError::UnknownTopicOrPartition.code(), -1, -1)),
    ] {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let response = client.call(4, &request).await;
        let found = &response.topics[0].partitions[0];
        assert_eq!((found.error_code, found.leader_epoch, found.end_offset), expected);
    }
}

/// The new log start of a partition, or the error.
async fn delete_before(client: &mut Client, topic: &str, partition: i32, offset: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let answer = client.call(2, &request).await;
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[tokio::test]
async fn records_in_front_of_an_offset_are_deleted_for_good() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client
        .create_topic("compacted", 1, &[("cleanup.policy", "compact")])
        .await;
    for value in ["a", "b", "c"] {
        client.produce("t", 0, batch(&[value])).await;
    }
    assert_eq!(delete_before(&mut client, "t", 0, 2).await, (0, 2));
    assert_eq!(delete_before(&mut client, "t", 0, 1).await, (0, 2), "never back");
    for (topic, partition, offset, error) in [
        ("t", 0, 4, ResponseError::OffsetOutOfRange),
        ("t", 0, -2, ResponseError::OffsetOutOfRange),
        ("t", 1, 0, ResponseError::UnknownTopicOrPartition),
        ("x", 0, 0, ResponseError::UnknownTopicOrPartition),
        ("compacted", 0, 0, ResponseError::PolicyViolation),
    ] {
        let refused = delete_before(&mut client, topic, partition, offset).await;
        assert_eq!(refused, (error.code(), -1), "{topic}-{partition} {offset}");
    }
    let read = client
        .call::<FetchRequest>(12, &fetch_request("t", 0, 1, 0))
        .await;
    let out_of_range = ResponseError::OffsetOutOfRange.code();
    assert_eq!(read.responses[0].partitions[0].error_code, out_of_range);
    // On disk by the time of the answer.
    let checkpoint = server.dir.path().join("log-start-offset-checkpoint");
    assert_eq!(std::fs::read_to_string(checkpoint).unwrap(), "0\n1\nt 0 2\n");
    assert_eq!(delete_before(&mut client, "t", 0, -1).await, (0, 3));
    let server = server.restart().await;
    let log = server.broker.topics().partition("t", 0).unwrap();
    assert_eq!(log.log_start_offset(), 3);
}

/// Names and partitions of an answer (an error code instead of partitions), and where the next one begins.
async fn portion(
    client: &mut Client,
    names: &[&str],
    limit: i32,
    cursor: Option<&Cursor>,
) -> (Vec<(String, Vec<i32>)>, Option<Cursor>) {
    let topics = names
        .iter()
        .map(|name| describe_topic_partitions_request::TopicRequest::default().with_name(topic_name(name)));
    let cursor = cursor.map(|cursor| {
        describe_topic_partitions_request::Cursor::default()
            .with_topic_name(cursor.topic_name.clone())
            .with_partition_index(cursor.partition_index)
    });
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor);
    let answer = client.call(0, &request).await;
    let topics = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
        let code = (topic.error_code != 0).then(|| i32::from(topic.error_code));
        let name = topic.name.as_ref().unwrap().to_string();
        (name, code.into_iter().chain(partitions).collect())
    });
    (topics.collect(), answer.next_cursor)
}

#[tokio::test]
async fn topics_are_described_in_portions() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    for (name, partitions) in [("b", 3), ("a", 2), ("c", 1)] {
        client.create_topic(name, partitions, &[]).await;
    }
    let row = |name: &str, partitions: &[i32]| (name.to_owned(), partitions.to_vec());
    let (first, next) = portion(&mut client, &[], 4, None).await;
    assert_eq!(first, [row("a", &[0, 1]), row("b", &[0, 1])]);
    let (second, next) = portion(&mut client, &[], 1, next.as_ref()).await;
    assert_eq!(second, [row("b", &[2])]);
    let (third, next) = portion(&mut client, &[], 4, next.as_ref()).await;
    assert_eq!((third, next), (vec![row("c", &[0])], None));
    let unknown = i32::from(ResponseError::UnknownTopicOrPartition.code());
    let invalid = i32::from(ResponseError::InvalidTopicException.code());
    let (named, _) = portion(&mut client, &["c", "x", "no/name"], 9, None).await;
    assert_eq!(
        named,
        [row("c", &[0]), row("no/name", &[invalid]), row("x", &[unknown])]
    );
    let outside = Cursor::default().with_topic_name(topic_name("a"));
    let refused = i32::from(ResponseError::InvalidRequest.code());
    let (answer, _) = portion(&mut client, &["c"], 9, Some(&outside)).await;
    assert_eq!(answer, [row("c", &[refused])]);
}

#[tokio::test]
async fn leaders_need_no_election() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let topic = |name: &str, partitions: &[i32]| {
        TopicPartitions::default()
            .with_topic(topic_name(name))
            .with_partitions(partitions.to_vec())
    };
    let asked = vec![topic("t", &[0, 1]), topic("x", &[0])];
    for election_type in [0, 1] {
        let request = ElectLeadersRequest::default()
            .with_election_type(election_type)
            .with_topic_partitions(Some(asked.clone()));
        let answer = client.call(2, &request).await;
        let results = answer.replica_election_results.iter();
        let codes = results.flat_map(|topic| topic.partition_result.iter().map(|result| result.error_code));
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        let expected = [ResponseError::ElectionNotNeeded.code(), unknown, unknown];
        assert_eq!(codes.collect::<Vec<_>>(), expected);
    }
    let request = ElectLeadersRequest::default().with_election_type(2);
    let answer = client.call(2, &request).await;
    assert_eq!(answer.error_code, ResponseError::InvalidRequest.code());
}

#[tokio::test]
async fn partitions_can_only_be_assigned_to_this_broker() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let invalid = ResponseError::InvalidReplicaAssignment.code();
    for (name, partition, replicas, expected) in [
        ("t", 0, Some(vec![1]), 0),
        ("t", 0, Some(vec![2]), invalid),
        ("t", 0, Some(vec![1, 1]), invalid),
        ("t", 0, Some(vec![]), invalid),
        ("t", 0, None, ResponseError::NoReassignmentInProgress.code()),
        ("t", 1, Some(vec![1]), unknown),
        ("x", 0, None, unknown),
    ] {
        let said = format!("{name}-{partition} {replicas:?}");
        let replicas = replicas.map(|replicas: Vec<i32>| replicas.into_iter().map(BrokerId).collect());
        let partition = ReassignablePartition::default()
            .with_partition_index(partition)
            .with_replicas(replicas);
        let topic = ReassignableTopic::default()
            .with_name(topic_name(name))
            .with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let answer = client.call(1, &request).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, expected, "{said}");
    }
}
