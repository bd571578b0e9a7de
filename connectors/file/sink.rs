//! FileStreamSink: the values of records in files, each exactly once.

use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, OffsetChange, RecordError, Sink,
    SinkContext, SinkPosition, TaskConfig, TopicPartition, batch::Batch,
};

use crate::{
    format::Formatter,
    sink_config::{self, SinkConfig, is_rolling, sink_def, validate_sink},
    sink_plain::PlainFile,
    sink_rolling::RollingFiles,
};

/// Buffers up to this size are kept for the next batch.
const KEEP_BYTES: usize = 1 << 20;

/// Writes values to files.
pub struct FileStreamSink {
    destination: Destination,
    formatter: Formatter,
    /// What is written of the batch or record at hand.
    text: Vec<u8>,
}

#[derive(Debug)]
enum Destination {
    Plain(PlainFile),
    Rolling(RollingFiles),
}

impl std::fmt::Debug for FileStreamSink {
    /// Without the text at hand: it is record contents.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "FileStreamSink({:?}, {:?})",
            self.destination, self.formatter
        )
    }
}

impl Connector for FileStreamSink {
    const CLASS: &'static str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
    const ALIASES: &'static [&'static str] = &["FileStreamSink", "FileStreamSinkConnector"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        sink_def()
    }

    fn validate(config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        validate_sink(config)
    }

    /// One file has one task; files of partitions may be shared among several.
    fn task_configs(config: &Config, max_tasks: u32) -> Result<Vec<TaskConfig>, ConnectError> {
        let tasks = if is_rolling(config) { max_tasks.max(1) } else { 1 };
        Ok((0..tasks).map(|_| config.original().clone()).collect())
    }

    /// The group's positions are all there are.
    fn alter_offsets(_config: &Config, _offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        Ok(true)
    }
}

impl Sink for FileStreamSink {
    fn start(config: &Config, context: SinkContext) -> Result<Self, ConnectError> {
        let config = SinkConfig::read(config)?;
        let destination = match config.destination {
            sink_config::Destination::File(file) => Destination::Plain(PlainFile::start(file, context)?),
            sink_config::Destination::Rolling(rolling) => {
                Destination::Rolling(RollingFiles::start(&rolling, config.format, context)?)
            }
        };
        Ok(Self {
            destination,
            formatter: Formatter::new(config.format, config.raw_separator),
            text: Vec::new(),
        })
    }

    fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        match &mut self.destination {
            Destination::Plain(file) => file.open(partitions),
            Destination::Rolling(files) => files.open(partitions),
        }
    }

    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        let put = match &mut self.destination {
            Destination::Plain(file) => put_plain(file, &mut self.formatter, &mut self.text, batch),
            Destination::Rolling(files) => files.put(&mut self.formatter, &mut self.text, batch),
        };
        if self.text.capacity() > KEEP_BYTES {
            self.text = Vec::new();
        }
        put
    }

    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        match &mut self.destination {
            Destination::Plain(file) => file.pre_commit(current),
            Destination::Rolling(files) => files.pre_commit(current),
        }
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        match &mut self.destination {
            Destination::Plain(file) => file.close(partitions),
            Destination::Rolling(files) => files.close(partitions),
        }
        Ok(())
    }
}

/// Appends a whole batch or, with an error, nothing of it.
fn put_plain(
    file: &mut PlainFile,
    formatter: &mut Formatter,
    text: &mut Vec<u8>,
    batch: &Batch<&[u8]>,
) -> Result<Vec<RecordError>, ConnectError> {
    let mut rejected = Vec::new();
    text.clear();
    for found in batch.records() {
        let record = found.record;
        if let Err(message) = formatter.write(text, batch, &record.value) {
            rejected.push(RecordError {
                sequence: record.sequence,
                message,
            });
        }
    }
    file.append(text).map(|()| rejected)
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "sink_rolling_tests.rs"]
mod rolling_tests;

#[cfg(test)]
#[path = "sink_fault_tests.rs"]
mod fault_tests;
