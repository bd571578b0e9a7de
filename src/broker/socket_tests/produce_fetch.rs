//! Produce and Fetch over sockets: every version and codec, order, long poll, limits, idempotence.

use std::time::Duration;

use bytes::Bytes;
use jackfield_log::RECORD_ERRORS_MAX;
use jackfield_protocol::records::{BatchHeader, Compression};
use kafka_protocol::messages::{
    FetchRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest, TransactionalId,
};
use tokio::io::AsyncWriteExt as _;

use super::harness::{
    DEADLINE, Server, batch, compressed, fetch_request, frame, produce_request, produced, sequenced, text,
    topic_name, values,
};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[tokio::test]
async fn every_version_and_codec_round_trips_without_a_changed_byte() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let id = client.create_topic("t", 1, &[]).await;
    let mut offset = 0;
    for version in 3..=11 {
        for codec in CODECS {
            if codec == Compression::Zstd && version < 7 {
                continue;
            }
            let sent = compressed(&["a", "b"], codec);
            let response = client
                .call(version, &produce_request("t", 0, -1, sent.clone()))
                .await;
            assert_eq!(produced(&response), (0, offset), "version {version} {codec:?}");
            let fetch_version = 4 + (version - 3);
            let response = client
                .call(fetch_version, &fetch_request("t", 0, offset, 0))
                .await;
            assert_eq!(values(&response), ["a", "b"], "version {fetch_version} {codec:?}");
            let stored = response.responses[0].partitions[0].records.clone().unwrap();
            // Only the stamps before the CRC differ.
            assert_eq!(stored[17..], sent[17..]);
            offset += 2;
        }
    }
    for version in 13..=17 {
        let mut request = fetch_request("t", 0, offset - 2, 0);
        request.topics[0].topic = topic_name("");
        request.topics[0].topic_id = id;
        let response = client.call(version, &request).await;
        assert_eq!(response.responses[0].topic_id, id);
        assert_eq!(values(&response), ["a", "b"], "version {version}");
        assert_eq!(response.session_id, 0);
    }
}

#[tokio::test]
async fn a_fetch_inside_a_batch_returns_the_whole_batch() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a", "b", "c"])).await;
    let response = client.fetch("t", 0, 1).await;
    assert_eq!(values(&response), ["a", "b", "c"]);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(
        (
            partition.high_watermark,
            partition.last_stable_offset,
            partition.log_start_offset
        ),
        (3, 3, 0)
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_appended_in_order() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let mut sent = Vec::new();
    for index in 0..200 {
        let name = format!("v{index}");
        sent.push(
            client
                .send(9, &produce_request("t", 0, -1, batch(&[&name])))
                .await,
        );
        // Other requests in between neither overtake nor are overtaken.
        if index % 50 == 10 {
            sent.push(
                client
                    .send(9, &MetadataRequest::default().with_topics(None))
                    .await,
            );
        }
    }
    let mut offset = 0;
    for (position, id) in sent.into_iter().enumerate() {
        if [11, 62, 113, 164].contains(&position) {
            client.receive::<MetadataRequest>(9, id).await;
            continue;
        }
        let response = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(produced(&response), (0, offset));
        offset += 1;
    }
    let read = values(&client.fetch("t", 0, 0).await);
    assert_eq!(
        read,
        (0..200).map(|index| format!("v{index}")).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_fetch_behind_a_produce_sees_its_records() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let produce = client.send(11, &produce_request("t", 0, -1, batch(&["a"]))).await;
    let fetch = client.send(12, &fetch_request("t", 0, 0, 0)).await;
    client.receive::<ProduceRequest>(11, produce).await;
    assert_eq!(values(&client.receive::<FetchRequest>(12, fetch).await), ["a"]);
}

#[tokio::test]
async fn a_waiting_fetch_wakes_up_when_records_arrive() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client().await;
    let mut producer = server.client().await;
    producer.create_topic("t", 2, &[]).await;
    let mut request = fetch_request("t", 0, 0, 19_000);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    let id = consumer.send(12, &request).await;
    producer.produce("t", 1, batch(&["late"])).await;
    let started = std::time::Instant::now();
    let response = consumer.receive::<FetchRequest>(12, id).await;
    assert!(started.elapsed().as_secs() < 10, "woken, not timed out");
    assert!(
        response.responses[0].partitions[1]
            .records
            .as_ref()
            .is_some_and(|records| !records.is_empty())
    );
}

#[tokio::test]
async fn a_fetch_without_records_ends_at_its_wait() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let response = client.call(12, &fetch_request("t", 0, 0, 30)).await;
    assert!(values(&response).is_empty());
}

