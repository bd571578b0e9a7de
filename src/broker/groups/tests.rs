//! The coordinator over a real log in a temporary directory.

mod consumer_groups;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use jackfield_env::{
    Env, ManualClock, RealFiles,
    faulty::{Faults, FaultyFiles},
};
use jackfield_protocol::records::BatchHeader;

use super::{
    CommitRequest, ConsumerHeartbeat, GroupError, GroupPartition, Groups, JoinRequest, Joined, LeavingMember,
    OFFSETS_TOPIC, OffsetToCommit, Protocol, SyncRequest, consumer_protocol::Subscription,
};
use crate::{Broker, BrokerConfig};

const DEADLINE: Duration = Duration::from_secs(20);

struct Rig {
    broker: Broker,
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    dir: tempfile::TempDir,
}

async fn open(dir: &Path, clock: &Arc<ManualClock>, faults: &Arc<Faults>) -> Broker {
    let properties = [
        ("log.dirs", dir.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("offsets.topic.num.partitions", "3"),
    ];
    let properties: BTreeMap<String, String> = properties
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let files = Arc::new(FaultyFiles::new(Arc::new(RealFiles), Arc::clone(faults)));
    let env = Env {
        files,
        clock: Arc::clone(clock) as _,
        ..Env::real()
    };
    Broker::open(BrokerConfig::parse(&properties).unwrap(), env)
        .await
        .unwrap()
}

async fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let faults = Arc::new(Faults::default());
    let broker = open(dir.path(), &clock, &faults).await;
    broker
        .topics()
        .create("t", Some(2), &BTreeMap::new())
        .await
        .unwrap();
    Rig {
        broker,
        clock,
        faults,
        dir,
    }
}

impl Rig {
    fn groups(&self) -> &Groups {
        self.broker.groups()
    }

    async fn reopen(self) -> Self {
        self.reopen_after(|_| {}).await
    }

    /// Something happens to the directory while the broker is down.
    async fn reopen_after(self, happens: impl FnOnce(&Path)) -> Self {
        let Self {
            broker,
            clock,
            faults,
            dir,
        } = self;
        broker.shutdown(DEADLINE).await;
        drop(broker);
        happens(dir.path());
        let broker = open(dir.path(), &clock, &faults).await;
        Self {
            broker,
            clock,
            faults,
            dir,
        }
    }

    async fn commit(&self, group: &str, partition: i32, offset: i64) -> Result<(), GroupError> {
        self.groups()
            .commit(commit(group, partition, offset))
            .await
            .and_then(|results| results[0])
    }

    async fn committed(&self, group: &str) -> Vec<(i32, i64, String)> {
        let all = self.groups().fetch(group, None).await.unwrap();
        all.into_iter()
            .map(|offset| (offset.partition.partition, offset.offset, offset.metadata))
            .collect()
    }

    fn parked(&self) -> usize {
        (0..self.groups().shard_count())
            .map(|index| self.groups().lock(index).parked())
            .sum()
    }

    fn has_group(&self, group: &str) -> bool {
        (0..self.groups().shard_count()).any(|index| self.groups().lock(index).groups.contains_key(group))
    }

    fn records(&self) -> i64 {
        self.broker
            .topics()
            .get(OFFSETS_TOPIC)
            .unwrap()
            .partitions
            .iter()
            .map(|log| log.log_end_offset())
            .sum()
    }

    async fn join(&self, group: &str) -> Joined {
        tokio::time::timeout(DEADLINE, self.groups().join(join(group, "")))
            .await
            .expect("an answer")
            .unwrap()
    }

    /// The only member, Stable.
    async fn stable(&self, group: &str) -> Joined {
        let joined = self.join(group).await;
        let synced = self.groups().sync(sync(group, &joined, b"all")).await.unwrap();
        assert_eq!(synced.assignment, "all");
        joined
    }
}

fn partition(partition: i32) -> GroupPartition {
    GroupPartition {
        topic: "t".into(),
        partition,
    }
}

fn commit(group: &str, index: i32, offset: i64) -> CommitRequest {
    CommitRequest {
        group_id: group.into(),
        generation: -1,
        offsets: vec![OffsetToCommit {
            partition: partition(index),
            offset,
            leader_epoch: -1,
            metadata: format!("at {offset}"),
        }],
        ..CommitRequest::default()
    }
}

