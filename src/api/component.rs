//! The WASM side of the plugin boundary: a library's classes as the exports of the world `connectors`.
//!
//! A component instance runs at most one task. It has one thread, so its state is thread-local.

use std::{cell::RefCell, marker::PhantomData, sync::Arc};

use crate::{
    ConnectError, ErrorKind, Lag, LogLevel, PollLimits, Polled, SinkContext, SinkPosition, SourceContext,
    TaskConfig, TaskHost, TopicPartition,
    batch::{Batch, BatchBuilder},
    export::{Class, Library, SinkTask, SourceTask, Start},
};

/// Generated from `wit/plugin.wit`.
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "connectors",
        pub_export_macro: true,
        export_macro_name: "export_component",
    });
}

#[doc(hidden)]
pub use bindings::export_component;

use bindings::{
    exports::jackfield::plugin::{connector, sink_task, source_task},
    jackfield::plugin::{context, log, types},
};

/// Implements the exports for a library.
#[derive(Debug)]
pub struct Exported<L>(PhantomData<L>);

struct RunningSource {
    task: Box<dyn SourceTask>,
    builder: BatchBuilder,
}

thread_local! {
    static SOURCE: RefCell<Option<RunningSource>> = const { RefCell::new(None) };
    static SINK: RefCell<Option<Box<dyn SinkTask>>> = const { RefCell::new(None) };
}

impl<L: Library> connector::Guest for Exported<L> {
    fn classes() -> Vec<connector::ClassInfo> {
        let info = |class: &Class| connector::ClassInfo {
            class: class.name.to_owned(),
            aliases: class.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            kind: match class.start {
                Start::Source(_) => connector::Kind::Source,
                Start::Sink(_) => connector::Kind::Sink,
            },
            version: class.version.to_owned(),
        };
        L::CLASSES.iter().map(info).collect()
    }

    fn config_def(class: String) -> Result<String, types::Error> {
        let definition = (find::<L>(&class)?.config_def)();
        serde_json::to_string(&definition).map_err(|cause| ConnectError::fatal(cause.to_string()).into())
    }

    fn validate(class: String, config: types::Config) -> Result<Vec<types::ConfigIssue>, types::Error> {
        let issues = find::<L>(&class)?.validate(config.into_iter().collect())?;
        let issue = |issue: crate::ConfigValueIssue| types::ConfigIssue {
            name: issue.name,
            message: issue.message,
        };
        Ok(issues.into_iter().map(issue).collect())
    }

    fn task_configs(
        class: String,
        config: types::Config,
        max_tasks: u32,
    ) -> Result<Vec<types::Config>, types::Error> {
        let tasks = find::<L>(&class)?.task_configs(config.into_iter().collect(), max_tasks)?;
        Ok(tasks
            .into_iter()
            .map(|config| config.into_iter().collect())
            .collect())
    }

    fn alter_offsets(
        class: String,
        config: types::Config,
        offsets: Vec<connector::OffsetChange>,
    ) -> Result<bool, types::Error> {
        let change = |change: connector::OffsetChange| crate::OffsetChange {
            partition: change.partition,
            offset: change.offset,
        };
        let offsets: Vec<_> = offsets.into_iter().map(change).collect();
        Ok(find::<L>(&class)?.alter_offsets(config.into_iter().collect(), &offsets)?)
    }
}

impl<L: Library> source_task::Guest for Exported<L> {
    fn start(class: String, config: types::Config) -> Result<(), types::Error> {
        let class = find::<L>(&class)?;
        let Start::Source(start) = class.start else {
            return Err(ConnectError::config(format!("{} is not a source", class.name)).into());
        };
        let config = class.resolve(config.into_iter().collect::<TaskConfig>())?;
        let task = start(&config, SourceContext::new(host()))?;
        SOURCE.set(Some(RunningSource {
            task,
            builder: BatchBuilder::new(),
        }));
        Ok(())
    }

    fn poll(limits: source_task::PollLimits) -> Result<source_task::Polled, types::Error> {
        let limits = PollLimits {
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
        };
        SOURCE.with_borrow_mut(|running| {
            let RunningSource { task, builder } = running.as_mut().ok_or_else(not_started)?;
            let polled = task.poll(limits, builder).inspect_err(|_| builder.clear())?;
            Ok(match polled {
                _ if !builder.is_empty() => source_task::Polled::Batch(builder.finish()),
                Polled::Records => source_task::Polled::Idle(Some(0)),
                Polled::Idle(ms) => source_task::Polled::Idle(ms),
            })
        })
    }

    fn committed(batches: u64) -> Result<(), types::Error> {
        SOURCE.with_borrow_mut(|running| {
            running
                .as_mut()
                .ok_or_else(not_started)?
                .task
                .committed(batches)?;
            Ok(())
        })
    }

