//! What a library exports: its classes as a table, and the macros that make a native library or a component of it.

use crate::{
    Config, ConfigDef, ConfigValueIssue, ConnectError, Connector, OffsetChange, PollLimits, Polled,
    RecordError, Sink, SinkContext, SinkPosition, Source, SourceContext, TaskConfig, TaskContext,
    TopicPartition, Transform, TransformOutput,
    batch::{Batch, BatchBuilder},
};

/// A class without its Rust type.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// Full class name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Version.
    pub version: &'static str,
    /// See [`Connector::config_def`].
    pub config_def: fn() -> ConfigDef,
    /// Starts a task.
    pub start: Start,
    validate: fn(&Config) -> Result<Vec<ConfigValueIssue>, ConnectError>,
    task_configs: fn(&Config, u32) -> Result<Vec<TaskConfig>, ConnectError>,
    alter_offsets: fn(&Config, &[OffsetChange]) -> Result<bool, ConnectError>,
}

/// A task that just started.
pub type Started<T> = Result<Box<T>, ConnectError>;

/// Starts a task of a class; tells what kind the class is.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "Connect's names")]
pub enum Start {
    Source(fn(&Config, SourceContext) -> Started<dyn SourceTask>),
    Sink(fn(&Config, SinkContext) -> Started<dyn SinkTask>),
    Transform(fn(&Config, TaskContext) -> Started<dyn TransformTask>),
}

/// A running [`Source`] without its Rust type.
#[allow(missing_docs, reason = "documented in Source")]
pub trait SourceTask: Send {
    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError>;
    fn committed(&mut self, batches: u64) -> Result<(), ConnectError>;
    fn stop(&mut self);
}

/// A running [`Sink`] without its Rust type.
#[allow(missing_docs, reason = "documented in Sink")]
pub trait SinkTask: Send {
    fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError>;
    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError>;
    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError>;
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError>;
    fn stop(&mut self);
}

/// A running [`Transform`] without its Rust type.
#[allow(missing_docs, reason = "documented in Transform")]
pub trait TransformTask: Send {
    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError>;
    fn stop(&mut self);
}

/// The classes of a library; implemented by the export macros.
pub trait Library {
    /// All classes.
    const CLASSES: &'static [Class];
}

impl Class {
    /// The class of a source.
    pub const fn source<T: Source>() -> Self {
        Self::new::<T>(Start::Source(|config, context| {
            Ok(Box::new(T::start(config, context)?))
        }))
    }

    /// The class of a sink.
    pub const fn sink<T: Sink>() -> Self {
        Self::new::<T>(Start::Sink(|config, context| {
            Ok(Box::new(T::start(config, context)?))
        }))
    }

    /// The class of a transform.
    pub const fn transform<T: Transform>() -> Self {
        Self::new::<T>(Start::Transform(|config, context| {
            Ok(Box::new(T::start(config, context)?))
        }))
    }

    const fn new<T: Connector>(start: Start) -> Self {
        Self {
            name: T::CLASS,
            aliases: T::ALIASES,
            version: T::VERSION,
            config_def: T::config_def,
            start,
            validate: T::validate,
            task_configs: T::task_configs,
            alter_offsets: T::alter_offsets,
        }
    }

    /// The config with its defaults, checked.
    pub fn resolve(&self, config: TaskConfig) -> Result<Config, ConnectError> {
        Config::resolve(&(self.config_def)(), config)
    }

    /// What is wrong with a config: the definition's own findings, or else the connector's.
    pub fn validate(&self, config: TaskConfig) -> Result<Vec<ConfigValueIssue>, ConnectError> {
        let issues = (self.config_def)().check(&config);
        if !issues.is_empty() {
            return Ok(issues);
        }
        (self.validate)(&self.resolve(config)?)
    }

    /// One config per task.
    pub fn task_configs(&self, config: TaskConfig, max_tasks: u32) -> Result<Vec<TaskConfig>, ConnectError> {
        (self.task_configs)(&self.resolve(config)?, max_tasks)
    }

