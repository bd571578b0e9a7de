//! FileStreamSink: the values of records as lines of a file, each exactly once.

use std::collections::BTreeSet;

use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, LogLevel, RecordError, Sink, SinkContext,
    SinkPosition, TopicPartition, batch::Batch,
};

use crate::{
    config::{refuse, sink_def, sink_file, sink_file_issue, validate_sink},
    output::Output,
    text::Schemas,
};

/// Text buffers up to this size are kept for the next batch.
const KEEP_BYTES: usize = 1 << 20;

/// Appends values to a file.
pub struct FileStreamSink {
    context: SinkContext,
    /// As configured; `None` = standard output.
    file: Option<String>,
    /// The file's absolute path, which commits remember: a relative one means another file in another directory.
    absolute: String,
    output: Output,
    assigned: BTreeSet<TopicPartition>,
    schemas: Schemas,
    /// The lines of the batch at hand.
    text: Vec<u8>,
}

impl std::fmt::Debug for FileStreamSink {
    /// Without the text at hand: it is record contents.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "FileStreamSink({:?}, {:?}, {:?})",
            self.context, self.output, self.assigned
        )
    }
}

/// What a commit remembers: so much of this file belongs to the records before the committed offsets.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Metadata {
    file: String,
    position: u64,
}

impl Connector for FileStreamSink {
    const CLASS: &'static str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
    const ALIASES: &'static [&'static str] = &["FileStreamSink", "FileStreamSinkConnector"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        sink_def()
    }

    fn validate(config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        Ok(validate_sink(config))
    }
}

impl Sink for FileStreamSink {
    fn start(config: &Config, context: SinkContext) -> Result<Self, ConnectError> {
        refuse(validate_sink(config))?;
        let file = sink_file(config).map(str::to_owned);
        let absolute = file.as_deref().map_or_else(String::new, absolute);
        refuse(sink_file_issue(&absolute).into_iter().collect())?;
        let output = match &file {
            Some(path) => Output::open(path, &context)?,
            None => standard_output()?,
        };
        Ok(Self::with_output(file, absolute, output, context))
    }

    /// Cuts the file back to what was committed. When the task keeps other partitions their lines stay, and what is
    /// delivered again is in the file twice; a host that reassigns closes all partitions first.
    fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        let committed = partitions
            .iter()
            .filter_map(|position| self.committed_length(position))
            .max();
        let is_first = self.assigned.is_empty();
        let added = partitions.iter().map(|at| TopicPartition {
            topic: at.topic.clone(),
            partition: at.partition,
        });
        self.assigned.extend(added);
        let Some(committed) = committed else { return Ok(()) };
        if !is_first {
            if committed < self.output.length() {
                let message = format!(
                    "file {} is longer than the {committed} committed bytes: lines of added partitions may repeat",
                    self.name()
                );
                self.context.log(LogLevel::Warn, &message);
            }
            return Ok(());
        }
        let length = self.output.look()?;
        if committed > length {
            let message = format!(
                "file {} has {length} bytes, {committed} were committed: it was changed from outside",
                self.name()
            );
            self.context.log(LogLevel::Warn, &message);
        }
        if committed < length {
            self.output.cut(committed)?;
            let message = format!(
                "file {} cut from {length} to the {committed} committed bytes",
                self.name()
            );
            self.context.log(LogLevel::Info, &message);
        }
        Ok(())
    }

    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        let mut rejected = Vec::new();
        self.text.clear();
        for found in batch.records() {
            let record = found.record;
            match self.schemas.write(&mut self.text, batch, &record.value) {
                Ok(()) => self.text.push(b'\n'),
                Err(message) => rejected.push(RecordError {
                    sequence: record.sequence,
                    message,
                }),
            }
        }
        let appended = self.output.append(&self.text);
        if self.text.capacity() > KEEP_BYTES {
            self.text = Vec::new();
        }
        appended.map(|()| rejected)
    }

    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        self.output.sync()?;
        let metadata = self.metadata()?;
        Ok(current
            .iter()
            .map(|at| SinkPosition {
                metadata: metadata.clone(),
                ..at.clone()
            })
            .collect())
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        for partition in partitions {
            self.assigned.remove(partition);
        }
        Ok(())
    }
}

impl FileStreamSink {
    fn with_output(file: Option<String>, absolute: String, output: Output, context: SinkContext) -> Self {
        Self {
            context,
            file,
            absolute,
            output,
            assigned: BTreeSet::new(),
            schemas: Schemas::default(),
            text: Vec::new(),
        }
    }

    /// Length of the file that belongs to a committed position; `None` when it tells nothing about this file.
    fn committed_length(&self, position: &SinkPosition) -> Option<u64> {
        if !self.output.is_regular() {
            return None;
        }
        let metadata: Metadata = serde_json::from_str(&position.metadata).ok()?;
        // Commits of versions before kept the file as configured.
        if metadata.file == self.absolute || Some(&metadata.file) == self.file.as_ref() {
            return Some(metadata.position);
        }
        let message = format!(
            "committed position {} belongs to file {}, not to {}: the file is not cut, lines may repeat",
            metadata.position, metadata.file, self.absolute
        );
        self.context.log(LogLevel::Warn, &message);
        None
    }

    fn metadata(&self) -> Result<String, ConnectError> {
        match &self.file {
            Some(_) if self.output.is_regular() => {
                let metadata = Metadata {
                    file: self.absolute.clone(),
                    position: self.output.length(),
                };
                serde_json::to_string(&metadata).map_err(|cause| ConnectError::fatal(cause.to_string()))
            }
            _ => Ok(String::new()),
        }
    }

    fn name(&self) -> &str {
        self.file.as_deref().unwrap_or("standard output")
    }
}

/// The path from the root, without looking at the file system. The SDK changes a component to the worker's directory; the
/// path stays as it is where there is none.
fn absolute(file: &str) -> String {
    match std::path::absolute(file) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(_) => file.to_owned(),
    }
}

#[cfg(not(target_family = "wasm"))]
fn standard_output() -> Result<Output, ConnectError> {
    Output::standard_output()
}

#[cfg(target_family = "wasm")]
fn standard_output() -> Result<Output, ConnectError> {
    Err(ConnectError::config(
        "a WASM plugin has no standard output: set file",
    ))
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
