//! Log directories that are missing, broken, or back: what is in the others goes on, and nothing of theirs is lost or made anew.

use std::path::{Path, PathBuf};

use kafka_protocol::messages::{
    BrokerId, GroupId, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::OffsetFetchRequestGroup,
};

use super::{
    durability::faulty,
    harness::{Client, Server, batch, text, topic_name, values},
    topics::delete,
};
use crate::Broker;

const STORAGE_ERROR: i16 = 56;

/// Two log directories with a topic in the first, one in the second, and one in both.
struct Directories {
    _scratch: tempfile::TempDir,
    both: String,
    first: PathBuf,
    second: PathBuf,
}

impl Directories {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let [first, second] = ["d1", "d2"].map(|name| scratch.path().join(name));
        Self {
            both: format!("{},{}", first.display(), second.display()),
            _scratch: scratch,
            first,
            second,
        }
    }

    async fn start(&self) -> Server {
        // Under the broker's defaults everything would be deleted at once.
        let server = Server::start(&[
            ("log.dirs", &self.both),
            ("log.retention.ms", "1"),
            ("log.retention.check.interval.ms", "1"),
        ])
        .await;
        let mut client = server.client().await;
        for (name, partitions) in [("first", 1), ("second", 1), ("both", 2)] {
            client
                .create_topic(name, partitions, &[("retention.ms", "-1")])
                .await;
        }
        for (name, partition) in ALL {
            client.produce(name, partition, batch(&["kept"])).await;
        }
        assert!(self.first.join("both-0").exists() && self.second.join("both-1").exists());
        server
    }

    async fn start_without_second(&self, server: Server) -> Server {
        server
            .restart_with("log.dirs", self.first.to_str().unwrap())
            .await
    }

    async fn start_with_both(&self, server: Server) -> Server {
        server.restart_with("log.dirs", &self.both).await
    }
}

const ALL: [(&str, i32); 4] = [("first", 0), ("second", 0), ("both", 0), ("both", 1)];

/// Partitions that answer a producer with a storage error, and consumers, too.
async fn out_of_service(client: &mut Client) -> Vec<(&'static str, i32)> {
    let mut found = Vec::new();
    for (name, partition) in ALL {
        let fetched = client.fetch(name, partition, 0).await;
        let code = fetched.responses[0].partitions[0].error_code;
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(name))
            .with_partitions(vec![asked]);
        let listed = client
            .call(7, &ListOffsetsRequest::default().with_topics(vec![topic]))
            .await;
        assert_eq!(
            listed.topics[0].partitions[0].error_code, code,
            "{name}-{partition}"
        );
        let (produced, _) = client.produce(name, partition, batch(&["more"])).await;
        assert_eq!(produced, code, "{name}-{partition}");
        if code != 0 {
            assert_eq!(code, STORAGE_ERROR);
            found.push((name, partition));
        }
    }
    found
}

async fn all_is_kept(client: &mut Client) {
    for (name, partition) in ALL {
        let read = values(&client.fetch(name, partition, 0).await);
        assert_eq!(read[0], "kept", "{name}-{partition}");
    }
}

fn topic_of(broker: &Broker, name: &str) -> std::sync::Arc<crate::Topic> {
    broker.topics().get(name).unwrap()
}

#[tokio::test]
async fn a_start_without_a_log_directory_loses_nothing() {
    let dirs = Directories::new();
    let server = dirs.start_without_second(dirs.start().await).await;
    let mut client = server.client().await;
    assert_eq!(out_of_service(&mut client).await, [("second", 0), ("both", 1)]);
    assert!(!dirs.first.join("both-1").exists(), "not made anew");
    let metadata = client
        .call(12, &MetadataRequest::default().with_topics(None))
        .await;
    for topic in &metadata.topics {
        for partition in &topic.partitions {
            let name = topic.name.as_ref().unwrap().as_str();
            let is_missing = [("second", 0), ("both", 1)].contains(&(name, partition.partition_index));
            let expected = if is_missing {
                (5, BrokerId(-1), vec![BrokerId(1)])
            } else {
                (0, BrokerId(1), vec![])
            };
            let said = (
                partition.error_code,
                partition.leader_id,
                partition.offline_replicas.clone(),
            );
            assert_eq!(said, expected, "{name}-{}", partition.partition_index);
        }
    }
    let server = dirs.start_with_both(server).await;
    let mut client = server.client().await;
    all_is_kept(&mut client).await;
    assert_eq!(out_of_service(&mut client).await, []);
    assert_eq!(topic_of(&server.broker, "second").configs["retention.ms"], "-1");
}

