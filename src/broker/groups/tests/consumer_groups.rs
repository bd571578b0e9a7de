//! Consumer groups of the coordinator: members that change their protocol, and their sessions.

use jackfield_tasks::TaskGroup;

use super::*;
use crate::groups::{
    DescribedConsumerGroup, GroupConfigs, GroupsConfig, consumer::regex::matched, group::Group, shard::Shard,
};

fn of_instance(instance: &str, heartbeat: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        instance_id: Some(instance.into()),
        ..heartbeat
    }
}

impl Rig {
    /// Does what the timer task will do so many milliseconds from now.
    fn expire_consumers_after(&self, group: &str, ms: u64) {
        let groups = self.groups();
        let settings = groups.consumer_settings(group);
        let mut now = groups.now();
        now.monotonic_ms += ms;
        let mut shard = groups.lock(groups.shard_of(group));
        shard.expire_consumers(group, groups.world(&settings, now));
    }

    async fn described(&self, group: &str) -> DescribedConsumerGroup {
        self.groups().describe_consumer_group(group).await.unwrap()
    }

    async fn member_ids(&self, group: &str) -> Vec<String> {
        let members = self.described(group).await.members;
        members.into_iter().map(|member| member.member_id).collect()
    }

    fn is_classic(&self, group: &str) -> bool {
        let groups = self.groups();
        let shard = groups.lock(groups.shard_of(group));
        matches!(shard.groups[group].group, Group::Classic(_))
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_static_classic_member_that_comes_back_as_a_consumer() {
    let rig = rig().await;
    let request = JoinRequest {
        group_instance_id: Some("i".into()),
        ..join("g", "")
    };
    let joined = rig.groups().join(request).await.unwrap();
    let request = SyncRequest {
        group_instance_id: Some("i".into()),
        ..sync("g", &joined, b"")
    };
    rig.groups().sync(request).await.unwrap();
    assert!(rig.is_classic("g"));
    let heartbeat = of_instance("i", consumer_heartbeat("m", 0));
    rig.groups().consumer_heartbeat(heartbeat).await.unwrap();
    assert_eq!(rig.member_ids("g").await, ["m"]);
    // The session of the classic member would end now, that of the new one does not.
    let written = rig.records();
    rig.expire_consumers_after("g", 31_000);
    assert_eq!(
        (rig.member_ids("g").await, rig.records()),
        (vec!["m".to_owned()], written)
    );
    rig.expire_consumers_after("g", 46_000);
    assert!(rig.described("g").await.members.is_empty());
    let written = rig.records();
    rig.expire_consumers_after("g", 92_000);
    assert_eq!(rig.records(), written);
}

#[tokio::test]
async fn sessions_of_groups_that_are_loaded_are_as_long_as_the_group_says() {
    let rig = rig().await;
    rig.groups()
        .consumer_heartbeat(consumer_heartbeat("m", 0))
        .await
        .unwrap();
    let own = |group: &str, option: &str| match (group, option) {
        ("g", "consumer.session.timeout.ms") => 50_000,
        _ => 0,
    };
    let tasks = TaskGroup::new("test");
    let loaded = Groups::open(
        GroupsConfig::default(),
        GroupConfigs(Arc::new(own)),
        Arc::clone(rig.broker.topics()),
        Env::real(),
        &tasks,
    )
    .unwrap();
    let deadline = loaded.lock(loaded.shard_of("g")).next_deadline();
    let left_ms = deadline.expect("a session") - loaded.now().monotonic_ms;
    assert!((45_001..=50_000).contains(&left_ms), "{left_ms}");
    tasks.shutdown(DEADLINE).await;
}

#[tokio::test]
async fn a_classic_member_that_is_to_join_again_is_put_out_on_time() {
    let rig = rig().await;
    rig.groups()
        .consumer_heartbeat(consumer_heartbeat("m", 0))
        .await
        .unwrap();
    rig.clock.advance_ms(1_000);
    let request = JoinRequest {
        rebalance_timeout_ms: 1_000,
        ..join("g", "")
    };
    let joined = rig.groups().join(request).await.unwrap();
    rig.groups().sync(sync("g", &joined, b"")).await.unwrap();
    // It is to get what the other one gives up.
    let gives_up = ConsumerHeartbeat {
        owned: Some(BTreeMap::new()),
        ..consumer_heartbeat("m", 2)
    };
    rig.groups().consumer_heartbeat(gives_up).await.unwrap();
    let mut rebalances = rig.groups().watch_rebalances("g");
    let heartbeat = rig
        .groups()
        .heartbeat("g", &joined.member_id, None, joined.generation);
    assert_eq!(heartbeat, Err(GroupError::RebalanceInProgress));
    tokio::time::timeout(Duration::from_secs(15), rebalances.changed())
        .await
        .expect("long before its session of thirty seconds ends")
        .unwrap();
    assert_eq!(rig.member_ids("g").await, ["m"]);
}

#[tokio::test]
async fn members_whose_sessions_end_together_leave_together() {
    let rig = rig().await;
    for member in ["m1", "m2", "m3"] {
        let joined = rig.groups().consumer_heartbeat(consumer_heartbeat(member, 0));
        joined.await.unwrap();
    }
    let before = rig.described("g").await.group_epoch;
    // What cannot be written is tried again.
    let groups = rig.groups();
    let log = groups.lock(groups.shard_of("g")).log.take();
    rig.expire_consumers_after("g", 46_000);
    groups.lock(groups.shard_of("g")).log = log;
    assert_eq!(rig.member_ids("g").await.len(), 3);
    rig.expire_consumers_after("g", 46_500);
    assert_eq!(rig.member_ids("g").await.len(), 3);
    rig.expire_consumers_after("g", 47_500);
    let after = rig.described("g").await;
    assert_eq!((after.members.len(), after.group_epoch), (0, before + 1));
}

#[tokio::test]
async fn a_step_that_does_not_fit_into_a_batch_is_refused() {
    let rig = rig().await;
    let subscribed = |topics: usize| ConsumerHeartbeat {
        subscribed_topics: Some((0..topics).map(|topic| format!("{topic:0>200}")).collect()),
        ..consumer_heartbeat("m", 0)
    };
    let refused = rig.groups().consumer_heartbeat(subscribed(6_000)).await;
    assert_eq!(refused.unwrap_err().error, GroupError::UnknownServerError);
    assert!(!rig.has_group("g"));
    rig.groups().consumer_heartbeat(subscribed(5_000)).await.unwrap();
    // Several members are put out all the same when their records do not fit together.
    let long = |member: usize| format!("{member:0>30000}");
    for member in 0..40 {
        let joined = rig
            .groups()
            .consumer_heartbeat(consumer_heartbeat(&long(member), 0));
        joined.await.unwrap();
    }
    rig.expire_consumers_after("g", 46_000);
    assert!(rig.described("g").await.members.is_empty());
}

#[tokio::test]
async fn regular_expressions_are_matched_once_at_a_time_and_outside_the_step() {
    let rig = rig().await;
    let by_regex = ConsumerHeartbeat {
        subscribed_topics: None,
        subscribed_regex: Some("[tu]".into()),
        ..consumer_heartbeat("m", 0)
    };
    let groups = rig.groups();
    groups.ensure_offsets_topic().await.unwrap();
    let settings = groups.consumer_settings("g");
    let mut shard = groups.lock(groups.shard_of("g"));
    let world = groups.world(&settings, groups.now());
    let is_matched = |shard: &Shard| shard.consumer_group("g").unwrap().is_subscribed_to("t");
    shard.consumer_heartbeat(&by_regex, world).unwrap();
    let regexes = shard.regexes_to_match("g").expect("a new one");
    assert!(!is_matched(&shard) && regexes.contains("[tu]"));
    shard.consumer_heartbeat(&by_regex, world).unwrap();
    assert_eq!(shard.regexes_to_match("g"), None, "it is under way");
    shard.store_matched("g", matched(regexes, world.topics), world);
    assert!(is_matched(&shard));
    assert_eq!(shard.regexes_to_match("g"), None);
    // Nothing is matched for members that went away meanwhile.
    shard
        .consumer_heartbeat(&consumer_heartbeat("m", -1), world)
        .unwrap();
    let written = rig.records();
    shard.store_matched("g", matched(["t".to_owned()].into(), world.topics), world);
    assert_eq!((is_matched(&shard), rig.records()), (false, written));
}

#[tokio::test]
async fn a_heartbeat_with_a_new_regular_expression_sees_to_its_topics() {
    let rig = rig().await;
    let by_regex = ConsumerHeartbeat {
        subscribed_topics: None,
        subscribed_regex: Some("[tu]".into()),
        ..consumer_heartbeat("m", 0)
    };
    rig.groups().consumer_heartbeat(by_regex).await.unwrap();
    let shard = rig.groups().lock(rig.groups().shard_of("g"));
    assert!(shard.consumer_group("g").unwrap().is_subscribed_to("t"));
}
