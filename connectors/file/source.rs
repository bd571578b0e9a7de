//! FileStreamSource: the lines of a file as records.

use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, LogLevel, PollLimits, Polled, Source,
    SourceContext,
    batch::{BatchBuilder, Record, SourcePartitionIndex, TopicIndex, Value},
};

use crate::{
    config::{SourceConfig, refuse, source_def, validate_source},
    lines::{Line, LineBuffer, cut_character},
};

/// When nothing watches the file, the task looks by itself this often.
const LOOK_AGAIN_MS: u64 = 1_000;
/// A poll that found no end of line yet comes back after this much, to keep its host responsive.
const READ_PER_POLL_BYTES: usize = 8 << 20;

/// Follows a file and delivers its lines.
#[derive(Debug)]
pub struct FileStreamSource {
    config: SourceConfig,
    context: SourceContext,
    /// `{"filename":…}`
    partition: String,
    input: Input,
    buffer: LineBuffer,
    /// Byte position of the buffer's start, which is where the last line that was delivered or given up ends.
    position: u64,
    /// Since when the file has ended in an unfinished line.
    unfinished_since: Option<Instant>,
    /// Scratch space for `{"position":N}`.
    offset: String,
}

#[derive(Debug)]
enum Input {
    /// Not there yet, or not yet opened.
    Waiting {
        path: String,
        reported: bool,
        watched: bool,
    },
    Open {
        path: String,
        file: File,
        watched: bool,
    },
    #[cfg(not(target_family = "wasm"))]
    Stdin(crate::stdin::Stdin),
}

/// What reading more found.
enum Filled {
    Bytes(usize),
    /// Nothing now; look again after so many ms (`None` = when woken).
    Nothing(Option<u64>),
}

/// Why a line cannot be delivered now.
enum Refused {
    /// The batch before it must go first.
    Full,
    Failed(ConnectError),
}

impl Connector for FileStreamSource {
    const CLASS: &'static str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
    const ALIASES: &'static [&'static str] = &["FileStreamSource", "FileStreamSourceConnector"];
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        source_def()
    }

    fn validate(config: &Config) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        Ok(validate_source(config))
    }
}

impl Source for FileStreamSource {
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError> {
        refuse(validate_source(config))?;
        let config = SourceConfig::read(config)?;
        let partition = serde_json::json!({ "filename": config.file }).to_string();
        let (input, position) = match config.file.as_deref() {
            None | Some("") => (standard_input(&context)?, 0),
            Some(path) => {
                let position = stored_position(&context, &partition)?;
                // Before the first look at the file, so that no change is missed.
                let watched = context.watch_path(path);
                (
                    Input::Waiting {
                        path: path.to_owned(),
                        reported: false,
                        watched,
                    },
                    position,
                )
            }
        };
        let buffer = input.take_left().unwrap_or_else(LineBuffer::new);
        Ok(Self {
            config,
            context,
            partition,
            input,
            buffer,
            position,
            unfinished_since: None,
            offset: String::new(),
        })
    }

    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        self.poll_at(Instant::now(), limits, batch)
    }
}

#[cfg(not(target_family = "wasm"))]
impl Drop for FileStreamSource {
    /// Standard input cannot be read again: what was not delivered is left to the next task.
    fn drop(&mut self) {
        if let Input::Stdin(stdin) = &self.input {
            stdin.leave(std::mem::replace(&mut self.buffer, LineBuffer::new()));
        }
    }
}

impl Input {
    /// What a task before took and did not deliver.
    fn take_left(&self) -> Option<LineBuffer> {
        match self {
            #[cfg(not(target_family = "wasm"))]
            Self::Stdin(stdin) => stdin.take_left(),
            _ => None,
        }
    }
}

impl FileStreamSource {
    fn poll_at(
        &mut self,
        now: Instant,
        limits: PollLimits,
        batch: &mut BatchBuilder,
    ) -> Result<Polled, ConnectError> {
        let mut target = Target {
            topic: batch.topic(&self.config.topic)?,
            partition: batch.source_partition(&self.partition)?,
            max_records: self.config.batch_size.min(limits.max_records as usize).max(1),
            max_bytes: limits.max_bytes as usize,
            batch,
        };
        let mut read = 0;
        loop {
            let full = self.deliver_lines(&mut target)?;
            if full || read > READ_PER_POLL_BYTES {
                return Ok(Polled::Records);
            }
            match self.fill()? {
                Filled::Bytes(count) => {
                    read += count;
                    self.unfinished_since = None;
                }
                Filled::Nothing(_) if !target.batch.is_empty() => return Ok(Polled::Records),
                Filled::Nothing(again_ms) => return self.idle(now, again_ms, &mut target),
            }
        }
    }