/// The first directory says what all topics are. Without it, or behind another, their configs would be lost.
#[tokio::test]
async fn a_start_without_the_first_log_directory_is_refused() {
    let dirs = Directories::new();
    let server = dirs.start().await;
    let (first, second) = (dirs.first.display(), dirs.second.display());
    for log_dirs in [second.to_string(), format!("{second},{first}")] {
        let refused = server.refusal_with("log.dirs", &log_dirs).await;
        assert!(refused.contains("d2/topics is missing"), "{refused}");
    }
    let server = server.restart().await;
    all_is_kept(&mut server.client().await).await;
}

/// As any lost partition: only who has a copy, or deletes the topic, can tell what to do.
#[tokio::test]
async fn a_lost_partition_does_not_begin_anew() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    client.produce("t", 1, batch(&["lost"])).await;
    let lost = server.dir.path().join("t-1");
    // Not even the broker may hold it open.
    server.broker.shutdown(super::harness::DEADLINE).await;
    std::fs::remove_dir_all(&lost).unwrap();
    let server = server.restart().await;
    let mut client = server.client().await;
    assert_eq!(client.produce("t", 0, batch(&["a"])).await, (0, 0));
    assert_eq!(client.produce("t", 1, batch(&["a"])).await.0, STORAGE_ERROR);
    assert!(!lost.exists());
    assert_eq!(delete(&mut client, "t").await, 0);
    client.create_topic("t", 2, &[]).await;
    assert_eq!(client.produce("t", 1, batch(&["a"])).await, (0, 0));
}

