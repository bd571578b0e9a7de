//! Joins, rebalances, fencing and departures of members of the consumer protocol.

use super::*;

#[test]
fn the_first_member_gets_everything_it_is_subscribed_to() {
    let mut rig = rig();
    let answer = rig.join("m1", &["a", "b", "missing"]);
    assert_eq!((answer.member_epoch, answer.heartbeat_interval_ms), (2, 5_000));
    assert_eq!(answer.assignment, Some(partitions("a:0,1 b:0,1,2")));
    assert_eq!(rig.group.state(), State::Stable);
    // Nothing new: no record, no assignment.
    let written = rig.records.len();
    assert_eq!(rig.beat("m1", None).assignment, None);
    assert_eq!(rig.records.len(), written);
    rig.assert_restart_finds_the_same();
}

#[test]
fn partitions_move_only_when_they_were_given_up() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    let second = rig.join("m2", &["a"]);
    // The new member is at the new epoch, but its partition is still the other's.
    assert_eq!(
        (second.member_epoch, second.assignment),
        (3, Some(Assignment::new()))
    );
    assert_eq!(rig.group.state(), State::Reconciling);
    // The first is told to give one up, and stays at its epoch until it did.
    let first = rig.beat("m1", Some("a:0,1"));
    assert_eq!(
        (first.member_epoch, first.assignment),
        (2, Some(partitions("a:0")))
    );
    assert_eq!(rig.beat("m2", None).assignment, None);
    assert_eq!(rig.beat("m1", Some("a:0,1")).member_epoch, 2);
    assert_eq!(rig.beat("m1", Some("a:0")).member_epoch, 3);
    assert_eq!(rig.beat("m2", None).assignment, Some(partitions("a:1")));
    assert_eq!(rig.group.state(), State::Stable);
    rig.assert_restart_finds_the_same();
}

#[test]
fn who_does_not_give_up_in_time_is_put_out() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    rig.join("m2", &["a"]);
    rig.beat("m1", None);
    for _ in 0..12 {
        rig.advance(4_999);
        if rig.group.member("m1").is_some() {
            rig.beat("m1", None);
        }
        rig.beat("m2", None);
    }
    assert!(rig.group.member("m1").is_some());
    rig.advance(20);
    assert!(rig.group.member("m1").is_none(), "after its rebalance timeout");
    assert_eq!(
        rig.send(&staying("m1", 2)).err(),
        Some(GroupError::UnknownMemberId)
    );
    assert_eq!(rig.beat("m2", None).assignment, Some(partitions("a:0,1")));
}

#[test]
fn silent_members_lose_their_partitions() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    rig.join("m2", &["a"]);
    rig.beat("m1", Some("a:0"));
    rig.beat("m2", None);
    rig.advance(SESSION_MS - 1);
    rig.beat("m2", None);
    rig.advance(1);
    assert!(rig.group.member("m1").is_none());
    assert_eq!(rig.group.state(), State::Assigning);
    assert_eq!(rig.beat("m2", None).assignment, Some(partitions("a:0,1")));
    rig.advance(SESSION_MS);
    assert_eq!(rig.group.state(), State::Empty);
    rig.assert_restart_finds_the_same();
}

#[test]
fn a_member_that_leaves_makes_room() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    rig.join("m2", &["a"]);
    rig.beat("m1", Some("a:0"));
    let left = rig.send(&staying("m1", LEAVING_EPOCH)).expect("no refusal");
    assert_eq!((left.member_epoch, left.heartbeat_interval_ms), (-1, 0));
    assert_eq!(rig.beat("m2", None).assignment, Some(partitions("a:0,1")));
    assert_eq!(
        rig.send(&staying("m1", LEAVING_EPOCH)).err(),
        Some(GroupError::UnknownMemberId)
    );
}

