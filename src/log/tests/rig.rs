//! A log manager in a directory of its own, that can be closed, killed and opened again.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use jackfield_env::{
    Env, Files, ManualClock, RealFiles, SystemRandom,
    faulty::{Faults, FaultyFiles},
};
use jackfield_protocol::records::{self, Compression, RecordBatchBuilder};
use tempfile::TempDir;

use crate::{
    AppendError, AppendOrigin, Appended, Durability, LogConfig, LogManager, LogManagerConfig, PartitionLog,
    TopicId,
};

pub(super) const START_MS: i64 = 1_700_000_000_000;
pub(super) const TOPIC: &str = "t";
/// The first segment.
pub(super) const FIRST: &str = "00000000000000000000.log";

pub(super) struct Rig {
    pub(super) dir: TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) faults: Arc<Faults>,
    pub(super) config: LogConfig,
    pub(super) durability: Durability,
    manager: Option<Arc<LogManager>>,
}

pub(super) fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        retention_bytes: -1,
        retention_ms: -1,
        max_message_bytes: 1 << 20,
        log_append_time: false,
        message_timestamp_before_max_ms: i64::MAX,
        message_timestamp_after_max_ms: i64::MAX,
        file_delete_delay_ms: 60_000,
        delete: true,
        compact: false,
    }
}

/// A directory in memory where there is one: these tests sync a lot.
pub(super) fn scratch() -> TempDir {
    if Path::new("/dev/shm").is_dir() {
        tempfile::tempdir_in("/dev/shm").unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: LogConfig) -> Self {
        let mut rig = Self {
            dir: scratch(),
            clock: Arc::new(ManualClock::new(START_MS)),
            faults: Arc::default(),
            config,
            durability: Durability::Fsync,
            manager: None,
        };
        rig.open();
        rig
    }

    /// Two log directories, acknowledgements as given.
    pub(super) fn log_dirs(&self) -> Vec<PathBuf> {
        vec![self.dir.path().join("a"), self.dir.path().join("b")]
    }

    pub(super) fn try_open(&mut self) -> Result<(), crate::OpenError> {
        let env = Env {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SystemRandom),
            files: Arc::new(FaultyFiles::new(Arc::new(RealFiles), Arc::clone(&self.faults))),
            ..Env::real()
        };
        let manager_config = LogManagerConfig {
            log_dirs: self.log_dirs(),
            durability: self.durability,
            broker_id: 1,
            cluster_id: "cluster".to_owned(),
            producer_id_expiration_ms: 86_400_000,
            retention_check_interval_ms: i64::MAX,
        };
        let manager = LogManager::open(manager_config, self.config.clone(), env)?;
        manager.start_maintenance()?;
        self.manager = Some(manager);
        Ok(())
    }

    pub(super) fn open(&mut self) {
        self.try_open().unwrap();
    }

    pub(super) fn manager(&self) -> &Arc<LogManager> {
        self.manager.as_ref().unwrap()
    }

    /// Ends the manager as kill -9 would: nothing more is written.
    pub(super) fn kill(&mut self) {
        let manager = self.manager.take().unwrap();
        drop(manager);
        // Its maintenance thread may be the last to hold it.
        wait_until("the manager is gone", || {
            let mut locks = self.log_dirs().into_iter().map(|dir| dir.join(".lock"));
            locks.all(|path| RealFiles.lock(&path).is_ok())
        });
    }

    pub(super) fn crash(&mut self) {
        self.kill();
        self.open();
    }

    pub(super) fn close(&mut self) {
        self.manager.take().unwrap().close();
    }

    pub(super) fn restart(&mut self) {
        self.close();
        self.open();
    }

    /// Partition `n` of the topic, created when missing; partitions alternate between the directories.
    pub(super) fn partition(&self, n: i32) -> Arc<PartitionLog> {
        if let Some(log) = self.manager().get(TOPIC, n) {
            return log;
        }
        self.manager()
            .create(TOPIC, TopicId([7; 16]), n..n + 1, self.config.clone())
            .unwrap()
            .remove(0)
    }

    pub(super) fn log(&self) -> Arc<PartitionLog> {
        self.partition(0)
    }

    /// Directory of partition 0.
    pub(super) fn path(&self) -> PathBuf {
        let dirs = self.log_dirs().into_iter();
        dirs.map(|dir| dir.join(format!("{TOPIC}-0")))
            .find(|dir| dir.exists())
            .unwrap()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(super) fn files(&self) -> Vec<String> {
        names(&self.path())
    }

    /// Appends and waits for the acknowledgement.
    pub(super) fn append(&self, batch: BytesMut) -> Appended {
        let log = self.log();
        let appended = log.append(batch, AppendOrigin::Client).unwrap();
        wait(log.committed(appended.last_offset)).unwrap();
        appended
    }

    pub(super) fn refuse(&self, batch: BytesMut) -> AppendError {
        self.log().append(batch, AppendOrigin::Client).unwrap_err()
    }

    /// Values of all records from `offset` on, as a consumer reads them.
    pub(super) fn consume(&self, mut offset: i64) -> Vec<(i64, String)> {
        let log = self.log();
        let mut seen = Vec::new();
        while let Some(slice) = log.read(offset, 1 << 16, true).unwrap().slice {
            let data = slice.read().unwrap();
            for (at, value) in decode(&data) {
                if at >= offset {
                    seen.push((at, value));
                }
            }
            offset = seen.last().unwrap().0 + 1;
        }
        seen
    }
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Offsets and values of all records in whole batches.
pub(super) fn decode(data: &Bytes) -> Vec<(i64, String)> {
    let mut seen = Vec::new();
    let mut bytes = 0;
    for batch in records::split_batches(data.clone()) {
        records::verify(&batch).unwrap();
        bytes += batch.len();
        for record in records::records(&batch, 1 << 24).unwrap() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            seen.push((record.offset, value));
        }
    }
    assert_eq!(bytes, data.len(), "whole batches only");
    seen
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Replaces the log directories by a copy.
pub(super) fn reset(rig: &Rig, saved: &Path) {
    for dir in rig.log_dirs() {
        std::fs::remove_dir_all(&dir).unwrap();
        copy(&saved.join(dir.file_name().unwrap()), &dir);
    }
}

pub(super) fn batch(values: &[&str]) -> BytesMut {
    batch_at(START_MS, values)
}

pub(super) fn batch_at(timestamp: i64, values: &[&str]) -> BytesMut {
    let mut builder = RecordBatchBuilder::new(Compression::None);
    for value in values {
        builder.push(timestamp, None, Some(value.as_bytes()), &[]);
    }
    builder.finish()
}

/// A batch of an idempotent producer.
pub(super) fn from_producer(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> BytesMut {
    let mut builder = RecordBatchBuilder::new(Compression::None);
    for value in values {
        builder.push(START_MS, None, Some(value.as_bytes()), &[]);
    }
    builder.producer(id, epoch, sequence);
    builder.finish()
}

/// Runs a future to its end; a minute is a failure.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await })
        .expect("within a minute")
}

pub(super) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited for: {what}");
        std::thread::yield_now();
    }
}
