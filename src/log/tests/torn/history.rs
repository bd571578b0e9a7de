//! A scripted life of a log manager on a simulated disk, and what must be true of it whenever it ends.
//!
//! One thread does everything, commit rounds and maintenance included: the operations of the disk come in the same order in
//! every run, so that each can be named by its number.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use jackfield_env::{
    Env, ManualClock, Random,
    disk::{Cut, Disk},
};

use super::super::rig::{START_MS, config, from_producer};
use crate::{
    AppendOrigin, Durability, LogConfig, LogManager, LogManagerConfig, OpenError, PartitionLog, TopicId,
    commit,
};

/// The log directories.
pub(super) const LOG_DIRS: [&str; 2] = ["/disk/a", "/disk/b"];
/// Deleted files are unlinked after this time.
const DELETE_DELAY_MS: i64 = 60_000;

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Open,
    Close,
    /// The process dies, and the machine with it unless the cut is [`Cut::Everything`].
    Kill(Cut),
    /// Name, and number of the id; two partitions.
    Create(&'static str, u8),
    Delete(&'static str, u8),
    /// To a partition of a topic, from a producer (0 = none): so many records of so many bytes.
    Append((&'static str, u8), i32, i64, usize, usize),
    /// A commit round.
    Commit,
    Checkpoint,
    /// Keeps so many bytes of every partition.
    Retain(i64),
    /// Deleted files go.
    Unlink,
}

/// A batch that was handed to the log.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) base_offset: i64,
    /// Producer and sequence.
    pub(super) producer: Option<(i64, i32)>,
    pub(super) values: Vec<String>,
}

impl Batch {
    pub(super) fn bytes(&self) -> BytesMut {
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        match self.producer {
            Some((id, sequence)) => from_producer(id, 0, sequence, &values),
            None => super::super::rig::batch(&values),
        }
    }

    pub(super) fn end(&self) -> i64 {
        self.base_offset + i64::try_from(self.values.len()).unwrap()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nobody was told that it was created: it may be there or not.
    Creating,
    There,
    /// Nobody was told that it was deleted: it may be there or not.
    Deleting,
    Gone,
}

/// What was done to a partition and what of it was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) presence: Presence,
    pub(super) batches: Vec<Batch>,
    /// Everything before was acknowledged.
    pub(super) acknowledged: i64,
    /// Retention may have deleted what is before.
    pub(super) start: i64,
}

/// A topic; one of the same name that is created later is another.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) id: TopicId,
    pub(super) partitions: Vec<Expected>,
}

impl Topic {
    pub(super) fn log(&self, manager: &LogManager, partition: usize) -> Option<Arc<PartitionLog>> {
        let log = manager.get(self.name, i32::try_from(partition).unwrap())?;
        (log.topic_id() == self.id).then_some(log)
    }
}

/// Why a history ends before its last step.
#[derive(Debug)]
pub(super) enum End {
    /// The disk refused something.
    Refused(String),
    /// A promise was broken.
    Wrong(String),
}

pub(super) fn wrong<T>(message: String) -> Result<T, End> {
    Err(End::Wrong(message))
}

/// Random bytes that are the same in every run.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Random for Counter {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

pub(super) struct History {
    pub(super) disk: Disk,
    pub(super) topics: Vec<Topic>,
    pub(super) manager: Option<Arc<LogManager>>,
    clock: Arc<ManualClock>,
    values: usize,
}

/// Small segments, some of which hold one batch and some several.
pub(super) fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 1_300,
        index_interval_bytes: 200,
        file_delete_delay_ms: DELETE_DELAY_MS,
        ..config()
    }
}

impl History {
    pub(super) fn on(disk: Disk, topics: Vec<Topic>) -> Self {
        Self {
            disk,
            topics,
            manager: None,
            clock: Arc::new(ManualClock::new(START_MS)),
            values: 0,
        }
    }

    pub(super) fn manager(&self) -> &Arc<LogManager> {
        self.manager.as_ref().expect("opened before")
    }

    /// Starts a manager without threads; nothing is checked. A directory that is offline is a failure, too; the manager is
    /// kept then.
    pub(super) fn start(&mut self) -> Result<(), OpenError> {
        let env = Env {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(Counter::default()),
            files: Arc::new(self.disk.clone()),
            ..Env::real()
        };
        let manager_config = LogManagerConfig {
            log_dirs: LOG_DIRS.map(Into::into).to_vec(),
            durability: Durability::Fsync,
            broker_id: 1,
            cluster_id: "cluster".to_owned(),
            producer_id_expiration_ms: 86_400_000,
            retention_check_interval_ms: i64::MAX,
        };
        let manager = LogManager::load(manager_config, &small_segments(), env)?;
        self.manager = Some(Arc::new(manager));
        for path in LOG_DIRS.map(str::to_owned) {
            if let Some(message) = self.offline(&path) {
                return Err(OpenError::Invalid { path, message });
            }
        }
        Ok(())
    }

    pub(super) fn is_running(&self) -> bool {
        self.manager.is_some()
    }

    /// Ends the process.
    pub(super) fn stop(&mut self) {
        if let Some(manager) = self.manager.take() {
            manager.committer.take();
        }
    }

    pub(super) fn run(&mut self, steps: &[Step]) -> Result<(), End> {
        steps.iter().try_for_each(|step| self.step(*step))
    }

