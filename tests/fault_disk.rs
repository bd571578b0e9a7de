//! A disk that fills up under a running broker: a small file system of its own in memory. Producers get Kafka's storage error,
//! consumers go on, and when there is space again so does everything, without a restart.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use kafka_protocol::{
    messages::{
        CreateTopicsRequest, DeleteTopicsRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest,
        create_topics_request::CreatableTopic,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestTopic,
    },
    protocol::StrBytes,
};

use crate::harness::{
    batches::{Codec, batch, record},
    process,
    program::Broker,
    scratch::Scratch,
    wait,
    wire::{Wire, text, topic},
};

const TOPIC: &str = "filling";
const GROUP: &str = "readers";
/// Kafka's code of an error of the disk, and the one a group coordinator answers instead.
const KAFKA_STORAGE_ERROR: i16 = 56;
const NOT_COORDINATOR: i16 = 16;
const UNKNOWN_TOPIC: i16 = 3;
const VALUE_BYTES: usize = 50_000;
const BALLAST_BYTES: usize = 4 << 20;

/// A file system of 16 MiB, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where nothing is to be mounted.
    #[allow(
        clippy::disallowed_methods,
        reason = "a switch of the tests, outside the program's configuration"
    )]
    fn mount(path: PathBuf) -> Option<Self> {
        if std::env::var("POWER_CUT").is_ok_and(|setting| setting == "off") {
            println!("POWER_CUT=off: nothing is mounted, so no disk is full");
            return None;
        }
        fs::create_dir_all(&path).unwrap();
        process::run(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
                .arg(&path),
        );
        Some(Self(path))
    }

    /// A file that takes room until it is removed.
    fn ballast(&self) -> PathBuf {
        let path = self.0.join("ballast");
        fs::write(&path, vec![1; BALLAST_BYTES]).unwrap();
        path
    }

    /// Takes the last bytes that are free.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        for block in [4096, 1] {
            while file.write_all(&vec![1; block]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn value(number: usize) -> String {
    format!("{number} {}", "v".repeat(VALUE_BYTES))
}

fn produce(wire: &mut Wire, number: usize) -> i16 {
    let records = [record(1_700_000_000_000, value(number))];
    wire.try_produce(TOPIC, 0, batch(Codec::None, None, &records)).0
}

/// Produces until the disk is full; how many records were acknowledged.
fn produce_until_full(wire: &mut Wire, first: usize) -> usize {
    for number in first..1_000 {
        match produce(wire, number) {
            0 => {}
            code => {
                assert_eq!(code, KAFKA_STORAGE_ERROR, "record {number}");
                return number;
            }
        }
    }
    panic!("the disk is never full");
}

fn expect_records(wire: &mut Wire, count: usize) {
    let read = wire.read_all(TOPIC, 0);
    assert_eq!(read.len(), count);
    for (number, record) in read.iter().enumerate() {
        assert!(record.text() == value(number), "record {number}");
        assert_eq!(usize::try_from(record.offset).unwrap(), number);
    }
}

fn commit_offset(wire: &mut Wire, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        // Does not fit into the rest of a page.
        .with_committed_metadata(Some(StrBytes::from_string("m".repeat(4_000))));
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(topic(TOPIC))
                .with_partitions(vec![partition]),
        ]);
    wire.call(7, &request).topics[0].partitions[0].error_code
}

fn committed_offset(wire: &mut Wire) -> i64 {
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_topics(Some(vec![
            OffsetFetchRequestTopic::default()
                .with_name(topic(TOPIC))
                .with_partition_indexes(vec![0]),
        ]));
    wait::until("the coordinator to answer", || {
        let response = wire.call(5, &request);
        (response.error_code == 0).then(|| response.topics[0].partitions[0].committed_offset)
    })
}

fn create_topic(wire: &mut Wire, name: &str) -> i16 {
    let new = CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![new]);
    wire.call(5, &request).topics[0].error_code
}

fn delete_topic(wire: &mut Wire, name: &str) -> i16 {
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topic_names(vec![topic(name)]);
    wire.call(5, &request).responses[0].error_code
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[test]
fn a_full_disk_is_an_error_and_no_end() {
    let scratch = Scratch::new("full-disk");
    let Some(disk) = SmallDisk::mount(scratch.join("data")) else {
        return;
    };
    let ballast = disk.ballast();
    let mut broker = Broker::start(&scratch, &["offsets.topic.num.partitions=1"]);
    let mut wire = Wire::connect(broker.port);
    // Its records are old.
    wire.create_topic(TOPIC, 1, &[("segment.bytes", "1048576"), ("retention.ms", "-1")]);
    wait::until("the first commit", || {
        (commit_offset(&mut wire, 1) == 0).then_some(())
    });
    let full = produce_until_full(&mut wire, 0);
    assert!(full > 100, "{full} records fill the disk");
    let filler = disk.fill();
    for _ in 0..3 {
        assert_eq!(produce(&mut wire, full), KAFKA_STORAGE_ERROR, "full is full");
        assert_eq!(create_topic(&mut wire, "refused"), KAFKA_STORAGE_ERROR);
        assert_eq!(commit_offset(&mut wire, 2), NOT_COORDINATOR);
        expect_records(&mut wire, full);
    }
    remove(&filler);
    remove(&ballast);
    assert_eq!(produce(&mut wire, full), 0, "there is space again");
    assert_eq!(commit_offset(&mut wire, 3), 0);
    assert_eq!(create_topic(&mut wire, "created"), 0);
    let again = produce_until_full(&mut wire, full + 1);
    assert!(again > full + 50, "{again} after {full}");
    expect_records(&mut wire, again);
    // Nothing acknowledged is missing after an end without a word, on a disk that is still full.
    broker.process.kill_9();
    let port = broker.port;
    drop(broker);
    let mut broker = Broker::start_binary(
        &crate::harness::program::binary(),
        &scratch,
        port,
        &["offsets.topic.num.partitions=1"],
    );
    let mut wire = Wire::connect(broker.port);
    expect_records(&mut wire, again);
    assert_eq!(committed_offset(&mut wire), 3);
    // What takes the room can be deleted without any.
    disk.fill();
    assert_eq!(delete_topic(&mut wire, TOPIC), 0);
    assert_eq!(delete_topic(&mut wire, TOPIC), UNKNOWN_TOPIC);
    broker.stop();
}