#[test]
fn epochs_fence_and_the_previous_one_is_taken_once_more() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    rig.join("m2", &["a"]);
    rig.beat("m1", Some("a:0"));
    assert_eq!(rig.group.member("m1").unwrap().current.epoch, 3);
    for (epoch, owned, expected) in [
        (4, Some("a:0"), Some(GroupError::FencedMemberEpoch)),
        (1, Some("a:0"), Some(GroupError::FencedMemberEpoch)),
        // The answer with the new epoch was lost; but then it cannot hold more than it was given.
        (2, Some("a:0"), None),
        (2, Some("a:0,1"), Some(GroupError::FencedMemberEpoch)),
        (2, None, Some(GroupError::FencedMemberEpoch)),
        (3, None, None),
    ] {
        let request = ConsumerHeartbeat {
            owned: owned.map(partitions),
            ..staying("m1", epoch)
        };
        assert_eq!(rig.send(&request).err(), expected, "{epoch} {owned:?}");
    }
    // A fenced member joins anew and gets its partitions back.
    assert_eq!(rig.join("m1", &["a"]).assignment, Some(partitions("a:0")));
}

#[test]
fn a_static_member_keeps_its_place_while_it_is_away() {
    let mut rig = rig();
    rig.send(&of_instance("i1", joining("m1", &["a"]))).unwrap();
    let taken = rig.send(&of_instance("i1", joining("m2", &["a"])));
    assert_eq!(taken.err(), Some(GroupError::UnreleasedInstanceId));
    let away = rig.send(&of_instance("i1", staying("m1", -2))).unwrap();
    assert_eq!(away.member_epoch, -2);
    rig.assert_restart_finds_the_same();
    let epoch = rig.group.epoch();
    let back = rig.send(&of_instance("i1", joining("m2", &["a"]))).unwrap();
    assert_eq!(
        (back.member_epoch, back.assignment),
        (epoch, Some(partitions("a:0,1")))
    );
    assert_eq!(rig.group.epoch(), epoch, "nobody else notices");
    let fenced = rig.send(&of_instance("i1", staying("m1", 2)));
    assert_eq!(fenced.err(), Some(GroupError::FencedInstanceId));
    let unknown = rig.send(&of_instance("i9", staying("m2", 2)));
    assert_eq!(unknown.err(), Some(GroupError::UnknownMemberId));
    rig.assert_restart_finds_the_same();
    // One that does not come back is put out when its session ends.
    rig.send(&of_instance("i1", staying("m2", -2))).unwrap();
    rig.advance(SESSION_MS);
    assert!(rig.group.is_empty());
    rig.assert_restart_finds_the_same();
}

#[test]
fn topics_that_come_grow_and_go_are_noticed() {
    let mut rig = rig();
    rig.image.topics.remove("b");
    rig.join("m1", &["a", "later"]);
    rig.topic("a", 1, 3);
    assert_eq!(rig.beat("m1", None).assignment, Some(partitions("a:0,1,2")));
    rig.topic("later", 2, 1);
    assert_eq!(rig.beat("m1", None).assignment, Some(partitions("a:0,1,2 b:0")));
    rig.image.topics.remove("a");
    rig.image.version += 1;
    rig.beat("m1", Some("a:0,1,2 b:0"));
    assert_eq!(rig.beat("m1", Some("b:0")).member_epoch, rig.group.epoch());
    let held = super::super::member::without_epochs(&rig.group.member("m1").unwrap().current.assigned);
    assert_eq!(held, partitions("b:0"));
    // A topic nobody is subscribed to changes nothing.
    let epoch = rig.group.epoch();
    rig.topic("other", 9, 1);
    rig.beat("m1", None);
    assert_eq!(rig.group.epoch(), epoch);
}

#[test]
fn what_a_member_unsubscribes_from_goes_at_once() {
    let mut rig = rig();
    rig.settings.assignment_interval_ms = 10_000;
    rig.join("m1", &["a", "b"]);
    rig.advance(1_000);
    let request = ConsumerHeartbeat {
        subscribed_topics: Some(BTreeSet::from(["b".to_owned()])),
        owned: Some(partitions("a:0,1 b:0,1,2")),
        ..staying("m1", 2)
    };
    // No new target yet, and still it holds nothing of the topic any more.
    assert_eq!(
        rig.send(&request).unwrap().assignment,
        Some(partitions("b:0,1,2"))
    );
    assert_eq!(rig.group.state(), State::Assigning);
    rig.advance(10_000);
    assert_eq!(rig.beat("m1", Some("b:0,1,2")).member_epoch, 3);
    assert_eq!(rig.group.state(), State::Stable);
}

