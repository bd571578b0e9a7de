//! The files are those of Apache Kafka: its own segments are appended batch by batch, and the directory must come out
//! byte by byte the same. (The recorded files are described where the black-box tests generate them.)

use std::{fs, path::Path};

use bytes::{Bytes, BytesMut};
use jackfield_protocol::records;

use super::rig::{Rig, TOPIC, config, names, wait};
use crate::AppendOrigin;

#[test]
fn segments_indexes_and_snapshots_equal_kafkas() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/files/log");
    let mut config = config();
    config.segment_bytes = 9_000;
    config.index_interval_bytes = 1_000;
    let mut rig = Rig::with(config);
    let log = rig.log();
    for name in names(&golden).iter().filter(|name| name.ends_with(".log")) {
        let segment = Bytes::from(fs::read(golden.join(name)).unwrap());
        for batch in records::split_batches(segment) {
            let appended = log
                .append(BytesMut::from(&batch[..]), AppendOrigin::Client)
                .unwrap();
            wait(log.committed(appended.last_offset)).unwrap();
        }
    }
    drop(log);
    rig.close();
    let mut compared = 0;
    for name in names(&golden) {
        let expected = fs::read(golden.join(&name)).unwrap();
        if name.ends_with("-offset-checkpoint") {
            let ours = fs::read_to_string(rig.path().with_file_name(&name)).unwrap();
            let expected = String::from_utf8(expected).unwrap();
            let entries = |text: &str, topic: &str| -> Vec<String> {
                let prefix = format!("{topic} ");
                text.lines()
                    .filter_map(|line| line.strip_prefix(&prefix))
                    .map(ToOwned::to_owned)
                    .collect()
            };
            assert_eq!(entries(&ours, TOPIC), entries(&expected, "golden"), "{name}");
        } else if name == "partition.metadata" {
            let ours = fs::read_to_string(rig.file(&name)).unwrap();
            assert_eq!(ours, "version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw");
            assert_eq!(ours.len(), expected.len());
        } else {
            assert_eq!(fs::read(rig.file(&name)).unwrap(), expected, "{name}");
        }
        compared += 1;
    }
    assert!(compared > 15, "{compared} files");
    let partition: Vec<_> = names(&golden)
        .into_iter()
        .filter(|name| !name.ends_with("-offset-checkpoint"))
        .collect();
    assert_eq!(rig.files(), partition, "no file more");
}
