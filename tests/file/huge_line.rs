//! A line of 10 MB, between two short ones.

use super::{in_both_forms, pipeline::Pipeline};

fn ten_megabytes_in_one_line(form: &str) {
    let mut pipeline = Pipeline::new("huge", form, &[]);
    pipeline.worker.property("broker.message.max.bytes", "33554432");
    let huge: String = ('a'..='z').cycle().take(10_000_000).collect();
    let content = format!("before\n{huge}\nafter\n");
    pipeline.append(&content);
    pipeline.start();
    pipeline.expect_sink(&content);
    let topic = pipeline.topic();
    assert_eq!(topic.len(), 3);
    assert!(topic[1] == huge, "the line in the topic is the line of the file");
}

in_both_forms!(ten_megabytes_in_one_line);
