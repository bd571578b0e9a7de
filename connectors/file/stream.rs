//! The lines of one followed file, or of standard input, as records with source offsets.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jackfield_api::{
    ConnectError,
    batch::{BatchBuilder, Record, SourcePartitionIndex, TopicIndex, Value},
};

use crate::{
    claims::Claims,
    failure::Failure,
    followed::{Around, At, Filled, Followed},
    lines::{Line, LineBuffer, cut_character},
    source_config::{InvalidUtf8, LineConfig},
};

/// How soon a file that cannot be read is tried again, which doubles so often.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MOST_DOUBLED: u32 = 8;

/// One source partition.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `{"filename":…}`
    partition: String,
    pub(crate) input: Input,
    pub(crate) buffer: LineBuffer,
    /// Byte position of the buffer's start, which is where the last line that was delivered or given up ends.
    position: u64,
    /// Up to where the file was known when it had ended in an unfinished line, and since when it has.
    unfinished: Option<(u64, Instant)>,
    /// How often in succession the file could not be read.
    failures: u32,
    /// Scratch space for the source offset.
    offset: String,
}

/// Where the bytes come from.
#[derive(Debug)]
pub(crate) enum Input {
    Followed(Box<Followed>),
    #[cfg(not(target_family = "wasm"))]
    Stdin(crate::stdin::Stdin),
}

impl Input {
    fn followed(&mut self) -> Option<&mut Followed> {
        match self {
            Self::Followed(followed) => Some(followed),
            #[cfg(not(target_family = "wasm"))]
            Self::Stdin(_) => None,
        }
    }
}

/// What a turn of a stream came to.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The batch has to go.
    Full,
    /// So many bytes were read, there may be more.
    More(usize),
    /// Nothing now; look again after so many ms (`None` = when woken).
    Idle(Option<u64>),
    /// It has to wait until fewer files are open.
    Crowded,
    /// The file cannot be read; it is tried again after so much time.
    Failed(Duration),
}

/// Why a line cannot be delivered now.
enum Refused {
    /// The batch before it must go first.
    Full,
    Failed(ConnectError),
}

/// The batch being filled.
pub(crate) struct Target<'a> {
    pub(crate) batch: &'a mut BatchBuilder,
    pub(crate) topic: TopicIndex,
    /// Of the stream whose turn it is, once it has a record.
    pub(crate) partition: Option<SourcePartitionIndex>,
    pub(crate) max_records: usize,
    pub(crate) max_bytes: usize,
}

impl Target<'_> {
    pub(crate) fn is_full(&self) -> bool {
        self.batch.len() >= self.max_records
            || (!self.batch.is_empty() && self.batch.size_bytes() >= self.max_bytes)
    }

    fn push(&mut self, partition: &str, value: Value<'_>, offset: &str) -> Result<(), ConnectError> {
        let partition = match self.partition {
            Some(partition) => partition,
            None => *self.partition.insert(self.batch.source_partition(partition)?),
        };
        let record = Record {
            topic: self.topic,
            source_partition: Some(partition),
            partition: None,
            timestamp: None,
            offset: -1,
            sequence: u32::try_from(self.batch.len()).unwrap_or(u32::MAX),
            key: Value::Null,
            value,
            source_offset: Some(offset),
        };
        Ok(self.batch.push(&record, &[])?)
    }
}

/// What one turn of a stream needs.
pub(crate) struct Round<'a, 'b> {
    pub(crate) now: Instant,
    pub(crate) lines: &'a LineConfig,
    pub(crate) claims: &'a mut Claims,
    /// One more file may be opened.
    pub(crate) may_open: bool,
    pub(crate) target: &'a mut Target<'b>,
    /// Bytes after which it is the next stream's turn.
    pub(crate) most_bytes: usize,
}

impl Stream {
    /// A stream of this source partition.
    pub(crate) fn new(partition: String, input: Input, buffer: LineBuffer) -> Self {
        Self {
            partition,
            input,
            buffer,
            position: 0,
            unfinished: None,
            failures: 0,
            offset: String::new(),
        }
    }

