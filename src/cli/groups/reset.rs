//! `jackfield groups reset`: moves committed offsets, or shows how it would.

use std::collections::BTreeMap;

use anyhow::bail;
use serde_json::{Value, json};

use super::{
    all,
    committed::{self, Committed, TopicPartitions},
    described,
};
use crate::{
    arguments::{ResetArguments, ResetTarget},
    kafka::{Kafka, Partition, Partitions},
    output::Output,
    position::Position,
    times,
};

/// States in which nobody reads: brokers take commits from outside only then.
const QUIET: [&str; 2] = ["Empty", "Dead"];

/// Shows the new offsets, and commits them with `--execute`.
pub(crate) fn run(kafka: &mut Kafka, output: &Output, arguments: &ResetArguments) -> anyhow::Result<()> {
    let group = &arguments.group;
    // A group that does not exist may be given offsets before its first member comes.
    if let Some(listed) = all(kafka)?.remove(group) {
        let described = described::fetch(kafka, group, &listed.kind)?;
        if !QUIET.contains(&described.state.as_str()) {
            bail!(
                "group '{group}' is {} with {} active members; stop them first",
                described.state,
                described.members.len()
            );
        }
    }
    let committed = committed::fetch(kafka, group)?;
    let partitions = chosen(kafka, arguments, &committed)?;
    let offsets = targets(kafka, &arguments.target, &partitions, &committed)?;
    if arguments.execute {
        committed::commit(kafka, group, &offsets)?;
    }
    print(output, arguments, &committed, &offsets)
}

fn chosen(
    kafka: &mut Kafka,
    arguments: &ResetArguments,
    committed: &Committed,
) -> anyhow::Result<Partitions> {
    if arguments.all_topics {
        let mut partitions = Partitions::of(&kafka.all_topics()?, &[])?;
        partitions
            .0
            .retain(|partition, _| committed.0.contains_key(partition));
        if partitions.0.is_empty() {
            bail!(
                "group '{}' has no committed offsets; name a topic with --topic",
                arguments.group
            );
        }
        return Ok(partitions);
    }
    let mut partitions = BTreeMap::new();
    for (topic, only) in TopicPartitions::parse(&arguments.topic)?.0 {
        partitions.extend(Partitions::of(&kafka.topics(&[topic])?, &only)?.0);
    }
    Ok(Partitions(partitions))
}

fn targets(
    kafka: &mut Kafka,
    target: &ResetTarget,
    partitions: &Partitions,
    committed: &Committed,
) -> anyhow::Result<BTreeMap<Partition, i64>> {
    let position = if target.to_earliest {
        Position::Earliest
    } else if target.to_latest {
        Position::Latest
    } else if let Some(offset) = target.to_offset {
        Position::Offset(offset)
    } else if let Some(time) = target.to_datetime {
        Position::Time(time)
    } else if let Some(ago) = target.by_duration {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        Position::Time(times::now_ms().saturating_sub(ago))
    } else {
        return moved(kafka, target.shift_by, partitions, committed);
    };
    kafka.resolve(partitions, position)
}

/// From where the group is; where it has committed nothing it goes to the end when it is to stay, as with Kafka's tool.
fn moved(
    kafka: &mut Kafka,
    shift: Option<i64>,
    partitions: &Partitions,
    committed: &Committed,
) -> anyhow::Result<BTreeMap<Partition, i64>> {
    let ends = kafka.ends(partitions)?;
    let mut offsets = BTreeMap::new();
    for (partition, range) in ends {
        let offset = match (committed.0.get(&partition), shift) {
            (Some(offset), shift) => offset.saturating_add(shift.unwrap_or(0)),
            (None, None) => range.end,
            (None, Some(_)) => bail!(
                "nothing is committed for partition {} of topic '{}', so that it cannot be shifted",
                partition.1,
                partition.0
            ),
        };
        offsets.insert(partition, offset.clamp(range.start, range.end));
    }
    Ok(offsets)
}

fn print(
    output: &Output,
    arguments: &ResetArguments,
    committed: &Committed,
    offsets: &BTreeMap<Partition, i64>,
) -> anyhow::Result<()> {
    let before = |partition: &Partition| committed.0.get(partition).copied();
    let object = |(partition, offset): (&Partition, &i64)| {
        json!({
            "group": arguments.group,
            "topic": partition.0,
            "partition": partition.1,
            "before": before(partition),
            "after": offset,
            "executed": arguments.execute,
        })
    };
    let document = offsets.iter().map(object).collect();
    output.print(&Value::Array(document), || {
        let row = |(partition, offset): (&Partition, &i64)| {
            let before = before(partition).map_or_else(|| "-".to_owned(), |offset| offset.to_string());
            vec![
                partition.0.clone(),
                partition.1.to_string(),
                before,
                offset.to_string(),
            ]
        };
        let rows: Vec<_> = offsets.iter().map(row).collect();
        output.table(&["TOPIC", "PARTITION", "BEFORE", "AFTER"], &rows)
    })?;
    if !arguments.execute {
        eprintln!("nothing was changed; --execute carries it out");
    }
    Ok(())
}