    fn stop() {
        if let Some(mut running) = SOURCE.take() {
            running.task.stop();
        }
    }
}

impl<L: Library> sink_task::Guest for Exported<L> {
    fn start(class: String, config: types::Config) -> Result<(), types::Error> {
        let class = find::<L>(&class)?;
        let Start::Sink(start) = class.start else {
            return Err(ConnectError::config(format!("{} is not a sink", class.name)).into());
        };
        let config = class.resolve(config.into_iter().collect::<TaskConfig>())?;
        SINK.set(Some(start(&config, SinkContext::new(host()))?));
        Ok(())
    }

    fn open(partitions: Vec<types::Position>) -> Result<(), types::Error> {
        with_sink(|sink| sink.open(&positions(partitions)))
    }

    fn put(batch: types::Batch) -> Result<Vec<types::RecordError>, types::Error> {
        let rejected = with_sink(|sink| sink.put(&Batch::parse(&batch[..])?))?;
        let error = |error: crate::RecordError| types::RecordError {
            sequence: error.sequence,
            message: error.message,
        };
        Ok(rejected.into_iter().map(error).collect())
    }

    fn pre_commit(current: Vec<types::Position>) -> Result<Vec<types::Position>, types::Error> {
        let safe = with_sink(|sink| sink.pre_commit(&positions(current)))?;
        let position = |position: SinkPosition| types::Position {
            topic: position.topic,
            partition: position.partition,
            offset: position.offset,
            metadata: position.metadata,
        };
        Ok(safe.into_iter().map(position).collect())
    }

    fn close(partitions: Vec<types::TopicPartition>) -> Result<(), types::Error> {
        let partition = |at: types::TopicPartition| TopicPartition {
            topic: at.topic,
            partition: at.partition,
        };
        let partitions: Vec<_> = partitions.into_iter().map(partition).collect();
        with_sink(|sink| sink.close(&partitions))
    }

    fn stop() {
        if let Some(mut sink) = SINK.take() {
            sink.stop();
        }
    }
}

fn find<L: Library>(name: &str) -> Result<&'static Class, ConnectError> {
    let known = |class: &&Class| class.name == name || class.aliases.contains(&name);
    L::CLASSES
        .iter()
        .find(known)
        .ok_or_else(|| ConnectError::config(format!("no class {name} in this component")))
}

fn with_sink<T>(call: impl FnOnce(&mut dyn SinkTask) -> Result<T, ConnectError>) -> Result<T, types::Error> {
    SINK.with_borrow_mut(|sink| Ok(call(sink.as_mut().ok_or_else(not_started)?.as_mut())?))
}

fn not_started() -> ConnectError {
    ConnectError::fatal("the task was not started")
}

fn positions(positions: Vec<types::Position>) -> Vec<SinkPosition> {
    let position = |at: types::Position| SinkPosition {
        topic: at.topic,
        partition: at.partition,
        offset: at.offset,
        metadata: at.metadata,
    };
    positions.into_iter().map(position).collect()
}

impl From<ConnectError> for types::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match error.kind {
            ErrorKind::Retriable => types::ErrorKind::Retriable,
            ErrorKind::Data => types::ErrorKind::Data,
            ErrorKind::Config => types::ErrorKind::Config,
            ErrorKind::Fatal => types::ErrorKind::Fatal,
        };
        Self {
            kind,
            message: error.message,
        }
    }
}

/// The host through the component's imports.
struct ImportedHost {
    connector: String,
    task: u32,
}

fn host() -> Arc<dyn TaskHost> {
    if let Some(directory) = context::current_directory() {
        // It fails when the host does not open it to this component; relative paths are not found then.
        std::env::set_current_dir(directory).ok();
    }
    Arc::new(ImportedHost {
        connector: context::connector_name(),
        task: context::task_id(),
    })
}

impl TaskHost for ImportedHost {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn task(&self) -> u32 {
        self.task
    }

    fn log_level(&self) -> LogLevel {
        match log::max_level() {
            log::Level::Error => LogLevel::Error,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Info => LogLevel::Info,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Trace => LogLevel::Trace,
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Trace => log::Level::Trace,
        };
        log::write(level, message);
    }

    fn stored_offset(&self, source_partition: &str) -> Option<String> {
        context::stored_offset(source_partition)
    }

    fn group_positions(&self) -> Result<Vec<SinkPosition>, ConnectError> {
        Ok(positions(context::group_positions()))
    }

    fn watch_path(&self, path: &str) -> bool {
        context::watch_path(path)
    }

    fn wake(&self) {}

    fn report_lag(&self, lag: Lag) {
        context::report_lag(lag.bytes, lag.files);
    }
}
