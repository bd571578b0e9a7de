//! Committed offsets: commit, fetch, delete.

use jackfield_log::TopicId;

use super::{
    classic::{effects::Effects, group::ClassicGroup},
    coordinator::Groups,
    error::GroupError,
    group::Group,
    offsets,
    records::{GroupRecord, OffsetValue},
    shard::Entry,
};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub struct GroupPartition {
    pub topic: String,
    pub partition: i32,
}

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// Of which partition; it must exist.
    pub partition: GroupPartition,
    /// Next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 = unknown.
    pub leader_epoch: i32,
    /// Anything the client wants to keep.
    pub metadata: String,
}

/// A commit.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// Group.
    pub group_id: String,
    /// Empty for a consumer that assigns itself.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// Generation or member epoch; -1 for a consumer that assigns itself.
    pub generation: i32,
    /// Version of the request.
    pub version: i16,
    /// Kept this long after now instead of by the broker's retention (OffsetCommit 2 to 4).
    pub retention_time_ms: Option<i64>,
    /// Offsets.
    pub offsets: Vec<OffsetToCommit>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct FetchedOffset {
    pub partition: GroupPartition,
    /// -1 = none committed.
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

impl Groups {
    /// Commits offsets; one result per offset.
    ///
    /// # Errors
    /// As Kafka refuses the whole request.
    pub async fn commit(&self, request: CommitRequest) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.ensure_offsets_topic().await?;
        let (results, after_offset) = self.start_commit(&request)?;
        self.durable(&request.group_id, after_offset).await?;
        Ok(results)
    }

    #[allow(
        clippy::type_complexity,
        reason = "a result per offset, and the offset to wait for"
    )]
    fn start_commit(
        &self,
        request: &CommitRequest,
    ) -> Result<(Vec<Result<(), GroupError>>, i64), GroupError> {
        let now = self.now();
        let checked: Vec<_> = request
            .offsets
            .iter()
            .map(|offset| self.check_offset(offset))
            .collect();
        let mut shard = self.open_shard(&request.group_id)?;
        let group_id = request.group_id.as_str();
        if !shard.groups.contains_key(group_id) {
            if request.generation >= 0 {
                return Err(GroupError::GroupIdNotFound);
            }
            let group = Group::Classic(ClassicGroup::new(group_id, now));
            shard.groups.insert(group_id.to_owned(), Entry::new(group));
        }
        let instance = request.group_instance_id.as_deref();
        if let Ok(group) = shard.consumer_group(group_id) {
            let check = group.validate_commit(&request.member_id, request.generation, request.version)?;
            for (offset, topic_id) in request.offsets.iter().zip(&checked) {
                // As in Kafka, one that is refused takes all others along.
                if let Ok(topic_id) = topic_id {
                    check.check(TopicId(*topic_id), offset.partition.partition)?;
                }
            }
        } else {
            let validated = shard.step(group_id, now, |group, _| {
                let validated = group.validate_commit(&request.member_id, instance, request.generation, now);
                (validated, Effects::default())
            });
            validated.unwrap_or(Err(GroupError::UnknownMemberId))?;
        }
        let expire_timestamp = request
            .retention_time_ms
            .map(|retention| now.wall_ms.saturating_add(retention));
        let mut records = Vec::new();
        for (offset, topic_id) in request.offsets.iter().zip(&checked) {
            if let Ok(topic_id) = topic_id {
                records.push(offset_record(
                    group_id,
                    offset,
                    *topic_id,
                    now.wall_ms,
                    expire_timestamp,
                ));
            }
        }
        let after_offset = if records.is_empty() {
            -1
        } else {
            shard.append(group_id, &records, now)?
        };
        Ok((
            checked.into_iter().map(|topic_id| topic_id.map(|_| ())).collect(),
            after_offset,
        ))
    }

    /// The topic's id, when the offset may be committed.
    fn check_offset(&self, offset: &OffsetToCommit) -> Result<[u8; 16], GroupError> {
        let topic = self.inner.topics.get(&offset.partition.topic);
        let topic = topic.ok_or(GroupError::UnknownTopicOrPartition)?;
        let index = usize::try_from(offset.partition.partition).ok();
        if index.is_none_or(|index| index >= topic.partitions.len()) {
            return Err(GroupError::UnknownTopicOrPartition);
        }
        // Java counts UTF-16 units.
        if offset.metadata.encode_utf16().count() > self.inner.config.offset_metadata_max_bytes {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        Ok(topic.id.0)
    }

    /// Committed offsets of the given partitions, or of all that have one.
    ///
    /// # Errors
    /// As Kafka refuses the whole group.
    pub async fn fetch(
        &self,
        group_id: &str,
        partitions: Option<&[GroupPartition]>,
    ) -> Result<Vec<FetchedOffset>, GroupError> {
        let (offsets, after_offset) = self.read_offsets(group_id, partitions)?;
        self.durable(group_id, after_offset).await?;
        Ok(offsets)
    }

    /// Checks that whoever fetches offsets is a current member; who does not say who it is is not asked.
    ///
    /// # Errors
    /// `UnknownMemberId`, or what tells a member that its epoch is not the current one.
    pub fn check_fetch(
        &self,
        group_id: &str,
        member_id: Option<&str>,
        member_epoch: i32,
    ) -> Result<(), GroupError> {
        let shard = self.open_shard(group_id)?;
        match shard.consumer_group(group_id) {
            Ok(group) => group.validate_fetch(member_id, member_epoch),
            Err(_) => Ok(()),
        }
    }

    fn read_offsets(
        &self,
        group_id: &str,
        partitions: Option<&[GroupPartition]>,
    ) -> Result<(Vec<FetchedOffset>, i64), GroupError> {
        let shard = self.open_shard(group_id)?;
        let entry = shard.groups.get(group_id);
        let after_offset = entry.map_or(-1, |entry| entry.newest_record);
        let offsets = match partitions {
            Some(partitions) => partitions
                .iter()
                .map(|partition| {
                    let value =
                        entry.and_then(|entry| entry.offsets.get(&partition.topic, partition.partition));
                    fetched(partition.clone(), value)
                })
                .collect(),
            None => entry
                .iter()
                .flat_map(|entry| entry.offsets.iter())
                .map(|(topic, partition, value)| {
                    fetched(
                        GroupPartition {
                            topic: topic.to_owned(),
                            partition,
                        },
                        Some(value),
                    )
                })
                .collect(),
        };
        Ok((offsets, after_offset))
    }

    /// Removes committed offsets of topics the group is not subscribed to; one result per partition.
    ///
    /// # Errors
    /// As Kafka refuses the whole request.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        partitions: &[GroupPartition],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let (results, after_offset) = {
            let now = self.now();
            let mut shard = self.open_shard(group_id)?;
            let entry = shard.groups.get(group_id).ok_or(GroupError::GroupIdNotFound)?;
            entry.group.validate_offset_delete()?;
            let subscribed = |partition: &GroupPartition| entry.group.is_subscribed_to(&partition.topic);
            let results: Vec<_> = partitions
                .iter()
                .map(|partition| {
                    if subscribed(partition) {
                        Err(GroupError::GroupSubscribedToTopic)
                    } else {
                        Ok(())
                    }
                })
                .collect();
            let records: Vec<_> = partitions
                .iter()
                .filter(|partition| !subscribed(partition))
                .filter(|partition| entry.offsets.get(&partition.topic, partition.partition).is_some())
                .map(|partition| offsets::tombstone(group_id, &partition.topic, partition.partition))
                .collect();
            let after_offset = if records.is_empty() {
                -1
            } else {
                shard.append(group_id, &records, now)?
            };
            (results, after_offset)
        };
        self.durable(group_id, after_offset).await?;
        Ok(results)
    }

    /// Removes an empty group with its offsets.
    ///
    /// # Errors
    /// `NonEmptyGroup`, `GroupIdNotFound`.
    pub async fn delete_group(&self, group_id: &str) -> Result<(), GroupError> {
        let after_offset = {
            let now = self.now();
            let mut shard = self.open_shard(group_id)?;
            let entry = shard.groups.get(group_id).ok_or(GroupError::GroupIdNotFound)?;
            entry.group.validate_delete()?;
            let mut records: Vec<_> = entry
                .offsets
                .iter()
                .map(|(topic, partition, _)| offsets::tombstone(group_id, topic, partition))
                .collect();
            records.extend(entry.group.end(group_id));
            let after_offset = shard.append(group_id, &records, now)?;
            shard.remove(group_id, now);
            after_offset
        };
        self.durable(group_id, after_offset).await
    }
}

fn offset_record(
    group_id: &str,
    offset: &OffsetToCommit,
    topic_id: [u8; 16],
    commit_timestamp: i64,
    expire_timestamp: Option<i64>,
) -> GroupRecord {
    GroupRecord::Offset {
        group: group_id.to_owned(),
        topic: offset.partition.topic.clone(),
        partition: offset.partition.partition,
        value: Some(OffsetValue {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata: offset.metadata.clone(),
            commit_timestamp,
            expire_timestamp,
            topic_id,
        }),
    }
}

fn fetched(partition: GroupPartition, value: Option<&OffsetValue>) -> FetchedOffset {
    match value {
        Some(value) => FetchedOffset {
            partition,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
        },
        None => FetchedOffset {
            partition,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
        },
    }
}