    /// The stream of standard input; as in Kafka the file name is as configured.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn of_stdin(stdin: crate::stdin::Stdin, file: Option<&str>) -> Self {
        let partition = serde_json::json!({ "filename": file }).to_string();
        let buffer = stdin.take_left().unwrap_or_else(LineBuffer::new);
        Self::new(partition, Input::Stdin(stdin), buffer)
    }

    /// Delivers and reads until there is nothing more, the batch is full or its turn is over.
    pub(crate) fn advance(&mut self, round: &mut Round<'_, '_>) -> Result<Turn, Failure> {
        let mut read = 0;
        if let Some(followed) = self.input.followed() {
            // Also while there is much to read: what comes next must be open before it can be deleted.
            followed.look(&mut Around {
                now: round.now,
                claims: round.claims,
                may_open: round.may_open,
            })?;
        }
        loop {
            if self.deliver_lines(round)? {
                return Ok(Turn::Full);
            }
            if read > round.most_bytes {
                return Ok(Turn::More(read));
            }
            match self.fill(round)? {
                Filled::Bytes(count) | Filled::Again(count) => read += count,
                Filled::Crowded => return Ok(Turn::Crowded),
                Filled::Opened { position, before } => self.opened(position, before),
                Filled::Ended => {
                    if !self.leave(round)? {
                        return Ok(Turn::Full);
                    }
                }
                Filled::Nothing(_) if !round.target.batch.is_empty() && read > 0 => {
                    return Ok(Turn::More(read));
                }
                Filled::Nothing(again_ms) => return Ok(self.idle(again_ms, round)?),
            }
        }
    }

    /// Bytes not delivered and files not finished.
    pub(crate) fn lag(&self) -> (u64, u64) {
        match &self.input {
            Input::Followed(followed) => followed.lag(self.at()),
            #[cfg(not(target_family = "wasm"))]
            Input::Stdin(_) => (0, 0),
        }
    }

    /// Closes an idle file until something happens to it, or until its unfinished line is due; false = it cannot be.
    pub(crate) fn park(&mut self, lines: &LineConfig) -> bool {
        if self.buffer.line().is_some() {
            return false;
        }
        let at = self.at();
        let due = self
            .unfinished
            .filter(|(known, _)| *known == at.known && at.known > at.position);
        let until = due
            .zip(lines.idle_timeout)
            .map(|((_, since), timeout)| since + timeout);
        let is_parked = self
            .input
            .followed()
            .is_some_and(|followed| followed.park(at, until));
        if is_parked {
            self.buffer.forget();
            self.buffer.release();
        }
        is_parked
    }

    /// Closes a file that cannot be read, for longer each time; `first` = it was all right before.
    pub(crate) fn fail(&mut self, now: Instant, claims: &mut Claims) -> (bool, Duration) {
        let wait = FIRST_RETRY * (1 << self.failures.min(MOST_DOUBLED));
        self.failures += 1;
        let at = self.at();
        if let Some(followed) = self.input.followed() {
            followed.fail(at, now + wait, claims);
        }
        self.buffer.forget();
        self.buffer.release();
        (self.failures == 1, wait)
    }

    /// The file was read as far as there is something.
    pub(crate) fn recovered(&mut self) {
        if self.followed().is_some_and(|followed| followed.open_files() > 0) {
            self.failures = 0;
        }
    }

    /// Gives up all claims, when the stream ends.
    pub(crate) fn give_up(&mut self, claims: &mut Claims) {
        if let Some(followed) = self.input.followed() {
            followed.give_up(claims);
        }
    }

    /// The followed file.
    pub(crate) fn followed(&self) -> Option<&Followed> {
        match &self.input {
            Input::Followed(followed) => Some(followed),
            #[cfg(not(target_family = "wasm"))]
            Input::Stdin(_) => None,
        }
    }

    fn at(&self) -> At {
        At {
            position: self.position,
            known: self.position + self.buffer.pending() as u64,
        }
    }

    fn fill(&mut self, round: &mut Round<'_, '_>) -> Result<Filled, Failure> {
        let at = self.at();
        match &mut self.input {
            Input::Followed(followed) => {
                let mut around = Around {
                    now: round.now,
                    claims: round.claims,
                    may_open: round.may_open,
                };
                followed.fill(at, &mut self.buffer, &mut around)
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

    fn opened(&mut self, position: u64, before: Option<u8>) {
        if position > 0 && position == self.position && self.buffer.is_given_up() {
            // A copy of the file: the rest of the line that was given up comes again.
            self.buffer.forget();
        } else {
            self.buffer.continue_after(before);
        }
        self.position = position;
    }

    /// Delivers the last line of a file, whose end is certain, and leaves the file; false = the batch must go first.
    fn leave(&mut self, round: &mut Round<'_, '_>) -> Result<bool, Failure> {
        if let Some(line) = self.buffer.unfinished_line() {
            match self.deliver(line, round) {
                Ok(()) => {}
                Err(Refused::Full) => return Ok(false),
                Err(Refused::Failed(error)) => return Err(error.into()),
            }
        }
        if let Some(followed) = self.input.followed() {
            let mut around = Around {
                now: round.now,
                claims: round.claims,
                may_open: round.may_open,
            };
            followed.leave(self.position, &mut around)?;
        }
        self.position = 0;
        self.unfinished = None;
        self.buffer.continue_after(None);
        Ok(true)
    }

    /// Pushes all complete lines that fit; true = the batch has to go.
    fn deliver_lines(&mut self, round: &mut Round<'_, '_>) -> Result<bool, ConnectError> {
        self.position += self.buffer.skip_old() as u64;
        while !round.target.is_full() {
            let Some(line) = self.buffer.line() else {
                let unfinished = self.buffer.unfinished_line();
                if unfinished.is_none_or(|line| line.text <= round.lines.max_bytes) {
                    return Ok(false);
                }
                if !round.target.batch.is_empty() {
                    return Ok(true);
                }
                let error = self.too_long(round.lines);
                self.buffer.give_up();
                self.position += self.buffer.skip_old() as u64;
                return Err(error);
            };
            match self.deliver(line, round) {
                Ok(()) => {}
                Err(Refused::Full) => return Ok(true),
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
        Ok(true)
    }

    #[inline]
    fn deliver(&mut self, line: Line, round: &mut Round<'_, '_>) -> Result<(), Refused> {
        let end = self.position + line.total as u64;
        let text = self.buffer.text(line);
        let replaced;
        let value = if text.len() > round.lines.max_bytes {
            Err(None)
        } else if round.lines.invalid_utf8 == InvalidUtf8::Bytes {
            Ok(Value::Bytes(text))
        } else {
            match std::str::from_utf8(text) {
                Ok(text) => Ok(Value::Utf8(text)),
                Err(_) if round.lines.invalid_utf8 == InvalidUtf8::Replace => {
                    replaced = String::from_utf8_lossy(text);
                    Ok(Value::Utf8(&replaced))
                }
                Err(cause) => Err(Some(cause)),
            }
        };
        let error = match value {
            Ok(value) => {
                match &self.input {
                    Input::Followed(followed) => {
                        write_offset(&mut self.offset, end, followed.offset_suffix());
                    }
                    #[cfg(not(target_family = "wasm"))]
                    Input::Stdin(_) => {
                        self.offset.clear();
                        self.offset.push_str("{\"position\":null}");
                    }
                }
                round
                    .target
                    .push(&self.partition, value, &self.offset)
                    .map_err(Refused::Failed)?;
                self.buffer.take(line);
                self.position = end;
                return Ok(());
            }
            // The good lines before it go first; the bad one is found again by the next poll.
            Err(_) if !round.target.batch.is_empty() => return Err(Refused::Full),
            Err(None) => self.too_long(round.lines),
            Err(Some(cause)) => ConnectError::data(format!(
                "line at byte {} of {} is not UTF-8: {cause} (see line.invalid.utf8)",
                self.position,
                self.name().display()
            )),
        };
        // The error consumes the line: the next poll goes on behind it.
        self.buffer.take(line);
        self.position = end;
        Err(Refused::Failed(error))
    }

    fn too_long(&self, lines: &LineConfig) -> ConnectError {
        ConnectError::data(format!(
            "line at byte {} of {} is longer than line.max.bytes={}",
            self.position,
            self.name().display(),
            lines.max_bytes
        ))
    }

    /// Nothing to read and nothing to deliver but, after a while, an unfinished line.
    fn idle(&mut self, again_ms: Option<u64>, round: &mut Round<'_, '_>) -> Result<Turn, ConnectError> {
        let (Some(line), Some(timeout)) = (self.buffer.unfinished_line(), round.lines.idle_timeout) else {
            return Ok(Turn::Idle(again_ms));
        };
        if round.lines.invalid_utf8 != InvalidUtf8::Bytes && cut_character(self.buffer.text(line)) {
            return Ok(Turn::Idle(again_ms));
        }
        let known = self.at().known;
        let (_, since) = *self.unfinished.insert(
            self.unfinished
                .filter(|(at, _)| *at == known)
                .unwrap_or((known, round.now)),
        );
        let left = timeout.saturating_sub(round.now.saturating_duration_since(since));
        if left > Duration::ZERO {
            let left_ms = u64::try_from(left.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            return Ok(Turn::Idle(earlier(again_ms, Some(left_ms))));
        }
        self.unfinished = None;
        match self.deliver(line, round) {
            Ok(()) | Err(Refused::Full) => Ok(Turn::Full),
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    fn name(&self) -> &Path {
        match &self.input {
            Input::Followed(followed) => followed.path(),
            #[cfg(not(target_family = "wasm"))]
            Input::Stdin(_) => Path::new("standard input"),
        }
    }
}

/// The earlier of two times to look again.
pub(crate) fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// `{"position":N` and the rest, without the machinery of formatting.
fn write_offset(out: &mut String, position: u64, suffix: &str) {
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
    out.push_str(suffix);
}
