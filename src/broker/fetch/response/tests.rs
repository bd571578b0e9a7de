//! Responses by hand are what the generated codec reads.

use bytes::Bytes;
use jackfield_log::TopicId;
use kafka_protocol::{
    messages::{BrokerId, FetchResponse},
    protocol::Decodable as _,
};

use super::*;

fn decoded(answers: &[(Place, Answer)], version: i16) -> FetchResponse {
    let node = Node {
        id: 4,
        host: "host".to_owned(),
        port: 9092,
        rack: Some("r1".to_owned()),
    };
    let head = Head {
        code: 0,
        session_id: 9,
    };
    let parts = encode(head, answers, &node, version, version >= 12);
    let mut bytes: Bytes = parts
        .into_iter()
        .flat_map(|part| match part {
            Part::Bytes(bytes) => bytes,
            Part::File(_) => panic!("no records"),
        })
        .collect();
    let response = FetchResponse::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    response
}

fn place(topic: u8, partition: i32) -> Place {
    Place {
        topic: TopicKey::Id(TopicId([topic; 16])),
        partition,
    }
}

#[test]
fn who_believes_in_an_older_leader_is_told_the_leader() {
    let fenced = Answer {
        code: 74,
        leader_epoch: Some(3),
        ..Answer::default()
    };
    let answers = [(place(1, 0), fenced), (place(1, 1), Answer::default())];
    let response = decoded(&answers, 16);
    let [fenced, other] = &response.responses[0].partitions[..] else {
        panic!("{response:?}");
    };
    assert_eq!(
        (
            fenced.current_leader.leader_id,
            fenced.current_leader.leader_epoch
        ),
        (BrokerId(4), 3)
    );
    assert_eq!(other.current_leader.leader_id, BrokerId(-1));
    let node = &response.node_endpoints[0];
    assert_eq!(
        (node.node_id, node.port, &*node.host),
        (BrokerId(4), 9092, "host")
    );
    assert_eq!(node.rack.as_deref(), Some("r1"));
    // Older clients ask for metadata.
    let response = decoded(&answers, 15);
    assert_eq!(
        response.responses[0].partitions[0].current_leader.leader_epoch,
        -1
    );
    assert!(response.node_endpoints.is_empty());
}

#[test]
fn partitions_of_a_topic_share_its_name_where_they_follow_each_other() {
    let answers = [(1, 0), (1, 1), (2, 0), (1, 2)].map(|(topic, partition)| {
        let answer = Answer {
            diverging: (partition == 2).then_some((5, 77)),
            ..Answer::default()
        };
        (place(topic, partition), answer)
    });
    let response = decoded(&answers, 13);
    let topics: Vec<_> = response
        .responses
        .iter()
        .map(|topic| (topic.topic_id.as_bytes()[0], topic.partitions.len()))
        .collect();
    assert_eq!((topics, response.session_id), (vec![(1, 2), (2, 1), (1, 1)], 9));
    let diverging = &response.responses[2].partitions[0].diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (5, 77));
}
