//! Removes what nobody needs any more: expired offsets, groups without members and offsets, offsets of deleted topics.

use std::time::Duration;

use super::{coordinator::Groups, error::GroupError, offsets, records::GroupRecord, shard::Shard};

/// Most tombstones in one batch.
const BATCH_RECORDS_MAX: usize = 1_000;

impl Groups {
    pub(super) async fn run_expiry(&self) {
        let interval = Duration::from_millis(self.inner.config.offsets_retention_check_interval_ms.max(1));
        loop {
            tokio::time::sleep(interval).await;
            self.expire();
        }
    }

    /// One pass over all groups.
    pub(super) fn expire(&self) {
        let retention_ms = self.inner.config.offsets_retention_ms;
        let now = self.now();
        for index in 0..self.shard_count() {
            let mut shard = self.lock(index);
            let ids: Vec<String> = shard.groups.keys().cloned().collect();
            for group_id in ids {
                let Some(entry) = shard.groups.get(&group_id) else {
                    continue;
                };
                let expired = entry
                    .offsets
                    .expired(&group_id, &entry.group, retention_ms, now.wall_ms);
                let outcome = write_tombstones(&mut shard, &group_id, expired, now)
                    .and_then(|()| remove_if_unused(&mut shard, &group_id, now));
                if let Err(error) = outcome {
                    tracing::warn!(group = %group_id, %error, "expired offsets are not removed this time");
                    break;
                }
            }
        }
    }

    /// Removes the offsets of a deleted topic from all groups.
    pub fn topic_deleted(&self, topic: &str) {
        let now = self.now();
        for index in 0..self.shard_count() {
            let mut shard = self.lock(index);
            let ids: Vec<String> = shard.groups.keys().cloned().collect();
            for group_id in ids {
                let Some(entry) = shard.groups.get(&group_id) else {
                    continue;
                };
                let gone = entry
                    .offsets
                    .iter()
                    .filter(|(of, _, _)| *of == topic)
                    .map(|(of, partition, _)| offsets::tombstone(&group_id, of, partition))
                    .collect();
                if let Err(error) = write_tombstones(&mut shard, &group_id, gone, now) {
                    tracing::warn!(group = %group_id, topic, %error, "offsets of a deleted topic are not removed");
                    break;
                }
            }
        }
    }
}

fn write_tombstones(
    shard: &mut Shard,
    group_id: &str,
    tombstones: Vec<GroupRecord>,
    now: super::classic::effects::Now,
) -> Result<(), GroupError> {
    if !tombstones.is_empty() {
        tracing::info!(group = group_id, offsets = tombstones.len(), "offsets removed");
    }
    for batch in tombstones.chunks(BATCH_RECORDS_MAX) {
        shard.append(group_id, batch, now)?;
    }
    Ok(())
}

/// As Kafka does, a group that has neither members nor offsets goes away with the next pass.
fn remove_if_unused(
    shard: &mut Shard,
    group_id: &str,
    now: super::classic::effects::Now,
) -> Result<(), GroupError> {
    let unused = shard
        .groups
        .get(group_id)
        .is_some_and(|entry| entry.group.is_empty() && entry.offsets.is_empty());
    if unused {
        let end = shard
            .groups
            .get(group_id)
            .map_or_else(Vec::new, |entry| entry.group.end(group_id));
        shard.append(group_id, &end, now)?;
        shard.remove(group_id, now);
        tracing::info!(group = group_id, "unused group removed");
    }
    Ok(())
}
