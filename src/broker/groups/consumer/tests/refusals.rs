//! What heartbeats are refused for, and in which words.

use super::*;

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn invalid_heartbeats_are_refused() {
    let invalid = Some(GroupError::InvalidRequest);
    let join = || joining("m1", &["a"]);
    let mut rig = rig();
    for (request, expected) in [
        (
            ConsumerHeartbeat {
                member_id: String::new(),
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                group_id: " ".into(),
                ..join()
            },
            invalid,
        ),
        (of_instance("", join()), invalid),
        (
            ConsumerHeartbeat {
                rack_id: Some(String::new()),
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                rebalance_timeout_ms: None,
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                owned: None,
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                owned: Some(partitions("a:0")),
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                subscribed_topics: None,
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                member_epoch: -2,
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                member_epoch: -3,
                ..join()
            },
            invalid,
        ),
        (
            ConsumerHeartbeat {
                server_assignor: Some("sticky".into()),
                ..join()
            },
            Some(GroupError::UnsupportedAssignor),
        ),
        (
            ConsumerHeartbeat {
                subscribed_regex: Some("(".into()),
                ..join()
            },
            Some(GroupError::InvalidRegularExpression),
        ),
        (
            ConsumerHeartbeat {
                server_assignor: Some("range".into()),
                ..join()
            },
            None,
        ),
    ] {
        assert_eq!(rig.send(&request).err(), expected, "{request:?}");
    }
    rig.settings.max_size = 1;
    assert_eq!(
        rig.send(&joining("m2", &["a"])).err(),
        Some(GroupError::GroupMaxSizeReached)
    );
    assert_eq!(rig.send(&join()).err(), None);
}

/// Clients show them to people who search for them.
#[test]
fn refusals_are_in_kafkas_words() {
    let mut rig = rig();
    rig.settings.max_size = 1;
    let static_join = |id: &str| of_instance("i1", joining(id, &["a"]));
    rig.send(&static_join("m1")).unwrap();
    let unsubscribed = ConsumerHeartbeat {
        subscribed_topics: None,
        ..joining("m1", &[])
    };
    let sticky = ConsumerHeartbeat {
        server_assignor: Some("sticky".into()),
        ..joining("m1", &["a"])
    };
    for (request, expected) in [
        (
            unsubscribed,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (
            sticky,
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range.",
        ),
        (
            joining("m2", &["a"]),
            "The consumer group has reached its maximum capacity of 1 members.",
        ),
        (
            static_join("m2"),
            "Static member m2 with instance id i1 cannot join the group because the instance id is owned by m1 member.",
        ),
        (
            of_instance("i1", staying("m2", 2)),
            "Static member m2 with instance id i1 was fenced by member m1.",
        ),
        (
            of_instance("i1", staying("m1", 3)),
            "The consumer group member has a greater member epoch (3) than the one known by the group coordinator (2). \
             The member must abandon all its partitions and rejoin.",
        ),
    ] {
        let checked = request.validate(&rig.settings);
        let refusal = checked.and_then(|()| rig.group.heartbeat(&request, rig.world()).map(|_| ()));
        assert_eq!(refusal.unwrap_err().message, expected);
    }
}
