//! The WASM side of the plugin boundary: a library's classes as the exports of the world `connectors`.
//!
//! A component instance runs at most one task. It has one thread, so its state is thread-local.

use std::{cell::RefCell, marker::PhantomData};

use crate::{
    ConnectError, ErrorKind, PollLimits, Polled, SinkContext, SinkPosition, SourceContext, TaskConfig,
    TaskContext, TopicPartition, TransformOutput,
    batch::{Batch, BatchBuilder},
    export::{Class, Library, SinkTask, SourceTask, Start, TransformTask},
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
    exports::jackfield::plugin::{connector, sink_task, source_task, transform},
    jackfield::plugin::types,
};
use host::host;

mod host;

/// Implements the exports for a library.
#[derive(Debug)]
pub struct Exported<L>(PhantomData<L>);

struct RunningSource {
    task: Box<dyn SourceTask>,
    builder: BatchBuilder,
}

struct RunningTransform {
    transform: Box<dyn TransformTask>,
    builder: BatchBuilder,
}

thread_local! {
    static SOURCE: RefCell<Option<RunningSource>> = const { RefCell::new(None) };
    static TRANSFORM: RefCell<Option<RunningTransform>> = const { RefCell::new(None) };
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
                Start::Transform(_) => connector::Kind::Transform,
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
        Ok(rejected.into_iter().map(record_error).collect())
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

impl<L: Library> transform::Guest for Exported<L> {
    fn start(class: String, config: types::Config) -> Result<(), types::Error> {
        let class = find::<L>(&class)?;
        let Start::Transform(start) = class.start else {
            return Err(ConnectError::config(format!("{} is not a transform", class.name)).into());
        };
        let config = class.resolve(config.into_iter().collect::<TaskConfig>())?;
        TRANSFORM.set(Some(RunningTransform {
            transform: start(&config, TaskContext::new(host()))?,
            builder: BatchBuilder::new(),
        }));
        Ok(())
    }

    fn apply(batch: types::Batch) -> Result<transform::Output, types::Error> {
        TRANSFORM.with_borrow_mut(|running| {
            let RunningTransform { transform, builder } = running.as_mut().ok_or_else(not_started)?;
            let batch = Batch::parse(&batch[..]).map_err(ConnectError::from)?;
            let mut output = TransformOutput::new(builder);
            let applied = transform.apply(&batch, &mut output);
            let rejected = output.into_rejected();
            applied.inspect_err(|_| builder.clear())?;
            Ok(transform::Output {
                batch: builder.finish(),
                rejected: rejected.into_iter().map(record_error).collect(),
            })
        })
    }

    fn stop() {
        if let Some(mut running) = TRANSFORM.take() {
            running.transform.stop();
        }
    }
}

fn record_error(error: crate::RecordError) -> types::RecordError {
    types::RecordError {
        sequence: error.sequence,
        message: error.message,
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