#[tokio::test]
async fn the_wait_goes_on_below_min_bytes() {
    let server = Server::start(&[]).await;
    let mut consumer = server.client().await;
    let mut producer = server.client().await;
    producer.create_topic("t", 1, &[]).await;
    let one = batch(&["first"]);
    let request = fetch_request("t", 0, 0, 19_000).with_min_bytes(i32::try_from(one.len() + 1).unwrap());
    let id = consumer.send(12, &request).await;
    producer.produce("t", 0, one).await;
    producer.produce("t", 0, batch(&["second"])).await;
    let response = consumer.receive::<FetchRequest>(12, id).await;
    assert_eq!(values(&response), ["first", "second"]);
}

#[tokio::test]
async fn limits_hold_but_one_batch_is_always_returned() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    let big = "x".repeat(5_000);
    for partition in [0, 1] {
        for _ in 0..3 {
            client.produce("t", partition, batch(&[&big])).await;
        }
    }
    let mut request = fetch_request("t", 0, 0, 0).with_max_bytes(1);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    let response = client.call(12, &request).await;
    assert_eq!(values(&response).len(), 1, "one batch over max_bytes");
    assert!(
        response.responses[0].partitions[1]
            .records
            .as_ref()
            .is_none_or(Bytes::is_empty)
    );
    request.max_bytes = 1 << 20;
    request.topics[0].partitions[0].partition_max_bytes = 11_000;
    let response = client.call(12, &request).await;
    assert_eq!(
        values(&response).len(),
        2,
        "two batches fit the partition's limit"
    );
}

#[tokio::test]
async fn fetch_errors() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let id = client.create_topic("t", 1, &[]).await;
    let code =
        |response: kafka_protocol::messages::FetchResponse| response.responses[0].partitions[0].error_code;
    assert_eq!(code(client.fetch("t", 0, 1).await), 1, "offset out of range");
    assert_eq!(code(client.fetch("t", 0, -1).await), 1, "offset out of range");
    assert_eq!(code(client.fetch("t", 1, 0).await), 3, "unknown partition");
    assert_eq!(code(client.fetch("nope", 0, 0).await), 3, "unknown topic");
    for (epoch, expected) in [(0, 0), (1, 75), (-1, 0)] {
        let mut request = fetch_request("t", 0, 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        assert_eq!(code(client.call(12, &request).await), expected, "epoch {epoch}");
    }
    let mut request = fetch_request("", 0, 0, 0);
    request.topics[0].topic_id = uuid::Uuid::from_u128(7);
    assert_eq!(code(client.call(13, &request).await), 100, "unknown topic id");
    request.topics[0].topic_id = id;
    assert_eq!(code(client.call(13, &request).await), 0);
}

#[tokio::test]
async fn produce_errors() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[("max.message.bytes", "200")]).await;
    client
        .create_topic("c", 1, &[("cleanup.policy", "compact")])
        .await;
    assert_eq!(client.produce("t", 1, batch(&["a"])).await, (3, -1));
    assert_eq!(client.produce("nope", 0, batch(&["a"])).await, (3, -1));
    assert_eq!(client.produce("t", 0, batch(&[&"x".repeat(300)])).await, (10, -1));
    let mut corrupt = batch(&["a"]).to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    assert_eq!(client.produce("t", 0, corrupt.into()).await, (2, -1));
    assert_eq!(
        client
            .produce("c", 0, sequenced(&["without key"], -1, -1, -1))
            .await,
        (87, -1)
    );
    let keyless = produce_request("c", 0, -1, sequenced(&["a", "b"], -1, -1, -1));
    let response = client.call(11, &keyless).await;
    let errors = &response.responses[0].partition_responses[0].record_errors;
    let indexes: Vec<_> = errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(indexes, [0, 1], "which records are to blame");
    let many = vec!["x"; 2 * RECORD_ERRORS_MAX];
    let keyless = produce_request("c", 0, -1, sequenced(&many, -1, -1, -1));
    let response = client.call(11, &keyless).await;
    let errors = &response.responses[0].partition_responses[0].record_errors;
    assert_eq!(errors.len(), RECORD_ERRORS_MAX, "no answer grows with the batch");
    let two = [batch(&["a"]), batch(&["b"])].concat();
    assert_eq!(client.produce("t", 0, two.into()).await, (87, -1), "two batches");
    let zstd = produce_request("t", 0, -1, compressed(&["a"], Compression::Zstd));
    assert_eq!(
        produced(&client.call(6, &zstd).await),
        (76, -1),
        "zstd before its version"
    );
    assert_eq!(client.produce("t", 0, Bytes::new()).await.1, -1, "no batch");
    let response = client.call(11, &produce_request("t", 0, 7, batch(&["a"]))).await;
    assert_eq!(produced(&response), (21, -1), "invalid acks");
    let request =
        produce_request("t", 0, -1, batch(&["a"])).with_transactional_id(Some(TransactionalId(text("x"))));
    let response = client.call(11, &request).await;
    assert_ne!(produced(&response).0, 0, "transactions are refused");
    assert_eq!(
        client.produce("t", 0, batch(&["a"])).await,
        (0, 0),
        "nothing of it was appended"
    );
}