fn join(group: &str, member_id: &str) -> JoinRequest {
    let subscription = Subscription {
        topics: vec!["t".into()],
        ..Subscription::default()
    };
    JoinRequest {
        group_id: group.into(),
        member_id: member_id.into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: subscription.encode(),
        }],
        require_known_member_id: false,
        supports_skip_assignment: true,
        // Ended by the timer task.
        initial_rebalance_delay_ms: Some(5),
    }
}

fn sync(group: &str, joined: &Joined, assignment: &'static [u8]) -> SyncRequest {
    SyncRequest {
        group_id: group.into(),
        member_id: joined.member_id.clone(),
        group_instance_id: None,
        generation: joined.generation,
        protocol_type: joined.protocol_type.clone(),
        protocol_name: joined.protocol_name.clone(),
        assignments: vec![(joined.member_id.clone(), Bytes::from_static(assignment))],
    }
}

fn leaving(member_id: &str) -> LeavingMember {
    LeavingMember {
        member_id: member_id.into(),
        group_instance_id: None,
    }
}

#[tokio::test]
async fn the_offsets_topic_is_made_when_it_is_needed() {
    let rig = rig().await;
    assert_eq!(rig.committed("g").await, []);
    assert!(rig.broker.topics().get(OFFSETS_TOPIC).is_none());
    let (one, two) = tokio::join!(rig.commit("g", 0, 1), rig.commit("h", 0, 2));
    assert_eq!((one, two), (Ok(()), Ok(())));
    let topic = rig.broker.topics().get(OFFSETS_TOPIC).unwrap();
    assert_eq!(
        (topic.partitions.len(), topic.configs["cleanup.policy"].as_str()),
        (3, "compact")
    );
    assert!(topic.internal);
}

#[tokio::test]
async fn offsets_come_back_with_the_broker() {
    let rig = rig().await;
    for (group, index, offset) in [("g", 0, 5), ("g", 1, 7), ("h", 0, 9), ("g", 0, 6)] {
        rig.commit(group, index, offset).await.unwrap();
    }
    let expected = [(0, 6, "at 6".to_owned()), (1, 7, "at 7".to_owned())];
    assert_eq!(rig.committed("g").await, expected);
    let rig = rig.reopen().await;
    assert_eq!(rig.committed("g").await, expected);
    assert_eq!(rig.committed("h").await.len(), 1);
    let some = rig
        .groups()
        .fetch("g", Some(&[partition(1), partition(5)]))
        .await
        .unwrap();
    assert_eq!(
        some.iter().map(|offset| offset.offset).collect::<Vec<_>>(),
        [7, -1]
    );
}

/// Destroys a byte of the middle one of three batches of the offsets topic.
fn damage(dir: &Path, at: impl FnOnce(usize) -> usize, without_index: bool) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_str().unwrap().starts_with(OFFSETS_TOPIC) {
            continue;
        }
        let segment = entry.path().join("00000000000000000000.log");
        let mut data = std::fs::read(&segment).unwrap();
        if data.is_empty() {
            continue;
        }
        let size = |data: &[u8]| BatchHeader::parse(data).unwrap().size_bytes();
        let first = size(&data);
        let middle = size(&data[first..]);
        assert_eq!(first + middle + size(&data[first + middle..]), data.len());
        data[first + at(middle)] ^= 0x55;
        std::fs::write(&segment, data).unwrap();
        if without_index {
            std::fs::remove_file(segment.with_extension("index")).unwrap();
        }
        return;
    }
    panic!("nothing to damage");
}

#[tokio::test]
async fn damage_costs_what_it_hits_and_not_the_start() {
    let magic = |_size: usize| 16;
    let last_byte = |size: usize| size - 1;
    for (at, without_index) in [
        (magic as fn(usize) -> usize, false),
        (last_byte, false),
        (magic, true),
        (last_byte, true),
    ] {
        let rig = rig().await;
        for (index, offset) in [(0, 5), (1, 7), (0, 6)] {
            rig.commit("g", index, offset).await.unwrap();
        }
        let rig = rig.reopen_after(|dir| damage(dir, at, without_index)).await;
        assert_eq!(rig.committed("g").await, [(0, 6, "at 6".to_owned())]);
        // It goes on behind the damage.
        rig.commit("g", 1, 8).await.unwrap();
        let rig = rig.reopen().await;
        let expected = [(0, 6, "at 6".to_owned()), (1, 8, "at 8".to_owned())];
        assert_eq!(rig.committed("g").await, expected);
    }
}

