//! The connector contract in Rust (the SDK): Source and Sink traits, ConfigDef, schemas, errors, wake-ups, and the
//! export macros that turn one source into a native library or a WASM component.
//!
//! A connector implements [`Connector`] (what it is and how it is configured) and [`Source`] or [`Sink`] (what a task
//! does); a transform implements [`Connector`] and [`Transform`]. A library exports its classes once:
//!
//! ```text
//! jackfield_api::export_plugin!(sources: [FileStreamSource], sinks: [FileStreamSink]);
//! ```
//!
//! The same crate built for the host's target is a native library, built for `wasm32-wasip2` it is a component. The
//! traits are plain Rust: with [`LocalHost`] a connector runs in a unit test without either.
//!
//! Life of a source task: [`Source::start`], then [`Source::poll`] again and again with [`Source::committed`] in
//! between, [`Source::stop`]. Life of a sink task: [`Sink::start`], [`Sink::open`], then [`Sink::put`] with
//! [`Sink::pre_commit`] in between, [`Sink::close`], [`Sink::stop`]. Life of a transform, one in each task of a connector that
//! names it: [`Transform::start`], [`Transform::apply`], [`Transform::stop`]. Calls come one at a time, not always from the
//! same thread. After a `fatal` error or a panic only `stop` follows.
//!
//! This crate must not know the host: `wit/plugin.wit` and [`abi`] are all they share.

// The derive of `Options` writes this name down, in the tests of this crate, too.
#[cfg(test)]
extern crate self as jackfield_api;

pub use jackfield_batch as batch;

pub mod abi;
#[cfg(test)]
mod c_batch_tests;
#[cfg(target_family = "wasm")]
pub mod component;
mod config;
mod config_def;
mod connector;
mod context;
mod error;
pub mod export;
#[cfg(test)]
mod header_tests;
mod http;
pub mod java_text;
mod local;
#[cfg(not(target_family = "wasm"))]
pub mod native;
mod options;
pub mod schema_json;

pub use config::Config;
pub use config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValueIssue, Importance, Validator};
pub use connector::{
    Connector, OffsetChange, PollLimits, Polled, RecordError, Sink, SinkPosition, Source, TaskConfig,
    TopicPartition, Transform, TransformOutput,
};
pub use context::{
    Lag, LogLevel, MetricKind, SinkContext, SinkRequest, SourceContext, TaskContext, TaskHost,
    TransactionBoundary, WakeHandle,
};
pub use error::{ConnectError, ErrorKind};
pub use http::{Http, HttpCall, HttpRequest, HttpResponse};
pub use jackfield_derive::Options;
pub use local::LocalHost;
pub use options::{OptionValue, Options, Password};
