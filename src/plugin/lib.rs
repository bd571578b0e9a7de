//! Plugin host: manifest discovery, policy, native loader (libloading), WASM loader (wasmtime).
//!
//! [`Plugins::discover`] reads the manifests on `plugin.path` and runs no plugin code; [`Plugins::load`] loads a class in
//! one of its forms; a loaded class starts tasks. Both forms look the same from outside, validate what a plugin hands
//! over once (`receive.rs`), and carry errors over with their kind.
//!
//! [`Plugins::follow`] finds what comes or changes while the program runs. A class whose package is replaced is another
//! class: who runs the old one goes on with it until it asks for [`Plugins::load_replacement`].
//!
//! Which form a class runs in: `plugin.form` of the connector config decides. Without it a package that may run as native
//! code ([`NativePolicy`]) runs in its `default-form` (native when it has no wish), every other package as WASM. Native
//! code that is not allowed is never loaded, whoever asks for it.
//!
//! This crate must not know what a connector does, nor topics, converters or REST.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use jackfield_api::{ConfigDef, ConfigValueIssue, OffsetChange};
use tokio::sync::Notify;

mod addresses;
mod artifact;
mod capabilities;
mod code_store;
mod discover;
mod error;
mod failures;
mod follow;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod http;
#[doc(hidden)]
pub mod in_process;
mod limits;
mod log_budget;
pub mod manifest;
pub mod metrics;
mod native;
mod plugins;
mod policy;
mod reach;
mod receive;
mod report;
mod select;
mod services;
#[cfg(test)]
mod testing;
mod versions;
mod wasm;
mod watch;

pub use error::PluginError;
pub use jackfield_api::Lag;
pub use limits::PluginLimits;
pub use plugins::Plugins;
pub use policy::{Policy, PolicyError};
pub use reach::Variables;
pub use report::{SinkWish, TaskReport, TaskWishes};
pub use select::Wanted;
pub use versions::{VersionRange, VersionRangeError, compare_versions};
/// The WIT package that components are built for.
pub use wasm::CONTRACT;

/// The plugin ABI that native libraries are built for, `ABI_MAJOR.ABI_MINOR`.
pub fn abi() -> String {
    format!(
        "{}.{}",
        jackfield_api::abi::ABI_MAJOR,
        jackfield_api::abi::ABI_MINOR
    )
}

/// Where plugins are looked for and what they may do.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// `plugin.path`: roots, scanned one level deep.
    pub plugin_path: Vec<PathBuf>,
    /// Directory for compiled WASM code, ours alone.
    pub cache_dir: PathBuf,
    /// Directories granted to WASM plugins (`plugin.wasm.directories`), at the same path inside.
    pub wasm_directories: Vec<PathBuf>,
    /// Which packages may run native code.
    pub native: NativePolicy,
    /// `plugin.policy`: what packages are granted beyond that.
    pub policy: Policy,
    /// The environment of the process.
    pub environment: Variables,
}

/// Which packages may run native code in this process: those named by the operator, and the shipped ones. A package is
/// a shipped one when its name starts with `jackfield-` and it lies in a directory of the program itself; a name alone
/// proves nothing, because a package writes its own.
#[derive(Debug, Clone, Default)]
pub struct NativePolicy {
    /// Roots that come with the program.
    pub own_directories: Vec<PathBuf>,
    /// `plugin.native.allow`: package names; `*` = all.
    pub allow: Vec<String>,
}

impl NativePolicy {
    /// Whether the package in this directory may run native code.
    pub(crate) fn allows(&self, package: &str, directory: &Path) -> bool {
        if self.allow.iter().any(|name| name == "*" || name == package) {
            return true;
        }
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let directory = real(directory);
        package.starts_with("jackfield-")
            && self
                .own_directories
                .iter()
                .any(|own| directory.starts_with(real(own)))
    }
}

/// What a class does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "Connect's names")]
pub enum Kind {
    Source,
    Sink,
    Transform,
}