#[tokio::test]
async fn a_group_comes_back_with_its_members_and_generation() {
    let rig = rig().await;
    let joined = rig.stable("g").await;
    let by_member = CommitRequest {
        member_id: joined.member_id.clone(),
        generation: joined.generation,
        ..commit("g", 0, 3)
    };
    rig.groups().commit(by_member.clone()).await.unwrap();
    let rig = rig.reopen().await;
    assert_eq!(
        rig.groups()
            .heartbeat("g", &joined.member_id, None, joined.generation),
        Ok(())
    );
    assert_eq!(
        rig.groups()
            .sync(sync("g", &joined, b""))
            .await
            .unwrap()
            .assignment,
        "all"
    );
    rig.groups().commit(by_member).await.unwrap();
    assert_eq!(rig.commit("g", 0, 4).await, Err(GroupError::UnknownMemberId));
    assert_eq!(
        rig.groups().leave("g", &[leaving(&joined.member_id)]).await,
        Ok(vec![Ok(())])
    );
    let rig = rig.reopen().await;
    assert_eq!(rig.commit("g", 0, 4).await, Ok(()));
}

#[tokio::test]
async fn what_is_not_durable_is_not_answered_with_success() {
    let rig = rig().await;
    rig.commit("g", 0, 1).await.unwrap();
    rig.faults.fail_sync(true);
    assert_eq!(rig.commit("g", 0, 2).await, Err(GroupError::NotCoordinator));
    let refused = rig.groups().join(join("new", "")).await.unwrap_err();
    assert_eq!(refused.error, GroupError::NotCoordinator);
    // The uncommitted value is not shown either.
    assert_eq!(
        rig.groups().fetch("g", None).await,
        Err(GroupError::NotCoordinator)
    );
}

#[tokio::test]
async fn parked_requests_do_not_outlive_who_waits_for_them() {
    let rig = rig().await;
    let joined = rig.stable("g").await;
    let second = rig.groups().join(join("g", ""));
    assert!(
        tokio::time::timeout(Duration::from_millis(5), second)
            .await
            .is_err()
    );
    assert_eq!(rig.parked(), 0);
    // The group itself goes on: its member rejoins, and the one that went away times out as in Kafka.
    let rejoin = rig.groups().join(join("g", &joined.member_id)).await.unwrap();
    assert_eq!((rejoin.generation, rejoin.members.len()), (2, 2));
    assert_eq!(rig.parked(), 0);
}

#[tokio::test]
async fn closing_answers_what_is_parked() {
    let rig = rig().await;
    rig.stable("g").await;
    let groups = rig.groups().clone();
    let parked = rig.groups().join(join("g", ""));
    let close = async {
        while rig.parked() == 0 {
            tokio::task::yield_now().await;
        }
        groups.close();
    };
    let (answer, ()) = tokio::join!(parked, close);
    assert_eq!(answer.unwrap_err().error, GroupError::CoordinatorNotAvailable);
    assert_eq!(
        rig.commit("g", 0, 1).await,
        Err(GroupError::CoordinatorNotAvailable)
    );
}

#[tokio::test]
async fn requests_are_checked_before_the_group_is_asked() {
    let rig = rig().await;
    let session = |timeout| JoinRequest {
        session_timeout_ms: timeout,
        ..join("g", "")
    };
    let long_named = JoinRequest {
        client_id: "c".repeat(32_767 - 36),
        ..join("g", "")
    };
    for (request, error) in [
        (join("", ""), GroupError::InvalidGroupId),
        (long_named, GroupError::UnknownServerError),
        (session(5_999), GroupError::InvalidSessionTimeout),
        (session(1_800_001), GroupError::InvalidSessionTimeout),
        (join("g", "stranger"), GroupError::UnknownMemberId),
    ] {
        assert_eq!(rig.groups().join(request).await.unwrap_err().error, error);
    }
    assert!(!rig.has_group("g"));
    assert_eq!(
        rig.groups().heartbeat("g", "m", None, 1),
        Err(GroupError::UnknownMemberId)
    );
    let leave = rig.groups().leave("g", &[leaving("m")]).await;
    assert_eq!(leave, Ok(vec![Err(GroupError::UnknownMemberId)]));
    let with_generation = CommitRequest {
        generation: 3,
        ..commit("g", 0, 1)
    };
    assert_eq!(
        rig.groups().commit(with_generation).await,
        Err(GroupError::GroupIdNotFound)
    );
    let mut several = commit("g", 0, 1);
    several.offsets.push(OffsetToCommit {
        partition: partition(2),
        ..several.offsets[0].clone()
    });
    several.offsets.push(OffsetToCommit {
        metadata: "ä".repeat(4_097),
        ..several.offsets[0].clone()
    });
    several.offsets.push(OffsetToCommit {
        metadata: "ä".repeat(4_096),
        ..several.offsets[0].clone()
    });
    let expected = [
        Ok(()),
        Err(GroupError::UnknownTopicOrPartition),
        Err(GroupError::OffsetMetadataTooLarge),
        Ok(()),
    ];
    assert_eq!(rig.groups().commit(several).await.unwrap(), expected);
}

