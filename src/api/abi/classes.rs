//! What a library contains: descriptors, and the questions about a class.

use std::ffi::c_void;

#[cfg(doc)]
use super::{ABI_MAJOR, ABI_MINOR, ERROR_CONFIG, FAILED, KIND_SINK, KIND_SOURCE, KIND_TRANSFORM, MAGIC, OK};
use super::{Buf, Error, HostVTable, KeyValue, SinkVTable, Slice, SourceVTable, TransformVTable};

/// The exported function `jf_plugin_entry`, called once after the library was loaded, before anything else of it.
///
/// It returns the library's descriptor, which lives and stays unchanged as long as the process, or null = this library does
/// not speak that major. `host` lives as long as the process; a library that needs more of it than its `struct_size` holds
/// returns null, too. Nothing else should happen here: no thread, no file, no connection.
pub type EntryFn = unsafe extern "C" fn(host_abi_major: u16, host: *const HostVTable) -> *const PluginDesc;

/// What a library contains. The host checks magic, versions and sizes before it reads or calls anything else; what it cannot
/// use it refuses with the plugin, the file, what was found, what is supported and what to do.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PluginDesc {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] the library was built for.
    pub abi_major: u16,
    /// [`ABI_MINOR`] the library was built for.
    pub abi_minor: u16,
    /// Size of this struct.
    pub struct_size: u32,
    /// Bit set of optional abilities; none are defined yet: zero.
    pub features: u64,
    /// Oldest batch format major it reads and writes.
    pub batch_major_min: u16,
    /// Newest batch format major it reads and writes.
    pub batch_major_max: u16,
    /// Number of classes, 1 to 1,000.
    pub class_count: u32,
    /// Array of pointers, so that [`ClassDesc`] can grow.
    pub classes: *const *const ClassDesc,
    /// Compiler or SDK, for messages; may be empty.
    pub built_with: Slice,
}

/// One class. Name, kind and version are those of the package's `plugin.toml`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClassDesc {
    /// Size of this struct.
    pub struct_size: u32,
    /// [`KIND_SOURCE`], [`KIND_SINK`] or [`KIND_TRANSFORM`].
    pub kind: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Full class name, which users write in `connector.class` or `transforms.<alias>.type`.
    pub name: Slice,
    /// Version.
    pub version: Slice,
    /// Other names that users may write; may be null.
    pub aliases: *const Slice,
    /// Number of `aliases`.
    pub alias_count: usize,
    /// Never null.
    pub connector: *const ConnectorVTable,
    /// Not null when the kind is source.
    pub source: *const SourceVTable,
    /// Not null when the kind is sink.
    pub sink: *const SinkVTable,
    /// Not null when the kind is transform.
    pub transform: *const TransformVTable,
    /// The plugin's own; the host does not look at it.
    pub user_data: *const c_void,
}

/// Questions about a class. They touch no task and are asked at any time after the library was loaded, from any thread,
/// several at once, also beside running tasks. Each has 30 s. An error of `validate`, `task_configs` and `alter_offsets` is
/// the answer to whoever asked; it changes nothing.
///
/// A config is what the user wrote, with references to config providers resolved, `name`, `connector.class` and the
/// worker's own keys among it; of a transform only its own options, without `transforms.<alias>.`. Keys are unique. Defaults
/// of the definition are not filled in: who reads a config applies them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ConnectorVTable {
    /// Size of this struct.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The options, asked once when the class is loaded: `{"keys":[…]}`, in display order, each key an object with `name`,
    /// `kind` (`BOOLEAN`, `STRING`, `INT`, `SHORT`, `LONG`, `DOUBLE`, `LIST`, `CLASS` or `PASSWORD`), `default` (text; left
    /// out or null = none), `required` (true = must be given when there is no default), `importance` (`HIGH`, `MEDIUM`,
    /// `LOW`), `documentation`, `display_name`, and perhaps `group` and `validator`: `"NonEmpty"`, `{"OneOf":["a","b"]}`
    /// or `{"Range":{"min":1,"max":9}}`. The host checks configs against it, shows it and documents the class with it.
    pub config_def:
        unsafe extern "C" fn(class_desc: *const ClassDesc, out: *mut Buf, error: *mut Error) -> i32,
    /// Checks what one option's definition cannot say: options that depend on each other, systems that must be reached.
    /// Asked when a user validates, creates or changes a config, once the definition allows it. `out`: a JSON array of
    /// `{"name":…,"message":…}`, one per problem; no bytes = all is well.
    pub validate: unsafe extern "C" fn(
        class_desc: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// One config per task, at most `max_tasks`: a JSON array of objects with string values. Asked before tasks are started,
    /// and again after [`HostVTable::request_task_reconfiguration`]. Each task's `start` gets one of them. Not asked of
    /// transforms.
    pub task_configs: unsafe extern "C" fn(
        class_desc: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        max_tasks: u32,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
    /// Offsets are about to be changed by an operator while the connector is stopped. `offsets` is a JSON array of
    /// `{"partition":…,"offset":…}`, both JSON texts, the offset null when it is taken out; of a sink
    /// `{"kafka_topic":…,"kafka_partition":…}` and `{"kafka_offset":…}`. [`FAILED`] keeps them as they are. Writes `true`
    /// when they are all there is to change, `false` when the connector may keep others elsewhere. Not asked of transforms.
    pub alter_offsets: unsafe extern "C" fn(
        class_desc: *const ClassDesc,
        config: *const KeyValue,
        config_len: usize,
        offsets: *const Slice,
        out: *mut Buf,
        error: *mut Error,
    ) -> i32,
}
