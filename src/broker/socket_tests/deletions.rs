//! Creations and deletions on a disk that refuses: what is answered is what holds.

use super::{
    durability::server,
    harness::{Server, batch, create_request, values},
    topics::delete,
};

const STORAGE_ERROR: i16 = 56;
const UNKNOWN_TOPIC: i16 = 3;

fn topic_files(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.dir.path().join("topics")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Nothing was changed: the topic goes on, also after a restart.
#[tokio::test]
async fn a_deletion_that_cannot_begin_leaves_the_topic_as_it_is() {
    for no_files in [true, false] {
        let (server, faults) = server(&[]).await;
        let mut client = server.client().await;
        client.create_topic("t", 1, &[]).await;
        if no_files {
            faults.limit_opens(0);
        } else {
            faults.limit_renames(0);
        }
        assert_eq!(delete(&mut client, "t").await, STORAGE_ERROR);
        faults.limit_opens(-1);
        faults.limit_renames(-1);
        assert_eq!(client.produce("t", 0, batch(&["kept"])).await, (0, 0));
        let server = server.restart().await;
        let mut client = server.client().await;
        assert_eq!(values(&client.fetch("t", 0, 0).await), ["kept"]);
    }
}

/// The next start would end it, so nothing is acknowledged any more; it can be tried again.
#[tokio::test]
async fn a_deletion_that_was_begun_is_not_taken_back() {
    for (no_files, again) in [(true, true), (true, false), (false, true), (false, false)] {
        let (server, faults) = server(&[]).await;
        let mut client = server.client().await;
        client.create_topic("t", 2, &[]).await;
        client.create_topic("other", 1, &[]).await;
        // The mark is made, and one log of two.
        if no_files {
            faults.limit_opens(1);
        } else {
            faults.limit_renames(2);
        }
        assert_eq!(delete(&mut client, "t").await, STORAGE_ERROR);
        faults.limit_opens(-1);
        faults.limit_renames(-1);
        for partition in 0..2 {
            let (code, _) = client.produce("t", partition, batch(&["x"])).await;
            assert_eq!(code, UNKNOWN_TOPIC, "no files: {no_files}");
        }
        assert_eq!(client.produce("other", 0, batch(&["x"])).await, (0, 0));
        if again {
            assert_eq!(delete(&mut client, "t").await, 0);
            client.create_topic("t", 2, &[]).await;
            assert_eq!(client.produce("t", 1, batch(&["new"])).await, (0, 0));
        }
        let server = server.restart().await;
        assert_eq!(server.broker.topics().get("t").is_some(), again);
        assert_eq!(topic_files(&server).len(), 1 + usize::from(again));
        let mut client = server.client().await;
        assert_eq!(client.produce("other", 0, batch(&["x"])).await, (0, 1));
    }
}

#[tokio::test]
async fn a_full_disk_keeps_no_topic_from_being_deleted() {
    let (server, faults) = server(&[]).await;
    let mut client = server.client().await;
    client.create_topic("t", 2, &[]).await;
    faults.fail_writes(true);
    assert_eq!(client.produce("t", 0, batch(&["x"])).await.0, STORAGE_ERROR);
    assert_eq!(delete(&mut client, "t").await, 0);
    assert!(!server.dir.path().join("t-0").exists());
    assert!(topic_files(&server).is_empty());
    faults.fail_writes(false);
    let server = server.restart().await;
    assert!(server.broker.topics().get("t").is_none());
}

/// Clients try again and again, and files run out as room does.
#[tokio::test]
async fn a_topic_that_finds_no_room_leaves_no_file() {
    let (server, faults) = server(&[]).await;
    let mut client = server.client().await;
    faults.tear_after(200);
    let response = client.call(7, &create_request("t", 20, &[])).await;
    assert_eq!(response.topics[0].error_code, STORAGE_ERROR);
    assert!(topic_files(&server).is_empty());
    faults.tear_after(-1);
    client.create_topic("t", 20, &[]).await;
    let server = server.restart().await;
    assert_eq!(topic_files(&server).len(), 1);
}
