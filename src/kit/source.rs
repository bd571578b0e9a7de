//! Sources: that they give records, never wait, and go on where their offsets say.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_api::ErrorKind;
use jackfield_plugin::{HostedSource, PollLimits, Polled, PolledBatch};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    Entry, Verdict, checks,
    peer::Behaviour,
    stage::{Stage, Stored, said},
};

pub(crate) const CHECKS: &[Entry] = checks![
    "starts, gives records, stops" => gives_records,
    "poll never waits" => never_waits,
    "records carry source offsets" => carries_offsets,
    "batches are split at max_records and max_bytes" => splits,
    "goes on behind the offsets that were committed" => restarts,
    "killed between batch and commit, gives the batch again" => killed,
    "hears what was committed" => hears_commits,
    "starts with odd stored offsets, or refuses them" => odd_offsets,
    "a slow peer does not make it wait" => slow_peer,
    "a peer that fails is asked again" => failing_peer,
];

const LIMITS: PollLimits = PollLimits {
    max_records: 500,
    max_bytes: 1 << 20,
};
/// No check waits longer for records.
const DEADLINE: Duration = Duration::from_secs(30);
/// A poll that takes longer waits for something.
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// A source is asked again after this time, however long it wants to rest.
const LONGEST_IDLE: Duration = Duration::from_millis(200);
const PEER_DELAY: Duration = Duration::from_millis(1_500);

/// What identifies a record: where it goes and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    topic: String,
    partition: Option<Value>,
    offset: Option<Value>,
}

/// A started task.
struct Run {
    source: Box<dyn HostedSource>,
    wake: Arc<Notify>,
    longest_poll: Duration,
    batches: u64,
}

impl Run {
    async fn start(stage: &Stage<'_>, stored: Stored) -> Result<Self, String> {
        let services = stage.services(stored);
        let wake = Arc::clone(&services.wake);
        let config = stage.task_config().await?;
        let source = stage.plugin.start_source(&config, services).await;
        Ok(Self {
            source: source.map_err(|error| said("start", &error))?,
            wake,
            longest_poll: Duration::ZERO,
            batches: 0,
        })
    }

    /// Polls until so many records came.
    async fn collect(&mut self, wanted: usize, limits: PollLimits) -> Result<Vec<Seen>, String> {
        let started = Instant::now();
        let mut seen = Vec::new();
        let mut refusal = None;
        while seen.len() < wanted {
            if started.elapsed() > DEADLINE {
                let last = refusal.map_or_else(String::new, |refusal| format!("; last: {refusal}"));
                let came = seen.len();
                return Err(format!(
                    "{came} of {wanted} records came within {} s{last}",
                    DEADLINE.as_secs()
                ));
            }
            match self.poll(limits).await {
                Ok(Polled::Batch(batch)) => seen.extend(self.received(&batch)?),
                Ok(Polled::Idle(ms)) => {
                    let rest = ms.map_or(LONGEST_IDLE, Duration::from_millis).min(LONGEST_IDLE);
                    let _ = tokio::time::timeout(rest, self.wake.notified()).await;
                }
                Err(error) if error.kind == ErrorKind::Retriable => {
                    refusal = Some(error.message);
                    tokio::time::sleep(LONGEST_IDLE).await;
                }
                Err(error) => return Err(said("poll", &error)),
            }
        }
        Ok(seen)
    }

    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, jackfield_plugin::PluginError> {
        let started = Instant::now();
        let polled = self.source.poll(limits).await;
        self.longest_poll = self.longest_poll.max(started.elapsed());
        polled
    }

    fn received(&mut self, batch: &PolledBatch) -> Result<Vec<Seen>, String> {
        self.batches += u64::from(!batch.is_empty());
        let object = |what: &str, text: &str| match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(value),
            _ => Err(format!("{what} is not a JSON object: {text}")),
        };
        let seen = batch.records().map(|found| {
            let record = found.record;
            let partition = record.source_partition.map(|index| batch.source_partition(index));
            Ok(Seen {
                topic: batch.topic(record.topic).to_owned(),
                partition: partition
                    .map(|text| object("a source partition", text))
                    .transpose()?,
                offset: record
                    .source_offset
                    .map(|text| object("a source offset", text))
                    .transpose()?,
            })
        });
        seen.collect()
    }

    async fn stop(self) {
        self.source.stop().await;
    }
}

