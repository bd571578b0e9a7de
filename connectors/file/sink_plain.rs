//! The sink with one file: appends, and remembers with every commit how long the file is.

use std::collections::BTreeSet;

use jackfield_api::{ConnectError, LogLevel, SinkContext, SinkPosition, TopicPartition};

use crate::{output::Output, sink_config::file_name_issue};

/// One file, or standard output.
#[derive(Debug)]
pub(crate) struct PlainFile {
    context: SinkContext,
    /// As configured; `None` = standard output.
    file: Option<String>,
    /// The file's absolute path, which commits remember: a relative one means another file in another directory.
    absolute: String,
    output: Output,
    assigned: BTreeSet<TopicPartition>,
    /// Counts the times that partitions were opened, over restarts.
    epoch: u64,
}

/// What a commit remembers: so much of this file belongs to the records before the committed offsets.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Metadata {
    pub(crate) file: String,
    /// Within an epoch the file only grows. A file that was cut or replaced from outside is shorter in the next one.
    #[serde(default)]
    pub(crate) epoch: u64,
    pub(crate) position: u64,
}

impl PlainFile {
    pub(crate) fn start(file: Option<String>, context: SinkContext) -> Result<Self, ConnectError> {
        let absolute = file.as_deref().map_or_else(String::new, absolute);
        if let Some(issue) = file_name_issue(&absolute) {
            return Err(ConnectError::config(format!("file: {issue}")));
        }
        let output = match &file {
            Some(path) => Output::open(path, &context)?,
            None => standard_output()?,
        };
        Ok(Self::with_output(file, absolute, output, context))
    }

    pub(crate) fn with_output(
        file: Option<String>,
        absolute: String,
        output: Output,
        context: SinkContext,
    ) -> Self {
        Self {
            context,
            file,
            absolute,
            output,
            assigned: BTreeSet::new(),
            epoch: 0,
        }
    }

    /// Cuts the file back to what was committed, with whichever partition of the group that was: lines of a partition that
    /// has left since belong to the file too. Partitions that are added to others have no lines behind that, because the
    /// file has no other writer.
    pub(crate) fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        let is_first = self.assigned.is_empty();
        let added = partitions.iter().map(|at| TopicPartition {
            topic: at.topic.clone(),
            partition: at.partition,
        });
        self.assigned.extend(added);
        if !is_first || !self.output.is_regular() {
            return Ok(());
        }
        let group = self.context.group_positions()?;
        let ours = group.iter().chain(partitions).filter_map(|at| self.ours(at));
        let newest = ours.max_by_key(|committed| (committed.epoch, committed.position));
        self.epoch = newest.as_ref().map_or(0, |newest| newest.epoch) + 1;
        match newest {
            Some(newest) => self.cut(newest.position),
            None => {
                self.report_others(partitions);
                Ok(())
            }
        }
    }

    /// Appends all of it or, with an error, nothing.
    pub(crate) fn append(&mut self, text: &[u8]) -> Result<(), ConnectError> {
        self.output.append(text)
    }

    pub(crate) fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
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

    pub(crate) fn close(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.assigned.remove(partition);
        }
    }

    fn cut(&mut self, committed: u64) -> Result<(), ConnectError> {
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

    /// What was committed of this file; `None` when the position tells nothing about it.
    fn ours(&self, position: &SinkPosition) -> Option<Metadata> {
        let metadata: Metadata = serde_json::from_str(&position.metadata).ok()?;
        // Commits of versions before kept the file as configured.
        let is_ours = metadata.file == self.absolute || Some(&metadata.file) == self.file.as_ref();
        is_ours.then_some(metadata)
    }

    /// Says which files the committed positions belong to, when none belongs to this one.
    fn report_others(&self, partitions: &[SinkPosition]) {
        let others = partitions.iter();
        let others = others.filter_map(|at| serde_json::from_str::<Metadata>(&at.metadata).ok());
        for (file, position) in others
            .map(|other| (other.file, other.position))
            .collect::<BTreeSet<_>>()
        {
            let message = format!(
                "committed position {position} belongs to file {file}, not to {}: the file is not cut, lines may repeat",
                self.absolute
            );
            self.context.log(LogLevel::Warn, &message);
        }
    }

    fn metadata(&self) -> Result<String, ConnectError> {
        if self.file.is_none() || !self.output.is_regular() {
            return Ok(String::new());
        }
        let metadata = Metadata {
            file: self.absolute.clone(),
            epoch: self.epoch,
            position: self.output.length(),
        };
        serde_json::to_string(&metadata).map_err(|cause| ConnectError::fatal(cause.to_string()))
    }

    fn name(&self) -> &str {
        self.file.as_deref().unwrap_or("standard output")
    }
}

/// The path from the root, without looking at the file system. The SDK changes a component to the worker's directory; the
/// path stays as it is where there is none.
pub(crate) fn absolute(file: &str) -> String {
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
        "a WASM plugin has no standard output: set file or file.directory",
    ))
}
