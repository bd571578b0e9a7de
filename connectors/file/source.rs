//! FileStreamSource: the lines of files as records. Streams take turns; this file gives them.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, LogLevel, PollLimits, Polled, Source,
    SourceContext, TaskConfig, batch::BatchBuilder,
};

use crate::{
    claims::{Claims, StreamId},
    followed::{Followed, LOOK_AGAIN_MS},
    identity::{Stored, look},
    lines::LineBuffer,
    names::{Found, Patterns},
    reader::{is_gzip, read_head},
    resume::Begin,
    siblings::Name,
    source_config::{InputConfig, SourceConfig, refuse, source_def, task_configs, validate_source},
    stream::{Input, Round, Stream, Target, Turn, earlier},
};

/// A poll that found no end of line yet comes back after this much, to keep its host responsive.
const READ_PER_POLL_BYTES: usize = 8 << 20;
/// A poll goes on with the next one after this much time, however many files there are.
const TURNS: Duration = Duration::from_millis(50);
/// What a stream reads before it is the next one's turn.
const READ_PER_TURN_BYTES: usize = 256 << 10;
/// More files than this are closed while they are idle.
const MOST_OPEN: usize = 256;
/// With more streams than this, idle ones are looked at less often and give their memory back.
const FEW_STREAMS: usize = 16;
const IDLE_STREAM_LOOK: Duration = Duration::from_millis(100);
/// How often directories are looked through while there is much to read.
const BUSY_SCAN: Duration = Duration::from_millis(200);
/// How often directories are looked through although nothing seems to have changed.
const WATCHED_SCAN_MS: u64 = 10_000;
/// How often lag is reported while there is some.
const LAG_REPORT: Duration = Duration::from_millis(500);

/// Follows files and delivers their lines.
#[derive(Debug)]
pub struct FileStreamSource {
    config: SourceConfig,
    context: SourceContext,
    pub(crate) streams: Vec<Stream>,
    claims: Claims,
    /// Where files come from when patterns tell.
    finder: Option<Finder>,
    /// Whose turn it is.
    pub(crate) turn: usize,
    /// When an idle stream is looked at again, if not at once.
    look_after: HashMap<StreamId, Instant>,
    open_files: usize,
    lag: (u64, u64),
    lag_reported: Option<Instant>,
}

#[derive(Debug)]
struct Finder {
    patterns: Patterns,
    watched: BTreeSet<PathBuf>,
    /// All directories are.
    is_watched: bool,
    /// Names that are followed, or were until they were gone.
    followed: HashMap<PathBuf, Option<StreamId>>,
    next_id: u64,
    last_scan: Option<Instant>,
    /// The last poll found nothing to do, so that something has happened since.
    was_idle: bool,
    /// Files that were last written before this (in ms) were there when the connector first started.
    first_start_ms: Option<u64>,
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

    fn task_configs(config: &Config, max_tasks: u32) -> Result<Vec<TaskConfig>, ConnectError> {
        Ok(task_configs(config, max_tasks))
    }
}

impl Source for FileStreamSource {
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError> {
        refuse(validate_source(config))?;
        let config = SourceConfig::read(config)?;
        let mut source = Self::new(config, context);
        match source.config.input.clone() {
            InputConfig::Stdin { file } => {
                let stream = standard_input(&source.context, file.as_deref())?;
                source.streams.push(stream);
            }
            InputConfig::File(path) => {
                let begin = match stored(&source.context, &partition(&path))? {
                    Some(stored) => Begin::At(stored),
                    None => Begin::New {
                        at_end: source.config.follow.start_at_end && look(Path::new(&path)).is_ok(),
                        with_rotated: false,
                    },
                };
                source.follow(StreamId(0), &path, begin, false);
            }
            InputConfig::Glob { patterns, share } => {
                let rotated = source.config.follow.rotated.clone();
                let patterns = Patterns::new(&patterns, rotated, share).map_err(ConnectError::config)?;
                source.finder = Some(Finder {
                    patterns,
                    watched: BTreeSet::new(),
                    is_watched: true,
                    followed: HashMap::new(),
                    next_id: 0,
                    last_scan: None,
                    was_idle: true,
                    first_start_ms: None,
                });
                source.find(Instant::now())?;
            }
        }
        Ok(source)
    }

    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        self.poll_at(Instant::now(), limits, batch)
    }
}

