//! A file written at 10 MB/s and rotated again and again arrives in the topic and in the sink file: every line once and in
//! order.

use std::time::Duration;

use super::{
    in_both_forms,
    numbered::{assert_each_once, in_sink, in_topic, wait_for_line},
    pipeline::Pipeline,
    rotated_log::{RotatedLog, Rotation},
};
use crate::harness::rounds;

/// How often the file is rotated, and how long each file is written.
pub(super) fn rotations() -> (usize, Duration) {
    let seconds = rounds::of("ROTATION_SECONDS", 8);
    let per_second = if seconds < 30 { 2 } else { 1 };
    (
        seconds * per_second,
        Duration::from_secs(1) / u32::try_from(per_second).unwrap(),
    )
}

/// Text in the topic is the line itself.
pub(super) fn pipeline(name: &str, form: &str) -> Pipeline {
    let mut pipeline = Pipeline::new(name, form, &[]);
    for converter in ["key.converter", "value.converter"] {
        pipeline
            .worker
            .property(converter, "org.apache.kafka.connect.storage.StringConverter");
    }
    pipeline
}

fn every_line_arrives_once(name: &str, form: &str, rotation: Rotation) {
    let (rotations, interval) = rotations();
    let mut pipeline = pipeline(name, form);
    pipeline.start();
    let log = RotatedLog::start(pipeline.scratch.join("test.txt"), rotation, interval);
    log.set_reader(pipeline.worker.process().id());
    log.wait_for_rotations(rotations);
    let total = log.finish();
    wait_for_line(&pipeline, total - 1);
    assert_each_once("topic", &in_topic(&pipeline), total);
    assert_each_once("sink file", &in_sink(&pipeline), total);
}

fn lines_of_a_file_that_is_renamed(form: &str) {
    every_line_arrives_once("renamed", form, Rotation::Rename);
}

fn lines_of_a_file_that_is_deleted_and_recreated(form: &str) {
    every_line_arrives_once("deleted", form, Rotation::Delete);
}

in_both_forms!(
    lines_of_a_file_that_is_renamed,
    lines_of_a_file_that_is_deleted_and_recreated,
);
