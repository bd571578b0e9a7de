//! `jackfield groups`: list, describe, delete, and move the offsets of consumer groups.

mod committed;
mod described;
mod reset;

use std::collections::BTreeMap;

use anyhow::bail;
use kafka_protocol::messages::{DeleteGroupsRequest, GroupId, ListGroupsRequest};
use serde_json::{Value, json};

use self::{
    committed::{Committed, TopicPartitions},
    described::Described,
};
use crate::{
    arguments::{GroupsAction, GroupsArguments},
    client::Connection,
    configuration::Environment,
    exit::Usage,
    kafka::{Kafka, Partition, Partitions, Refusal, text},
    output::{Outcome, Output, confirm, suggestion},
};

/// Kafka's states of groups of all kinds.
const STATES: [&str; 9] = [
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
    "NotReady",
    "Unknown",
];

/// Runs one action.
pub(crate) fn run(arguments: GroupsArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let output = Output::new(arguments.output, environment);
    let mut kafka = Kafka::connect(&connection)?;
    match arguments.action {
        GroupsAction::List { state } => list(&mut kafka, &output, &state),
        GroupsAction::Describe { groups } => describe(&mut kafka, &output, &groups),
        GroupsAction::Delete { groups, confirmation } => {
            let question = format!("delete {} with all committed offsets?", groups.join(", "));
            confirm(&question, confirmation.yes)?;
            delete(&mut kafka, &output, &groups)
        }
        GroupsAction::Reset(arguments) => reset::run(&mut kafka, &output, &arguments),
        GroupsAction::DeleteOffsets {
            group,
            topic,
            confirmation,
        } => {
            let question = format!("delete the offsets of {} in {group}?", topic.join(", "));
            confirm(&question, confirmation.yes)?;
            delete_offsets(&mut kafka, &output, &group, &topic)
        }
    }
}

/// A group as brokers list it.
#[derive(Debug, Clone)]
struct Listed {
    kind: String,
    state: String,
    protocol: String,
    coordinator: i32,
}

/// All groups; every broker knows those it looks after.
fn all(kafka: &mut Kafka) -> anyhow::Result<BTreeMap<String, Listed>> {
    let brokers: Vec<_> = kafka.brokers().keys().copied().collect();
    let mut groups = BTreeMap::new();
    for broker in brokers {
        let answer = kafka.at(broker, &ListGroupsRequest::default(), 5)?;
        if let Some(refusal) = Refusal::from_code(answer.error_code, None) {
            bail!("broker {broker} does not list its groups: {refusal}");
        }
        for group in answer.groups {
            // Older brokers tell no type, and know no other than the classic one.
            let kind = if group.group_type.is_empty() {
                "classic".to_owned()
            } else {
                group.group_type.to_lowercase()
            };
            let listed = Listed {
                kind,
                state: group.group_state.to_string(),
                protocol: group.protocol_type.to_string(),
                coordinator: broker,
            };
            groups.insert(group.group_id.to_string(), listed);
        }
    }
    Ok(groups)
}

fn list(kafka: &mut Kafka, output: &Output, states: &[String]) -> anyhow::Result<()> {
    let is_state = |name: &String| STATES.iter().any(|state| state.eq_ignore_ascii_case(name));
    if let Some(wrong) = states.iter().find(|name| !is_state(name)) {
        return Err(Usage(format!(
            "--state: '{wrong}' is no state of a group; there are {}",
            STATES.join(", ")
        ))
        .into());
    }
    let mut groups = all(kafka)?;
    let wanted =
        |state: &str| states.is_empty() || states.iter().any(|wanted| wanted.eq_ignore_ascii_case(state));
    groups.retain(|_, group| wanted(&group.state));
    let object = |(name, group): (&String, &Listed)| {
        json!({
            "group": name,
            "type": group.kind,
            "state": group.state,
            "protocol": group.protocol,
            "coordinator": group.coordinator,
        })
    };
    let document = groups.iter().map(object).collect();
    output.print(&Value::Array(document), || {
        let row = |(name, group): (&String, &Listed)| {
            let coordinator = group.coordinator.to_string();
            let protocol = if group.protocol.is_empty() {
                "-"
            } else {
                &group.protocol
            };
            vec![
                name.clone(),
                group.kind.clone(),
                group.state.clone(),
                protocol.to_owned(),
                coordinator,
            ]
        };
        let rows: Vec<_> = groups.iter().map(row).collect();
        output.table(&["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"], &rows)
    })
}