#[test]
fn members_that_come_together_share_a_target() {
    let mut rig = rig();
    rig.settings.assignment_interval_ms = 1_000;
    rig.join("m1", &["a"]);
    assert_eq!(rig.join("m2", &["a"]).member_epoch, 2, "of the last target");
    rig.advance(1_000);
    assert_eq!(rig.beat("m2", None).member_epoch, 3);
    // It is taken at its word that it holds nothing else.
    assert_eq!(rig.beat("m1", Some("a:0")).member_epoch, 3);
}

#[test]
fn who_joins_a_group_that_became_empty_does_not_wait() {
    let mut rig = rig();
    rig.settings.assignment_interval_ms = 1_000;
    rig.join("m1", &["a"]);
    rig.advance(300);
    rig.send(&staying("m1", LEAVING_EPOCH)).unwrap();
    assert_eq!((rig.group.epoch(), rig.group.assignment_epoch()), (3, 2));
    rig.assert_restart_finds_the_same();
    rig.advance(300);
    let joined = rig.join("m2", &["a"]);
    assert_eq!(
        (joined.member_epoch, joined.assignment),
        (4, Some(partitions("a:0,1")))
    );
}

#[test]
fn the_assignor_most_members_want_is_taken() {
    let mut rig = rig();
    let wants = |id: &str, assignor: &str| ConsumerHeartbeat {
        server_assignor: Some(assignor.into()),
        ..joining(id, &["a"])
    };
    let preferred = |rig: &Rig| rig.group.preferred_assignor(None, &rig.settings).name();
    assert_eq!(preferred(&rig), "uniform");
    rig.send(&wants("m1", "range")).unwrap();
    assert_eq!(preferred(&rig), "range");
    let epoch = rig.group.epoch();
    rig.send(&wants("m2", "uniform")).unwrap();
    rig.send(&wants("m3", "uniform")).unwrap();
    assert_eq!(preferred(&rig), "uniform");
    assert_eq!(rig.group.epoch(), epoch + 2);
}

#[test]
fn another_assignor_assigns_anew() {
    let mut rig = rig();
    let wants = |assignor: &str, epoch: i32| ConsumerHeartbeat {
        server_assignor: Some(assignor.into()),
        ..staying("m1", epoch)
    };
    rig.join("m1", &["a"]);
    // What was taken anyway changes nothing.
    assert_eq!(rig.send(&wants("uniform", 2)).unwrap().member_epoch, 2);
    assert_eq!(rig.send(&wants("range", 2)).unwrap().member_epoch, 3);
    assert_eq!(rig.group.assignment_epoch(), 3);
    // One among others does not decide alone.
    rig.send(&ConsumerHeartbeat {
        server_assignor: Some("range".into()),
        ..joining("m2", &["a"])
    })
    .unwrap();
    rig.beat("m1", Some("a:0"));
    let epoch = rig.group.epoch();
    rig.send(&wants("uniform", epoch)).unwrap();
    assert_eq!(rig.group.epoch(), epoch);
}

#[test]
fn a_regular_expression_follows_the_topics() {
    let mut rig = rig();
    let request = ConsumerHeartbeat {
        subscribed_topics: None,
        subscribed_regex: Some("[ab]".into()),
        ..joining("m1", &[])
    };
    // It is matched after the answer.
    assert_eq!(rig.send(&request).unwrap().assignment, Some(Assignment::new()));
    assert_eq!(rig.beat("m1", None).assignment, Some(partitions("a:0,1 b:0,1,2")));
    rig.assert_restart_finds_the_same();
    // Another topic that matches, seen when the last look is old enough.
    rig.image.topics.remove("b");
    rig.image.version += 1;
    rig.advance(10_000);
    rig.beat("m1", None);
    rig.advance(1);
    rig.beat("m1", None);
    assert!(rig.group.is_subscribed_to("a") && !rig.group.is_subscribed_to("b"));
    // Who is the last to want it takes it along.
    let names = ConsumerHeartbeat {
        subscribed_topics: Some(BTreeSet::from(["a".to_owned()])),
        subscribed_regex: Some(String::new()),
        ..staying("m1", rig.group.member("m1").unwrap().current.epoch)
    };
    rig.send(&names).unwrap();
    assert!(rig.group.regexes.is_empty());
    rig.assert_restart_finds_the_same();
}

