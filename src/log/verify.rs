//! Reading everything in a log directory, or in one partition's, to say whether it is what was written. Nothing is changed.
//!
//! The rules are those of recovery and reading: the same code looks at segments, and what is expected of a file is what the
//! other files say. A running broker need not be stopped: what it is just writing at the end of a log is passed over.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_env::{File, Files};

use crate::{
    checkpoint::{self, Offsets},
    copies::{self, COPIES, Copies},
    identity,
    known::Checkpoints,
    recovery, segment, verify_partition,
};

/// What a file is to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names of the files")]
pub enum FileKind {
    Segment,
    OffsetIndex,
    TimeIndex,
    ProducerSnapshot,
    LeaderEpochs,
    PartitionMetadata,
    OffsetCheckpoint,
    Copies,
    MetaProperties,
    CleanShutdown,
}

impl FileKind {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::OffsetIndex => "offset index",
            Self::TimeIndex => "time index",
            Self::ProducerSnapshot => "producer snapshot",
            Self::LeaderEpochs => "leader epochs",
            Self::PartitionMetadata => "partition metadata",
            Self::OffsetCheckpoint => "offset checkpoint",
            Self::Copies => "checkpoint copy",
            Self::MetaProperties => "meta.properties",
            Self::CleanShutdown => "clean shutdown",
        }
    }

    /// What to do when such a file is damaged.
    fn advice(self) -> &'static str {
        match self {
            Self::Segment => {
                "restore the file from a copy with the broker stopped; otherwise consumers can go on behind the lost offsets"
            }
            Self::OffsetIndex | Self::TimeIndex => {
                "nothing is lost: it is made anew when it is first used, or delete it with the broker stopped"
            }
            Self::ProducerSnapshot => {
                "nothing is lost: the next start uses an older one and the batches behind it"
            }
            Self::LeaderEpochs | Self::PartitionMetadata => {
                "the next start writes it anew from its copy in jackfield-checkpoint"
            }
            Self::OffsetCheckpoint => "the next start checks what it spoke of and writes it anew",
            Self::Copies => "the next start takes the files it copies as they are and writes it anew",
            Self::MetaProperties => "correct it; the broker does not start with it",
            Self::CleanShutdown => "nothing is lost: only whether there is such a file matters",
        }
    }
}

/// Something that is not as it was written, or that is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Kind of the file.
    pub kind: FileKind,
    /// The file.
    pub file: PathBuf,
    /// First byte concerned, where it is known.
    pub position: Option<u64>,
    /// First and last offset concerned.
    pub offsets: Option<(i64, i64)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: &'static str,
}

/// What was read of the files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
    pub batches: u64,
    pub records: u64,
    pub findings: u64,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Damage.
    pub findings: Vec<Finding>,
    /// What is no damage: bytes that a crash left unfinished, or that recovery put aside.
    pub notes: Vec<Finding>,
    /// By kind of file.
    pub totals: BTreeMap<FileKind, Totals>,
    /// A broker is running on the directory: its newest bytes may still move.
    pub in_use: bool,
}

/// The directory could not be verified.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum VerifyError {
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("{0} is neither a log directory nor a partition's: name one of log.dirs, or a directory in it")]
    Neither(String),
}

impl VerifyError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }
}

/// Verifies a log directory, or one partition's. `progress` hears of segment bytes read, and of those to be read.
///
/// # Errors
/// [`VerifyError`]: it is neither, or cannot be read.
pub fn verify(
    files: &dyn Files,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, VerifyError> {
    let entries = files.read_dir(path).map_err(VerifyError::io(path))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own_name = name.as_deref().and_then(recovery::parse_directory);
    let has_segments = entries
        .iter()
        .any(|entry| segment::base_offset_of(&entry.name, "log").is_some());
    let is_partition = has_segments
        || entries
            .iter()
            .any(|entry| entry.name == checkpoint::PARTITION_METADATA);
    let log_dir = match (is_partition, path.parent()) {
        (true, Some(parent)) => parent,
        _ => path,
    };
    let mut run = Run {
        files,
        found: Verification::default(),
        progress,
        done: 0,
        total: 0,
    };
    let lock = run.lock(log_dir);
    // First, so that a running broker is not behind them.
    let checkpoints = run.checkpoints(log_dir)?;
    if let (true, Some((topic, partition))) = (is_partition, own_name) {
        run.total = bytes_of(files, path);
        verify_partition::verify(&mut run, path, &checkpoints.of(topic, partition))?;
    } else if is_partition {
        return Err(VerifyError::Neither(path.display().to_string()));
    } else {
        run.directory(path, &checkpoints)?;
    }
    drop(lock);
    let Run { mut found, .. } = run;
    for finding in &found.findings {
        found.totals.entry(finding.kind).or_default().findings += 1;
    }
    Ok(found)
}

/// Bytes of the segments in a partition's directory.
fn bytes_of(files: &dyn Files, dir: &Path) -> u64 {
    let entries = files.read_dir(dir).unwrap_or_default();
    let segments = entries
        .iter()
        .filter(|entry| segment::base_offset_of(&entry.name, "log").is_some());
    segments.map(|entry| entry.len).sum()
}

/// A verification under way.
pub(crate) struct Run<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) found: Verification,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
}