/// `plugin.form`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the design's names")]
pub enum Form {
    Native,
    Wasm,
}

/// One class of one package.
#[derive(Debug, Clone)]
pub struct PluginInfo {
    /// Full class name, e.g. `org.apache.kafka.connect.file.FileStreamSourceConnector`.
    pub class: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// What it does.
    pub kind: Kind,
    /// Version.
    pub version: String,
    /// Package directory.
    pub location: PathBuf,
    /// Forms present.
    pub forms: Vec<Form>,
    /// Digest of the package's manifest, and so of all code it pins; `None` = a class of the process itself.
    pub digest: Option<manifest::Sha256>,
}

/// A package that could not be used, with the reason.
#[derive(Debug, Clone)]
pub struct BadPackage {
    /// Directory or file.
    pub location: PathBuf,
    /// What is wrong and what to do.
    pub reason: String,
    /// What it says about itself, when that can be read.
    pub manifest: Option<Box<manifest::Manifest>>,
}

/// Host services a running task may use.
#[derive(Debug, Clone)]
pub struct TaskServices {
    /// Connector name.
    pub connector: String,
    /// Task number.
    pub task: u32,
    /// Notified by the host when the plugin should be polled before its idle time ends.
    pub wake: Arc<Notify>,
    /// What is stored of its offsets.
    pub stored_offsets: Arc<dyn StoredOffsets>,
    /// What the task says about itself.
    pub report: Arc<TaskReport>,
    /// What the task wants.
    pub wishes: Arc<TaskWishes>,
}

/// What is stored of a task's offsets, as the task may ask for it.
pub trait StoredOffsets: Send + Sync + std::fmt::Debug {
    /// For a source task: the offset (a JSON object) of a source partition (a JSON object), compared by content, as it was
    /// when the task started.
    fn read(&self, _source_partition: &str) -> Option<String> {
        None
    }

    /// For a sink task: the committed positions of its whole group, as they were at the last `open`.
    fn group_positions(&self) -> Vec<jackfield_api::SinkPosition> {
        Vec::new()
    }
}

/// Result of a poll.
#[derive(Debug)]
pub enum Polled {
    /// One encoded, validated-on-receipt batch (see `jackfield_batch`).
    Batch(PolledBatch),
    /// Nothing now; poll again after this many ms (`None` = only when woken).
    Idle(Option<u64>),
}

/// A batch from a plugin; owned by the plugin's allocator or ours, freed when dropped.
pub type PolledBatch = jackfield_batch::Batch<bytes::Bytes>;

/// Limits of one poll.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PollLimits {
    pub max_records: u32,
    pub max_bytes: u32,
}