#[cfg(not(target_family = "wasm"))]
impl Drop for FileStreamSource {
    /// Standard input cannot be read again: what was not delivered is left to the next task.
    fn drop(&mut self) {
        for stream in &mut self.streams {
            if let Input::Stdin(stdin) = &stream.input {
                stdin.leave(std::mem::replace(&mut stream.buffer, LineBuffer::new()));
            }
        }
    }
}

impl FileStreamSource {
    pub(crate) fn new(config: SourceConfig, context: SourceContext) -> Self {
        Self {
            config,
            context,
            streams: Vec::new(),
            claims: Claims::default(),
            finder: None,
            turn: 0,
            look_after: HashMap::new(),
            open_files: 0,
            lag: (0, 0),
            lag_reported: None,
        }
    }

    fn follow(&mut self, id: StreamId, path: &str, begin: Begin, closes_gone: bool) {
        let name = Name {
            path: PathBuf::from(path),
            rotated: self.config.follow.rotated.clone(),
        };
        let follow = self.config.follow.clone();
        let followed = Followed::new(id, name, follow, self.context.clone(), begin, closes_gone);
        let input = Input::Followed(Box::new(followed));
        self.streams
            .push(Stream::new(partition(path), input, LineBuffer::new()));
    }

    pub(crate) fn poll_at(
        &mut self,
        now: Instant,
        limits: PollLimits,
        batch: &mut BatchBuilder,
    ) -> Result<Polled, ConnectError> {
        let find_ms = self.find(now)?;
        let mut target = Target {
            topic: batch.topic(&self.config.topic)?,
            partition: None,
            max_records: self.config.batch_size.min(limits.max_records as usize).max(1),
            max_bytes: limits.max_bytes as usize,
            batch,
        };
        let idle_ms = self.take_turns(now, &mut target);
        let is_empty = target.batch.is_empty();
        let idle_ms = idle_ms?;
        if let Some(finder) = &mut self.finder {
            finder.was_idle = is_empty && idle_ms.is_some();
        }
        match idle_ms {
            Some(idle_ms) if is_empty => {
                let lag_ms = self.report_lag(now, true);
                Ok(Polled::Idle(earlier(earlier(idle_ms, find_ms), lag_ms)))
            }
            _ => {
                self.report_lag(now, false);
                Ok(Polled::Records)
            }
        }
    }

    /// Lets the streams fill the batch; `Some` = all are idle, and when the first of them wants to look again.
    fn take_turns(
        &mut self,
        now: Instant,
        target: &mut Target<'_>,
    ) -> Result<Option<Option<u64>>, ConnectError> {
        let began = Instant::now();
        let (mut idle, mut read, mut again_ms) = (0, 0, None);
        let single = self.streams.len() == 1;
        while idle < self.streams.len() {
            self.turn %= self.streams.len();
            let id = self.streams[self.turn].followed().map(Followed::id);
            if let Some(after) = id.and_then(|id| self.look_after.get(&id))
                && *after > now
            {
                let left = after.saturating_duration_since(now).as_millis();
                again_ms = earlier(again_ms, Some(u64::try_from(left).unwrap_or(u64::MAX) + 1));
                idle += 1;
                self.turn += 1;
                continue;
            }
            match self.take_turn(now, target, single)? {
                Turn::Full => {
                    if target.is_full() {
                        self.turn += 1;
                    }
                    return Ok(None);
                }
                Turn::More(count) => {
                    read += count;
                    idle = 0;
                    self.turn += 1;
                }
                Turn::Idle(ms) => {
                    again_ms = earlier(again_ms, ms);
                    if self.rest(now, id) {
                        idle += 1;
                        self.turn += 1;
                    }
                }
            }
            if read > READ_PER_POLL_BYTES || began.elapsed() > TURNS {
                return Ok(None);
            }
        }
        Ok(Some(again_ms))
    }

