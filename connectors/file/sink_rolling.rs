//! The sink with rolling files: every partition has a sequence of files of its own, so tasks share nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use jackfield_api::{
    ConnectError, LogLevel, RecordError, SinkContext, SinkPosition, TopicPartition, batch::Batch,
};

use crate::{
    compression::Compression,
    format::{Format, Formatter},
    name_template::NameTemplate,
    output,
    sink_config::{RollLimits, RollingConfig},
    sink_partition::{Metadata, PartitionFiles},
    sink_plain::absolute,
};

/// The files of all partitions of a task.
#[derive(Debug)]
pub(crate) struct RollingFiles {
    settings: Settings,
    /// By topic and partition.
    partitions: BTreeMap<String, BTreeMap<i32, PartitionFiles>>,
}

/// What the partitions have in common.
pub(crate) struct Settings {
    pub(crate) context: SinkContext,
    /// Below an absolute directory.
    pub(crate) template: NameTemplate,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) limits: RollLimits,
    /// Milliseconds since the epoch.
    pub(crate) clock: fn() -> u64,
    /// Directories whose way down from the root is durable.
    directories: BTreeSet<PathBuf>,
}

impl RollingFiles {
    pub(crate) fn start(
        config: &RollingConfig,
        format: Format,
        context: SinkContext,
    ) -> Result<Self, ConnectError> {
        let directory = absolute(&config.directory);
        let refused = |cause: &str| {
            ConnectError::config(format!(
                "file.directory {directory} {cause}{}",
                crate::grant_hint()
            ))
        };
        match fs::metadata(&directory) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(refused("is not a directory")),
            Err(cause) => {
                return Err(refused(&format!(
                    "cannot be used: {cause}; create it first, the worker's user needs write access"
                )));
            }
        }
        let template = NameTemplate::parse(&directory, &config.template)
            .map_err(|message| ConnectError::config(format!("file.name.template: {message}")))?;
        Ok(Self {
            settings: Settings {
                context,
                template,
                format,
                compression: config.compression,
                limits: config.limits,
                clock: now_ms,
                directories: BTreeSet::new(),
            },
            partitions: BTreeMap::new(),
        })
    }

    /// Brings the files of each partition to the state of its commit.
    pub(crate) fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        for position in partitions {
            let files = PartitionFiles::open(&mut self.settings, position)?;
            let of_topic = self.partitions.entry(position.topic.clone()).or_default();
            of_topic.insert(position.partition, files);
        }
        Ok(())
    }

    /// Takes the records that are not in the files yet. When a record cannot be written those before it are kept and passed
    /// over when they come again.
    pub(crate) fn put(
        &mut self,
        formatter: &mut Formatter,
        text: &mut Vec<u8>,
        batch: &Batch<&[u8]>,
    ) -> Result<Vec<RecordError>, ConnectError> {
        let mut rejected = Vec::new();
        let mut touched = BTreeSet::new();
        for found in batch.records() {
            let record = found.record;
            text.clear();
            if let Err(message) = formatter.write(text, batch, &record.value) {
                rejected.push(RecordError {
                    sequence: record.sequence,
                    message,
                });
                continue;
            }
            let (topic, partition) = (batch.topic(record.topic), record.partition.unwrap_or_default());
            let files = self
                .partitions
                .get_mut(topic)
                .and_then(|of_topic| of_topic.get_mut(&partition));
            let files = files.ok_or_else(|| not_assigned(topic, partition))?;
            files.take(&mut self.settings, record.offset, text)?;
            touched.insert((record.topic, partition));
        }
        for (topic, partition) in touched {
            let of_topic = self.partitions.get_mut(batch.topic(topic));
            if let Some(files) = of_topic.and_then(|of_topic| of_topic.get_mut(&partition)) {
                files.write_out()?;
            }
        }
        Ok(rejected)
    }

    /// Gives files their names whose records are committed, and makes the others safe.
    pub(crate) fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        let mut safe = Vec::with_capacity(current.len());
        for position in current {
            let of_topic = self.partitions.get_mut(&position.topic);
            let files = of_topic.and_then(|of_topic| of_topic.get_mut(&position.partition));
            let files = files.ok_or_else(|| not_assigned(&position.topic, position.partition))?;
            if let Some(committed) = Metadata::parse(&position.metadata) {
                files.committed(&committed)?;
            }
            let metadata = files.make_safe(&self.settings)?;
            safe.push(SinkPosition {
                metadata: serde_json::to_string(&metadata)
                    .map_err(|cause| ConnectError::fatal(cause.to_string()))?,
                ..position.clone()
            });
        }
        Ok(safe)
    }

    /// What was not committed is cut by who opens the partition next.
    pub(crate) fn close(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(of_topic) = self.partitions.get_mut(&partition.topic) {
                of_topic.remove(&partition.partition);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn set_clock(&mut self, clock: fn() -> u64) {
        self.settings.clock = clock;
    }
}

impl Settings {
    /// How files are encoded, for the metadata of commits.
    pub(crate) fn encoding(&self) -> String {
        format!("{}+{}", self.format.name(), self.compression.name())
    }

    /// Creates what is missing of the way to a partition's directory, durably.
    pub(crate) fn create_directory(&mut self, directory: &Path) -> Result<(), ConnectError> {
        if self.directories.contains(directory) {
            return Ok(());
        }
        let root = Path::new(self.template.directory());
        let mut missing: Vec<_> = directory.ancestors().take_while(|above| *above != root).collect();
        missing.reverse();
        for directory in missing {
            let created = fs::create_dir(directory);
            if let Err(cause) = created
                && !directory.is_dir()
            {
                return Err(output::error(
                    "cannot create directory",
                    &directory.to_string_lossy(),
                    &cause,
                ));
            }
            // Also when it was there: who created it may have died before.
            output::make_durable(directory, &self.context)?;
        }
        self.directories.insert(directory.to_owned());
        Ok(())
    }

    pub(crate) fn log(&self, level: LogLevel, message: &str) {
        self.context.log(level, message);
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{:?}, {:?}, {}, {:?}",
            self.context,
            self.template,
            self.encoding(),
            self.limits
        )
    }
}

fn not_assigned(topic: &str, partition: i32) -> ConnectError {
    ConnectError::fatal(format!("partition {topic}-{partition} was not opened"))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a connector knows no env; tests put a clock of their own in its place"
)]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
