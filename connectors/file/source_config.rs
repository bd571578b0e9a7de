//! The options of the source.

use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jackfield_api::{
    Config, ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, ConnectError, Importance, TaskConfig,
    Validator,
};

pub(crate) const FILE: &str = "file";
pub(crate) const GLOB: &str = "glob";
const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";
const FILE_START: &str = "file.start";
const FILE_ROTATED_GLOB: &str = "file.rotated.glob";
const FILE_ROTATE_WAIT_MS: &str = "file.rotate.wait.ms";
const FILE_POSITION_PAST_END: &str = "file.position.past.end";
const LINE_IDLE_TIMEOUT_MS: &str = "line.idle.timeout.ms";
const LINE_MAX_BYTES: &str = "line.max.bytes";
const LINE_INVALID_UTF8: &str = "line.invalid.utf8";
/// Set by the connector for its tasks: number of the share and how many there are, `0/4`.
const GLOB_SHARE: &str = "glob.share";

/// Config of a source task.
#[derive(Debug, Clone)]
pub(crate) struct SourceConfig {
    pub(crate) input: InputConfig,
    pub(crate) topic: String,
    pub(crate) batch_size: usize,
    pub(crate) follow: FollowConfig,
    pub(crate) lines: LineConfig,
}

/// What a task reads.
#[derive(Debug, Clone)]
pub(crate) enum InputConfig {
    /// `file` is the text as configured, which may be missing or empty.
    Stdin {
        file: Option<String>,
    },
    File(String),
    Glob {
        patterns: Vec<String>,
        share: Share,
    },
}

/// Which of a connector's files a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) number: u64,
    pub(crate) of: u64,
}

/// How files are followed.
#[derive(Debug, Clone)]
pub(crate) struct FollowConfig {
    /// Begin at the end of files that are there when the connector first starts.
    pub(crate) start_at_end: bool,
    pub(crate) rotated: Option<GlobSet>,
    pub(crate) rotate_wait: Duration,
    pub(crate) past_end: PastEnd,
}

/// What to do with a stored position past the end of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PastEnd {
    Fail,
    Beginning,
    End,
}

/// How lines become records.
#[derive(Debug, Clone)]
pub(crate) struct LineConfig {
    /// `None` = a line without terminator is not delivered before its file has ended for good.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_bytes: usize,
    pub(crate) invalid_utf8: InvalidUtf8,
}

/// What to do with bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidUtf8 {
    /// A data error.
    Error,
    /// U+FFFD in their place.
    Replace,
    /// All values are bytes, as they are.
    Bytes,
}

/// The options of the source.
pub(crate) fn source_def() -> ConfigDef {
    let mut keys = vec![
        ConfigKey::new(
            FILE,
            ConfigType::String,
            Importance::High,
            "Source filename. If neither this nor glob is specified, the standard input will be used",
        ),
        ConfigKey::new(
            GLOB,
            ConfigType::String,
            Importance::High,
            "Instead of file: patterns, separated by commas, of the files to read (*, ?, [a-z], {a,b}; ** for any \
             directories). Each file is a source partition of its own; they are shared among the tasks",
        ),
        ConfigKey::new(
            TOPIC,
            ConfigType::String,
            Importance::High,
            "The topic to publish data to",
        )
        .required()
        .validator(Validator::NonEmpty),
        ConfigKey::new(
            BATCH_SIZE,
            ConfigType::Int,
            Importance::Low,
            "The maximum number of records the source task can read from the file each time it is polled",
        )
        .default("2000")
        .validator(Validator::Range {
            min: Some(1),
            max: None,
        }),
    ];
    keys.extend(follow_keys());
    keys.extend(line_keys());
    ConfigDef { keys }
}

fn follow_keys() -> [ConfigKey; 4] {
    [
        ConfigKey::new(
            FILE_START,
            ConfigType::String,
            Importance::Medium,
            "Where to begin files without a stored offset that are there when the connector first starts. Files that \
             appear later are read from their beginning. With end, a task that starts again before anything of a file was \
             committed begins at its end once more: what was appended meanwhile is not read",
        )
        .default("beginning")
        .validator(one_of(&["beginning", "end"])),
        ConfigKey::new(
            FILE_ROTATED_GLOB,
            ConfigType::String,
            Importance::Medium,
            "Patterns, separated by commas, of the names that rotation gives a file, when they are not the file's name \
             with a number or date (app.log.1, app.log-20261121.gz, app-2026-11-21.log)",
        ),
        ConfigKey::new(
            FILE_ROTATE_WAIT_MS,
            ConfigType::Long,
            Importance::Low,
            "A rotated file counts as finished when nothing was written to it for this long while a newer one was there",
        )
        .default("5000")
        .validator(Validator::Range { min: Some(0), max: None }),
        ConfigKey::new(
            FILE_POSITION_PAST_END,
            ConfigType::String,
            Importance::Medium,
            "What to do when the stored position is past the end of the file and no rotated file explains it",
        )
        .default("fail")
        .validator(one_of(&["fail", "beginning", "end"])),
    ]
}