/// The groups that were named, or all.
fn chosen(kafka: &mut Kafka, names: &[String]) -> anyhow::Result<BTreeMap<String, Listed>> {
    let mut groups = all(kafka)?;
    if names.is_empty() {
        groups.retain(|_, group| described::is_known(&group.kind));
        return Ok(groups);
    }
    if let Some(name) = names.iter().find(|name| !groups.contains_key(*name)) {
        let near = suggestion(name, groups.keys().map(String::as_str));
        bail!("group '{name}' does not exist{near}");
    }
    groups.retain(|name, _| names.contains(name));
    Ok(groups)
}

fn describe(kafka: &mut Kafka, output: &Output, names: &[String]) -> anyhow::Result<()> {
    let (mut documents, mut text) = (Vec::new(), String::new());
    for (name, listed) in chosen(kafka, names)? {
        let group = described::fetch(kafka, &name, &listed.kind)?;
        let committed = committed::fetch(kafka, &name)?;
        let lines = lines(kafka, &group, &committed)?;
        documents.push(document(&name, &listed, &group, &lines));
        let gap = if text.is_empty() { "" } else { "\n" };
        text += gap;
        text += &in_words(output, &name, &listed, &group, &lines);
    }
    output.print(&Value::Array(documents), || text)
}

/// One partition of a group.
struct Line<'a> {
    partition: Partition,
    committed: Option<i64>,
    end: Option<i64>,
    member: Option<&'a described::Member>,
}

impl Line<'_> {
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed?).max(0))
    }
}

/// What is committed and what is assigned, with the ends of the partitions that still exist.
fn lines<'a>(
    kafka: &mut Kafka,
    group: &'a Described,
    committed: &Committed,
) -> anyhow::Result<Vec<Line<'a>>> {
    let mut owners: BTreeMap<Partition, &described::Member> = BTreeMap::new();
    for member in &group.members {
        owners.extend(
            member
                .assignment
                .iter()
                .map(|partition| (partition.clone(), member)),
        );
    }
    let all: std::collections::BTreeSet<_> = owners.keys().chain(committed.0.keys()).cloned().collect();
    let existing = Partitions::of(&kafka.all_topics()?, &[])?.0;
    let exists = existing
        .into_iter()
        .filter(|(partition, leader)| *leader >= 0 && all.contains(partition));
    let ends = kafka.ends(&Partitions(exists.collect()))?;
    let line = |partition: Partition| Line {
        committed: committed.0.get(&partition).copied(),
        end: ends.get(&partition).map(|range| range.end),
        member: owners.get(&partition).copied(),
        partition,
    };
    Ok(all.into_iter().map(line).collect())
}