#[tokio::test]
async fn acks_0_has_no_answer_and_its_failure_closes() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    client.send(11, &produce_request("t", 0, 0, batch(&["a"]))).await;
    let id = client.send(11, &produce_request("t", 0, 1, batch(&["b"]))).await;
    let response = client.receive::<ProduceRequest>(11, id).await;
    assert_eq!(
        produced(&response),
        (0, 1),
        "the next answer is that of the next request"
    );
    client
        .send(11, &produce_request("nope", 0, 0, batch(&["a"])))
        .await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn repeated_sequences_are_answered_with_the_first_offset() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let response = client.call(4, &request).await;
    assert_eq!((response.error_code, response.producer_epoch), (0, 0));
    let id = response.producer_id.0;
    assert_eq!(
        client.produce("t", 0, sequenced(&["a", "b"], id, 0, 0)).await,
        (0, 0)
    );
    assert_eq!(client.produce("t", 0, sequenced(&["c"], id, 0, 2)).await, (0, 2));
    assert_eq!(
        client.produce("t", 0, sequenced(&["a", "b"], id, 0, 0)).await,
        (0, 0),
        "duplicate"
    );
    assert_eq!(
        client.produce("t", 0, sequenced(&["e"], id, 0, 9)).await,
        (45, -1),
        "gap"
    );
    assert_eq!(
        client.produce("t", 0, sequenced(&["f"], id, 1, 0)).await,
        (0, 3),
        "new epoch"
    );
    assert_eq!(
        client.produce("t", 0, sequenced(&["g"], id, 0, 3)).await,
        (47, -1),
        "old epoch"
    );
    // Over a restart as well.
    let server = server.restart().await;
    let mut client = server.client().await;
    assert_eq!(
        client.produce("t", 0, sequenced(&["f"], id, 1, 0)).await,
        (0, 3),
        "duplicate after a restart"
    );
    assert_eq!(values(&client.fetch("t", 0, 0).await), ["a", "b", "c", "f"]);
}

#[tokio::test]
async fn log_append_time_is_stamped_and_reported() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client
        .create_topic("t", 1, &[("message.timestamp.type", "LogAppendTime")])
        .await;
    let response = client.call(11, &produce_request("t", 0, -1, batch(&["a"]))).await;
    let time = response.responses[0].partition_responses[0].log_append_time_ms;
    let response = client.fetch("t", 0, 0).await;
    let header = BatchHeader::parse(response.responses[0].partitions[0].records.as_ref().unwrap()).unwrap();
    assert!(header.is_log_append_time());
    assert_eq!(header.max_timestamp, time);
}

#[tokio::test]
async fn who_waits_is_answered_when_the_broker_stops() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    // All three arrive at once: when the first is answered, the others were read.
    let mut burst = frame(1, 11, &produce_request("t", 0, -1, batch(&["first"])));
    burst.extend_from_slice(&frame(2, 12, &fetch_request("t", 0, 1, 3_600_000)));
    burst.extend_from_slice(&frame(3, 11, &produce_request("t", 0, -1, batch(&["second"]))));
    client.stream.write_all(&burst).await.unwrap();
    client.receive::<ProduceRequest>(11, 1).await;
    let started = std::time::Instant::now();
    let stopping = server.broker.shutdown(DEADLINE);
    let answers = async {
        assert!(values(&client.receive::<FetchRequest>(12, 2).await).is_empty());
        assert_eq!(produced(&client.receive::<ProduceRequest>(11, 3).await), (0, 1));
        assert!(client.is_closed().await);
    };
    tokio::join!(answers, stopping);
    assert!(started.elapsed() < DEADLINE / 2);
    let marker = server.dir.path().join(".kafka_cleanshutdown");
    assert!(marker.exists());
}

#[tokio::test]
async fn a_peer_that_does_not_read_cannot_hold_up_the_stop() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let big = "x".repeat(900_000);
    client.produce("t", 0, batch(&[&big])).await;
    let fetch = frame(1, 12, &fetch_request("t", 0, 0, 0));
    for _ in 0..100 {
        client.stream.write_all(&fetch).await.unwrap();
    }
    let started = std::time::Instant::now();
    server.broker.shutdown(Duration::from_millis(50)).await;
    assert!(started.elapsed() < DEADLINE / 2);
    assert!(server.dir.path().join(".kafka_cleanshutdown").exists());
}
