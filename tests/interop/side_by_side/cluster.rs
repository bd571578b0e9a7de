//! `kafka-acls`, `kafka-cluster`, `kafka-broker-api-versions`, `kafka-metadata-quorum`, `kafka-features`.

use super::{BROKER, Side, masks};

pub(super) fn script(side: &mut Side<'_>) {
    for command in [
        &["cluster-id"][..],
        &["list-endpoints"],
        &["list-endpoints", "--include-fenced-brokers"],
    ] {
        // Ports are in a column of their own.
        let arguments = [command, &["--bootstrap-server", BROKER]].concat();
        side.run_with("ClusterTool", None, &arguments, masks::figures);
    }
    side.run("BrokerApiVersionsCommand", &[]);
    acls(side);
    for what in ["--status", "--replication"] {
        let arguments = ["--bootstrap-server", BROKER, "describe", what];
        side.run_with("MetadataQuorumCommand", None, &arguments, masks::figures);
    }
    let readable = [
        "--bootstrap-server",
        BROKER,
        "describe",
        "--replication",
        "--human-readable",
    ];
    side.run_with("MetadataQuorumCommand", None, &readable, masks::figures);
    features(side);
}

/// There is no authorizer.
fn acls(side: &mut Side<'_>) {
    for options in [
        &["--list"][..],
        &[
            "--add",
            "--allow-principal",
            "User:a",
            "--operation",
            "read",
            "--topic",
            "side",
        ],
        &["--remove", "--topic", "side", "--force"],
    ] {
        side.run("AclCommand", options);
    }
}

fn features(side: &mut Side<'_>) {
    for options in [
        &["describe"][..],
        &["upgrade", "--feature", "group.version=1"],
        &["upgrade", "--feature", "group.version=1", "--dry-run"],
        &["upgrade", "--feature", "metadata.version=30"],
        &["upgrade", "--metadata", "4.3-IV0"],
        &["upgrade", "--feature", "no.version=1"],
        &["upgrade", "--feature", "no.version=0"],
        &["upgrade", "--feature", "group.version=7"],
        &["downgrade", "--feature", "group.version=1"],
        &["downgrade", "--feature", "group.version=0", "--dry-run"],
        &["downgrade", "--metadata", "4.0-IV3"],
        &["downgrade", "--metadata", "4.0-IV3", "--unsafe"],
        &["disable", "--feature", "metadata.version"],
        &["disable", "--feature", "group.version", "--dry-run"],
        &["upgrade"],
    ] {
        side.run("FeatureCommand", options);
    }
}