/// Of the partitions that have one; `None` when none has.
fn total_lag(lines: &[Line<'_>]) -> Option<i64> {
    let mut known = lines.iter().filter_map(Line::lag).peekable();
    (lines.is_empty() || known.peek().is_some()).then(|| known.sum())
}

fn document(name: &str, listed: &Listed, group: &Described, lines: &[Line<'_>]) -> Value {
    let member = |member: &described::Member| {
        json!({
            "member_id": member.id,
            "instance_id": member.instance,
            "client_id": member.client,
            "host": member.host,
            "assignment": by_topic(&member.assignment),
        })
    };
    let offset = |line: &Line<'_>| {
        json!({
            "topic": line.partition.0,
            "partition": line.partition.1,
            "committed": line.committed,
            "end": line.end,
            "lag": line.lag(),
            "member_id": line.member.map(|member| &member.id),
        })
    };
    json!({
        "group": name,
        "type": listed.kind,
        "state": group.state,
        "protocol": listed.protocol,
        "assignor": group.assignor,
        "coordinator": listed.coordinator,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
        "offsets": lines.iter().map(offset).collect::<Vec<_>>(),
        "total_lag": total_lag(lines),
    })
}

fn by_topic(partitions: &[Partition]) -> Value {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topic = |(topic, partitions): (&&str, &Vec<i32>)| json!({"topic": topic, "partitions": partitions});
    topics.iter().map(topic).collect()
}

fn in_words(output: &Output, name: &str, listed: &Listed, group: &Described, lines: &[Line<'_>]) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let unknown = lines.iter().filter(|line| line.lag().is_none()).count();
    let lag = match (total_lag(lines), unknown) {
        (None, _) => "lag unknown".to_owned(),
        (Some(lag), 0) => format!("lag {lag}"),
        (Some(lag), 1) => format!("lag {lag} (without 1 partition whose lag is unknown)"),
        (Some(lag), many) => format!("lag {lag} (without {many} partitions whose lag is unknown)"),
    };
    let members = match group.members.len() {
        0 => "no members".to_owned(),
        1 => "1 member".to_owned(),
        many => format!("{many} members"),
    };
    let assignor = if group.assignor.is_empty() { "" } else { ", " };
    let mut text = format!(
        "{name}: {}, {} group{assignor}{}, {members}, {lag}, coordinator {}\n",
        group.state, listed.kind, group.assignor, listed.coordinator
    );
    let row = |line: &Line<'_>| {
        let client = line.member.map_or("-", |member| &member.client);
        let host = line.member.map_or("-", |member| &member.host);
        vec![
            line.partition.0.clone(),
            line.partition.1.to_string(),
            number(line.committed),
            number(line.end),
            number(line.lag()),
            client.to_owned(),
            host.to_owned(),
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    if !rows.is_empty() {
        let header = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "CLIENT", "HOST"];
        text += &output.table(&header, &rows);
    }
    if !group.members.is_empty() {
        let row = |member: &described::Member| {
            let partitions = TopicPartitions::shown(&member.assignment);
            vec![member.id.clone(), member.client.clone(), partitions]
        };
        let rows: Vec<_> = group.members.iter().map(row).collect();
        text += &output.table(&["MEMBER", "CLIENT", "PARTITIONS"], &rows);
    }
    text
}

fn delete(kafka: &mut Kafka, output: &Output, names: &[String]) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    for name in names {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(name))]);
        let code = |answer: &kafka_protocol::messages::DeleteGroupsResponse| {
            answer.results.first().map_or(0, |result| result.error_code)
        };
        let answer = kafka.group(name, &request, 2, code)?;
        let mut refusal = Refusal::from_code(code(&answer), None);
        if let Some(refusal) = refusal.as_mut().filter(|refusal| refusal.code == 69) {
            let known = all(kafka)?;
            refusal.message += &suggestion(name, known.keys().map(String::as_str));
        }
        outcomes.push(Outcome {
            kind: "group",
            name: name.clone(),
            result: refusal.map_or_else(|| Ok("deleted".to_owned()), Err),
        });
    }
    output.outcomes(&outcomes)
}

fn delete_offsets(kafka: &mut Kafka, output: &Output, group: &str, topics: &[String]) -> anyhow::Result<()> {
    chosen(kafka, &[group.to_owned()])?;
    let committed = committed::fetch(kafka, group)?;
    let wanted = TopicPartitions::parse(topics)?;
    let partitions = wanted.of_committed(group, &committed)?;
    let outcomes = committed::delete(kafka, group, &partitions)?;
    output.outcomes(&outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_that_nobody_knows_is_not_none() {
        let total = |committed: &[Option<i64>]| {
            let line = |committed: &Option<i64>| Line {
                partition: ("t".to_owned(), 0),
                committed: *committed,
                end: Some(5),
                member: None,
            };
            total_lag(&committed.iter().map(line).collect::<Vec<_>>())
        };
        assert_eq!(total(&[]), Some(0));
        assert_eq!(total(&[None, None]), None);
        assert_eq!(total(&[None, Some(3), Some(5)]), Some(2));
    }
}
