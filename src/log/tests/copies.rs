//! Small files and their copies where Apache Kafka, which does not know these, used the directory in between.

use std::fs;

use super::rig::{FIRST, Rig, batch};
use crate::{TopicId, checkpoint};

/// A partition that was used, whose copy has a log start, as after a crash.
fn used() -> Rig {
    let mut rig = Rig::new();
    for n in 0..10 {
        rig.append(batch(&[&format!("value {n}")]));
    }
    rig.log().lock().log_start_offset = 5;
    rig.manager().write_checkpoints().unwrap();
    rig.kill();
    rig
}

/// What the log directory of partition 0 says of log starts.
fn write_starts(rig: &Rig, text: &str) {
    let dir = rig.path();
    fs::write(dir.parent().unwrap().join(checkpoint::LOG_START), text).unwrap();
}

/// Kafka deleted the topic, created another one of that name, and died.
#[test]
fn a_copy_of_another_topic_does_not_count() {
    let mut rig = used();
    let id = TopicId([9; 16]);
    let metadata = rig.file(checkpoint::PARTITION_METADATA);
    fs::write(&metadata, checkpoint::render_partition_metadata(id)).unwrap();
    let content = fs::read(rig.file(FIRST)).unwrap();
    let batches = content.len() / 10;
    fs::write(rig.file(FIRST), &content[..3 * batches]).unwrap();
    write_starts(&rig, "0\n0\n");
    rig.open();
    assert_eq!(rig.log().topic_id(), id);
    assert_eq!(
        checkpoint::parse_partition_metadata(&metadata, fs::read(&metadata).unwrap()).unwrap(),
        id
    );
    assert_eq!((rig.log().log_start_offset(), rig.log().log_end_offset()), (0, 3));
    assert_eq!(rig.consume(0).len(), 3);
    assert_eq!(rig.append(batch(&["on"])).base_offset, 3);
    rig.crash();
    assert_eq!(rig.log().topic_id(), id);
    assert_eq!(rig.consume(0).len(), 4);
}

/// Kafka led the partition in an epoch of its own, deleted records, and died.
#[test]
fn a_copy_that_is_older_than_the_epochs_does_not_count() {
    let mut rig = used();
    fs::write(
        rig.file(checkpoint::LEADER_EPOCH),
        checkpoint::render_epochs(&[(0, 0), (4, 9)]),
    )
    .unwrap();
    let mut content = fs::read(rig.file(FIRST)).unwrap();
    let last = content.len() / 10 * 9;
    // Its epoch, which no checksum covers.
    content[last + 15] = 4;
    fs::write(rig.file(FIRST), &content).unwrap();
    write_starts(&rig, "0\n1\nt 0 7\n");
    rig.open();
    assert_eq!(rig.log().leader_epoch(), 4);
    assert_eq!(
        (rig.log().log_start_offset(), rig.log().log_end_offset()),
        (7, 10)
    );
    assert_eq!(rig.consume(7).len(), 3);
    assert_eq!(fs::read(rig.file(FIRST)).unwrap(), content);
}

/// One figure that changed is damage.
#[test]
fn damage_to_small_files_is_still_made_good() {
    let mut rig = used();
    let metadata = rig.file(checkpoint::PARTITION_METADATA);
    let epochs = rig.file(checkpoint::LEADER_EPOCH);
    let right = fs::read(&metadata).unwrap();
    let mut wrong = right.clone();
    wrong[24] ^= 1;
    fs::write(&metadata, wrong).unwrap();
    fs::write(&epochs, checkpoint::render_epochs(&[(4, 0)])).unwrap();
    write_starts(&rig, "0\n1\nt 0 7\n");
    rig.open();
    assert_eq!(fs::read(&metadata).unwrap(), right);
    assert_eq!((rig.log().leader_epoch(), rig.log().log_start_offset()), (0, 5));
    assert_eq!(rig.consume(5).len(), 5);
}
