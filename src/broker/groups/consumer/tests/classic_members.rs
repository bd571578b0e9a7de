//! Classic members of a consumer group, and groups that change their protocol.

use bytes::Bytes;

use super::*;
use crate::groups::{
    classic::{
        effects::{JoinRefused, JoinRequest, Joined, SyncRequest},
        group::{self, ClassicGroup},
        member::{Member, Protocol},
    },
    consumer::{classic_member::ClassicJoin, settings::MigrationPolicy},
    consumer_protocol::{self, Subscription},
};

fn subscription(topics: &[&str], owned: &[i32]) -> Bytes {
    let owned = if owned.is_empty() {
        Vec::new()
    } else {
        vec![("a".to_owned(), owned.to_vec())]
    };
    Subscription {
        topics: topics.iter().map(ToString::to_string).collect(),
        owned,
        ..Subscription::default()
    }
    .encode()
}

pub(super) fn join_request(member_id: &str, owned: &[i32]) -> JoinRequest {
    JoinRequest {
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: subscription(&["a"], owned),
        }],
        require_known_member_id: true,
        supports_skip_assignment: true,
        initial_rebalance_delay_ms: None,
    }
}

fn sync_request(member_id: &str, generation: i32) -> SyncRequest {
    SyncRequest {
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        generation,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: Vec::new(),
    }
}

impl Rig {
    pub(super) fn classic_join(&mut self, request: &JoinRequest) -> Result<Joined, JoinRefused> {
        match self
            .group
            .classic_join(request, "fresh", usize::MAX, self.world())?
        {
            ClassicJoin::Joined(outcome) => Ok(self.take(outcome)),
            ClassicJoin::Downgrade { .. } => panic!("a downgrade"),
        }
    }

    pub(super) fn classic_sync(&mut self, member: &str, generation: i32) -> Result<Assignment, GroupError> {
        let (answer, timers) = self
            .group
            .classic_sync(&sync_request(member, generation), &self.image);
        self.group.set_timers(timers, self.now);
        let synced = answer?;
        let assignment = consumer_protocol::Assignment::decode(&synced.assignment).expect("an assignment");
        Ok(super::super::classic_member::by_id(
            &assignment.partitions,
            &self.image,
        ))
    }

    pub(super) fn classic_beat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        let (answer, timers) = self.group.classic_heartbeat(member, None, generation);
        self.group.set_timers(timers, self.now);
        answer
    }
}

#[test]
fn a_classic_member_takes_part_by_joins_and_syncs() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    let refused = rig.classic_join(&join_request("", &[])).unwrap_err();
    assert_eq!(
        (refused.error, refused.member_id.as_str()),
        (GroupError::MemberIdRequired, "fresh")
    );
    let joined = rig.classic_join(&join_request("k1", &[])).unwrap();
    assert_eq!(
        (joined.generation, joined.protocol_name.as_deref()),
        (3, Some("range"))
    );
    assert_eq!(
        (joined.leader.as_str(), joined.members.len()),
        ("", 0),
        "nobody leads"
    );
    // Its partition is still the other's.
    assert_eq!(rig.classic_sync("k1", 3), Ok(Assignment::new()));
    assert_eq!(rig.classic_beat("k1", 3), Ok(()));
    rig.beat("m1", Some("a:0"));
    assert_eq!(rig.classic_beat("k1", 3), Err(GroupError::RebalanceInProgress));
    let joined = rig.classic_join(&join_request("k1", &[])).unwrap();
    assert_eq!(rig.classic_sync("k1", joined.generation), Ok(partitions("a:1")));
    assert_eq!(rig.classic_beat("k1", 3), Ok(()));
    for (member, generation, error) in [
        ("k1", 2, GroupError::IllegalGeneration),
        ("m1", 3, GroupError::UnknownMemberId),
        ("k9", 3, GroupError::UnknownMemberId),
    ] {
        assert_eq!(rig.classic_beat(member, generation), Err(error));
        assert_eq!(rig.classic_sync(member, generation), Err(error));
    }
    rig.assert_restart_finds_the_same();
}

