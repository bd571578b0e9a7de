//! FileStreamSource: the lines of files as records. Streams take turns (`turns`), patterns tell which there are (`finder`).

mod finder;
mod turns;

use self::finder::Finder;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jackfield_api::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, OffsetChange, PollLimits, Polled, Source,
    SourceContext, TaskConfig, batch::BatchBuilder,
};

use crate::{
    claims::{Claims, StreamId},
    followed::Followed,
    identity::{Stored, look},
    lines::LineBuffer,
    names::Patterns,
    offset_change,
    resume::Begin,
    siblings::Name,
    source_config::{InputConfig, SourceConfig, refuse, source_def, task_configs, validate_source},
    stream::{Input, Stream, Target, earlier},
};

/// With more streams than this, idle ones are looked at less often and give their memory back.
const FEW_STREAMS: usize = 16;
/// How often lag is reported while there is some.
const LAG_REPORT: Duration = Duration::from_millis(500);

/// Follows files and delivers their lines.
#[derive(Debug)]
pub struct FileStreamSource {
    config: SourceConfig,
    context: SourceContext,
    pub(crate) streams: Vec<Stream>,
    claims: Claims,
    /// Files come and go, as patterns tell.
    by_patterns: bool,
    finder: Option<Finder>,
    /// Whose turn it is.
    pub(crate) turn: usize,
    /// When an idle stream is looked at again, if not at once.
    look_after: HashMap<StreamId, Instant>,
    pub(crate) open_files: usize,
    /// A file had to wait until fewer are open.
    crowded: bool,
    /// Since when files wait for that and none was opened.
    crowded_since: Option<Instant>,
    lag: (u64, u64),
    lag_reported: Option<Instant>,
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

    fn alter_offsets(config: &Config, offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        if let InputConfig::Stdin { .. } = SourceConfig::read(config)?.input {
            return Err(ConnectError::config(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for \
                 input and offsets are not tracked.",
            ));
        }
        offsets.iter().try_for_each(offset_change::check)?;
        Ok(true)
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
                        at_end: match look(Path::new(&path)) {
                            Ok(seen) if source.config.follow.start_at_end => Some(seen.size),
                            _ => None,
                        },
                        with_rotated: false,
                    },
                };
                source.follow(StreamId(0), &path, begin, false);
            }
            InputConfig::Glob { patterns, share } => {
                let rotated = source.config.follow.rotated.clone();
                let patterns = Patterns::new(&patterns, rotated, share).map_err(ConnectError::config)?;
                source.by_patterns = true;
                source.finder = Some(Finder {
                    patterns,
                    watched: BTreeMap::new(),
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
            by_patterns: false,
            finder: None,
            turn: 0,
            look_after: HashMap::new(),
            open_files: 0,
            crowded: false,
            crowded_since: None,
            lag: (0, 0),
            lag_reported: None,
        }
    }

    fn follow(&mut self, id: StreamId, path: &str, begin: Begin, is_watched: bool) {
        // Before the first look at the file, so that no change is missed.
        let watched = is_watched || self.context.watch_path(path);
        let closes_gone = self.by_patterns;
        let name = Name {
            path: PathBuf::from(path),
            rotated: self.config.follow.rotated.clone(),
        };
        let follow = self.config.follow.clone();
        let followed = Followed::new(
            id,
            name,
            follow,
            self.context.clone(),
            begin,
            watched,
            closes_gone,
        );
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