fn line_keys() -> [ConfigKey; 3] {
    [
        ConfigKey::new(
            LINE_IDLE_TIMEOUT_MS,
            ConfigType::Long,
            Importance::Low,
            "A last line without newline is delivered when nothing was added to the file for this long. 0 = never",
        )
        .default("5000")
        .validator(Validator::Range { min: Some(0), max: None }),
        ConfigKey::new(
            LINE_MAX_BYTES,
            ConfigType::Int,
            Importance::Low,
            "A longer line is an error (see errors.tolerance) and is skipped instead of filling the memory",
        )
        .default("67108864")
        .validator(Validator::Range { min: Some(1), max: Some(1 << 29) }),
        ConfigKey::new(
            LINE_INVALID_UTF8,
            ConfigType::String,
            Importance::Medium,
            "Lines that are not UTF-8: error (see errors.tolerance), replace (the bad bytes become U+FFFD), or bytes (the \
             values of all lines are bytes, for ByteArrayConverter)",
        )
        .default("error")
        .validator(one_of(&["error", "replace", "bytes"])),
    ]
}

fn one_of(names: &[&str]) -> Validator {
    Validator::OneOf(names.iter().map(|name| (*name).to_owned()).collect())
}

impl SourceConfig {
    pub(crate) fn read(config: &Config) -> Result<Self, ConnectError> {
        let idle_ms: u64 = config.number(LINE_IDLE_TIMEOUT_MS)?;
        let file = config.optional(FILE).map(str::to_owned);
        let input = match (config.optional(GLOB).filter(|glob| !glob.is_empty()), file) {
            (Some(glob), _) => InputConfig::Glob {
                patterns: patterns(glob),
                share: share(config)?,
            },
            (None, Some(file)) if !file.is_empty() => InputConfig::File(file),
            (None, file) => InputConfig::Stdin { file },
        };
        let rotated = config.optional(FILE_ROTATED_GLOB).filter(|glob| !glob.is_empty());
        Ok(Self {
            input,
            topic: config.string(TOPIC)?.to_owned(),
            batch_size: config.number(BATCH_SIZE)?,
            follow: FollowConfig {
                start_at_end: config.string(FILE_START)? == "end",
                rotated: rotated
                    .map(|glob| glob_set(&patterns(glob)))
                    .transpose()
                    .map_err(|cause| ConnectError::config(format!("{FILE_ROTATED_GLOB}: {cause}")))?,
                rotate_wait: Duration::from_millis(config.number(FILE_ROTATE_WAIT_MS)?),
                past_end: match config.string(FILE_POSITION_PAST_END)? {
                    "beginning" => PastEnd::Beginning,
                    "end" => PastEnd::End,
                    _ => PastEnd::Fail,
                },
            },
            lines: LineConfig {
                idle_timeout: (idle_ms > 0).then(|| Duration::from_millis(idle_ms)),
                max_bytes: config.number(LINE_MAX_BYTES)?,
                invalid_utf8: match config.string(LINE_INVALID_UTF8)? {
                    "replace" => InvalidUtf8::Replace,
                    "bytes" => InvalidUtf8::Bytes,
                    _ => InvalidUtf8::Error,
                },
            },
        })
    }
}

/// One config per task: as many as may be when files are found by patterns, else one.
pub(crate) fn task_configs(config: &Config, max_tasks: u32) -> Vec<TaskConfig> {
    let by_glob = config.optional(GLOB).is_some_and(|glob| !glob.is_empty());
    let tasks = if by_glob { max_tasks.max(1) } else { 1 };
    let task = |number: u32| {
        let mut task = config.original().clone();
        if by_glob {
            task.insert(GLOB_SHARE.to_owned(), format!("{number}/{tasks}"));
        }
        task
    };
    (0..tasks).map(task).collect()
}

fn share(config: &Config) -> Result<Share, ConnectError> {
    let Some(share) = config.optional(GLOB_SHARE) else {
        return Ok(Share { number: 0, of: 1 });
    };
    let parts = share.split_once('/');
    let parts = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((number, of)) if number < of => Ok(Share { number, of }),
        _ => Err(ConnectError::config(format!(
            "Invalid value {share} for configuration {GLOB_SHARE}: the connector sets it for its tasks, leave it out"
        ))),
    }
}