#[tokio::test]
async fn the_first_join_makes_the_group_durable() {
    let rig = rig().await;
    let request = JoinRequest {
        require_known_member_id: true,
        ..join("g", "")
    };
    let refused = rig.groups().join(request.clone()).await.unwrap_err();
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert_eq!(rig.records(), 1);
    let joined = rig
        .groups()
        .join(JoinRequest {
            member_id: refused.member_id,
            ..request
        })
        .await
        .unwrap();
    assert_eq!(rig.records(), 1);
    rig.groups().sync(sync("g", &joined, b"")).await.unwrap();
    assert_eq!(rig.records(), 2);
    rig.groups()
        .leave("g", &[leaving(&joined.member_id)])
        .await
        .unwrap();
    assert_eq!(rig.records(), 3);
}

#[tokio::test]
async fn offsets_expire_with_their_group_and_leave_tombstones() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let rig = rig().await;
    rig.commit("simple", 0, 1).await.unwrap();
    let joined = rig.stable("classic").await;
    let by_member = CommitRequest {
        member_id: joined.member_id.clone(),
        generation: joined.generation,
        ..commit("classic", 0, 3)
    };
    rig.groups().commit(by_member).await.unwrap();
    rig.clock.advance_ms(4 * DAY_MS);
    rig.commit("simple", 1, 2).await.unwrap();
    rig.clock.advance_ms(4 * DAY_MS);
    rig.groups().expire();
    // Simple: by the time of each commit. Subscribed: not at all.
    assert_eq!(rig.committed("simple").await, [(1, 2, "at 2".to_owned())]);
    assert_eq!(rig.committed("classic").await.len(), 1);
    // Empty: from the time it became so.
    rig.groups()
        .leave("classic", &[leaving(&joined.member_id)])
        .await
        .unwrap();
    rig.clock.advance_ms(6 * DAY_MS);
    rig.groups().expire();
    assert_eq!(rig.committed("classic").await.len(), 1);
    assert!(!rig.has_group("simple"));
    rig.clock.advance_ms(DAY_MS);
    rig.groups().expire();
    assert!(!rig.has_group("classic"));
    let rig = rig.reopen().await;
    assert!(!rig.has_group("classic") && !rig.has_group("simple"));
}

#[tokio::test]
async fn a_retention_of_the_clients_own_is_kept() {
    let rig = rig().await;
    let short = CommitRequest {
        retention_time_ms: Some(1_000),
        ..commit("g", 0, 1)
    };
    rig.groups().commit(short).await.unwrap();
    let rig = rig.reopen().await;
    rig.clock.advance_ms(999);
    rig.groups().expire();
    assert_eq!(rig.committed("g").await.len(), 1);
    rig.clock.advance_ms(1);
    rig.groups().expire();
    assert_eq!(rig.committed("g").await, []);
}

#[tokio::test]
async fn offsets_of_deleted_topics_and_deleted_offsets_stay_away() {
    let rig = rig().await;
    rig.broker
        .topics()
        .create("u", Some(1), &BTreeMap::new())
        .await
        .unwrap();
    let of_u = OffsetToCommit {
        partition: GroupPartition {
            topic: "u".into(),
            partition: 0,
        },
        ..commit("g", 0, 1).offsets[0].clone()
    };
    let both = CommitRequest {
        offsets: vec![commit("g", 0, 1).offsets[0].clone(), of_u],
        ..commit("g", 0, 1)
    };
    rig.groups().commit(both).await.unwrap();
    rig.groups().topic_deleted("u");
    let rig = rig.reopen().await;
    assert_eq!(rig.committed("g").await.len(), 1);
    let deleted = rig
        .groups()
        .delete_offsets("g", &[partition(0), partition(1)])
        .await;
    assert_eq!(deleted, Ok(vec![Ok(()), Ok(())]));
    assert_eq!(
        rig.groups().delete_offsets("h", &[]).await,
        Err(GroupError::GroupIdNotFound)
    );
    let rig = rig.reopen().await;
    assert_eq!(rig.committed("g").await, []);
    // A member's topic is protected.
    rig.stable("m").await;
    let refused = rig.groups().delete_offsets("m", &[partition(0)]).await;
    assert_eq!(refused, Ok(vec![Err(GroupError::GroupSubscribedToTopic)]));
}

