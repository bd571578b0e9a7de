//! The port over a real broker core in a temporary directory.

use std::{
    collections::BTreeMap,
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt as _;
use jackfield_broker::{
    Broker, BrokerConfig,
    groups::{GroupPartition, LeavingMember},
};
use jackfield_env::{
    Env, RealFiles,
    faulty::{Faults, FaultyFiles},
};

use tokio::sync::{oneshot, watch};

use super::{
    EmbeddedCluster,
    membership::{Held, Membership, Standing},
    subscription::Selection,
};
use crate::{
    Cluster, CommittedOffset, Compression, FetchedRecords, GroupConsumer, GroupEvent, GroupSubscription,
    NewTopic, PartitionRecords, RecordBatchBuilder, SourceOffset, TopicPartition, TopicSelection, records,
    split_batches,
};

const DEADLINE: Duration = Duration::from_secs(20);
const BYTES_MAX: usize = 1024 * 1024;

async fn open(dir: &Path, env: Env) -> Broker {
    let properties = [
        ("log.dirs", dir.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("offsets.topic.num.partitions", "2"),
    ];
    let properties: BTreeMap<String, String> = properties
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Broker::open(BrokerConfig::parse(&properties).unwrap(), env)
        .await
        .unwrap()
}

struct Rig {
    broker: Broker,
    cluster: EmbeddedCluster,
    faults: Arc<Faults>,
    dir: tempfile::TempDir,
}

async fn rig(topics: &[(&str, i32)]) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let files = Arc::new(FaultyFiles::new(Arc::new(RealFiles), Arc::clone(&faults)));
    let broker = open(dir.path(), Env { files, ..Env::real() }).await;
    let cluster = EmbeddedCluster::new(broker.clone());
    for (name, partitions) in topics {
        create(&cluster, name, *partitions).await;
    }
    Rig {
        broker,
        cluster,
        faults,
        dir,
    }
}

async fn create(cluster: &EmbeddedCluster, name: &str, partitions: i32) {
    let topic = NewTopic {
        name: name.into(),
        partitions: Some(partitions),
        configs: BTreeMap::new(),
    };
    assert_eq!(cluster.create_topic(&topic).await.unwrap().partitions, partitions);
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

fn batch(topic: &str, index: i32, values: &[&str]) -> PartitionRecords {
    let mut builder = RecordBatchBuilder::new(Compression::None);
    for value in values {
        builder.push(Env::real().clock.now_ms(), None, Some(value.as_bytes()), &[]);
    }
    PartitionRecords {
        partition: partition(topic, index),
        batch: builder.finish(),
    }
}

fn offset(key: &str, value: &str) -> SourceOffset {
    SourceOffset {
        partition: partition("offsets", 0),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn subscription(group: &str, client: &str, topics: TopicSelection) -> GroupSubscription {
    GroupSubscription {
        group_id: group.into(),
        client_id: client.into(),
        topics,
        max_bytes: BYTES_MAX,
        session_timeout: Duration::from_secs(10),
    }
}

fn names(topics: &[&str]) -> TopicSelection {
    TopicSelection::Names(topics.iter().map(|topic| (*topic).to_owned()).collect())
}

impl Rig {
    async fn consumer(&self, group: &str, topics: &[&str]) -> Box<dyn GroupConsumer> {
        static TASKS: AtomicUsize = AtomicUsize::new(0);
        let client = format!("connector-consumer-x-{}", TASKS.fetch_add(1, Ordering::Relaxed));
        self.task(group, &client, topics).await
    }

    async fn task(&self, group: &str, client: &str, topics: &[&str]) -> Box<dyn GroupConsumer> {
        let subscription = subscription(group, client, names(topics));
        self.cluster.join_group(subscription).await.unwrap()
    }

    async fn append(&self, records: PartitionRecords) -> Vec<i64> {
        self.cluster.append(vec![records]).await.unwrap().await.unwrap()
    }

    fn end(&self, topic: &str) -> i64 {
        self.broker.topics().partition(topic, 0).unwrap().log_end_offset()
    }

    /// Keys and values of a topic.
    async fn stored(&self, topic: &str) -> Vec<(String, String)> {
        let text = |bytes: Option<Bytes>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let all = self.cluster.read_to_end(topic).await.unwrap();
        all.into_iter()
            .map(|(_, record)| (text(record.key), text(record.value)))
            .collect()
    }
}

/// The first event that `wanted` makes something of.
async fn event<T>(consumer: &mut dyn GroupConsumer, wanted: impl Fn(GroupEvent) -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(found) = wanted(consumer.poll(Duration::from_secs(1)).await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, seen)
        .await
        .expect("the event within the deadline")
}

async fn assigned(consumer: &mut dyn GroupConsumer) -> Vec<CommittedOffset> {
    let is_assigned = |event| {
        if let GroupEvent::Assigned(partitions) = event {
            Some(partitions)
        } else {
            None
        }
    };
    event(consumer, is_assigned).await
}

async fn fetched(consumer: &mut dyn GroupConsumer) -> Vec<FetchedRecords> {
    event(consumer, |event| {
        if let GroupEvent::Records(records) = event {
            Some(records)
        } else {
            None
        }
    })
    .await
}

fn values(fetched: &[FetchedRecords]) -> Vec<String> {
    let mut values = Vec::new();
    for part in fetched {
        for batch in split_batches(part.batches.clone()) {
            for record in records(&batch, BYTES_MAX).unwrap() {
                let record = record.unwrap();
                if record.offset >= part.from_offset {
                    values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                }
            }
        }
    }
    values
}

fn held(consumers: &[&dyn GroupConsumer]) -> Vec<TopicPartition> {
    let mut all: Vec<_> = consumers
        .iter()
        .flat_map(|consumer| consumer.assignment())
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn two_members_split_three_partitions_and_one_inherits_all() {
    let rig = rig(&[("t", 3)]).await;
    let all: Vec<_> = (0..3).map(|index| partition("t", index)).collect();
    let mut first = rig.consumer("g", &["t"]).await;
    assert_eq!(assigned(&mut *first).await.len(), 3);
    let mut second = rig.consumer("g", &["t"]).await;
    let revoked = event(&mut *first, |event| match event {
        GroupEvent::Revoked(partitions) => Some(partitions),
        _ => None,
    });
    assert_eq!(revoked.await, all);
    tokio::join!(assigned(&mut *first), assigned(&mut *second));
    assert_eq!(held(&[&*first, &*second]), all);
    assert!(!first.assignment().is_empty() && !second.assignment().is_empty());
    first.leave().await.unwrap();
    assert_eq!(assigned(&mut *second).await.len(), 3);
    assert_eq!(held(&[&*second]), all);
}

#[tokio::test]
async fn a_dropped_consumer_leaves_its_partitions_to_the_others() {
    let rig = rig(&[("t", 2)]).await;
    let mut first = rig.consumer("g", &["t"]).await;
    assigned(&mut *first).await;
    let mut second = rig.consumer("g", &["t"]).await;
    tokio::join!(assigned(&mut *first), assigned(&mut *second));
    drop(first);
    assert_eq!(assigned(&mut *second).await.len(), 2);
}

/// A task that was killed or given up does not answer any more, and its session would last a while.
#[tokio::test]
async fn a_task_does_not_wait_for_its_predecessor() {
    let rig = rig(&[("t", 2)]).await;
    let mut first = rig.task("g", "connector-consumer-x-0", &["t"]).await;
    assert_eq!(assigned(&mut *first).await.len(), 2);
    let mut second = rig.task("g", "connector-consumer-x-0", &["t"]).await;
    assert_eq!(assigned(&mut *second).await.len(), 2);
    event(&mut *first, |event| {
        matches!(event, GroupEvent::Lost(_)).then_some(())
    })
    .await;
}

/// The two ends of a consumer that is dropped do not go at the same moment.
#[tokio::test]
async fn a_membership_that_is_lost_ends_with_its_consumer() {
    let rig = rig(&[("t", 1)]).await;
    let (given_up, orders) = watch::channel(0);
    let (standing, mut seen) = watch::channel(Standing {
        round: 0,
        held: Held::Joining,
    });
    let (leave, leaving) = oneshot::channel();
    let membership = Membership {
        broker: rig.broker.clone(),
        group_id: "g".to_owned(),
        client_id: "c".to_owned(),
        session_timeout: Duration::from_secs(10),
        selection: Selection::parse(&names(&["t"])).unwrap(),
        standing,
        given_up: orders,
        member_id: String::new(),
    };
    let mut running = pin!(membership.run(leaving));
    let generation = tokio::select! {
        () = &mut running => panic!("not told to end"),
        generation = async {
            let assigned = seen.wait_for(|standing| matches!(standing.held, Held::Assigned(_))).await;
            match &assigned.unwrap().held {
                Held::Assigned(generation) => Arc::clone(generation),
                other => panic!("{other:?}"),
            }
        } => generation,
    };
    let member = LeavingMember {
        member_id: generation.member_id.clone(),
        group_instance_id: None,
    };
    rig.broker.groups().leave("g", &[member]).await.unwrap();
    tokio::select! {
        () = &mut running => panic!("not told to end"),
        lost = seen.wait_for(|standing| matches!(standing.held, Held::Lost)) => drop(lost.unwrap()),
    }
    drop(given_up);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut running).await;
    assert!(early.is_err(), "the order to leave is yet to come");
    drop(leave);
    tokio::time::timeout(DEADLINE, running).await.unwrap();
}

#[tokio::test]
async fn a_member_that_leaves_while_joining_is_gone() {
    let rig = rig(&[("t", 1)]).await;
    let first = rig.consumer("g", &["t"]).await;
    first.leave().await.unwrap();
    let mut second = rig.consumer("g", &["t"]).await;
    assert_eq!(assigned(&mut *second).await.len(), 1);
}

#[tokio::test]
async fn a_commit_with_metadata_survives_the_broker() {
    let rig = rig(&[("t", 1)]).await;
    for values in [["a", "b"], ["c", "d"]] {
        rig.append(batch("t", 0, &values)).await;
    }
    let mut consumer = rig.consumer("g", &["t"]).await;
    let expected = CommittedOffset {
        partition: partition("t", 0),
        offset: None,
        metadata: String::new(),
    };
    assert_eq!(assigned(&mut *consumer).await, [expected]);
    assert_eq!(values(&fetched(&mut *consumer).await), ["a", "b", "c", "d"]);
    let committed = CommittedOffset {
        partition: partition("t", 0),
        offset: Some(3),
        metadata: "position 12".into(),
    };
    consumer.commit(vec![committed.clone()]).await.unwrap();
    consumer.leave().await.unwrap();
    rig.broker.shutdown(DEADLINE).await;
    let Rig {
        dir, broker, cluster, ..
    } = rig;
    drop((broker, cluster));
    let cluster = EmbeddedCluster::new(open(dir.path(), Env::real()).await);
    let mut consumer = cluster
        .join_group(subscription("g", "c", names(&["t"])))
        .await
        .unwrap();
    assert_eq!(assigned(&mut *consumer).await, std::slice::from_ref(&committed));
    let group = cluster
        .join_group(subscription("g", "d", names(&["other"])))
        .await
        .unwrap();
    assert_eq!(
        group.committed().await.unwrap(),
        [committed],
        "also to who does not hold the partition"
    );
    group.leave().await.unwrap();
    // Within a batch the reader skips what was delivered.
    assert_eq!(values(&fetched(&mut *consumer).await), ["d"]);
}

#[tokio::test]
async fn commits_are_refused_to_those_who_hold_nothing() {
    let rig = rig(&[("t", 1)]).await;
    let mut consumer = rig.consumer("g", &["t"]).await;
    let mine = CommittedOffset {
        partition: partition("t", 0),
        offset: Some(1),
        metadata: String::new(),
    };
    assert_eq!(consumer.commit(vec![mine.clone()]).await.unwrap_err().code, 25);
    assigned(&mut *consumer).await;
    let missing = CommittedOffset {
        partition: partition("t", 7),
        ..mine.clone()
    };
    assert_eq!(consumer.commit(vec![missing]).await.unwrap_err().code, 3);
    consumer.commit(vec![mine]).await.unwrap();
    let wanted = GroupPartition {
        topic: "t".into(),
        partition: 0,
    };
    assert_eq!(
        rig.broker.groups().fetch("g", Some(&[wanted])).await.unwrap()[0].offset,
        1
    );
}

#[tokio::test]
async fn revoked_partitions_can_still_be_committed() {
    let rig = rig(&[("t", 1)]).await;
    let mut first = rig.consumer("g", &["t"]).await;
    assigned(&mut *first).await;
    let second = rig.consumer("g", &["t"]).await;
    event(&mut *first, |event| {
        matches!(event, GroupEvent::Revoked(_)).then_some(())
    })
    .await;
    assert_eq!(first.assignment(), []);
    let mine = CommittedOffset {
        partition: partition("t", 0),
        offset: Some(4),
        metadata: String::new(),
    };
    first.commit(vec![mine]).await.unwrap();
    second.leave().await.unwrap();
    assert_eq!(assigned(&mut *first).await[0].offset, Some(4));
}

#[tokio::test]
async fn a_pattern_follows_the_topics() {
    let rig = rig(&[("app-1", 1), ("other", 1), ("my-app-3", 1)]).await;
    let pattern = TopicSelection::Pattern("app-.*|__.*".into());
    let mut consumer = rig
        .cluster
        .join_group(subscription("g", "c", pattern))
        .await
        .unwrap();
    assigned(&mut *consumer).await;
    assert_eq!(consumer.assignment(), [partition("app-1", 0)]);
    create(&rig.cluster, "app-2", 1).await;
    assigned(&mut *consumer).await;
    assert_eq!(
        consumer.assignment(),
        [partition("app-1", 0), partition("app-2", 0)]
    );
    let broken = TopicSelection::Pattern("(".into());
    let refused = rig.cluster.join_group(subscription("g", "c", broken)).await;
    assert!(refused.err().unwrap().message.contains("'('"));
}

#[tokio::test]
async fn a_topic_that_comes_later_is_assigned_then() {
    let rig = rig(&[]).await;
    let mut consumer = rig.consumer("g", &["late"]).await;
    assert_eq!(assigned(&mut *consumer).await, []);
    create(&rig.cluster, "late", 2).await;
    assert_eq!(assigned(&mut *consumer).await.len(), 2);
    rig.append(batch("late", 1, &["x"])).await;
    assert_eq!(values(&fetched(&mut *consumer).await), ["x"]);
}

#[tokio::test]
async fn polls_that_are_given_up_lose_nothing() {
    let rig = rig(&[("t", 1)]).await;
    let mut consumer = rig.consumer("g", &["t"]).await;
    let mut seen = Vec::new();
    let give_up_often = async {
        let mut appended = 0;
        while seen.len() < 21 {
            // The first time a poll does not resolve at once it is dropped.
            match consumer.poll(DEADLINE).now_or_never() {
                Some(Ok(GroupEvent::Records(records))) => seen.extend(values(&records)),
                Some(Ok(GroupEvent::Assigned(partitions))) => {
                    seen.push(format!("assigned {}", partitions.len()))
                }
                Some(other) => panic!("{other:?}"),
                None if seen.len() > appended && appended < 20 => {
                    rig.append(batch("t", 0, &[&appended.to_string()])).await;
                    appended += 1;
                }
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, give_up_often)
        .await
        .expect("all within the deadline");
    let expected: Vec<String> = std::iter::once("assigned 1".to_owned())
        .chain((0..20).map(|number| number.to_string()))
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn partitions_take_turns_within_the_byte_limit() {
    let rig = rig(&[("t", 3)]).await;
    let big = "x".repeat(600);
    for index in 0..3 {
        for _ in 0..2 {
            rig.append(batch("t", index, &[&big])).await;
        }
    }
    let small = GroupSubscription {
        max_bytes: 1_000,
        ..subscription("g", "c", names(&["t"]))
    };
    let mut consumer = rig.cluster.join_group(small).await.unwrap();
    assigned(&mut *consumer).await;
    let mut order = Vec::new();
    for _ in 0..6 {
        let records = fetched(&mut *consumer).await;
        assert!(records.iter().map(|part| part.batches.len()).sum::<usize>() <= 1_000);
        order.extend(records.iter().map(|part| part.partition.partition));
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    // A batch that is larger than the limit comes alone.
    rig.append(batch("t", 1, &[&"y".repeat(5_000)])).await;
    assert_eq!(values(&fetched(&mut *consumer).await)[0].len(), 5_000);
}

#[tokio::test]
async fn pause_resume_seek_and_positions_out_of_range() {
    let rig = rig(&[("t", 2)]).await;
    rig.append(batch("t", 0, &["a"])).await;
    rig.append(batch("t", 1, &["b"])).await;
    let mut consumer = rig.consumer("g", &["t"]).await;
    assigned(&mut *consumer).await;
    consumer.pause(&[partition("t", 0)]);
    assert_eq!(values(&fetched(&mut *consumer).await), ["b"]);
    assert!(matches!(
        consumer.poll(Duration::from_millis(1)).await,
        Ok(GroupEvent::Idle)
    ));
    consumer.resume(&[partition("t", 0)]);
    assert_eq!(values(&fetched(&mut *consumer).await), ["a"]);
    consumer.seek(&partition("t", 1), 0);
    assert_eq!(values(&fetched(&mut *consumer).await), ["b"]);
    // Beyond the end: from the start again.
    consumer.seek(&partition("t", 0), 1_000);
    assert_eq!(values(&fetched(&mut *consumer).await), ["a"]);
}

#[tokio::test]
async fn a_topic_created_again_is_read_from_its_start() {
    let rig = rig(&[("t", 1)]).await;
    rig.append(batch("t", 0, &["old", "old"])).await;
    let mut consumer = rig.consumer("g", &["t"]).await;
    assert_eq!(values(&fetched(&mut *consumer).await), ["old", "old"]);
    rig.broker.topics().delete("t").await.unwrap();
    create(&rig.cluster, "t", 1).await;
    rig.append(batch("t", 0, &["new"])).await;
    assert_eq!(values(&fetched(&mut *consumer).await), ["new"]);
}

#[tokio::test]
async fn appends_say_where_and_refuse_what_is_not_there() {
    let rig = rig(&[("t", 2)]).await;
    let both = vec![
        batch("t", 0, &["a", "b"]),
        batch("t", 1, &["c"]),
        batch("t", 0, &["d"]),
    ];
    assert_eq!(rig.cluster.append(both).await.unwrap().await.unwrap(), [0, 0, 2]);
    let refused = rig
        .cluster
        .append(vec![batch("t", 0, &["e"]), batch("missing", 0, &["f"])])
        .await;
    let Err(error) = refused else {
        panic!("a missing topic took records")
    };
    assert_eq!((error.code, error.retriable), (3, true));
    assert_eq!(rig.end("t"), 3);
    assert_eq!(rig.cluster.read_to_end("t").await.unwrap().len(), 4);
}

#[tokio::test]
async fn topics_are_described_and_created_once() {
    let rig = rig(&[]).await;
    assert!(rig.cluster.describe_topic("t").await.unwrap().is_none());
    let topic = NewTopic {
        name: "t".into(),
        partitions: Some(4),
        configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
    };
    assert_eq!(
        rig.cluster.create_topic(&topic).await.unwrap().cleanup_policy,
        "compact"
    );
    let again = NewTopic {
        partitions: Some(9),
        ..topic
    };
    assert_eq!(rig.cluster.create_topic(&again).await.unwrap().partitions, 4);
    let bad = NewTopic {
        name: "a/b".into(),
        ..again
    };
    assert_eq!(rig.cluster.create_topic(&bad).await.unwrap_err().code, 17);
}

#[tokio::test]
async fn source_offsets_are_stored_after_their_records_and_acknowledged_in_order() {
    let rig = rig(&[("t", 1), ("offsets", 1)]).await;
    let mut producer = rig.cluster.source_producer("p").await.unwrap();
    let mut acknowledgements = Vec::new();
    for number in 0..200 {
        let records = vec![batch("t", 0, &[&number.to_string()])];
        let offsets = vec![
            offset("file", &number.to_string()),
            offset(&format!("k{}", number % 2), "x"),
        ];
        acknowledgements.push(producer.append_atomic(records, offsets).await.unwrap());
    }
    let last = acknowledgements.pop().unwrap();
    assert_eq!(last.await.unwrap(), [199]);
    for (number, acknowledgement) in acknowledgements.into_iter().enumerate() {
        let done = tokio::task::unconstrained(acknowledgement)
            .now_or_never()
            .expect("calls before it are acknowledged before it");
        assert_eq!(done.unwrap(), [i64::try_from(number).unwrap()]);
    }
    let stored = rig.stored("offsets").await;
    assert_eq!(stored.iter().rfind(|(key, _)| key == "file").unwrap().1, "199");
    assert!(stored.len() < 300, "coalesced: {}", stored.len());
    // Offsets alone (all records were filtered), and records alone.
    let acknowledged = producer
        .append_atomic(Vec::new(), vec![offset("file", "201")])
        .await
        .unwrap();
    assert_eq!(acknowledged.await.unwrap(), Vec::<i64>::new());
    let acknowledged = producer
        .append_atomic(vec![batch("t", 0, &["x"])], Vec::new())
        .await
        .unwrap();
    assert_eq!(acknowledged.await.unwrap(), [200]);
    assert_eq!(rig.stored("offsets").await.last().unwrap().1, "201");
    producer.close(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn many_offsets_at_once_make_several_batches() {
    let rig = rig(&[("offsets", 1)]).await;
    let mut producer = rig.cluster.source_producer("p").await.unwrap();
    let value = "x".repeat(1_000);
    let offsets = (0..3_000).map(|number| offset(&format!("k{number}"), &value));
    let stored = producer
        .append_atomic(Vec::new(), offsets.collect())
        .await
        .unwrap();
    stored.await.expect("no batch is too large for the topic");
    let keys: Vec<String> = rig
        .stored("offsets")
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let expected: Vec<String> = (0..3_000).map(|number| format!("k{number}")).collect();
    assert_eq!(keys, expected);
    producer.close(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn offsets_of_records_that_are_not_durable_are_never_stored() {
    let rig = rig(&[("t", 1), ("offsets", 1)]).await;
    let mut producer = rig.cluster.source_producer("p").await.unwrap();
    let first = producer
        .append_atomic(vec![batch("t", 0, &["a"])], vec![offset("k", "1")])
        .await
        .unwrap();
    first.await.unwrap();
    assert_eq!(rig.end("offsets"), 1);
    rig.faults.fail_sync(true);
    let lost = producer
        .append_atomic(vec![batch("t", 0, &["b"])], vec![offset("k", "2")])
        .await;
    assert_eq!(lost.unwrap().await.unwrap_err().code, 56);
    rig.faults.fail_sync(false);
    // What came after it must not vouch for it.
    match producer.append_atomic(Vec::new(), vec![offset("k", "3")]).await {
        Ok(acknowledgement) => assert_eq!(acknowledgement.await.unwrap_err().code, 56),
        Err(error) => assert_eq!(error.code, 0),
    }
    producer.close(DEADLINE).await.unwrap();
    assert_eq!(rig.end("offsets"), 1);
}

#[tokio::test]
async fn acknowledgements_nobody_waits_for_hold_up_nothing() {
    let rig = rig(&[("t", 1), ("offsets", 1)]).await;
    let mut producer = rig.cluster.source_producer("p").await.unwrap();
    for number in 0..10 {
        let offsets = vec![offset("k", &number.to_string())];
        drop(
            producer
                .append_atomic(vec![batch("t", 0, &["a"])], offsets)
                .await
                .unwrap(),
        );
    }
    producer.close(DEADLINE).await.unwrap();
    assert_eq!(rig.stored("offsets").await.last().unwrap().1, "9");
}

#[tokio::test]
async fn a_newer_producer_fences_the_older_after_its_offsets_are_stored() {
    let rig = rig(&[("t", 1), ("offsets", 1)]).await;
    let mut old = rig.cluster.source_producer("p").await.unwrap();
    let acknowledged = old
        .append_atomic(vec![batch("t", 0, &["a"])], vec![offset("k", "1")])
        .await
        .unwrap();
    let mut new = rig.cluster.source_producer("p").await.unwrap();
    assert_eq!(rig.stored("offsets").await, [("k".to_owned(), "1".to_owned())]);
    acknowledged.await.unwrap();
    let Err(error) = old.append_atomic(vec![batch("t", 0, &["b"])], Vec::new()).await else {
        panic!("the fenced producer still writes")
    };
    assert_eq!((error.code, error.retriable), (90, false));
    assert_eq!(rig.end("t"), 1);
    let acknowledged = new
        .append_atomic(vec![batch("t", 0, &["c"])], Vec::new())
        .await
        .unwrap();
    assert_eq!(acknowledged.await.unwrap(), [1]);
    // Another id is another task.
    rig.cluster.source_producer("q").await.unwrap();
    let acknowledged = new
        .append_atomic(vec![batch("t", 0, &["d"])], Vec::new())
        .await
        .unwrap();
    assert_eq!(acknowledged.await.unwrap(), [2]);
}
