//! Records of consumer groups in Kafka's bytes.

use proptest::prelude::*;

use super::*;
use crate::groups::{
    classic::member::Protocol,
    consumer::{
        member::{ClassicMetadata, CurrentAssignment, HeldPartitions, MemberMetadata, MemberState},
        metadata_hash::metadata_hash,
        records::ResolvedRegex,
    },
};

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn golden_topic() -> TopicId {
    TopicId(unhex("5d86e2936a244ab58e00cf82e5e92d3f").try_into().unwrap())
}

/// What Apache Kafka 4.3.1 wrote for a static member of group `vg` with the range assignor that joins and goes away, and for a
/// member of a group that was a classic one.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn records_are_kafkas_bytes() {
    let member = "hlnUwksJQ1Ww26ugfJabiQ".to_owned();
    let metadata = MemberMetadata {
        instance_id: Some("i1".into()),
        client_id: "consumer-vg-i1".into(),
        client_host: "/127.0.0.1".into(),
        subscribed_topics: BTreeSet::from(["golden-consumer".to_owned()]),
        rebalance_timeout_ms: 300_000,
        server_assignor: Some("range".into()),
        ..MemberMetadata::default()
    };
    let held = |epoch: i32| HeldPartitions::from([(golden_topic(), (0..3).map(|at| (at, epoch)).collect())]);
    let current = CurrentAssignment {
        epoch: 2,
        previous_epoch: 0,
        state: MemberState::Stable,
        assigned: held(2),
        pending_revocation: HeldPartitions::new(),
    };
    let revoking = CurrentAssignment {
        state: MemberState::UnrevokedPartitions,
        assigned: HeldPartitions::from([(golden_topic(), [(0, 2), (1, 2)].into())]),
        pending_revocation: HeldPartitions::from([(golden_topic(), [(2, 2)].into())]),
        previous_epoch: 2,
        ..current.clone()
    };
    let away = CurrentAssignment {
        epoch: -2,
        assigned: held(0),
        ..current.clone()
    };
    let target = Assignment::from([(golden_topic(), (0..3).collect())]);
    let id = "5d86e2936a244ab58e00cf82e5e92d3f";
    let classic = MemberMetadata {
        client_id: "consumer-mig-1".into(),
        instance_id: None,
        server_assignor: None,
        classic: Some(ClassicMetadata {
            session_timeout_ms: 45_000,
            protocols: vec![Protocol {
                name: "range".into(),
                metadata: unhex("000300000001000f676f6c64656e2d636f6e73756d6572ffffffff00000000ffffffffffff")
                    .into(),
            }],
        }),
        ..metadata.clone()
    };
    for (record, key, value) in [
        (
            ConsumerRecord::Member("m".into(), Some(classic)),
            "00050002766700016d",
            "000000000f636f6e73756d65722d6d69672d310b2f3132372e302e302e310210676f6c64656e2d636f6e73756d65720100\
             0493e000010034010000afc8020672616e676526000300000001000f676f6c64656e2d636f6e73756d6572ffffffff0000\
             0000ffffffffffff0000"
                .to_owned(),
        ),
        (
            ConsumerRecord::Member(member.clone(), Some(metadata)),
            "0005000276670016686c6e55776b734a5131577732367567664a61626951",
            "0000036931000f636f6e73756d65722d76672d69310b2f3132372e302e302e310210676f6c64656e2d636f6e73756d6572\
             01000493e00672616e676501000100"
                .to_owned(),
        ),
        (
            ConsumerRecord::Epoch(Some((2, 0x00bf_4e4e_6169_41f8))),
            "000300027667",
            "00000000000201000800bf4e4e616941f8".to_owned(),
        ),
        (
            ConsumerRecord::Epoch(Some((5, 0))),
            "000300027667",
            "00000000000500".to_owned(),
        ),
        (
            ConsumerRecord::Target(member.clone(), Some(target)),
            "0007000276670016686c6e55776b734a5131577732367567664a61626951",
            format!("000002{id}040000000000000001000000020000"),
        ),
        (
            ConsumerRecord::TargetEpoch(Some((2, 0x01a1_ffbc_6674))),
            "000600027667",
            "000000000002010008000001a1ffbc6674".to_owned(),
        ),
        (
            ConsumerRecord::Current(member.clone(), Some(current)),
            "0008000276670016686c6e55776b734a5131577732367567664a61626951",
            format!(
                "000000000002000000000002{id}0400000000000000010000000201000d040000000200000002000000020100"
            ),
        ),
        (
            ConsumerRecord::Current(member.clone(), Some(revoking)),
            "0008000276670016686c6e55776b734a5131577732367567664a61626951",
            format!(
                "000000000002000000020102{id}030000000000000001010009030000000200000002\
                 02{id}0200000002010005020000000200"
            ),
        ),
        (
            ConsumerRecord::Current(member, Some(away)),
            "0008000276670016686c6e55776b734a5131577732367567664a61626951",
            format!(
                "0000fffffffe000000000002{id}0400000000000000010000000201000d040000000000000000000000000100"
            ),
        ),
    ] {
        let (encoded_key, encoded) = record.encode("vg");
        assert_eq!(hex(&encoded_key), key, "{record:?}");
        assert_eq!(hex(&encoded.unwrap()), value, "{record:?}");
        let Ok(RecordKey::Consumer { key, .. }) = RecordKey::decode(&unhex(key)) else {
            panic!("{record:?}")
        };
        assert_eq!(ConsumerRecord::decode(key, Some(&unhex(&value))), Ok(record));
    }
}