    fn take_turn(
        &mut self,
        now: Instant,
        target: &mut Target<'_>,
        single: bool,
    ) -> Result<Turn, ConnectError> {
        target.partition = None;
        let stream = &mut self.streams[self.turn];
        let open_before = stream.followed().map_or(0, Followed::open_files);
        let turn = stream.advance(&mut Round {
            now,
            lines: &self.config.lines,
            claims: &mut self.claims,
            target,
            most_bytes: if single {
                READ_PER_POLL_BYTES
            } else {
                READ_PER_TURN_BYTES
            },
        });
        let open_now = stream.followed().map_or(0, Followed::open_files);
        self.open_files = (self.open_files + open_now).saturating_sub(open_before);
        turn
    }

    /// What an idle stream gives back when there are many; false = it has ended and the next one has its place.
    fn rest(&mut self, now: Instant, id: Option<StreamId>) -> bool {
        let (Some(finder), Some(id)) = (&mut self.finder, id) else {
            return true;
        };
        let stream = &mut self.streams[self.turn];
        if stream.followed().is_some_and(Followed::is_gone) {
            if let Some(followed) = stream.followed() {
                followed.give_up(&mut self.claims);
            }
            self.streams.remove(self.turn);
            for known in finder.followed.values_mut() {
                *known = known.filter(|known| *known != id);
            }
            self.look_after.remove(&id);
            return false;
        }
        if self.streams.len() > FEW_STREAMS {
            self.look_after.insert(id, now + IDLE_STREAM_LOOK);
            self.streams[self.turn].buffer.release();
        }
        if self.open_files > MOST_OPEN {
            let stream = &mut self.streams[self.turn];
            let before = stream.followed().map_or(0, Followed::open_files);
            stream.park(&mut self.claims);
            let after = stream.followed().map_or(0, Followed::open_files);
            self.open_files -= before - after;
        }
        true
    }

    /// Looks for new files, if it is time; gives when to do so again.
    fn find(&mut self, now: Instant) -> Result<Option<u64>, ConnectError> {
        let Some(mut finder) = self.finder.take() else {
            return Ok(None);
        };
        let found = self.find_with(&mut finder, now);
        let again_ms = if finder.is_watched {
            WATCHED_SCAN_MS
        } else {
            LOOK_AGAIN_MS
        };
        self.finder = Some(finder);
        found.map(|()| Some(again_ms))
    }

    fn find_with(&mut self, finder: &mut Finder, now: Instant) -> Result<(), ConnectError> {
        let busy = |last| !finder.was_idle && now.saturating_duration_since(last) < BUSY_SCAN;
        if finder.last_scan.is_some_and(busy) {
            return Ok(());
        }
        let is_first = finder.last_scan.is_none();
        let failed = |cause| ConnectError::fatal(format!("cannot look for files of glob: {cause}"));
        let mut found = finder.patterns.scan().map_err(failed)?;
        let mut is_new = false;
        for directory in &found.directories {
            if !finder.watched.contains(directory) {
                is_new = true;
                let watched = directory
                    .to_str()
                    .is_some_and(|path| self.context.watch_path(path));
                finder.is_watched &= watched;
                finder.watched.insert(directory.clone());
            }
        }
        if is_new {
            // What came between the look and the watch.
            found = finder.patterns.scan().map_err(failed)?;
        }
        if found.directories.is_empty() {
            // What is not there cannot be watched.
            finder.is_watched = false;
            if is_first {
                let message = format!(
                    "no directory of glob is there, waiting for one{}",
                    crate::grant_hint()
                );
                self.context.log(LogLevel::Warn, &message);
            }
        }
        finder
            .watched
            .retain(|directory| found.directories.contains(directory));
        finder.last_scan = Some(now);
        let known = |path: &Path| {
            finder.followed.contains_key(path)
                || path
                    .to_str()
                    .is_some_and(|path| self.context.stored_offset(&partition(path)).is_some())
        };
        let streams = finder.patterns.streams(&found, known);
        let mut new = Vec::new();
        for path in streams {
            let begin = match (path.to_str(), finder.followed.get(&path)) {
                (None, _) | (_, Some(Some(_))) => continue,
                // It comes back after it was gone.
                (Some(_), Some(None)) => None,
                (Some(text), None) => stored(&self.context, &partition(text))?,
            };
            new.push((path, begin));
        }
        if is_first {
            let stored = new.iter().filter_map(|(_, stored)| stored.as_ref()?.identity);
            finder.first_start_ms = stored.map(|identity| identity.modified_ms).max();
        }
        for (path, stored) in new {
            let begin = match stored {
                Some(stored) => Begin::At(stored),
                None => match self.begin_new(finder, &found, &path, is_first) {
                    Some(begin) => begin,
                    None => continue,
                },
            };
            let id = StreamId(finder.next_id);
            finder.next_id += 1;
            let text = path.to_str().unwrap_or_default();
            self.follow(id, text, begin, true);
            finder.followed.insert(path, Some(id));
        }
        Ok(())
    }