/// Problems the definition cannot see.
pub(crate) fn validate_source(config: &Config) -> Vec<ConfigValueIssue> {
    let given = |name| config.optional(name).filter(|value| !value.is_empty());
    let mut issues = Vec::new();
    if given(FILE).is_some() && given(GLOB).is_some() {
        issues.push(ConfigValueIssue {
            name: GLOB.to_owned(),
            message: "file and glob cannot both be set: leave one out".to_owned(),
        });
    }
    for name in [GLOB, FILE_ROTATED_GLOB] {
        if let Some(Err(message)) = given(name).map(|glob| glob_set(&patterns(glob))) {
            issues.push(ConfigValueIssue {
                name: name.to_owned(),
                message,
            });
        }
    }
    if given(GLOB).is_none() {
        issues.extend(needs_file(config));
    }
    issues
}

/// A component has no standard input.
fn needs_file(config: &Config) -> Option<ConfigValueIssue> {
    let missing = config.optional(FILE).is_none_or(str::is_empty);
    (cfg!(target_family = "wasm") && missing).then(|| ConfigValueIssue {
        name: FILE.to_owned(),
        message: "without file or glob the connector reads standard input, which a WASM plugin does not have: set one, or \
                  plugin.form=native"
            .to_owned(),
    })
}

/// The first problem as an error, for the start of a task.
pub(crate) fn refuse(issues: Vec<ConfigValueIssue>) -> Result<(), ConnectError> {
    match issues.into_iter().next() {
        Some(issue) => Err(ConnectError::config(format!("{}: {}", issue.name, issue.message))),
        None => Ok(()),
    }
}

/// The patterns between the commas; commas in braces belong to a pattern.
fn patterns(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let parts = text.split(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
        .map(str::to_owned)
        .collect()
}

/// One matcher for several patterns; `*` stops at a slash.
pub(crate) fn glob_set(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|cause| format!("the pattern {pattern} is not valid: {}", cause.kind()))?;
        set.add(glob);
    }
    set.build()
        .map_err(|cause| format!("the patterns {} are not valid: {cause}", patterns.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(settings: &[(&str, &str)]) -> Result<Config, ConnectError> {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::resolve(&source_def(), settings.collect())
    }

    #[test]
    fn commas_in_braces_belong_to_the_pattern() {
        assert_eq!(
            patterns("a/{b,c}*.log, d/**/*.log,,"),
            ["a/{b,c}*.log", "d/**/*.log"]
        );
    }

    #[test]
    fn problems_are_named() {
        for (settings, name, message) in [
            (
                [("file", "f"), ("glob", "g")],
                GLOB,
                "file and glob cannot both be set",
            ),
            (
                [("glob", "[a"), ("batch.size", "1")],
                GLOB,
                "the pattern [a is not valid",
            ),
            (
                [("file", "f"), ("file.rotated.glob", "{")],
                FILE_ROTATED_GLOB,
                "the pattern { is not valid",
            ),
        ] {
            let config = resolve(&[&settings[..], &[("topic", "t")]].concat()).unwrap();
            let issues = validate_source(&config);
            assert_eq!(issues.len(), 1, "{issues:?}");
            assert_eq!(issues[0].name, name);
            assert!(issues[0].message.contains(message), "{issues:?}");
        }
        for (key, value) in [
            ("file.start", "middle"),
            ("file.position.past.end", "skip"),
            ("line.invalid.utf8", "drop"),
            ("file.rotate.wait.ms", "-1"),
        ] {
            let error = resolve(&[("topic", "t"), (key, value)]).unwrap_err();
            assert!(
                error.message.contains(&format!("for configuration {key}:")),
                "{error}"
            );
        }
    }

    #[test]
    fn patterns_are_shared_among_all_tasks_and_a_file_has_one() {
        let glob = resolve(&[("topic", "t"), ("glob", "*.log")]).unwrap();
        let tasks = task_configs(&glob, 3);
        let shares: Vec<_> = tasks.iter().map(|task| task[GLOB_SHARE].as_str()).collect();
        assert_eq!(shares, ["0/3", "1/3", "2/3"]);
        let file = resolve(&[("topic", "t"), ("file", "f")]).unwrap();
        assert_eq!(task_configs(&file, 3), [file.original().clone()]);
        let bad = resolve(&[("topic", "t"), ("glob", "*"), ("glob.share", "3/3")]).unwrap();
        let error = SourceConfig::read(&bad).unwrap_err();
        assert!(
            error
                .message
                .contains("Invalid value 3/3 for configuration glob.share"),
            "{error}"
        );
    }
}
