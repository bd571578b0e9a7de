//! What a native library says about itself, checked before any function of a connector runs: magic, versions, sizes, texts,
//! tables. Nothing is read before the size that covers it is known.
//!
//! These checks are fuzzed (`fuzzing.rs`): all they take is a pointer.

use std::collections::HashMap;

use jackfield_api::abi::{
    self, ABI_MAJOR, ABI_MINOR, ClassDesc, ConnectorVTable, MAGIC, PluginDesc, SinkVTable, Slice,
    SourceVTable, TransformVTable,
};

use super::boundary;
use crate::Kind;

/// Classes one library may have.
pub(super) const MAX_CLASSES: u32 = 1_000;
/// Bytes of the name and of the version of a class.
pub(super) const MAX_TEXT_BYTES: usize = 1_000;

/// A class of a loaded library, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct NativeClass {
    /// Handed back to the plugin as it is.
    pub(super) descriptor: *const ClassDesc,
    pub(super) connector: ConnectorVTable,
    pub(super) tasks: TaskTable,
}

/// How tasks of the class are run.
#[derive(Debug, Clone, Copy)]
pub(super) enum TaskTable {
    Source(SourceVTable),
    Sink(SinkVTable),
    Transform(TransformVTable),
}

// SAFETY: descriptors live and stay unchanged as long as the process; the ABI lets any thread call their functions.
unsafe impl Send for NativeClass {}
// SAFETY: as above.
unsafe impl Sync for NativeClass {}

/// The classes of a library by name.
pub(super) type Classes = HashMap<String, (String, NativeClass)>;

/// The message about a version this program does not speak.
pub(super) fn unsupported(found: &str) -> String {
    format!(
        "{found}, this program supports plugin ABI {ABI_MAJOR}.{ABI_MINOR}: install a package built for it, or use the \
         program version the package was built for"
    )
}

/// # Safety
/// `descriptor` points to a [`PluginDesc`] of some version, alive and unchanged as long as the process.
pub(super) unsafe fn read_classes(descriptor: *const PluginDesc) -> Result<Classes, String> {
    if !descriptor.is_aligned() {
        return Err("its descriptor is not aligned".to_owned());
    }
    // SAFETY: every version starts with these fields; nothing beyond them is read before the size is known.
    let (magic, major, minor, size) = unsafe {
        (
            (&raw const (*descriptor).magic).read(),
            (&raw const (*descriptor).abi_major).read(),
            (&raw const (*descriptor).abi_minor).read(),
            (&raw const (*descriptor).struct_size).read(),
        )
    };
    if magic != MAGIC {
        return Err(format!(
            "not a Jackfield plugin: its descriptor starts with {magic:#018x} instead of {MAGIC:#018x}"
        ));
    }
    if (major, minor) != (ABI_MAJOR, ABI_MINOR) {
        return Err(unsupported(&format!(
            "the library speaks plugin ABI {major}.{minor}"
        )));
    }
    if (size as usize) < size_of::<PluginDesc>() {
        return Err(format!(
            "its descriptor has {size} bytes, {} are needed",
            size_of::<PluginDesc>()
        ));
    }
    // SAFETY: the size was checked.
    let descriptor = unsafe { descriptor.read() };
    let (min, max, ours) = (
        descriptor.batch_major_min,
        descriptor.batch_major_max,
        u16::from(jackfield_batch::MAJOR),
    );
    if !(min..=max).contains(&ours) {
        return Err(format!(
            "it speaks record batch format {min} to {max}, this program speaks {ours}"
        ));
    }
    if descriptor.class_count == 0 || descriptor.class_count > MAX_CLASSES || descriptor.classes.is_null() {
        return Err(format!(
            "it has {} classes, 1 to {MAX_CLASSES} are supported",
            descriptor.class_count
        ));
    }
    if !descriptor.classes.is_aligned() {
        return Err("its list of classes is not aligned".to_owned());
    }
    let mut classes = Classes::new();
    for index in 0..descriptor.class_count as usize {
        // SAFETY: the array has `class_count` entries.
        let class = unsafe { descriptor.classes.add(index).read() };
        // SAFETY: each entry is null or points to a class descriptor that stays.
        let (name, version, class) =
            unsafe { read_class(class) }.map_err(|what| format!("class {index}: {what}"))?;
        if classes.contains_key(&name) {
            return Err(format!("class {index}: {name} is there twice"));
        }
        classes.insert(name, (version, class));
    }
    Ok(classes)
}

/// # Safety
/// `class` is null or points to a [`ClassDesc`], alive and unchanged as long as the process.
unsafe fn read_class(class: *const ClassDesc) -> Result<(String, String, NativeClass), String> {
    if class.is_null() || !class.is_aligned() {
        return Err("no descriptor".to_owned());
    }
    // SAFETY: every version starts with its size.
    let size = unsafe { (&raw const (*class).struct_size).read() } as usize;
    if size < size_of::<ClassDesc>() {
        return Err(format!(
            "its descriptor has {size} bytes, {} are needed",
            size_of::<ClassDesc>()
        ));
    }
    // SAFETY: the size was checked.
    let found = unsafe { class.read() };
    let text = |what: &str, slice: Slice| {
        if slice.ptr.is_null() || slice.len == 0 || slice.len > MAX_TEXT_BYTES {
            let bytes = if slice.ptr.is_null() { 0 } else { slice.len };
            return Err(format!(
                "its {what} has {bytes} bytes, 1 to {MAX_TEXT_BYTES} are supported"
            ));
        }
        // SAFETY: texts of a descriptor live as long as it.
        std::str::from_utf8(unsafe { boundary::bytes_of(slice) })
            .map(str::to_owned)
            .map_err(|_| format!("its {what} is not UTF-8"))
    };
    let (name, version) = (text("name", found.name)?, text("version", found.version)?);
    // SAFETY: tables of a descriptor live as long as it.
    let connector = unsafe { boundary::table("connector table", found.connector) }?;
    let tasks = match found.kind {
        // SAFETY: as above.
        abi::KIND_SOURCE => TaskTable::Source(unsafe { boundary::table("source table", found.source) }?),
        // SAFETY: as above.
        abi::KIND_SINK => TaskTable::Sink(unsafe { boundary::table("sink table", found.sink) }?),
        abi::KIND_TRANSFORM => {
            // SAFETY: as above.
            TaskTable::Transform(unsafe { boundary::table("transform table", found.transform) }?)
        }
        kind => return Err(format!("kind {kind}, which the plugin ABI does not know")),
    };
    Ok((
        name,
        version,
        NativeClass {
            descriptor: class,
            connector,
            tasks,
        },
    ))
}

impl NativeClass {
    pub(super) fn kind(&self) -> Kind {
        match self.tasks {
            TaskTable::Source(_) => Kind::Source,
            TaskTable::Sink(_) => Kind::Sink,
            TaskTable::Transform(_) => Kind::Transform,
        }
    }
}