#[test]
fn expressions_whose_topics_could_not_be_stored_are_matched_again() {
    let mut rig = rig();
    rig.send(&ConsumerHeartbeat {
        subscribed_topics: None,
        subscribed_regex: Some("[ac]".into()),
        ..joining("m1", &[])
    })
    .unwrap();
    rig.topic("c", 3, 1);
    rig.advance(10_001);
    // What came out is lost.
    let matched = regex::matched(rig.group.regexes_in_use(), &rig.image);
    let _lost = rig.group.resolved(matched, rig.world());
    rig.beat("m1", None);
    assert!(rig.group.is_subscribed_to("c"));
}

#[test]
fn commits_are_checked_against_the_epoch_of_the_partition() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    rig.join("m2", &["a"]);
    rig.beat("m1", Some("a:0,1"));
    rig.beat("m1", Some("a:0"));
    let check = |rig: &Rig, member: &str, epoch: i32, partition: i32| {
        let check = rig.group.validate_commit(member, epoch, 9)?;
        check.check(topic_id(1), partition)
    };
    assert_eq!(
        check(&rig, "m1", 3, 7),
        Ok(()),
        "whoever is current may commit anything"
    );
    assert_eq!(check(&rig, "m1", 2, 0), Ok(()), "it has had it since then");
    assert_eq!(check(&rig, "m1", 2, 1), Err(GroupError::StaleMemberEpoch));
    assert_eq!(check(&rig, "m1", 4, 0), Err(GroupError::StaleMemberEpoch));
    assert_eq!(check(&rig, "m9", 3, 0), Err(GroupError::UnknownMemberId));
    assert_eq!(check(&rig, "", -1, 0), Err(GroupError::UnknownMemberId));
    let old = rig.group.validate_commit("m1", 3, 8);
    assert_eq!(old.err(), Some(GroupError::UnsupportedVersion));
    assert_eq!(rig.group.validate_fetch(None, -1), Ok(()));
    assert_eq!(rig.group.validate_fetch(Some("m1"), 3), Ok(()));
    assert_eq!(
        rig.group.validate_fetch(Some("m1"), 2),
        Err(GroupError::StaleMemberEpoch)
    );
    assert_eq!(
        rig.group.validate_fetch(Some("m9"), 3),
        Err(GroupError::UnknownMemberId)
    );
    for member in ["m1", "m2"] {
        rig.send(&staying(member, LEAVING_EPOCH)).unwrap();
    }
    assert_eq!(check(&rig, "", -1, 0), Ok(()), "nobody is there to ask");
}

#[test]
fn a_member_that_gives_up_is_described_with_what_it_still_holds() {
    let mut rig = rig();
    rig.join("m1", &["a"]);
    rig.join("m2", &["a"]);
    rig.beat("m1", Some("a:0,1"));
    let described = rig.group.described(&rig.image, &rig.settings);
    assert_eq!(
        (
            described.state,
            described.group_epoch,
            described.assignment_epoch,
            described.assignor
        ),
        ("Reconciling", 3, 3, "uniform")
    );
    let first = &described.members[0];
    assert_eq!(
        (
            first.assignment[0].partitions.as_slice(),
            &*first.assignment[0].name
        ),
        (&[0, 1][..], "a")
    );
    assert_eq!(first.target[0].partitions, [0]);
    assert!(!first.uses_classic_protocol);
    assert_eq!(rig.group.overdue(rig.now), Vec::<(String, TimerKind)>::new());
}
