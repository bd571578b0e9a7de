//! Cuts directly after an answer, with nothing else going on: no other sync has made it durable by accident.

use std::path::Path;

use super::{broker::Site, disk};
use crate::{
    harness::{program::binary, rounds, wire::Wire},
    workload::{commits::CommitBook, topics::TopicBook},
};

const TOPIC: &str = "quiet";

/// The next step of one book after the other; each is cut off directly behind its answer. Ends at the first cut after
/// which something is wrong, and returns its number and what that is.
pub(super) fn run(name: &str, program: &Path, cuts: usize) -> Option<(usize, Vec<String>)> {
    let mut site = Site::new(name, program, "fsync");
    Wire::connect(site.port()).create_topic(TOPIC, 1, &[]);
    let (mut topics, mut commits) = (TopicBook::new(), CommitBook::new(TOPIC));
    let mut last_id = -1;
    for cut in 0..cuts {
        let mut problems = Vec::new();
        let mut wire = Wire::connect(site.port());
        match cut % 6 {
            0 => assert!(commits.step(&mut wire), "committing an offset"),
            1 => {
                let (id, _) = wire.init_producer_id();
                if id <= last_id {
                    problems.push(format!("producer id {id} was given out after {last_id}"));
                }
                last_id = id;
            }
            // Creation, two batches and deletion of a topic in turn.
            _ => assert!(topics.step_first(&mut wire), "changing a topic"),
        }
        problems.extend(site.cut());
        let mut wire = Wire::connect(site.port());
        problems.extend(topics.check(&mut wire));
        problems.extend(commits.check(&mut wire));
        if !problems.is_empty() {
            return Some((cut + 1, problems));
        }
    }
    println!(
        "{cuts} cuts: {} topics created, {} deleted, {} offsets committed",
        topics.created, topics.deleted, commits.acknowledged
    );
    None
}

#[test]
fn an_answer_holds_when_power_goes_directly_behind_it() {
    if disk::is_off() {
        return;
    }
    let mut left = rounds::of("POWER_CUTS", 20) * 3 / 10;
    while left > 0 {
        let now = left.min(60);
        left -= now;
        assert_eq!(run("power-moments", &binary(), now), None);
    }
}