/// A class, loaded.
#[async_trait]
pub trait ConnectorPlugin: Send + Sync + std::fmt::Debug {
    /// What it is.
    fn info(&self) -> &PluginInfo;
    /// The form it was loaded in.
    fn form(&self) -> Form;
    /// Its config definition.
    fn config_def(&self) -> &ConfigDef;
    /// Cross-field or connecting validation, after the definition was applied.
    async fn validate(&self, config: &BTreeMap<String, String>)
    -> Result<Vec<ConfigValueIssue>, PluginError>;
    /// One config per task.
    async fn task_configs(
        &self,
        config: &BTreeMap<String, String>,
        max_tasks: u32,
    ) -> Result<Vec<BTreeMap<String, String>>, PluginError>;
    /// Offsets are about to be changed while the connector is stopped: see [`jackfield_api::Connector::alter_offsets`].
    async fn alter_offsets(
        &self,
        _config: &BTreeMap<String, String>,
        _offsets: &[OffsetChange],
    ) -> Result<bool, PluginError> {
        Ok(false)
    }
    /// A new source task (kind source only).
    async fn start_source(
        &self,
        config: &BTreeMap<String, String>,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSource>, PluginError>;
    /// A new sink task (kind sink only).
    async fn start_sink(
        &self,
        config: &BTreeMap<String, String>,
        services: TaskServices,
    ) -> Result<Box<dyn HostedSink>, PluginError>;
    /// A new transform of a task (kind transform only).
    async fn start_transform(
        &self,
        _config: &BTreeMap<String, String>,
        _services: TaskServices,
    ) -> Result<Box<dyn HostedTransform>, PluginError> {
        let info = self.info();
        Err(PluginError::fatal(format!("{} is a {}", info.class, info.kind)))
    }
}

/// A running source task. Calls come one at a time and are awaited to their end: a call that is dropped leaves a WASM
/// task in an unknown state, which discards it. After any `fatal` error only `stop` makes sense, everything else repeats
/// the error.
#[async_trait]
pub trait HostedSource: Send {
    /// Never waits.
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError>;
    /// The first `batches` non-empty batches (counted from 1) are durable and their offsets are stored.
    async fn committed(&mut self, batches: u64) -> Result<(), PluginError>;
    /// Ends the task.
    async fn stop(self: Box<Self>);
}

/// A position of a sink task in a topic partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkPosition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Next offset to be delivered; -1 = none committed yet.
    pub offset: i64,
    /// Metadata kept with the commit.
    pub metadata: String,
}

/// A record the sink could not take.
#[derive(Debug, Clone)]
pub struct RecordError {
    /// `sequence` of the record in the batch.
    pub sequence: u32,
    /// Why.
    pub message: String,
}

impl From<jackfield_api::RecordError> for RecordError {
    fn from(found: jackfield_api::RecordError) -> Self {
        Self {
            sequence: found.sequence,
            message: found.message,
        }
    }
}

/// A running sink task. The rules are those of [`HostedSource`].
#[async_trait]
pub trait HostedSink: Send {
    /// Partitions were assigned, at these committed positions.
    async fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), PluginError>;
    /// Delivers a batch (an encoded `jackfield_batch` of sink records); it may be empty.
    async fn put(&mut self, batch: bytes::Bytes) -> Result<Vec<RecordError>, PluginError>;
    /// Makes everything put so far durable and returns the positions safe to commit, a subset of `current`, each with
    /// metadata of the sink's own.
    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, PluginError>;
    /// Partitions were taken away.
    async fn close(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), PluginError>;
    /// Ends the task.
    async fn stop(self: Box<Self>);
}

/// What a transform makes of a batch.
#[derive(Debug)]
pub struct Transformed {
    /// The records that go on, validated; `None` = all are filtered out. Each has the `sequence` of the one it was made of.
    pub batch: Option<PolledBatch>,
    /// Records it could not take.
    pub rejected: Vec<RecordError>,
}

/// A running transform. The rules are those of [`HostedSource`].
#[async_trait]
pub trait HostedTransform: Send {
    /// Transforms a batch (an encoded `jackfield_batch` of source or of sink records).
    async fn apply(&mut self, batch: bytes::Bytes) -> Result<Transformed, PluginError>;
    /// Ends the transform.
    async fn stop(self: Box<Self>);
}

/// Asking for a class that cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// No package has it.
    #[error("{0}")]
    UnknownClass(String),
    /// It is there in other versions only; Kafka's words.
    #[error(
        "Plugin {class} not found that matches the version range {range}, available versions: [{}]{}",
        versions.join(", "),
        unusable.as_ref().map_or_else(String::new, |why| format!("; {why}"))
    )]
    NoVersion {
        /// Its full name.
        class: String,
        /// As Maven writes it.
        range: String,
        /// Oldest first.
        versions: Vec<String>,
        /// Why packages of such a version are out of the question.
        unusable: Option<String>,
    },
    /// It is there and cannot be used, or not in the form that was asked for.
    #[error("{0}")]
    Unusable(String),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Transform => "transform",
        })
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Native => "native",
            Self::Wasm => "wasm",
        })
    }
}
