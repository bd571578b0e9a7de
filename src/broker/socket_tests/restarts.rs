//! What a restart finds: topics with their configs, creations and deletions that were interrupted.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jackfield_log::TopicId;
use uuid::Uuid;

use super::{
    harness::{Server, batch, values},
    topics::delete,
};

#[tokio::test]
async fn topics_and_their_configs_survive_a_restart() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let name = "x".repeat(249);
    let id = client
        .create_topic(
            &name,
            3,
            &[("retention.ms", "12345"), ("cleanup.policy", "compact,delete")],
        )
        .await;
    client.create_topic("gone", 1, &[]).await;
    assert_eq!(delete(&mut client, "gone").await, 0);
    client.produce(&name, 2, batch(&["kept"])).await;
    let cluster = server.broker.cluster_id();
    let server = server.restart().await;
    assert_eq!(server.broker.cluster_id(), cluster);
    let names: Vec<_> = server
        .broker
        .topics()
        .list()
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    assert_eq!(names, std::slice::from_ref(&name));
    let topic = server.broker.topics().get(&name).unwrap();
    assert_eq!((topic.partitions.len(), topic.id.0), (3, *id.as_bytes()));
    let configs = BTreeMap::from([
        ("cleanup.policy".to_owned(), "compact,delete".to_owned()),
        ("retention.ms".to_owned(), "12345".to_owned()),
    ]);
    assert_eq!(topic.configs, configs);
    assert_eq!(topic.partitions[0].config().retention_ms, 12_345);
    let mut client = server.client().await;
    assert_eq!(values(&client.fetch(&name, 2, 0).await), ["kept"]);
}

/// Retention waits for the settings of the topics: under the defaults it would delete what they keep. It was a matter of
/// moments, so there are many restarts.
#[tokio::test]
async fn a_restart_deletes_nothing_that_a_topic_keeps() {
    let options = [
        ("log.retention.ms", "1"),
        ("log.retention.check.interval.ms", "1"),
    ];
    let mut server = Server::start(&options).await;
    let mut client = server.client().await;
    for name in ["a", "b", "c"] {
        client.create_topic(name, 1, &[("retention.ms", "-1")]).await;
        client.produce(name, 0, batch(&["kept"])).await;
    }
    for _ in 0..20 {
        server = server.restart().await;
        let mut client = server.client().await;
        for name in ["a", "b", "c"] {
            assert_eq!(values(&client.fetch(name, 0, 0).await), ["kept"]);
        }
    }
}

/// Where the file of a topic is, once it is created.
fn topic_file(dir: &Path, id: Uuid) -> PathBuf {
    let id = TopicId(*id.as_bytes()).to_base64();
    dir.join("topics").join(format!("{id}.properties"))
}

fn topic_files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("topics")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Nobody was told that these topics are there.
#[tokio::test]
async fn interrupted_creations_and_deletions_go_at_the_next_start() {
    let server = Server::start(&[]).await;
    let mut client = server.client().await;
    let kept = client.create_topic("kept", 1, &[]).await;
    let earlier = client
        .create_topic("half-gone-in-an-earlier-version", 2, &[])
        .await;
    let mut unfinished = Vec::new();
    for name in ["half-made", "half-gone", "never-made"] {
        unfinished.push(client.create_topic(name, 2, &[]).await);
    }
    server.broker.shutdown(super::harness::DEADLINE).await;
    let path = server.dir.path();
    for name in ["half-made-1", "half-gone-0", "never-made-0", "never-made-1"] {
        std::fs::remove_dir_all(path.join(name)).unwrap();
    }
    for id in unfinished {
        let file = topic_file(path, id);
        std::fs::rename(&file, file.with_extension("unfinished")).unwrap();
    }
    let file = topic_file(path, earlier);
    let text = std::fs::read_to_string(&file).unwrap();
    let (text, _checksum) = text.split_once("#crc32c").unwrap();
    std::fs::write(&file, format!("{text}#deleting=true\n")).unwrap();
    std::fs::write(file.with_extension("unfinished.tmp"), "torn").unwrap();
    let server = server.restart().await;
    let topics = server.broker.topics().list();
    assert_eq!(topics.len(), 1);
    assert_eq!(topics[0].id.0, *kept.as_bytes());
    let file = topic_file(server.dir.path(), kept);
    assert_eq!(
        topic_files(server.dir.path()),
        [file.file_name().unwrap().to_str().unwrap()]
    );
}

/// What is left of a topic under a name that was given again does not touch the new topic, nor is it mixed into it.
#[tokio::test]
async fn remains_of_an_earlier_topic_of_the_same_name_are_kept_apart() {
    for deleting in [true, false] {
        let server = Server::start(&[]).await;
        let mut client = server.client().await;
        let id = client.create_topic("foo", 2, &[]).await;
        client.produce("foo", 0, batch(&["kept"])).await;
        server.broker.shutdown(super::harness::DEADLINE).await;
        let path = server.dir.path();
        let old = jackfield_log::TopicId([9; 16]).to_base64();
        std::fs::create_dir(path.join("foo-2")).unwrap();
        std::fs::write(
            path.join("foo-2/partition.metadata"),
            format!("version: 0\ntopic_id: {old}"),
        )
        .unwrap();
        let text = format!("#name=foo\n#partitions=200\n#deleting={deleting}\n");
        std::fs::write(path.join("topics").join(format!("{old}.properties")), text).unwrap();
        let server = server.restart().await;
        let topic = server.broker.topics().get("foo").unwrap();
        assert_eq!((topic.partitions.len(), topic.id.0), (2, *id.as_bytes()));
        assert_eq!(server.dir.path().join("foo-2").exists(), !deleting);
        let mut client = server.client().await;
        assert_eq!(values(&client.fetch("foo", 0, 0).await), ["kept"]);
    }
}
