//! Topics that are created, written to and deleted all the time under a few names, and what the broker said of each: what
//! was acknowledged holds after every restart, what was not answered may have happened or not.

use std::{collections::BTreeMap, io};

use crate::harness::{
    batches::{self, Codec},
    wire::{Wire, creation, production, topic},
};
use kafka_protocol::messages::DeleteTopicsRequest;

const NAMES: usize = 5;
const PARTITIONS: i32 = 2;
/// Their records are old.
const CONFIGS: [(&str, &str); 1] = [("retention.ms", "-1")];
/// Batches a topic gets before it is deleted.
const BATCHES: usize = 2;

/// A topic whose creation was acknowledged.
#[derive(Debug, Clone)]
struct Made {
    id: [u8; 16],
    sent: Vec<String>,
    acknowledged: Vec<String>,
}

/// What the last answers say about a name.
#[derive(Debug, Clone)]
enum Fate {
    Absent,
    /// Asked for, and not answered.
    Creating,
    Present(Made),
    /// Its deletion was asked for and not answered.
    Deleting(Made),
}

/// What was promised of every name.
#[derive(Debug)]
pub(crate) struct TopicBook {
    fates: BTreeMap<String, Fate>,
    next: usize,
    written: usize,
    /// Creations and deletions that were acknowledged.
    pub(crate) created: usize,
    pub(crate) deleted: usize,
}

impl TopicBook {
    pub(crate) fn new() -> Self {
        Self {
            fates: (0..NAMES)
                .map(|name| (format!("passing-{name}"), Fate::Absent))
                .collect(),
            next: 0,
            written: 0,
            created: 0,
            deleted: 0,
        }
    }

    /// The next step of the next name's life. `false` when the broker refused it or does not answer.
    pub(crate) fn step(&mut self, wire: &mut Wire) -> bool {
        let index = self.next % NAMES;
        self.next += 1;
        let name = format!("passing-{index}");
        self.change(wire, &name).unwrap_or(false)
    }

    /// The next step of the life of one name.
    pub(crate) fn step_first(&mut self, wire: &mut Wire) -> bool {
        self.change(wire, "passing-0").unwrap_or(false)
    }

    fn change(&mut self, wire: &mut Wire, name: &str) -> io::Result<bool> {
        let fate = self.fates.get_mut(name).expect("a name of ours");
        match fate {
            // Until the next look nobody knows.
            Fate::Creating | Fate::Deleting(_) => Ok(true),
            Fate::Absent => {
                *fate = Fate::Creating;
                let answer = wire.try_call(7, &creation(name, PARTITIONS, &CONFIGS))?;
                if answer.topics[0].error_code != 0 {
                    return Ok(false);
                }
                *fate = Fate::Present(Made {
                    id: *answer.topics[0].topic_id.as_bytes(),
                    sent: Vec::new(),
                    acknowledged: Vec::new(),
                });
                self.created += 1;
                Ok(true)
            }
            // A batch that was not answered may be there twice if it is sent again: the topic is left as it is.
            Fate::Present(made) if made.sent.len() > made.acknowledged.len() => Ok(true),
            Fate::Present(made) if made.acknowledged.len() < BATCHES => {
                self.written += 1;
                let value = format!("{name}-{}", self.written);
                made.sent.push(value.clone());
                let batch = batches::batch(Codec::None, None, &[batches::record(1_000, value.clone())]);
                let answer = wire.try_call(9, &production(name, 0, batch))?;
                if answer.responses[0].partition_responses[0].error_code != 0 {
                    return Ok(false);
                }
                made.acknowledged.push(value);
                Ok(true)
            }
            Fate::Present(made) => {
                *fate = Fate::Deleting(made.clone());
                let request = DeleteTopicsRequest::default()
                    .with_topic_names(vec![topic(name)])
                    .with_timeout_ms(30_000);
                let answer = wire.try_call(5, &request)?;
                if answer.responses[0].error_code != 0 {
                    return Ok(false);
                }
                *fate = Fate::Absent;
                self.deleted += 1;
                Ok(true)
            }
        }
    }

    /// Holds the broker's topics against what was promised; what was open is settled by what is there.
    pub(crate) fn check(&mut self, wire: &mut Wire) -> Vec<String> {
        let mut problems = Vec::new();
        let there = wire.topics();
        for (name, fate) in &mut self.fates {
            let partitions = there.get(name).copied();
            let settled = match (&*fate, partitions) {
                (Fate::Absent | Fate::Creating | Fate::Deleting(_), None) => Ok(Fate::Absent),
                (Fate::Absent, Some(_)) => Err("is back after its deletion was acknowledged".to_owned()),
                (Fate::Present(_), None) => Err("is gone after its creation was acknowledged".to_owned()),
                (Fate::Creating, Some(partitions)) => {
                    let made = Made {
                        id: wire.topic_id(name),
                        sent: Vec::new(),
                        acknowledged: Vec::new(),
                    };
                    judge(wire, name, partitions, &made).map(|()| Fate::Present(made))
                }
                (Fate::Present(made) | Fate::Deleting(made), Some(partitions)) => {
                    judge(wire, name, partitions, made).and_then(|()| settle(wire, name, made))
                }
            };
            match settled {
                Ok(settled) => *fate = settled,
                Err(problem) => problems.push(format!("topic {name} {problem}")),
            }
        }
        problems
    }
}

/// Whether a topic that is there is the one that was made, with all its partitions and records.
fn judge(wire: &mut Wire, name: &str, partitions: usize, made: &Made) -> Result<(), String> {
    if i32::try_from(partitions) != Ok(PARTITIONS) {
        return Err(format!("has {partitions} partitions instead of {PARTITIONS}"));
    }
    let id = wire.topic_id(name);
    if id != made.id {
        return Err(format!("has the id {id:?} instead of {:?}", made.id));
    }
    let values = read(wire, name)?;
    if !values.starts_with(&made.acknowledged) || values.len() > made.sent.len() {
        return Err(format!(
            "holds {values:?}; sent were {:?}, acknowledged {:?}",
            made.sent, made.acknowledged
        ));
    }
    Ok(())
}

/// What is there now counts as acknowledged.
fn settle(wire: &mut Wire, name: &str, made: &Made) -> Result<Fate, String> {
    let values = read(wire, name)?;
    Ok(Fate::Present(Made {
        id: made.id,
        sent: values.clone(),
        acknowledged: values,
    }))
}

fn read(wire: &mut Wire, name: &str) -> Result<Vec<String>, String> {
    for partition in 1..PARTITIONS {
        if wire.list_offset(name, partition, -1) != 0 {
            return Err(format!("has records in partition {partition}, which got none"));
        }
    }
    let records = wire.try_read_all(name, 0)?;
    Ok(records.iter().map(batches::ReadRecord::text).collect())
}
