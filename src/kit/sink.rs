//! Sinks: that everything they said is safe lies at its destination, whatever comes and whenever they are killed.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use jackfield_api::ErrorKind;
use jackfield_plugin::{HostedSink, PluginError, SinkPosition, SinkWish, TaskWishes};

use crate::{
    Entry, Verdict, checks,
    given::{self, Given},
    peer::Behaviour,
    stage::{Stage, Stored, TOPIC, said},
};

pub(crate) const CHECKS: &[Entry] = checks![
    "starts, delivers, commits, stops" => delivers,
    "an empty batch and a commit without records do nothing" => empty,
    "batches of one record are delivered like large ones" => one_by_one,
    "tombstones, null keys and headers are delivered or rejected one by one" => tombstones,
    "a huge record is delivered or rejected" => huge,
    "goes on behind the positions it committed" => restarts,
    "killed between put and commit, loses nothing" => killed,
    "goes on with what is left when a partition is taken away" => closes,
    "a slow peer loses nothing" => slow_peer,
    "a peer that fails is asked again" => failing_peer,
];

const RECORDS: usize = 100;
const HUGE: usize = 5 * 1024 * 1024;
/// No check waits longer for a sink to take or to commit something.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const PEER_DELAY: Duration = Duration::from_millis(300);

/// A started task with its partitions.
struct Run<'a> {
    stage: &'a Stage<'a>,
    sink: Box<dyn HostedSink>,
    wishes: Arc<TaskWishes>,
    stored: Stored,
    /// Where each partition goes on.
    next: BTreeMap<i32, i64>,
    rejected: usize,
}

impl<'a> Run<'a> {
    /// Starts a task and gives it both partitions, at the positions that are stored.
    async fn start(stage: &'a Stage<'a>, stored: Stored) -> Result<Self, String> {
        let services = stage.services(stored.clone());
        let wishes = Arc::clone(&services.wishes);
        let config = stage.task_config().await?;
        let sink = stage.plugin.start_sink(&config, services).await;
        let sink = sink.map_err(|error| said("start", &error))?;
        let committed = committed(&stored);
        let position = |partition| {
            let known = committed.iter().find(|at| at.partition == partition);
            known.cloned().unwrap_or_else(|| at(partition, -1))
        };
        let positions = [position(0), position(1)];
        let next = positions
            .iter()
            .map(|at| (at.partition, at.offset.max(0)))
            .collect();
        let mut run = Self {
            stage,
            sink,
            wishes,
            stored,
            next,
            rejected: 0,
        };
        run.sink
            .open(&positions)
            .await
            .map_err(|error| said("open", &error))?;
        run.obey();
        Ok(run)
    }

    /// Puts what the partitions have from where they go on, in batches of this size.
    async fn put_all(&mut self, records: &[Given], size: usize) -> Result<(), String> {
        loop {
            let due = records.iter().filter(|given| {
                self.next
                    .get(&given.partition)
                    .is_some_and(|next| given.offset >= *next)
            });
            let due: Vec<_> = due.take(size).cloned().collect();
            if due.is_empty() {
                return Ok(());
            }
            self.put(&due).await?.map_err(|error| said("put", &error))?;
        }
    }

