//! The methods of Java's `AdminClient`, one by one, against this broker and a real Apache Kafka beside it.

use std::{path::Path, process::Command, thread};

use crate::harness::{
    kafka::{self, RealKafka},
    process,
    program::Broker,
    scratch::Scratch,
    shown::shown,
};

const NO_AUTH: &str = "clients are not authenticated";
const NO_QUOTAS: &str = "there are no quotas";
const NO_TRANSACTIONS: &str = "there are no transactions yet";
const NO_SHARE_GROUPS: &str = "there are no share groups";
const NO_STREAMS_GROUPS: &str = "there are no streams groups";

/// Where the answers differ, and why.
pub(super) const DIFFERENCES: &[(&str, &str)] = &[
    (
        "describeFeatures",
        "levels are told only of what this broker has: no share or streams groups, no quorum of controllers, no transactions yet",
    ),
    (
        "unregisterBroker that is not there",
        "brokers do not register: there is one",
    ),
    ("createDelegationToken", NO_AUTH),
    ("renewDelegationToken", NO_AUTH),
    ("expireDelegationToken", NO_AUTH),
    ("describeDelegationToken", NO_AUTH),
    ("alterClientQuotas", NO_QUOTAS),
    ("describeClientQuotas", NO_QUOTAS),
    ("alterUserScramCredentials", NO_AUTH),
    ("describeUserScramCredentials", NO_AUTH),
    ("describeTransactions", NO_TRANSACTIONS),
    ("listTransactions", NO_TRANSACTIONS),
    ("abortTransaction", NO_TRANSACTIONS),
    ("fenceProducers", NO_TRANSACTIONS),
    ("forceTerminateTransaction", NO_TRANSACTIONS),
    ("describeShareGroups", NO_SHARE_GROUPS),
    ("listShareGroupOffsets", NO_SHARE_GROUPS),
    ("alterShareGroupOffsets", NO_SHARE_GROUPS),
    ("deleteShareGroupOffsets", NO_SHARE_GROUPS),
    ("deleteShareGroups", NO_SHARE_GROUPS),
    ("describeStreamsGroups", NO_STREAMS_GROUPS),
    ("deleteStreamsGroups", NO_STREAMS_GROUPS),
];

/// What each call gives, by its name.
fn calls(classes: &Path, port: u16) -> Vec<(String, String)> {
    let class_path = format!("{}:{}", classes.display(), kafka::class_path());
    let printed =
        process::run(kafka::java_with(&class_path, "AdminMethods").arg(format!("127.0.0.1:{port}")));
    printed
        .split("== ")
        .skip(1)
        .map(|call| {
            let (name, result) = call.split_once('\n').unwrap();
            (name.trim().to_owned(), result.trim().to_owned())
        })
        .collect()
}

#[test]
fn its_methods_give_the_same_of_both_brokers() {
    let (ours, theirs) = (Scratch::new("admin-jackfield"), Scratch::new("admin-kafka"));
    process::run(
        Command::new("javac")
            .args(["-nowarn", "-d"])
            .arg(ours.path())
            .args(["-cp", &kafka::class_path()])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/admin/AdminMethods.java")),
    );
    let broker = Broker::start(&ours, &["group.initial.rebalance.delay.ms=0"]);
    let kafka = RealKafka::start(&theirs, &[]);
    let (jackfield, kafka) = thread::scope(|scope| {
        let kafka = scope.spawn(|| calls(ours.path(), kafka.port));
        (calls(ours.path(), broker.port), kafka.join().unwrap())
    });
    let mut problems = Vec::new();
    for ((call, ours), (_, theirs)) in jackfield.iter().zip(&kafka) {
        let explained = DIFFERENCES.iter().any(|(name, _)| call == name);
        if explained == (ours == theirs) {
            let what = if explained { "no longer differs" } else { "differs" };
            problems.push(format!(
                "== {call} {what}\n-- Jackfield\n{ours}\n-- Kafka\n{theirs}"
            ));
        }
    }
    assert_eq!(jackfield.len(), kafka.len(), "calls");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    shown(
        "Java AdminClient",
        kafka::VERSION,
        "every method, one by one: the same answers as from Apache Kafka but for those below",
    );
}