#[test]
fn the_hash_over_topics_is_kafkas() {
    let mut image = Image::default();
    image
        .topics
        .insert("golden-consumer".to_owned(), (golden_topic(), 3));
    assert_eq!(
        metadata_hash(["golden-consumer"].into_iter(), &image),
        0x00bf_4e4e_6169_41f8
    );
    assert_eq!(metadata_hash(["missing"].into_iter(), &image), 0);
}

#[test]
fn a_regular_expression_and_an_older_assignment_are_read() {
    let resolved = ResolvedRegex {
        topics: BTreeSet::from(["a".to_owned()]),
        version: 7,
        timestamp_ms: 9,
    };
    let record = ConsumerRecord::Regex("a|b".into(), Some(resolved));
    let (key, value) = record.encode("g");
    assert_eq!(hex(&key), "001000016700036 17c62".replace(' ', ""));
    let Ok(RecordKey::Consumer { key, .. }) = RecordKey::decode(&key) else {
        panic!("a key of ours")
    };
    assert_eq!(ConsumerRecord::decode(key, value.as_deref()), Ok(record));
    // Before Kafka kept an epoch of each partition.
    let value =
        unhex(&format!("0000000000030000000200 02{}020000000100 0100", "01".repeat(16)).replace(' ', ""));
    let Ok(RecordKey::Consumer { key, .. }) = RecordKey::decode(&unhex("0008000167000161")) else {
        panic!("a key of ours")
    };
    let Ok(ConsumerRecord::Current(_, Some(current))) = ConsumerRecord::decode(key, Some(&value)) else {
        panic!("an assignment")
    };
    assert_eq!(
        current.assigned,
        HeldPartitions::from([(TopicId([1; 16]), [(1, 3)].into())])
    );
}

proptest! {
    #[test]
    fn hostile_bytes_are_errors_not_panics(kind in 0u8..18, data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let key = [&[0, kind, 0, 1, b'g', 0, 1, b'm'][..]].concat();
        if let Ok(RecordKey::Consumer { key, .. }) = RecordKey::decode(&key) {
            let _ = ConsumerRecord::decode(key.clone(), Some(&data));
            let _ = ConsumerRecord::decode(key, Some(&[&[0, 0][..], &data].concat()));
        }
    }
}
