//! The same runs against the program with a bug planted in it: the checkers must find each.

use std::path::Path;

use super::run;
use crate::{
    harness::{history::Anomaly, planted, scratch::Scratch},
    workload::load::Outcome,
};

/// Runs until the bug shows or the tries are used up; one run of few kills may be lucky.
fn find(bug: &str, run: impl Fn(&str, &Path) -> Outcome, shows: impl Fn(&Outcome) -> bool) {
    let scratch = Scratch::new(bug);
    let program = planted::program(&scratch, bug);
    let outcomes: Vec<_> = (0..3)
        .map(|_| run(&format!("crash-{bug}"), &program))
        .take_while(|outcome| !shows(outcome))
        .collect();
    assert!(outcomes.len() < 3, "{bug} was not found in {outcomes:?}");
}

fn broker(name: &str, program: &Path) -> Outcome {
    run::run_broker(name, program, 3)
}

#[test]
fn acknowledging_before_the_write_is_caught() {
    find("ack-before-write", broker, Outcome::is_losing);
}

#[test]
fn committing_offsets_before_the_flush_is_caught() {
    let worker = |name: &str, program: &Path| run::run_worker(name, program, "native", 3);
    find("offset-before-flush", worker, |outcome| {
        outcome
            .problems
            .iter()
            .any(|problem| problem.contains("times in the sink file"))
    });
}

#[test]
fn forgetting_producer_state_is_caught() {
    find("forget-producer-state", broker, |outcome| {
        outcome
            .anomalies
            .iter()
            .any(|anomaly| matches!(anomaly, Anomaly::Duplicate(_)))
    });
}
