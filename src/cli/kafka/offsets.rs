//! ListOffsets: what positions in partitions are as offsets.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use anyhow::bail;
use kafka_protocol::messages::{
    BrokerId, ListOffsetsRequest,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    metadata_response::MetadataResponseTopic,
};

use super::{Kafka, Refusal, topic_name};
use crate::position::Position;

/// Kafka's timestamps for the two ends.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Topic and number.
pub(crate) type Partition = (String, i32);

/// Partitions with the brokers that lead them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partitions(pub(crate) BTreeMap<Partition, i32>);

impl Partitions {
    /// The partitions of topics, or those of them that `only` names.
    ///
    /// # Errors
    /// When a topic has no such partition.
    pub(crate) fn of(topics: &BTreeMap<String, MetadataResponseTopic>, only: &[i32]) -> anyhow::Result<Self> {
        let mut partitions = BTreeMap::new();
        for (name, topic) in topics {
            let have: BTreeSet<_> = topic
                .partitions
                .iter()
                .map(|found| found.partition_index)
                .collect();
            if let Some(missing) = only.iter().find(|wanted| !have.contains(wanted)) {
                bail!(
                    "topic '{name}' has no partition {missing}; it has {} partitions, from 0",
                    have.len()
                );
            }
            for found in &topic.partitions {
                if only.is_empty() || only.contains(&found.partition_index) {
                    partitions.insert((name.clone(), found.partition_index), found.leader_id.0);
                }
            }
        }
        Ok(Self(partitions))
    }

    /// Topics and numbers.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Partition> {
        self.0.keys()
    }
}

impl Kafka {
    /// First and next offset of partitions.
    pub(crate) fn ends(
        &mut self,
        partitions: &Partitions,
    ) -> anyhow::Result<BTreeMap<Partition, Range<i64>>> {
        let starts = self.list(partitions, EARLIEST)?;
        let mut ends = self.list(partitions, LATEST)?;
        let range = |(partition, start): (Partition, i64)| {
            let end = ends.remove(&partition)?;
            Some((partition, start..end))
        };
        Ok(starts.into_iter().filter_map(range).collect())
    }

    /// The offset of a position in each partition, never outside of what the partition holds.
    pub(crate) fn resolve(
        &mut self,
        partitions: &Partitions,
        position: Position,
    ) -> anyhow::Result<BTreeMap<Partition, i64>> {
        let ends = self.ends(partitions)?;
        let times = match position {
            Position::Time(time) => self.list(partitions, time)?,
            _ => BTreeMap::new(),
        };
        let offset = |(partition, range): (Partition, Range<i64>)| {
            let time = times.get(&partition).copied();
            let offset = place(position, &range, time);
            (partition, offset)
        };
        Ok(ends.into_iter().map(offset).collect())
    }

    /// One answer per partition; a time behind the last record has none, which Kafka says as -1.
    fn list(&mut self, partitions: &Partitions, timestamp: i64) -> anyhow::Result<BTreeMap<Partition, i64>> {
        let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
        for ((topic, partition), leader) in &partitions.0 {
            if *leader < 0 {
                bail!("partition {partition} of topic '{topic}' has no leader at the moment");
            }
            let topics = by_leader.entry(*leader).or_default();
            topics.entry(topic).or_default().push(*partition);
        }
        let mut found = BTreeMap::new();
        for (leader, topics) in by_leader {
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_timeout_ms(self.timeout_ms())
                .with_topics(
                    topics
                        .into_iter()
                        .map(|(topic, ids)| asked(topic, ids, timestamp))
                        .collect(),
                );
            let answer = self.at(leader, &request, 10)?;
            for topic in answer.topics {
                for partition in topic.partitions {
                    let id = partition.partition_index;
                    if let Some(refusal) = Refusal::from_code(partition.error_code, None) {
                        bail!("partition {id} of topic '{}': {refusal}", &*topic.name);
                    }
                    found.insert((topic.name.to_string(), id), partition.offset);
                }
            }
        }
        Ok(found)
    }
}

fn asked(topic: &str, partitions: Vec<i32>, timestamp: i64) -> ListOffsetsTopic {
    let partition = |id| {
        ListOffsetsPartition::default()
            .with_partition_index(id)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp)
    };
    ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(partitions.into_iter().map(partition).collect())
}

/// The offset of a position in a partition that holds `range`.
fn place(position: Position, range: &Range<i64>, time: Option<i64>) -> i64 {
    let offset = match position {
        Position::Earliest => range.start,
        Position::Latest => range.end,
        Position::Offset(offset) => offset,
        Position::BeforeEnd(count) => range.end.saturating_sub(count),
        Position::BehindStart(count) => range.start.saturating_add(count),
        Position::Time(_) => time.filter(|offset| *offset >= 0).unwrap_or(range.end),
    };
    offset.clamp(range.start, range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stay_inside() {
        for (position, time, offset) in [
            (Position::Earliest, None, 10),
            (Position::Latest, None, 20),
            (Position::Offset(12), None, 12),
            (Position::Offset(3), None, 10),
            (Position::Offset(30), None, 20),
            (Position::BeforeEnd(3), None, 17),
            (Position::BeforeEnd(i64::MAX), None, 10),
            (Position::BehindStart(3), None, 13),
            (Position::BehindStart(i64::MAX), None, 20),
            (Position::Time(5), Some(15), 15),
            (Position::Time(5), Some(-1), 20),
        ] {
            assert_eq!(place(position, &(10..20), time), offset, "{position:?}");
        }
    }
}