    pub(super) fn step(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Open => {
                self.start().map_err(|error| End::Refused(error.to_string()))?;
                let manager = Arc::clone(self.manager());
                super::check::found(&manager, &mut self.topics)?;
            }
            Step::Close => {
                self.manager().close();
                self.observe();
                self.stop();
            }
            Step::Kill(cut) => {
                self.stop();
                self.disk = self.disk.after_power_cut(cut);
            }
            Step::Create(name, id) => self.create(name, TopicId([id; 16]))?,
            Step::Delete(name, id) => self.delete(name, TopicId([id; 16]))?,
            Step::Append((name, id), partition, producer, records, bytes) => {
                let values = (0..records).map(|_| self.value(bytes)).collect();
                self.append(name, TopicId([id; 16]), partition, producer, values)?;
            }
            Step::Commit => self.commit(),
            Step::Checkpoint => {
                let written = self.manager().write_checkpoints();
                written.map_err(|error| End::Refused(error.to_string()))?;
            }
            Step::Retain(bytes) => self.retain(bytes),
            Step::Unlink => {
                self.clock.advance_ms(DELETE_DELAY_MS);
                self.manager().unlink_due();
            }
        }
        Ok(())
    }

    fn value(&mut self, bytes: usize) -> String {
        self.values += 1;
        format!("{} {}", self.values, "v".repeat(bytes))
    }

    fn create(&mut self, name: &'static str, id: TopicId) -> Result<(), End> {
        let partition = Expected {
            presence: Presence::Creating,
            batches: Vec::new(),
            acknowledged: 0,
            start: 0,
        };
        self.topics.retain(|topic| topic.id != id);
        self.topics.push(Topic {
            name,
            id,
            partitions: vec![partition; 2],
        });
        let created = self.manager().create(name, id, 0..2, small_segments());
        created.map_err(|error| End::Refused(error.to_string()))?;
        self.set_presence(id, Presence::There);
        Ok(())
    }

    fn delete(&mut self, name: &'static str, id: TopicId) -> Result<(), End> {
        self.set_presence(id, Presence::Deleting);
        let logs = self.manager().logs();
        let deleted = self.manager().delete(name, id);
        deleted.map_err(|error| End::Refused(error.to_string()))?;
        // What is in a directory that is offline is left to a later start.
        let of_it = |log: &&Arc<PartitionLog>| log.topic_id() == id;
        if !logs.iter().filter(of_it).any(|log| log.is_offline()) {
            self.set_presence(id, Presence::Gone);
        }
        Ok(())
    }

    fn set_presence(&mut self, id: TopicId, presence: Presence) {
        for topic in self.topics.iter_mut().filter(|topic| topic.id == id) {
            for partition in &mut topic.partitions {
                partition.presence = presence;
            }
        }
    }

    pub(super) fn append(
        &mut self,
        name: &str,
        id: TopicId,
        partition: i32,
        producer: i64,
        values: Vec<String>,
    ) -> Result<(), End> {
        let log = self
            .manager()
            .get(name, partition)
            .expect("a topic of the script");
        let topic = self
            .topics
            .iter_mut()
            .find(|topic| topic.id == id)
            .expect("created");
        let expected = &mut topic.partitions[usize::try_from(partition).unwrap()];
        let before = expected.batches.iter().rev();
        let mut before = before.filter_map(|batch| Some((batch, batch.producer?)));
        let last = before.find(|(_, (other, _))| *other == producer);
        let sequence = last.map_or(0, |(batch, (_, sequence))| {
            sequence + i32::try_from(batch.values.len()).unwrap()
        });
        let batch = Batch {
            base_offset: expected.batches.last().map_or(0, Batch::end),
            producer: (producer > 0).then_some((producer, sequence)),
            values,
        };
        expected.batches.push(batch.clone());
        match log.append(batch.bytes(), AppendOrigin::Client) {
            Ok(appended) if appended.base_offset == batch.base_offset => Ok(()),
            Ok(appended) => wrong(format!(
                "{name}-{partition}: offset {} was given out where {} is free",
                appended.base_offset, batch.base_offset
            )),
            Err(error) => {
                if !self.disk.is_dead() {
                    expected.batches.pop();
                }
                Err(End::Refused(error.to_string()))
            }
        }
    }

    pub(super) fn commit(&mut self) {
        let dirty = self.manager().committer.take();
        commit::round(&self.disk, &dirty);
        self.observe();
    }

    /// Keeps what was acknowledged by now.
    fn observe(&mut self) {
        let manager = Arc::clone(self.manager());
        for topic in &mut self.topics {
            for partition in 0..topic.partitions.len() {
                if let Some(log) = topic.log(&manager, partition) {
                    topic.partitions[partition].acknowledged = log.high_watermark();
                }
            }
        }
    }

    fn retain(&mut self, bytes: i64) {
        let manager = Arc::clone(self.manager());
        let mut logs = Vec::new();
        for topic in &mut self.topics {
            for partition in 0..topic.partitions.len() {
                if let Some(log) = topic.log(&manager, partition) {
                    // While it goes on, anything that was acknowledged may go.
                    topic.partitions[partition].start = log.high_watermark();
                    log.set_config(LogConfig {
                        retention_bytes: bytes,
                        ..small_segments()
                    });
                    logs.push(log);
                }
            }
        }
        manager.apply_retention();
        for log in &logs {
            log.set_config(small_segments());
        }
        if self.disk.is_dead() || self.disk.has_failed() {
            return;
        }
        for topic in &mut self.topics {
            for partition in 0..topic.partitions.len() {
                if let Some(log) = topic.log(&manager, partition) {
                    topic.partitions[partition].start = log.log_start_offset();
                }
            }
        }
    }

    /// Why a log directory is offline.
    pub(super) fn offline(&self, log_dir: &str) -> Option<String> {
        let directories = &self.manager().directories;
        let mut found = directories.iter().filter(|d| d.path == Path::new(log_dir));
        found.next().and_then(|directory| directory.health.offline())
    }
}