#[tokio::test]
async fn only_groups_without_members_are_deleted() {
    let rig = rig().await;
    rig.commit("g", 0, 1).await.unwrap();
    let joined = rig.stable("m").await;
    assert_eq!(
        rig.groups().delete_group("m").await,
        Err(GroupError::NonEmptyGroup)
    );
    assert_eq!(
        rig.groups().delete_group("x").await,
        Err(GroupError::GroupIdNotFound)
    );
    rig.groups()
        .leave("m", &[leaving(&joined.member_id)])
        .await
        .unwrap();
    assert_eq!(rig.groups().delete_group("m").await, Ok(()));
    assert_eq!(rig.groups().delete_group("g").await, Ok(()));
    let rig = rig.reopen().await;
    assert!(!rig.has_group("g") && !rig.has_group("m"));
}

#[tokio::test]
async fn members_in_this_process_hear_of_a_rebalance_at_once() {
    let rig = rig().await;
    let joined = rig.stable("g").await;
    let mut rebalances = rig.groups().watch_rebalances("g");
    let newcomer = rig.groups().join(join("g", ""));
    let notice = async {
        rebalances.changed().await.unwrap();
        let heartbeat = rig
            .groups()
            .heartbeat("g", &joined.member_id, None, joined.generation);
        assert_eq!(heartbeat, Err(GroupError::RebalanceInProgress));
        rig.groups().join(join("g", &joined.member_id)).await.unwrap()
    };
    let (newcomer, member) = tokio::time::timeout(DEADLINE, async { tokio::join!(newcomer, notice) })
        .await
        .unwrap();
    assert_eq!((newcomer.unwrap().generation, member.generation), (2, 2));
}

fn consumer_heartbeat(member: &str, epoch: i32) -> ConsumerHeartbeat {
    let joins = epoch == 0;
    ConsumerHeartbeat {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: epoch,
        rebalance_timeout_ms: joins.then_some(60_000),
        subscribed_topics: joins.then(|| ["t".to_owned()].into()),
        owned: joins.then(BTreeMap::new),
        client_host: "/127.0.0.1".into(),
        has_own_id: true,
        ..ConsumerHeartbeat::default()
    }
}

#[tokio::test]
async fn a_heartbeat_that_cannot_be_written_changes_nothing() {
    let rig = rig().await;
    rig.groups().ensure_offsets_topic().await.unwrap();
    rig.faults.fail_writes(true);
    assert!(
        rig.groups()
            .consumer_heartbeat(consumer_heartbeat("m", 0))
            .await
            .is_err()
    );
    let found = rig.groups().describe_consumer_group("g").await;
    assert_eq!(found.unwrap_err().error, GroupError::GroupIdNotFound);
}

#[tokio::test]
async fn offsets_of_a_consumer_group_age_when_nobody_is_subscribed_and_the_group_goes_with_them() {
    let rig = rig().await;
    rig.groups()
        .consumer_heartbeat(consumer_heartbeat("m", 0))
        .await
        .unwrap();
    let of_member = CommitRequest {
        member_id: "m".into(),
        generation: 2,
        version: 9,
        ..commit("g", 0, 7)
    };
    assert_eq!(rig.groups().commit(of_member).await, Ok(vec![Ok(())]));
    rig.clock.advance_ms(8 * 24 * 60 * 60 * 1_000);
    rig.groups().expire();
    assert_eq!(rig.committed("g").await.len(), 1);
    rig.groups()
        .consumer_heartbeat(consumer_heartbeat("m", -1))
        .await
        .unwrap();
    rig.groups().expire();
    assert!(!rig.has_group("g"));
    let rig = rig.reopen().await;
    assert!(!rig.has_group("g"));
}
