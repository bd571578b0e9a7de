//! Committed offsets of one group.

use std::collections::BTreeMap;

use super::{
    group::Group,
    records::{GroupRecord, OffsetValue},
};

/// Offsets by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    by_topic: BTreeMap<String, BTreeMap<i32, OffsetValue>>,
}

impl Offsets {
    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&OffsetValue> {
        self.by_topic.get(topic)?.get(&partition)
    }

    pub(crate) fn put(&mut self, topic: &str, partition: i32, value: OffsetValue) {
        match self.by_topic.get_mut(topic) {
            Some(partitions) => {
                partitions.insert(partition, value);
            }
            None => {
                self.by_topic
                    .insert(topic.to_owned(), BTreeMap::from([(partition, value)]));
            }
        }
    }

    pub(crate) fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.by_topic.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.by_topic.remove(topic);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// All offsets, by topic and partition.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i32, &OffsetValue)> {
        self.by_topic.iter().flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(move |(partition, value)| (topic.as_str(), *partition, value))
        })
    }

    /// Tombstones for what has aged beyond retention.
    pub(crate) fn expired(
        &self,
        group_id: &str,
        group: &Group,
        retention_ms: i64,
        now_ms: i64,
    ) -> Vec<GroupRecord> {
        self.iter()
            .filter(|(topic, _, _)| !group.is_subscribed_to(topic))
            .filter(|(_, _, value)| is_expired(group, value, retention_ms, now_ms))
            .map(|(topic, partition, _)| tombstone(group_id, topic, partition))
            .collect()
    }
}

fn is_expired(group: &Group, value: &OffsetValue, retention_ms: i64, now_ms: i64) -> bool {
    let Some(base_ms) = group.offsets_age_from(value.commit_timestamp) else {
        return false;
    };
    match value.expire_timestamp {
        Some(expire_ms) => now_ms >= expire_ms,
        None => now_ms.saturating_sub(base_ms) >= retention_ms,
    }
}

/// The record that removes an offset.
pub(crate) fn tombstone(group_id: &str, topic: &str, partition: i32) -> GroupRecord {
    GroupRecord::Offset {
        group: group_id.to_owned(),
        topic: topic.to_owned(),
        partition,
        value: None,
    }
}
