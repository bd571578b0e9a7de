//! Who reads files, and how much: nobody waits for the reads of others.

use std::{
    sync::{Arc, mpsc::RecvTimeoutError},
    time::Duration,
};

use jackfield_env::faulty::Faults;
use jackfield_tasks::TaskGroup;
use kafka_protocol::{
    messages::{
        FetchRequest, ListOffsetsRequest, MetadataRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
    protocol::Request,
};
use tokio::time::timeout;

use super::{
    durability::{faulty, server},
    harness::{DEADLINE, Server, batch, fetch_request, topic_name, values},
};

/// Sends a request that reads files; another connection is answered while it cannot go on.
async fn answer_of_a_slow_read<R: Request>(
    server: &Server,
    faults: &Arc<Faults>,
    version: i16,
    request: &R,
) -> R::Response {
    let mut client = server.client().await;
    let mut other = server.client().await;
    faults.hold_reads(true);
    let before = faults.reads();
    // A runtime that is held up has no timers either.
    let (finished, unfinished) = std::sync::mpsc::channel::<()>();
    let watched = Arc::clone(faults);
    let mut watch = TaskGroup::new("watch").spawn_blocking("reads", move || {
        let is_stuck = unfinished.recv_timeout(DEADLINE / 4) == Err(RecvTimeoutError::Timeout);
        watched.hold_reads(false);
        is_stuck
    });
    let id = client.send(version, request).await;
    while faults.reads() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let metadata = MetadataRequest::default().with_topics(None);
    other.call(12, &metadata).await;
    drop(finished);
    assert!(!watch.join().await.unwrap(), "held up");
    client.receive::<R>(version, id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lookup_by_time_holds_up_nobody() {
    for timestamp in [0, -3] {
        let (server, faults) = server(&[]).await;
        let mut client = server.client().await;
        client.create_topic("t", 1, &[]).await;
        client.produce("t", 0, batch(&["a"])).await;
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let response = answer_of_a_slow_read(&server, &faults, 7, &request).await;
        assert_eq!(response.topics[0].partitions[0].offset, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn verifying_what_is_fetched_holds_up_nobody() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let (env, faults) = faulty();
    let server = server.restart_in(env).await;
    let request = fetch_request("t", 0, 0, 0);
    let response = answer_of_a_slow_read(&server, &faults, 12, &request).await;
    assert_eq!(values(&response), ["a"]);
}

/// A fetch of these partitions from the start that would wait for more than there is.
fn fetch_of(partitions: &[i32], max_bytes: i32) -> FetchRequest {
    let mut request = fetch_request("t", 0, 0, 19_000)
        .with_max_bytes(max_bytes)
        .with_min_bytes(1 << 20);
    let first = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = partitions
        .iter()
        .map(|index| first.clone().with_partition(*index))
        .collect();
    request
}

#[tokio::test]
async fn a_full_fetch_looks_no_further_and_waits_for_no_more() {
    let (server, faults) = server(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    for partition in [0, 0, 1, 1] {
        client.produce("t", partition, batch(&["a"])).await;
    }
    let mut reads = Vec::new();
    for partitions in [&[0][..], &[0], &[0, 1]] {
        let before = faults.reads();
        let request = fetch_of(partitions, 1);
        let response = timeout(DEADLINE / 4, client.call(12, &request)).await;
        let response = response.expect("not waiting for more than max_bytes");
        let answers = &response.responses[0].partitions;
        assert!(
            answers
                .iter()
                .all(|answer| (answer.error_code, answer.high_watermark) == (0, 2))
        );
        let sizes: Vec<usize> = answers
            .iter()
            .map(|answer| answer.records.as_ref().map_or(0, |records| records.len()))
            .collect();
        assert!(
            sizes[0] > 0 && sizes[1..].iter().all(|size| *size == 0),
            "{sizes:?}"
        );
        reads.push(faults.reads() - before);
    }
    assert_eq!(reads[1], reads[2], "nothing is looked for without room for it");
    // An offset that is not there is told all the same.
    let mut request = fetch_of(&[0, 1], 1);
    request.topics[0].partitions[1].fetch_offset = 3;
    let response = client.call(12, &request).await;
    assert_eq!(response.responses[0].partitions[1].error_code, 1);
}

/// A log is deleted before its topic is gone: consumers and producers hear that the topic is, not that the offset is
/// out of range or the disk broken.
#[tokio::test]
async fn a_log_that_is_deleted_is_an_unknown_topic() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let id = client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let mut waiting = Vec::new();
    for (version, code) in [(12, 3), (13, 100)] {
        let mut request = fetch_request("t", 0, 1, 19_000);
        if version == 13 {
            request.topics[0].topic = topic_name("");
            request.topics[0].topic_id = id;
        }
        let mut consumer = server.client().await;
        let sent = consumer.send(version, &request).await;
        waiting.push((consumer, version, sent, code));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let topic = server.broker.topics().get("t").unwrap();
    server.broker.logs().delete("t", topic.id).unwrap();
    assert!(server.broker.topics().get("t").is_some());
    for (mut consumer, version, sent, code) in waiting {
        let response = timeout(DEADLINE / 4, consumer.receive::<FetchRequest>(version, sent)).await;
        let response = response.expect("woken up");
        assert_eq!(
            response.responses[0].partitions[0].error_code, code,
            "version {version}"
        );
    }
    assert_eq!(client.produce("t", 0, batch(&["b"])).await.0, 3);
}
