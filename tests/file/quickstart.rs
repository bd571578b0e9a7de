//! Kafka's quickstart: two lines, the topic, the sink file, a line appended while it runs, a clean stop.

use std::{fs, time::Duration};

use rustix::process::Signal;

use super::{in_both_forms, pipeline::Pipeline};

fn lines_arrive_and_the_file_is_followed(form: &str) {
    let mut pipeline = Pipeline::new("quickstart", form, &[]);
    pipeline.append("foo\nbar\n");
    pipeline.start();
    pipeline.expect_sink("foo\nbar\n");
    assert_eq!(pipeline.topic(), ["foo", "bar"]);
    pipeline.append("Another line\n");
    pipeline.expect_sink("foo\nbar\nAnother line\n");
    for signal in [Signal::TERM, Signal::INT] {
        let took = pipeline.worker.stop(signal);
        assert!(took < Duration::from_secs(2), "stopping took {took:?}");
        pipeline.start();
        pipeline
            .worker
            .rest
            .wait_for_state("local-file-source", "RUNNING");
    }
    pipeline.expect_sink("foo\nbar\nAnother line\n");
}

fn a_missing_file_is_waited_for(form: &str) {
    let mut pipeline = Pipeline::new("missing", form, &[]);
    pipeline.start();
    pipeline
        .worker
        .rest
        .wait_for_state("local-file-source", "RUNNING");
    pipeline.append("here now\n");
    pipeline.expect_sink("here now\n");
    // The same after the directory entry was replaced by another file, as log rotation does.
    fs::rename(
        pipeline.scratch.join("test.txt"),
        pipeline.scratch.join("test.txt.1"),
    )
    .unwrap();
    pipeline
        .worker
        .rest
        .wait_for_state("local-file-source", "RUNNING");
}

in_both_forms!(
    lines_arrive_and_the_file_is_followed,
    a_missing_file_is_waited_for
);