impl Run<'_> {
    /// Keeps a broker from starting meanwhile, or notes that one runs.
    fn lock(&mut self, log_dir: &Path) -> Option<Arc<dyn File>> {
        let path = log_dir.join(".lock");
        if !self.files.exists(&path) {
            return None;
        }
        match self.files.lock(&path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.found.in_use = true;
                None
            }
            // On a file system that is read only nobody writes.
            other => other.ok(),
        }
    }

    /// Counts a file and returns its content; `None` when there is none.
    pub(crate) fn read(&mut self, kind: FileKind, path: &Path) -> Result<Option<Vec<u8>>, VerifyError> {
        match self.files.read(path) {
            Ok(content) => {
                self.count(kind, content.len() as u64);
                Ok(Some(content))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(VerifyError::io(path)(error)),
        }
    }

    pub(crate) fn count(&mut self, kind: FileKind, bytes: u64) -> &mut Totals {
        let totals = self.found.totals.entry(kind).or_default();
        totals.files += 1;
        totals.bytes += bytes;
        totals
    }

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        (self.progress)(self.done, self.total.max(self.done));
    }

    pub(crate) fn find(&mut self, kind: FileKind, file: &Path, message: impl Into<String>) -> &mut Finding {
        self.found.findings.push(Finding {
            kind,
            file: file.to_owned(),
            position: None,
            offsets: None,
            message: message.into(),
            advice: kind.advice(),
        });
        self.found.findings.last_mut().expect("it was added just now")
    }

    pub(crate) fn note(&mut self, kind: FileKind, file: &Path, message: String, advice: &'static str) {
        self.found.notes.push(Finding {
            kind,
            file: file.to_owned(),
            position: None,
            offsets: None,
            message,
            advice,
        });
    }

    /// Reads the files of the log directory itself.
    fn checkpoints(&mut self, log_dir: &Path) -> Result<Checkpoints, VerifyError> {
        let marker = log_dir.join(checkpoint::CLEAN_SHUTDOWN);
        let content = self.read(FileKind::CleanShutdown, &marker)?;
        if content.as_ref().is_some_and(|content| !is_marker(content)) {
            self.find(FileKind::CleanShutdown, &marker, "is not what a broker writes");
        }
        let copies = self.copies(log_dir)?;
        let read = Checkpoints {
            clean: content.is_some() && !self.found.in_use,
            recovery_points: self.offsets(log_dir, checkpoint::RECOVERY_POINT)?,
            starts: self.offsets(log_dir, checkpoint::LOG_START)?,
            watermarks: self.offsets(log_dir, checkpoint::HIGH_WATERMARK)?,
            copies,
        };
        self.identity(log_dir, &read.copies)?;
        if self.found.in_use {
            // It may be between the two files.
            return Ok(read);
        }
        let path = log_dir.join(checkpoint::LOG_START);
        for ((topic, partition), start, copied) in read.wrong_starts() {
            let said = |offset: Option<i64>| offset.map_or("nothing".to_owned(), |offset| offset.to_string());
            let message = format!(
                "says {} of {topic}-{partition}, and its copy in {COPIES} {}",
                said(start),
                said(copied)
            );
            self.find(FileKind::OffsetCheckpoint, &path, message);
        }
        Ok(read)
    }

    fn copies(&mut self, log_dir: &Path) -> Result<Copies, VerifyError> {
        let path = log_dir.join(COPIES);
        let content = self.read(FileKind::Copies, &path)?.unwrap_or_default();
        let (copies, damaged) = Copies::parse(&content);
        for line in damaged {
            self.find(FileKind::Copies, &path, format!("line {line} is damaged"));
        }
        if copies::closed_by_kafka(self.files, log_dir) {
            return Ok(Copies::default());
        }
        Ok(copies)
    }

    fn offsets(&mut self, log_dir: &Path, name: &str) -> Result<Offsets, VerifyError> {
        let path = log_dir.join(name);
        let Some(content) = self.read(FileKind::OffsetCheckpoint, &path)? else {
            return Ok(Offsets::new());
        };
        Ok(checkpoint::parse_offsets(&path, content).unwrap_or_else(|error| {
            self.find(FileKind::OffsetCheckpoint, &path, checkpoint::what(&path, &error));
            Offsets::new()
        }))
    }

    fn identity(&mut self, log_dir: &Path, copies: &Copies) -> Result<(), VerifyError> {
        let path = log_dir.join(checkpoint::META_PROPERTIES);
        let Some(content) = self.read(FileKind::MetaProperties, &path)? else {
            return Ok(());
        };
        let said = identity::said(&content);
        match (&said, &copies.identity) {
            (None, _) => {
                self.find(FileKind::MetaProperties, &path, "is not text");
            }
            (Some(said), Some(copied)) if said != copied => {
                let message = format!("says '{said}', and its copy in {COPIES} '{copied}'");
                self.find(FileKind::MetaProperties, &path, message);
            }
            _ => {}
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, checkpoints: &Checkpoints) -> Result<(), VerifyError> {
        let entries = self.files.read_dir(path).map_err(VerifyError::io(path))?;
        let is_log_dir = entries.is_empty()
            || entries
                .iter()
                .any(|entry| entry.name == checkpoint::META_PROPERTIES)
            || !checkpoints.recovery_points.is_empty();
        let partitions: BTreeSet<(String, i32)> = entries
            .iter()
            .filter(|entry| entry.is_dir)
            .filter_map(|entry| recovery::parse_directory(&entry.name))
            .map(|(topic, partition)| (topic.to_owned(), partition))
            .collect();
        let dir = |(topic, partition): &(String, i32)| path.join(format!("{topic}-{partition}"));
        let ours: Vec<_> = partitions
            .iter()
            .filter(|key| {
                checkpoints.copies.partitions.contains_key(key)
                    || recovery::is_complete(self.files, &dir(key)).unwrap_or(true)
            })
            .collect();
        if !is_log_dir && ours.is_empty() {
            return Err(VerifyError::Neither(path.display().to_string()));
        }
        self.total = ours.iter().map(|key| bytes_of(self.files, &dir(key))).sum();
        self.unknown_names(path, checkpoints, &partitions);
        for key in ours {
            verify_partition::verify(self, &dir(key), &checkpoints.of(&key.0, key.1))?;
        }
        Ok(())
    }

    /// After an orderly shutdown the checkpoints speak of every partition, of no other, and all the same.
    fn unknown_names(&mut self, path: &Path, read: &Checkpoints, partitions: &BTreeSet<(String, i32)>) {
        if !read.clean {
            return;
        }
        let files = [
            (checkpoint::RECOVERY_POINT, &read.recovery_points),
            (checkpoint::LOG_START, &read.starts),
            (checkpoint::HIGH_WATERMARK, &read.watermarks),
        ];
        for (name, offsets) in files {
            let file = path.join(name);
            for (topic, partition) in offsets.keys().filter(|key| !partitions.contains(key)) {
                let message = format!("speaks of {topic}-{partition}, of which there is no directory");
                self.find(FileKind::OffsetCheckpoint, &file, message);
            }
        }
        let file = path.join(checkpoint::RECOVERY_POINT);
        for (topic, partition) in partitions {
            let key = (topic.clone(), *partition);
            let (point, watermark) = (read.recovery_points.get(&key), read.watermarks.get(&key));
            if let (Some(point), Some(watermark)) = (point, watermark)
                && point != watermark
            {
                let other = checkpoint::HIGH_WATERMARK;
                let message = format!("says {point} of {topic}-{partition}, and {other} {watermark}");
                self.find(FileKind::OffsetCheckpoint, &file, message);
            }
        }
    }
}

/// Whether this is a marker of this broker or of Apache Kafka.
fn is_marker(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let epoch = text
        .strip_prefix("{\"version\":0,\"brokerEpoch\":")
        .and_then(|rest| rest.strip_suffix('}'));
    text.is_empty() || epoch.is_some_and(|epoch| epoch.parse::<i64>().is_ok())
}