#[test]
fn a_classic_member_gives_up_by_joining_again() {
    let mut rig = rig();
    rig.join("m1", &["b"]);
    let joined = rig.classic_join(&join_request("k1", &[])).unwrap();
    assert_eq!(rig.classic_sync("k1", joined.generation), Ok(partitions("a:0,1")));
    rig.join("m2", &["a"]);
    assert_eq!(
        rig.classic_sync("k1", joined.generation),
        Err(GroupError::RebalanceInProgress)
    );
    assert_eq!(
        rig.classic_beat("k1", joined.generation),
        Err(GroupError::RebalanceInProgress)
    );
    let again = rig.classic_join(&join_request("k1", &[0, 1])).unwrap();
    assert_eq!(again.generation, joined.generation, "it has not given up yet");
    assert_eq!(rig.classic_sync("k1", again.generation), Ok(partitions("a:0")));
    assert_eq!(
        rig.classic_beat("k1", again.generation),
        Err(GroupError::RebalanceInProgress)
    );
    let last = rig.classic_join(&join_request("k1", &[0])).unwrap();
    assert_eq!(
        (last.generation, rig.classic_beat("k1", last.generation)),
        (4, Ok(()))
    );
    assert_eq!(rig.beat("m2", None).assignment, Some(partitions("a:1")));
}

#[test]
fn a_classic_member_that_does_not_come_again_is_put_out() {
    let mut rig = rig();
    rig.join("m1", &["b"]);
    let joined = rig.classic_join(&join_request("k1", &[])).unwrap();
    rig.classic_sync("k1", joined.generation).unwrap();
    rig.join("m2", &["a"]);
    // It lives, but does not join.
    for _ in 0..13 {
        let _rebalance = rig.classic_beat("k1", joined.generation);
        for member in ["m1", "m2"] {
            rig.beat(member, None);
        }
        rig.advance(5_000);
    }
    assert!(rig.group.member("k1").is_none());
    let joined = rig.classic_join(&join_request("k2", &[])).unwrap();
    // One that does not even sync, neither.
    rig.advance(9_000);
    let _ok = rig.classic_beat("k2", joined.generation);
    rig.advance(10_000);
    assert!(rig.group.member("k2").is_none(), "its own session timeout");
}

#[test]
fn classic_members_that_do_not_fit_are_refused() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    let connect = JoinRequest {
        protocol_type: "connect".into(),
        ..join_request("k1", &[])
    };
    let malformed = JoinRequest {
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"?"),
        }],
        ..join_request("k1", &[])
    };
    for request in [connect, malformed] {
        let refused = rig.classic_join(&request).unwrap_err();
        assert_eq!(refused.error, GroupError::InconsistentGroupProtocol);
    }
    rig.classic_join(&join_request("k1", &[])).unwrap();
    let mut other = join_request("k2", &[]);
    other.protocols[0].name = "roundrobin".into();
    assert_eq!(
        rig.classic_join(&other).unwrap_err().error,
        GroupError::InconsistentGroupProtocol
    );
    rig.settings.migration_policy = MigrationPolicy::Disabled;
    let refused = rig.classic_join(&join_request("k1", &[])).unwrap_err();
    assert_eq!(refused.error, GroupError::InconsistentGroupProtocol);
}

#[test]
fn classic_members_have_the_rack_they_tell() {
    let metadata = Subscription {
        topics: vec!["a".into()],
        rack_id: Some("r1".into()),
        ..Subscription::default()
    }
    .encode();
    let mut rig = rig();
    rig.join("m1", &["a"]);
    let mut request = join_request("k1", &[]);
    request.protocols[0].metadata = metadata.clone();
    rig.classic_join(&request).unwrap();
    let rack = |group: &ConsumerGroup| group.member("k1").expect("a member").metadata.rack_id.clone();
    assert_eq!(rack(&rig.group).as_deref(), Some("r1"));
    let mut member = classic_member("k1", &[0], None);
    member.protocols[0].metadata = metadata;
    let classic = ClassicGroup::of_consumers("g", 7, vec![member], rig.now);
    let migrated = ConsumerGroup::of_classic(&classic, rig.world()).expect("consumers");
    assert_eq!(rack(&migrated).as_deref(), Some("r1"));
}

fn classic_member(id: &str, assignment: &[i32], user_data: Option<Bytes>) -> Member {
    Member {
        id: id.into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        rebalance_timeout_ms: REBALANCE_MS,
        session_timeout_ms: 10_000,
        protocols: join_request(id, &[]).protocols,
        assignment: consumer_protocol::Assignment {
            partitions: vec![("a".to_owned(), assignment.to_vec())],
            user_data,
        }
        .encode(),
        is_new: false,
        awaiting_join: None,
        awaiting_sync: None,
        heartbeat_deadline: None,
    }
}