    /// Pushes all complete lines that fit; true = the batch has to go.
    fn deliver_lines(&mut self, target: &mut Target<'_>) -> Result<bool, ConnectError> {
        self.position += self.buffer.skip_old() as u64;
        while !target.is_full() {
            let Some(line) = self.buffer.line() else {
                let unfinished = self.buffer.unfinished_line();
                if unfinished.is_none_or(|line| line.text <= self.config.line_max_bytes) {
                    return Ok(false);
                }
                if !target.batch.is_empty() {
                    return Ok(true);
                }
                let error = self.too_long();
                self.buffer.give_up();
                self.position += self.buffer.skip_old() as u64;
                return Err(error);
            };
            match self.deliver(line, target) {
                Ok(()) => {}
                Err(Refused::Full) => return Ok(true),
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
        Ok(true)
    }

    fn deliver(&mut self, line: Line, target: &mut Target<'_>) -> Result<(), Refused> {
        let end = self.position + line.total as u64;
        let error = match std::str::from_utf8(self.buffer.text(line)) {
            Ok(text) if text.len() <= self.config.line_max_bytes => {
                if self.reads_stdin() {
                    self.offset.clear();
                    self.offset.push_str("{\"position\":null}");
                } else {
                    write_offset(&mut self.offset, end);
                }
                target.push(text, &self.offset).map_err(Refused::Failed)?;
                self.buffer.take(line);
                self.position = end;
                return Ok(());
            }
            // The good lines before it go first; the bad one is found again by the next poll.
            _ if !target.batch.is_empty() => return Err(Refused::Full),
            Ok(_) => self.too_long(),
            Err(cause) => ConnectError::data(format!(
                "line at byte {} of {} is not UTF-8: {cause}",
                self.position,
                self.name()
            )),
        };
        // The error consumes the line: the next poll goes on behind it.
        self.buffer.take(line);
        self.position = end;
        Err(Refused::Failed(error))
    }

    fn too_long(&self) -> ConnectError {
        ConnectError::data(format!(
            "line at byte {} of {} is longer than line.max.bytes={}",
            self.position,
            self.name(),
            self.config.line_max_bytes
        ))
    }

    /// Nothing to read and nothing to deliver but, after a while, an unfinished line.
    fn idle(
        &mut self,
        now: Instant,
        again_ms: Option<u64>,
        target: &mut Target<'_>,
    ) -> Result<Polled, ConnectError> {
        let (Some(line), Some(timeout)) = (self.buffer.unfinished_line(), self.config.line_idle_timeout)
        else {
            return Ok(Polled::Idle(again_ms));
        };
        if cut_character(self.buffer.text(line)) {
            return Ok(Polled::Idle(again_ms));
        }
        let since = *self.unfinished_since.get_or_insert(now);
        let left = timeout.saturating_sub(now.saturating_duration_since(since));
        if left > Duration::ZERO {
            let left_ms = u64::try_from(left.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            return Ok(Polled::Idle(Some(
                again_ms.map_or(left_ms, |again| again.min(left_ms)),
            )));
        }
        self.unfinished_since = None;
        match self.deliver(line, target) {
            Ok(()) | Err(Refused::Full) => Ok(Polled::Records),
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    fn fill(&mut self) -> Result<Filled, ConnectError> {
        if let Input::Waiting { watched, .. } = self.input {
            let again_ms = if watched { None } else { Some(LOOK_AGAIN_MS) };
            if !self.open()? {
                return Ok(Filled::Nothing(again_ms));
            }
        }
        match &mut self.input {
            Input::Waiting { .. } => Ok(Filled::Nothing(Some(LOOK_AGAIN_MS))),
            Input::Open { path, file, watched } => {
                let known = self.position + self.buffer.pending() as u64;
                let failed =
                    |cause| ConnectError::fatal(format!("cannot read {path} at byte {known}: {cause}"));
                let count = read(file, self.buffer.space()).map_err(failed)?;
                self.buffer.filled(count);
                if count > 0 {
                    return Ok(Filled::Bytes(count));
                }
                let size = file.metadata().map_err(failed)?.len();
                if size < known {
                    return Err(ConnectError::fatal(format!(
                        "{path} shrank to {size} bytes, {known} were read: it was truncated while it was followed"
                    )));
                }
                if cfg!(target_family = "wasm") {
                    // WASI's stream of a file has ended for good; a seek makes the next read open a new one.
                    file.seek(SeekFrom::Start(known)).map_err(failed)?;
                }
                Ok(Filled::Nothing(if *watched { None } else { Some(LOOK_AGAIN_MS) }))
            }
            #[cfg(not(target_family = "wasm"))]
            Input::Stdin(stdin) => match stdin.read()? {
                crate::stdin::Input::Bytes(bytes) => {
                    self.buffer.push(&bytes);
                    Ok(Filled::Bytes(bytes.len()))
                }
                crate::stdin::Input::Nothing => Ok(Filled::Nothing(None)),
            },
        }
    }

    /// Opens the file at the stored position; false = it is not there.
    fn open(&mut self) -> Result<bool, ConnectError> {
        let Input::Waiting {
            path,
            reported,
            watched,
        } = &mut self.input
        else {
            return Ok(true);
        };
        let failed =
            |cause| ConnectError::fatal(format!("cannot open {path}: {cause}{}", crate::grant_hint()));
        // Looked at first: opening a named pipe would wait for its writer.
        let metadata = match std::fs::metadata(&*path) {
            Ok(metadata) => metadata,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                if cfg!(target_family = "wasm") && !directory_is_visible(path) {
                    return Err(ConnectError::config(format!(
                        "the directory of {path} is not there{}",
                        crate::grant_hint()
                    )));
                }
                if !*reported {
                    self.context.log(
                        LogLevel::Warn,
                        &format!("file {path} does not exist, waiting for it"),
                    );
                    *reported = true;
                }
                return Ok(false);
            }
            Err(cause) => return Err(failed(cause)),
        };
        if !metadata.is_file() {
            return Err(ConnectError::config(format!("{path} is not a regular file")));
        }
        let mut file = match File::open(&*path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
            Err(cause) => return Err(failed(cause)),
        };
        let size = file.metadata().map_err(failed)?.len();
        let position = self.position;
        if position > size {
            return Err(ConnectError::fatal(format!(
                "the stored position {position} is beyond the end of {path} ({size} bytes): it was truncated or \
                 replaced; delete the connector's offsets to read it from its start"
            )));
        }
        let mut before = [0];
        if position > 0 {
            file.seek(SeekFrom::Start(position - 1)).map_err(failed)?;
            file.read_exact(&mut before).map_err(failed)?;
        }
        self.buffer.continue_after((position > 0).then_some(before[0]));
        let message = format!("reading {path} from byte {position}");
        self.context.log(LogLevel::Info, &message);
        self.input = Input::Open {
            path: std::mem::take(path),
            file,
            watched: *watched,
        };
        Ok(true)
    }

    fn reads_stdin(&self) -> bool {
        #[cfg(not(target_family = "wasm"))]
        if matches!(self.input, Input::Stdin(_)) {
            return true;
        }
        false
    }

    fn name(&self) -> &str {
        match &self.input {
            Input::Waiting { path, .. } | Input::Open { path, .. } => path,
            #[cfg(not(target_family = "wasm"))]
            Input::Stdin(_) => "standard input",
        }
    }
}

/// The batch being filled.
struct Target<'a> {
    batch: &'a mut BatchBuilder,
    topic: TopicIndex,
    partition: SourcePartitionIndex,
    max_records: usize,
    max_bytes: usize,
}

impl Target<'_> {
    fn is_full(&self) -> bool {
        self.batch.len() >= self.max_records
            || (!self.batch.is_empty() && self.batch.size_bytes() >= self.max_bytes)
    }

    fn push(&mut self, text: &str, offset: &str) -> Result<(), ConnectError> {
        let record = Record {
            topic: self.topic,
            source_partition: Some(self.partition),
            partition: None,
            timestamp: None,
            offset: -1,
            sequence: u32::try_from(self.batch.len()).unwrap_or(u32::MAX),
            key: Value::Null,
            value: Value::Utf8(text),
            source_offset: Some(offset),
        };
        Ok(self.batch.push(&record, &[])?)
    }
}

#[cfg(not(target_family = "wasm"))]
fn standard_input(context: &SourceContext) -> Result<Input, ConnectError> {
    Ok(Input::Stdin(crate::stdin::Stdin::open(context.wake_handle())?))
}

#[cfg(target_family = "wasm")]
fn standard_input(_context: &SourceContext) -> Result<Input, ConnectError> {
    Err(ConnectError::config(
        "a WASM plugin has no standard input: set file",
    ))
}

fn stored_position(context: &SourceContext, partition: &str) -> Result<u64, ConnectError> {
    let Some(offset) = context.stored_offset(partition) else {
        return Ok(0);
    };
    let invalid = || {
        ConnectError::fatal(format!(
            "the stored offset {offset} of {partition} has no valid position"
        ))
    };
    let parsed: serde_json::Value = serde_json::from_str(&offset).map_err(|_| invalid())?;
    match parsed.get("position") {
        None | Some(serde_json::Value::Null) => Ok(0),
        Some(position) => position.as_u64().ok_or_else(invalid),
    }
}

/// `{"position":N}`, without the machinery of formatting.
fn write_offset(out: &mut String, position: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = position;
    loop {
        at -= 1;
        digits[at] = b"0123456789"[usize::try_from(rest % 10).expect("a digit")];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.clear();
    out.push_str("{\"position\":");
    out.push_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"));
    out.push('}');
}

fn read(file: &mut File, space: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(space) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A component cannot tell a directory that is missing from one that was not granted, and the latter never appears.
fn directory_is_visible(path: &str) -> bool {
    let directory = match Path::new(path).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    directory.is_dir()
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
