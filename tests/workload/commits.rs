//! Offsets that groups commit one after the other: what was acknowledged is there after every restart, or something later.

use std::{collections::BTreeMap, io};

use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetFetchRequest,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::OffsetFetchRequestTopic,
};

use crate::harness::{
    wait,
    wire::{Wire, text, topic},
};

const GROUPS: usize = 3;
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE and NOT_COORDINATOR: ask again.
const ASK_AGAIN: [i16; 3] = [14, 15, 16];

/// The last offsets of a group: asked for, and acknowledged.
#[derive(Debug, Clone, Copy, Default)]
struct Offsets {
    attempted: i64,
    acknowledged: Option<i64>,
}

/// What was promised to every group.
#[derive(Debug)]
pub(crate) struct CommitBook {
    topic: &'static str,
    groups: BTreeMap<String, Offsets>,
    next: i64,
    /// Commits that were acknowledged.
    pub(crate) acknowledged: usize,
}

impl CommitBook {
    /// For groups that read `topic`.
    pub(crate) fn new(topic: &'static str) -> Self {
        Self {
            topic,
            groups: (0..GROUPS)
                .map(|group| (format!("readers-{group}"), Offsets::default()))
                .collect(),
            next: 0,
            acknowledged: 0,
        }
    }

    /// Commits the next offset of the next group. `false` when the broker refused it or does not answer.
    pub(crate) fn step(&mut self, wire: &mut Wire) -> bool {
        self.next += 1;
        let group = format!("readers-{}", usize::try_from(self.next).unwrap() % GROUPS);
        self.commit(wire, &group).unwrap_or(false)
    }

    fn commit(&mut self, wire: &mut Wire, group: &str) -> io::Result<bool> {
        let offsets = self.groups.get_mut(group).expect("a group of ours");
        offsets.attempted = self.next;
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(self.next)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text(&metadata(self.next))));
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![
                OffsetCommitRequestTopic::default()
                    .with_name(topic(self.topic))
                    .with_partitions(vec![partition]),
            ]);
        let answer = wire.try_call(8, &request)?;
        if answer.topics[0].partitions[0].error_code != 0 {
            return Ok(false);
        }
        offsets.acknowledged = Some(self.next);
        self.acknowledged += 1;
        Ok(true)
    }

    /// Holds the groups' offsets against what was promised.
    pub(crate) fn check(&mut self, wire: &mut Wire) -> Vec<String> {
        let mut problems = Vec::new();
        for (group, offsets) in &mut self.groups {
            let (offset, said) = fetch(wire, group, self.topic);
            let earliest = offsets.acknowledged.unwrap_or(-1);
            if offset < earliest || offset > offsets.attempted {
                problems.push(format!(
                    "group {group} is at offset {offset}; acknowledged were {earliest}, the last attempt {}",
                    offsets.attempted
                ));
            } else if offset >= 0 && said != metadata(offset) {
                problems.push(format!(
                    "group {group} is at offset {offset} with the metadata '{said}'"
                ));
            }
            if offset >= 0 {
                // What was seen once is not taken back.
                offsets.acknowledged = Some(offset);
            }
        }
        problems
    }
}

fn metadata(offset: i64) -> String {
    format!("at {offset}")
}

fn fetch(wire: &mut Wire, group: &str, name: &str) -> (i64, String) {
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![
            OffsetFetchRequestTopic::default()
                .with_name(topic(name))
                .with_partition_indexes(vec![0]),
        ]));
    wait::until("the coordinator to answer", || {
        let answer = wire.call(7, &request);
        if ASK_AGAIN.contains(&answer.error_code) {
            return None;
        }
        assert_eq!(answer.error_code, 0, "fetching the offsets of {group}");
        let partition = &answer.topics[0].partitions[0];
        if ASK_AGAIN.contains(&partition.error_code) {
            return None;
        }
        assert_eq!(partition.error_code, 0, "fetching the offsets of {group}");
        let metadata = partition.metadata.as_ref().map(ToString::to_string);
        Some((partition.committed_offset, metadata.unwrap_or_default()))
    })
}
