//! Fetch sessions over sockets (KIP-227).

use kafka_protocol::messages::{
    DeleteTopicsRequest, FetchRequest, FetchResponse,
    delete_topics_request::DeleteTopicState,
    fetch_request::{FetchPartition, FetchTopic, ForgottenTopic},
};
use uuid::Uuid;

use super::harness::{Client, Server, batch, topic_name};

const NOT_FOUND: i16 = 70;
const INVALID_EPOCH: i16 = 71;
const TOPIC_ID_ERROR: i16 = 106;

/// Partitions with the offsets wanted of them.
type Asked<'a> = &'a [(i32, i64)];

/// A request of a session, by topic id; it does not wait.
fn request(id: i32, epoch: i32, topic: Uuid, asked: Asked<'_>) -> FetchRequest {
    let partition = |(index, offset): &(i32, i64)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    };
    let topic = FetchTopic::default()
        .with_topic(topic_name("t"))
        .with_topic_id(topic)
        .with_partitions(asked.iter().map(partition).collect());
    let topics = if asked.is_empty() { vec![] } else { vec![topic] };
    FetchRequest::default()
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_id(id)
        .with_session_epoch(epoch)
        .with_topics(topics)
}

/// Error, partitions with their errors, and how many bytes of records each has.
fn told(response: &FetchResponse) -> (i16, Vec<(i32, i16, bool)>) {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let partitions = partitions.map(|partition| {
        let has_records = partition
            .records
            .as_ref()
            .is_some_and(|records| !records.is_empty());
        (partition.partition_index, partition.error_code, has_records)
    });
    (response.error_code, partitions.collect())
}

/// A topic `t` and a session of all its partitions, from offset 0.
async fn session(client: &mut Client, partitions: i32) -> (Uuid, i32) {
    let topic = client.create_topic("t", partitions, &[]).await;
    let asked: Vec<_> = (0..partitions).map(|index| (index, 0)).collect();
    let response = client.call(18, &request(0, 0, topic, &asked)).await;
    let expected = (0..partitions).map(|index| (index, 0, false)).collect();
    assert_eq!(told(&response), (0, expected));
    assert!(response.session_id > 0);
    (topic, response.session_id)
}

#[tokio::test]
async fn a_session_tells_what_changed_only() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let (topic, id) = session(&mut client, 3).await;
    let quiet = client.call(18, &request(id, 1, topic, &[])).await;
    assert_eq!((told(&quiet), quiet.session_id), ((0, vec![]), id));
    client.produce("t", 1, batch(&["a"])).await;
    let response = client.call(18, &request(id, 2, topic, &[])).await;
    assert_eq!(told(&response), (0, vec![(1, 0, true)]));
    assert_eq!(response.responses[0].topic_id, topic);
    // Until the client goes on behind the record, it is told again.
    let response = client.call(18, &request(id, 3, topic, &[])).await;
    assert_eq!(told(&response), (0, vec![(1, 0, true)]));
    let response = client.call(18, &request(id, 4, topic, &[(1, 1)])).await;
    assert_eq!(told(&response), (0, vec![]));
    // An error is told each time.
    for epoch in 5..7 {
        let response = client.call(18, &request(id, epoch, topic, &[(2, 9)])).await;
        assert_eq!(told(&response), (0, vec![(2, 1, false)]));
    }
    let response = client.call(18, &request(id, 7, topic, &[(2, 0)])).await;
    assert_eq!(told(&response), (0, vec![(2, 0, false)]), "the error is over");
}

#[tokio::test]
async fn partitions_are_added_and_forgotten() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let (topic, id) = session(&mut client, 2).await;
    let more = client.create_topic("more", 1, &[]).await;
    let response = client.call(18, &request(id, 1, more, &[(0, 0)])).await;
    assert_eq!(told(&response), (0, vec![(0, 0, false)]));
    assert_eq!(response.responses[0].topic_id, more);
    let forget = |topic: Uuid, partitions: &[i32]| {
        ForgottenTopic::default()
            .with_topic_id(topic)
            .with_partitions(partitions.to_vec())
    };
    let mut request_2 = request(id, 2, topic, &[]);
    request_2.forgotten_topics_data = vec![forget(topic, &[0, 7]), forget(more, &[0])];
    assert_eq!(told(&client.call(18, &request_2).await), (0, vec![]));
    for (name, partition) in [("t", 0), ("t", 1), ("more", 0)] {
        client.produce(name, partition, batch(&["a"])).await;
    }
    let response = client.call(18, &request(id, 3, topic, &[])).await;
    assert_eq!(told(&response), (0, vec![(1, 0, true)]));
    // Without partitions there is no session.
    let mut request_4 = request(id, 4, topic, &[]);
    request_4.forgotten_topics_data = vec![forget(topic, &[1])];
    let response = client.call(18, &request_4).await;
    assert_eq!((told(&response), response.session_id), ((0, vec![]), 0));
    let response = client.call(18, &request(id, 5, topic, &[])).await;
    assert_eq!(told(&response), (NOT_FOUND, vec![]));
}