/// The first records of a task that starts from nothing.
async fn first(stage: &Stage<'_>, wanted: usize) -> Result<Vec<Seen>, String> {
    let mut run = Run::start(stage, Stored::default()).await?;
    let seen = run.collect(wanted, LIMITS).await?;
    run.stop().await;
    Ok(seen)
}

/// What is stored when these records were committed.
fn stored(seen: &[Seen]) -> Stored {
    let mut stored = Stored::default();
    for record in seen {
        if let (Some(partition), Some(offset)) = (&record.partition, &record.offset) {
            stored.source.retain(|(known, _)| known != partition);
            stored.source.push((partition.clone(), offset.clone()));
        }
    }
    stored
}

fn has_offsets(seen: &[Seen]) -> bool {
    seen.iter()
        .all(|record| record.partition.is_some() && record.offset.is_some())
}

/// Fails unless `found` is how `expected` goes on, in each source partition.
fn goes_on(expected: &[Seen], found: &[Seen], what: &str) -> Result<(), String> {
    let partitions: Vec<_> = expected
        .iter()
        .chain(found)
        .filter_map(|seen| seen.partition.as_ref())
        .collect();
    let mut done = Vec::new();
    for partition in partitions {
        if done.contains(&partition) {
            continue;
        }
        done.push(partition);
        let of = |seen: &'_ [Seen]| -> Vec<Value> {
            let own = seen
                .iter()
                .filter(|seen| seen.partition.as_ref() == Some(partition));
            own.filter_map(|seen| seen.offset.clone()).collect()
        };
        let (expected, found) = (of(expected), of(found));
        let both = expected.iter().zip(&found);
        if let Some((expected, found)) = both.into_iter().find(|(expected, found)| expected != found) {
            return Err(format!(
                "{what}: source partition {partition}: expected {expected}, found {found}"
            ));
        }
    }
    Ok(())
}

async fn gives_records(stage: &Stage<'_>) -> Verdict {
    let seen = first(stage, stage.scenario.records).await?;
    if let Some(seen) = seen.iter().find(|seen| seen.topic.is_empty()) {
        return Err(format!("a record has no topic: {seen:?}"));
    }
    Ok(None)
}

async fn never_waits(stage: &Stage<'_>) -> Verdict {
    let mut run = Run::start(stage, Stored::default()).await?;
    run.collect(stage.scenario.records, LIMITS).await?;
    // Once more, when there may be nothing.
    run.poll(LIMITS).await.map_err(|error| said("poll", &error))?;
    let longest = run.longest_poll;
    run.stop().await;
    waited(longest)
}

fn waited(longest: Duration) -> Verdict {
    if longest < LONGEST_POLL {
        return Ok(None);
    }
    Err(format!(
        "a poll took {} ms: return Idle with the time to come back, or begin the request and take its answer later",
        longest.as_millis()
    ))
}

async fn carries_offsets(stage: &Stage<'_>) -> Verdict {
    let seen = first(stage, stage.scenario.records).await?;
    if has_offsets(&seen) {
        return Ok(None);
    }
    Err("a record has no source partition or offset: it comes again after every restart".to_owned())
}

async fn splits(stage: &Stage<'_>) -> Verdict {
    let wanted = stage.scenario.records;
    let expected = first(stage, wanted).await?;
    for limits in [
        PollLimits {
            max_records: 1,
            ..LIMITS
        },
        PollLimits {
            max_bytes: 1,
            ..LIMITS
        },
    ] {
        let mut run = Run::start(stage, Stored::default()).await?;
        let mut found = Vec::new();
        while found.len() < wanted {
            let before = found.len();
            found.extend(run.collect(1, limits).await?);
            let size = found.len() - before;
            if size > 1 {
                return Err(format!("{size} records came at once within {limits:?}"));
            }
        }
        run.stop().await;
        goes_on(&expected, &found, "one by one")?;
    }
    Ok(None)
}