    /// Puts one batch, again as long as the sink asks for that.
    async fn put(&mut self, records: &[Given]) -> Result<Result<(), PluginError>, String> {
        let batch: Bytes = given::batch(self.stage.scenario.values, records)?;
        let started = Instant::now();
        loop {
            match self.sink.put(batch.clone()).await {
                Ok(rejected) => {
                    self.rejected += rejected.len();
                    break;
                }
                Err(error) if error.kind == ErrorKind::Retriable && started.elapsed() < DEADLINE => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        for given in records {
            self.next.insert(given.partition, given.offset + 1);
        }
        self.obey();
        Ok(Ok(()))
    }

    /// Does what the sink wished during the last call.
    fn obey(&mut self) {
        for wish in self.wishes.take_sink_wishes() {
            if let SinkWish::Seek(positions) = wish {
                self.next
                    .extend(positions.into_iter().map(|at| (at.partition, at.offset)));
            }
        }
    }

    /// Commits until everything put is safe.
    async fn commit(&mut self) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let current: Vec<_> = self
                .next
                .iter()
                .map(|(partition, offset)| at(*partition, *offset))
                .collect();
            let safe = match self.sink.pre_commit(&current).await {
                Ok(safe) => safe,
                Err(error) if error.kind == ErrorKind::Retriable && started.elapsed() < DEADLINE => {
                    Vec::new()
                }
                Err(error) => return Err(said("preCommit", &error)),
            };
            for position in safe {
                let mut stored = self.stored.sink.lock().unwrap_or_else(PoisonError::into_inner);
                stored.retain(|known| known.partition != position.partition);
                stored.push(position);
            }
            let stored = committed(&self.stored);
            let safe = |at: &SinkPosition| {
                stored
                    .iter()
                    .any(|safe| safe.partition == at.partition && safe.offset == at.offset)
            };
            if current.iter().all(safe) {
                return Ok(());
            }
            if started.elapsed() > DEADLINE {
                return Err(format!(
                    "preCommit gave {stored:?} for {} s, {current:?} was put",
                    DEADLINE.as_secs()
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn stop(mut self) -> Result<usize, String> {
        let partitions: Vec<(Arc<str>, i32)> = self
            .next
            .keys()
            .map(|partition| (Arc::from(TOPIC), *partition))
            .collect();
        self.sink
            .close(&partitions)
            .await
            .map_err(|error| said("close", &error))?;
        self.sink.stop().await;
        Ok(self.rejected)
    }
}

fn at(partition: i32, offset: i64) -> SinkPosition {
    SinkPosition {
        topic: Arc::from(TOPIC),
        partition,
        offset,
        metadata: String::new(),
    }
}

fn committed(stored: &Stored) -> Vec<SinkPosition> {
    stored.sink.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn records(stage: &Stage<'_>) -> Vec<Given> {
    given::records(stage.scenario.values, RECORDS)
}

/// Fails when the token of one of these records is not at the destination.
fn arrived(stage: &Stage<'_>, records: &[Given]) -> Verdict {
    let mut destination = Vec::new();
    if stage.scenario.uses("{dir}") {
        read_all(stage.directory, &mut destination).map_err(|error| error.to_string())?;
    } else if stage.scenario.uses("{http}") {
        destination = stage.received();
    } else {
        return Ok(Some(
            "the config names neither {dir} nor {http}: what was delivered cannot be seen".to_owned(),
        ));
    }
    let text = String::from_utf8_lossy(&destination);
    let missing: Vec<_> = records
        .iter()
        .filter(|given| !text.contains(&given.token))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(None);
    };
    Err(format!(
        "{} of {} committed records are not at the destination, the first is {} at offset {} of partition {}",
        missing.len(),
        records.len(),
        first.token,
        first.offset,
        first.partition
    ))
}

fn read_all(directory: &Path, into: &mut Vec<u8>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, into)?;
        } else {
            into.extend(fs::read(&path)?);
            into.push(b'\n');
        }
    }
    Ok(())
}

async fn put_and_commit(stage: &Stage<'_>, size: usize) -> Verdict {
    let records = records(stage);
    let mut run = Run::start(stage, Stored::default()).await?;
    run.put_all(&records, size).await?;
    run.commit().await?;
    let rejected = run.stop().await?;
    if rejected > 0 {
        return Err(format!(
            "{rejected} of {} good records were rejected",
            records.len()
        ));
    }
    arrived(stage, &records)
}

async fn delivers(stage: &Stage<'_>) -> Verdict {
    put_and_commit(stage, RECORDS).await
}

async fn one_by_one(stage: &Stage<'_>) -> Verdict {
    put_and_commit(stage, 1).await
}

async fn empty(stage: &Stage<'_>) -> Verdict {
    let mut run = Run::start(stage, Stored::default()).await?;
    run.put(&[])
        .await?
        .map_err(|error| said("put of an empty batch", &error))?;
    let current = [at(0, 0), at(1, 0)];
    let safe = run
        .sink
        .pre_commit(&current)
        .await
        .map_err(|error| said("preCommit", &error))?;
    if let Some(beyond) = safe.iter().find(|safe| safe.offset > 0) {
        return Err(format!("preCommit gave {beyond:?}, nothing was put"));
    }
    run.stop().await?;
    Ok(None)
}

/// Puts records that a sink need not take: each alone, so that one error is about one record.
async fn taken_or_rejected(stage: &Stage<'_>, odd: &[Given]) -> Verdict {
    for given in odd {
        let mut run = Run::start(stage, Stored::default()).await?;
        match run.put(std::slice::from_ref(given)).await? {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Data => continue,
            Err(error) => {
                let given = format!(
                    "{:?}…",
                    &format!("{given:?}").chars().take(120).collect::<String>()
                );
                return Err(format!(
                    "{} for {given}: reject the record, or give a data error",
                    said("put", &error)
                ));
            }
        }
        run.commit().await?;
        run.stop().await?;
    }
    Ok(None)
}

async fn tombstones(stage: &Stage<'_>) -> Verdict {
    let values = stage.scenario.values;
    let plain = given::record(values, 0, "");
    let odd = [
        Given {
            value: None,
            ..plain.clone()
        },
        Given {
            key: None,
            ..plain.clone()
        },
        Given {
            key: None,
            value: None,
            ..plain.clone()
        },
        Given {
            headers: 3,
            ..plain.clone()
        },
        Given {
            headers: 1_000,
            key: Some(String::new()),
            ..plain
        },
    ];
    taken_or_rejected(stage, &odd).await
}

async fn huge(stage: &Stage<'_>) -> Verdict {
    let filling = "x".repeat(HUGE);
    taken_or_rejected(stage, &[given::record(stage.scenario.values, 0, &filling)]).await
}

async fn restarts(stage: &Stage<'_>) -> Verdict {
    let records = records(stage);
    let stored = Stored::default();
    for count in [RECORDS / 3, RECORDS] {
        let mut run = Run::start(stage, stored.clone()).await?;
        run.put_all(&records[..count], 10).await?;
        run.commit().await?;
        run.stop().await?;
    }
    arrived(stage, &records)
}

async fn killed(stage: &Stage<'_>) -> Verdict {
    let records = records(stage);
    let stored = Stored::default();
    let mut run = Run::start(stage, stored.clone()).await?;
    run.put_all(&records[..RECORDS / 3], 10).await?;
    run.commit().await?;
    run.put_all(&records[..RECORDS / 2], 7).await?;
    // As kill -9 does it: nothing more is committed, nobody says close or stop.
    drop(run);
    let mut run = Run::start(stage, stored).await?;
    run.put_all(&records, 10).await?;
    run.commit().await?;
    run.stop().await?;
    arrived(stage, &records)
}

async fn closes(stage: &Stage<'_>) -> Verdict {
    let records = records(stage);
    let mut run = Run::start(stage, Stored::default()).await?;
    run.put_all(&records[..RECORDS / 2], 10).await?;
    run.commit().await?;
    run.sink
        .close(&[(Arc::from(TOPIC), 1)])
        .await
        .map_err(|error| said("close", &error))?;
    let resumed = at(1, run.next.remove(&1).unwrap_or_default());
    run.put_all(&records, 10).await?;
    run.commit().await?;
    let known = committed(&run.stored).into_iter().find(|at| at.partition == 1);
    let resumed = known.unwrap_or(resumed);
    run.next.insert(1, resumed.offset);
    run.sink
        .open(&[resumed])
        .await
        .map_err(|error| said("open", &error))?;
    run.obey();
    run.put_all(&records, 10).await?;
    run.commit().await?;
    run.stop().await?;
    arrived(stage, &records)
}

async fn slow_peer(stage: &Stage<'_>) -> Verdict {
    through(
        stage,
        Behaviour {
            delay: PEER_DELAY,
            refused: 0,
        },
    )
    .await
}

async fn failing_peer(stage: &Stage<'_>) -> Verdict {
    through(
        stage,
        Behaviour {
            delay: Duration::ZERO,
            refused: 3,
        },
    )
    .await
}

async fn through(stage: &Stage<'_>, behaviour: Behaviour) -> Verdict {
    if !stage.scenario.uses("{http}") {
        return Ok(Some("the config does not name {http}".to_owned()));
    }
    stage.behave(behaviour);
    put_and_commit(stage, RECORDS / 4).await
}