async fn commit(client: &mut Client, group: &str) {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("first"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(vec![topic]);
    let response = client.call(7, &request).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

/// Error code and committed offset, if there is one.
async fn committed(client: &mut Client, group: &str) -> (i16, Option<i64>) {
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let response = client.call(8, &request).await;
    let group = &response.groups[0];
    let offset = group
        .topics
        .first()
        .map(|topic| topic.partitions[0].committed_offset);
    (group.error_code, offset)
}

#[tokio::test]
async fn groups_whose_partition_is_missing_have_no_coordinator() {
    let dirs = Directories::new();
    let server = dirs.start().await;
    let groups = ["g0", "g1", "g2", "g3", "g4", "g5"];
    let mut client = server.client().await;
    for group in groups {
        commit(&mut client, group).await;
    }
    let server = dirs.start_without_second(server).await;
    let mut client = server.client().await;
    let mut answers = Vec::new();
    for group in groups {
        answers.push(committed(&mut client, group).await);
    }
    assert!(answers.contains(&(0, Some(1))), "{answers:?}");
    assert!(answers.contains(&(15, None)), "{answers:?}");
    assert!(!answers.contains(&(0, None)), "{answers:?}");
    let server = dirs.start_with_both(server).await;
    let mut client = server.client().await;
    for group in groups {
        assert_eq!(committed(&mut client, group).await, (0, Some(1)));
    }
}

fn topic_files(dirs: &Directories) -> usize {
    std::fs::read_dir(dirs.first.join("topics")).unwrap().count()
}

/// Also when there is another topic of that name by then.
#[tokio::test]
async fn a_topic_deleted_while_its_directory_was_away_goes_when_it_is_back() {
    let dirs = Directories::new();
    let server = dirs.start_without_second(dirs.start().await).await;
    let mut client = server.client().await;
    for name in ["second", "both"] {
        assert_eq!(delete(&mut client, name).await, 0);
    }
    let id = client.create_topic("second", 1, &[("retention.ms", "-1")]).await;
    assert_eq!(client.produce("second", 0, batch(&["new"])).await, (0, 0));
    // Once more without it: what is left to be done is not forgotten.
    let server = dirs.start_without_second(server).await;
    assert_eq!(topic_files(&dirs), 4);
    let server = dirs.start_with_both(server).await;
    let mut client = server.client().await;
    assert_eq!(topic_of(&server.broker, "second").id.0, *id.as_bytes());
    assert_eq!(values(&client.fetch("second", 0, 0).await), ["new"]);
    assert!(server.broker.topics().get("both").is_none());
    assert!(!dirs.second.join("second-0").exists() && !dirs.second.join("both-1").exists());
    assert_eq!(topic_files(&dirs), 2);
    let server = dirs.start_with_both(server).await;
    assert_eq!(server.broker.topics().list().len(), 2);
}

#[tokio::test]
async fn a_topic_deleted_while_its_directory_is_offline_goes_at_the_next_start() {
    let dirs = Directories::new();
    let (env, faults) = faulty();
    let server = dirs.start().await.restart_in(env).await;
    let mut client = server.client().await;
    faults.fail_sync_below(&dirs.second);
    assert_eq!(client.produce("both", 1, batch(&["x"])).await.0, STORAGE_ERROR);
    assert_eq!(delete(&mut client, "both").await, 0);
    assert!(server.broker.topics().get("both").is_none());
    assert!(!dirs.first.join("both-0").exists());
    assert_eq!(topic_files(&dirs), 3);
    let server = server.restart().await;
    assert!(server.broker.topics().get("both").is_none());
    assert!(!dirs.second.join("both-1").exists());
    assert_eq!(topic_files(&dirs), 2);
}

/// Makes a file unreadable until it is given its content back.
struct Unreadable<'a>(&'a Path, Vec<u8>);

impl<'a> Unreadable<'a> {
    fn make(path: &'a Path) -> Self {
        let content = std::fs::read(path).unwrap();
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
        Self(path, content)
    }

    fn repair(self) {
        std::fs::remove_dir(self.0).unwrap();
        std::fs::write(self.0, self.1).unwrap();
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_is_offline_alone() {
    for name in ["both-1/leader-epoch-checkpoint", "meta.properties"] {
        let dirs = Directories::new();
        let server = dirs.start().await;
        server.broker.shutdown(super::harness::DEADLINE).await;
        let path = dirs.second.join(name);
        let unreadable = Unreadable::make(&path);
        let server = server.restart().await;
        let mut client = server.client().await;
        assert_eq!(
            out_of_service(&mut client).await,
            [("second", 0), ("both", 1)],
            "{name}"
        );
        server.broker.shutdown(super::harness::DEADLINE).await;
        unreadable.repair();
        let server = server.restart().await;
        let mut client = server.client().await;
        all_is_kept(&mut client).await;
        assert_eq!(out_of_service(&mut client).await, []);
    }
}

#[tokio::test]
async fn a_partition_whose_topic_is_not_known_is_out_of_service_alone() {
    let dirs = Directories::new();
    let server = dirs.start().await;
    server.broker.shutdown(super::harness::DEADLINE).await;
    let metadata = dirs.second.join("both-1/partition.metadata");
    let content = std::fs::read(&metadata).unwrap();
    std::fs::write(&metadata, "rubbish").unwrap();
    std::fs::remove_file(dirs.second.join("jackfield-checkpoint")).unwrap();
    let server = server.restart().await;
    let mut client = server.client().await;
    assert_eq!(out_of_service(&mut client).await, [("both", 1)]);
    server.broker.shutdown(super::harness::DEADLINE).await;
    let checkpoint = dirs.second.join("recovery-point-offset-checkpoint");
    let checkpoint = std::fs::read_to_string(checkpoint).unwrap();
    assert!(checkpoint.contains("both 1 1"), "{checkpoint}");
    std::fs::write(&metadata, content).unwrap();
    let server = server.restart().await;
    let mut client = server.client().await;
    all_is_kept(&mut client).await;
    assert_eq!(out_of_service(&mut client).await, []);
}
