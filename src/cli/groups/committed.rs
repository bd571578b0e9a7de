//! Offsets that a group has committed: fetched, committed anew, deleted; and how they are named on the command line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    offset_fetch_request::OffsetFetchRequestGroup,
};

use crate::{
    exit::Usage,
    kafka::{Kafka, Partition, Refusal, text, topic_name},
    output::Outcome,
};

/// Committed offsets by partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed(pub(crate) BTreeMap<Partition, i64>);

/// Everything a group has committed.
pub(crate) fn fetch(kafka: &mut Kafka, group: &str) -> anyhow::Result<Committed> {
    let id = GroupId(text(group));
    // From version 8 on a request has a list of groups, and older brokers have one group in other fields.
    let request = if kafka.serves::<OffsetFetchRequest>(8) {
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(id)
            .with_topics(None);
        OffsetFetchRequest::default().with_groups(vec![wanted])
    } else {
        OffsetFetchRequest::default().with_group_id(id).with_topics(None)
    };
    let code = |answer: &OffsetFetchResponse| {
        let of_group = answer.groups.first().map_or(0, |group| group.error_code);
        if of_group == 0 {
            answer.error_code
        } else {
            of_group
        }
    };
    let answer = kafka.group(group, &request, 9, code)?;
    if let Some(refusal) = Refusal::from_code(code(&answer), None) {
        bail!("the offsets of group '{group}': {refusal}");
    }
    let mut committed = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            committed.insert(
                (topic.name.to_string(), partition.partition_index),
                partition.committed_offset,
            );
        }
    }
    for topic in answer.groups.into_iter().flat_map(|group| group.topics) {
        for partition in topic.partitions {
            committed.insert(
                (topic.name.to_string(), partition.partition_index),
                partition.committed_offset,
            );
        }
    }
    // -1: a partition nothing was committed for.
    committed.retain(|_, offset| *offset >= 0);
    Ok(Committed(committed))
}

/// Commits for a group without members, which is what brokers take from somebody who is no member.
pub(crate) fn commit(
    kafka: &mut Kafka,
    group: &str,
    offsets: &BTreeMap<Partition, i64>,
) -> anyhow::Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, id), offset) in offsets {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*id)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("")));
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| {
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions)
    };
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(topics.into_iter().map(topic).collect());
    let first = |answer: &kafka_protocol::messages::OffsetCommitResponse| {
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.next().map_or(0, |partition| partition.error_code)
    };
    let answer = kafka.group(group, &request, 9, first)?;
    for topic in &answer.topics {
        for partition in &topic.partitions {
            if let Some(refusal) = Refusal::from_code(partition.error_code, None) {
                let id = partition.partition_index;
                bail!(
                    "partition {id} of topic '{}' in group '{group}': {refusal}",
                    &*topic.name
                );
            }
        }
    }
    Ok(())
}

/// Forgets offsets.
pub(crate) fn delete(
    kafka: &mut Kafka,
    group: &str,
    partitions: &BTreeSet<Partition>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (topic, id) in partitions {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*id);
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| {
        OffsetDeleteRequestTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions)
    };
    let request = OffsetDeleteRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(topics.into_iter().map(topic).collect());
    let answer = kafka.group(group, &request, 0, |answer| answer.error_code)?;
    if let Some(refusal) = Refusal::from_code(answer.error_code, None) {
        bail!("group '{group}': {refusal}");
    }
    let mut outcomes = Vec::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            outcomes.push(Outcome {
                kind: "offset",
                name: format!("{}:{}", &*topic.name, partition.partition_index),
                result: Refusal::from_code(partition.error_code, None)
                    .map_or_else(|| Ok("deleted".to_owned()), Err),
            });
        }
    }
    Ok(outcomes)
}

/// `topic`, or `topic:0,2`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TopicPartitions(pub(crate) BTreeMap<String, Vec<i32>>);

impl TopicPartitions {
    /// Reads the values of `--topic`.
    pub(crate) fn parse(texts: &[String]) -> anyhow::Result<Self> {
        let mut topics: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for text in texts {
            let (topic, ids) = text
                .split_once(':')
                .map_or((text.as_str(), None), |(topic, ids)| (topic, Some(ids)));
            let partitions = topics.entry(topic.to_owned()).or_default();
            for id in ids.into_iter().flat_map(|ids| ids.split(',')) {
                let id = id.trim().parse::<i32>().ok().filter(|id| *id >= 0);
                partitions
                    .push(id.ok_or_else(|| Usage(format!("--topic {text}: must be topic or topic:0,1,2")))?);
            }
        }
        Ok(Self(topics))
    }

    /// Partitions of these that a group has committed offsets for.
    pub(crate) fn of_committed(
        &self,
        group: &str,
        committed: &Committed,
    ) -> anyhow::Result<BTreeSet<Partition>> {
        let mut chosen = BTreeSet::new();
        for (topic, only) in &self.0 {
            let mut found: BTreeSet<_> = committed
                .0
                .keys()
                .filter(|(name, _)| name == topic)
                .cloned()
                .collect();
            found.retain(|(_, id)| only.is_empty() || only.contains(id));
            if found.is_empty() {
                let ids: Vec<_> = only.iter().map(ToString::to_string).collect();
                let colon = if ids.is_empty() { "" } else { ":" };
                bail!(
                    "group '{group}' has no committed offsets of {topic}{colon}{}",
                    ids.join(",")
                );
            }
            chosen.extend(found);
        }
        Ok(chosen)
    }

    /// Partitions for people: `a:0,2 b:1`.
    pub(crate) fn shown(partitions: &[Partition]) -> String {
        let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (topic, id) in partitions {
            topics.entry(topic).or_default().push(id.to_string());
        }
        let topics: Vec<_> = topics
            .iter()
            .map(|(topic, ids)| format!("{topic}:{}", ids.join(",")))
            .collect();
        topics.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_on_the_command_line() {
        let parse = |texts: &[&str]| {
            TopicPartitions::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        let parsed = parse(&["a", "b:0,2"]).unwrap();
        assert_eq!(parsed.0["a"], [0; 0]);
        assert_eq!(parsed.0["b"], [0, 2]);
        for wrong in ["a:", "a:x", "a:-1"] {
            let error = parse(&[wrong]).unwrap_err().to_string();
            assert_eq!(error, format!("--topic {wrong}: must be topic or topic:0,1,2"));
        }
        let partition = |topic: &str, id| (topic.to_owned(), id);
        let committed = Committed([(partition("a", 0), 5), (partition("b", 1), 6)].into());
        assert_eq!(
            parse(&["a"]).unwrap().of_committed("g", &committed).unwrap(),
            [partition("a", 0)].into()
        );
        let error = parsed.of_committed("g", &committed).unwrap_err().to_string();
        assert_eq!(error, "group 'g' has no committed offsets of b:0,2");
        assert_eq!(
            TopicPartitions::shown(&[partition("b", 1), partition("a", 0), partition("a", 2)]),
            "a:0,2 b:1"
        );
    }
}
