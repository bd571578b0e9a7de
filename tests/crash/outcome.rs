//! What a run under kill -9 showed, for the log and for the pipeline.

use std::collections::BTreeSet;

use super::producers::{self, Ledger};
use crate::harness::history::Anomaly;

/// The verdict over one run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: usize,
    pub(crate) lines: usize,
    /// What the checker of the producers' history found.
    pub(crate) anomalies: Vec<Anomaly>,
    /// Errors that producers were given.
    pub(crate) refused: Vec<String>,
    /// What is wrong with the pipeline's topic or sink file.
    pub(crate) pipeline: Vec<String>,
}

impl Outcome {
    pub(crate) fn new(ledger: &Ledger, lines: usize, pipeline: Vec<String>) -> Self {
        Self {
            acknowledged: ledger.acknowledged(),
            lines,
            anomalies: ledger.history.lock().unwrap().check(producers::order),
            refused: ledger.refused.lock().unwrap().clone(),
            pipeline,
        }
    }
}

/// Holds the pipeline's ends against each other. Every line of the source is in the topic (a restart may repeat some, from an
/// earlier line on), and the sink file is the topic, record for record.
pub(crate) fn check_pipeline(lines: usize, topic: &[String], sink: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let present: BTreeSet<_> = topic.iter().map(String::as_str).collect();
    let lost: Vec<_> = (0..lines)
        .map(line)
        .filter(|line| !present.contains(line.as_str()))
        .collect();
    if let Some(first) = lost.first() {
        problems.push(format!(
            "{} lines of the source are not in the topic, the first is '{first}'",
            lost.len()
        ));
    }
    for (before, after) in topic.iter().zip(topic.iter().skip(1)) {
        if let (Some(before), Some(after)) = (number(before), number(after))
            && after > before + 1
        {
            problems.push(format!("the topic jumps from line {before} to line {after}"));
        }
    }
    if let Some(at) = (0..topic.len().max(sink.len())).find(|at| topic.get(*at) != sink.get(*at)) {
        problems.push(format!(
            "the sink file has {} lines, the topic {}; they part at {at}: {:?} in the topic, {:?} in the file",
            sink.len(),
            topic.len(),
            topic.get(at),
            sink.get(at)
        ));
    }
    problems
}

/// Text of line `number` of the source file.
pub(crate) fn line(number: usize) -> String {
    format!("line {number}")
}

fn number(line: &str) -> Option<usize> {
    line.strip_prefix("line ")?.parse().ok()
}

#[test]
fn pipelines_are_judged() {
    let lines = |numbers: &[usize]| numbers.iter().map(|number| line(*number)).collect::<Vec<_>>();
    let check = |topic: &[usize], sink: &[usize]| check_pipeline(3, &lines(topic), &lines(sink)).len();
    assert_eq!(check(&[0, 1, 2], &[0, 1, 2]), 0);
    assert_eq!(
        check(&[0, 1, 0, 1, 2], &[0, 1, 0, 1, 2]),
        0,
        "a restart may repeat"
    );
    assert_eq!(check(&[0, 2], &[0, 2]), 2, "lost, and seen as a jump");
    assert_eq!(check(&[0, 1], &[0, 1]), 1, "lost at the end");
    assert_eq!(check(&[0, 1, 2], &[0, 2]), 1, "the sink misses one");
    assert_eq!(check(&[0, 1, 2], &[0, 1, 2, 2]), 1, "the sink repeats one");
}