#[test]
fn a_classic_group_becomes_a_consumer_group_and_back() {
    let mut rig = rig();
    let members = vec![classic_member("k1", &[0], None), classic_member("k2", &[1], None)];
    let classic = ClassicGroup::of_consumers("g", 7, members, rig.now);
    rig.group = ConsumerGroup::of_classic(&classic, rig.world()).expect("consumers");
    rig.records = rig.group.all_records();
    assert_eq!((rig.group.state(), rig.group.epoch()), (State::Stable, 7));
    rig.assert_restart_finds_the_same();
    assert_eq!(rig.classic_beat("k1", 7), Ok(()));
    // The new member starts a rebalance.
    assert_eq!(rig.join("m1", &["b"]).assignment, Some(partitions("b:0,1,2")));
    assert_eq!(rig.classic_beat("k1", 7), Err(GroupError::RebalanceInProgress));
    let leaving = BTreeSet::from(["m1".to_owned()]);
    assert!(
        rig.group
            .becomes_classic_without(&leaving, &rig.settings, usize::MAX)
    );
    assert!(
        !rig.group.becomes_classic_without(&leaving, &rig.settings, 1),
        "too many"
    );
    assert!(!rig.group.becomes_classic_without(
        &BTreeSet::from(["k1".to_owned()]),
        &rig.settings,
        usize::MAX
    ));
    let everyone = BTreeSet::from(["m1", "k1", "k2"].map(str::to_owned));
    assert!(
        !rig.group
            .becomes_classic_without(&everyone, &rig.settings, usize::MAX),
        "empty"
    );
    let back = rig.group.to_classic(&leaving, &rig.image, rig.now);
    assert_eq!(
        (back.state(), back.generation(), back.member_count()),
        (group::State::Stable, 8, 2)
    );
    let assignments: Vec<_> = back
        .members()
        .map(|member| {
            consumer_protocol::Assignment::decode(&member.assignment)
                .unwrap()
                .partitions
        })
        .collect();
    assert_eq!(
        assignments,
        [vec![("a".to_owned(), vec![0])], vec![("a".to_owned(), vec![1])]]
    );
    for policy in [MigrationPolicy::Upgrade, MigrationPolicy::Disabled] {
        rig.settings.migration_policy = policy;
        assert!(
            !rig.group
                .becomes_classic_without(&leaving, &rig.settings, usize::MAX)
        );
    }
}

#[test]
fn groups_that_would_lose_something_stay_classic() {
    let mut rig = rig();
    let upgrade = |rig: &Rig, member: Member| {
        let classic = ClassicGroup::of_consumers("g", 7, vec![member], rig.now);
        ConsumerGroup::of_classic(&classic, rig.world())
            .err()
            .map(|refusal| refusal.error)
    };
    let refused = Some(GroupError::GroupIdNotFound);
    let custom = classic_member("k1", &[0], Some(Bytes::from_static(b"data")));
    assert_eq!(upgrade(&rig, custom), refused);
    let mut malformed = classic_member("k1", &[0], None);
    malformed.protocols[0].metadata = Bytes::from_static(b"?");
    assert_eq!(upgrade(&rig, malformed), refused);
    assert_eq!(upgrade(&rig, classic_member("k1", &[0], None)), None);
    rig.settings.migration_policy = MigrationPolicy::Downgrade;
    assert_eq!(upgrade(&rig, classic_member("k1", &[0], None)), refused);
}

/// A static member of a group by itself comes back under this id, as a classic member.
fn comes_back_classic(member_id: &str, id_after: &str) {
    let mut rig = rig();
    rig.send(&of_instance("i1", joining("m1", &["a"]))).unwrap();
    let request = JoinRequest {
        group_instance_id: Some("i1".into()),
        ..join_request(member_id, &[])
    };
    let joined = rig.group.classic_join(&request, "fresh", usize::MAX, rig.world());
    let Ok(ClassicJoin::Downgrade {
        group,
        member_id,
        rebalance,
    }) = joined
    else {
        panic!("no downgrade")
    };
    assert_eq!((member_id.as_str(), rebalance), (id_after, false));
    let classic = group.to_classic(&BTreeSet::new(), &rig.image, rig.now);
    let joined = classic.joined_of_migrated(&member_id);
    assert_eq!(
        (joined.generation, joined.protocol_name.as_deref()),
        (2, Some("range"))
    );
    let member = classic.members().next().expect("a member");
    assert_eq!((member.id.as_str(), classic.members().count()), (id_after, 1));
    let assignment = consumer_protocol::Assignment::decode(&member.assignment).unwrap();
    assert_eq!(assignment.partitions, [("a".to_owned(), vec![0, 1])]);
}

#[test]
fn a_static_member_that_comes_back_classic_may_end_the_consumer_group() {
    comes_back_classic("", "fresh");
    comes_back_classic("m1", "m1");
}
