//! Acknowledged means durable: no answer and no reader is ahead of the disk.

use std::{sync::Arc, time::Duration};

use jackfield_env::{
    Env, RealFiles,
    faulty::{Faults, FaultyFiles},
};
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest};
use tokio::time::timeout;

use super::harness::{DEADLINE, Server, batch, fetch_request, produce_request, produced, values};

pub(super) async fn server(options: &[(&str, &str)]) -> (Server, Arc<Faults>) {
    let (env, faults) = faulty();
    (Server::start_in(env, options).await, faults)
}

/// A world whose files fail on demand.
pub(super) fn faulty() -> (Env, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let files = Arc::new(FaultyFiles::new(Arc::new(RealFiles), Arc::clone(&faults)));
    (Env { files, ..Env::real() }, faults)
}

#[tokio::test]
async fn nothing_is_answered_or_readable_before_it_is_synced() {
    for acks in [1, -1] {
        let (server, faults) = server(&[]).await;
        let mut producer = server.client().await;
        let mut consumer = server.client().await;
        producer.create_topic("t", 1, &[]).await;
        faults.hold_sync(true);
        let first = producer
            .send(11, &produce_request("t", 0, acks, batch(&["a"])))
            .await;
        let second = producer
            .send(11, &produce_request("t", 0, acks, batch(&["b"])))
            .await;
        let log = server.broker.topics().partition("t", 0).unwrap();
        while log.log_end_offset() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(values(&consumer.fetch("t", 0, 0).await).is_empty(), "acks {acks}");
        let waiting = consumer.send(12, &fetch_request("t", 0, 0, 19_000)).await;
        faults.hold_sync(false);
        for (id, offset) in [(first, 0), (second, 1)] {
            let response = producer.receive::<ProduceRequest>(11, id).await;
            assert_eq!(produced(&response), (0, offset));
        }
        assert_eq!(
            values(&consumer.receive::<FetchRequest>(12, waiting).await)[0],
            "a"
        );
    }
}

#[tokio::test]
async fn pipelined_requests_share_commit_rounds() {
    let (server, faults) = server(&[]).await;
    let mut producer = server.client().await;
    producer.create_topic("t", 1, &[]).await;
    let log = server.broker.topics().partition("t", 0).unwrap();
    faults.hold_sync(true);
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push(
            producer
                .send(11, &produce_request("t", 0, -1, batch(&["a"])))
                .await,
        );
    }
    while log.log_end_offset() < 50 {
        tokio::task::yield_now().await;
    }
    let before = faults.rounds();
    faults.hold_sync(false);
    for id in sent {
        assert_eq!(produced(&producer.receive::<ProduceRequest>(11, id).await).0, 0);
    }
    assert!(
        faults.rounds() - before <= 3,
        "{} rounds",
        faults.rounds() - before
    );
}

/// Requests behind one that took its time are appended together as soon as it is answered, and no further than order
/// allows.
#[tokio::test]
async fn produce_requests_behind_another_request_share_commit_rounds() {
    let (server, faults) = server(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.create_topic("empty", 1, &[]).await;
    let log = server.broker.topics().partition("t", 0).unwrap();
    let produce = produce_request("t", 0, -1, batch(&["a"]));
    let metadata = MetadataRequest::default().with_topics(None);
    faults.hold_sync(true);
    let first = client.send(11, &produce).await;
    let waiting = client.send(12, &fetch_request("empty", 0, 0, 1_000)).await;
    let mut before = Vec::new();
    for _ in 0..20 {
        before.push(client.send(11, &produce).await);
    }
    let between = client.send(12, &metadata).await;
    let mut after = Vec::new();
    for _ in 0..20 {
        after.push(client.send(11, &produce).await);
    }
    let appended = async |count| {
        while log.log_end_offset() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, appended(1)).await.unwrap();
    faults.hold_sync(false);
    assert_eq!(
        produced(&client.receive::<ProduceRequest>(11, first).await),
        (0, 0)
    );
    // The fetch still waits, and everything behind it.
    faults.hold_sync(true);
    assert_eq!(log.log_end_offset(), 1);
    client.receive::<FetchRequest>(12, waiting).await;
    let all = timeout(DEADLINE, appended(21)).await;
    all.expect("appended although none of them can be synced");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(log.log_end_offset(), 21, "not past the other request");
    faults.hold_sync(false);
    for (id, offset) in before.into_iter().zip(1..) {
        let response = client.receive::<ProduceRequest>(11, id).await;
        assert_eq!(produced(&response), (0, offset));
    }
    client.receive::<MetadataRequest>(12, between).await;
    for (id, offset) in after.into_iter().zip(21..) {
        let response = client.receive::<ProduceRequest>(11, id).await;
        assert_eq!(produced(&response), (0, offset));
    }
}

#[tokio::test]
async fn a_failed_sync_is_an_error_and_takes_the_directory_offline() {
    let (server, faults) = server(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    assert_eq!(client.produce("t", 0, batch(&["a"])).await, (0, 0));
    faults.fail_sync(true);
    assert_eq!(client.produce("t", 0, batch(&["b"])).await, (56, -1));
    faults.fail_sync(false);
    assert_eq!(
        client.produce("t", 0, batch(&["c"])).await,
        (56, -1),
        "never tried again"
    );
}