async fn restarts(stage: &Stage<'_>) -> Verdict {
    let wanted = stage.scenario.records;
    let all = first(stage, wanted).await?;
    if !has_offsets(&all) {
        return Ok(Some("records have no source offsets".to_owned()));
    }
    for committed in [1, wanted / 2, wanted.saturating_sub(1)] {
        let (before, after) = all.split_at(committed.clamp(1, all.len()));
        let mut run = Run::start(stage, stored(before)).await?;
        let found = run
            .collect(after.len().min(wanted - before.len().min(wanted)), LIMITS)
            .await?;
        run.stop().await;
        goes_on(
            after,
            &found,
            &format!("after {} committed records", before.len()),
        )?;
    }
    Ok(None)
}

async fn killed(stage: &Stage<'_>) -> Verdict {
    let mut run = Run::start(stage, Stored::default()).await?;
    let lost = run.collect(1, LIMITS).await?;
    // As kill -9 does it: nothing is stored, nobody says stop.
    drop(run);
    if !has_offsets(&lost) {
        return Ok(Some("records have no source offsets".to_owned()));
    }
    let again = first(stage, lost.len()).await?;
    goes_on(&lost, &again, "after the kill")?;
    Ok(None)
}

async fn hears_commits(stage: &Stage<'_>) -> Verdict {
    let mut run = Run::start(stage, Stored::default()).await?;
    run.collect(
        stage.scenario.records,
        PollLimits {
            max_records: 1,
            ..LIMITS
        },
    )
    .await?;
    for batches in [1, run.batches] {
        run.source
            .committed(batches)
            .await
            .map_err(|error| said("committed", &error))?;
    }
    run.poll(LIMITS)
        .await
        .map_err(|error| said("poll after committed", &error))?;
    run.stop().await;
    Ok(None)
}

/// Offsets that an operator may have written, made from a good one.
fn odd(good: &Value) -> Vec<Value> {
    let with = |change: &dyn Fn(&Value) -> Value| match good {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), change(value)))
                .collect(),
        ),
        other => other.clone(),
    };
    let mut odd = vec![serde_json::json!({}), serde_json::json!({ "neither": "here" })];
    for value in [
        serde_json::json!(-1),
        serde_json::json!(i64::MAX),
        serde_json::json!("x"),
        Value::Null,
    ] {
        odd.push(with(&|_| value.clone()));
    }
    odd.push(with(&|value| serde_json::json!([value])));
    odd
}

async fn odd_offsets(stage: &Stage<'_>) -> Verdict {
    let seen = first(stage, stage.scenario.records).await?;
    let Some(Seen {
        partition: Some(partition),
        offset: Some(offset),
        ..
    }) = seen.into_iter().next()
    else {
        return Ok(Some("records have no source offsets".to_owned()));
    };
    for odd in odd(&offset) {
        let stored = Stored {
            source: vec![(partition.clone(), odd.clone())],
            ..Stored::default()
        };
        let at = |what: String| format!("with the stored offset {odd}: {what}");
        let config = stage.task_config().await?;
        match stage.plugin.start_source(&config, stage.services(stored)).await {
            Ok(mut source) => {
                if let Err(error) = source.poll(LIMITS).await
                    && error.is_fault
                {
                    return Err(at(said("poll", &error)));
                }
                source.stop().await;
            }
            Err(error) if error.is_fault => return Err(at(said("start", &error))),
            Err(_) => {}
        }
    }
    Ok(None)
}

async fn slow_peer(stage: &Stage<'_>) -> Verdict {
    if !stage.scenario.uses("{http}") {
        return Ok(Some("the config does not name {http}".to_owned()));
    }
    stage.behave(Behaviour {
        delay: PEER_DELAY,
        refused: 0,
    });
    let mut run = Run::start(stage, Stored::default()).await?;
    run.collect(1, LIMITS).await?;
    let longest = run.longest_poll;
    run.stop().await;
    waited(longest)
}

async fn failing_peer(stage: &Stage<'_>) -> Verdict {
    if !stage.scenario.uses("{http}") {
        return Ok(Some("the config does not name {http}".to_owned()));
    }
    let expected = first(stage, stage.scenario.records).await?;
    stage.behave(Behaviour {
        delay: Duration::ZERO,
        refused: 2,
    });
    let mut run = Run::start(stage, Stored::default()).await?;
    let found = run.collect(stage.scenario.records, LIMITS).await?;
    run.stop().await;
    goes_on(&expected, &found, "after two answers with 503")?;
    Ok(None)
}
