//! Peers that break the rules lose their connection, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use jackfield_protocol::versions::SUPPORTED;
use kafka_protocol::{
    messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest},
    protocol::Decodable,
};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};
use tokio::io::AsyncWriteExt as _;

use super::harness::{Server, batch, fetch_request, frame, produce_request, text, with_length};

/// Header of a request without tagged fields: client id null.
fn header(key: i16, version: i16) -> Vec<u8> {
    let mut header = key.to_be_bytes().to_vec();
    header.extend(version.to_be_bytes());
    header.extend(7_i32.to_be_bytes());
    header.extend((-1_i16).to_be_bytes());
    header
}

#[tokio::test]
async fn a_broken_frame_closes_its_connection_and_nothing_else() {
    let server = Server::start(&[("socket.request.max.bytes", "100000")]).await;
    let mut bystander = server.client().await;
    let mut frames: Vec<Vec<u8>> = vec![
        (-1_i32).to_be_bytes().to_vec(),
        i32::MAX.to_be_bytes().to_vec(),
        100_001_i32.to_be_bytes().to_vec(),
        with_length(&[]).to_vec(),
        with_length(&[0]).to_vec(),
        with_length(&header(3, 99)).to_vec(),
        with_length(&header(9999, 0)).to_vec(),
        with_length(&header(-1, -1)).to_vec(),
        with_length(b"GET / HTTP/1.1\r\n\r\n").to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    // Counts that promise more than the frame has, for every request in its oldest and newest version.
    for row in &SUPPORTED {
        for version in [row.min.max(if row.key == 0 { 3 } else { 0 }), row.max] {
            if [16, 18].contains(&row.key) && version == 0 {
                continue; // has no body
            }
            for fill in [0x7f, 0xff, 0xfe] {
                if fill == 0xff && !row.is_flexible(version) {
                    continue; // every string and array is null, which promises nothing
                }
                let mut body = header(row.key, version);
                if row.is_flexible(version) {
                    body.push(0);
                }
                body.extend([fill; 40]);
                frames.push(with_length(&body).to_vec());
            }
        }
    }
    for bytes in frames {
        let mut client = server.client().await;
        client.stream.write_all(&bytes).await.unwrap();
        assert!(client.is_closed().await, "{bytes:?}");
    }
    let response = bystander
        .call(12, &MetadataRequest::default().with_topics(None))
        .await;
    assert_eq!(response.brokers.len(), 1);
}

/// 16 MiB of names, or fewer that are still too many, are refused before anything is decoded; records may be as large
/// as `socket.request.max.bytes` says.
#[tokio::test]
async fn only_produce_requests_may_be_large() {
    const LIMIT: usize = 16 << 20;
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let metadata = header(3, 1);
    // Refused when its kind is known, however little of it has arrived.
    let mut bytes = u32::try_from(LIMIT + 1).unwrap().to_be_bytes().to_vec();
    bytes.extend(&metadata);
    client.stream.write_all(&bytes).await.unwrap();
    assert!(client.is_closed().await);
    for (key, version, count) in [(3, 1, 1_000_001_usize), (1, 4, 1_000_001)] {
        let mut body = header(key, version);
        if key == 1 {
            body.extend([0; 4 + 4 + 4 + 4 + 1]); // up to the topics
        }
        body.extend(u32::try_from(count).unwrap().to_be_bytes());
        body.resize(body.len() + count * 6, 0);
        let mut client = server.client().await;
        // It may be gone before all is sent.
        let _sent = client.stream.write_all(&with_length(&body)).await;
        assert!(client.is_closed().await, "{key}");
    }
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let large = batch(&[&"x".repeat(LIMIT)]);
    assert_eq!(
        client.produce("t", 0, large).await.0,
        10,
        "too large for the topic only"
    );
}

/// librdkafka sends one byte too many with a Metadata request for all topics.
#[tokio::test]
async fn bytes_left_over_are_ignored() {
    let server = Server::start(&[]).await;
    for good in [
        frame(1, 12, &MetadataRequest::default().with_topics(None)),
        frame(1, 9, &MetadataRequest::default().with_topics(None)),
    ] {
        let mut body = good[4..].to_vec();
        body.push(0);
        let mut client = server.client().await;
        client.stream.write_all(&with_length(&body)).await.unwrap();
        assert!(client.receive_frame().await.is_some());
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_with_its_row() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let mut body = header(18, 99);
    body.extend([0xff; 20]);
    client.stream.write_all(&with_length(&body)).await.unwrap();
    let mut answer = client.receive_frame().await.unwrap();
    assert_eq!(answer.split_to(4), Bytes::from_static(&[0, 0, 0, 7]));
    let response = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    let rows: Vec<_> = response
        .api_keys
        .iter()
        .map(|row| (row.api_key, row.min_version, row.max_version))
        .collect();
    assert_eq!((response.error_code, rows), (35, vec![(18, 0, 4)]));
    // The same connection goes on in a version both know.
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("tests"))
        .with_client_software_version(text("1"));
    assert_eq!(client.call(4, &request).await.error_code, 0);
    let request = request.with_client_software_name(text("-bad name-"));
    assert_eq!(client.call(4, &request).await.error_code, 42);
}

#[tokio::test]
async fn silent_connections_are_closed_but_not_those_that_wait_for_an_answer() {
    let server = Server::start(&[("connections.max.idle.ms", "500")]).await;
    let mut silent = server.client().await;
    let mut half = server.client().await;
    half.stream.write_all(&[0, 0]).await.unwrap();
    let mut waiting = server.client().await;
    waiting.create_topic("t", 1, &[]).await;
    let id = waiting.send(12, &fetch_request("t", 0, 0, 1_500)).await;
    assert!(silent.is_closed().await);
    let response = waiting
        .receive::<kafka_protocol::messages::FetchRequest>(12, id)
        .await;
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    assert!(waiting.is_closed().await);
    drop(half);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_trickles_is_given_up() {
    let (mut slow, accepted) = tokio::io::duplex(64);
    slow.write_all(&[0, 0]).await.unwrap();
    let (mut reader, _writer) = tokio::io::split(accepted);
    let limits = crate::config::Limits {
        request_max_bytes: 1_000,
        connections_max_idle: Duration::from_hours(1),
        listen_backlog: 1,
        fetch_max_bytes: 1,
        fetch_sessions: 1,
        request_partitions_max: 1,
    };
    let started = tokio::time::Instant::now();
    let read = crate::connection::read_frame(&mut reader, &limits, 100, || 0).await;
    assert_eq!(read.unwrap_err().reason, "a request arrives too slowly");
    assert_eq!(started.elapsed().as_secs(), 30);
    slow.write_all(&[0, 0, 3, 1]).await.unwrap();
    drop(slow);
}

#[tokio::test]
async fn connections_are_counted() {
    let server = Server::start(&[("max.connections", "2")]).await;
    let mut first = server.client().await;
    let mut second = server.client().await;
    let request = MetadataRequest::default().with_topics(None);
    first.call(12, &request).await;
    second.call(12, &request).await;
    let mut third = server.client().await;
    assert!(third.is_closed().await);
    drop(first);
    // The place is free as soon as the broker has noticed.
    loop {
        let mut fourth = server.client().await;
        let id = fourth.send(12, &request).await;
        if fourth
            .receive_frame()
            .await
            .is_some_and(|answer| answer[..4] == id.to_be_bytes())
        {
            break;
        }
    }
    let single = Server::start(&[("max.connections.per.ip", "1")]).await;
    let mut first = single.client().await;
    first.call(12, &request).await;
    assert!(single.client().await.is_closed().await);
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_blocks_only_itself() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 1, &[]).await;
    let big = "x".repeat(900_000);
    client.produce("t", 0, batch(&[&big])).await;
    let mut deaf = server.client().await;
    let fetch = frame(1, 12, &fetch_request("t", 0, 0, 0));
    let flood = async {
        loop {
            if deaf.stream.write_all(&fetch).await.is_err() {
                break;
            }
        }
    };
    // The flood stops being read at some point; the other connection goes on.
    tokio::select! {
        () = flood => panic!("the broker must stop reading, not fail"),
        () = async {
            for _ in 0..50 {
                client.call(11, &produce_request("t", 0, -1, batch(&["a"]))).await;
            }
        } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Good requests with bytes replaced, in order of bad luck: the broker answers or closes, and lives.
    #[test]
    fn damaged_requests_do_no_harm(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), choice in 0_usize..3) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start(&[("auto.create.topics.enable", "false")]).await;
            let good = match choice {
                0 => frame(1, 12, &MetadataRequest::default().with_topics(None)),
                1 => frame(1, 11, &produce_request("t", 0, -1, batch(&["a"]))),
                _ => frame(1, 12, &fetch_request("t", 0, 0, 0)),
            };
            let mut body = good[4..].to_vec();
            for (at, byte) in &damage {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            let mut client = server.client().await;
            client.stream.write_all(&with_length(&body)).await.unwrap();
            client.stream.shutdown().await.unwrap();
            while client.receive_frame().await.is_some() {}
            let mut bystander = server.client().await;
            let response = bystander.call(12, &MetadataRequest::default().with_topics(None)).await;
            prop_assert!(response.brokers.len() == 1);
            Ok(())
        })?;
    }
}