    /// See [`Connector::alter_offsets`].
    pub fn alter_offsets(&self, config: TaskConfig, offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        (self.alter_offsets)(&self.resolve(config)?, offsets)
    }
}

impl<T: Source> SourceTask for T {
    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        Source::poll(self, limits, batch)
    }

    fn committed(&mut self, batches: u64) -> Result<(), ConnectError> {
        Source::committed(self, batches)
    }

    fn stop(&mut self) {
        Source::stop(self);
    }
}

impl<T: Sink> SinkTask for T {
    fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        Sink::open(self, partitions)
    }

    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        Sink::put(self, batch)
    }

    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        Sink::pre_commit(self, current)
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        Sink::close(self, partitions)
    }

    fn stop(&mut self) {
        Sink::stop(self);
    }
}

impl<T: Transform> TransformTask for T {
    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError> {
        Transform::apply(self, batch, output)
    }

    fn stop(&mut self) {
        Transform::stop(self);
    }
}

/// Exports the classes of a library, once per library: `export_plugin!(sources: [A, B], sinks: [C], transforms: [D]);`, each
/// list optional, in this order.
///
/// Built for the host's target the library gets the entry symbol of [`abi`](crate::abi), built for `wasm32-wasip2` the
/// exports of the world `connectors`. A native library must be built with unwinding panics, because a panic of the
/// connector is caught at the boundary.
#[macro_export]
macro_rules! export_plugin {
    (
        $(sources: [$($source:ty),* $(,)?] $(,)?)?
        $(sinks: [$($sink:ty),* $(,)?] $(,)?)?
        $(transforms: [$($transform:ty),* $(,)?] $(,)?)?
    ) => {
        #[doc(hidden)]
        #[derive(Debug)]
        pub struct JackfieldLibrary;

        impl $crate::export::Library for JackfieldLibrary {
            const CLASSES: &'static [$crate::export::Class] = &[
                $($($crate::export::Class::source::<$source>(),)*)?
                $($($crate::export::Class::sink::<$sink>(),)*)?
                $($($crate::export::Class::transform::<$transform>(),)*)?
            ];
        }

        $crate::export_library!(JackfieldLibrary);
    };
}

/// Exports one source class: `export_source!(MySource);`
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        $crate::export_plugin!(sources: [$source]);
    };
}

/// Exports one sink class: `export_sink!(MySink);`
#[macro_export]
macro_rules! export_sink {
    ($sink:ty) => {
        $crate::export_plugin!(sinks: [$sink]);
    };
}

/// Exports one transform class: `export_transform!(MyTransform);`
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        $crate::export_plugin!(transforms: [$transform]);
    };
}

/// The native half of [`export_plugin!`].
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! export_library {
    ($library:ident) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a native plugin must be built with panic = \"unwind\": the host survives its panics"
        );

        /// Entry point of the library, see `jackfield_api::abi`.
        ///
        /// # Safety
        /// `host` is null or points to a host table that lives as long as the process.
        #[allow(unsafe_code, reason = "the one exported symbol of a native plugin")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn jf_plugin_entry(
            host_abi_major: u16,
            host: *const $crate::abi::HostVTable,
        ) -> *const $crate::abi::PluginDesc {
            static DESCRIPTOR: $crate::native::Descriptor = $crate::native::Descriptor::new();
            // SAFETY: the caller's promise is passed on as it is.
            unsafe { $crate::native::entry::<$library>(&DESCRIPTOR, host_abi_major, host) }
        }
    };
}

/// The WASM half of [`export_plugin!`].
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! export_library {
    ($library:ident) => {
        #[doc(hidden)]
        #[allow(missing_docs, unsafe_code, reason = "generated exports of the component")]
        mod jackfield_component {
            type Exported = $crate::component::Exported<super::$library>;
            $crate::component::export_component!(Exported with_types_in $crate::component::bindings);
        }
    };
}