#[tokio::test]
async fn requests_that_do_not_fit_their_session_are_refused() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let (topic, id) = session(&mut client, 1).await;
    for (id, epoch, error) in [
        (id, 2, INVALID_EPOCH),
        (id, i32::MAX, INVALID_EPOCH),
        (id.wrapping_add(1) & i32::MAX, 1, NOT_FOUND),
        (-5, 1, NOT_FOUND),
        (0, 1, NOT_FOUND),
    ] {
        let response = client.call(18, &request(id, epoch, topic, &[(0, 0)])).await;
        assert_eq!((told(&response), response.session_id), ((error, vec![]), 0));
    }
    let by_name = client.call(12, &request(id, 1, topic, &[])).await;
    assert_eq!(told(&by_name), (TOPIC_ID_ERROR, vec![]));
    // None of this ended it.
    assert_eq!(
        told(&client.call(18, &request(id, 1, topic, &[])).await),
        (0, vec![])
    );
    // A full request ends it and begins another, or none.
    let response = client.call(18, &request(id, 0, topic, &[(0, 0)])).await;
    assert!(response.session_id > 0 && response.session_id != id);
    let gone = client.call(18, &request(id, 2, topic, &[])).await;
    assert_eq!(told(&gone), (NOT_FOUND, vec![]));
    let id = response.session_id;
    let response = client.call(18, &request(id, -1, topic, &[(0, 0)])).await;
    assert_eq!(
        (told(&response), response.session_id),
        ((0, vec![(0, 0, false)]), 0)
    );
    let gone = client.call(18, &request(id, 1, topic, &[])).await;
    assert_eq!(told(&gone), (NOT_FOUND, vec![]));
}

#[tokio::test]
async fn sessions_by_name_need_no_ids() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let topic = client.create_topic("t", 1, &[]).await;
    let response = client.call(7, &request(0, 0, topic, &[(0, 0)])).await;
    let id = response.session_id;
    client.produce("t", 0, batch(&["a"])).await;
    let response = client.call(12, &request(id, 1, topic, &[])).await;
    assert_eq!(told(&response), (0, vec![(0, 0, true)]));
    assert_eq!(response.responses[0].topic, topic_name("t"));
    let by_id = client.call(13, &request(id, 2, topic, &[])).await;
    assert_eq!(told(&by_id), (TOPIC_ID_ERROR, vec![]));
}