    /// Where to begin a file of which nothing is stored; `None` = not to.
    fn begin_new(&self, finder: &Finder, found: &Found, path: &Path, is_first: bool) -> Option<Begin> {
        let seen = look(path).ok()?;
        if self.claims.is_others(seen.key, None) {
            // Another name's file, which has moved here.
            return None;
        }
        let head = || read_head(path).unwrap_or_default();
        if let Some(left) = self.claims.finished(seen.key, head) {
            // It was read under this name or another. It is followed again when there is more in it.
            let position = left.goes_on(&seen, is_gzip(path))?;
            let identity = Some(left.identity);
            return Some(Begin::At(Stored { position, identity }));
        }
        let modified_ms = seen.modified_ns / 1_000_000;
        let was_there = finder.first_start_ms.is_none_or(|first| modified_ms <= first);
        let at_end = is_first && self.config.follow.start_at_end && was_there;
        let is_back = finder.followed.contains_key(path);
        Some(Begin::New {
            at_end,
            with_rotated: !at_end && !is_back && finder.patterns.match_rotated(found, path),
        })
    }

    /// Tells the host what is left to read; gives when to do so again.
    fn report_lag(&mut self, now: Instant, is_idle: bool) -> Option<u64> {
        let due = self
            .lag_reported
            .is_none_or(|last| now.saturating_duration_since(last) >= LAG_REPORT);
        let cheap = is_idle && self.streams.len() <= FEW_STREAMS;
        if !due && !cheap {
            return is_idle.then_some(u64::try_from(LAG_REPORT.as_millis()).unwrap_or(u64::MAX));
        }
        let lags = self.streams.iter().map(Stream::lag);
        let lag = lags.fold((0, 0), |sum, lag| (sum.0 + lag.0, sum.1 + lag.1));
        if lag != self.lag || self.lag_reported.is_none() {
            self.context.report_lag(lag.0, lag.1);
            self.lag = lag;
        }
        self.lag_reported = Some(now);
        None
    }
}

/// The source partition of a file.
fn partition(path: &str) -> String {
    serde_json::json!({ "filename": path }).to_string()
}

fn stored(context: &SourceContext, partition: &str) -> Result<Option<Stored>, ConnectError> {
    match context.stored_offset(partition) {
        Some(offset) => Stored::parse(partition, &offset),
        None => Ok(None),
    }
}

#[cfg(not(target_family = "wasm"))]
fn standard_input(context: &SourceContext, file: Option<&str>) -> Result<Stream, ConnectError> {
    let stdin = crate::stdin::Stdin::open(context.wake_handle())?;
    Ok(Stream::of_stdin(stdin, file))
}

#[cfg(target_family = "wasm")]
fn standard_input(_context: &SourceContext, _file: Option<&str>) -> Result<Stream, ConnectError> {
    Err(ConnectError::config(
        "a WASM plugin has no standard input: set file or glob",
    ))
}
