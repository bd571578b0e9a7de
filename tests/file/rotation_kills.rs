//! The worker is killed while the file it follows is written and rotated. No line is lost and none is torn; only lines
//! since the last committed source offset are repeated.

use std::fs;

use sha2::{Digest, Sha256};

use super::{
    in_both_forms,
    numbered::{assert_resumed, in_sink, in_topic, stored_offset, wait_for_line},
    pipeline::Pipeline,
    rotated_log::{RotatedLog, Rotation, Written},
    rotation::{pipeline, rotations},
};

/// The line that a stored offset stands before, when its file is one of these.
fn line_at(offset: &serde_json::Value, files: &[Written]) -> Option<u64> {
    let number = |key: &str| usize::try_from(offset[key].as_u64().unwrap()).unwrap();
    let (position, covered) = (number("position"), number("fingerprint.bytes"));
    let wanted = offset["fingerprint"].as_str().unwrap();
    files.iter().find_map(|file| {
        let content = fs::read(&file.path).ok()?;
        let head = Sha256::digest(content.get(..covered)?);
        let head: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        if !head.starts_with(wanted) {
            return None;
        }
        let read = &content[..position];
        assert!(
            read.is_empty() || read.ends_with(b"\n"),
            "position {position} is in a line"
        );
        let lines = read.iter().filter(|&&byte| byte == b'\n').count();
        Some(file.first_line + lines as u64)
    })
}

/// Whether the sink and the topic say the same: the sink is exactly once.
fn check(pipeline: &Pipeline, total: u64, resumed: u64) -> u64 {
    wait_for_line(pipeline, total - 1);
    let topic = in_topic(pipeline);
    assert!(in_sink(pipeline) == topic, "the sink file is the topic");
    assert_resumed("topic", &topic, total, resumed)
}

fn no_line_is_lost_by_renaming(form: &str) {
    let (rotations, interval) = rotations();
    let mut pipeline = pipeline("renamed-kill", form);
    pipeline.start();
    let log = RotatedLog::start(pipeline.scratch.join("test.txt"), Rotation::Rename, interval);
    log.set_reader(pipeline.worker.process().id());
    log.wait_for_rotations(rotations / 3);
    pipeline.worker.kill_9();
    log.wait_for_rotations(3);
    let committed = line_at(&stored_offset(&pipeline), &log.files()).expect("no file is gone");
    pipeline.start();
    log.wait_for_rotations(rotations / 3);
    let total = log.finish();
    let before = check(&pipeline, total, committed);
    assert!(committed <= before, "lines {before} to {committed} are lost");
}

/// The worker's death gives up what was deleted and not read yet; of everything else nothing is lost.
fn no_line_of_a_file_that_is_there_is_lost_by_deleting(form: &str) {
    let (rotations, interval) = rotations();
    let mut pipeline = pipeline("deleted-kill", form);
    pipeline.start();
    let path = pipeline.scratch.join("test.txt");
    let log = RotatedLog::start(path, Rotation::Delete, interval);
    log.set_reader(pipeline.worker.process().id());
    log.wait_for_rotations(rotations / 3);
    let resumed = {
        let files = log.files();
        let named = files.last().unwrap().clone();
        assert!(named.path.exists());
        pipeline.worker.kill_9();
        let committed = line_at(&stored_offset(&pipeline), std::slice::from_ref(&named));
        pipeline.start();
        log.set_reader(pipeline.worker.process().id());
        committed.unwrap_or(named.first_line)
    };
    log.wait_for_rotations(rotations / 3);
    let total = log.finish();
    check(&pipeline, total, resumed);
}

in_both_forms!(
    no_line_is_lost_by_renaming,
    no_line_of_a_file_that_is_there_is_lost_by_deleting,
);