#[tokio::test]
async fn who_was_given_records_waits_for_the_others() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let (topic, id) = session(&mut client, 3).await;
    for partition in 0..3 {
        for _ in 0..3 {
            client.produce("t", partition, batch(&["some value"])).await;
        }
    }
    let mut positions = [0; 3];
    let mut asked = Vec::new();
    let mut order = Vec::new();
    for epoch in 1..=9 {
        // There is room for one batch.
        let request = request(id, epoch, topic, &asked).with_max_bytes(1);
        let (error, partitions) = told(&client.call(18, &request).await);
        assert_eq!(error, 0);
        let given: Vec<_> = partitions.iter().filter(|(_, _, records)| *records).collect();
        let [(given, ..)] = given[..] else {
            panic!("{partitions:?}");
        };
        let position = &mut positions[usize::try_from(*given).unwrap()];
        *position += 1;
        asked = vec![(*given, *position)];
        order.push(*given);
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[tokio::test]
async fn a_session_waits_and_is_told_of_a_new_record() {
    let server = Server::start(&[]).await;
    let (mut client, mut producer) = (server.client().await, server.client().await);
    let (topic, id) = session(&mut client, 2).await;
    let waiting = request(id, 1, topic, &[]).with_max_wait_ms(60_000);
    let sent = client.send(18, &waiting).await;
    producer.produce("t", 1, batch(&["a"])).await;
    let response = client.receive::<FetchRequest>(18, sent).await;
    assert_eq!(told(&response), (0, vec![(1, 0, true)]));
}

#[tokio::test]
async fn of_two_requests_of_one_epoch_one_is_answered() {
    let server = Server::start(&[]).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let (topic, id) = session(&mut client, 1).await;
    let waiting = request(id, 1, topic, &[]).with_max_wait_ms(60_000);
    let sent = client.send(18, &waiting).await;
    // The next request comes while the first one waits.
    let mut next = NOT_FOUND;
    while next != 0 {
        let response = other.call(18, &request(id, 2, topic, &[])).await;
        next = response.error_code;
        assert!(next == 0 || next == INVALID_EPOCH, "{next}");
    }
    other.produce("t", 0, batch(&["a"])).await;
    let response = client.receive::<FetchRequest>(18, sent).await;
    assert_eq!(
        (told(&response), response.session_id),
        ((INVALID_EPOCH, vec![]), id)
    );
}

async fn delete(client: &mut Client) {
    let state = DeleteTopicState::default().with_name(Some(topic_name("t")));
    let response = client
        .call(6, &DeleteTopicsRequest::default().with_topics(vec![state]))
        .await;
    assert_eq!(response.responses[0].error_code, 0);
}

#[tokio::test]
async fn a_topic_that_is_made_again_is_another_one() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let (topic, id) = session(&mut client, 1).await;
    let by_name = client.call(12, &request(0, 0, topic, &[(0, 0)])).await.session_id;
    delete(&mut client).await;
    for (id, version) in [(id, 18), (by_name, 12)] {
        let response = client.call(version, &request(id, 1, topic, &[])).await;
        assert_eq!(told(&response), (0, vec![(0, 3, false)]));
    }
    client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a"])).await;
    let response = client.call(18, &request(id, 2, topic, &[])).await;
    assert_eq!(told(&response), (0, vec![(0, 103, false)]));
    let response = client.call(12, &request(by_name, 2, topic, &[])).await;
    assert_eq!(told(&response), (0, vec![(0, 0, true)]));
    // An id that never had a name has none, though one client knew it.
    let unknown = Uuid::from_u128(7);
    let response = client.call(18, &request(0, 0, unknown, &[(0, 0)])).await;
    assert_eq!(told(&response), (0, vec![(0, 100, false)]));
}

#[tokio::test]
async fn what_is_unknown_beside_what_is_known_does_not_end_the_wait() {
    let server = Server::start(&[]).await;
    let (mut client, mut producer) = (server.client().await, server.client().await);
    let (topic, id) = session(&mut client, 1).await;
    let waiting = request(id, 1, topic, &[(5, 0)]).with_max_wait_ms(60_000);
    let sent = client.send(18, &waiting).await;
    producer.produce("t", 0, batch(&["a"])).await;
    let response = client.receive::<FetchRequest>(18, sent).await;
    assert_eq!(told(&response), (0, vec![(0, 0, true), (5, 3, false)]));
}

#[tokio::test]
async fn without_slots_every_fetch_is_a_full_one() {
    let server = Server::start(&[("max.incremental.fetch.session.cache.slots", "0")]).await;
    let mut client = server.client().await;
    let topic = client.create_topic("t", 1, &[]).await;
    let response = client.call(18, &request(0, 0, topic, &[(0, 0)])).await;
    assert_eq!(
        (told(&response), response.session_id),
        ((0, vec![(0, 0, false)]), 0)
    );
}

/// What an idle consumer of many partitions sends and receives at each round.
#[tokio::test]
async fn an_idle_round_of_many_partitions_is_short() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let (topic, id) = session(&mut client, 200).await;
    let id = client.send(18, &request(id, 1, topic, &[])).await;
    let answer = client.receive_frame().await.unwrap();
    assert!(answer.len() < 32, "{id}: {} bytes", answer.len());
}

#[tokio::test]
async fn a_client_that_read_other_epochs_is_told_where_they_diverge() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let topic = client.create_topic("t", 1, &[]).await;
    client.produce("t", 0, batch(&["a", "b"])).await;
    let ask = |offset, epoch| {
        let mut request = request(0, -1, topic, &[(0, offset)]);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        request
    };
    let response = client.call(18, &ask(1, 0)).await;
    assert_eq!(told(&response), (0, vec![(0, 0, true)]));
    assert_eq!(response.responses[0].partitions[0].diverging_epoch.epoch, -1);
    // Behind the end, and an epoch that never was.
    let response = client.call(18, &ask(5, 0)).await;
    assert_eq!(told(&response), (0, vec![(0, 0, false)]));
    let diverging = &response.responses[0].partitions[0].diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (0, 2));
    let response = client.call(18, &ask(1, 3)).await;
    assert_eq!(told(&response), (0, vec![(0, 1, false)]));
}
